// bootstrap-attio.ts - creates the Attio object, its attributes and options, once; harmless to run again.
//
// It creates what is missing and restores what is archived, also after a run that was cut off half-way. It deletes
// nothing, renames nothing and changes no attribute that exists: what it cannot mend it names, and exits 1.

import {
  ApiError,
  FALLBACK_SLUG,
  OBJECT,
  RunError,
  STRIPE_LISTS,
  attioCurrency,
  connectAttio,
  connectStripe,
  inspectObject,
  isObject,
  keyProblem,
  orIfRefused,
  processIo,
  readAttioKey,
  readPage,
  readProducts,
  request,
  runProgram,
  usageOf,
  writeStepSummary,
} from "./sync.ts";
import type { AttributeSpec, Charge, Difference, Io, Json, Log, Product, Service, Settings } from "./sync.ts";

const USAGE = usageOf(
  "node bootstrap-attio.ts",
  `Creates the object ${OBJECT} with its attributes in Attio. A second run creates nothing.`,
  {
    "--dry-run": "show what exists, what is missing and what differs; create nothing",
    "--suggest-products": "list the Stripe account's products as JSON for PRODUCT_SLUGS, and stop",
  },
  ["npm run bootstrap -- --suggest-products", "npm run bootstrap -- --dry-run", "npm run bootstrap"],
  "ATTIO_API_KEY STRIPE_API_KEY CURRENCY PRODUCT_SLUGS DRY_RUN SHOW_AMOUNTS STRIPE_API_BASE ATTIO_API_BASE".split(" "),
);

/** Makes the object, or shows what it would make. Returns the exit code. */
export async function bootstrap(io: Io): Promise<number> {
  const suggests = io.args.includes("--suggest-products");
  const requires = [suggests ? "STRIPE_API_KEY" : "ATTIO_API_KEY"];
  return runProgram(io, { ...USAGE, requires }, async (settings, log, connection) => {
    const stripe = connectStripe(settings, connection);
    if (suggests) return suggestProducts(stripe, settings, log);
    const attio = connectAttio(settings, connection);
    const scope = settings.isDryRun ? "object_configuration:read" : "object_configuration:read-write";
    const { problems, scopes, workspace } = await readAttioKey(attio, [scope]);
    if (problems.length > 0) throw new RunError(problems.join("\n"));
    if (settings.isDryRun) log.line("dry run: nothing will be created");
    const before = await inspectObject(attio, settings);
    const { hasObject, remedy } = before;
    const isRight = remedy !== undefined || settings.stripeKey === "" || (await checkCurrency(stripe, settings, log));
    if (!isRight && !hasObject && (io.env["CURRENCY"] ?? "").trim() === "")
      throw new RunError("Set CURRENCY, to either, and run again.");
    const parts = partsOf(before, settings);
    const rows = parts.map(({ what, kind, state }) => ({ label: what, amount: kind, remark: state }));
    log.tell({ title: `Attio workspace "${workspace}"`, rows });
    const pending = parts.filter(({ steps }) => steps).length;
    log.line(`${pending} to create${hasObject ? "" : `, the object ${OBJECT} among them`}`);
    if (remedy !== undefined) throw new RunError(`${remedy} Attio cannot change that.`);
    if (settings.isDryRun) log.line("dry run: nothing was created");
    const isMade = pending > 0 && !settings.isDryRun;
    const after = isMade ? await makeAll({ ...attio, cutsInFlight: false }, before, settings, log) : before;
    if (after === undefined) return 1;
    const faults = after.differences.filter(({ fault }) => !settings.isDryRun || !MENDABLE.includes(fault));
    for (const fault of faults) log.error(explain(fault));
    if (faults.length > 0 || settings.isDryRun) return faults.length > 0 ? 1 : 0;
    if (scopes.includes("object_configuration:read-write")) log.line(REDUCE);
    log.line(`All is there. Next: ${settings.commands.dryRun}`);
    return 0;
  });
}

const MENDABLE: readonly string[] = ["missing", "archived", "options"];
const REDUCE = "Reduce the key's scopes: object_configuration:read and record_permission:read-write are enough now.";

type State = Awaited<ReturnType<typeof inspectObject>>;

/** Something that is needed; `steps` make it, where it is not there: none for what comes with the part before. */
type Part = { readonly what: string; readonly kind: string; readonly state: string; readonly steps?: readonly Step[] };
type Step = readonly [method: "POST" | "PATCH", path: string, data: Json];

/** The object, its attributes with the other sides of links, which stand on People and Companies, and its options. */
function partsOf({ hasObject, specs, differences, options, lacking }: State, { currency }: Settings): Part[] {
  const attributes = `/v2/objects/${OBJECT}/attributes`;
  const create = (path: string, data: Json) => ({ state: "to create", steps: [["POST", path, data] as const] });
  const back = { is_archived: false };
  const restore = (path: string) => ({ state: "archived, to restore", steps: [["PATCH", path, back] as const] });
  const nouns = { api_slug: OBJECT, singular_noun: "Stripe customer", plural_noun: "Stripe customers" };
  const object = hasObject ? { state: "exists" } : create("/v2/objects", nouns);
  const faults = new Map(differences.map(({ slug, fault }) => [slug, fault]));
  const ofAttributes = specs.flatMap((spec): Part[] => {
    const { slug: what, type, target, isUnique } = spec;
    const kind = type === "currency" ? `currency, ${attioCurrency(currency)}` : isUnique ? `${type}, unique` : type;
    const fault = faults.get(what);
    if (fault === undefined || fault === "options") return [{ what, kind, state: "exists" }];
    if (fault === "archived") return [{ what, kind, ...restore(`${attributes}/${what}`) }];
    if (fault !== "missing") return [{ what, kind, state: "DIFFERS, see below" }];
    const own = { what, kind, ...create(attributes, creationOf(spec, currency)) };
    return target === undefined ? [own] : [own, { ...own, what: `${OBJECT} on ${target}`, steps: [] }];
  });
  // The total first: Attio may refuse its currency, and then nothing stands half made.
  ofAttributes.sort((a, b) => Number(b.what === "total_revenue") - Number(a.what === "total_revenue"));
  const ofOptions = lacking.map((title) => {
    const path = `${attributes}/subscription_status/options`;
    const own = options.has(title) ? restore(`${path}/${encodeURIComponent(title)}`) : create(path, { title });
    return { what: title, kind: "option", ...own };
  });
  return [{ what: `object ${OBJECT}`, kind: "", ...object }, ...ofAttributes, ...ofOptions];
}

/** Makes what is to be made, and returns what there is then; undefined, and says why, where something was refused. */
async function makeAll(attio: Service, before: State, settings: Settings, log: Log): Promise<State | undefined> {
  const made: string[] = [];
  // A conflict says that it exists by now, or that something else is in its place: what is listed then decides.
  const send = ([method, path, data]: Step): Promise<string> => {
    const how = method === "POST" ? "created" : "restored";
    return request(attio, { method, path, lane: "write", body: { data } }, () => how).catch(orIfRefused("exists", 409));
  };
  const make = async (parts: readonly Part[]): Promise<void> => {
    let how = "exists";
    for (const { what, steps = [] } of parts) {
      for (const step of steps) how = await send(step);
      log.line(`${how.padEnd(8)}  ${what}`);
      if (how !== "exists") made.push(what);
    }
  };
  try {
    if (!before.hasObject) await make(partsOf(before, settings).slice(0, 1));
    // A new object usually brings a `name` of its own: only now is it known what is missing.
    const state = before.hasObject ? before : await inspectObject(attio, settings);
    if (!state.hasObject)
      throw new Error('Another object is called "Stripe customer" or "Stripe customers": rename it.');
    const isLeft = new Set(state.differences.map(({ slug }) => slug));
    for (const { slug } of before.differences) if (!isLeft.has(slug)) log.line(`created   ${slug}, with the object`);
    await make(partsOf(state, settings).filter(({ steps }) => steps));
    return await inspectObject(attio, settings);
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    const what = `Was created: ${made.join(", ") || "nothing"}. To go on from there: ${settings.commands.bootstrap}`;
    log.error(`${error instanceof ApiError ? adviceOn(error, settings) : ""}${error.message}\n${what}`);
    return undefined;
  }
}

/** What to do about a refusal that has a known cause. */
function adviceOn(error: ApiError, { currency }: Settings): string {
  if (["quota_exceeded", "billing_error"].includes(error.code))
    return "The workspace's plan allows no further object: remove one that is not used, or upgrade. ";
  if (!error.fields.some((field) => field.endsWith("default_currency_code"))) return "";
  const named = error.options.length > 0 ? ` It has ${error.options.join(", ")}.` : "";
  return `CURRENCY=${currency} is at fault: Attio has no such currency.${named} Set CURRENCY to one of Attio's. `;
}

/** What is wrong with an attribute, why that matters where it is not plain, and what to do. */
function explain({ slug, target, fault, words }: Difference): string {
  const remedy = "change its slug in Attio › Settings › Objects, then run the bootstrap, which makes a new one.";
  if (fault === "missing" && target !== undefined)
    return `The link ${slug} needs an attribute ${OBJECT} on ${target}; another has that slug: change it in Attio.`;
  if (MENDABLE.includes(fault)) return `The attribute ${slug} ${words}, though Attio says it is there.`;
  const twice = "so a customer could get two records: delete duplicates and set it to unique in Attio; or";
  if (fault === "not unique") return `The attribute ${slug} is the match key but not unique, ${twice} ${remedy}`;
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
async function checkCurrency(stripe: Service, settings: Settings, log: Log): Promise<boolean> {
  const read = (query: Readonly<Record<string, string>>): Promise<readonly Charge[]> =>
    readPage(stripe, STRIPE_LISTS.charges, query, ({ objects }) => objects);
  const settled = await read({ "expand[]": "data.balance_transaction" }).catch(orIfRefused(undefined));
  // Whatever else is wrong with this key, the sync's own check will say.
  const newest = (settled ?? (await read({}).catch(orIfRefused([])))).filter((one) => one.amount_captured > 0);
  const currencies = newest.map(({ currency, balance_transaction: by }) => (isObject(by) ? by.currency : currency));
  const groups = [...Map.groupBy(currencies, (currency) => currency)].toSorted(([, a], [, b]) => b.length - a.length);
  const counts = groups.map(([currency, { length }]) => `${length} in ${currency}`).join(", ");
  const how = settled ? "Stripe settled" : "(what Stripe settles them in, this key may not read) customers paid";
  const said = `Of the newest ${newest.length} charges ${how} ${counts}; CURRENCY is ${settings.currency}.`;
  const isRight = currencies.filter((currency) => currency === settings.currency).length * 2 >= newest.length;
  if (!isRight) log.warn(`${said} Probably right: CURRENCY=${groups[0]?.[0]}`);
  else if (newest.length > 0) log.line(said);
  return isRight;
}

async function suggestProducts(stripe: Service, settings: Settings, log: Log): Promise<number> {
  const products = await readProducts(stripe).catch((error: unknown) => {
    if (!(error instanceof ApiError) || ![401, 403].includes(error.status)) throw error;
    throw new RunError(keyProblem(error, { name: "Products", slug: "rak_product_read" }));
  });
  const hint = settings.showsAmounts ? "" : " Names may be customers': with SHOW_AMOUNTS=0 ids stand in their place.";
  const shown = settings.showsAmounts ? products : products.map((product) => ({ ...product, name: "" }));
  const rows = shown.map(({ id, name, active }) => ({ label: id, amount: active ? "" : "archived", remark: name }));
  const section = { title: `${products.length} products in Stripe`, rows, place: 1 };
  const advice = `Give products that belong together one slug, remove what belongs in ${FALLBACK_SLUG}.${hint}`;
  const json = mappingOf(shown);
  log.tell(section);
  log.line(`${advice} PRODUCT_SLUGS:\n${json}`);
  const lines = [`${advice} PRODUCT_SLUGS:`, `\`\`\`json\n${json}\n\`\`\``];
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
  const mapping: Record<string, string> = {};
  for (const { id, name } of products) {
    const own = slugOf(name);
    const isOwn = /_.*[a-z]/.test(own) && sharing.get(own)?.length === 1 && !taken.has(own);
    const proposed = isOwn ? own : slugOf(id);
    let slug = proposed;
    for (let n = 2; taken.has(slug); n += 1) slug = `${proposed}_${n}`;
    taken.add(slug);
    if (/^[\w-]+$/.test(id)) mapping[id] = slug; // what is no plain id could steer a terminal or end a block of code
  }
  return JSON.stringify(mapping);
}

if (import.meta.main) process.exitCode = await bootstrap(processIo(import.meta.dirname));
