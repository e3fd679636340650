// oracle.ts - what every record must hold, computed a second time and in another manner.
//
// The tests compare the CRM after a run with this. It shares no line with the program: every
// amount is a BigInt, every rate an exact fraction, and all objects sit in memory at once. Where
// it can be slow and plain instead of fast, it is. All amounts are minor units.

import { worthOf } from "./mrr-oracle.ts";
import type { Coupon, Item as PricedItem } from "./mrr-oracle.ts";

// ---------------------------------------------------------------- Shapes ----
// The fields that are read, in Stripe's names. A bigger object fits as it is.

type Reference = string | { readonly id: string } | null;

type BalanceTransaction = {
  readonly id: string;
  readonly amount: number;
  readonly currency: string;
  readonly exchange_rate?: number | null | undefined; // bt.amount per unit of the charge's amount
};

type Charge = {
  readonly id: string;
  readonly created: number; // unix seconds
  readonly currency: string;
  readonly customer?: Reference | undefined;
  readonly status: string;
  readonly captured: boolean;
  readonly amount: number; // authorised
  readonly amount_captured: number;
  readonly amount_refunded: number;
  readonly refunded: boolean; // in full
  readonly disputed?: boolean | undefined;
  readonly balance_transaction?: string | BalanceTransaction | null | undefined;
};

type InvoiceLine = {
  readonly amount: number; // may be negative
  readonly pricing?:
    { readonly price_details?: { readonly product?: Reference | undefined } | null | undefined } | null | undefined;
  readonly price?: { readonly product?: Reference | undefined } | null | undefined; // before basil
};

type Invoice = {
  readonly id: string;
  readonly created: number;
  readonly currency: string;
  readonly customer?: Reference | undefined;
  readonly status?: string | null | undefined;
  readonly status_transitions?: { readonly paid_at?: number | null | undefined } | null | undefined;
  readonly amount_paid: number;
  readonly amount_paid_off_stripe?: number | null | undefined;
  readonly lines: { readonly data: readonly InvoiceLine[] }; // all of them
};

type Customer = {
  readonly id: string;
  readonly created?: number | undefined; // a deleted customer has none
  readonly deleted?: unknown; // true, or absent
  readonly name?: string | null | undefined;
  readonly email?: string | null | undefined;
  readonly discount?: string | null | undefined; // a coupon's id
};

type Subscription = {
  readonly id: string;
  readonly created: number;
  readonly customer: Reference;
  readonly status: string;
  readonly ended_at?: number | null | undefined;
  readonly cancel_at: number | null;
  readonly cancel_at_period_end: boolean;
  readonly cancellation_details?: { readonly reason?: string | null | undefined } | null | undefined;
  readonly pause_collection: { readonly behavior: string } | null;
  readonly currency: string;
  readonly discounts: readonly string[]; // ids of coupons
  readonly items: {
    readonly data: readonly (PricedItem & { readonly current_period_end: number })[];
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
  readonly coupons?: ReadonlyMap<string, Coupon | undefined>; // those that can be read
  readonly people: readonly Person[];
  readonly currency: string;
  readonly productSlugs: Readonly<Record<string, string>>; // product id -> spend_ slug
  readonly existingCustomerIds?: readonly string[]; // customers that already have a record
  readonly livemode: boolean;
  readonly t0: number; // unix seconds; what was created then or later is not seen
};

export type ExpectedRecord = {
  stripe_customer_id: string;
  name: string;
  email: string | null;
  total_revenue: bigint;
  spend: Record<string, bigint>;
  unallocated_revenue: bigint;
  subscription_status: string;
  person: string | null;
  company: string | null;
  mrr: bigint | null; // null where it cannot be told
  renews_at: string | null;
  cancels_at: string | null;
  payment_failed_at: string | null;
  first_charge_at: string | null;
  last_charge_at: string | null;
  stripe_url: string;
};

type Sum = { count: number; amount: bigint };

/** What the report says of one charge or invoice currency, in that currency (`settled` apart). */
type CurrencyTotals = {
  captured: Sum; // every captured charge that succeeded
  refunded: Sum; // captured less net, over the charges of which something was given back
  guests: Sum; // net of charges without a customer
  setAside: Sum; // net of customers' charges that cannot be counted
  counted: Sum; // net of customers' charges that make up total revenue
  settled: bigint; // the same charges in CURRENCY
  uncaptured: Sum; // authorised amount
  failed: Sum; // intended amount
  pending: Sum; // intended amount
  disputed: Sum; // captured amount; not subtracted anywhere
  undecided: Sum; // partial captures without a readable balance transaction, and what hangs on it
  paidOutsideStripe: Sum; // of paid invoices
};

type ExpectedTotals = {
  total: bigint;
  byCurrency: Map<string, CurrencyTotals>;
  columns: Record<string, bigint>; // slug -> sum over all records
  unallocated: bigint;
  fellIntoOther: Map<string, bigint>; // product id without a slug -> minor units of CURRENCY
  otherWithoutProduct: bigint; // lines that name no product, and invoices with no positive line
};

// ----------------------------------------------------------------- Exact ----

type Fraction = { over: bigint; under: bigint };

function floorOf(over: bigint, under: bigint): bigint {
  const quotient = over / under;
  return over % under !== 0n && over < 0n !== under < 0n ? quotient - 1n : quotient;
}

function roundHalfUp(over: bigint, under: bigint): bigint {
  return floorOf(2n * over + under, 2n * under);
}

function distance(left: bigint, right: bigint): bigint {
  return left > right ? left - right : right - left;
}

/** The decimal digits of a number as the wire carries them, not the binary value behind them. */
function fractionOf(rate: number): Fraction {
  const [digits = "", exponent = "0"] = String(rate).split("e");
  const [whole = "", decimals = ""] = digits.split(".");

  let over = BigInt(whole + decimals);
  let under = 10n ** BigInt(decimals.length);
  const shift = Number(exponent);
  if (shift > 0) over *= 10n ** BigInt(shift);
  if (shift < 0) under *= 10n ** BigInt(-shift);

  return { over, under };
}

// https://docs.stripe.com/currencies: amounts of these have no smaller unit.
const ZERO_DECIMAL = "bif clp djf gnf jpy kmf krw mga pyg rwf vnd vuv xaf xof xpf".split(" ");

/** The exact amount in major units; Attio has no currency of three decimals. */
export function decimalOf(minor: bigint, currency: string): string {
  if (ZERO_DECIMAL.includes(currency)) return minor.toString();

  const digits = (minor < 0n ? -minor : minor).toString().padStart(3, "0");
  return `${minor < 0n ? "-" : ""}${digits.slice(0, -2)}.${digits.slice(-2)}`;
}

// --------------------------------------------------------------- Charges ----

/** A charge with everything that follows from it. */
type Verdict = {
  charge: Charge;
  customerId: string | null;
  currency: string;
  captured: bigint;
  net: bigint;
  settles: bigint; // the charge amount that the balance transaction is for
  bt: BalanceTransaction | null;
  undecided: boolean;
  atStake: bigint; // by how much net would be lower, were an undecided charge captured since basil
  fate: "nothing" | "guest" | "set aside" | "counted";
  settled: bigint; // in CURRENCY; 0 unless counted
};

function idOf(reference: Reference | undefined): string | null {
  if (reference === null || reference === undefined) return null;
  return typeof reference === "string" ? reference : reference.id;
}

function atLeastZero(amount: bigint): bigint {
  return amount < 0n ? 0n : amount;
}

/** "authorised" when the balance transaction is for the whole authorisation, "captured" when for the capture. */
function settlesWhich(charge: Charge, bt: BalanceTransaction | null): "authorised" | "captured" | "unknown" {
  if (bt === null) return "unknown";

  let rate: Fraction = { over: 1n, under: 1n };
  if (bt.currency !== charge.currency) {
    if (bt.exchange_rate === null || bt.exchange_rate === undefined) return "unknown";
    rate = fractionOf(bt.exchange_rate);
  }

  const settled = BigInt(bt.amount) * rate.under;
  const toAuthorised = distance(settled, BigInt(charge.amount) * rate.over);
  const toCaptured = distance(settled, BigInt(charge.amount_captured) * rate.over);

  return toCaptured < toAuthorised ? "captured" : "authorised";
}

function judge(charge: Charge, transactions: Map<string, BalanceTransaction>, currency: string): Verdict {
  const reference = charge.balance_transaction ?? null;
  const bt = typeof reference === "string" ? (transactions.get(reference) ?? null) : reference;
  const verdict: Verdict = {
    charge,
    customerId: idOf(charge.customer),
    currency: charge.currency,
    captured: 0n,
    net: 0n,
    settles: BigInt(charge.amount_captured),
    bt,
    undecided: false,
    atStake: 0n,
    fate: "nothing",
    settled: 0n,
  };
  if (!isCaptured(charge)) return verdict;

  verdict.captured = BigInt(charge.amount_captured);
  const refunded = BigInt(charge.amount_refunded);
  const released = atLeastZero(BigInt(charge.amount) - verdict.captured);
  const netSinceBasil = atLeastZero(verdict.captured - refunded);
  verdict.net = netSinceBasil;
  // Less refunded than released: had the release been booked as a refund, it would be in there whole.
  if (released > 0n && refunded >= released) {
    const which = settlesWhich(charge, bt);
    if (which !== "captured") {
      verdict.net = atLeastZero(verdict.captured - (refunded - released));
      verdict.settles = BigInt(charge.amount);
    }
    if (which === "unknown") {
      verdict.undecided = true;
      verdict.atStake = verdict.net - netSinceBasil;
    }
  }
  if (charge.refunded === true) {
    verdict.net = 0n;
    verdict.undecided = false;
  }
  return verdict.net === 0n ? verdict : { ...verdict, ...fateOf(verdict, currency) };
}

function fateOf(
  { customerId, net, settles, bt, ...charge }: Verdict,
  currency: string,
): Pick<Verdict, "fate" | "settled"> {
  if (customerId === null) return { fate: "guest", settled: 0n };
  if (charge.currency === currency) return { fate: "counted", settled: net };
  if (bt === null || bt.currency !== currency) return { fate: "set aside", settled: 0n };
  return { fate: "counted", settled: roundHalfUp(BigInt(bt.amount) * net, settles) };
}

function judgeAll(input: OracleInput): Verdict[] {
  const transactions = new Map<string, BalanceTransaction>();
  for (const bt of input.balanceTransactions) transactions.set(bt.id, bt);

  const verdicts: Verdict[] = [];
  for (const charge of input.charges) {
    if (charge.created < input.t0) verdicts.push(judge(charge, transactions, input.currency));
  }
  return verdicts;
}

// -------------------------------------------------------------- Invoices ----

type PaidInvoice = {
  invoice: Invoice;
  customerId: string | null;
  currency: string;
  offStripe: bigint;
  collected: bigint; // through Stripe, before refunds; may be 0 or less
};

type Share = { productId: string | null; amount: bigint };

function paidAtOrAfter(invoice: Invoice, t0: number): boolean {
  const paidAt = invoice.status_transitions?.paid_at ?? null;
  return paidAt !== null && paidAt >= t0;
}

function paidInvoices(input: OracleInput): PaidInvoice[] {
  const paid: PaidInvoice[] = [];
  for (const invoice of input.invoices) {
    if (invoice.created >= input.t0 || invoice.status !== "paid") continue;
    if (paidAtOrAfter(invoice, input.t0)) continue;

    const offStripe = BigInt(invoice.amount_paid_off_stripe ?? 0);
    paid.push({
      invoice,
      customerId: idOf(invoice.customer),
      currency: invoice.currency,
      offStripe,
      collected: BigInt(invoice.amount_paid) - offStripe,
    });
  }
  return paid;
}

/**
 * The amount collected for an invoice, in CURRENCY; null when nothing says what it is worth there.
 * A foreign one is worth what all captured charges of the same customer in that currency settled at, on average,
 * refunded or not; nothing if any of them did not settle in CURRENCY.
 */
function collectedInCurrency(paid: PaidInvoice, ofCustomer: readonly Verdict[], currency: string): bigint | null {
  if (paid.currency === currency) return paid.collected;

  let settledSum = 0n;
  let chargedSum = 0n;
  for (const verdict of ofCustomer) {
    if (verdict.captured === 0n || verdict.currency !== paid.currency) continue;
    if (verdict.bt === null || verdict.bt.currency !== currency) return null;
    settledSum += BigInt(verdict.bt.amount);
    chargedSum += verdict.settles;
  }
  return chargedSum === 0n ? null : roundHalfUp(paid.collected * settledSum, chargedSum);
}

function productOf(line: InvoiceLine): string | null {
  return idOf(line.pricing?.price_details?.product) ?? idOf(line.price?.product);
}

/** Splits by largest remainder: while units are left, the line that lost most in rounding down gets one. */
function sharesOf(collected: bigint, lines: readonly InvoiceLine[]): Share[] {
  const billed = lines.filter((line) => line.amount > 0);
  if (billed.length === 0) return [{ productId: null, amount: collected }];

  let billedSum = 0n;
  for (const line of billed) billedSum += BigInt(line.amount);

  let unitsLeft = collected;
  const shares: Share[] = [];
  const remainders: bigint[] = [];
  for (const line of billed) {
    const product = collected * BigInt(line.amount);
    const amount = product / billedSum;
    shares.push({ productId: productOf(line), amount });
    remainders.push(product % billedSum);
    unitsLeft -= amount;
  }

  while (unitsLeft > 0n) {
    let winner = 0;
    for (let at = 1; at < remainders.length; at += 1) {
      if ((remainders[at] ?? -1n) > (remainders[winner] ?? -1n)) winner = at;
    }
    const share = shares[winner];
    if (share === undefined) throw new Error("Unexpected: units are left and no line to take them.");
    share.amount += 1n;
    remainders[winner] = -1n; // served: at most one unit each
    unitsLeft -= 1n;
  }
  return shares;
}

// --------------------------------------------- Customer, status, person ----

const ACTIVE = ["active", "trialing"];
const PAST_DUE = ["past_due", "unpaid"];
const INVOLUNTARY = ["payment_failed", "payment_disputed"];

function statusOf(subscriptions: readonly Subscription[]): string {
  if (subscriptions.some((subscription) => ACTIVE.includes(subscription.status))) return "Active";
  if (subscriptions.some((subscription) => PAST_DUE.includes(subscription.status))) return "Past Due";
  if (subscriptions.some((subscription) => subscription.status === "paused")) return "Paused";

  let last: Subscription | null = null;
  for (const subscription of subscriptions) {
    if (subscription.status !== "canceled") continue;
    if (last === null || isLaterEnd(subscription, last)) last = subscription;
  }
  if (last === null) return "No Subscription";

  const reason = last.cancellation_details?.reason ?? "";
  return INVOLUNTARY.includes(reason) ? "Canceled (Involuntary)" : "Canceled (Voluntary)";
}

function isLaterEnd(subscription: Subscription, than: Subscription): boolean {
  const end = subscription.ended_at ?? -1;
  const otherEnd = than.ended_at ?? -1;
  return end === otherEnd ? subscription.created > than.created : end > otherEnd;
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
    const worth = worthOf(subscription, input.currency, input.coupons ?? new Map(), customer?.discount ?? null);
    mrr = worth === null || mrr === null ? null : mrr + worth.mrr;
  }
  const earliest = (times: readonly number[]): string | null =>
    times.length === 0 ? null : instantOf(Math.min(...times));
  return { mrr, renews_at: earliest(renewals), cancels_at: earliest(ends) };
}

function addressOf(email: string | null | undefined): string | null {
  const address = (email ?? "").trim().toLowerCase();
  return address === "" ? null : address;
}

/** As the list of customers at t0 has it: a deleted one, or one that came later, is not in it. */
function listedCustomers(input: OracleInput): Map<string, Customer> {
  const listed = new Map<string, Customer>();
  for (const customer of input.customers) {
    if (customer.deleted === true) continue;
    if (customer.created !== undefined && customer.created >= input.t0) continue;
    listed.set(customer.id, customer);
  }
  return listed;
}

function instantOf(unixSeconds: number): string {
  return new Date(unixSeconds * 1000).toISOString();
}

function emptySpend(input: OracleInput): Record<string, bigint> {
  const spend: Record<string, bigint> = { spend_other: 0n };
  for (const slug of Object.values(input.productSlugs)) spend[slug] = 0n;
  return spend;
}

// --------------------------------------------------------------- Records ----

type Revenue = { total: bigint; firstUnix: number | null; lastUnix: number | null };

function revenueOf(verdicts: readonly Verdict[]): Revenue {
  const revenue: Revenue = { total: 0n, firstUnix: null, lastUnix: null };
  for (const { charge, fate, settled } of verdicts) {
    if (fate !== "counted") continue;
    revenue.total += settled;
    if (revenue.firstUnix === null || charge.created < revenue.firstUnix) revenue.firstUnix = charge.created;
    if (revenue.lastUnix === null || charge.created > revenue.lastUnix) revenue.lastUnix = charge.created;
  }
  return revenue;
}

/** The latest failure, unless money was captured in that second or after it. */
function failedAt(verdicts: readonly Verdict[]): string | null {
  const failed = verdicts.filter(({ charge }) => charge.status === "failed");
  const standing = failed.filter(({ charge }) =>
    verdicts.every((other) => other.charge.created < charge.created || !isCaptured(other.charge)),
  );
  return standing.length === 0 ? null : instantOf(Math.max(...standing.map(({ charge }) => charge.created)));
}

function isCaptured(charge: Charge): boolean {
  return charge.status === "succeeded" && charge.captured === true;
}

function spendOf(
  input: OracleInput,
  invoices: readonly PaidInvoice[],
  verdicts: readonly Verdict[],
): Record<string, bigint> {
  const slugByProduct = new Map(Object.entries(input.productSlugs));
  const spend = emptySpend(input);
  for (const paid of invoices) {
    const collected = collectedInCurrency(paid, verdicts, input.currency);
    if (paid.collected <= 0n || collected === null) continue;
    for (const { productId, amount } of sharesOf(collected, paid.invoice.lines.data)) {
      const slug = (productId === null ? undefined : slugByProduct.get(productId)) ?? "spend_other";
      spend[slug] = (spend[slug] ?? 0n) + amount;
    }
  }
  return spend;
}

/** A record links whoever has the address. */
function personOf(input: OracleInput, email: string | null): Person | null {
  const hasIt = (address: string): boolean => addressOf(address) === email;
  return (email !== null && input.people.find((person) => person.emailAddresses.some(hasIt))) || null;
}

/**
 * Every record that must be there after a run, by customer id, in the order in which the
 * customers' charges are given. Records of customers without any charge are not in it: the run
 * leaves them alone.
 */
export function expectedRecords(input: OracleInput): Map<string, ExpectedRecord> {
  const chargesOf = Map.groupBy(judgeAll(input), ({ customerId }) => customerId);
  const invoicesOf = Map.groupBy(paidInvoices(input), ({ customerId }) => customerId);
  const seen = input.subscriptions.filter(({ created }) => created < input.t0);
  const subscriptionsOf = Map.groupBy(seen, ({ customer }) => idOf(customer));
  const customers = listedCustomers(input);
  const existing = new Set(input.existingCustomerIds ?? []);

  const records = new Map<string, ExpectedRecord>();
  for (const [customerId, verdicts] of chargesOf) {
    const { total, firstUnix, lastUnix } = revenueOf(verdicts);
    if (customerId === null || (total === 0n && !existing.has(customerId))) continue;

    const spend = spendOf(input, invoicesOf.get(customerId) ?? [], verdicts);
    let allocated = 0n;
    for (const amount of Object.values(spend)) allocated += amount;

    const customerName = customers.get(customerId)?.name ?? "";
    const email = addressOf(customers.get(customerId)?.email);
    const person = personOf(input, email);

    records.set(customerId, {
      stripe_customer_id: customerId,
      name: customerName.trim() === "" ? (email ?? customerId) : customerName,
      email,
      total_revenue: total,
      spend,
      unallocated_revenue: total - allocated,
      subscription_status: statusOf(subscriptionsOf.get(customerId) ?? []),
      person: person === null ? null : person.recordId,
      company: person === null ? null : person.companyRecordId,
      ...paysNow(input, subscriptionsOf.get(customerId) ?? [], customers.get(customerId)),
      payment_failed_at: failedAt(verdicts),
      first_charge_at: firstUnix === null ? null : instantOf(firstUnix),
      last_charge_at: lastUnix === null ? null : instantOf(lastUnix),
      stripe_url: `https://dashboard.stripe.com/${input.livemode ? "" : "test/"}customers/${customerId}`,
    });
  }
  return records;
}

// ---------------------------------------------------------------- Totals ----

function nothing(): Sum {
  return { count: 0, amount: 0n };
}

function add(sum: Sum, amount: bigint): void {
  sum.count += 1;
  sum.amount += amount;
}

function totalsOf({ byCurrency }: ExpectedTotals, currency: string): CurrencyTotals {
  const known = byCurrency.get(currency);
  if (known !== undefined) return known;

  const fresh: CurrencyTotals = {
    captured: nothing(),
    refunded: nothing(),
    guests: nothing(),
    setAside: nothing(),
    counted: nothing(),
    settled: 0n,
    uncaptured: nothing(),
    failed: nothing(),
    pending: nothing(),
    disputed: nothing(),
    undecided: nothing(),
    paidOutsideStripe: nothing(),
  };
  byCurrency.set(currency, fresh);
  return fresh;
}

function addCharge(totals: CurrencyTotals, verdict: Verdict): void {
  const { charge, captured, net, fate } = verdict;
  if (charge.disputed === true) add(totals.disputed, BigInt(charge.amount_captured));
  if (charge.status === "failed") return add(totals.failed, BigInt(charge.amount));
  if (charge.status !== "succeeded") return add(totals.pending, BigInt(charge.amount));
  if (charge.captured !== true) return add(totals.uncaptured, BigInt(charge.amount));

  add(totals.captured, captured);
  if (captured > net) add(totals.refunded, captured - net);
  if (verdict.undecided) add(totals.undecided, verdict.atStake);
  if (fate === "guest") add(totals.guests, net);
  if (fate === "set aside") add(totals.setAside, net);
  if (fate === "counted") {
    add(totals.counted, net);
    totals.settled += verdict.settled;
  }
}

/** What an invoice brought for which no mapping names a product. */
function addToOther(totals: ExpectedTotals, shares: readonly Share[], { productSlugs }: OracleInput): void {
  for (const { productId, amount } of shares) {
    if (productId === null) totals.otherWithoutProduct += amount;
    else if (!Object.hasOwn(productSlugs, productId))
      totals.fellIntoOther.set(productId, (totals.fellIntoOther.get(productId) ?? 0n) + amount);
  }
}

/** What the report of a run must say, with the bridge from captured to total revenue in `byCurrency`. */
export function expectedTotals(input: OracleInput): ExpectedTotals {
  const verdicts = judgeAll(input);
  const chargesOf = Map.groupBy(verdicts, ({ customerId }) => customerId);
  const records = expectedRecords(input);
  const columns = emptySpend(input);
  const totals: ExpectedTotals = {
    total: 0n,
    byCurrency: new Map(),
    columns,
    unallocated: 0n,
    fellIntoOther: new Map(),
    otherWithoutProduct: 0n,
  };
  for (const verdict of verdicts) {
    addCharge(totalsOf(totals, verdict.currency), verdict);
    totals.total += verdict.settled;
  }
  for (const paid of paidInvoices(input)) {
    if (paid.offStripe > 0n) add(totalsOf(totals, paid.currency).paidOutsideStripe, paid.offStripe);
    if (paid.collected <= 0n || paid.customerId === null || !records.has(paid.customerId)) continue;
    const collected = collectedInCurrency(paid, chargesOf.get(paid.customerId) ?? [], input.currency);
    if (collected !== null) addToOther(totals, sharesOf(collected, paid.invoice.lines.data), input);
  }
  for (const record of records.values()) {
    totals.unallocated += record.unallocated_revenue;
    for (const [slug, amount] of Object.entries(record.spend)) columns[slug] = (columns[slug] ?? 0n) + amount;
  }
  return totals;
}
