// stripe.ts - a fake, stateful, read-only Stripe on loopback, as of API 2026-10-28.endive.
//
// It imitates what a reader of charges, invoices and their lines, customers, subscriptions, coupons, products, balance
// transactions and invoice payments meets: lists newest first with cursors and `created` ranges, ten embedded invoice
// lines and twenty subscription items, expansion up to four levels, fields that come only where they are asked for,
// restricted keys and their permissions, live and test mode, error envelopes, published rate limits. What Stripe would
// refuse is refused, and so is everything that is not known here.
//
// It does NOT imitate: writes (every method but GET is refused), Connect accounts, organisation keys, test clocks,
// search, events, prices of their own, payment intents, idempotency, concurrency limits, the monthly read allocation, and what old
// API versions look like. A real parameter or expansion that is not imitated is refused with a message that starts with
// "sandbox:", and so is a request without `Stripe-Version`, where Stripe would silently take the account's old default.
//
// From the documentation (docs.stripe.com/api, /rate-limits, /keys/restricted-api-keys and the type definitions of
// stripe 23.1.0): endpoints, parameters, shapes, limits, `Stripe-Rate-Limited-Reason`, expansion depth. From answers that
// others published: status, code and wording of 401, 403, 404 and 429, the ten embedded lines, deleted customers missing
// from the list, permission before existence. Not checked against the service: the wording for a malformed parameter,
// 400 for an unknown cursor, the order of objects created in the same second
// (here: the one added last comes first).

import { aDeletedCustomer } from "./objects.ts";
import type {
  StripeBalanceTransaction,
  StripeCharge,
  StripeCoupon,
  StripeCustomer,
  StripeInvoice,
  StripeInvoicePayment,
  StripeProduct,
  StripeSubscription,
  UnixSeconds,
} from "./objects.ts";
import { serve } from "./server.ts";
import type { Call, Fault, Limits, Reply, SandboxServer } from "./server.ts";

/** Everything one Stripe account holds, in no particular order. An invoice here holds all its lines. */
export type StripeAccount = {
  readonly id: string;
  /** The mode of all its objects. A key of the other mode sees an empty account. */
  readonly livemode: boolean;
  charges: StripeCharge[];
  invoices: StripeInvoice[];
  customers: StripeCustomer[];
  deletedCustomerIds: string[];
  subscriptions: StripeSubscription[];
  products: StripeProduct[];
  balanceTransactions: StripeBalanceTransaction[];
  invoicePayments: StripeInvoicePayment[];
  coupons: StripeCoupon[];
};

/** Any object an account holds. */
export type AccountObject =
  | StripeCharge
  | StripeInvoice
  | StripeCustomer
  | StripeSubscription
  | StripeProduct
  | StripeBalanceTransaction
  | StripeInvoicePayment
  | StripeCoupon;

export type StripeKey = {
  readonly key: string;
  /** Slugs such as `rak_charge_read`; everything readable where absent. */
  readonly permissions?: readonly string[];
  readonly expired?: boolean;
  readonly ipBlocked?: boolean;
};

export type StripeOptions = {
  readonly keys?: readonly StripeKey[];
  readonly latencyMs?: number;
  readonly jitterMs?: number;
  /** "published": 100/s over a live account, 25/s over a test mode one, 25/s over each endpoint. */
  readonly limits?: "published" | "none";
  readonly supportedVersions?: readonly string[];
  /** What this account refuses: an endpoint such as `coupons` (403), an expanded field such as `amount_paid_off_stripe`. */
  readonly refuses?: Readonly<Record<string, 400 | 403>>;
  readonly seed?: number;
};

export type StripeSandbox = SandboxServer & {
  readonly account: StripeAccount;
  /** Adds the object to the account, or replaces the one with its id. An object must not be changed in place. */
  put(object: AccountObject): void;
  remove(id: string): void;
  /** Takes the customer off the list and cancels its subscriptions, as a deletion in Stripe does. Its money stays. */
  deleteCustomer(id: string): void;
  /** Writes all objects' JSON, so expanded, ahead of the first request: a benchmark does not measure it then. */
  prepare(expanded?: Readonly<Partial<Record<AccountObject["object"], readonly string[]>>>): void;
};

export const SANDBOX_STRIPE_KEY = "rk_live_51SandboxOnlyNotARealKey0001";
export const SANDBOX_STRIPE_TEST_KEY = "rk_test_51SandboxOnlyNotARealKey0002";
export const SANDBOX_STRIPE_VERSION = "2026-10-28.endive";

/** The dashboard's name of each permission that this peer knows, by slug. */
export const STRIPE_PERMISSIONS: Readonly<Record<string, string>> = {
  rak_charge_read: "Charges and Refunds",
  rak_customer_read: "Customers",
  rak_coupon_read: "Coupons",
  rak_balance_transaction_source_read: "Balance transaction sources",
  rak_product_read: "Products",
  rak_subscription_read: "Subscriptions",
  rak_invoice_read: "Invoices",
};

/** An account with nothing in it. */
export function emptyAccount(overrides: Partial<StripeAccount> = {}): StripeAccount {
  return {
    id: "acct_1PgafTB7WZ01zgkW",
    livemode: true,
    charges: [],
    invoices: [],
    customers: [],
    deletedCustomerIds: [],
    subscriptions: [],
    products: [],
    balanceTransactions: [],
    invoicePayments: [],
    coupons: [],
    ...overrides,
  };
}

// ---------------------------------------------------------------- Errors ----
// Stripe's envelope. Whatever finds something wrong throws a Refusal, which becomes the answer in one place.

type ErrorBody = {
  readonly message: string;
  readonly type?: string;
  readonly code?: string;
  readonly param?: string;
};

class Refusal extends Error {
  readonly status: number;
  readonly body: ErrorBody;
  constructor(status: number, body: ErrorBody) {
    super(body.message);
    this.status = status;
    this.body = body;
  }
}

function errorText(body: ErrorBody): string {
  const { code } = body;
  const documented = code === undefined ? {} : { doc_url: docUrl(code) };
  return JSON.stringify({ error: { ...documented, type: "invalid_request_error", ...body } });
}

function docUrl(code: string): string {
  return `https://stripe.com/docs/error-codes/${code.replaceAll("_", "-")}`;
}

function badParameter(param: string, code: string | undefined, message: string): Refusal {
  return new Refusal(400, code === undefined ? { message, param } : { code, message, param });
}

function notImitated(param: string, what: string): Refusal {
  return badParameter(param, undefined, `sandbox: ${what} is real, but this sandbox does not imitate it.`);
}

function unknownParameter(param: string): Refusal {
  return badParameter(param, "parameter_unknown", `Received unknown parameter: ${param}`);
}

// ---------------------------------------------------------------- Tables ----
// The account's objects by type: sorted once, newest first, the JSON text of each written at most once.

type Kind = AccountObject["object"];

const LISTS = {
  balance_transaction: "balanceTransactions",
  charge: "charges",
  coupon: "coupons",
  customer: "customers",
  invoice: "invoices",
  invoice_payment: "invoicePayments",
  product: "products",
  subscription: "subscriptions",
} as const satisfies Readonly<Record<Kind, keyof StripeAccount>>;

type Table = {
  /** Newest first; of those created in the same second, the one added last comes first. */
  readonly objects: readonly AccountObject[];
  /** Where the object with this id stands. */
  readonly placeOf: (id: string) => number | undefined;
  /** Places of all objects that have this value, in order. The index is built when a field is first asked for. */
  readonly placesWith: (field: string, value: string) => readonly number[];
};

function buildTable(added: readonly AccountObject[]): Table {
  const order = added.map((_, n) => n);
  order.sort((a, b) => (added[b]?.created ?? 0) - (added[a]?.created ?? 0) || b - a);
  const objects = order.flatMap((n) => added[n] ?? []);
  const places = new Map(objects.map((object, place) => [object.id, place]));
  const indexes = new Map<string, Map<unknown, number[]>>();

  function indexOf(field: string): Map<unknown, number[]> {
    let index = indexes.get(field);
    if (index === undefined) {
      index = Map.groupBy(objects.keys(), (place) => valueAt(objects[place], field));
      indexes.set(field, index);
    }
    return index;
  }

  return {
    objects,
    placeOf: (id) => places.get(id),
    placesWith: (field, value) => indexOf(field).get(value) ?? [],
  };
}

/** A field's value as a query would name it: by a path with dots, flags as "true" and "false". */
function valueAt(object: unknown, path: string): unknown {
  let value = object;
  for (const key of path.split(".")) {
    if (typeof value !== "object" || value === null) return undefined;
    value = Object.getOwnPropertyDescriptor(value, key)?.value;
  }
  return typeof value === "boolean" ? String(value) : value;
}

/** The smallest n in [0, length] from which on `isBeyond` holds. */
function firstWhere(length: number, isBeyond: (n: number) => boolean): number {
  let low = 0;
  let high = length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (isBeyond(middle)) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** Tables of one account; each is built when first asked for, and anew once `forget` was told of a change. */
type Store = {
  readonly account: StripeAccount;
  readonly table: (kind: Kind) => Table;
  readonly find: (kind: Kind, id: string) => AccountObject | undefined;
  /** The object at a place as it travels, as JSON; written once for each set of expansions. */
  readonly texts: (kind: Kind, paths: readonly Path[]) => (place: number) => string;
  readonly forget: () => void;
};

function openStore(account: StripeAccount): Store {
  const tables = new Map<Kind, Table>();
  const written = new Map<string, string[]>();

  function table(kind: Kind): Table {
    let built = tables.get(kind);
    if (built === undefined) {
      built = buildTable(account[LISTS[kind]]);
      tables.set(kind, built);
    }
    return built;
  }

  const store: Store = {
    account,
    table,
    find(kind, id) {
      const { objects, placeOf } = table(kind);
      const place = placeOf(id);
      return place === undefined ? undefined : objects[place];
    },
    texts(kind, paths) {
      const { objects } = table(kind);
      const key = [kind, ...paths.map((path) => path.join("."))].join(" ");
      const texts = written.get(key) ?? [];
      written.set(key, texts);
      return (place) => (texts[place] ??= JSON.stringify(wireForm(objects[place] ?? {}, kind, paths, store)));
    },
    forget() {
      tables.clear();
      written.clear();
    },
  };
  return store;
}

// ------------------------------------------------------------- Endpoints ----
// What each list can be asked for, from the reference pages under docs.stripe.com/api. `created` narrows every list.

type Endpoint = {
  readonly kind: Kind;
  readonly permission: string;
  /** The field that narrows the list by its value. */
  readonly equal?: "customer" | "invoice";
  /** What `status` may be. */
  readonly statuses?: readonly string[];
  /** Real parameters that are refused as not imitated rather than as unknown. */
  readonly others?: string;
};

const LIVING = ["active", "past_due", "unpaid", "incomplete", "incomplete_expired", "trialing", "paused"];

const ENDPOINTS: Readonly<Record<string, Endpoint>> = {
  balance_transactions: {
    kind: "balance_transaction",
    permission: "rak_balance_transaction_source_read",
    others: "currency payout source type",
  },
  charges: {
    kind: "charge",
    permission: "rak_charge_read",
    equal: "customer",
    others: "payment_intent transfer_group",
  },
  coupons: { kind: "coupon", permission: "rak_coupon_read" },
  customers: { kind: "customer", permission: "rak_customer_read", others: "email test_clock" },
  invoice_payments: {
    kind: "invoice_payment",
    permission: "rak_invoice_read",
    equal: "invoice",
    statuses: ["open", "paid", "canceled"],
    others: "payment",
  },
  invoices: {
    kind: "invoice",
    permission: "rak_invoice_read",
    equal: "customer",
    statuses: ["draft", "open", "paid", "uncollectible", "void"],
    others: "collection_method customer_account due_date subscription",
  },
  products: { kind: "product", permission: "rak_product_read", others: "active shippable type url" },
  subscriptions: {
    kind: "subscription",
    permission: "rak_subscription_read",
    equal: "customer",
    statuses: [...LIVING, "canceled", "ended", "all"],
    others:
      "automatic_tax collection_method current_period_end current_period_start customer_account plan price test_clock",
  },
};

/** The statuses that a value of `status` selects; undefined selects all. Without one, canceled subscriptions are hidden. */
function selectedBy(kind: Kind, asked: string | undefined): readonly string[] | undefined {
  if (asked === undefined) return kind === "subscription" ? LIVING : undefined;
  if (asked === "ended") return ["canceled", "incomplete_expired"];
  return asked === "all" ? undefined : [asked];
}

const PERMISSION_OF = new Map<Shape, string>(
  Object.values(ENDPOINTS).map(({ kind, permission }) => [kind, permission]),
);

/** What an expansion can lead through: the objects with endpoints, and what stands inside of them. */
type Shape = Kind | "discount" | "discount_source" | "item_list" | "line_list" | "price" | "subscription_item";

/**
 * A field on the way of an expansion. In the place of an id stands the object where it is expanded; an embedded object is
 * there anyway, and the way goes on below it; an included field comes only where it is asked for.
 */
type Step = { readonly is: "id" | "embedded"; readonly shape: Shape } | { readonly is: "included" };

const INCLUDED: Step = { is: "included" };

function idOf(shape: Shape): Step {
  return { is: "id", shape };
}

function embedded(shape: Shape): Step {
  return { is: "embedded", shape };
}

const STEPS: Readonly<Record<Shape, Readonly<Record<string, Step>>>> = {
  balance_transaction: {},
  charge: { balance_transaction: idOf("balance_transaction"), customer: idOf("customer") },
  coupon: { applies_to: INCLUDED },
  customer: { discount: embedded("discount") },
  discount: { customer: idOf("customer"), source: embedded("discount_source") },
  discount_source: { coupon: idOf("coupon") },
  invoice: {
    amount_paid_off_stripe: INCLUDED,
    customer: idOf("customer"),
    lines: embedded("line_list"),
    payments: INCLUDED,
  },
  invoice_payment: { invoice: idOf("invoice") },
  item_list: { data: embedded("subscription_item") },
  line_list: {},
  price: { product: idOf("product") },
  product: {},
  subscription: {
    customer: idOf("customer"),
    discounts: idOf("discount"),
    items: embedded("item_list"),
    latest_invoice: idOf("invoice"),
  },
  subscription_item: { discounts: idOf("discount"), price: embedded("price") },
};

/** Real expansions, also of fields below them, that are refused as not imitated rather than as unknown. */
const OTHER_EXPANSIONS: Readonly<Partial<Record<Shape, string>>> = {
  balance_transaction: "source",
  charge:
    "application application_fee failure_balance_transaction on_behalf_of payment_intent refunds review source_transfer transfer transfer_data",
  coupon: "currency_options",
  customer: "cash_balance default_source sources subscriptions tax tax_ids",
  discount: "promotion_code",
  invoice:
    "account_tax_ids application confirmation_secret default_payment_method default_source discounts latest_revision on_behalf_of parent total_discount_amounts",
  invoice_payment: "payment",
  line_list: "data",
  price: "currency_options tiers",
  product: "default_price tax_code",
  subscription: "application default_payment_method default_source on_behalf_of pending_setup_intent schedule",
  subscription_item: "tax_rates",
};

/** How many a list embeds: of lines ten were observed, of items twenty are documented. */
const EMBEDDED_AT_MOST: Readonly<Partial<Record<Shape, number>>> = { item_list: 20, line_list: 10 };

// ------------------------------------------------------------ Parameters ----

/** A field must have one of these values. */
type Filter = { readonly field: string; readonly values: readonly string[] };
type Range = { readonly comparison: string; readonly bound: number };

type ListRequest = {
  readonly limit: number;
  readonly startingAfter: string | undefined;
  readonly created: readonly Range[];
  readonly filters: readonly Filter[];
  readonly ids: readonly string[] | undefined;
};

const PAGING = ["limit", "starting_after"];
const COMPARISONS = ["eq", "gt", "gte", "lt", "lte"];

/** All values by parameter name; `expand[0]` and `expand[]` are one parameter. Throws where one is empty or doubled. */
function readParameters(query: URLSearchParams): Map<string, string[]> {
  const parameters = new Map<string, string[]>();
  for (const [key, value] of query) {
    const name = key.replace(/\[\d*\]$/, "[]");
    if (value === "") {
      const bare = key.replace(/\[.*$/, "");
      const message = `You passed an empty string for '${bare}'. You should remove '${bare}' from your request or supply a non-empty value.`;
      throw badParameter(key, "parameter_invalid_empty", message);
    }
    const earlier = parameters.get(name) ?? [];
    if (earlier.length > 0 && !name.endsWith("[]"))
      throw badParameter(key, undefined, `sandbox: the parameter ${key} is given twice.`);
    parameters.set(name, [...earlier, value]);
  }
  return parameters;
}

function integer(param: string, text: string): number {
  if (!/^-?\d{1,15}$/.test(text)) throw badParameter(param, "parameter_invalid_integer", `Invalid integer: ${text}`);
  return Number(text);
}

function readLimit(text: string | undefined): number {
  if (text === undefined) return 10;
  const limit = integer("limit", text);
  const code = "parameter_invalid_integer";
  if (limit < 1) throw badParameter("limit", code, "This value must be greater than or equal to 1.");
  if (limit > 100)
    throw badParameter("limit", code, `This value must be less than or equal to 100 (it currently is '${limit}').`);
  return limit;
}

function choice(param: string, value: string, values: readonly string[]): void {
  if (values.includes(value)) return;
  const listed = `${values.slice(0, -1).join(", ")}, or ${values.at(-1)}`;
  throw badParameter(param, undefined, `Invalid ${param}: must be one of ${listed}`);
}

function readListRequest(parameters: ReadonlyMap<string, readonly string[]>, endpoint: Endpoint): ListRequest {
  const { kind, equal, statuses, others = "" } = endpoint;
  const created: Range[] = [];
  const filters: Filter[] = [];
  for (const [name, [value = ""]] of parameters) {
    const [, base = name, comparison = "eq"] = /^(\w+)\[(\w*)\]$/.exec(name) ?? [];
    if (PAGING.includes(name) || name === "expand[]" || (name === "ids[]" && kind === "product")) continue;
    if (name === "ending_before" || others.split(" ").includes(base)) throw notImitated(name, `the parameter ${base}`);
    if (base === "created" && COMPARISONS.includes(comparison))
      created.push({ comparison, bound: integer(name, value) });
    else if (name === equal) filters.push({ field: name, values: [value] });
    else if (name === "status" && statuses !== undefined) choice(name, value, statuses);
    else throw unknownParameter(name);
  }
  const selected = selectedBy(kind, parameters.get("status")?.[0]);
  if (selected !== undefined) filters.push({ field: "status", values: selected });
  const ids = parameters.get("ids[]");
  const page = readPaging(parameters);
  if (ids !== undefined && page.startingAfter !== undefined)
    throw badParameter("ids", undefined, "You cannot use `ids` with `starting_after` or `ending_before`.");
  return { ...page, created, filters, ids };
}

function readPaging(parameters: ReadonlyMap<string, readonly string[]>): Pick<ListRequest, "limit" | "startingAfter"> {
  return { limit: readLimit(parameters.get("limit")?.[0]), startingAfter: parameters.get("starting_after")?.[0] };
}

function missing(kind: Kind | "line_item", id: string, param: string): ErrorBody {
  return { code: "resource_missing", message: `No such ${kind.replaceAll("_", " ")}: '${id}'`, param };
}

// ------------------------------------------------------------- Expansion ----

/** The fields of an expansion, from the object itself. */
type Path = readonly string[];

const MAX_EXPAND_LEVELS = 4;

/** Checks the asked expansions and returns them as paths from the object itself. */
function readExpansions(asked: readonly string[], kind: Kind, isList: boolean): Path[] {
  return asked.map((path) => {
    const levels = path.split(".");
    if (levels.length > MAX_EXPAND_LEVELS) {
      const message = `You cannot expand more than 4 levels of a property. Property: ${path}`;
      throw new Refusal(400, { code: "property_expansion_max_depth", message });
    }
    if (path === "total_count") {
      const message = "The `total_count` property can no longer be expanded on lists.";
      throw new Refusal(400, { code: "property_forbidden", message });
    }
    if (isList && levels[0] !== "data")
      throw notExpandable(path, ` You may want to try expanding 'data.${path}' instead.`);
    const fields = isList ? levels.slice(1) : levels;
    stepsOf(fields, kind, path);
    return fields;
  });
}

function notExpandable(path: string, hint = ""): Refusal {
  return new Refusal(400, { message: `This property cannot be expanded (${path}).${hint}` });
}

/** The steps that an expansion takes. Throws where a field cannot be expanded. */
function stepsOf(fields: Path, kind: Kind, path = fields.join(".")): Step[] {
  let shape: Shape | undefined = kind;
  return fields.map((field) => {
    const known: Readonly<Record<string, Step>> = shape === undefined ? {} : STEPS[shape];
    const step = Object.hasOwn(known, field) ? known[field] : undefined;
    const isReal = shape !== undefined && OTHER_EXPANSIONS[shape]?.split(" ").includes(field);
    if (step === undefined) throw isReal ? notImitated("expand", `the expansion ${path}`) : notExpandable(path);
    shape = step.is === "included" ? undefined : step.shape;
    return step;
  });
}

/** Everything that the paths show in the place of an id needs a permission of its own. */
function permissionsFor(paths: readonly Path[], kind: Kind): string[] {
  const steps = paths.flatMap((path) => stepsOf(path, kind));
  return steps.flatMap((step) => (step.is === "id" ? (PERMISSION_OF.get(step.shape) ?? []) : []));
}

/** An object as it travels: expanded where the paths say so, ids elsewhere, lists cut to what Stripe embeds. */
function wireForm(
  object: object,
  shape: Shape,
  paths: readonly Path[],
  store: Store,
): Readonly<Record<string, unknown>> {
  const wire: Record<string, unknown> = { ...object };
  const most = EMBEDDED_AT_MOST[shape];
  if (most !== undefined && Array.isArray(wire["data"])) {
    wire["has_more"] = wire["data"].length > most;
    wire["data"] = wire["data"].slice(0, most);
  }
  for (const [field, step] of Object.entries(STEPS[shape])) {
    const below = paths.flatMap(([first, ...rest]) => (first === field ? [rest] : []));
    const value = wire[field];
    if (step.is === "included" && below.length === 0) delete wire[field];
    else if (step.is === "included") wire[field] = field === "payments" ? paymentsOf(String(wire["id"]), store) : value;
    else if (Array.isArray(value)) wire[field] = value.map((each) => stepped(each, step, below, store));
    else wire[field] = stepped(value, step, below, store);
  }
  return wire;
}

function stepped(
  value: unknown,
  step: Exclude<Step, { is: "included" }>,
  below: readonly Path[],
  store: Store,
): unknown {
  const isObject = typeof value === "object" && value !== null;
  if (step.is === "id" && below.length === 0) return isObject ? valueAt(value, "id") : value;
  if (isObject) return wireForm(value, step.shape, below, store);
  return typeof value === "string" ? resolved(step.shape, value, below, store) : value;
}

function resolved(shape: Shape, id: string, below: readonly Path[], store: Store): unknown {
  const found = isKind(shape) ? store.find(shape, id) : undefined;
  if (found !== undefined) return wireForm(found, shape, below, store);
  if (shape === "customer") return aDeletedCustomer(id);
  const message = `sandbox: an object names ${shape} ${id}, which the account does not hold.`;
  throw new Refusal(500, { type: "api_error", message });
}

function isKind(shape: Shape): shape is Kind {
  return Object.hasOwn(LISTS, shape);
}

function paymentsOf(invoiceId: string, store: Store): unknown {
  const { objects, placesWith } = store.table("invoice_payment");
  const data = placesWith("invoice", invoiceId).map((place) => objects[place]);
  return { object: "list", data, has_more: false, url: `/v1/invoice_payments?invoice=${invoiceId}` };
}

// ----------------------------------------------------------------- Lists ----

/** The page's places in the table, newest first, and whether more lie beyond it. */
function findPage(request: ListRequest, table: Table, kind: Kind): { places: number[]; hasMore: boolean } {
  const { objects } = table;
  const [from, to] = placeRange(request, table, kind);

  // The filter with the fewest objects leads; the others are checked object by object.
  const single = request.filters.flatMap(({ field, values }) =>
    values.length === 1 ? [table.placesWith(field, values[0] ?? "")] : [],
  );
  single.sort((a, b) => a.length - b.length);
  const leading = single[0];
  const count = leading?.length ?? objects.length;
  const placeAt = (n: number): number => leading?.[n] ?? n;
  const first = firstWhere(count, (n) => placeAt(n) >= from);
  const end = firstWhere(count, (n) => placeAt(n) >= to);

  const places: number[] = [];
  for (let n = first; n < end && places.length <= request.limit; n += 1)
    if (matches(objects[placeAt(n)], request)) places.push(placeAt(n));
  return { places: places.slice(0, request.limit), hasMore: places.length > request.limit };
}

function matches(object: AccountObject | undefined, { filters, ids }: ListRequest): boolean {
  if (object === undefined || (ids !== undefined && !ids.includes(object.id))) return false;
  return filters.every(({ field, values }) => {
    const value = valueAt(object, field);
    return typeof value === "string" && values.includes(value);
  });
}

/** The half-open range of places that `created` and the cursor leave. */
function placeRange(request: ListRequest, table: Table, kind: Kind): [from: number, to: number] {
  const { objects } = table;
  let from = 0;
  let to = objects.length;
  /** The first place created before `bound`. */
  const firstBefore = (bound: number): number =>
    firstWhere(objects.length, (place) => (objects[place]?.created ?? 0) < bound);
  for (const { comparison, bound } of request.created) {
    const newest = comparison === "lt" ? bound - 1 : bound;
    const oldest = comparison === "gt" ? bound + 1 : bound;
    if (comparison !== "gt" && comparison !== "gte") from = Math.max(from, firstBefore(newest + 1));
    if (comparison !== "lt" && comparison !== "lte") to = Math.min(to, firstBefore(oldest));
  }
  const { startingAfter } = request;
  if (startingAfter === undefined) return [from, to];
  const place = table.placeOf(startingAfter);
  if (place === undefined) throw new Refusal(400, missing(kind, startingAfter, "starting_after"));
  return [Math.max(from, place + 1), to];
}

function listText(texts: readonly string[], hasMore: boolean, url: string): string {
  return `{"object":"list","data":[${texts.join(",")}],"has_more":${hasMore},"url":${JSON.stringify(url)}}`;
}

/** A page of an invoice's own lines, which keep the order they have on the invoice. */
function linesText(invoice: AccountObject | undefined, parameters: Map<string, string[]>, url: string): string {
  for (const name of parameters.keys()) if (!PAGING.includes(name)) throw unknownParameter(name);
  const lines = invoice?.object === "invoice" ? invoice.lines.data : [];
  const { limit, startingAfter } = readPaging(parameters);
  const place = lines.findIndex((line) => line.id === startingAfter);
  if (startingAfter !== undefined && place < 0)
    throw new Refusal(400, missing("line_item", startingAfter, "starting_after"));
  const page = lines.slice(place + 1, place + 1 + limit).map((line) => JSON.stringify(line));
  return listText(page, place + 1 + limit < lines.length, url);
}

// ---------------------------------------------------------------- Server ----

type Target =
  | { readonly is: "list"; readonly endpoint: Endpoint }
  | { readonly is: "one"; readonly endpoint: Endpoint; readonly id: string }
  | { readonly is: "lines"; readonly endpoint: Endpoint; readonly id: string };

function targetOf(path: string): Target | undefined {
  const [empty, version, segment = "", id, part, ...rest] = path.split("/");
  const endpoint = Object.hasOwn(ENDPOINTS, segment) ? ENDPOINTS[segment] : undefined;
  if (empty !== "" || version !== "v1" || endpoint === undefined || rest.length > 0) return undefined;
  if (id === undefined) return { is: "list", endpoint };
  if (id === "") return undefined;
  if (part === undefined) return { is: "one", endpoint, id };
  return segment === "invoices" && part === "lines" ? { is: "lines", endpoint, id } : undefined;
}

function routeOf(method: string, path: string): string {
  const target = targetOf(path);
  if (target === undefined || target.is === "list") return `${method} ${path}`;
  return `${method} ${path.replace(/^(\/v1\/\w+)\/[^/]+/, "$1/{id}")}`;
}

function headerOf(call: Call, name: string): string | undefined {
  const value = call.headers[name];
  return Array.isArray(value) ? value.join(", ") : value;
}

function masked(key: string): string {
  return `${key.slice(0, 8)}***${key.slice(-3)}`;
}

/** The key the request came with. Throws what Stripe answers to one that it does not accept. */
function authenticate(call: Call, keys: readonly StripeKey[]): StripeKey {
  const given = /^Bearer (.+)$/.exec(headerOf(call, "authorization") ?? "")?.[1];
  if (given === undefined) {
    const message =
      "You did not provide an API key. You need to provide your API key in the Authorization header, using Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY').";
    throw new Refusal(401, { message });
  }
  if (given.startsWith("pk_")) {
    const message =
      "This API call cannot be made with a publishable API key. Please use a secret API key. You can find a list of your API keys at https://dashboard.stripe.com/account/apikeys.";
    throw new Refusal(401, { code: "secret_key_required", message });
  }
  const key = keys.find((candidate) => candidate.key === given);
  if (key === undefined) throw new Refusal(401, { message: `Invalid API Key provided: ${masked(given)}` });
  if (key.expired === true)
    throw new Refusal(401, {
      code: "api_key_expired",
      message: `Expired API Key provided: ${masked(given)}`,
    });
  if (key.ipBlocked === true) {
    const message = `The provided key '${masked(given)}' does not allow requests from your IP address.`;
    throw new Refusal(403, { message });
  }
  return key;
}

/** Refuses by the name of what the key lacks, or without a name where none is known. */
function lacks(slug: string | undefined, key: StripeKey, accountId: string, access = "Read"): Refusal {
  const start = `The provided key '${masked(key.key)}' does not have the required permissions for this endpoint on account '${accountId}'.`;
  const code = "more_permissions_required";
  const name = slug?.replace(/^rak_/, "").replace(/read$/, access.toLowerCase());
  if (slug === undefined)
    return new Refusal(403, {
      code,
      message: `${start} Having more permissions would allow this request to continue.`,
    });
  const message = `Permission denied. ${start} Enabling ${STRIPE_PERMISSIONS[slug]} ${access} ('${name}') permissions on this key would allow this request to continue. You can edit its permissions at https://dashboard.stripe.com/${accountId}/apikeys.`;
  return new Refusal(403, { code, message });
}

function demandPermission(slug: string, key: StripeKey, accountId: string, access = "Read"): void {
  if (access === "Read" && (key.permissions === undefined || key.permissions.includes(slug))) return;
  throw lacks(slug, key, accountId, access);
}

function checkVersion(call: Call, versions: readonly string[]): void {
  const version = headerOf(call, "stripe-version");
  if (version === undefined) {
    const message =
      "sandbox: the request has no Stripe-Version header. Stripe would take the account's default version, so what it answers would differ from account to account.";
    throw new Refusal(400, { message });
  }
  if (!versions.includes(version)) throw new Refusal(400, { message: `Invalid Stripe API version: ${version}` });
}

/** One account as its server sees it. A key of the other mode sees an account in which there is nothing. */
type Peer = {
  readonly keys: readonly StripeKey[];
  readonly versions: readonly string[];
  readonly refuses: NonNullable<StripeOptions["refuses"]>;
  readonly account: StripeAccount;
  readonly own: Store;
  readonly otherMode: Store;
};

/** The answer's text. Throws what Stripe refuses: first for the key, then for its permissions, then for the rest. */
function respond(call: Call, peer: Peer): string {
  const { account } = peer;
  const key = authenticate(call, peer.keys);
  checkVersion(call, peer.versions);
  const target = targetOf(call.path);
  if (target === undefined) {
    const message = `Unrecognized request URL (${call.method}: ${call.path}). Please see https://stripe.com/docs or we can help at https://support.stripe.com/.`;
    throw new Refusal(404, { message });
  }
  const { kind, permission } = target.endpoint;
  demandPermission(permission, key, account.id, call.method === "GET" ? "Read" : "Write");
  if (peer.refuses[call.path.split("/")[2] ?? ""] !== undefined) throw lacks(permission, key, account.id);

  const parameters = readParameters(call.query);
  const expand = parameters.get("expand[]") ?? [];
  if (target.is === "lines" && expand.length > 0) throw notImitated("expand", "the expansion of an invoice's lines");
  const paths = readExpansions(expand, kind, target.is === "list");
  for (const field of paths.flat()) {
    if (peer.refuses[field] === 403) throw lacks(undefined, key, account.id);
    if (peer.refuses[field] === 400) throw notExpandable(expand.join());
  }
  for (const slug of permissionsFor(paths, kind)) demandPermission(slug, key, account.id);
  const isOwnMode = isLive(key) === account.livemode;
  const [store, other] = isOwnMode ? [peer.own, peer.otherMode] : [peer.otherMode, peer.own];
  if (target.is === "list") return listOf(call, parameters, paths, target.endpoint, store);
  const found = store.table(kind).placeOf(target.id);
  if (found === undefined) return withoutObject(kind, target.id, key, store, other);
  if (target.is === "lines") return linesText(store.find(kind, target.id), parameters, call.path);
  for (const name of parameters.keys()) if (name !== "expand[]") throw unknownParameter(name);
  return store.texts(kind, paths)(found);
}

function listOf(
  call: Call,
  parameters: ReadonlyMap<string, readonly string[]>,
  paths: readonly Path[],
  endpoint: Endpoint,
  store: Store,
): string {
  const request = readListRequest(parameters, endpoint);
  const { places, hasMore } = findPage(request, store.table(endpoint.kind), endpoint.kind);
  return listText(places.map(store.texts(endpoint.kind, paths)), hasMore, call.path);
}

/** What is answered for an id that is not there: the rest of a deleted customer, or 404. */
function withoutObject(kind: Kind, id: string, key: StripeKey, store: Store, other: Store): string {
  if (kind === "customer" && store.account.deletedCustomerIds.includes(id)) return JSON.stringify(aDeletedCustomer(id));
  throw new Refusal(404, missingHere(kind, id, key, other));
}

function missingHere(kind: Kind, id: string, key: StripeKey, other: Store): ErrorBody {
  const body = missing(kind, id, "id");
  if (other.find(kind, id) === undefined) return body;
  const [used, existing] = isLive(key) ? ["live", "test"] : ["test", "live"];
  const similar = `a similar object exists in ${existing} mode, but a ${used} mode key was used to make this request.`;
  return { ...body, message: `${body.message}; ${similar}` };
}

function isLive(key: StripeKey): boolean {
  return key.key.includes("_live_");
}

/** Starts a Stripe that serves this account. The account is changed in place by `put`, `remove`, `deleteCustomer`. */
export async function startStripe(account: StripeAccount, options: StripeOptions = {}): Promise<StripeSandbox> {
  const peer: Peer = {
    keys: options.keys ?? [{ key: SANDBOX_STRIPE_KEY }, { key: SANDBOX_STRIPE_TEST_KEY }],
    versions: options.supportedVersions ?? [SANDBOX_STRIPE_VERSION],
    refuses: options.refuses ?? {},
    account,
    own: openStore(account),
    otherMode: openStore(emptyAccount({ id: account.id, livemode: !account.livemode })),
  };
  let requests = 0;
  const reply = (status: number, text: string, headers: Record<string, string> = {}): Reply => {
    requests += 1;
    const requestId = `req_Sbx${String(requests).padStart(11, "0")}`;
    return { status, text, headers: { "request-id": requestId, ...headers } };
  };
  const handle = (call: Call): Reply => {
    try {
      return reply(200, respond(call, peer), { "stripe-version": headerOf(call, "stripe-version") ?? "" });
    } catch (error) {
      if (error instanceof Refusal) return reply(error.status, errorText(error.body));
      throw error;
    }
  };
  const limits: Limits = {
    perSecond: account.livemode ? 100 : 25,
    perRoutePerSecond: 25,
    refuse: (_call, reason) =>
      reply(429, RATE_LIMIT_TEXT, {
        "stripe-rate-limited-reason": reason === "global" ? "global-rate" : "endpoint-rate",
      }),
  };
  const { latencyMs = 0, jitterMs = 0, seed = 1 } = options;
  const limited = options.limits === "published" ? { limits } : {};
  const server = await serve({ handle, routeOf, latencyMs, jitterMs, seed, ...limited });
  return Object.assign(server, { account, ...changesTo(account, peer.own) });
}

// --------------------------------------------------------------- Changes ----

/** What a test may do to the account while it is served. */
function changesTo(
  account: StripeAccount,
  store: Store,
): Pick<StripeSandbox, "put" | "remove" | "deleteCustomer" | "prepare"> {
  return {
    put(object) {
      const list: AccountObject[] = account[LISTS[object.object]];
      const at = list.findIndex(({ id }) => id === object.id);
      if (at < 0) list.push(object);
      else list[at] = object;
      store.forget();
    },
    remove(id) {
      for (const name of Object.values(LISTS)) {
        const list: AccountObject[] = account[name];
        const at = list.findIndex((object) => object.id === id);
        if (at >= 0) list.splice(at, 1);
      }
      store.forget();
    },
    deleteCustomer(id) {
      deleteCustomerOf(account, id);
      store.forget();
    },
    prepare(expanded = {}) {
      for (const { kind } of Object.values(ENDPOINTS)) {
        const write = store.texts(kind, readExpansions(expanded[kind] ?? [], kind, false));
        for (const place of store.table(kind).objects.keys()) write(place);
      }
    },
  };
}

function deleteCustomerOf(account: StripeAccount, id: string): void {
  account.customers = account.customers.filter((customer) => customer.id !== id);
  if (!account.deletedCustomerIds.includes(id)) account.deletedCustomerIds.push(id);

  // There is no clock here: the deletion happens one second after everything else that the account knows of.
  let latest: UnixSeconds = 0;
  for (const { created } of account.charges) latest = Math.max(latest, created);
  for (const { created, ended_at } of account.subscriptions) latest = Math.max(latest, created, ended_at ?? 0);
  const ended_at = latest + 1;
  account.subscriptions = account.subscriptions.map((subscription) =>
    subscription.customer !== id || subscription.ended_at !== null
      ? subscription
      : { ...subscription, status: "canceled", canceled_at: ended_at, ended_at },
  );
}

// ---------------------------------------------------------------- Faults ----
// What can go wrong on the way to Stripe, for `script` and `atRate` of server.ts.

const RATE_LIMIT_TEXT = errorText({
  code: "rate_limit",
  message: "Request rate limit exceeded. Learn more about rate limits here https://stripe.com/docs/rate-limits.",
});
const LOCK_TEXT = errorText({
  code: "lock_timeout",
  message:
    "This object can't be accessed right now because another API request or Stripe process is currently accessing it. If you see this error intermittently, retry the request.",
});
const API_ERROR_TEXT = errorText({ type: "api_error", message: "An unknown error occurred" });

function instead(name: string, status: number, text: string, headers: Record<string, string> = {}): Fault {
  return { name, before: { status, text, headers: { "request-id": "req_SbxFault00000", ...headers } } };
}

function rateLimited(name: string, headers: Record<string, string> = {}): Fault {
  return instead(name, 429, RATE_LIMIT_TEXT, { "stripe-rate-limited-reason": "endpoint-rate", ...headers });
}

/** The same answer with the header by which Stripe says whether to try again. */
function shouldRetry(fault: Fault, should: boolean): Fault {
  if (!("before" in fault) || fault.before === "reset") return fault;
  const headers = { ...fault.before.headers, "stripe-should-retry": String(should) };
  return { name: `${fault.name}, ${should ? "do" : "do not"} retry`, before: { ...fault.before, headers } };
}

type Page = { data: Record<string, unknown>[]; has_more: boolean };

function isPage(value: unknown): value is Page {
  return valueAt(value, "object") === "list" && Array.isArray(valueAt(value, "data"));
}

/** A fault that rewrites the page in a list's answer and leaves every other answer alone. */
function onPage(name: string, rewrite: (page: Page, call: Call) => void): Fault {
  return {
    name,
    after(reply, call) {
      if (reply.status !== 200) return reply;
      const page: unknown = JSON.parse(reply.text);
      if (!isPage(page)) return reply;
      rewrite(page, call);
      return { ...reply, text: JSON.stringify(page) };
    },
  };
}

export const stripeFaults = {
  /** 429 as Stripe documents it: without Retry-After. */
  rateLimited: rateLimited("429"),
  rateLimitedFor: (seconds: number): Fault =>
    rateLimited("429, Retry-After in seconds", { "retry-after": String(seconds) }),
  rateLimitedUntil: (at: Date): Fault => rateLimited("429, Retry-After as a date", { "retry-after": at.toUTCString() }),
  /** 429 without a rate limiter behind it, told by the missing Stripe-Rate-Limited-Reason. */
  lockTimeout: instead("429 lock_timeout", 429, LOCK_TEXT),
  conflict: instead("409 lock_timeout", 409, LOCK_TEXT),
  serverError: instead("500", 500, API_ERROR_TEXT),
  serverErrorFinal: shouldRetry(instead("500", 500, API_ERROR_TEXT), false),
  badRequestRetry: shouldRetry(instead("400", 400, errorText({ message: "Please try again." })), true),
  shouldRetry,
  badGateway: instead("502 with HTML", 502, "<html><body><h1>502 Bad Gateway</h1></body></html>\n", {
    "content-type": "text/html",
  }),
  reset: { name: "reset", before: "reset" } satisfies Fault,
  cutBody: { name: "cut body", after: (reply: Reply): Reply => ({ ...reply, cut: true }) } satisfies Fault,
  notJson: instead("200 that is not JSON", 200, "<!doctype html><title>Captive portal</title>", {
    "content-type": "text/html",
  }),
  slow: (ms: number): Fault => ({ name: `slow by ${ms} ms`, after: (reply) => reply, slowMs: ms }),
  redirect: (to: string): Fault => instead("302", 302, "", { location: to }),
  /** has_more with a last object that is the cursor the page was asked for with. */
  repeatCursor: onPage("a page that repeats its cursor", (page, call) => {
    const last = page.data.at(-1);
    const cursor = call.query.get("starting_after");
    if (cursor === null) return;
    page.has_more = true;
    if (last !== undefined) last["id"] = cursor;
  }),
  emptyWithMore: onPage("has_more with an empty page", (page) => {
    page.data = [];
    page.has_more = true;
  }),
  /** The field of the first object as a string if it was a number, as a number if it was anything else. */
  wrongType: (field: string): Fault =>
    onPage(`${field} of the wrong type`, (page) => {
      const first = page.data[0];
      if (first !== undefined) first[field] = typeof first[field] === "number" ? String(first[field]) : 7;
    }),
} as const;
