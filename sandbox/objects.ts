// objects.ts - builders of Stripe objects in their full published shape, as of API 2026-10-28.endive.
//
// Every field of Stripe's published sample objects is there, less what later versions took away (an invoice no longer
// has `charge`, a line no longer has `price`) and plus what they added. The fields this project reads have precise
// types and consistent values; all others are `unknown` and hold something plausible. Nested plain values are shared
// between objects: build a changed copy with the builder or a spread, never write into one.

/** Seconds since 1970, as everywhere in Stripe's API. */
export type UnixSeconds = number;

/** What every listed object has: enough to find it, order it and name it. */
export type StripeObject = { readonly id: string; readonly object: string; readonly created: UnixSeconds };

type Others<Sample> = Readonly<Record<keyof Sample, unknown>>;
type Overrides<Read, Sample> = Partial<Read> & Partial<Others<Sample>>;

const DEFAULT_CREATED: UnixSeconds = 1_767_225_600; // 2026-01-01
const NO_ADDRESS = { city: null, country: null, line1: null, line2: null, postal_code: null, state: null };

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

type ChargeRead = {
  readonly id: string;
  readonly object: "charge";
  /** The intended amount in minor units. */
  readonly amount: number;
  readonly amount_captured: number;
  readonly amount_refunded: number;
  readonly balance_transaction: string | null;
  readonly captured: boolean;
  readonly created: UnixSeconds;
  readonly currency: string;
  readonly customer: string | null;
  readonly disputed: boolean;
  readonly livemode: boolean;
  readonly paid: boolean;
  readonly payment_intent: string | null;
  readonly refunded: boolean;
  readonly status: "succeeded" | "pending" | "failed";
};

const CHARGE = {
  application: null,
  application_fee: null,
  application_fee_amount: null,
  billing_details: {
    address: {
      city: "San Francisco",
      country: "US",
      line1: "1234 Fake Street",
      line2: null,
      postal_code: "94102",
      state: "CA",
    },
    email: "jenny@example.com",
    name: "Jenny Rosen",
    phone: null,
    tax_id: null,
  },
  calculated_statement_descriptor: "SANDBOX GMBH",
  description: "Subscription update",
  failure_balance_transaction: null,
  failure_code: null,
  failure_message: null,
  fraud_details: {},
  metadata: {},
  on_behalf_of: null,
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
  payment_method_details: {
    card: {
      amount_authorized: null,
      authorization_code: null,
      brand: "visa",
      checks: { address_line1_check: null, address_postal_code_check: "pass", cvc_check: "pass" },
      country: "US",
      exp_month: 8,
      exp_year: 2030,
      extended_authorization: { status: "disabled" },
      fingerprint: "AOB934RVNwzk6xtn",
      funding: "credit",
      incremental_authorization: { status: "unavailable" },
      installments: null,
      last4: "4242",
      mandate: null,
      multicapture: { status: "unavailable" },
      network: "visa",
      network_token: { used: false },
      network_transaction_id: "817263554120934",
      overcapture: { maximum_amount_capturable: 100, status: "unavailable" },
      regulated_status: "unregulated",
      three_d_secure: {
        authentication_flow: "frictionless",
        electronic_commerce_indicator: "05",
        exemption_indicator: null,
        result: "authenticated",
        result_reason: null,
        transaction_id: "9b0d1f3e-6d1c-4b5c-8a51-0c1d2e3f4a5b",
        version: "2.2.0",
      },
      transaction_link_id: null,
      wallet: null,
    },
    type: "card",
  },
  presentment_details: undefined,
  radar_options: {},
  receipt_email: null,
  receipt_number: null,
  receipt_url:
    "https://pay.stripe.com/receipts/payment/CAcaFwoVYWNjdF8xUGdhZlRCN1daMDF6Z2tXKI_ei7UGMgZv2S_KfiY6LCJrxC7awazgQA9I88krZKw5uuCkZ5Nup2tomEtAbSpdfzjVZHO3ZYP5KFZP",
  review: null,
  shipping: null,
  source: null,
  source_transfer: null,
  statement_descriptor: null,
  statement_descriptor_suffix: null,
  transfer_data: null,
  transfer_group: null,
};

export type StripeCharge = ChargeRead & Others<typeof CHARGE>;

/**
 * A succeeded and fully captured charge of 10.00 usd unless told otherwise. Left to itself `amount_captured` follows
 * `amount`, `captured` and `status`, and `refunded` is true once `amount_refunded` reaches the captured amount.
 */
export function aCharge(overrides: Overrides<ChargeRead, typeof CHARGE> = {}): StripeCharge {
  const { amount = 1000, status = "succeeded", amount_refunded = 0 } = overrides;
  const captured = overrides.captured ?? status !== "failed";
  const amount_captured = overrides.amount_captured ?? (captured ? amount : 0);
  return {
    id: overrides.id ?? nextId("ch"),
    object: "charge",
    amount,
    amount_captured,
    amount_refunded,
    balance_transaction: null,
    captured,
    created: DEFAULT_CREATED,
    currency: "usd",
    customer: null,
    disputed: false,
    livemode: true,
    paid: status === "succeeded",
    payment_intent: null,
    refunded: amount_refunded > 0 && amount_refunded >= amount_captured,
    status,
    ...CHARGE,
    ...overrides,
  };
}

// --------------------------------------------------------------- Invoice ----

type InvoiceLineRead = {
  readonly id: string;
  readonly object: "line_item";
  /** Minor units; negative for a credit. */
  readonly amount: number;
  readonly currency: string;
  readonly description: string | null;
  readonly discount_amounts: readonly { readonly amount: number; readonly discount: string }[];
  readonly invoice: string;
  readonly livemode: boolean;
  readonly pricing: {
    readonly type: "price_details";
    readonly price_details?: { readonly price: string; readonly product: string };
    readonly unit_amount_decimal: string | null;
  } | null;
  /** Gone since 2025-03-31.basil; only there for a test that wants the older shape. */
  readonly price?: { readonly id: string; readonly object: "price"; readonly product: string };
  readonly quantity: number | null;
  readonly subtotal: number;
};

const INVOICE_LINE = {
  discountable: true,
  discounts: [],
  metadata: {},
  parent: {
    invoice_item_details: null,
    subscription_item_details: {
      invoice_item: null,
      proration: false,
      proration_details: { credited_items: null },
      subscription: "sub_1Pgc6rB7WZ01zgkWNy0Cn5nw",
      subscription_item: "si_QXhVnC2h0Jczwc",
    },
    type: "subscription_item_details",
  },
  period: { end: 1_769_904_000, start: 1_767_225_600 },
  pretax_credit_amounts: [],
  quantity_decimal: "1",
  subscription: "sub_1Pgc6rB7WZ01zgkWNy0Cn5nw",
  taxes: [],
};

export type StripeInvoiceLine = InvoiceLineRead & Others<typeof INVOICE_LINE>;

/** An invoice line of 10.00 for `product`; with `product: null` an ad-hoc line, whose `pricing` names no product. */
export function anInvoiceLine(
  overrides: Overrides<InvoiceLineRead, typeof INVOICE_LINE> & { readonly product?: string | null } = {},
): StripeInvoiceLine {
  const { product = "prod_QXg1hqf4jFNsqG", ...fields } = overrides;
  const amount = fields.amount ?? 1000;
  const pricing =
    product === null
      ? null
      : ({
          price_details: { price: "price_1PgafmB7WZ01zgkW6dKueIc5", product },
          type: "price_details",
          unit_amount_decimal: String(amount),
        } as const);
  return {
    id: fields.id ?? nextId("il"),
    object: "line_item",
    amount,
    currency: "usd",
    description: "1 × Pro (at $10.00 / month)",
    discount_amounts: [],
    invoice: "in_1Pgc6tB7WZ01zgkWu9fdqL6I",
    livemode: true,
    pricing,
    quantity: 1,
    subtotal: amount,
    ...INVOICE_LINE,
    ...fields,
  };
}

export type StripeList<T> = {
  readonly object: "list";
  readonly data: readonly T[];
  readonly has_more: boolean;
  readonly url: string;
};

export type InvoiceStatus = "draft" | "open" | "paid" | "uncollectible" | "void";

type InvoiceRead = {
  readonly id: string;
  readonly object: "invoice";
  readonly amount_due: number;
  /** Paid outside Stripe included, as since 2025-03-31.basil. */
  readonly amount_paid: number;
  readonly amount_paid_off_stripe?: number;
  readonly amount_remaining: number;
  readonly created: UnixSeconds;
  readonly currency: string;
  readonly customer: string | null;
  readonly customer_email: string | null;
  readonly customer_name: string | null;
  readonly livemode: boolean;
  readonly status: InvoiceStatus;
  readonly status_transitions: {
    readonly finalized_at: UnixSeconds | null;
    readonly marked_uncollectible_at: UnixSeconds | null;
    readonly paid_at: UnixSeconds | null;
    readonly voided_at: UnixSeconds | null;
  };
  readonly subtotal: number;
  readonly total: number;
  readonly parent: {
    readonly quote_details: null;
    readonly subscription_details: { readonly metadata: object; readonly subscription: string } | null;
    readonly type: string;
  } | null;
};

const INVOICE = {
  account_country: "US",
  account_name: "Sandbox GmbH",
  account_tax_ids: null,
  amount_overpaid: 0,
  amount_shipping: 0,
  application: null,
  attempt_count: 1,
  attempted: true,
  auto_advance: false,
  automatic_tax: {
    disabled_reason: null,
    enabled: false,
    liability: null,
    provider: null,
    status: null,
  },
  automatically_finalizes_at: null,
  billing_reason: "subscription_cycle",
  collection_method: "charge_automatically",
  custom_fields: null,
  customer_account: null,
  customer_address: NO_ADDRESS,
  customer_phone: null,
  customer_shipping: null,
  customer_tax_exempt: "none",
  customer_tax_ids: [],
  default_payment_method: null,
  default_source: null,
  default_tax_rates: [],
  description: null,
  discounts: [],
  due_date: null,
  effective_at: DEFAULT_CREATED,
  ending_balance: 0,
  footer: null,
  from_invoice: null,
  hosted_invoice_url:
    "https://invoice.stripe.com/i/acct_1PgafTB7WZ01zgkW/live_YWNjdF8xUGdhZlRCN1daMDF6Z2tXLF9RWGg?s=ap",
  invoice_pdf: "https://pay.stripe.com/invoice/acct_1PgafTB7WZ01zgkW/live_YWNjdF8xUGdhZlRCN1daMDF6Z2tXLF9RWGg/pdf?s=ap",
  issuer: { type: "self" },
  last_finalization_error: null,
  latest_revision: null,
  metadata: {},
  next_payment_attempt: null,
  number: "7FE1103-0001",
  on_behalf_of: null,
  payment_settings: {
    default_mandate: null,
    payment_method_options: null,
    payment_method_types: null,
  },
  period_end: DEFAULT_CREATED,
  period_start: DEFAULT_CREATED,
  post_payment_credit_notes_amount: 0,
  pre_payment_credit_notes_amount: 0,
  receipt_number: null,
  rendering: {
    amount_tax_display: null,
    pdf: { page_size: "letter" },
    template: null,
    template_version: null,
  },
  shipping_cost: null,
  shipping_details: null,
  starting_balance: 0,
  statement_descriptor: null,
  subtotal_excluding_tax: null,
  test_clock: null,
  total_discount_amounts: [],
  total_excluding_tax: null,
  total_pretax_credit_amounts: [],
  total_taxes: [],
  webhooks_delivered_at: DEFAULT_CREATED,
};

export type StripeInvoice = InvoiceRead & Others<typeof INVOICE> & { readonly lines: StripeList<StripeInvoiceLine> };

/**
 * A paid invoice of one 10.00 usd line unless told otherwise. Takes ALL its `lines`: the peer embeds the first ten.
 * Left to themselves the amounts follow from the lines, and a paid invoice is paid when it was created.
 */
export function anInvoice(
  overrides: Overrides<InvoiceRead, typeof INVOICE> & { readonly lines?: readonly StripeInvoiceLine[] } = {},
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

type InvoicePaymentRead = {
  readonly id: string;
  readonly object: "invoice_payment";
  readonly amount_paid: number | null;
  readonly amount_requested: number;
  readonly created: UnixSeconds;
  readonly currency: string;
  readonly invoice: string;
  readonly livemode: boolean;
  readonly payment: {
    readonly type: "charge" | "payment_intent" | "payment_record";
    readonly charge?: string;
    readonly payment_intent?: string;
    readonly payment_record?: string;
  };
  readonly status: "open" | "paid" | "canceled";
};

const INVOICE_PAYMENT = {
  is_default: true,
  status_transitions: { canceled_at: null, paid_at: DEFAULT_CREATED },
};

export type StripeInvoicePayment = InvoicePaymentRead & Others<typeof INVOICE_PAYMENT>;

/** A paid invoice payment of 10.00 usd through a payment intent, unless told otherwise. */
export function anInvoicePayment(
  overrides: Overrides<InvoicePaymentRead, typeof INVOICE_PAYMENT> = {},
): StripeInvoicePayment {
  const { amount_requested = 1000, status = "paid" } = overrides;
  return {
    id: overrides.id ?? nextId("inpay"),
    object: "invoice_payment",
    amount_paid: status === "paid" ? amount_requested : null,
    amount_requested,
    created: DEFAULT_CREATED,
    currency: "usd",
    invoice: "in_1Pgc6tB7WZ01zgkWu9fdqL6I",
    livemode: true,
    payment: { type: "payment_intent", payment_intent: "pi_1Pgc6tB7WZ01zgkWu9fdqL6I" },
    status,
    ...INVOICE_PAYMENT,
    ...overrides,
  };
}

// ------------------------------------------------------------- Customers ----

type CustomerRead = {
  readonly id: string;
  readonly object: "customer";
  readonly created: UnixSeconds;
  readonly email: string | null;
  readonly livemode: boolean;
  readonly name: string | null;
};

const CUSTOMER = {
  address: NO_ADDRESS,
  balance: 0,
  currency: "usd",
  customer_account: null,
  default_source: null,
  delinquent: false,
  description: null,
  discount: null,
  invoice_prefix: "7FE1103",
  invoice_settings: {
    custom_fields: null,
    default_payment_method: "pm_1PgafuB7WZ01zgkWm3waTcFp",
    footer: null,
    rendering_options: null,
  },
  metadata: {},
  next_invoice_sequence: 2,
  phone: null,
  preferred_locales: ["en-US"],
  shipping: null,
  tax_exempt: "none",
  test_clock: null,
};

export type StripeCustomer = CustomerRead & Others<typeof CUSTOMER>;

/** A customer, Jenny Rosen unless told otherwise. */
export function aCustomer(overrides: Overrides<CustomerRead, typeof CUSTOMER> = {}): StripeCustomer {
  return {
    id: overrides.id ?? nextId("cus"),
    object: "customer",
    created: DEFAULT_CREATED,
    email: "jenny@example.com",
    livemode: true,
    name: "Jenny Rosen",
    ...CUSTOMER,
    ...overrides,
  };
}

/** What is left of a deleted customer when it is asked for by id, or expanded. */
export function aDeletedCustomer(id: string): { id: string; object: "customer"; deleted: true } {
  return { id, object: "customer", deleted: true };
}

export type SubscriptionStatus =
  "active" | "canceled" | "incomplete" | "incomplete_expired" | "past_due" | "paused" | "trialing" | "unpaid";

export type CancellationReason =
  "cancellation_requested" | "payment_failed" | "payment_disputed" | "canceled_by_retention_policy";

type SubscriptionRead = {
  readonly id: string;
  readonly object: "subscription";
  readonly cancel_at_period_end: boolean;
  readonly canceled_at: UnixSeconds | null;
  readonly cancellation_details: {
    readonly comment: string | null;
    readonly feedback: string | null;
    readonly reason: CancellationReason | null;
  };
  readonly created: UnixSeconds;
  readonly currency: string;
  readonly customer: string;
  readonly ended_at: UnixSeconds | null;
  readonly livemode: boolean;
  readonly status: SubscriptionStatus;
};

const SUBSCRIPTION = {
  application: null,
  application_fee_percent: null,
  automatic_tax: { disabled_reason: null, enabled: false, liability: null },
  billing_cycle_anchor: DEFAULT_CREATED,
  billing_cycle_anchor_config: null,
  billing_mode: { flexible: null, type: "classic" },
  billing_schedules: [],
  billing_thresholds: null,
  cancel_at: null,
  collection_method: "charge_automatically",
  customer_account: null,
  days_until_due: null,
  default_payment_method: null,
  default_source: null,
  default_tax_rates: [],
  description: null,
  discounts: [],
  invoice_settings: {
    account_tax_ids: null,
    custom_fields: null,
    description: null,
    footer: null,
    issuer: { type: "self" },
  },
  latest_invoice: null,
  managed_payments: null,
  metadata: {},
  next_pending_invoice_item_invoice: null,
  on_behalf_of: null,
  pause_collection: null,
  payment_settings: {
    payment_method_options: null,
    payment_method_types: null,
    save_default_payment_method: "off",
  },
  pending_invoice_item_interval: null,
  pending_setup_intent: null,
  pending_update: null,
  schedule: null,
  start_date: DEFAULT_CREATED,
  status_details: undefined,
  test_clock: null,
  transfer_data: null,
  trial_end: null,
  trial_settings: { end_behavior: { missing_payment_method: "create_invoice" } },
  trial_start: null,
};

const SUBSCRIPTION_ITEM = {
  billing_thresholds: null,
  created: DEFAULT_CREATED,
  current_period_end: 1_769_904_000,
  current_period_start: 1_767_225_600,
  current_trial: null,
  discounts: [],
  id: "si_QXhVnC2h0Jczwc",
  metadata: {},
  object: "subscription_item",
  quantity: 1,
  tax_rates: [],
};

const PRICE = {
  active: true,
  billing_scheme: "per_unit",
  created: 1_600_000_000,
  currency: "usd",
  custom_unit_amount: null,
  id: "price_1PgafmB7WZ01zgkW6dKueIc5",
  livemode: true,
  lookup_key: null,
  metadata: {},
  nickname: null,
  object: "price",
  product: "prod_QXg1hqf4jFNsqG",
  recurring: {
    interval: "month",
    interval_count: 1,
    meter: null,
    trial_period_days: null,
    usage_type: "licensed",
  },
  tax_behavior: "unspecified",
  tiers_mode: null,
  transform_quantity: null,
  type: "recurring",
  unit_amount: 2000,
  unit_amount_decimal: "2000",
};

const PLAN = {
  active: true,
  amount: 2000,
  amount_decimal: "2000",
  billing_scheme: "per_unit",
  created: 1_600_000_000,
  currency: "usd",
  id: "price_1PgafmB7WZ01zgkW6dKueIc5",
  interval: "month",
  interval_count: 1,
  livemode: true,
  metadata: {},
  meter: null,
  nickname: null,
  object: "plan",
  product: "prod_QXg1hqf4jFNsqG",
  tiers_mode: null,
  transform_usage: null,
  trial_period_days: null,
  usage_type: "licensed",
};

export type StripeSubscription = SubscriptionRead & Others<typeof SUBSCRIPTION> & { readonly items: unknown };

/**
 * An active monthly subscription to `product` unless told otherwise. A canceled one ends when it was created, unless
 * `ended_at` is given.
 */
export function aSubscription(
  overrides: Overrides<SubscriptionRead, typeof SUBSCRIPTION> & { readonly product?: string } = {},
): StripeSubscription {
  const { product = "prod_QXg1hqf4jFNsqG", ...fields } = overrides;
  const { id = nextId("sub"), status = "active", created = DEFAULT_CREATED, livemode = true } = fields;
  const { currency = "usd" } = fields;
  const endedAt = status === "canceled" || status === "incomplete_expired" ? created : null;
  const price = { ...PRICE, livemode, currency, product };
  const plan = { ...PLAN, livemode, currency, product };
  return {
    id,
    object: "subscription",
    cancel_at_period_end: false,
    canceled_at: fields.ended_at ?? endedAt,
    cancellation_details: { comment: null, feedback: null, reason: null },
    created,
    currency,
    customer: "cus_QXg1o8vcGmoR32",
    ended_at: endedAt,
    livemode,
    status,
    items: {
      object: "list",
      data: [{ ...SUBSCRIPTION_ITEM, price, plan, subscription: id }],
      has_more: false,
      url: `/v1/subscription_items?subscription=${id}`,
    },
    ...SUBSCRIPTION,
    ...fields,
  };
}

// ------------------------------------------------------- Products, money ----

type ProductRead = {
  readonly id: string;
  readonly object: "product";
  readonly active: boolean;
  readonly created: UnixSeconds;
  readonly livemode: boolean;
  readonly name: string;
};

const PRODUCT = {
  default_price: "price_1PgafmB7WZ01zgkW02Hf9z6c",
  description: null,
  images: [],
  marketing_features: [],
  metadata: {},
  package_dimensions: null,
  shippable: null,
  statement_descriptor: null,
  tax_code: null,
  tax_details: null,
  type: "service",
  unit_label: null,
  updated: DEFAULT_CREATED,
  url: null,
};

export type StripeProduct = ProductRead & Others<typeof PRODUCT>;

/** An active product named Pro unless told otherwise. */
export function aProduct(overrides: Overrides<ProductRead, typeof PRODUCT> = {}): StripeProduct {
  return {
    id: overrides.id ?? nextId("prod"),
    object: "product",
    active: true,
    created: DEFAULT_CREATED,
    livemode: true,
    name: "Pro",
    ...PRODUCT,
    ...overrides,
  };
}

type BalanceTransactionRead = {
  readonly id: string;
  readonly object: "balance_transaction";
  /** Gross, in the currency Stripe settles in, which need not be the charge's. */
  readonly amount: number;
  readonly created: UnixSeconds;
  readonly currency: string;
  /** Settlement minor units for one minor unit of the charge; null where the currencies are the same. */
  readonly exchange_rate: number | null;
  readonly fee: number;
  readonly net: number;
  readonly source: string;
};

const BALANCE_TRANSACTION = {
  available_on: 1_767_398_400,
  balance_type: "payments",
  description: "Subscription update",
  fee_details: [],
  reporting_category: "charge",
  status: "available",
  type: "charge",
};

export type StripeBalanceTransaction = BalanceTransactionRead & Others<typeof BALANCE_TRANSACTION>;

/** The balance transaction of a charge, 10.00 usd unless told otherwise; the fee is about 2.9 % + 0.30. */
export function aBalanceTransaction(
  overrides: Overrides<BalanceTransactionRead, typeof BALANCE_TRANSACTION> = {},
): StripeBalanceTransaction {
  const { amount = 1000 } = overrides;
  const fee = overrides.fee ?? Math.round(amount * 0.029) + 30;
  return {
    id: overrides.id ?? nextId("txn"),
    object: "balance_transaction",
    amount,
    created: DEFAULT_CREATED,
    currency: "usd",
    exchange_rate: null,
    fee,
    net: amount - fee,
    source: "ch_1PgafuB7WZ01zgkWXYmPNZs8",
    ...BALANCE_TRANSACTION,
    ...overrides,
  };
}

type DisputeRead = {
  readonly id: string;
  readonly object: "dispute";
  readonly amount: number;
  readonly charge: string;
  readonly created: UnixSeconds;
  readonly currency: string;
  readonly livemode: boolean;
  readonly payment_intent: string | null;
  readonly status: string;
};

const DISPUTE = {
  balance_transactions: [],
  enhanced_eligibility_types: [],
  evidence: {
    access_activity_log: null,
    billing_address: null,
    cancellation_policy: null,
    cancellation_policy_disclosure: null,
    cancellation_rebuttal: null,
    customer_communication: null,
    customer_email_address: null,
    customer_name: null,
    customer_purchase_ip: null,
    customer_signature: null,
    duplicate_charge_documentation: null,
    duplicate_charge_explanation: null,
    duplicate_charge_id: null,
    enhanced_evidence: {},
    product_description: null,
    receipt: null,
    refund_policy: null,
    refund_policy_disclosure: null,
    refund_refusal_explanation: null,
    service_date: null,
    service_documentation: null,
    shipping_address: null,
    shipping_carrier: null,
    shipping_date: null,
    shipping_documentation: null,
    shipping_tracking_number: null,
    uncategorized_file: null,
    uncategorized_text: null,
  },
  evidence_details: {
    due_by: 1_768_435_200,
    enhanced_eligibility: {},
    has_evidence: false,
    past_due: false,
    submission_count: 0,
  },
  intended_submission_method: null,
  is_charge_refundable: false,
  metadata: {},
  payment_method_details: {
    card: { brand: "visa", case_type: "chargeback", network: "visa", network_reason_code: "10.4" },
    type: "card",
  },
  reason: "fraudulent",
};

export type StripeDispute = DisputeRead & Others<typeof DISPUTE>;

/** A dispute of 10.00 usd that needs a response, unless told otherwise. */
export function aDispute(overrides: Overrides<DisputeRead, typeof DISPUTE> = {}): StripeDispute {
  return {
    id: overrides.id ?? nextId("dp"),
    object: "dispute",
    amount: 1000,
    charge: "ch_1PgafuB7WZ01zgkWXYmPNZs8",
    created: DEFAULT_CREATED,
    currency: "usd",
    livemode: true,
    payment_intent: null,
    status: "needs_response",
    ...DISPUTE,
    ...overrides,
  };
}

type RefundRead = {
  readonly id: string;
  readonly object: "refund";
  readonly amount: number;
  readonly balance_transaction: string | null;
  readonly charge: string;
  readonly created: UnixSeconds;
  readonly currency: string;
  readonly customer: string | null;
  readonly payment_intent: string | null;
  readonly status: string;
};

const REFUND = {
  customer_account: null,
  destination_details: { card: { type: "refund" }, type: "card" },
  metadata: {},
  payment_method: null,
  reason: "requested_by_customer",
  receipt_number: null,
  source_transfer_reversal: null,
  transfer_reversal: null,
};

export type StripeRefund = RefundRead & Others<typeof REFUND>;

/** A succeeded refund of 10.00 usd, unless told otherwise. */
export function aRefund(overrides: Overrides<RefundRead, typeof REFUND> = {}): StripeRefund {
  return {
    id: overrides.id ?? nextId("re"),
    object: "refund",
    amount: 1000,
    balance_transaction: null,
    charge: "ch_1PgafuB7WZ01zgkWXYmPNZs8",
    created: DEFAULT_CREATED,
    currency: "usd",
    customer: null,
    payment_intent: null,
    status: "succeeded",
    ...REFUND,
    ...overrides,
  };
}
