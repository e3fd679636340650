// bootstrap-attio.ts - creates the Attio object, its attributes and options, once; harmless to run again.
//
// It creates what is missing and restores what is archived, also after a run that was cut off half-way. It deletes
// nothing, renames nothing and changes no attribute that exists: what it cannot mend it names, and exits 1.

import {
  ApiError,
  CHARGE,
  OBJECT,
  STATUSES,
  attioCurrency,
  attioWrite,
  attributeSpecs,
  checkStripe,
  clean,
  compareAttributes,
  connectAttio,
  connectStripe,
  helpText,
  logLines,
  mappingOf,
  processIo,
  readAttioKey,
  readAttributes,
  readObjects,
  readOptions,
  readPage,
  readProducts,
  runProgram,
  slugsOf,
  spendAttributes,
} from "./sync.ts";
import type { Attribute, AttributeSpec, Io, Json, Log, Row, Service, Settings } from "./sync.ts";

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

/** What the bootstrap found of the object, and what it has to do. */
type State = {
  readonly specs: readonly AttributeSpec[];
  readonly missing: readonly AttributeSpec[];
  readonly archived: readonly string[];
  readonly wrong: readonly string[];
  readonly options: readonly { readonly title: string; readonly isArchived: boolean }[];
};

/** One run. Returns the exit code. */
export async function bootstrap(io: Io): Promise<number> {
  const suggests = io.args.includes("--suggest-products");
  const requires = [suggests ? "STRIPE_API_KEY" : "ATTIO_API_KEY"];
  const usage = { flags: ["--dry-run", "--suggest-products"], requires, help: HELP };
  return runProgram(io, usage, async (settings, log, connection) => {
    const stripe = connectStripe(settings, connection);
    if (suggests) return suggestProducts(stripe, log);
    const attio = connectAttio(settings, connection);
    const scope = settings.isDryRun ? "object_configuration:read" : "object_configuration:read-write";
    const key = await readAttioKey(attio, [scope]);
    if (key.problems.length > 0) {
      log.error([...key.problems, "Nothing was created."].join("\n"));
      return 1;
    }
    if (settings.isDryRun) log.line("dry run: nothing will be created");
    const objects = await readObjects(attio);
    const exists = objects.has(OBJECT);
    const isCurrencyRight = settings.stripeKey === "" || (await proposeCurrency(stripe, settings, log));
    if (!isCurrencyRight && !exists && (io.env["CURRENCY"] ?? "").trim() === "") {
      log.error("Set CURRENCY, to either, and run again. Nothing was created.");
      return 1;
    }
    const state = await inspect(attio, settings, objects);
    logLines([{ title: `Attio workspace "${key.workspace}", object ${OBJECT}`, rows: table(state, settings) }]).forEach(
      log.line,
    );
    const toCreate = state.missing.length + state.archived.length + state.options.length + (exists ? 0 : 1);
    log.line(`${toCreate} to create${exists ? "" : `, the object ${OBJECT} among them`}`);
    for (const fault of state.wrong) log.error(fault);
    if (settings.isDryRun) log.line("dry run: nothing was created");
    if (!settings.isDryRun && toCreate > 0 && !(await createAll(attio, { state, exists, settings }, log))) return 1;
    if (state.wrong.length > 0) return 1;
    if (!settings.isDryRun) sayWhatIsNext(key.scopes, log);
    return 0;
  });
}

/** What exists and what does not. An object that is not there yet lacks everything, but may bring a `name`. */
async function inspect(attio: Service, settings: Settings, objects: ReadonlyMap<string, string>): Promise<State> {
  const attributes: Attribute[] = objects.has(OBJECT) ? await readAttributes(attio, OBJECT) : [];
  const mapped = slugsOf(settings.productSlugs);
  const others = spendAttributes(attributes).filter((slug) => !mapped.includes(slug));
  const specs = attributeSpecs([...mapped, ...others]);
  const differences = compareAttributes(specs, attributes, { currency: settings.currency, objects });
  const slugs = (kind: string): string[] =>
    differences.filter((difference) => difference.kind === kind).map(({ slug }) => slug);
  const missing = specs.filter(({ slug }) => slugs("missing").includes(slug));
  const wrong = differences.filter(({ kind }) => kind === "wrong").map(({ text }) => text);
  const select = attributes.find(({ api_slug }) => api_slug === "subscription_status");
  const held = select?.type === "select" ? await readOptions(attio, "subscription_status") : [];
  const isChosen = (title: string): boolean => held.some((option) => option.title === title && !option.is_archived);
  // An attribute of another type takes no options: it is named as wrong.
  const isOther = select !== undefined && select.type !== "select";
  const options = isOther ? [] : STATUSES.filter((title) => !isChosen(title));
  return {
    specs,
    missing,
    archived: slugs("archived"),
    wrong,
    options: options.map((title) => ({ title, isArchived: held.some((option) => option.title === title) })),
  };
}

function table({ specs, missing, archived, wrong, options }: State, settings: Settings): Row[] {
  const rows = specs.map((spec): Row => {
    let state = "exists";
    if (missing.includes(spec)) state = "to create";
    if (archived.includes(spec.slug)) state = "archived, to restore";
    if (wrong.some((fault) => fault.startsWith(`The attribute ${spec.slug} `))) state = "DIFFERS, see below";
    const type = spec.type === "currency" ? `currency, ${attioCurrency(settings.currency)}` : spec.type;
    return [spec.slug, spec.isUnique ? "unique" : "", type, state];
  });
  const some = options.map(({ title }): Row => [title, "", "option of subscription_status", "to create"]);
  return [...rows, ...some];
}

/** Creates object, attributes and options. What exists by now counts as created: Attio answers it with a conflict. */
async function createAll(
  attio: Service,
  { state, exists, settings }: { state: State; exists: boolean; settings: Settings },
  log: Log,
): Promise<boolean> {
  const attributes = `/v2/objects/${OBJECT}/attributes`;
  let done = "nothing";
  const create = async (method: "POST" | "PATCH", path: string, what: string, values: Json): Promise<void> => {
    if (!(await attioWrite(attio, method, path, values).then(() => true, falseOnConflict))) return;
    log.line(`${method === "POST" ? "created" : "restored"}  ${what}`);
    done = `all up to ${what}`;
  };
  try {
    const nouns = { singular_noun: "Stripe customer", plural_noun: "Stripe customers" };
    if (!exists) await create("POST", "/v2/objects", `object ${OBJECT}`, { api_slug: OBJECT, ...nouns });
    const objects = await readObjects(attio);
    if (!objects.has(OBJECT))
      throw new Error(`Another object is called "Stripe customer" or "Stripe customers": rename it in Attio.`);
    // A new object usually brings a `name` of its own: only now is it known what is missing.
    const present = exists ? [] : await readAttributes(attio, OBJECT);
    for (const slug of state.archived) await create("PATCH", `${attributes}/${slug}`, slug, { is_archived: false });
    for (const spec of state.missing)
      if (!present.some(({ api_slug, is_archived }) => api_slug === spec.slug && !is_archived))
        await create("POST", attributes, spec.slug, creationOf(spec, settings.currency));
    const options = `${attributes}/subscription_status/options`;
    for (const { title, isArchived } of state.options)
      if (isArchived) await create("PATCH", `${options}/${encodeURIComponent(title)}`, title, { is_archived: false });
      else await create("POST", options, title, { title });
    const left = await inspect(attio, settings, objects);
    const lacking = [
      ...left.missing.map(({ slug }) => slug),
      ...left.archived,
      ...left.options.map(({ title }) => title),
    ];
    const faults = [...left.wrong.filter((fault) => !state.wrong.includes(fault)), ...lacking.map(explainLacking)];
    if (faults.length > 0) throw new Error(faults.join("\n"));
    return true;
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    log.error(`${limitOf(error)}${error.message}\nWas created: ${done}. Run it again: it goes on where it stopped.`);
    return false;
  }
}

/** A conflict says that it is there already, or that something else is in its place: what is listed afterwards decides. */
function falseOnConflict(error: unknown): false {
  if (!(error instanceof ApiError) || error.code !== "slug_conflict") throw error;
  return false;
}

function limitOf(error: Error): string {
  const isLimit = error instanceof ApiError && (error.code === "quota_exceeded" || error.code === "billing_error");
  return isLimit ? "The workspace's plan allows no further object: remove one that is not used, or upgrade. " : "";
}

/** A link whose other side cannot be made is refused as a conflict, though our own slug is free. */
function explainLacking(slug: string): string {
  const target = slug === "person" ? "people" : slug === "company" ? "companies" : undefined;
  return target === undefined
    ? `Attio says that ${slug} exists, but does not list it.`
    : `The link ${slug} needs an attribute ${OBJECT} on ${target}, where another attribute has this slug: change its slug in Attio.`;
}

/** https://docs.attio.com/rest-api/endpoint-reference/attributes/create-an-attribute */
function creationOf(spec: AttributeSpec, currency: string): Json {
  const config =
    spec.type === "currency"
      ? { currency: { default_currency_code: attioCurrency(currency), display_type: "symbol" } }
      : spec.target === undefined
        ? {}
        : { record_reference: { allowed_objects: [spec.target] } };
  // Two-way: a person's page shows the person's customers, of which there may be several.
  const other = { object: spec.target, api_slug: OBJECT, title: "Stripe customers", is_multiselect: true };
  return {
    api_slug: spec.slug,
    title: spec.title,
    description: spec.description,
    type: spec.type,
    is_required: false,
    is_unique: spec.isUnique,
    is_multiselect: false,
    config,
    ...(spec.target !== undefined && { relationship: other }),
  };
}

/** Compares CURRENCY with what the newest charges are in. Returns false, and says so, where most are in another. */
async function proposeCurrency(stripe: Service, settings: Settings, log: Log): Promise<boolean> {
  const list = { path: "/v1/charges", kind: "charge", reader: CHARGE };
  const newest = await readPage(stripe, list, {}, ({ objects }) => objects).catch((error: unknown) => {
    if (error instanceof ApiError) return []; // the sync's own check will say what is wrong with this key
    throw error;
  });
  const counts = new Map<string, number>();
  for (const { currency } of newest) counts.set(currency, (counts.get(currency) ?? 0) + 1);
  const [most, count = 0] = [...counts].toSorted((a, b) => b[1] - a[1])[0] ?? [];
  const total = newest.length;
  if (most === undefined || most === settings.currency || count * 2 <= total) return true;
  log.warn(
    `${count} of the newest ${total} charges in Stripe are in ${most}, but CURRENCY is ${settings.currency}. Probably right: CURRENCY=${most}`,
  );
  return false;
}

async function suggestProducts(stripe: Service, log: Log): Promise<number> {
  const products = await readProducts(stripe).catch(async (error: unknown) => {
    if (!(error instanceof ApiError) || ![401, 403].includes(error.status)) throw error;
    const problems = error.status === 401 ? await checkStripe(stripe) : [];
    log.error(problems[0] ?? `STRIPE_API_KEY lacks the permission "Products" (rak_product_read). ${error.message}`);
    return undefined;
  });
  if (products === undefined) return 1;
  const rows = products.map(({ id, name, active }): Row => [id, "", active ? "" : "archived", clean(name)]);
  logLines([{ title: `${products.length} products in Stripe`, rows }]).forEach(log.line);
  log.line("Give products that belong together the same slug, remove those that belong in spend_other. PRODUCT_SLUGS:");
  log.line(mappingOf(products));
  return 0;
}

function sayWhatIsNext(scopes: readonly string[], log: Log): void {
  if (scopes.includes("object_configuration:read-write"))
    log.line(
      "From now on the key needs only object_configuration:read and record_permission:read-write: reduce its scopes.",
    );
  log.line("All is there. Next: node sync.ts --dry-run (on GitHub: Run workflow, with the dry-run box ticked)");
}

if (import.meta.main) process.exitCode = await bootstrap(processIo(import.meta.dirname));
