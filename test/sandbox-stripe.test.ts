// sandbox-stripe.test.ts - the fake Stripe refuses what Stripe refuses and pages exactly.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { TestContext } from "node:test";

import { seedAccount } from "../sandbox/account.ts";
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
} from "../sandbox/objects.ts";
import type { StripeSubscriptionItem } from "../sandbox/objects.ts";
import { script } from "../sandbox/server.ts";
import {
  SANDBOX_STRIPE_KEY,
  SANDBOX_STRIPE_TEST_KEY,
  SANDBOX_STRIPE_VERSION,
  emptyAccount,
  startStripe,
  stripeFaults,
} from "../sandbox/stripe.ts";
import type { StripeAccount, StripeOptions, StripeSandbox } from "../sandbox/stripe.ts";

type Asking = { readonly key?: string; readonly method?: string; readonly headers?: Record<string, string> };
type Answer = { readonly status: number; readonly headers: Headers; readonly body: unknown };

async function start(t: TestContext, account: Partial<StripeAccount>, options?: StripeOptions): Promise<StripeSandbox> {
  const stripe = await startStripe(emptyAccount(account), options);
  t.after(() => stripe.close());
  return stripe;
}

/** Asks for a path below /v1/. */
async function ask(stripe: StripeSandbox, path: string, asking: Asking = {}): Promise<Answer> {
  const { key = SANDBOX_STRIPE_KEY, method = "GET" } = asking;
  const headers = { authorization: `Bearer ${key}`, "stripe-version": SANDBOX_STRIPE_VERSION, ...asking.headers };
  const response = await fetch(`${stripe.url}/v1/${path}`, { method, headers });
  return { status: response.status, headers: response.headers, body: await response.json() };
}

/** The value at a path such as `error.param` or `data.0.id`; `ids` are those of all elements, `count` is their number. */
function at(value: unknown, path: string): unknown {
  let found = value;
  for (const key of path.split(".")) {
    if (key === "count") return Array.isArray(found) ? found.length : undefined;
    if (key === "ids") return Array.isArray(found) ? found.map((each) => at(each, "id")).join(" ") : undefined;
    if (typeof found !== "object" || found === null) return undefined;
    found = Object.getOwnPropertyDescriptor(found, key)?.value;
  }
  return found;
}

// ------------------------------------------------------------------ Reads ----

const PRICES = [
  aPrice({ unit_amount: 4900 }),
  aPrice({ unit_amount_decimal: "0.35" }),
  aPrice({ billing_scheme: "tiered" }),
  aPrice({ recurring: { interval: "year", usage_type: "metered" } }),
];

function manyItems(count: number): StripeSubscriptionItem[] {
  return Array.from({ length: count }, (_, n) => aSubscriptionItem({ id: `si_${n}`, current_period_end: 1000 + n }));
}

const LINES = Array.from({ length: 240 }, (_, n) => anInvoiceLine({ id: `il_${n}` }));

/** A little of everything; the n-th object of a kind was created in second n. */
const ACCOUNT: Partial<StripeAccount> = {
  balanceTransactions: [aBalanceTransaction({ id: "txn_1", amount: 900 })],
  charges: [
    ...[0, 2, 3, 4, 5].map((created) => aCharge({ id: `ch_${created}`, created, customer: "cus_1" })),
    aCharge({ id: "ch_1", created: 1, customer: "cus_gone", balance_transaction: "txn_1" }),
  ],
  coupons: [
    aCoupon({ id: "co_1", percent_off: 25, applies_to: { products: ["prod_a"] } }),
    aCoupon({ id: "co_2", amount_off: 500 }),
  ],
  customers: [
    aCustomer({ id: "cus_1", discount: aDiscount({ id: "di_3", coupon: "co_1" }) }),
    ...Array.from({ length: 10 }, (_, n) => aCustomer({ id: `cus_old${n}`, created: n })),
  ],
  deletedCustomerIds: ["cus_gone"],
  invoices: [
    anInvoice({ id: "in_1", created: 1, customer: "cus_1", status: "open", lines: LINES.slice(0, 10) }),
    anInvoice({ id: "in_2", created: 2, customer: "cus_1", amount_paid_off_stripe: 400, lines: LINES }),
    anInvoice({ id: "in_3", created: 3, customer: "cus_2" }),
  ],
  invoicePayments: [anInvoicePayment({ id: "inpay_1", invoice: "in_2" }), anInvoicePayment({ id: "inpay_2" })],
  products: ["a", "b", "c"].map((letter) => aProduct({ id: `prod_${letter}` })),
  subscriptions: [
    aSubscription({ id: "sub_1", created: 1, items: PRICES.map((price) => aSubscriptionItem({ price })) }),
    aSubscription({ id: "sub_2", created: 2, status: "canceled" }),
    aSubscription({ id: "sub_3", created: 3, status: "incomplete_expired", items: manyItems(20) }),
    aSubscription({ id: "sub_4", created: 4, items: manyItems(21), cancel_at_period_end: true }),
    aSubscription({
      id: "sub_5",
      created: 5,
      discounts: [aDiscount({ id: "di_1", coupon: "co_1" })],
      items: [aSubscriptionItem({ discounts: [aDiscount({ id: "di_2", coupon: "co_2" })] })],
    }),
  ],
};

const BOTH = "expand[0]=data.discounts&expand[1]=data.items.data.discounts";

const READS: [path: string, field: string, value: unknown][] = [
  ["charges?created[gte]=2&created[lt]=4", "data.ids", "ch_3 ch_2"],
  ["charges?created[gt]=2&created[lte]=4", "data.ids", "ch_4 ch_3"],
  ["charges?created%5Bgte%5D=2&limit=1&starting_after=ch_3", "data.ids", "ch_2"],
  ["charges?created=3", "data.ids", "ch_3"],
  ["charges?created[gte]=3&created[lt]=3", "data.ids", ""],
  ["charges?customer=cus_gone", "data.ids", "ch_1"],
  ["charges?limit=6", "has_more", false],
  ["charges?limit=5", "has_more", true],
  ["customers", "data.count", 10],
  ["customers", "url", "/v1/customers"],
  ["customers/cus_1", "discount.source.coupon", "co_1"],
  ["customers/cus_1?expand[]=discount.source.coupon", "discount.source.coupon.percent_off", 25],
  ["customers/cus_gone", "deleted", true],
  ["invoices?customer=cus_1&status=paid", "data.ids", "in_2"],
  ["subscriptions", "data.ids", "sub_5 sub_4 sub_3 sub_1"],
  ["subscriptions?status=all", "data.count", 5],
  ["subscriptions?status=canceled", "data.ids", "sub_2"],
  ["subscriptions?status=ended", "data.ids", "sub_3 sub_2"],
  ["subscriptions?status=active&limit=1", "data.ids", "sub_5"],
  ["products?ids[]=prod_a&ids[1]=prod_c", "data.ids", "prod_c prod_a"],
  ["invoice_payments?invoice=in_2&status=paid", "data.ids", "inpay_1"],

  ["invoices/in_1", "lines.has_more", false],
  ["invoices/in_2", "lines.has_more", true],
  ["invoices", "data.1.lines.data.count", 10],
  ["invoices/in_2/lines?limit=2&starting_after=il_9", "data.ids", "il_10 il_11"],
  ["invoices/in_2/lines?limit=100&starting_after=il_139", "has_more", false],
  ["subscriptions/sub_3", "items.has_more", false],
  ["subscriptions/sub_4", "items.has_more", true],
  ["subscriptions/sub_4", "items.data.count", 20],
  ["subscriptions/sub_4", "cancel_at", 1020],
  ["subscriptions/sub_5", "cancel_at", null],
  ["subscriptions/sub_1", "items.data.0.price.unit_amount_decimal", "4900"],
  ["subscriptions/sub_1", "items.data.1.price.unit_amount", null],
  ["subscriptions/sub_1", "items.data.1.price.unit_amount_decimal", "0.35"],
  ["subscriptions/sub_1", "items.data.2.price.unit_amount_decimal", null],
  ["subscriptions/sub_1", "items.data.2.price.tiers_mode", "graduated"],
  ["subscriptions/sub_1", "items.data.3.quantity", undefined],
  ["subscriptions/sub_1", "items.data.3.plan.interval", "year"],

  ["charges/ch_1?expand[0]=balance_transaction", "balance_transaction.amount", 900],
  ["charges?expand[]=data.balance_transaction", "data.4.balance_transaction.amount", 900],
  ["charges?expand[]=data.balance_transaction", "data.0.balance_transaction", null],
  ["charges/ch_1?expand[]=customer", "customer", { id: "cus_gone", object: "customer", deleted: true }],
  ["invoices", "data.1.amount_paid_off_stripe", undefined],
  ["invoices?expand[]=data.amount_paid_off_stripe", "data.1.amount_paid_off_stripe", 400],
  ["invoices/in_2?expand[]=amount_paid_off_stripe", "amount_paid_off_stripe", 400],
  ["invoices/in_2?expand[]=payments", "payments.data.ids", "inpay_1"],
  ["coupons/co_1", "applies_to", undefined],
  ["coupons/co_1?expand[]=applies_to", "applies_to", { products: ["prod_a"] }],
  ["subscriptions", "data.0.discounts", ["di_1"]],
  ["subscriptions", "data.0.items.data.0.discounts", ["di_2"]],
  ["subscriptions?expand[]=data.discounts", "data.0.discounts.0.source", { coupon: "co_1", type: "coupon" }],
  ["subscriptions?expand[]=data.discounts", "data.0.items.data.0.discounts", ["di_2"]],
  [`subscriptions?${BOTH}`, "data.0.discounts.0.source.coupon", "co_1"],
  [`subscriptions?${BOTH}`, "data.0.items.data.0.discounts.0.source.coupon", "co_2"],
  ["subscriptions?expand[]=data.discounts.source.coupon", "data.0.discounts.0.source.coupon.percent_off", 25],
  ["subscriptions?expand[]=data.items.data.price", "data.0.items.data.0.price.object", "price"],
];

const CANNOT = /^This property cannot be expanded \(\S+\)\.$/;
const DEEP = /^You cannot expand more than 4 levels of a property\. Property: data\.items\.data\.\S+$/;
const NOT_HERE = /^sandbox: the .+ is real, but this sandbox does not imitate it\.$/;

type Refused = [path: string, status: number, code: string | undefined, param: string | undefined, message: RegExp];
const REFUSALS: Refused[] = [
  ["charges?limit=0", 400, "parameter_invalid_integer", "limit", /greater than or equal to 1/],
  ["charges?limit=101", 400, "parameter_invalid_integer", "limit", /less than or equal to 100/],
  ["charges?limit=ten", 400, "parameter_invalid_integer", "limit", /Invalid integer: ten/],
  ["charges?created[gte]=1.5", 400, "parameter_invalid_integer", "created[gte]", /Invalid integer/],
  ["charges?created[from]=1", 400, "parameter_unknown", "created[from]", /unknown parameter: created\[from\]/],
  ["charges?status=succeeded", 400, "parameter_unknown", "status", /unknown parameter: status/],
  ["charges?customer=", 400, "parameter_invalid_empty", "customer", /empty string for 'customer'/],
  ["charges?limit=1&limit=2", 400, undefined, "limit", /given twice/],
  ["charges?starting_after=ch_gone", 400, "resource_missing", "starting_after", /No such charge: 'ch_gone'/],
  ["charges?ending_before=ch_1", 400, undefined, "ending_before", NOT_HERE],
  ["charges/ch_1?limit=1", 400, "parameter_unknown", "limit", /unknown parameter/],
  ["invoices?status=canceled", 400, undefined, "status", /must be one of draft, open, paid, uncollectible, or void/],
  ["invoices?paid_at=1", 400, "parameter_unknown", "paid_at", /unknown parameter/],
  ["invoices/in_2/lines?status=paid", 400, "parameter_unknown", "status", /unknown parameter/],
  ["invoices/in_2/lines?starting_after=il_x", 400, "resource_missing", "starting_after", /No such line item: 'il_x'/],
  ["subscriptions?status=everything", 400, undefined, "status", /must be one of/],
  ["subscriptions?test_clock=clock_1", 400, undefined, "test_clock", NOT_HERE],
  ["customers?constructor=1", 400, "parameter_unknown", "constructor", /unknown parameter/],
  ["products?ids[]=prod_a&starting_after=prod_b", 400, undefined, "ids", /cannot use `ids` with `starting_after`/],
  ["charges/ch_x", 404, "resource_missing", "id", /^No such charge: 'ch_x'$/],
  ["coupons/co_x", 404, "resource_missing", "id", /^No such coupon: 'co_x'$/],
  ["charge", 404, undefined, undefined, /Unrecognized request URL \(GET: \/v1\/charge\)/],
  ["charges/ch_1/refunds", 404, undefined, undefined, /Unrecognized request URL/],
  ["charges/", 404, undefined, undefined, /Unrecognized request URL/],
  ["toString", 404, undefined, undefined, /Unrecognized request URL/],
  ["charges?expand[]=customer", 400, undefined, undefined, /You may want to try expanding 'data\.customer'/],
  ["charges?expand[]=data.amount", 400, undefined, undefined, CANNOT],
  ["charges?expand[]=data.customer.metadata", 400, undefined, undefined, CANNOT],
  ["charges/ch_1?expand[]=data.balance_transaction", 400, undefined, undefined, CANNOT],
  ["invoices?expand[]=data.amount_paid_off_stripe.x", 400, undefined, undefined, CANNOT],
  ["charges?expand[]=total_count", 400, "property_forbidden", undefined, /can no longer be expanded/],
  ["charges?expand[]=data.refunds", 400, undefined, "expand", NOT_HERE],
  ["invoices/in_1/lines?expand[]=data", 400, undefined, "expand", NOT_HERE],
  ["subscriptions?expand[]=data.items.data.price.tiers", 400, "property_expansion_max_depth", undefined, DEEP],
  ["subscriptions?expand[]=data.items.data.discounts.source", 400, "property_expansion_max_depth", undefined, DEEP],
];

describe("an answer", () => {
  test("holds what was asked for: ranges, filters, embedded lists, expansions", async (t) => {
    const stripe = await start(t, ACCOUNT);

    for (const [path, field, value] of READS) {
      const { status, body } = await ask(stripe, path);
      assert.deepEqual([status, at(body, field)], [200, value], `${path} ${field}`);
    }
  });

  test("refuses what Stripe refuses, by code and parameter", async (t) => {
    const stripe = await start(t, ACCOUNT);

    for (const [path, status, code, param, message] of REFUSALS) {
      const { status: got, body } = await ask(stripe, path);
      assert.deepEqual([got, at(body, "error.code"), at(body, "error.param")], [status, code, param], path);
      assert.equal(at(body, "error.type"), "invalid_request_error");
      assert.match(String(at(body, "error.message")), message, path);
    }
    for (const method of ["POST", "DELETE", "PUT"])
      assert.equal((await ask(stripe, "charges/ch_1", { method })).status, 403, method);
  });

  test("of an account that lacks an endpoint or a field is a refusal", async (t) => {
    const cases = [
      [400, "invoices?expand[]=data.amount_paid_off_stripe", { amount_paid_off_stripe: 400 }],
      [403, "invoices?expand[]=data.amount_paid_off_stripe", { amount_paid_off_stripe: 403 }],
      [403, "invoice_payments", { invoice_payments: 403 }],
      [403, "coupons/co_1", { coupons: 403 }],
    ] as const;

    for (const [status, path, refuses] of cases) {
      const stripe = await start(t, ACCOUNT, { refuses });
      assert.deepEqual([(await ask(stripe, path)).status, (await ask(stripe, "invoices")).status], [status, 200], path);
    }
  });

  test("has an id of its own, and comes for a version that is known only", async (t) => {
    const stripe = await start(t, {});
    const old = { headers: { "stripe-version": "2019-01-01" } };

    const [one, other] = [await ask(stripe, "charges"), await ask(stripe, "charges", old)];

    assert.match(`${one.headers.get("request-id")} ${other.headers.get("request-id")}`, /^(req_\w+) (?!\1)req_\w+$/);
    assert.deepEqual([other.status, at(other.body, "error.message")], [400, "Invalid Stripe API version: 2019-01-01"]);
  });
});

describe("a list", () => {
  test("is the same text when it was prepared", async (t) => {
    const account = seedAccount({ customers: 60, seed: 3 });
    const [plain, prepared] = [await start(t, account), await start(t, account)];

    prepared.prepare({ invoice: ["amount_paid_off_stripe"] });

    for (const path of ["charges?limit=100", "invoices?limit=100&expand[]=data.amount_paid_off_stripe"])
      assert.deepEqual((await ask(prepared, path)).body, (await ask(plain, path)).body);
  });

  test("is limited to 25 requests a second, in test mode together with all others", async (t) => {
    const live = await start(t, {}, { limits: "published" });
    const trial = await start(t, { livemode: false }, { limits: "published" });
    const paths = ["charges", "invoices", "customers", "subscriptions"];
    const refusedOf = async (asked: Promise<Answer>[]): Promise<Answer[]> =>
      (await Promise.all(asked)).filter(({ status }) => status === 429);

    const one = await refusedOf(Array.from({ length: 30 }, () => ask(live, "charges")));
    const key = SANDBOX_STRIPE_TEST_KEY;
    const all = await refusedOf(Array.from({ length: 28 }, (_, n) => ask(trial, paths[n % 4] ?? "", { key })));

    assert.deepEqual([one.length, all.length], [5, 3]);
    assert.equal(one[0]?.headers.get("stripe-rate-limited-reason"), "endpoint-rate");
    assert.equal(all[0]?.headers.get("stripe-rate-limited-reason"), "global-rate");
    assert.equal(at(one[0]?.body, "error.code"), "rate_limit");
  });
});

describe("a key", () => {
  const keys = [
    { key: "rk_live_expired", expired: true },
    { key: "rk_live_blocked", ipBlocked: true },
    { key: "rk_live_charges", permissions: ["rak_charge_read", "rak_subscription_read"] },
  ];

  test("that Stripe does not accept is refused, and never repeated in full", async (t) => {
    const stripe = await start(t, {}, { keys });
    const cases: [key: string, status: number, code: string | undefined, message: RegExp][] = [
      ["rk_live_wrong", 401, undefined, /^Invalid API Key provided: rk_live_\*\*\*/],
      ["rk_live_expired", 401, "api_key_expired", /^Expired API Key provided/],
      ["pk_live_published", 401, "secret_key_required", /publishable API key/],
      ["rk_live_blocked", 403, undefined, /does not allow requests from your IP address/],
    ];

    for (const [key, status, code, message] of cases) {
      const answer = await ask(stripe, "charges", { key });
      assert.deepEqual([answer.status, at(answer.body, "error.code")], [status, code], key);
      assert.match(String(at(answer.body, "error.message")), message);
      assert.equal(JSON.stringify(answer.body).includes(key), false);
    }
    assert.equal((await fetch(`${stripe.url}/v1/charges`)).status, 401);
  });

  test("without a permission is told the dashboard's name of it, before existence and validation", async (t) => {
    const stripe = await start(t, ACCOUNT, { keys });
    const key = "rk_live_charges";
    const cases: [path: string, named: string][] = [
      ["invoices?limit=0", "Invoices Read ('invoice_read')"],
      ["invoice_payments", "Invoices Read ('invoice_read')"],
      ["invoices/in_x/lines", "Invoices Read ('invoice_read')"],
      ["customers/cus_x", "Customers Read ('customer_read')"],
      ["products", "Products Read ('product_read')"],
      ["coupons/co_x", "Coupons Read ('coupon_read')"],
      ["charges?expand[]=data.balance_transaction", "sources Read ('balance_transaction_source_read')"],
      ["subscriptions?expand[]=data.discounts.source.coupon", "Coupons Read ('coupon_read')"],
    ];

    for (const [path, named] of cases) {
      const { status, body } = await ask(stripe, path, { key });
      assert.deepEqual([status, at(body, "error.code")], [403, "more_permissions_required"], path);
      assert.ok(String(at(body, "error.message")).includes(named), path);
    }
    for (const path of ["charges", "subscriptions?expand[]=data.discounts"])
      assert.equal((await ask(stripe, path, { key })).status, 200);
  });

  test("of the other mode sees an empty account, and is told what it missed", async (t) => {
    const stripe = await start(t, ACCOUNT);
    const key = SANDBOX_STRIPE_TEST_KEY;

    const [list, one] = [await ask(stripe, "customers", { key }), await ask(stripe, "customers/cus_1", { key })];

    assert.equal(at(list.body, "data.ids"), "");
    const said = "; a similar object exists in live mode, but a test mode key was used to make this request.";
    assert.equal(at(one.body, "error.message"), `No such customer: 'cus_1'${said}`);
  });
});

describe("a fault", () => {
  test("of the rate limiter says when to come back, and whether, only where that is asked for", async (t) => {
    const cases = [
      [stripeFaults.rateLimited, null, null],
      [stripeFaults.rateLimitedFor(2), "2", null],
      [stripeFaults.rateLimitedUntil(new Date(0)), "Thu, 01 Jan 1970 00:00:00 GMT", null],
      [stripeFaults.shouldRetry(stripeFaults.rateLimitedFor(3), false), "3", "false"],
    ] as const;

    for (const [fault, after, should] of cases) {
      const stripe = await start(t, ACCOUNT);
      stripe.faultRules.push(script("GET /v1/charges", [fault]));
      const { status, headers } = await ask(stripe, "charges");
      const got = [status, headers.get("retry-after"), headers.get("stripe-should-retry")];
      assert.deepEqual(got, [429, after, should], fault.name);
    }
  });
});
