// samples.ts - small objects in the shape that sync.ts reads, what is built from them, and random accounts.

import fc from "fast-check";
import { addCharge, addInvoice, addSubscription, closeBooks, closeSubscriptions, openBooks } from "../sync.ts";
import { planChanges, readSettings } from "../sync.ts";
import type { Charge, Coupon, Customer, Invoice, Subscription } from "../sync.ts";
import type { Change, CrmRecord, Environment, Findings, PlanInput, Usage } from "../sync.ts";
import type { OracleInput } from "./oracle.ts";
import { NOW_MS } from "./world.ts";

/** 2025-01-01T00:00:00Z, when the sample objects are created. */
export const CREATED = Date.UTC(2025, 0, 1) / 1000;
export const T0 = NOW_MS / 1000;
export const DAY_MS = 86_400_000;

export type Line = Invoice["lines"]["data"][number];
export type Item = Subscription["items"]["data"][number];

/** A charge of 100.00 usd, captured in full. */
export function aCharge(overrides: Partial<Charge> = {}): Charge {
  const amount = overrides.amount ?? 10_000;
  return {
    id: "ch_1",
    created: CREATED,
    amount,
    amount_captured: amount,
    amount_refunded: 0,
    balance_transaction: "txn_1",
    captured: true,
    currency: "usd",
    customer: "cus_1",
    disputed: false,
    payment_intent: null,
    refunded: false,
    status: "succeeded",
    ...overrides,
  };
}

/** An authorisation of 206.75 of which 203.00 was captured under a version before basil: the rest counts as refunded. */
export function aPartialCapture(overrides: Partial<Charge> = {}): Charge {
  return aCharge({ amount: 20_675, amount_captured: 20_300, amount_refunded: 375, ...overrides });
}

export function aBalance(amount: number, currency = "usd", exchangeRate: number | null = null) {
  return { amount, currency, exchange_rate: exchangeRate };
}

/** A line of some product; null for one without. */
export function aLine(amount: number, product: string | null = "prod_pro"): Line {
  const pricing = product === null ? null : { price_details: { product } };
  return { id: "il_1", amount, description: null, pricing, price: null };
}

/** A paid invoice that collected the sum of its lines. */
export function anInvoice(lines: readonly Line[], overrides: Partial<Invoice> = {}): Invoice {
  return {
    id: "in_1",
    created: CREATED,
    amount_paid: lines.reduce((sum, line) => sum + line.amount, 0),
    amount_paid_off_stripe: null,
    currency: "usd",
    customer: "cus_1",
    lines: { data: [...lines], has_more: false },
    status_transitions: { paid_at: CREATED },
    ...overrides,
  };
}

export function aSubscription(status: string, overrides: Partial<Subscription> = {}): Subscription {
  return {
    id: "sub_1",
    created: CREATED,
    cancel_at: null,
    cancel_at_period_end: false,
    cancellation_details: null,
    currency: "usd",
    customer: "cus_1",
    discounts: [],
    ended_at: null,
    items: { data: [], has_more: false },
    pause_collection: null,
    status,
    ...overrides,
  };
}

const SLUGS = new Map(Object.entries({ prod_pro: "spend_pro", prod_team: "spend_team" }));
export const SPEND_SLUGS = ["spend_pro", "spend_team", "spend_other"];

/** An account as it is entered into the books. */
export type Account = {
  readonly charges: readonly Charge[];
  readonly invoices: readonly Invoice[];
  readonly subscriptions: readonly Subscription[];
};

/** The books of an account, not yet closed. */
export function openBooksOf(account: Partial<Account>, currency = "usd") {
  const books = openBooks({ currency, productSlugs: SLUGS }, T0);
  for (const charge of account.charges ?? []) addCharge(books, charge);
  for (const invoice of account.invoices ?? []) addInvoice(books, invoice);
  for (const subscription of account.subscriptions ?? []) addSubscription(books, subscription);
  return books;
}

/** A coupon that takes nothing off, for ever. */
export function aCoupon(overrides: Partial<Coupon>): Coupon {
  return { amount_off: null, applies_to: null, currency: null, duration: "forever", percent_off: null, ...overrides };
}

/** Closed books of an account; the only coupon that can be read takes half off. */
export function booksOf(account: Partial<Account>, currency = "usd", customers: readonly Customer[] = []) {
  const books = openBooksOf(account, currency);
  closeBooks(books);
  const coupons = new Map([["half", aCoupon({ percent_off: 50 })]]);
  closeSubscriptions(books, new Map(customers.map((one) => [one.id, one])), coupons);
  return books;
}

/** One seat of so many minor units every `count` intervals, paid until a day after T0. */
export function anItem(amount: number | string | null, interval = "month", count = 1, more: Partial<Item> = {}): Item {
  const recurring = { interval, interval_count: count, usage_type: "licensed" };
  const per = { recurring, transform_quantity: null, unit_amount_decimal: amount };
  const price = { currency: "usd", product: "prod_pro", ...per };
  return { current_period_end: T0 + 86_400, discounts: [], quantity: 1, price, ...more };
}

/** A subscription to one item of so much a month. */
export function aMonthly(unitAmount: number | null, overrides: Partial<Subscription> = {}): Subscription {
  return aSubscription("active", { items: { data: [anItem(unitAmount)], has_more: false }, ...overrides });
}

/** Every number and text in the books by its path, sorted: two books are equal if these are. */
export function leavesOf(value: unknown, path = ""): Map<string, unknown> {
  if (typeof value !== "object" || value === null) return new Map([[path, value]]);
  const entries = value instanceof Map ? [...value] : Object.entries(value);
  const leaves = entries.flatMap(([key, inner]) => [...leavesOf(inner, `${path}/${String(key)}`)]);
  return new Map(leaves.toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

const KEYS = { STRIPE_API_KEY: "rk_test_sample", ATTIO_API_KEY: "attio_sample" };
const FLAGS = ["--dry-run", "--update-only", "--force", "--verbose"];

/** Settings as `node sync.ts` reads them, with both keys present. */
export function settingsOf(env: Environment = {}, args: readonly string[] = [], usage: Partial<Usage> = {}) {
  return readSettings({ ...KEYS, ...env }, args, { flags: FLAGS, requires: Object.keys(KEYS), help: "", ...usage });
}

export function aCustomer(overrides: Partial<Customer> = {}): Customer {
  return { id: "cus_1", discount: null, email: "ada@example.com", name: "Ada", ...overrides };
}

type Place = {
  readonly customers: readonly Customer[];
  readonly records: ReadonlyMap<string, CrmRecord>;
  readonly env: Environment;
  readonly args: readonly string[];
  readonly currency: string;
};
/** What a plan is made of; customers, records and people default to none. */
export type Scene = Partial<Account & Place & Pick<PlanInput, "people" | "spendSlugs" | "nowMs">>;

/** Everything a plan and a report are made of. */
export function findingsOf(scene: Scene, overrides: Partial<Findings> = {}): Findings {
  const { customers = [], records = new Map(), env = {}, args = [], currency = "usd" } = scene;
  return {
    people: scene.people ?? new Map(),
    spendSlugs: scene.spendSlugs ?? SPEND_SLUGS,
    nowMs: scene.nowMs ?? NOW_MS,
    books: booksOf(scene, currency, customers),
    customers: new Map(customers.map((customer) => [customer.id, customer])),
    crm: { records: new Map(records), duplicates: new Map(), withoutKey: 0 },
    settings: settingsOf({ CURRENCY: currency, ...env }, args),
    unmappedSlugs: [],
    productNames: new Map(),
    stripeRequests: 30,
    ...overrides,
  };
}

export function planOf(scene: Scene) {
  return planChanges(findingsOf(scene));
}

/** A record as the CRM holds it after a change was written. */
export function recordAfter(change: Change, setByOthers: readonly string[] = []): CrmRecord {
  const all = new Map([...(change.record?.values ?? []), ...change.values]);
  const values = new Map([...all].filter((entry): entry is [string, string] => entry[1] !== undefined));
  return { recordId: `rec_${change.customerId}`, values, setByOthers: new Set(setByOthers) };
}

/** What the CRM holds after a run over a scene. */
export function recordsAfter(scene: Scene, setByOthers: readonly string[] = []): Map<string, CrmRecord> {
  return new Map(planOf(scene).changes.map((change) => [change.customerId, recordAfter(change, setByOthers)]));
}

/** A record with some attributes only. */
export function aRecord(values: Readonly<Record<string, string>>): CrmRecord {
  return { recordId: "rec_1", values: new Map(Object.entries(values)), setByOthers: new Set() };
}

/** `count` customers who each paid `amount`, one charge each. */
export function payers(count: number, amount: number): Charge[] {
  return Array.from({ length: count }, (_, at) => aCharge({ id: `ch_${at}`, customer: `cus_${at}`, amount }));
}

// -------------------------------------------------------- Random accounts ----
// Five customers, guests, five charge currencies, both kinds of partial capture, every fate a charge can have.

const CURRENCIES = ["usd", "eur", "jpy", "kwd", "isk"];
const customer = fc.constantFrom("cus_1", "cus_2", "cus_3", "cus_4", "cus_5", null);
const created = fc.integer({ min: CREATED, max: CREATED + 1000 });

const charge = fc
  .record({
    customer,
    created,
    currency: fc.constantFrom("usd", ...CURRENCIES),
    fate: fc.constantFrom("captured", "captured", "captured", "uncaptured", "pending", "failed"),
    amount: fc.integer({ min: 1, max: 1_000_000 }),
    released: fc.constantFrom(0, 0, 0.25, 0.5),
    refund: fc.constantFrom(0, 0, 0.125, 0.5, 1),
    isBeforeBasil: fc.boolean(),
    disputed: fc.boolean(),
    settledIn: fc.constantFrom("usd", "usd", "usd", "gbp", null),
    rate: fc.constantFrom(1.25, 0.0078125, 3.25),
  })
  .map(({ fate, amount, released, refund, isBeforeBasil, settledIn, rate, ...rest }): Charge => {
    const captured = fate === "captured" ? amount - Math.floor(amount * released) : 0;
    const refunded = Math.floor(captured * refund);
    const settled = isBeforeBasil ? amount : captured;
    const exchange = rest.currency === settledIn ? null : rate;
    const balance = settledIn && aBalance(Math.round(settled * (exchange ?? 1)), settledIn, exchange);
    return aCharge({
      ...rest,
      id: "ch_random",
      amount,
      amount_captured: captured,
      amount_refunded: refunded + (isBeforeBasil ? amount - captured : 0),
      balance_transaction: fate === "captured" ? balance : null,
      captured: fate === "captured",
      disputed: rest.disputed && fate === "captured",
      refunded: captured > 0 && refunded === captured,
      status: fate === "pending" || fate === "failed" ? fate : "succeeded",
    });
  });

const line = fc
  .record({
    amount: fc.integer({ min: -5000, max: 1_000_000 }),
    product: fc.constantFrom("prod_pro", "prod_team", "prod_unmapped", "__proto__", null),
    isLegacy: fc.boolean(),
  })
  .map(({ amount, product, isLegacy }): Line =>
    isLegacy && product !== null ? { ...aLine(amount, null), price: { product } } : aLine(amount, product),
  );

function invoiceIn(...currencies: readonly string[]): fc.Arbitrary<Invoice> {
  return fc
    .record({
      customer,
      created,
      currency: fc.constantFrom("usd", ...currencies),
      lines: fc.array(line, { maxLength: 14 }),
      amount_paid: fc.integer({ min: 0, max: 1_000_000 }),
      amount_paid_off_stripe: fc.constantFrom(null, null, 0, 40, 2_000_000),
      status_transitions: fc.record({ paid_at: fc.constantFrom(null, CREATED, CREATED, T0 - 1, T0) }),
    })
    .map(({ lines, ...rest }) => anInvoice(lines, rest));
}

const STATUSES = ["active", "trialing", "past_due", "unpaid", "paused", "canceled", "canceled", "incomplete"];
const subscription = fc
  .record({
    customer: fc.constantFrom("cus_1", "cus_2", "cus_3"),
    status: fc.constantFrom(...STATUSES, "incomplete_expired"),
    ended_at: fc.constantFrom(null, CREATED, CREATED + 1),
    cancellation_details: fc.record({
      reason: fc.constantFrom(null, "payment_failed", "payment_disputed", "cancellation_requested"),
    }),
  })
  .map(({ status, ...rest }) => aSubscription(status, rest));

/** A random account; with `invoiceCurrencies` its invoices are in these as well. */
export function randomAccount(invoiceCurrencies: readonly string[] = CURRENCIES): fc.Arbitrary<Account> {
  return fc.record({
    charges: fc.array(charge, { maxLength: 20 }),
    invoices: fc.array(invoiceIn(...invoiceCurrencies), { maxLength: 8 }),
    subscriptions: fc.array(subscription, { maxLength: 8 }),
  });
}

/** An account as the oracle takes it. */
export function oracleInputOf({ charges, invoices, subscriptions }: Account): OracleInput {
  const settled = ({ balance_transaction: balance, ...charge }: Charge) => {
    return { ...charge, balance_transaction: balance instanceof Object ? { id: "txn_1", ...balance } : balance };
  };
  const paid = invoices.map((invoice) => ({ ...invoice, status: "paid" }));
  const account = { charges: charges.map(settled), invoices: paid, subscriptions };
  const nothing = { customers: [], people: [], balanceTransactions: [], coupons: new Map() };
  const productSlugs = Object.fromEntries(SLUGS);
  return { ...account, ...nothing, currency: "usd", productSlugs, livemode: false, t0: T0 };
}

/** The same account in another order. */
export function reordered({ charges, invoices, subscriptions }: Account): fc.Arbitrary<Account> {
  const all = <T>(objects: readonly T[]) => fc.shuffledSubarray([...objects], { minLength: objects.length });
  return fc.record({ charges: all(charges), invoices: all(invoices), subscriptions: all(subscriptions) });
}

/** Runs a property on the same random inputs every time. */
export function holds<T>(inputs: fc.Arbitrary<T>, check: (input: T) => void, runs = 200): void {
  fc.assert(fc.property(inputs, check), { seed: 7, numRuns: runs });
}
