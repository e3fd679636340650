// bootstrap-attio.ts - creates the Attio object, its attributes and options, once; harmless to run again.
//
// It creates what is missing and restores what is archived, also after a run that was cut off half-way. It deletes
// nothing, renames nothing and changes no attribute that exists: what it cannot mend it names, and exits 1.

import {
  ApiError,
  CHARGE,
  FALLBACK_SLUG,
  OBJECT,
  attioCurrency,
  attioWrite,
  checkStripe,
  connectAttio,
  connectStripe,
  currencyRemedy,
  helpText,
  inspectObject,
  processIo,
  readAttioKey,
  readPage,
  readProducts,
  runProgram,
  writeStepSummary,
} from "./sync.ts";
import type { AttributeSpec, Charge, Difference, Io, Json, Log, Product, Row, Service, Settings } from "./sync.ts";

const HELP = helpText(
  "node bootstrap-attio.ts [--dry-run] [--suggest-products]",
  `Creates the object ${OBJECT} with its attributes in Attio. A second run creates nothing.`,
  [
    ["--dry-run", "show what exists, what is missing and what differs; create nothing"],
    ["--suggest-products", "list the Stripe account's products as JSON for PRODUCT_SLUGS, and stop"],
  ],
  ["node bootstrap-attio.ts --suggest-products", "node bootstrap-attio.ts --dry-run", "node bootstrap-attio.ts"],
  ["ATTIO_API_KEY", "STRIPE_API_KEY", "CURRENCY", "PRODUCT_SLUGS", "DRY_RUN", "STRIPE_API_BASE", "ATTIO_API_BASE"],
);

/** Makes the object, or shows what it would make. Returns the exit code. */
export async function bootstrap(io: Io): Promise<number> {
  const suggests = io.args.includes("--suggest-products");
  const requires = [suggests ? "STRIPE_API_KEY" : "ATTIO_API_KEY"];
  const usage = { flags: ["--dry-run", "--suggest-products"], requires, help: HELP };
  return runProgram(io, usage, async (settings, log, connection) => {
    const stripe = connectStripe(settings, connection);
    if (suggests) return suggestProducts(stripe, settings, log);
    const attio = connectAttio(settings, connection);
    const scope = settings.isDryRun ? "object_configuration:read" : "object_configuration:read-write";
    const key = await readAttioKey(attio, [scope]);
    if (key.problems.length > 0) {
      log.error([...key.problems, "Nothing was created."].join("\n"));
      return 1;
    }
    if (settings.isDryRun) log.line("dry run: nothing will be created");
    let state: State | undefined = await inspectObject(attio, settings);
    const remedy = currencyRemedy(state.differences, settings.currency);
    const isAsked = remedy === undefined && settings.stripeKey !== "";
    const isProposed = !isAsked || (await proposeCurrency(stripe, settings, log));
    if (!isProposed && !state.hasObject && (io.env["CURRENCY"] ?? "").trim() === "") {
      log.error("Set CURRENCY, to either, and run again. Nothing was created.");
      return 1;
    }
    const steps = stepsOf(state, settings);
    const title = `Attio workspace "${key.workspace}", object ${OBJECT}`;
    log.tell({ title, rows: table(state, steps, settings) });
    const toCreate = steps.flatMap(({ makes }) => makes).length;
    log.line(`${toCreate} to create${state.hasObject ? "" : `, the object ${OBJECT} among them`}`);
    if (remedy !== undefined) log.error(`${remedy} Attio cannot change that. Nothing was created.`);
    else if (!settings.isDryRun && toCreate > 0) state = await createAll(attio, state, settings, log);
    if (settings.isDryRun) log.line("dry run: nothing was created");
    if (state === undefined || remedy !== undefined) return 1;
    const faults = state.differences.filter((difference) => !settings.isDryRun || isBeyondRepair(difference));
    for (const fault of faults) log.error(explain(fault));
    if (faults.length > 0) return 1;
    if (settings.isDryRun) return 0;
    const reduce =
      "From now on the key needs only object_configuration:read and record_permission:read-write: reduce its scopes.";
    if (key.scopes.includes("object_configuration:read-write")) log.line(reduce);
    log.line(`All is there. Next: ${settings.commands.dryRun}`);
    return 0;
  });
}

/** What to answer in the place of a refusal. */
function onRefusal<T>(answer: (refusal: ApiError) => T): (error: unknown) => T {
  return (error) => {
    if (error instanceof ApiError) return answer(error);
    throw error;
  };
}

type State = Awaited<ReturnType<typeof inspectObject>>;

function isBeyondRepair({ fault }: Pick<Difference, "fault">): boolean {
  return fault !== "missing" && fault !== "archived";
}

/** One request, and what it makes, as it is told. */
type Step = { readonly makes: readonly string[]; readonly path: string; readonly body: Json } & {
  readonly method: "POST" | "PATCH";
};

/** All that is to be done, in order: the object, then total_revenue, as Attio may refuse its currency, then the rest. */
function stepsOf({ hasObject, specs, differences, options }: State, settings: Settings): Step[] {
  const create = (makes: readonly string[], path: string, body: Json): Step => ({ makes, method: "POST", path, body });
  const restore = (what: string, path: string): Step => {
    return { makes: [what], method: "PATCH", path, body: { is_archived: false } };
  };
  const nouns = { singular_noun: "Stripe customer", plural_noun: "Stripe customers" };
  const object = create([`object ${OBJECT}`], "/v2/objects", { api_slug: OBJECT, ...nouns });
  const attributes = `/v2/objects/${OBJECT}/attributes`;
  const ofAttributes = specs.flatMap((spec): Step[] => {
    const { slug, target } = spec;
    const fault = differences.find((difference) => difference.slug === slug)?.fault;
    if (fault === "archived") return [restore(slug, `${attributes}/${slug}`)];
    const makes = target === undefined ? [slug] : [slug, `${OBJECT} on ${target}`];
    return fault === "missing" ? [create(makes, attributes, creationOf(spec, settings.currency))] : [];
  });
  const isTotal = ({ makes }: Step): number => Number(makes.includes("total_revenue"));
  ofAttributes.sort((a, b) => isTotal(b) - isTotal(a));
  const ofOptions = options.map(({ title, isArchived }) => {
    const path = `${attributes}/subscription_status/options`;
    return isArchived ? restore(title, `${path}/${encodeURIComponent(title)}`) : create([title], path, { title });
  });
  return [...(hasObject ? [] : [object]), ...ofAttributes, ...ofOptions];
}

/** Every attribute, and what else is to be made: the other sides of links, on People and Companies, and options. */
function table({ specs, differences }: State, steps: readonly Step[], settings: Settings): Row[] {
  const made = new Map(steps.flatMap(({ makes, method }) => makes.map((what) => [what, method] as const)));
  const stateOf = (what: string): string => (made.get(what) === "PATCH" ? "archived, to restore" : "to create");
  const rows = specs.map(({ slug, isUnique, type }): Row => {
    const kind = type === "currency" ? `currency, ${attioCurrency(settings.currency)}` : type;
    const held = differences.some((difference) => difference.slug === slug) ? "DIFFERS, see below" : "exists";
    const remark = made.has(slug) ? stateOf(slug) : held;
    return { label: slug, amount: isUnique ? `${kind}, unique` : kind, remark };
  });
  const isListed = new Set([`object ${OBJECT}`, ...specs.map(({ slug }) => slug)]);
  const others = [...made.keys()].filter((what) => !isListed.has(what));
  return [...rows, ...others.map((what): Row => ({ label: what, remark: stateOf(what) }))];
}

/** Takes all steps, and says what came of it; undefined, and why, where one was refused. */
async function createAll(attio: Service, before: State, settings: Settings, log: Log): Promise<State | undefined> {
  const created: string[] = [];
  const take = async ({ makes, method, path, body }: Step): Promise<void> => {
    // A conflict says that it exists by now, or that something else is in its place: what is listed afterwards decides.
    const isNew = await attioWrite(attio, method, path, body).then(
      () => true,
      onRefusal((refusal) => {
        if (refusal.code !== "slug_conflict") throw refusal;
        return false;
      }),
    );
    const how = !isNew ? "exists  " : method === "POST" ? "created " : "restored";
    for (const what of makes) log.line(`${how}  ${what}`);
    if (isNew) created.push(...makes);
  };
  try {
    const [first] = stepsOf(before, settings);
    if (!before.hasObject && first !== undefined) await take(first);
    // A new object usually brings a `name` of its own: only now is it known what is missing.
    const state = before.hasObject ? before : await inspectObject(attio, settings);
    if (!state.hasObject)
      throw new Error(`Another object is called "Stripe customer" or "Stripe customers": rename it in Attio.`);
    const isLeft = new Set(state.differences.map(({ slug }) => slug));
    const brought = before.differences.filter(({ slug }) => !isLeft.has(slug));
    for (const { slug } of brought) log.line(`created   ${slug}, with the object`);
    for (const step of stepsOf(state, settings)) await take(step);
    return await inspectObject(attio, settings);
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    const what = `Was created: ${created.join(", ") || "nothing"}. To go on from there: ${settings.commands.bootstrap}`;
    log.error(`${adviceOn(error, settings)}${error.message}\n${what}`);
    return undefined;
  }
}

/** What to do about a refusal that has a known cause. */
function adviceOn(error: Error, settings: Settings): string {
  if (!(error instanceof ApiError)) return "";
  if (["quota_exceeded", "billing_error"].includes(error.code))
    return "The workspace's plan allows no further object: remove one that is not used, or upgrade. ";
  if (!error.fields.some((field) => field.endsWith("default_currency_code"))) return "";
  const named = error.options.length > 0 ? ` It has ${error.options.join(", ")}.` : "";
  return `CURRENCY=${settings.currency} is at fault: Attio has no such currency.${named} Set CURRENCY to one of Attio's. `;
}

/** What is wrong with an attribute, why that matters where it is not plain, and what to do. */
function explain({ slug, fault, words }: Difference): string {
  const remedy = `change its slug in Attio › Settings › Objects, then run the bootstrap, which makes a new one.`;
  const target = slug === "person" ? "people" : slug === "company" ? "companies" : undefined;
  if (fault === "missing" && target !== undefined)
    return `The link ${slug} needs an attribute ${OBJECT} on ${target}, where another attribute has this slug: change its slug in Attio.`;
  if (!isBeyondRepair({ fault })) return `The attribute ${slug} ${words}, though Attio says it is there.`;
  if (fault === "not unique")
    return `The attribute ${slug} is the match key but not unique, so a customer could get two records and be counted twice. Delete duplicate records and set it to unique in Attio; or ${remedy}`;
  return `The attribute ${slug} ${words}, and Attio cannot change that: ${remedy}`;
}

/** https://docs.attio.com/rest-api/endpoint-reference/attributes/create-an-attribute */
function creationOf({ slug, title, description, type, isUnique, target }: AttributeSpec, currency: string): Json {
  const money = { default_currency_code: attioCurrency(currency), display_type: "symbol" };
  const link = { record_reference: { allowed_objects: [target] } };
  const config = type === "currency" ? { currency: money } : target === undefined ? {} : link;
  const relationship = { object: target, api_slug: OBJECT, title: "Stripe customers", is_multiselect: true };
  const fixed = { is_required: false, is_unique: isUnique, is_multiselect: false, config };
  return { api_slug: slug, title, description, type, ...fixed, ...(target !== undefined && { relationship }) };
}

/** Compares CURRENCY with what Stripe settles the newest charges in. Returns false, and says so, where that differs. */
async function proposeCurrency(stripe: Service, settings: Settings, log: Log): Promise<boolean> {
  const list = { path: "/v1/charges", kind: "charge", reader: CHARGE };
  const read = (query: Readonly<Record<string, string>>): Promise<readonly Charge[]> =>
    readPage(stripe, list, query, ({ objects }) => objects.filter(({ amount_captured }) => amount_captured > 0));
  let how = "Stripe settled";
  const onlyPaid = (): Promise<readonly Charge[]> => {
    how = "(what Stripe settles them in, this key may not read) customers paid";
    return read({});
  };
  const newest = await read({ "expand[]": "data.balance_transaction" })
    .catch(onRefusal(onlyPaid))
    .catch(onRefusal(() => [])); // the sync's own check will say what is wrong with this key
  const currencies = newest.map(({ currency, balance_transaction: settlement }) =>
    typeof settlement === "object" && settlement !== null ? settlement.currency : currency,
  );
  const groups = [...Map.groupBy(currencies, (currency) => currency)].toSorted(([, a], [, b]) => b.length - a.length);
  const counts = groups.map(([currency, { length }]) => `${length} in ${currency}`).join(", ");
  const said = `Of the newest ${currencies.length} charges ${how} ${counts}; CURRENCY is ${settings.currency}.`;
  const isRight = currencies.filter((currency) => currency === settings.currency).length * 2 >= currencies.length;
  if (!isRight) log.warn(`${said} Probably right: CURRENCY=${groups[0]?.[0]}`);
  else if (currencies.length > 0) log.line(said);
  return isRight;
}

async function suggestProducts(stripe: Service, settings: Settings, log: Log): Promise<number> {
  const products = await readProducts(stripe).catch(
    onRefusal(async (refusal) => {
      const [problem] = refusal.status === 401 ? await checkStripe(stripe) : [];
      if (problem === undefined && refusal.status !== 403) throw refusal;
      log.error(problem ?? `STRIPE_API_KEY lacks the permission "Products" (rak_product_read). ${refusal.message}`);
      return undefined;
    }),
  );
  if (products === undefined) return 1;
  // A name may be a customer's: it goes where amounts go.
  const shown = settings.showsAmounts ? products : products.map((product) => ({ ...product, name: "" }));
  const rows = shown.map(({ id, name, active }) => ({ label: id, amount: active ? "" : "archived", remark: name }));
  const section = { title: `${products.length} products in Stripe`, rows, place: 1 };
  const advice = `Give products that belong together the same slug, remove what belongs in ${FALLBACK_SLUG}. PRODUCT_SLUGS:`;
  const json = mappingOf(shown);
  log.tell(section);
  log.line(advice);
  log.line(json);
  const lines = [advice, `\`\`\`json\n${json}\n\`\`\``];
  writeStepSummary(settings.stepSummaryPath, log, { heading: section.title, lines, sections: [section] });
  return 0;
}

/**
 * Products as the JSON that PRODUCT_SLUGS takes, each with a slug of its own: "Équipe (yearly)" → spend_equipe_yearly.
 * A name that has no letter of a to z, or gives what another gives, leaves the slug to the id.
 */
function mappingOf(products: readonly Product[]): string {
  const slugOf = (words: string): string => {
    const bare = words.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();
    return `spend_${(bare.match(/[a-z0-9]+/g) ?? []).join("_").slice(0, 40).replace(/_$/, "")}`;
  };
  const sharing = Map.groupBy(products, ({ name }) => slugOf(name));
  const taken = new Set([FALLBACK_SLUG]);
  // What is no plain id could steer a terminal or end a block of code.
  const plain = products.filter(({ id }) => /^[\w-]+$/.test(id));
  const mapping = plain.map(({ id, name }): [id: string, slug: string] => {
    const own = slugOf(name);
    const isOwn = /_.*[a-z]/.test(own) && sharing.get(own)?.length === 1 && !taken.has(own);
    const proposed = isOwn ? own : slugOf(id);
    let slug = proposed;
    for (let n = 2; taken.has(slug); n += 1) slug = `${proposed}_${n}`;
    taken.add(slug);
    return [id, slug];
  });
  return JSON.stringify(Object.fromEntries(mapping));
}

if (import.meta.main) process.exitCode = await bootstrap(processIo(import.meta.dirname));
