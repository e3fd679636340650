// account.ts - seeded Stripe accounts: one with the traps that real accounts have, and a big plain one for benchmarks.
//
// The same options give the same account on every machine: all chance comes from the seed, and there is no clock. Where
// the right answer would be a matter of taste, the seed stays away from it: no customer has two canceled subscriptions
// that ended in the same second, and no balance transaction lies halfway between the authorised and the captured amount.

import {
  aBalanceTransaction,
  aCharge,
  aCoupon,
  aCustomer,
  aDiscount,
  aPrice,
  aProduct,
  aSubscription,
  aSubscriptionItem,
  anInvoice,
  anInvoiceLine,
  anInvoicePayment,
  stripeId,
} from "./objects.ts";
import type {
  CancellationReason,
  InvoiceStatus,
  StripeCharge,
  StripeDiscount,
  StripeInvoice,
  StripeInvoiceLine,
  StripeSubscriptionItem,
  SubscriptionStatus,
  UnixSeconds,
} from "./objects.ts";
import { seededRandom } from "./server.ts";
import { emptyAccount } from "./stripe.ts";
import type { StripeAccount } from "./stripe.ts";

export type SeedOptions = {
  readonly customers: number;
  readonly seed: number;
  /** The currency the account settles in, and its customers mostly pay in. */
  readonly currency?: string;
  /** The share of customers who pay in another currency: a quarter unless told otherwise. */
  readonly foreign?: number;
  /** The account's present: everything is created before it, but for what "paid late" invoices bring. */
  readonly until?: UnixSeconds;
};

const DAY: UnixSeconds = 86_400;
const HISTORY: UnixSeconds = 5 * 365 * DAY;
const UNTIL: UnixSeconds = Date.UTC(2026, 10, 1) / 1000;
const BASIL: UnixSeconds = Date.UTC(2025, 2, 31) / 1000;

// -------------------------------------------------------------- Products ----

/** What is sold, and into which column it goes: several products share one, and some have none. */
const PRODUCTS = {
  starter: ["prod_SbxStarter0001", "Starter", "spend_starter"],
  pro: ["prod_SbxProMonthly1", "Pro", "spend_pro"],
  proYearly: ["prod_SbxProYearly01", "Pro (yearly)", "spend_pro"],
  proLegacy: ["prod_SbxProLegacy01", "Pro 2021", "spend_pro"],
  team: ["prod_SbxTeam0000001", "Team", "spend_team"],
  seats: ["prod_SbxTeamSeats01", "Team: additional seats", "spend_team"],
  usage: ["prod_SbxApiUsage001", "API usage", "spend_usage"],
  onboarding: ["prod_SbxOnboarding1", "Onboarding", ""],
  consulting: ["prod_SbxConsulting1", "Consulting & training", ""],
  gift: ["prod_SbxGiftCard001", "Gift card", ""],
} as const;
const [starter, pro, proYearly] = [PRODUCTS.starter[0], PRODUCTS.pro[0], PRODUCTS.proYearly[0]];
const [proLegacy, team, seats] = [PRODUCTS.proLegacy[0], PRODUCTS.team[0], PRODUCTS.seats[0]];
const [usage, onboarding] = [PRODUCTS.usage[0], PRODUCTS.onboarding[0]];
const [consulting, gift] = [PRODUCTS.consulting[0], PRODUCTS.gift[0]];

/** A product that invoices still name and that is gone from the list of products. */
const VANISHED_PRODUCT = "prod_SbxVanished001";

/** `PRODUCT_SLUGS` for the seeded accounts. */
export const SANDBOX_PRODUCT_SLUGS: Readonly<Record<string, string>> = Object.fromEntries(
  Object.values(PRODUCTS).flatMap(([id, , slug]) => (slug === "" ? [] : [[id, slug]])),
);

function seedProducts(account: StripeAccount, created: UnixSeconds): void {
  for (const [id, name] of Object.values(PRODUCTS))
    account.products.push(aProduct({ id, name, created, livemode: account.livemode, active: id !== proLegacy }));
}

// ------------------------------------------------------------ Currencies ----

/** How many minor units stand for one hundredth here: 3-decimal amounts end in 0. */
const MINOR_PER_CENT: Readonly<Record<string, number>> = { kwd: 10 };

/** Roughly what one minor unit is worth in US cents. */
const WORTH: Readonly<Record<string, number>> = { usd: 1, eur: 1.08, gbp: 1.27, jpy: 0.67, kwd: 0.325 };

const FOREIGN = ["eur", "gbp", "jpy", "kwd", "usd"];

// ------------------------------------------------------------------ Seed ----
// What the cases below are written in: verbs that add consistent objects to the account.

type Era = "before" | "since";

type ChargeSpec = {
  readonly customer: string | null;
  readonly at: UnixSeconds;
  /** In hundredths; `minor` turns them into the currency's minor units. */
  readonly cents: number;
  readonly currency?: string;
  /** Less than `cents` for a partial capture. */
  readonly capturedCents?: number;
  /** What the customer really got back. */
  readonly givenBackCents?: number;
  /** Whether the capture was made under an API version before 2025-03-31.basil. */
  readonly era?: Era;
  readonly state?: "succeeded" | "failed" | "pending" | "authorised" | "canceled";
  /** What the charge settles in: the account's currency, its own, or nothing that can be read. */
  readonly settlement?: "home" | "own" | "none";
  readonly disputed?: boolean;
  readonly paymentIntent?: string;
};

type InvoiceSpec = {
  readonly customer: string;
  readonly at: UnixSeconds;
  readonly lines: readonly LineSpec[];
  readonly currency?: string;
  readonly status?: InvoiceStatus;
  readonly paidAt?: UnixSeconds;
  readonly discountCents?: number;
  readonly taxCents?: number;
  /** An older balance: positive is owed and added, negative is credit and lowers what is due. */
  readonly balanceCents?: number;
  readonly outsideCents?: number;
  readonly paidCents?: number;
  /** No charge stands behind the payment, as with receipt-style invoices of Checkout. */
  readonly withoutCharge?: boolean;
  readonly settlement?: "home" | "own" | "none";
  readonly subscription?: string;
};

/** "old" is the shape of before 2025-03-31.basil: `price.product` and no `pricing`. */
type LineSpec = readonly [cents: number, product: string | null, shape?: "old"];

type Customer = { readonly id: string; readonly n: number; readonly since: UnixSeconds };

/** The account in the making. */
type Seed = ReturnType<typeof openSeed>;

function openSeed(options: SeedOptions) {
  const { currency: home = "usd", until = UNTIL, foreign: foreignShare = 0.25 } = options;
  let made = 0;
  return {
    account: emptyAccount(),
    home,
    /** Other currencies to pay in; none where nobody pays in another. */
    others: foreignShare > 0 ? FOREIGN.filter((code) => code !== home) : [],
    foreignShare,
    until,
    random: seededRandom(options.seed),
    /** The next id of a kind. */
    id: (prefix: string) => stripeId(prefix, (options.seed % 1000) * 10_000_000 + (made += 1)),
  };
}

/** A whole number from `low` to `high`, both included. */
function between(seed: Seed, low: number, high: number): number {
  return low + Math.floor(seed.random() * (high - low + 1));
}

function pick<T>(seed: Seed, choices: readonly [T, ...T[]]): T {
  return choices[between(seed, 0, choices.length - 1)] ?? choices[0];
}

/** A currency to pay in: home, or now and then another. */
function anyCurrency(seed: Seed): string {
  return seed.random() < seed.foreignShare ? foreignCurrency(seed) : seed.home;
}

function foreignCurrency(seed: Seed): string {
  return seed.others[between(seed, 0, seed.others.length - 1)] ?? seed.home;
}

/** How a charge in this currency settles: seldom in its own currency, or in nothing that can be read. */
function anySettlement(seed: Seed, currency: string): "home" | "own" | "none" {
  const chance = seed.random();
  if (currency === seed.home || chance < 0.85) return "home";
  return chance < 0.93 ? "own" : "none";
}

function addSettlement(seed: Seed, charge: StripeCharge, settles: number, settlement: "home" | "own"): string {
  const isConverted = settlement === "home" && charge.currency !== seed.home;
  const drift = 0.97 + seed.random() * 0.06;
  const worth = (WORTH[charge.currency] ?? 1) / (WORTH[seed.home] ?? 1);
  const rate = isConverted ? Number((worth * drift).toPrecision(6)) : null;
  const transaction = aBalanceTransaction({
    id: seed.id("txn"),
    amount: rate === null ? settles : Math.round(settles * rate),
    available_on: charge.created + 2 * DAY,
    created: charge.created,
    currency: isConverted ? seed.home : charge.currency,
    exchange_rate: rate,
    source: charge.id,
  });
  seed.account.balanceTransactions.push(transaction);
  return transaction.id;
}

function addCharge(seed: Seed, spec: ChargeSpec): void {
  const { cents, currency = seed.home, state = "succeeded", era = spec.at < BASIL ? "before" : "since" } = spec;
  const isCaptured = state === "succeeded" || state === "pending";
  const amount = minor(cents, currency);
  const captured = isCaptured ? minor(spec.capturedCents ?? cents, currency) : 0;
  const givenBack = minor(spec.givenBackCents ?? 0, currency);
  // Before basil, what was authorised and never captured is booked as a refund.
  const booked = era === "before" && (isCaptured || state === "canceled") ? amount - captured : 0;
  const unsettled = aCharge({
    id: seed.id("ch"),
    amount,
    amount_captured: captured,
    amount_refunded: givenBack + booked,
    billing_details: billingDetails(seed, spec.customer),
    captured: isCaptured,
    created: spec.at,
    currency,
    customer: spec.customer,
    disputed: spec.disputed ?? false,
    failure_code: state === "failed" ? "card_declined" : null,
    failure_message: state === "failed" ? "Your card was declined." : null,
    livemode: seed.account.livemode,
    // `paid` is true for an authorisation that waits for its capture, too.
    paid: state !== "failed" && state !== "pending",
    payment_intent: spec.paymentIntent ?? seed.id("pi"),
    refunded: givenBack + booked > 0 && givenBack === captured,
    status: state === "failed" || state === "pending" ? state : "succeeded",
  });
  const { settlement = "home" } = spec;
  const isSettled = state === "succeeded" && settlement !== "none";
  const settles = era === "before" ? amount : captured;
  const balance_transaction = isSettled ? addSettlement(seed, unsettled, settles, settlement) : null;
  seed.account.charges.push({ ...unsettled, balance_transaction });
}

function billingDetails(seed: Seed, customerId: string | null): StripeCharge["billing_details"] {
  const known = seed.account.customers.at(-1);
  const isKnown = known !== undefined && known.id === customerId;
  const email = isKnown ? known.email : "guest@example.com";
  return { address: null, email, name: isKnown ? (known.name ?? null) : null, phone: null, tax_id: null };
}

function lineOf(seed: Seed, [cents, product, shape]: LineSpec, currency: string): StripeInvoiceLine {
  const amount = minor(cents, currency);
  const description = product === null ? "Work by the hour" : "1 × as agreed";
  const { livemode } = seed.account;
  const built = anInvoiceLine({ id: seed.id("il"), amount, currency, description, livemode, product });
  if (shape === undefined || product === null) return built;
  return { ...built, pricing: null, price: { id: seed.id("price"), object: "price", product } };
}

function addInvoice(seed: Seed, spec: InvoiceSpec): void {
  const { customer, at, currency = seed.home, status = "paid", paidAt = at } = spec;
  const { discountCents = 0, taxCents = 0, balanceCents = 0, outsideCents = 0 } = spec;
  const billedCents = spec.lines.reduce((sum, [cents]) => sum + cents, 0);
  const totalCents = billedCents - discountCents + taxCents;
  const dueCents = Math.max(0, totalCents + balanceCents);
  const paidCents = spec.paidCents ?? (status === "paid" ? dueCents : 0);
  const isCharged = paidCents > outsideCents && spec.withoutCharge !== true;
  const owner = seed.account.customers.find(({ id }) => id === customer);
  const built = anInvoice({
    id: seed.id("in"),
    amount_due: minor(dueCents, currency),
    amount_paid: minor(paidCents, currency),
    amount_paid_off_stripe: minor(outsideCents, currency),
    attempt_count: isCharged ? 1 : 0,
    created: at,
    currency,
    customer,
    customer_email: owner?.email ?? null,
    customer_name: owner?.name ?? null,
    lines: spec.lines.map((each) => lineOf(seed, each, currency)),
    livemode: seed.account.livemode,
    parent: parentOf(spec.subscription),
    starting_balance: minor(balanceCents, currency),
    status,
    status_transitions: {
      finalized_at: status === "draft" ? null : at,
      marked_uncollectible_at: status === "uncollectible" ? at + 30 * DAY : null,
      paid_at: status === "paid" ? paidAt : null,
      voided_at: status === "void" ? at + DAY : null,
    },
    total: minor(totalCents, currency),
    ...adjustments(minor(discountCents, currency), minor(taxCents, currency), minor(billedCents, currency)),
  });
  seed.account.invoices.push(built);
  if (isCharged) addPayment(seed, built, spec, paidCents - outsideCents, paidAt);
}

function addPayment(seed: Seed, billed: StripeInvoice, spec: InvoiceSpec, cents: number, at: UnixSeconds): void {
  const { currency, livemode } = billed;
  const { customer, settlement = "home" } = spec;
  const paymentIntent = seed.id("pi");
  addCharge(seed, { customer, at, cents, currency, paymentIntent, settlement });
  seed.account.invoicePayments.push(
    anInvoicePayment({
      id: seed.id("inpay"),
      amount_requested: minor(cents, currency),
      created: billed.created,
      currency,
      invoice: billed.id,
      livemode,
      payment: { type: "payment_intent", payment_intent: paymentIntent },
      status_transitions: { canceled_at: null, paid_at: at },
    }),
  );
}

function minor(cents: number, currency: string): number {
  return cents * (MINOR_PER_CENT[currency] ?? 1);
}

function adjustments(discounted: number, amount: number, taxable_amount: number) {
  const tax = {
    amount,
    tax_behavior: "exclusive",
    tax_rate_details: { tax_rate: "txr_1SbxVat20000B7WZ01zgkWmQ9" },
    taxability_reason: "standard_rated",
    taxable_amount,
    type: "tax_rate_details",
  } as const;
  return {
    total_discount_amounts: discounted === 0 ? [] : [{ amount: discounted, discount: "di_1SbxAsAgreed0B7WZ01zgkWm" }],
    total_taxes: amount === 0 ? [] : [tax],
  };
}

function parentOf(subscription: string | undefined): StripeInvoice["parent"] {
  if (subscription === undefined) return null;
  const details = { metadata: {}, subscription };
  return { quote_details: null, subscription_details: details, type: "subscription_details" };
}

// --------------------------------------------------------- Subscriptions ----
// What customers have agreed to pay: one of each kind that a reader of prices must tell apart.

type CouponName = keyof typeof COUPONS;

const COUPONS = {
  supporter: { id: "co_SbxSupporter", percent_off: 20 },
  launch: { id: "co_SbxLaunch", percent_off: 50, duration: "repeating" },
  welcome: { id: "co_SbxWelcome", amount_off: 1000, duration: "once" },
  legacy: { id: "co_SbxLegacy", amount_off: 1000 },
  team: { id: "co_SbxTeamOnly", percent_off: 33.3, applies_to: { products: [team] } },
  friend: { id: "co_SbxFriend", percent_off: 100 },
} as const;

type ItemSpec = {
  /** Minor units of the price, as decimals; a tiered price has none. */
  readonly unit?: string;
  readonly interval?: "day" | "week" | "month" | "year";
  readonly every?: number;
  readonly quantity?: number;
  /** The price is for so many at once, rounded up. */
  readonly per?: number;
  readonly isMetered?: true;
  readonly product?: string;
  readonly coupon?: CouponName;
};

type Plan = {
  readonly items: readonly ItemSpec[];
  readonly coupon?: CouponName;
  readonly customerCoupon?: CouponName;
  readonly status?: SubscriptionStatus;
  readonly pause?: "void" | "keep_as_draft";
  /** Days from the account's present to the scheduled end; "period" is the end of the period. */
  readonly ends?: number | "period";
  readonly isForeign?: true;
};

/** By the customer's place: a small account gets the first ones. */
const PLANS: Readonly<Record<string, Plan>> = {
  supporter: { items: [{ unit: "4900" }], coupon: "supporter" },
  yearly: { items: [{ unit: "99900", interval: "year" }] },
  tiered: { items: [{}] },
  ending: { items: [{ unit: "2900" }], ends: "period" },
  failing: { items: [{ unit: "1900" }], status: "past_due" },
  paused: { items: [{ unit: "7900" }], pause: "void" },
  foreign: { items: [{ unit: "5000" }], isForeign: true },
  quarterly: { items: [{ unit: "25000", every: 3 }], coupon: "launch" },
  weekly: { items: [{ unit: "1500", interval: "week" }], coupon: "welcome" },
  daily: { items: [{ unit: "100", interval: "day" }], pause: "keep_as_draft" },
  monthly: { items: [{ unit: "4900" }] },
  trial: { items: [{ unit: "4900" }], status: "trialing" },
  metered: { items: [{ unit: "4900" }, { unit: "0.35", isMetered: true, product: usage }] },
  seats: {
    items: [
      { unit: "1200", quantity: 5, product: team, coupon: "team" },
      { unit: "900", quantity: 250, per: 100, product: usage },
      { unit: "0.35", quantity: 1234, product: usage },
    ],
    customerCoupon: "supporter",
  },
  mixed: { items: [{ unit: "4900" }, { unit: "12000", interval: "year" }], ends: 400, coupon: "legacy" },
  gift: { items: [{ unit: "10000", interval: "year", every: 2 }], coupon: "friend" },
};
const ALL_PLANS = Object.values(PLANS);

function planOf(n: number): Plan {
  return ALL_PLANS[n % ALL_PLANS.length] ?? { items: [] };
}

function addCoupons({ account, home, until }: Seed): void {
  for (const coupon of Object.values(COUPONS)) {
    const currency = "amount_off" in coupon ? home : null;
    account.coupons.push(aCoupon({ ...coupon, created: until - HISTORY, currency, livemode: account.livemode }));
  }
}

type SubscriptionSpec = {
  readonly created?: UnixSeconds;
  readonly endedAt?: UnixSeconds;
  readonly reason?: CancellationReason;
};

/** A subscription to the customer's plan. Returns its id. */
function addSubscription(seed: Seed, customer: Customer, status: SubscriptionStatus, spec: SubscriptionSpec = {}) {
  const plan = planOf(customer.n);
  const id = seed.id("sub");
  const product = pick(seed, [starter, pro, team]);
  const currency = plan.isForeign === true ? (seed.others[0] ?? seed.home) : seed.home;
  const periodEnd = seed.until + 30 * DAY + customer.n * 3_600;
  const added = aSubscription({
    id,
    cancel_at_period_end: plan.ends === "period",
    cancellation_details: { reason: spec.reason ?? null },
    created: spec.created ?? customer.since,
    currency,
    customer: customer.id,
    discounts: discountsBy(plan.coupon, { id: id.replace(/^sub/, "di"), subscription: id }),
    items: plan.items.map((item, n) => itemOf(item, { product, ...item }.product, currency, { id, n, periodEnd })),
    livemode: seed.account.livemode,
    pause_collection: plan.pause === undefined ? null : { behavior: plan.pause, resumes_at: null },
    status,
    trial_end: status === "trialing" ? periodEnd : null,
    ...(typeof plan.ends === "number" && { cancel_at: seed.until + plan.ends * DAY }),
    ...(spec.endedAt !== undefined && { ended_at: spec.endedAt }),
  });
  seed.account.subscriptions.push(added);
  return id;
}

function itemOf(
  spec: ItemSpec,
  product: string,
  currency: string,
  place: { readonly id: string; readonly n: number; readonly periodEnd: UnixSeconds },
): StripeSubscriptionItem {
  const { interval = "month", every = 1, quantity = 1 } = spec;
  const usage_type = spec.isMetered === true ? "metered" : "licensed";
  const id = `${place.id.replace(/^sub/, "si")}${place.n}`;
  const price = aPrice({
    id: `price_${[product.slice(5), spec.unit ?? "tiers", interval, every, usage_type, currency].join("").replace(".", "x")}`,
    billing_scheme: spec.unit === undefined ? "tiered" : "per_unit",
    currency,
    product,
    recurring: { interval, interval_count: every, usage_type },
    transform_quantity: spec.per === undefined ? null : { divide_by: spec.per, round: "up" },
    unit_amount_decimal: spec.unit ?? null,
  });
  return aSubscriptionItem({
    id,
    current_period_end: place.periodEnd,
    current_period_start: place.periodEnd - 30 * DAY,
    discounts: discountsBy(spec.coupon, { id: id.replace(/^si/, "di"), subscription_item: id }),
    price,
    ...(spec.isMetered !== true && { quantity }),
  });
}

function discountsBy(coupon: CouponName | undefined, on: Partial<StripeDiscount>): StripeDiscount[] {
  return coupon === undefined ? [] : [aDiscount({ coupon: COUPONS[coupon].id, ...on })];
}

/** Gives the first customers the plans that their histories left out, and one of them a discount of its own. */
function addPlans(seed: Seed, customers: readonly Customer[]): void {
  const { account } = seed;
  const subscribed = new Set(account.subscriptions.map(({ customer }) => customer));
  for (const customer of customers.slice(0, 14)) {
    const { customerCoupon, status = "active" } = planOf(customer.n);
    if (!subscribed.has(customer.id)) addSubscription(seed, customer, status);
    if (status === "past_due")
      addCharge(seed, { customer: customer.id, at: seed.until - 3 * DAY, cents: 1_900, state: "failed" });
    const [discount = null] = discountsBy(customerCoupon, { id: seed.id("di"), customer: customer.id });
    const at = account.customers.findIndex(({ id }) => id === customer.id);
    const known = account.customers[at];
    if (known !== undefined) account.customers[at] = { ...known, discount };
  }
}

// ------------------------------------------------------------- Customers ----

const [FIRST_NAMES = [], LAST_NAMES = []] = [
  "Ada Björn Chiara Dmitri Émile Fatima Grace Hiroshi Inês Jürgen Keiko Liam María Noor Oluwaseun Priya Quentin Renée Søren Tomás",
  "Abe Brandt Cruz Dubois Eriksen Fischer García Hopper Ito Jansen Kowalski Lovelace Mbeki Nguyen O'Brien Petrov Quist Rossi Šimić Turing",
].map((names) => names.split(" "));
const FREE_MAIL = ["gmail.com", "outlook.com", "icloud.com"] as const;

function firstName(n: number): string {
  return FIRST_NAMES[n % FIRST_NAMES.length] ?? "Ada";
}

function lastName(n: number): string {
  return LAST_NAMES[(n * 7 + Math.floor(n / 20)) % LAST_NAMES.length] ?? "Abe";
}

function addressOf(n: number): string {
  const ascii = `${firstName(n)}.${lastName(n)}`.normalize("NFD").replace(/[^A-Za-z.]/g, "");
  const domain = n % 6 === 2 ? FREE_MAIL[n % FREE_MAIL.length] : `company${Math.floor(n / 2)}.com`;
  return `${ascii.toLowerCase()}${n}@${domain}`;
}

/** The e-mail as Stripe has it: as typed, missing, or the one that an earlier customer already has. */
function typedAddress(n: number): string | null {
  if (n % 23 === 5 || n % 29 === 7) return null;
  if (n % 13 === 4) return `  ${addressOf(n).replace(/^./, (letter) => letter.toUpperCase())} `;
  if (n % 11 === 6) return addressOf(n - 1).toUpperCase();
  if (n % 31 === 9) return addressOf(n - 1 - (n % 3));
  return addressOf(n);
}

function addCustomer(seed: Seed, n: number): Customer {
  const { account, until } = seed;
  // A third came at once, by an import: more than a page of them share one second in an account of 400.
  const since = n % 3 === 1 ? until - HISTORY + 30 * DAY : until - between(seed, 200 * DAY, HISTORY);
  const customer = { id: seed.id("cus"), n, since };
  if (n % 19 === 8) {
    account.deletedCustomerIds.push(customer.id);
    return customer;
  }
  const email = typedAddress(n);
  const isNameless = n % 17 === 3 || n % 29 === 7;
  const name = isNameless && email === email?.trim().toLowerCase() ? null : `${firstName(n)} ${lastName(n)}`;
  account.customers.push(
    aCustomer({
      id: customer.id,
      created: since,
      currency: seed.home,
      email,
      livemode: account.livemode,
      name: n % 29 === 7 ? null : name,
    }),
  );
  return customer;
}

// ----------------------------------------------------------------- Cases ----
// Each gives one customer a history. Together they hold every trap that this project knows of.

/** A customer's life, with verbs for what happens at `at` unless told otherwise. */
type Life = ReturnType<typeof liveAs>;
type Case = (life: Life) => void;

function liveAs(seed: Seed, { id, n, since }: Customer) {
  const at = someTime(seed, since);
  return {
    seed,
    since,
    /** The place among all customers. */
    n,
    /** A moment at least ten days before the account's present. */
    at,
    charge: (cents: number, spec?: Partial<ChargeSpec>) => addCharge(seed, { customer: id, at, cents, ...spec }),
    invoice: (lines: readonly LineSpec[], spec?: Partial<InvoiceSpec>) =>
      addInvoice(seed, { customer: id, at, lines, ...spec }),
    subscribe: (status: SubscriptionStatus, spec?: SubscriptionSpec) =>
      addSubscription(seed, { id, n, since }, status, spec),
  };
}

function someTime(seed: Seed, since: UnixSeconds): UnixSeconds {
  return between(seed, since, seed.until - 10 * DAY);
}

function timeIn({ seed, since, at }: Life, era: Era): UnixSeconds {
  if (era === "since") return someTime(seed, Math.max(BASIL, since));
  // An account that still uses an older API version captures in the old way to this day.
  return since < BASIL - DAY ? between(seed, since, BASIL - 1) : at;
}

function anyLine(seed: Seed): LineSpec {
  const product = pick(seed, [starter, pro, pro, proYearly, team, seats, usage, proLegacy, onboarding]);
  return [between(seed, 500, 29_999), product];
}

const freeSignUp: Case = () => undefined;

const subscriber: Case = ({ seed, since, invoice, subscribe }) => {
  const currency = anyCurrency(seed);
  const subscription = subscribe("active");
  const start = between(seed, since, seed.until - 130 * DAY);
  const product = pick(seed, [starter, pro, team, proYearly]);
  const cents = between(seed, 900, 24_900);
  const months = Math.min(between(seed, 3, 9), Math.floor((seed.until - start - 10 * DAY) / (30 * DAY)));
  for (let month = 0; month < months; month += 1) {
    const lines: LineSpec[] = [[cents, product]];
    if (seed.random() < 0.3) lines.unshift([between(seed, 1, 4_999), usage]);
    if (seed.random() < 0.2) lines.unshift([-between(seed, 1, 400), product]);
    if (seed.random() < 0.2) lines.push([0, seats]);
    const settlement = anySettlement(seed, currency);
    invoice(lines, { at: start + month * 30 * DAY, currency, settlement, subscription });
  }
};

/** Single payments; only about half of them have an invoice, and with it a product. */
const oneOffs: Case = ({ seed, since, charge, invoice }) => {
  const currency = anyCurrency(seed);
  for (let n = between(seed, 1, 5); n > 0; n -= 1) {
    const payment = { at: someTime(seed, since), currency, settlement: anySettlement(seed, currency) };
    if (seed.random() < 0.5) invoice([anyLine(seed)], payment);
    else charge(between(seed, 300, 19_900), payment);
  }
};

/** A partial capture of one kind, of which a part was given back: nothing, less or more than was released, or all. */
function partialCapture(era: Era, givenBack: "nothing" | "little" | "released" | "much" | "all"): Case {
  return (life) => {
    const { seed, charge } = life;
    const cents = between(seed, 8_000, 40_000);
    const released = Math.floor(cents * (0.12 + seed.random() * 0.2));
    const capturedCents = cents - released;
    const givenBackCents = {
      nothing: 0,
      little: Math.floor(released / 3),
      released,
      much: released + between(seed, 1, Math.floor(capturedCents / 3)),
      all: capturedCents,
    }[givenBack];
    const at = timeIn(life, era);
    charge(cents, { at, capturedCents, givenBackCents, era });
    charge(between(seed, 500, 5_000), { at: at + DAY });
  };
}

function unreadableCapture(life: Life): void {
  const at = timeIn(life, "before");
  const capture = { at, capturedCents: 20_300, era: "before", settlement: "none" } as const;
  life.charge(20_675, capture);
  life.charge(20_675, { ...capture, at: at + DAY, givenBackCents: 1_000 });
}

/** An invoice of so many lines and one, most of them usage, some credits, some free. */
function longInvoice(count: number): Case {
  return ({ seed, invoice, subscribe }) => {
    const lines = Array.from({ length: count }, (_, n): LineSpec => {
      const product = seed.random() < 0.7 ? usage : pick(seed, [seats, team, gift]);
      return [n % 9 === 4 ? -between(seed, 1, 150) : n % 7 === 3 ? 0 : between(seed, 150, 3_000), product];
    });
    // Subscription lines come after prorations and items, so the dearest one is the last.
    invoice([...lines, [49_900, team]], { subscription: subscribe("active") });
  };
}

/** A paying customer whose one subscription has this status. */
function withStatus(status: SubscriptionStatus, reason?: CancellationReason): Case {
  return (life) => {
    oneOffs(life);
    life.subscribe(status, status !== "canceled" ? {} : { endedAt: life.at, ...(reason !== undefined && { reason }) });
  };
}

/** What is about other currencies; in an account that has none it is a plain customer. */
function abroad(history: (life: Life, currency: string) => void): Case {
  return (life) => (life.seed.others.length === 0 ? oneOffs(life) : history(life, foreignCurrency(life.seed)));
}

function foreignCapture(era: Era): Case {
  return abroad((life, currency) => {
    const at = timeIn(life, era);
    const capture = { capturedCents: 21_000, currency, era };
    life.charge(30_000, { ...capture, at });
    life.charge(30_000, { ...capture, at: at + 60, givenBackCents: 500 });
    life.charge(30_000, { ...capture, at: at + 120, givenBackCents: 10_001 });
    life.invoice([anyLine(life.seed)], { at, currency, withoutCharge: true });
  });
}

/** The first ones are the most telling: a small account gets only these. */
const CASES: Readonly<Record<string, Case>> = {
  subscriber,
  lines27: longInvoice(26),
  oldCapture: partialCapture("before", "nothing"),
  oneOffs,
  partlyRefunded({ seed, at, charge, invoice }) {
    const currency = anyCurrency(seed);
    const cents = between(seed, 5_000, 60_000);
    invoice([[4_900, pro]], { currency });
    charge(cents, { at: at + DAY, currency, givenBackCents: between(seed, 1, cents - 1) });
  },
  paidOutside({ seed, at, invoice }) {
    const lines: LineSpec[] = [anyLine(seed), [50_000, team]];
    invoice(lines, { outsideCents: lines.reduce((sum, [cents]) => sum + cents, 0) });
    invoice(lines, { at: at + DAY, outsideCents: 12_345 });
  },
  foreignInvoices: abroad(({ seed, at, invoice }, currency) => {
    const lines: LineSpec[] = [anyLine(seed), anyLine(seed), [101, gift]];
    invoice(lines, { currency, taxCents: 7 });
    invoice(lines, { at: at + DAY, currency, settlement: "own" });
    invoice([anyLine(seed)], { at: at + 2 * DAY });
  }),
  freeSignUp,
  withoutProduct({ at, invoice }) {
    const byHand: LineSpec[] = [
      [15_000, null],
      [7_777, consulting],
    ];
    invoice([...byHand, [1_111, VANISHED_PRODUCT], [3_333, proLegacy, "old"], [2_222, gift, "old"]]);
    invoice(byHand, { at: at + DAY, taxCents: 1 });
  },
  whollyRefunded({ at, charge, invoice }) {
    for (const cents of [4_900, 12_345]) charge(cents, { at: at + cents, givenBackCents: cents });
    // Its invoice stays paid in full: a refund does not touch it.
    invoice([[4_900, pro]], { withoutCharge: true });
  },
  endedByFailure: withStatus("canceled", "payment_failed"),
  discounted({ seed, at, invoice }) {
    invoice([anyLine(seed), anyLine(seed), [10_001, pro]], { discountCents: 3_333, taxCents: 1_927 });
    // A discount of all: paid, with nothing paid.
    invoice([[2_000, starter]], { at: at + DAY, discountCents: 2_000 });
  },
  newCapture: partialCapture("since", "much"),
  everyCurrency: abroad(({ seed, at, charge }) => {
    for (const [n, currency] of [seed.home, ...seed.others].entries())
      charge(between(seed, 1_000, 50_000), { at: at + n * 60, currency });
  }),
  oldCaptureRefunded: partialCapture("before", "much"),
  canceledAuthorisations({ at, charge }) {
    charge(5_000, { state: "canceled", era: "before" });
    charge(5_000, { state: "canceled", era: "since", at: at + 60 });
    charge(7_500, { state: "authorised", at: at + 120 });
    charge(5_000, { at: at + 180 });
  },
  failedAndPending({ at, charge }) {
    charge(19_900, { state: "failed" });
    charge(19_900, { at: at + 300 });
    charge(80_000, { state: "pending", at: at + DAY });
  },
  disputed({ seed, at, charge, subscribe }) {
    charge(between(seed, 2_000, 30_000), { disputed: true });
    subscribe("canceled", { endedAt: at + 9 * DAY, reason: "payment_disputed" });
  },
  unpaidInvoices({ seed, at, invoice }) {
    const line = anyLine(seed);
    for (const status of ["draft", "open", "void", "uncollectible"] as const) invoice([line], { status });
    // Partly paid: the charge counts, the invoice is not split before it is paid.
    invoice([[90_000, team]], { at: at + DAY, status: "open", paidCents: 30_000 });
  },
  paidLate({ seed: { until }, invoice }) {
    invoice([[33_300, pro]], { at: until - 20 * DAY });
    invoice([[33_300, pro]], { at: until - 9 * DAY, paidAt: until + 3_600 });
  },
  severalSubscriptions(life) {
    const { seed, since, subscribe } = life;
    oneOffs(life);
    const endedAt = between(seed, since + DAY, seed.until - 60 * DAY);
    subscribe("canceled", { endedAt, reason: "payment_failed" });
    subscribe("canceled", { endedAt: endedAt + DAY, reason: "cancellation_requested" });
    subscribe("incomplete_expired", { created: since + 5 });
    if (life.n % 2 === 1) for (const status of ["past_due", "trialing"] as const) subscribe(status);
  },
  lines10: longInvoice(9),
  lines11: longInvoice(10),
  lines100: longInvoice(99),
  lines241: longInvoice(240),
  noPositiveLine({ at, invoice }) {
    const credit: LineSpec[] = [
      [-1_500, pro],
      [-20, null],
    ];
    invoice(credit, { balanceCents: 9_000 });
    invoice([[0, starter]], { at: at + DAY, taxCents: 1_200 });
  },
  creditBalance({ at, invoice }) {
    invoice([[6_000, team]], { balanceCents: -2_500 });
    invoice([[6_000, team]], { at: at + DAY, balanceCents: -6_000 });
  },
  // An invoice marked paid without a charge behind it: the product columns exceed the total.
  receiptInvoice({ at, invoice }) {
    invoice([[24_000, proYearly]]);
    invoice([[24_000, proYearly]], { at: at + 5, withoutCharge: true });
  },
  unevenSplit({ at, invoice }) {
    const thirds = [starter, pro, team].map((product): LineSpec => [333, product]);
    invoice(thirds, { taxCents: 2 });
    invoice(thirds, { at: at + 1, discountCents: 2 });
  },
  sameSecond({ charge }) {
    for (let n = 0; n < 7; n += 1) charge(1_000 + n);
  },
  lastOneFailed(life) {
    const { seed, since, subscribe } = life;
    oneOffs(life);
    const endedAt = between(seed, since + DAY, seed.until - 60 * DAY);
    subscribe("canceled", { endedAt: endedAt + DAY, reason: "payment_failed" });
    subscribe("canceled", { endedAt, reason: "cancellation_requested" });
    subscribe("paused");
  },
  abandonedSignUp({ since, charge, subscribe }) {
    subscribe("incomplete_expired");
    charge(4_900, { at: since + 60, state: "failed" });
  },
  refundedOnce({ seed, at, charge }) {
    charge(9_900, { givenBackCents: 9_900 });
    charge(between(seed, 1_000, 9_900), { at: at + DAY });
  },
  onlyCanceledAuthorisation: ({ charge }) => charge(10_000, { state: "canceled", era: "before" }),
  newCaptureKept: partialCapture("since", "nothing"),
  newCaptureLittleBack: partialCapture("since", "little"),
  newCaptureReleasedBack: partialCapture("since", "released"),
  newCaptureAllBack: partialCapture("since", "all"),
  oldCaptureReleasedBack: partialCapture("before", "released"),
  oldCaptureAllBack: partialCapture("before", "all"),
  unreadableCapture,
  trialing: withStatus("trialing"),
  pastDue: withStatus("past_due"),
  unpaid: withStatus("unpaid"),
  paused: withStatus("paused"),
  incomplete: withStatus("incomplete"),
  endedByRequest: withStatus("canceled", "cancellation_requested"),
  endedByDispute: withStatus("canceled", "payment_disputed"),
  endedWithoutReason: withStatus("canceled"),
  notConvertible: abroad(({ at, charge }, currency) => {
    charge(10_000, { currency, settlement: "own" });
    charge(11_000, { at: at + 60, currency, settlement: "none" });
    charge(12_000, { at: at + 120 });
  }),
  // Its charge in that currency was a guest's: there is no rate to convert the invoice by.
  foreignInvoiceOnly: abroad(({ at, charge, invoice }, currency) => {
    charge(8_800);
    charge(12_000, { customer: null, at: at + 60, currency });
    invoice([[12_000, team]], { at: at + 50, currency, withoutCharge: true });
  }),
  oldForeignCapture: foreignCapture("before"),
  newForeignCapture: foreignCapture("since"),
};

const ALL_CASES = Object.values(CASES);

/** The case of the n-th customer: every trap once, then two plain customers for each further trap. */
function caseOf(n: number): Case {
  if (n < ALL_CASES.length) return ALL_CASES[n] ?? subscriber;
  if (n % 3 === 1) return subscriber;
  if (n % 12 === 5) return freeSignUp;
  if (n % 3 === 2) return oneOffs;
  return ALL_CASES[Math.floor(n / 3) % ALL_CASES.length] ?? subscriber;
}

// -------------------------------------------------------------- Accounts ----

/** An account with every trap that real ones have; all of them from about 60 customers up. */
export function seedAccount(options: SeedOptions): StripeAccount {
  const seed = openSeed(options);
  const { account } = seed;
  seedProducts(account, seed.until - HISTORY);
  addCoupons(seed);
  const customers = Array.from({ length: options.customers }, (_, n) => {
    const customer = addCustomer(seed, n);
    caseOf(n)(liveAs(seed, customer));
    return customer;
  });
  addGuests(seed, Math.ceil(options.customers / 20));
  if (options.customers >= ALL_CASES.length) addBurst(seed);
  addPlans(seed, customers);
  cancelOfDeleted(account);
  return account;
}

/** A deleted customer has no living subscription: the deletion canceled it. */
function cancelOfDeleted(account: StripeAccount): void {
  const deleted = new Set(account.deletedCustomerIds);
  account.subscriptions = account.subscriptions.map((subscription, n) => {
    if (!deleted.has(subscription.customer) || subscription.ended_at !== null) return subscription;
    const ended_at = subscription.created + 100 * DAY + n;
    return { ...subscription, status: "canceled", canceled_at: ended_at, ended_at };
  });
}

function addGuests(seed: Seed, count: number): void {
  for (let n = 0; n < count; n += 1) {
    const at = seed.until - between(seed, 10 * DAY, HISTORY);
    const cents = between(seed, 500, 20_000);
    const currency = anyCurrency(seed);
    const givenBackCents = n % 4 === 3 ? 250 : 0;
    const settlement = anySettlement(seed, currency);
    addCharge(seed, { customer: null, at, cents, currency, givenBackCents, settlement });
  }
}

/** More than a page of charges, and as many invoices, in one second: a job that bills everybody at midnight. */
function addBurst(seed: Seed): void {
  const { account } = seed;
  const at = Math.floor((seed.until - 40 * DAY) / DAY) * DAY;
  const payers = new Set<string>();
  for (const { customer, status, refunded, created } of account.charges)
    if (customer !== null && status === "succeeded" && !refunded && created < at) payers.add(customer);
  const ids = [...payers];
  for (let n = 0; n < 130 && ids.length > 0; n += 1) {
    const customer = ids[n % ids.length] ?? "";
    addInvoice(seed, { customer, at, lines: [[100 + n, usage]] });
  }
}

export type SeedPerson = {
  readonly firstName: string;
  readonly lastName: string;
  readonly emailAddresses: readonly string[];
  /** The domain of the company to link; null for a person without one. */
  readonly companyDomain: string | null;
};

/**
 * People for the CRM beside a seeded account: about two thirds of its addresses have one. Some have several addresses,
 * some an address with capitals, some no company; no address belongs to two people, and a few people never paid.
 */
export function seedPeople(account: StripeAccount): SeedPerson[] {
  const people: SeedPerson[] = [];
  const names = new Map<string, string>();
  for (const { email, name } of account.customers) {
    const address = email?.trim().toLowerCase();
    if (address !== undefined && !names.has(address)) names.set(address, name ?? "Someone Unnamed");
  }
  const known = [...names.keys()];
  let n = 0;
  while (n < known.length) {
    const own = known[n] ?? "";
    const place = n;
    n += 1;
    if (place % 3 === 2) continue;
    const emailAddresses = [own];
    if (place % 12 === 3) emailAddresses.push(known[n++] ?? `private${place}@gmail.com`);
    if (place % 10 === 4) emailAddresses.unshift(`work${place}@elsewhere.com`);
    if (place % 8 === 1)
      emailAddresses[0] = (emailAddresses[0] ?? own).replace(/(^|\.)[a-z]/g, (start) => start.toUpperCase());
    const domain = own.split("@")[1] ?? "";
    const hasCompany = domain.startsWith("company") && place % 9 !== 4;
    const [first = "Someone", ...last] = (names.get(own) ?? "").split(" ");
    const companyDomain = hasCompany ? domain : null;
    people.push({ firstName: first, lastName: last.join(" "), emailAddresses, companyDomain });
  }
  for (const [place, firstName] of ["Never", "Paid", "Anything"].entries()) {
    const emailAddresses = [`${firstName.toLowerCase()}@stranger.com`];
    people.push({ firstName, lastName: lastName(place), emailAddresses, companyDomain: null });
  }
  return people;
}

export type LargeOptions = {
  readonly charges: number;
  readonly invoices: number;
  readonly customers: number;
  readonly subscriptions: number;
  readonly seed: number;
  /** The share of charges whose net depends on their balance transaction. */
  readonly partialCaptureShare?: number;
  /** The share of invoices with 24 lines instead of one. */
  readonly longInvoiceShare?: number;
  /** The share of subscriptions with a discount, by one of a few coupons. */
  readonly discountShare?: number;
  readonly until?: UnixSeconds;
};

/** A big plain account in usd, for benchmarks: five years of growth, every customer pays. */
export function largeAccount(options: LargeOptions): StripeAccount {
  const { until = UNTIL } = options;
  const seed = openSeed({ customers: 0, seed: options.seed, until });
  seedProducts(seed.account, until - HISTORY);
  addCoupons(seed);
  /** The n-th of so many moments, oldest first, ever closer together. */
  const moment = (n: number, of: number): UnixSeconds =>
    until - HISTORY + Math.floor(HISTORY * Math.sqrt((n + seed.random()) / of));
  for (let n = 0; n < options.customers; n += 1) {
    const created = moment(n, options.customers);
    const known = { id: stripeId("cus", n), email: addressOf(n), name: `Customer ${n}` };
    seed.account.customers.push(aCustomer({ ...known, created }));
  }
  for (let n = 0; n < options.charges; n += 1) addPlainCharge(seed, options, n, moment(n, options.charges));
  for (let n = 0; n < options.invoices; n += 1) addPlainInvoice(seed, options, n, moment(n, options.invoices));
  for (let n = 0; n < options.subscriptions; n += 1)
    addPlainSubscription(seed, options, n, moment(n, options.subscriptions));
  return seed.account;
}

function addPlainCharge(seed: Seed, options: LargeOptions, n: number, created: UnixSeconds): void {
  const amount = between(seed, 500, 20_499);
  const released = seed.random() < (options.partialCaptureShare ?? 0) ? Math.floor(amount / 5) : 0;
  const [id, transaction] = [stripeId("ch", n), stripeId("txn", n)];
  seed.account.charges.push(
    aCharge({
      id,
      amount,
      amount_captured: amount - released,
      amount_refunded: released,
      balance_transaction: transaction,
      created,
      customer:
        n < options.customers ? stripeId("cus", n) : stripeId("cus", Math.floor(seed.random() * options.customers)),
      payment_intent: stripeId("pi", n),
      refunded: false,
    }),
  );
  seed.account.balanceTransactions.push(aBalanceTransaction({ id: transaction, amount, created, source: id }));
}

function addPlainInvoice(seed: Seed, options: LargeOptions, n: number, created: UnixSeconds): void {
  const count = seed.random() < (options.longInvoiceShare ?? 0) ? 24 : 1;
  const products = Object.values(PRODUCTS).map(([id]) => id);
  const lines = Array.from({ length: count }, (_, line) => {
    const product = products[between(seed, 0, products.length - 1)] ?? pro;
    return anInvoiceLine({ id: stripeId("il", n * 32 + line), amount: between(seed, 500, 20_499), product });
  });
  seed.account.invoices.push(
    anInvoice({
      id: stripeId("in", n),
      created,
      customer: stripeId("cus", Math.floor(seed.random() * options.customers)),
      lines,
    }),
  );
}

function addPlainSubscription(seed: Seed, options: LargeOptions, n: number, created: UnixSeconds): void {
  const coupons = Object.keys(COUPONS) as CouponName[];
  const coupon = seed.random() < (options.discountShare ?? 0) ? coupons[n % coupons.length] : undefined;
  const id = stripeId("sub", n);
  seed.account.subscriptions.push(
    aSubscription({
      id,
      created,
      customer: stripeId("cus", n % options.customers),
      discounts: discountsBy(coupon, { id: stripeId("di", n), subscription: id }),
      status: n % 5 === 4 ? "canceled" : "active",
    }),
  );
}
