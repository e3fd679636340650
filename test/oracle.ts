// oracle.ts - what every record must hold, computed a second time and in another manner.
//
// The tests compare the CRM after a run with this. It shares no line with the program: every amount is a BigInt, every
// rate an exact ratio, and all objects sit in memory at once. Where it can be slow and plain instead of fast, it is.
// All amounts are minor units, all times unix seconds.

import { fromDecimal, isLess, multiply, nearest, ratio, subtract, worthOf } from "./mrr-oracle.ts";
import type { Coupon, Item, Ratio } from "./mrr-oracle.ts";

// ---------------------------------------------------------------- Shapes ----
// The fields that are read, in Stripe's names. A bigger object fits as it is.

type BalanceTransaction = {
  readonly id: string;
  readonly amount: number;
  readonly currency: string;
  readonly exchange_rate: number | null; // bt.amount per unit of the charge's amount
};

type Charge = {
  readonly created: number;
  readonly currency: string;
  readonly customer: string | null;
  readonly status: string;
  readonly captured: boolean;
  readonly amount: number; // authorised
  readonly amount_captured: number;
  readonly amount_refunded: number;
  readonly refunded: boolean; // in full
  readonly disputed: boolean;
  readonly balance_transaction: string | BalanceTransaction | null;
};

type InvoiceLine = {
  readonly amount: number; // may be negative
  readonly pricing: { readonly price_details?: { readonly product: string } | null } | null;
  readonly price?: { readonly product: string | null } | null; // before basil
};

type Invoice = {
  readonly created: number;
  readonly currency: string;
  readonly customer: string | null;
  readonly status: string | null;
  readonly status_transitions: { readonly paid_at: number | null };
  readonly amount_paid: number;
  readonly amount_paid_off_stripe?: number | null;
  readonly lines: { readonly data: readonly InvoiceLine[] }; // all of them
};

type Customer = {
  readonly id: string;
  readonly created: number;
  readonly deleted?: unknown; // true, or absent
  readonly name?: string | null;
  readonly email: string | null;
  readonly discount: string | null; // a coupon's id
};

type Subscription = {
  readonly created: number;
  readonly customer: string;
  readonly status: string;
  readonly ended_at: number | null;
  readonly cancel_at: number | null;
  readonly cancel_at_period_end: boolean;
  readonly cancellation_details: { readonly reason: string | null } | null;
  readonly pause_collection: { readonly behavior: string } | null;
  readonly currency: string;
  readonly discounts: readonly string[]; // ids of coupons
  readonly items: {
    readonly data: readonly (Item & { readonly current_period_end: number })[];
    readonly has_more: boolean;
  };
};

type Person = {
  readonly recordId: string;
  readonly emailAddresses: readonly string[];
  readonly companyRecordId: string | null;
};

export type OracleInput = {
  readonly charges: readonly Charge[];
  readonly invoices: readonly Invoice[];
  readonly customers: readonly Customer[];
  readonly subscriptions: readonly Subscription[];
  readonly balanceTransactions: readonly BalanceTransaction[];
  readonly coupons: ReadonlyMap<string, Coupon | undefined>; // those that can be read
  readonly people: readonly Person[];
  readonly currency: string;
  readonly productSlugs: Readonly<Record<string, string>>; // product id -> spend_ slug
  readonly existingCustomerIds?: readonly string[]; // customers that already have a record
  readonly livemode: boolean;
  readonly t0: number; // what was created then or later is not seen
};

// https://docs.stripe.com/currencies: amounts of these have no smaller unit.
const ZERO_DECIMAL = "bif clp djf gnf jpy kmf krw mga pyg rwf vnd vuv xaf xof xpf".split(" ");

/** The exact amount in major units; Attio has no currency of three decimals. */
export function decimalOf(minor: bigint, currency: string): string {
  if (ZERO_DECIMAL.includes(currency)) return minor.toString();
  const digits = (minor < 0n ? -minor : minor).toString().padStart(3, "0");
  return `${minor < 0n ? "-" : ""}${digits.slice(0, -2)}.${digits.slice(-2)}`;
}

const sum = (amounts: readonly bigint[]): bigint => amounts.reduce((whole, amount) => whole + amount, 0n);
const atLeastZero = (amount: bigint): bigint => (amount < 0n ? 0n : amount);

/** The earliest or latest of some times; null where there is none. */
function instant(choose: (...times: number[]) => number, times: readonly number[]): string | null {
  return times.length === 0 ? null : new Date(choose(...times) * 1000).toISOString();
}

// --------------------------------------------------------------- Charges ----

function isCaptured(charge: Charge): boolean {
  return charge.status === "succeeded" && charge.captured;
}

/** "authorised" when the balance transaction is for the whole authorisation, "captured" when for the capture. */
function settlesWhich(charge: Charge, bt: BalanceTransaction | null): "authorised" | "captured" | "unknown" {
  const decimal = bt?.currency === charge.currency ? 1 : (bt?.exchange_rate ?? null);
  if (bt === null || decimal === null) return "unknown";
  const distanceTo = (amount: number): Ratio => {
    const apart = subtract(ratio(bt.amount), multiply(fromDecimal(decimal), ratio(amount)));
    return apart.top < 0n ? ratio(-apart.top, apart.bottom) : apart;
  };
  return isLess(distanceTo(charge.amount_captured), distanceTo(charge.amount)) ? "captured" : "authorised";
}

type Fate = "nothing" | "guests" | "setAside" | "counted";
/** A charge with everything that follows from it. */
type Verdict = ReturnType<typeof judge>;

function judge(charge: Charge, transactions: ReadonlyMap<string, BalanceTransaction>, currency: string) {
  const reference = charge.balance_transaction;
  const bt = typeof reference === "string" ? (transactions.get(reference) ?? null) : reference;
  const captured = isCaptured(charge) ? BigInt(charge.amount_captured) : 0n;
  const refunded = BigInt(charge.amount_refunded);
  const released = atLeastZero(BigInt(charge.amount) - captured);
  // Less refunded than released: had the release been booked as a refund, it would be in there whole.
  const which = released > 0n && refunded >= released ? settlesWhich(charge, bt) : "captured";
  const settles = which === "captured" ? captured : BigInt(charge.amount); // what the balance transaction is for
  const netSinceBasil = atLeastZero(captured - refunded);
  let net = which === "captured" ? netSinceBasil : atLeastZero(captured - (refunded - released));
  if (charge.refunded || !isCaptured(charge)) net = 0n;

  const isHome = charge.currency === currency;
  let fate: Fate = isHome || bt?.currency === currency ? "counted" : "setAside";
  if (charge.customer === null) fate = "guests";
  if (net === 0n) fate = "nothing";
  let settled = 0n; // in CURRENCY
  if (fate === "counted") settled = isHome ? net : nearest(ratio(BigInt(bt?.amount ?? 0) * net, settles));
  const isUndecided = isCaptured(charge) && which === "unknown" && !charge.refunded;
  // By how much net would be lower, were an undecided charge captured since basil.
  const atStake = net - netSinceBasil;
  return { charge, customerId: charge.customer, captured, net, settles, bt, isUndecided, atStake, fate, settled };
}

function judgeAll({ charges, balanceTransactions, currency, t0 }: OracleInput): Verdict[] {
  const transactions = new Map(balanceTransactions.map((bt) => [bt.id, bt]));
  return charges.filter(({ created }) => created < t0).map((charge) => judge(charge, transactions, currency));
}

/** The latest failure, unless money was captured in that second or after it. */
function failedAt(verdicts: readonly Verdict[]): string | null {
  const charges = verdicts.map(({ charge }) => charge);
  const failed = charges.filter(({ status }) => status === "failed").map(({ created }) => created);
  const standing = failed.filter((time) => charges.every((other) => other.created < time || !isCaptured(other)));
  return instant(Math.max, standing);
}

// -------------------------------------------------------------- Invoices ----

type PaidInvoice = ReturnType<typeof paidInvoices>[number];
type Share = { readonly productId: string | null; amount: bigint };

/** With what was collected through Stripe, before refunds: 0 or less where all was paid outside. */
function paidInvoices({ invoices, t0 }: OracleInput) {
  const paid = invoices.filter(
    ({ created, status, status_transitions: { paid_at } }) =>
      created < t0 && status === "paid" && (paid_at === null || paid_at < t0),
  );
  return paid.map(({ customer: customerId, currency, lines, ...invoice }) => {
    const outside = BigInt(invoice.amount_paid_off_stripe ?? 0);
    return { customerId, currency, lines: lines.data, outside, collected: BigInt(invoice.amount_paid) - outside };
  });
}

/**
 * The amount collected for an invoice, in CURRENCY; null when nothing says what it is worth there.
 * A foreign one is worth what all captured charges of the same customer in that currency settled at, on average,
 * refunded or not; nothing if any of them did not settle in CURRENCY.
 */
function collectedInCurrency(paid: PaidInvoice, ofCustomer: readonly Verdict[], currency: string): bigint | null {
  if (paid.currency === currency) return paid.collected;
  const alike = ofCustomer.filter(({ charge }) => isCaptured(charge) && charge.currency === paid.currency);
  if (alike.length === 0 || alike.some(({ bt }) => bt?.currency !== currency)) return null;
  const settled = sum(alike.map(({ bt }) => BigInt(bt?.amount ?? 0)));
  return nearest(ratio(paid.collected * settled, sum(alike.map(({ settles }) => settles))));
}

/** What goes to which product, null where none is named; nothing where nothing counts. */
function sharesOf(paid: PaidInvoice, ofCustomer: readonly Verdict[], currency: string): Share[] {
  if (paid.collected <= 0n) return [];
  const collected = collectedInCurrency(paid, ofCustomer, currency);
  return collected === null ? [] : split(collected, paid.lines);
}

/** Splits by largest remainder: while units are left, the line that lost most in rounding down gets one. */
function split(collected: bigint, lines: readonly InvoiceLine[]): Share[] {
  const billed = lines.filter(({ amount }) => amount > 0);
  if (billed.length === 0) return [{ productId: null, amount: collected }];
  const whole = sum(billed.map(({ amount }) => BigInt(amount)));
  const shares = billed.map(({ amount, pricing, price }) => {
    const product = collected * BigInt(amount);
    const productId = pricing?.price_details?.product ?? price?.product ?? null;
    return { productId, amount: product / whole, remainder: product % whole };
  });
  for (let left = collected - sum(shares.map(({ amount }) => amount)); left > 0n; left -= 1n) {
    const winner = shares.reduce((best, share) => (share.remainder > best.remainder ? share : best));
    winner.amount += 1n;
    winner.remainder = -1n; // served: at most one unit each
  }
  return shares;
}

// --------------------------------------------- Customer, status, person ----

function statusOf(subscriptions: readonly Subscription[]): string {
  const isAny = (...statuses: string[]): boolean => subscriptions.some(({ status }) => statuses.includes(status));
  if (isAny("active", "trialing")) return "Active";
  if (isAny("past_due", "unpaid")) return "Past Due";
  if (isAny("paused")) return "Paused";
  const canceled = subscriptions.filter(({ status }) => status === "canceled");
  const [last] = canceled.toSorted((a, b) => (b.ended_at ?? -1) - (a.ended_at ?? -1) || b.created - a.created);
  if (last === undefined) return "No Subscription";
  const isInvoluntary = ["payment_failed", "payment_disputed"].includes(last.cancellation_details?.reason ?? "");
  return isInvoluntary ? "Canceled (Involuntary)" : "Canceled (Voluntary)";
}

/** What a customer pays now; `mrr` is null where it cannot be told. */
function paysNow(input: OracleInput, subscriptions: readonly Subscription[], customer: Customer | undefined) {
  let mrr: bigint | null = 0n;
  const renewals: number[] = [];
  const ends: number[] = [];
  for (const subscription of subscriptions) {
    const { status, pause_collection: pause, items, cancel_at, cancel_at_period_end } = subscription;
    if (status !== "active" && status !== "past_due" && status !== "trialing") continue;

    const periods = items.data.map((item) => item.current_period_end);
    const end = cancel_at ?? (cancel_at_period_end && periods.length > 0 ? Math.max(...periods) : null);
    if (end !== null) ends.push(end);
    renewals.push(...periods.filter((period) => end === null || period < end));

    if (status === "trialing" || (pause !== null && pause.behavior !== "keep_as_draft")) continue;
    const worth = worthOf(subscription, input.currency, input.coupons, customer?.discount ?? null);
    mrr = worth === null || mrr === null ? null : mrr + worth.mrr;
  }
  return { mrr, renews_at: instant(Math.min, renewals), cancels_at: instant(Math.min, ends) };
}

function addressOf(email: string | null | undefined): string | null {
  return (email ?? "").trim().toLowerCase() || null;
}

/** A record links whoever has the address. */
function personOf({ people }: OracleInput, email: string | null): Person | undefined {
  const hasIt = (address: string): boolean => addressOf(address) === email;
  return email === null ? undefined : people.find(({ emailAddresses }) => emailAddresses.some(hasIt));
}

// --------------------------------------------------------------- Records ----

function spendOf(input: OracleInput, invoices: readonly PaidInvoice[], verdicts: readonly Verdict[]) {
  const slugByProduct = new Map(Object.entries(input.productSlugs));
  const spend = emptySpend(input);
  for (const { productId, amount } of invoices.flatMap((paid) => sharesOf(paid, verdicts, input.currency))) {
    const slug = slugByProduct.get(productId ?? "") ?? "spend_other";
    spend[slug] = (spend[slug] ?? 0n) + amount;
  }
  return spend;
}

function emptySpend({ productSlugs }: OracleInput): Record<string, bigint> {
  return Object.fromEntries([...Object.values(productSlugs), "spend_other"].map((slug) => [slug, 0n]));
}

export type ExpectedRecord = ReturnType<typeof expectedRecord>;

function expectedRecord(
  input: OracleInput,
  customerId: string,
  verdicts: readonly Verdict[],
  invoices: readonly PaidInvoice[],
) {
  // As the list of customers at t0 has it: a deleted one, or one that came later, is not in it.
  const listed = input.customers.filter(({ created, deleted }) => created < input.t0 && deleted !== true);
  const customer = listed.find(({ id }) => id === customerId);
  const subscriptions = input.subscriptions.filter((one) => one.created < input.t0 && one.customer === customerId);
  const total = sum(verdicts.map(({ settled }) => settled));
  const times = verdicts.filter(({ fate }) => fate === "counted").map(({ charge }) => charge.created);
  const spend = spendOf(input, invoices, verdicts);
  const name = customer?.name ?? "";
  const email = addressOf(customer?.email);
  const person = personOf(input, email);
  return {
    stripe_customer_id: customerId,
    name: name.trim() === "" ? (email ?? customerId) : name,
    email,
    total_revenue: total,
    spend,
    unallocated_revenue: total - sum(Object.values(spend)),
    subscription_status: statusOf(subscriptions),
    person: person?.recordId ?? null,
    company: person?.companyRecordId ?? null,
    ...paysNow(input, subscriptions, customer),
    payment_failed_at: failedAt(verdicts),
    first_charge_at: instant(Math.min, times),
    last_charge_at: instant(Math.max, times),
    stripe_url: `https://dashboard.stripe.com/${input.livemode ? "" : "test/"}customers/${customerId}`,
  };
}

/**
 * Every record that must be there after a run, by customer id. Records of customers without any charge are not in it:
 * the run leaves them alone.
 */
export function expectedRecords(input: OracleInput): Map<string, ExpectedRecord> {
  const invoicesOf = Map.groupBy(paidInvoices(input), ({ customerId }) => customerId);
  const existing = new Set(input.existingCustomerIds);
  const records = new Map<string, ExpectedRecord>();
  for (const [id, verdicts] of Map.groupBy(judgeAll(input), ({ customerId }) => customerId)) {
    const isPayer = verdicts.some(({ settled }) => settled > 0n);
    if (id === null || !(isPayer || existing.has(id))) continue;
    records.set(id, expectedRecord(input, id, verdicts, invoicesOf.get(id) ?? []));
  }
  return records;
}

// ---------------------------------------------------------------- Totals ----

type Sum = { count: number; amount: bigint };

/** What the report says of one charge or invoice currency, in that currency. */
const KINDS = [
  "captured", // every captured charge that succeeded
  "refunded", // captured less net, over the charges of which something was given back
  "guests", // net of charges without a customer
  "setAside", // net of customers' charges that cannot be counted
  "counted", // net of customers' charges that make up total revenue
  "uncaptured", // authorised amount
  "failed", // intended amount
  "pending", // intended amount
  "disputed", // captured amount; not subtracted anywhere
  "undecided", // partial captures without a readable balance transaction, and what hangs on it
  "paidOutside", // of paid invoices, outside Stripe
] as const;
/** And beside it what is counted, in CURRENCY. */
type CurrencyTotals = Record<(typeof KINDS)[number], Sum> & { settled: bigint };

function add(to: Sum, amount: bigint): void {
  to.count += 1;
  to.amount += amount;
}

function addCharge(totals: CurrencyTotals, { charge, captured, net, fate, settled, ...verdict }: Verdict): void {
  const amount = BigInt(charge.amount);
  if (charge.disputed) add(totals.disputed, BigInt(charge.amount_captured));
  if (charge.status === "failed") return add(totals.failed, amount);
  if (charge.status !== "succeeded") return add(totals.pending, amount);
  if (!charge.captured) return add(totals.uncaptured, amount);
  add(totals.captured, captured);
  if (captured > net) add(totals.refunded, captured - net);
  if (verdict.isUndecided) add(totals.undecided, verdict.atStake);
  if (fate !== "nothing") add(totals[fate], net);
  totals.settled += settled;
}

function noTotals(): CurrencyTotals {
  const sums = Object.fromEntries(KINDS.map((kind) => [kind, { count: 0, amount: 0n }]));
  return { ...(sums as Record<(typeof KINDS)[number], Sum>), settled: 0n };
}

/** What the report of a run must say, with the bridge from captured to total revenue in `byCurrency`. */
export function expectedTotals(input: OracleInput) {
  const verdicts = judgeAll(input);
  const records = expectedRecords(input);
  const byCurrency = new Map<string, CurrencyTotals>();
  const totalsOf = (currency: string): CurrencyTotals => {
    const totals = byCurrency.get(currency) ?? noTotals();
    byCurrency.set(currency, totals);
    return totals;
  };
  for (const verdict of verdicts) addCharge(totalsOf(verdict.charge.currency), verdict);

  // What invoices brought for which no mapping names a product.
  const fellIntoOther = new Map<string | null, bigint>(); // by product; null where none is named
  for (const paid of paidInvoices(input)) {
    if (paid.outside > 0n) add(totalsOf(paid.currency).paidOutside, paid.outside);
    if (!records.has(paid.customerId ?? "")) continue;
    const ofCustomer = verdicts.filter(({ customerId }) => customerId === paid.customerId);
    for (const { productId, amount } of sharesOf(paid, ofCustomer, input.currency))
      if (productId === null || !Object.hasOwn(input.productSlugs, productId))
        fellIntoOther.set(productId, (fellIntoOther.get(productId) ?? 0n) + amount);
  }
  const held = [...records.values()];
  const columns = Object.keys(emptySpend(input)).map((slug) => sum(held.map(({ spend }) => spend[slug] ?? 0n)));
  const unallocated = sum(held.map(({ unallocated_revenue }) => unallocated_revenue));
  return { total: sum(verdicts.map(({ settled }) => settled)), byCurrency, columns, unallocated, fellIntoOther };
}
