// objects.ts - builders of Stripe objects in their full published shape, as of API 2026-10-28.endive.
//
// The types are Stripe's own (the package `stripe`, needed to check types only, never to run): a field that they require
// and that is missing here does not compile. What follows from something else follows (an invoice's amounts from its
// lines, a plan from its price); everything else holds something plausible. Nested plain values are shared between
// objects: build a changed copy with the builder or a spread, never write into one.

import type Stripe from "stripe";

/** Seconds since 1970, as everywhere in Stripe's API. */
export type UnixSeconds = number;

/** Stripe's type as it travels where nothing is expanded: ids in the place of objects, decimals as text. */
type Wire<Type> = Type extends string | number | boolean | null | undefined | void
  ? Type
  : Type extends Stripe.Decimal
    ? string
    : { readonly [Field in keyof Type]: Wire<Unexpanded<Type[Field]>> };

type Unexpanded<Value> = [Extract<Value, string>] extends [never] ? Value : Exclude<Value, { readonly object: string }>;

/** A type with some of its fields replaced. */
type With<Type, Fields> = Omit<Type, keyof Fields> & Fields;

const DEFAULT_CREATED: UnixSeconds = 1_767_225_600; // 2026-01-01
const DEFAULT_PERIOD = { current_period_start: DEFAULT_CREATED, current_period_end: 1_769_904_000 };
const NO_ADDRESS = { city: null, country: null, line1: null, line2: null, postal_code: null, state: null };

type Word<Text extends string> = Text extends `${infer First} ${infer Rest}` ? First | Word<Rest> : Text;

/** Fields that have nothing to say, by their names. */
function nulls<Text extends string>(...texts: readonly Text[]): Readonly<Record<Word<Text>, null>> {
  const fields = texts.flatMap((text) => text.split(" "));
  return Object.fromEntries(fields.map((field) => [field, null])) as Readonly<Record<Word<Text>, null>>;
}

let built = 0;

/** An id in Stripe's shape for the object number `n`: `ch_3Q…` with 24 characters, `cus_…` with 14. */
export function stripeId(prefix: string, n: number): string {
  const digits = n.toString(36).toUpperCase().padStart(7, "0");
  const isShort = prefix === "cus" || prefix === "prod" || prefix === "si";
  return isShort ? `${prefix}_Sbx${digits}Kd3v` : `${prefix}_1Sbx${digits}B7WZ01zgkWmQ9`;
}

function nextId(prefix: string): string {
  built += 1;
  return stripeId(prefix, 1_000_000_000 + built);
}

// ---------------------------------------------------------------- Charge ----

export type StripeCharge = Wire<Stripe.Charge>;

const CARD = {
  ...nulls("amount_authorized authorization_code installments mandate three_d_secure transaction_link_id wallet"),
  brand: "visa",
  checks: { address_line1_check: null, address_postal_code_check: "pass", cvc_check: "pass" },
  country: "US",
  electronic_commerce_indicator: "05",
  exp_month: 8,
  exp_year: 2030,
  extended_authorization: { status: "disabled" },
  fingerprint: "AOB934RVNwzk6xtn",
  funding: "credit",
  incremental_authorization: { status: "unavailable" },
  last4: "4242",
  multicapture: { status: "unavailable" },
  network: "visa",
  network_token: { used: false },
  network_transaction_id: "817263554120934",
  overcapture: { maximum_amount_capturable: 100, status: "unavailable" },
  regulated_status: "unregulated",
} satisfies Partial<Wire<Stripe.Charge.PaymentMethodDetails.Card>>;

const CHARGE = {
  ...nulls(
    "application application_fee application_fee_amount failure_balance_transaction failure_code failure_message",
    "on_behalf_of receipt_email receipt_number review shipping source source_transfer statement_descriptor",
    "statement_descriptor_suffix transfer_data transfer_group",
  ),
  billing_details: { address: NO_ADDRESS, email: "jenny@example.com", name: "Jenny Rosen", phone: null, tax_id: null },
  calculated_statement_descriptor: "SANDBOX GMBH",
  description: "Subscription update",
  fraud_details: {},
  metadata: {},
  outcome: {
    advice_code: null,
    network_advice_code: null,
    network_decline_code: null,
    network_status: "approved_by_network",
    reason: null,
    risk_level: "normal",
    risk_score: 23,
    seller_message: "Payment complete.",
    type: "authorized",
  },
  payment_method: "pm_1PgafuB7WZ01zgkWm3waTcFp",
  payment_method_details: { card: CARD, type: "card" },
  radar_options: {},
  receipt_url: "https://pay.stripe.com/receipts/payment/CAcaFwoVYWNjdF8xUGdhZlRCN1daMDF6Z2tXKI_ei7UGMgZv2S_KfiY6",
} satisfies Partial<StripeCharge>;

/**
 * A succeeded and fully captured charge of 10.00 usd unless told otherwise. Left to itself `amount_captured` follows
 * `amount`, `captured` and `status`, and `refunded` is true once `amount_refunded` reaches the captured amount.
 */
export function aCharge(overrides: Partial<StripeCharge> = {}): StripeCharge {
  const { amount = 1000, status = "succeeded", amount_refunded = 0 } = overrides;
  const captured = overrides.captured ?? status !== "failed";
  const amount_captured = overrides.amount_captured ?? (captured ? amount : 0);
  return {
    id: overrides.id ?? nextId("ch"),
    object: "charge",
    ...nulls("balance_transaction customer payment_intent"),
    amount,
    amount_captured,
    amount_refunded,
    captured,
    created: DEFAULT_CREATED,
    currency: "usd",
    disputed: false,
    livemode: true,
    paid: status === "succeeded",
    refunded: amount_refunded > 0 && amount_refunded >= amount_captured,
    status,
    ...CHARGE,
    ...overrides,
  };
}

export type StripeBalanceTransaction = Wire<Stripe.BalanceTransaction>;

/** The balance transaction of a charge, 10.00 usd unless told otherwise; the fee is about 2.9 % + 0.30. */
export function aBalanceTransaction(overrides: Partial<StripeBalanceTransaction> = {}): StripeBalanceTransaction {
  const { amount = 1000 } = overrides;
  const fee = overrides.fee ?? Math.round(amount * 0.029) + 30;
  return {
    id: overrides.id ?? nextId("txn"),
    object: "balance_transaction",
    amount,
    available_on: 1_767_398_400,
    balance_type: "payments",
    created: DEFAULT_CREATED,
    currency: "usd",
    description: "Subscription update",
    exchange_rate: null,
    fee,
    fee_details: [],
    net: amount - fee,
    reporting_category: "charge",
    source: "ch_1PgafuB7WZ01zgkWXYmPNZs8",
    status: "available",
    type: "charge",
    ...overrides,
  };
}

// --------------------------------------------------------------- Invoice ----

/** A line of an invoice; `price` is gone since 2025-03-31.basil, only there for a test that wants the older shape. */
export type StripeInvoiceLine = With<
  Wire<Stripe.InvoiceLineItem>,
  { readonly price?: { readonly id: string; readonly object: "price"; readonly product: string } }
>;

const SUBSCRIPTION_LINE = {
  invoice_item_details: null,
  subscription_item_details: {
    invoice_item: null,
    proration: false,
    proration_details: { credited_items: null },
    subscription: "sub_1Pgc6rB7WZ01zgkWNy0Cn5nw",
    subscription_item: "si_QXhVnC2h0Jczwc",
  },
  type: "subscription_item_details",
} satisfies StripeInvoiceLine["parent"];

/** An invoice line of 10.00 for `product`; with `product: null` an ad-hoc line, whose `pricing` names no product. */
export function anInvoiceLine(
  overrides: Partial<StripeInvoiceLine> & { readonly product?: string | null } = {},
): StripeInvoiceLine {
  const { product = "prod_QXg1hqf4jFNsqG", ...fields } = overrides;
  const { amount = 1000 } = fields;
  const price_details = { price: "price_1PgafmB7WZ01zgkW6dKueIc5", product: product ?? "" };
  return {
    id: fields.id ?? nextId("il"),
    object: "line_item",
    amount,
    currency: "usd",
    description: "1 × Pro (at $10.00 / month)",
    discount_amounts: [],
    discountable: true,
    discounts: [],
    invoice: "in_1Pgc6tB7WZ01zgkWu9fdqL6I",
    livemode: true,
    metadata: {},
    parent: SUBSCRIPTION_LINE,
    period: { end: DEFAULT_PERIOD.current_period_end, start: DEFAULT_PERIOD.current_period_start },
    pretax_credit_amounts: [],
    pricing: product === null ? null : { price_details, type: "price_details", unit_amount_decimal: String(amount) },
    quantity: 1,
    quantity_decimal: "1",
    subscription: "sub_1Pgc6rB7WZ01zgkWNy0Cn5nw",
    subtotal: amount,
    taxes: [],
    ...fields,
  };
}

export type InvoiceStatus = "draft" | "open" | "paid" | "uncollectible" | "void";

/** An invoice with ALL its lines, and with `amount_paid_off_stripe`: the peer sends ten, and the amount when asked. */
export type StripeInvoice = With<
  Wire<Stripe.Invoice>,
  {
    readonly lines: With<Wire<Stripe.Invoice>["lines"], { readonly data: readonly StripeInvoiceLine[] }>;
    readonly status: InvoiceStatus;
  }
>;

const INVOICE = {
  ...nulls(
    "account_tax_ids application automatically_finalizes_at custom_fields customer_account customer_phone",
    "customer_shipping default_payment_method default_source description due_date footer from_invoice",
    "last_finalization_error latest_revision next_payment_attempt on_behalf_of receipt_number shipping_cost",
    "shipping_details statement_descriptor subtotal_excluding_tax test_clock total_excluding_tax",
  ),
  account_country: "US",
  account_name: "Sandbox GmbH",
  amount_overpaid: 0,
  amount_shipping: 0,
  attempt_count: 1,
  attempted: true,
  auto_advance: false,
  automatic_tax: { disabled_reason: null, enabled: false, liability: null, provider: null, status: null },
  billing_reason: "subscription_cycle",
  collection_method: "charge_automatically",
  customer_address: NO_ADDRESS,
  customer_tax_exempt: "none",
  customer_tax_ids: [],
  default_tax_rates: [],
  discounts: [],
  effective_at: DEFAULT_CREATED,
  ending_balance: 0,
  hosted_invoice_url: "https://invoice.stripe.com/i/acct_1PgafTB7WZ01zgkW/live_YWNjdF8xUGdhZlRCN1daMDF6Z2tX?s=ap",
  invoice_pdf: "https://pay.stripe.com/invoice/acct_1PgafTB7WZ01zgkW/live_YWNjdF8xUGdhZlRCN1daMDF6Z2tX/pdf?s=ap",
  issuer: { type: "self" },
  metadata: {},
  number: "7FE1103-0001",
  payment_settings: { default_mandate: null, payment_method_options: null, payment_method_types: null },
  period_end: DEFAULT_CREATED,
  period_start: DEFAULT_CREATED,
  post_payment_credit_notes_amount: 0,
  pre_payment_credit_notes_amount: 0,
  rendering: { amount_tax_display: null, pdf: { page_size: "letter" }, template: null, template_version: null },
  starting_balance: 0,
  total_discount_amounts: [],
  total_pretax_credit_amounts: [],
  total_taxes: [],
  webhooks_delivered_at: DEFAULT_CREATED,
} satisfies Partial<StripeInvoice>;

/**
 * A paid invoice of one 10.00 usd line unless told otherwise. Takes ALL its `lines`: the peer embeds the first ten.
 * Left to themselves the amounts follow from the lines, and a paid invoice is paid when it was created.
 */
export function anInvoice(
  overrides: Partial<With<StripeInvoice, { readonly lines: readonly StripeInvoiceLine[] }>> = {},
): StripeInvoice {
  const { lines = [anInvoiceLine()], ...fields } = overrides;
  const { id = nextId("in"), currency = "usd", livemode = true, status = "paid" } = fields;
  const { created = DEFAULT_CREATED } = fields;
  let billed = 0;
  for (const line of lines) billed += line.amount;
  const total = fields.total ?? billed;
  const amount_due = fields.amount_due ?? Math.max(0, total);
  const amount_paid = fields.amount_paid ?? (status === "paid" ? amount_due : 0);
  return {
    id,
    object: "invoice",
    amount_due,
    amount_paid,
    amount_paid_off_stripe: 0,
    amount_remaining: amount_due - amount_paid,
    created,
    currency,
    customer: null,
    customer_email: null,
    customer_name: null,
    livemode,
    parent: null,
    status,
    status_transitions: {
      finalized_at: status === "draft" ? null : created,
      marked_uncollectible_at: status === "uncollectible" ? created : null,
      paid_at: status === "paid" ? created : null,
      voided_at: status === "void" ? created : null,
    },
    subtotal: billed,
    total,
    ...INVOICE,
    ...fields,
    lines: {
      object: "list",
      data: lines.map((line) => ({ ...line, invoice: id, currency, livemode })),
      has_more: false,
      url: `/v1/invoices/${id}/lines`,
    },
  };
}

export type StripeInvoicePayment = Wire<Stripe.InvoicePayment>;

/** A paid invoice payment of 10.00 usd through a payment intent, unless told otherwise. */
export function anInvoicePayment(overrides: Partial<StripeInvoicePayment> = {}): StripeInvoicePayment {
  const { amount_requested = 1000, status = "paid" } = overrides;
  return {
    id: overrides.id ?? nextId("inpay"),
    object: "invoice_payment",
    amount_paid: status === "paid" ? amount_requested : null,
    amount_requested,
    created: DEFAULT_CREATED,
    currency: "usd",
    invoice: "in_1Pgc6tB7WZ01zgkWu9fdqL6I",
    is_default: true,
    livemode: true,
    payment: { type: "payment_intent", payment_intent: "pi_1Pgc6tB7WZ01zgkWu9fdqL6I" },
    status,
    status_transitions: { canceled_at: null, paid_at: status === "paid" ? DEFAULT_CREATED : null },
    ...overrides,
  };
}

// ------------------------------------------- Customers, products, coupons ----

export type StripeCustomer = Wire<Stripe.Customer>;

/** A customer, Jenny Rosen unless told otherwise. */
export function aCustomer(overrides: Partial<StripeCustomer> = {}): StripeCustomer {
  return {
    id: overrides.id ?? nextId("cus"),
    object: "customer",
    ...nulls("customer_account default_source description discount phone shipping test_clock"),
    address: NO_ADDRESS,
    balance: 0,
    created: DEFAULT_CREATED,
    currency: "usd",
    delinquent: false,
    email: "jenny@example.com",
    invoice_prefix: "7FE1103",
    invoice_settings: { custom_fields: null, default_payment_method: null, footer: null, rendering_options: null },
    livemode: true,
    metadata: {},
    name: "Jenny Rosen",
    next_invoice_sequence: 2,
    preferred_locales: ["en-US"],
    tax_exempt: "none",
    ...overrides,
  };
}

/** What is left of a deleted customer when it is asked for by id, or expanded. */
export function aDeletedCustomer(id: string): { id: string; object: "customer"; deleted: true } {
  return { id, object: "customer", deleted: true };
}

export type StripeProduct = Wire<Stripe.Product>;

/** An active product named Pro unless told otherwise. */
export function aProduct(overrides: Partial<StripeProduct> = {}): StripeProduct {
  return {
    id: overrides.id ?? nextId("prod"),
    object: "product",
    ...nulls("description package_dimensions shippable tax_code tax_details unit_label url"),
    active: true,
    created: DEFAULT_CREATED,
    default_price: "price_1PgafmB7WZ01zgkW02Hf9z6c",
    images: [],
    livemode: true,
    marketing_features: [],
    metadata: {},
    name: "Pro",
    type: "service",
    updated: DEFAULT_CREATED,
    ...overrides,
  };
}

/** A coupon; the peer sends `applies_to` only where it is asked for. */
export type StripeCoupon = Wire<Stripe.Coupon>;

/** A coupon of 20 % off forever, unless told otherwise; with `amount_off` in usd and without a percentage. */
export function aCoupon(overrides: Partial<StripeCoupon> = {}): StripeCoupon {
  const { amount_off = null, duration = "forever" } = overrides;
  return {
    id: overrides.id ?? nextId("co"),
    object: "coupon",
    amount_off,
    created: DEFAULT_CREATED,
    currency: amount_off === null ? null : "usd",
    duration,
    duration_in_months: duration === "repeating" ? 3 : null,
    livemode: true,
    max_redemptions: null,
    metadata: {},
    name: "Early supporter",
    percent_off: amount_off === null ? 20 : null,
    redeem_by: null,
    times_redeemed: 1,
    valid: true,
    ...overrides,
  };
}

export type StripeDiscount = Wire<Stripe.Discount>;

/** A discount by `coupon` (an id; null where none is left), on nothing in particular unless told otherwise. */
export function aDiscount(
  overrides: Partial<StripeDiscount> & { readonly coupon?: string | null } = {},
): StripeDiscount {
  const { coupon = "co_1SbxSupporter20", ...fields } = overrides;
  return {
    id: fields.id ?? nextId("di"),
    object: "discount",
    ...nulls(
      "checkout_session customer customer_account end invoice invoice_item promotion_code subscription",
      "subscription_item",
    ),
    source: { coupon, type: "coupon" },
    start: DEFAULT_CREATED,
    ...fields,
  };
}

// --------------------------------------------------------- Subscriptions ----

export type StripePrice = Wire<Stripe.Price>;
type Recurring = NonNullable<StripePrice["recurring"]>;

const MONTHLY: Recurring = {
  interval: "month",
  interval_count: 1,
  meter: null,
  trial_period_days: null,
  usage_type: "licensed",
};

/**
 * A price of 20.00 usd a month unless told otherwise. Of `unit_amount` and `unit_amount_decimal` one is enough; a tiered
 * price has neither, and its tiers are not sent (they would have to be asked for).
 */
export function aPrice(
  overrides: Partial<With<StripePrice, { readonly recurring: Partial<Recurring> | null }>> = {},
): StripePrice {
  const { recurring = {}, billing_scheme = "per_unit", ...fields } = overrides;
  const isTiered = billing_scheme === "tiered";
  const decimal = fields.unit_amount_decimal ?? String(fields.unit_amount ?? 2000);
  return {
    id: fields.id ?? nextId("price"),
    object: "price",
    ...nulls("custom_unit_amount lookup_key nickname transform_quantity"),
    active: true,
    billing_scheme,
    created: DEFAULT_CREATED,
    currency: "usd",
    livemode: true,
    metadata: {},
    product: "prod_QXg1hqf4jFNsqG",
    recurring: recurring === null ? null : { ...MONTHLY, ...recurring },
    tax_behavior: "unspecified",
    tiers_mode: isTiered ? "graduated" : null,
    type: recurring === null ? "one_time" : "recurring",
    ...fields,
    unit_amount: isTiered || !/^-?\d+$/.test(decimal) ? null : Number(decimal),
    unit_amount_decimal: isTiered ? null : decimal,
  };
}

/** The older form of a price, which every subscription item still has. */
function planOf(price: StripePrice): Wire<Stripe.Plan> {
  const { id, active, billing_scheme, created, currency, livemode, metadata, nickname, product, tiers_mode } = price;
  const { transform_quantity, unit_amount, unit_amount_decimal, recurring } = price;
  const amounts = { amount: unit_amount, amount_decimal: unit_amount_decimal };
  const same = { active, billing_scheme, created, currency, livemode, metadata, nickname, product, tiers_mode };
  return { id, object: "plan", ...amounts, ...same, transform_usage: transform_quantity, ...(recurring ?? MONTHLY) };
}

/** A subscription item that holds its discounts themselves: the peer sends their ids unless they are expanded. */
export type StripeSubscriptionItem = With<
  Wire<Stripe.SubscriptionItem>,
  { readonly discounts: readonly StripeDiscount[] }
>;

/** One of `price` until 2026-02-01, unless told otherwise; without a quantity where the price is metered. */
export function aSubscriptionItem(
  overrides: Partial<Omit<StripeSubscriptionItem, "plan">> = {},
): StripeSubscriptionItem {
  const { price = aPrice() } = overrides;
  return {
    id: overrides.id ?? nextId("si"),
    object: "subscription_item",
    billing_thresholds: null,
    created: DEFAULT_CREATED,
    ...DEFAULT_PERIOD,
    current_trial: null,
    discounts: [],
    metadata: {},
    plan: planOf(price),
    price,
    ...(price.recurring?.usage_type === "metered" ? {} : { quantity: 1 }),
    subscription: "sub_1Pgc6rB7WZ01zgkWNy0Cn5nw",
    tax_rates: [],
    ...overrides,
  };
}

export type SubscriptionStatus =
  "active" | "canceled" | "incomplete" | "incomplete_expired" | "past_due" | "paused" | "trialing" | "unpaid";

export type CancellationReason =
  "cancellation_requested" | "payment_failed" | "payment_disputed" | "canceled_by_retention_policy";

type CancellationDetails = NonNullable<Wire<Stripe.Subscription>["cancellation_details"]>;

/** A subscription with ALL its items and its discounts themselves: the peer sends twenty, and ids unless expanded. */
export type StripeSubscription = With<
  Wire<Stripe.Subscription>,
  {
    readonly cancellation_details: With<CancellationDetails, { readonly reason: CancellationReason | null }>;
    readonly customer: string;
    readonly discounts: readonly StripeDiscount[];
    readonly items: With<Wire<Stripe.Subscription>["items"], { readonly data: readonly StripeSubscriptionItem[] }>;
    readonly status: SubscriptionStatus;
  }
>;

const SUBSCRIPTION = {
  ...nulls(
    "application application_fee_percent billing_cycle_anchor_config billing_thresholds customer_account",
    "days_until_due default_payment_method default_source description latest_invoice managed_payments",
    "next_pending_invoice_item_invoice on_behalf_of pause_collection pending_invoice_item_interval",
    "pending_setup_intent pending_update schedule test_clock transfer_data trial_end trial_start",
  ),
  automatic_tax: { disabled_reason: null, enabled: false, liability: null },
  billing_cycle_anchor: DEFAULT_CREATED,
  billing_mode: { flexible: null, type: "classic" },
  billing_schedules: [],
  collection_method: "charge_automatically",
  customer: "cus_QXg1o8vcGmoR32",
  default_tax_rates: [],
  discounts: [],
  invoice_settings: {
    account_tax_ids: null,
    custom_fields: null,
    description: null,
    footer: null,
    issuer: { type: "self" },
  },
  metadata: {},
  payment_settings: {
    payment_method_options: null,
    payment_method_types: null,
    save_default_payment_method: "off",
  },
  start_date: DEFAULT_CREATED,
  trial_settings: {
    end_behavior: { billing_cycle_anchor: "trial_end", missing_payment_method: "create_invoice" },
  },
} satisfies Partial<StripeSubscription>;

type SubscriptionOverrides = Partial<
  With<
    StripeSubscription,
    {
      readonly cancellation_details: Partial<StripeSubscription["cancellation_details"]>;
      readonly items: readonly StripeSubscriptionItem[];
      /** The product of its one item, where no `items` are given. */
      readonly product: string;
    }
  >
>;

/**
 * An active monthly subscription to `product` unless told otherwise. Takes ALL its `items`. A canceled one ends when it
 * was created, unless `ended_at` is given; one with `cancel_at_period_end` is canceled at the end of its last period.
 */
export function aSubscription(overrides: SubscriptionOverrides = {}): StripeSubscription {
  const { product = "prod_QXg1hqf4jFNsqG", cancellation_details, ...fields } = overrides;
  const { id = nextId("sub"), status = "active", created = DEFAULT_CREATED, currency = "usd" } = fields;
  const { livemode = true, cancel_at_period_end = false } = fields;
  const price = (): StripePrice => aPrice({ id: product.replace(/^prod/, "price"), currency, livemode, product });
  const items = fields.items ?? [aSubscriptionItem({ id: id.replace(/^sub/, "si"), price: price() })];
  const ended_at = fields.ended_at ?? (status === "canceled" || status === "incomplete_expired" ? created : null);
  const periodEnd = Math.max(...items.map((item) => item.current_period_end));
  return {
    id,
    object: "subscription",
    cancel_at: cancel_at_period_end ? periodEnd : null,
    cancel_at_period_end,
    canceled_at: ended_at ?? (cancel_at_period_end ? created : null),
    created,
    currency,
    livemode,
    status,
    ...SUBSCRIPTION,
    ...fields,
    cancellation_details: {
      comment: null,
      feedback: null,
      feedback_option: null,
      reason: null,
      ...cancellation_details,
    },
    ended_at,
    items: {
      object: "list",
      data: items.map((item) => ({ ...item, subscription: id })),
      has_more: false,
      url: `/v1/subscription_items?subscription=${id}`,
    },
  };
}
