// sandbox-stripe.test.ts - the fake Stripe refuses what Stripe refuses and pages exactly; the seeds hold their traps.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { TestContext } from "node:test";

import { SANDBOX_PRODUCT_SLUGS, largeAccount, seedAccount, seedPeople } from "../sandbox/account.ts";
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
import { seededRandom, script } from "../sandbox/server.ts";
import {
  SANDBOX_STRIPE_KEY,
  SANDBOX_STRIPE_TEST_KEY,
  SANDBOX_STRIPE_VERSION,
  emptyAccount,
  startStripe,
  stripeFaults,
} from "../sandbox/stripe.ts";
import type { StripeSubscription, StripeSubscriptionItem } from "../sandbox/objects.ts";
import type { StripeAccount, StripeOptions, StripeSandbox } from "../sandbox/stripe.ts";

type Asking = { readonly key?: string; readonly method?: string; readonly headers?: Record<string, string> };
type Answer = { readonly status: number; readonly headers: Headers; readonly body: unknown };

async function start(t: TestContext, account: Partial<StripeAccount>, options?: StripeOptions): Promise<StripeSandbox> {
  const stripe = await startStripe(emptyAccount(account), options);
  t.after(() => stripe.close());
  return stripe;
}

async function ask(stripe: StripeSandbox, path: string, asking: Asking = {}): Promise<Answer> {
  const { key = SANDBOX_STRIPE_KEY, method = "GET" } = asking;
  const headers = {
    authorization: `Bearer ${key}`,
    "stripe-version": SANDBOX_STRIPE_VERSION,
    ...asking.headers,
  };
  const response = await fetch(stripe.url + path, { method, headers });
  return { status: response.status, headers: response.headers, body: await response.json() };
}

/** The value at a path such as `error.param` or `data.0.id`. */
function at(value: unknown, path: string): unknown {
  let found = value;
  for (const key of path.split(".")) {
    if (typeof found !== "object" || found === null) return undefined;
    found = Object.getOwnPropertyDescriptor(found, key)?.value;
  }
  return found;
}

function idsOf(body: unknown): string[] {
  const objects = at(body, "data");
  assert.ok(Array.isArray(objects));
  return objects.map((object) => String(at(object, "id")));
}

/** Pages through a list to its end by `starting_after`. */
async function allIds(stripe: StripeSandbox, path: string): Promise<string[]> {
  const ids: string[] = [];
  for (;;) {
    const cursor = ids.length === 0 ? "" : `&starting_after=${ids.at(-1)}`;
    const { status, body } = await ask(stripe, path + cursor);
    assert.equal(status, 200);
    const page = idsOf(body);
    ids.push(...page);
    assert.ok(page.length > 0 || at(body, "has_more") === false, "has_more with an empty page");
    if (at(body, "has_more") !== true) return ids;
  }
}

describe("lists", () => {
  test("every object comes exactly once, newest first, ties included, at any page size", async (t) => {
    const random = seededRandom(5);
    const charges = Array.from({ length: 700 }, (_, n) =>
      // 300 of them in one second, the others over 50 seconds.
      aCharge({ id: `ch_${n}`, created: n % 7 < 3 ? 1_000_025 : 1_000_000 + Math.floor(random() * 50) }),
    );
    const stripe = await start(t, { charges });
    const expected = charges
      .map(({ id, created }, n) => ({ id, created, n }))
      .sort((a, b) => b.created - a.created || b.n - a.n)
      .map(({ id }) => id);

    for (const limit of [1, 7, 100]) assert.deepEqual(await allIds(stripe, `/v1/charges?limit=${limit}`), expected);
  });

  test("a created range selects exactly its seconds, whichever comparisons make it", async (t) => {
    const charges = Array.from({ length: 10 }, (_, n) => aCharge({ id: `ch_${n}`, created: 100 + n }));
    const stripe = await start(t, { charges });
    const cases: [query: string, ids: string[]][] = [
      ["created[gte]=103&created[lt]=105", ["ch_4", "ch_3"]],
      ["created[gt]=103&created[lte]=105", ["ch_5", "ch_4"]],
      ["created[lt]=101", ["ch_0"]],
      ["created[gt]=108", ["ch_9"]],
      ["created=107", ["ch_7"]],
      ["created[gte]=105&created[lt]=105", []],
      ["created%5Bgte%5D=103&created%5Blt%5D=105&limit=1&starting_after=ch_4", ["ch_3"]],
    ];

    for (const [query, ids] of cases)
      assert.deepEqual(idsOf((await ask(stripe, `/v1/charges?${query}`)).body), ids, query);
  });

  test("a page says that there is more only when there is, and ten objects are the default", async (t) => {
    const customers = Array.from({ length: 11 }, (_, n) => aCustomer({ id: `cus_${n}`, created: n }));
    const stripe = await start(t, { customers });

    const first = (await ask(stripe, "/v1/customers")).body;
    assert.equal(idsOf(first).length, 10);
    assert.equal(at(first, "has_more"), true);
    assert.equal(at(first, "url"), "/v1/customers");
    assert.equal(at((await ask(stripe, "/v1/customers?limit=11")).body, "has_more"), false);
    assert.equal(at((await ask(stripe, "/v1/customers?created[gte]=1")).body, "has_more"), false);
  });

  test("an object created during a scan is missed, never doubled", async (t) => {
    const charges = Array.from({ length: 4 }, (_, n) => aCharge({ id: `ch_${n}`, created: n }));
    const stripe = await start(t, { charges });

    const first = idsOf((await ask(stripe, "/v1/charges?limit=2")).body);
    stripe.put(aCharge({ id: "ch_new", created: 99 }));
    const rest = idsOf((await ask(stripe, "/v1/charges?limit=2&starting_after=ch_2")).body);

    assert.deepEqual([...first, ...rest], ["ch_3", "ch_2", "ch_1", "ch_0"]);
    assert.deepEqual(idsOf((await ask(stripe, "/v1/charges?limit=1")).body), ["ch_new"]);
  });

  test("customer and status narrow a list, page by page", async (t) => {
    const invoices = Array.from({ length: 60 }, (_, n) =>
      anInvoice({
        id: `in_${n}`,
        created: n,
        customer: n % 3 === 0 ? "cus_a" : "cus_b",
        status: n % 2 === 0 ? "paid" : "open",
      }),
    );
    const stripe = await start(t, { invoices });
    const expected = Array.from({ length: 10 }, (_, n) => `in_${54 - n * 6}`);

    assert.deepEqual(await allIds(stripe, "/v1/invoices?customer=cus_a&status=paid&limit=3"), expected);
  });

  test("canceled subscriptions are hidden unless they are asked for", async (t) => {
    const subscriptions = [
      aSubscription({ id: "sub_1", created: 1, status: "active" }),
      aSubscription({ id: "sub_2", created: 2, status: "canceled" }),
      aSubscription({ id: "sub_3", created: 3, status: "incomplete_expired" }),
    ];
    const stripe = await start(t, { subscriptions });
    const cases: [query: string, ids: string[]][] = [
      ["", ["sub_3", "sub_1"]],
      ["?status=all", ["sub_3", "sub_2", "sub_1"]],
      ["?status=canceled", ["sub_2"]],
      ["?status=ended", ["sub_3", "sub_2"]],
      ["?status=active", ["sub_1"]],
    ];

    for (const [query, ids] of cases)
      assert.deepEqual(idsOf((await ask(stripe, `/v1/subscriptions${query}`)).body), ids, query);
  });

  test("products can be asked for by ids, but not together with a cursor", async (t) => {
    const products = ["a", "b", "c"].map((n) => aProduct({ id: `prod_${n}` }));
    const stripe = await start(t, { products });

    assert.deepEqual(idsOf((await ask(stripe, "/v1/products?ids[]=prod_a&ids[]=prod_c")).body), ["prod_c", "prod_a"]);
    assert.equal((await ask(stripe, "/v1/products?ids[0]=prod_a&starting_after=prod_b")).status, 400);
  });

  test("invoice payments are found by invoice", async (t) => {
    const stripe = await start(t, {
      invoices: [anInvoice({ id: "in_1" })],
      invoicePayments: [anInvoicePayment({ id: "inpay_1", invoice: "in_1" }), anInvoicePayment()],
    });

    assert.deepEqual(idsOf((await ask(stripe, "/v1/invoice_payments?invoice=in_1&status=paid")).body), ["inpay_1"]);
  });
});

describe("objects", () => {
  test("hold the fields that Stripe's declarations require, nested ones too", async (t) => {
    const account = seedAccount({ customers: 12, seed: 1 });
    const stripe = await start(t, account);
    const taxed = account.invoices.findIndex(({ total_taxes }) => total_taxes?.length !== 0);
    const discounted = account.invoices.findIndex(({ total_discount_amounts }) => total_discount_amounts?.length !== 0);
    const paths = [
      ["charges", "payment_method_details.card.electronic_commerce_indicator"],
      ["subscriptions", "cancellation_details.feedback_option"],
      ["subscriptions", "trial_settings.end_behavior.billing_cycle_anchor"],
      [`invoices/${account.invoices[taxed]?.id}`, "total_taxes.0.taxability_reason"],
      [`invoices/${account.invoices[discounted]?.id}`, "total_discount_amounts.0.discount"],
    ] as const;

    for (const [path, field] of paths) {
      const { body } = await ask(stripe, `/v1/${path}`);
      assert.notEqual(at(at(body, "data.0") ?? body, field), undefined, field);
    }
  });
});

describe("invoice lines", () => {
  test("an invoice embeds its first ten lines, and says whether there are more", async (t) => {
    const lines = Array.from({ length: 11 }, (_, n) => anInvoiceLine({ id: `il_${n}` }));
    const stripe = await start(t, {
      invoices: [anInvoice({ id: "in_10", lines: lines.slice(0, 10) }), anInvoice({ id: "in_11", created: 1, lines })],
    });

    const { body } = await ask(stripe, "/v1/invoices");

    assert.equal(at(body, "data.0.lines.has_more"), false);
    assert.equal(at(body, "data.1.lines.has_more"), true);
    assert.deepEqual(idsOf(at(body, "data.1.lines")), idsOf({ data: lines.slice(0, 10) }));
    assert.equal(at((await ask(stripe, "/v1/invoices/in_11")).body, "lines.has_more"), true);
  });

  test("all lines can be paged, from the first one or after the last embedded one", async (t) => {
    const lines = Array.from({ length: 240 }, (_, n) => anInvoiceLine({ id: `il_${n}` }));
    const stripe = await start(t, { invoices: [anInvoice({ id: "in_1", lines })] });
    const ids = idsOf({ data: lines });

    assert.deepEqual(await allIds(stripe, "/v1/invoices/in_1/lines?limit=100"), ids);
    const { body } = await ask(stripe, "/v1/invoices/in_1/lines?limit=100&starting_after=il_9");
    assert.deepEqual(idsOf(body), ids.slice(10, 110));
    assert.equal((await ask(stripe, "/v1/invoices/in_1/lines?status=paid")).status, 400);
  });
});

describe("expansion", () => {
  const transaction = aBalanceTransaction({ id: "txn_1", amount: 900 });
  const charge = aCharge({ id: "ch_1", balance_transaction: "txn_1", customer: "cus_gone" });
  const account = {
    charges: [charge, aCharge({ id: "ch_2", created: 1 })],
    balanceTransactions: [transaction],
    deletedCustomerIds: ["cus_gone"],
  };

  test("a balance transaction takes the place of its id, and null stays null", async (t) => {
    const stripe = await start(t, account);

    const { body } = await ask(stripe, "/v1/charges?expand[]=data.balance_transaction");

    assert.equal(at(body, "data.0.balance_transaction.amount"), 900);
    assert.equal(at(body, "data.1.balance_transaction"), null);
    const one = await ask(stripe, "/v1/charges/ch_1?expand[0]=balance_transaction");
    assert.deepEqual(at(one.body, "balance_transaction"), JSON.parse(JSON.stringify(transaction)));
  });

  test("an expanded customer that was deleted has an id and nothing else", async (t) => {
    const stripe = await start(t, account);

    const { body } = await ask(stripe, "/v1/charges/ch_1?expand[]=customer");

    assert.deepEqual(at(body, "customer"), { id: "cus_gone", object: "customer", deleted: true });
  });

  test("what was paid outside Stripe is said only where it is asked for", async (t) => {
    const stripe = await start(t, {
      invoices: [anInvoice({ id: "in_1", amount_paid: 900, amount_paid_off_stripe: 400 })],
    });

    const plain = await ask(stripe, "/v1/invoices");
    const asked = await ask(stripe, "/v1/invoices?expand[]=data.amount_paid_off_stripe");
    const one = await ask(stripe, "/v1/invoices/in_1?expand[]=amount_paid_off_stripe");

    assert.equal(at(plain.body, "data.0.amount_paid_off_stripe"), undefined);
    assert.equal(at(asked.body, "data.0.amount_paid_off_stripe"), 400);
    assert.equal(at(one.body, "amount_paid_off_stripe"), 400);
  });

  test("an account can lack an endpoint or a field that others have", async (t) => {
    const cases = [
      [400, "/v1/invoices?expand[]=data.amount_paid_off_stripe", { amount_paid_off_stripe: 400 }],
      [403, "/v1/invoices?expand[]=data.amount_paid_off_stripe", { amount_paid_off_stripe: 403 }],
      [403, "/v1/invoice_payments", { invoice_payments: 403 }],
      [403, "/v1/coupons/co_1", { coupons: 403 }],
    ] as const;

    for (const [status, path, refuses] of cases) {
      const stripe = await start(t, {}, { refuses });
      assert.equal((await ask(stripe, path)).status, status, path);
      assert.equal((await ask(stripe, "/v1/invoices")).status, 200);
    }
  });

  test("discounts are ids, and their coupons are ids, unless they are expanded", async (t) => {
    const onItem = aDiscount({ id: "di_2", coupon: "co_2", subscription_item: "si_1" });
    const stripe = await start(t, {
      coupons: [aCoupon({ id: "co_1", percent_off: 25 }), aCoupon({ id: "co_2", amount_off: 500 })],
      customers: [aCustomer({ id: "cus_1", discount: aDiscount({ id: "di_3", coupon: "co_1", customer: "cus_1" }) })],
      subscriptions: [
        aSubscription({
          discounts: [aDiscount({ id: "di_1", coupon: "co_1" })],
          items: [aSubscriptionItem({ id: "si_1", discounts: [onItem] })],
        }),
      ],
    });
    const cases: [query: string, field: string, value: unknown][] = [
      ["", "discounts.0", "di_1"],
      ["", "items.data.0.discounts.0", "di_2"],
      ["?expand[]=data.discounts", "discounts.0.source", { coupon: "co_1", type: "coupon" }],
      ["?expand[]=data.discounts", "items.data.0.discounts.0", "di_2"],
      ["?expand[]=data.items.data.discounts", "items.data.0.discounts.0.source.coupon", "co_2"],
      ["?expand[]=data.items.data.discounts", "discounts.0", "di_1"],
      ["?expand[]=data.discounts.source.coupon", "discounts.0.source.coupon.percent_off", 25],
      ["?expand[0]=data.discounts&expand[1]=data.items.data.discounts", "discounts.0.id", "di_1"],
    ];

    for (const [query, field, value] of cases)
      assert.deepEqual(at((await ask(stripe, `/v1/subscriptions${query}`)).body, `data.0.${field}`), value, query);
    const customers = (await ask(stripe, "/v1/customers")).body;
    assert.equal(at(customers, "data.0.discount.source.coupon"), "co_1");
    const expanded = (await ask(stripe, "/v1/customers?expand[]=data.discount.source.coupon")).body;
    assert.equal(at(expanded, "data.0.discount.source.coupon.percent_off"), 25);
  });

  test("a coupon says what it applies to only where that is asked for", async (t) => {
    const stripe = await start(t, { coupons: [aCoupon({ id: "co_1", applies_to: { products: ["prod_1"] } })] });

    assert.equal(at((await ask(stripe, "/v1/coupons/co_1")).body, "applies_to"), undefined);
    const { body } = await ask(stripe, "/v1/coupons/co_1?expand[]=applies_to");
    assert.deepEqual(at(body, "applies_to"), { products: ["prod_1"] });
    const { status, body: missing } = await ask(stripe, "/v1/coupons/co_x");
    assert.deepEqual([status, at(missing, "error.code"), at(missing, "error.message")], [404, "resource_missing", "No such coupon: 'co_x'"]); // prettier-ignore
  });

  test("expansions that do not exist or go too deep are refused and named", async (t) => {
    const stripe = await start(t, account);
    const cannot = (path: string): string => `This property cannot be expanded (${path}).`;
    const cases: [path: string, message: string, code?: string][] = [
      ["/v1/charges?expand[]=customer", `${cannot("customer")} You may want to try expanding 'data.customer' instead.`],
      ["/v1/charges?expand[]=data.amount", cannot("data.amount")],
      ["/v1/charges?expand[]=data.customer.metadata", cannot("data.customer.metadata")],
      ["/v1/charges/ch_1?expand[]=data.balance_transaction", cannot("data.balance_transaction")],
      ["/v1/invoices?expand[]=data.amount_paid_off_stripe.x", cannot("data.amount_paid_off_stripe.x")],
      ["/v1/charges?expand[]=data.refunds", "sandbox: the expansion data.refunds is real, but this sandbox does not imitate it."],
      ["/v1/charges?expand[]=total_count", "The `total_count` property can no longer be expanded on lists.", "property_forbidden"],
      ["/v1/subscriptions?expand[]=data.items.data.price.tiers", "You cannot expand more than 4 levels of a property. Property: data.items.data.price.tiers", "property_expansion_max_depth"],
      ["/v1/subscriptions?expand[]=data.items.data.discounts.source", "You cannot expand more than 4 levels of a property. Property: data.items.data.discounts.source", "property_expansion_max_depth"],
    ]; // prettier-ignore

    for (const [path, message, code] of cases) {
      const { status, body } = await ask(stripe, path);
      assert.deepEqual([status, at(body, "error.message"), at(body, "error.code")], [400, message, code], path);
    }
    assert.equal((await ask(stripe, "/v1/subscriptions?expand[]=data.items.data.price")).status, 200);
  });

  test("an expansion needs the permission of what it shows", async (t) => {
    const keys = [{ key: SANDBOX_STRIPE_KEY, permissions: ["rak_charge_read", "rak_subscription_read"] }];
    const stripe = await start(t, account, { keys });

    assert.equal((await ask(stripe, "/v1/charges")).status, 200);
    const { status, body } = await ask(stripe, "/v1/charges?expand[]=data.balance_transaction");

    assert.equal(status, 403);
    assert.match(
      String(at(body, "error.message")),
      /Balance transaction sources Read \('balance_transaction_source_read'\)/,
    );
    const coupons = await ask(stripe, "/v1/subscriptions?expand[]=data.discounts.source.coupon");
    assert.match(String(at(coupons.body, "error.message")), /Coupons Read \('coupon_read'\)/);
    assert.equal((await ask(stripe, "/v1/subscriptions?expand[]=data.discounts")).status, 200);
  });
});

describe("subscriptions", () => {
  test("embed twenty items, and say whether there are more", async (t) => {
    const items = (count: number) => Array.from({ length: count }, (_, n) => aSubscriptionItem({ id: `si_${n}` }));
    const subscriptions = [20, 21].map((count) => aSubscription({ id: `sub_${count}`, items: items(count) }));
    const stripe = await start(t, { subscriptions });

    const { body } = await ask(stripe, "/v1/subscriptions");

    assert.deepEqual([idsOf(at(body, "data.0.items")).length, at(body, "data.0.items.has_more")], [20, true]);
    assert.deepEqual([idsOf(at(body, "data.1.items")).length, at(body, "data.1.items.has_more")], [20, false]);
  });

  test("have prices as Stripe has them: decimals as text, no amount where tiered, no quantity where metered", async (t) => {
    const prices = [
      aPrice({ unit_amount: 4900 }),
      aPrice({ unit_amount_decimal: "0.35" }),
      aPrice({ billing_scheme: "tiered" }),
      aPrice({ recurring: { interval: "year", interval_count: 2, usage_type: "metered" } }),
    ];
    const stripe = await start(t, {
      subscriptions: [aSubscription({ items: prices.map((price) => aSubscriptionItem({ price })) })],
    });

    const { body } = await ask(stripe, "/v1/subscriptions");
    const field = (name: string): unknown[] => prices.map((_, n) => at(body, `data.0.items.data.${n}.${name}`));

    assert.deepEqual(field("price.unit_amount"), [4900, null, null, 2000]);
    assert.deepEqual(field("price.unit_amount_decimal"), ["4900", "0.35", null, "2000"]);
    assert.deepEqual(field("price.tiers_mode"), [null, null, "graduated", null]);
    assert.deepEqual(field("quantity"), [1, 1, 1, undefined]);
    assert.deepEqual(field("plan.interval"), ["month", "month", "month", "year"]);
  });

  test("scheduled to end say when: at the end of the last period", async (t) => {
    const items = [1_800_000_000, 1_900_000_000].map((current_period_end) => aSubscriptionItem({ current_period_end }));
    const stripe = await start(t, {
      subscriptions: [aSubscription({ items, cancel_at_period_end: true }), aSubscription()],
    });

    const { body } = await ask(stripe, "/v1/subscriptions");

    assert.deepEqual([at(body, "data.1.cancel_at"), at(body, "data.1.status")], [1_900_000_000, "active"]);
    assert.equal(at(body, "data.0.cancel_at"), null);
  });
});

describe("refusals", () => {
  test("a malformed or unknown parameter is refused with its name", async (t) => {
    const stripe = await start(t, { charges: [aCharge({ id: "ch_1" })] });
    const cases: [path: string, param: string, code?: string][] = [
      ["/v1/charges?limit=0", "limit", "parameter_invalid_integer"],
      ["/v1/charges?limit=101", "limit", "parameter_invalid_integer"],
      ["/v1/charges?limit=ten", "limit", "parameter_invalid_integer"],
      ["/v1/charges?created[gte]=1.5", "created[gte]", "parameter_invalid_integer"],
      ["/v1/charges?created[from]=1", "created[from]", "parameter_unknown"],
      ["/v1/charges?status=succeeded", "status", "parameter_unknown"],
      ["/v1/charges?limits=1", "limits", "parameter_unknown"],
      ["/v1/charges?customer=", "customer", "parameter_invalid_empty"],
      ["/v1/charges?starting_after=ch_gone", "starting_after", "resource_missing"],
      ["/v1/charges?ending_before=ch_1", "ending_before"],
      ["/v1/charges/ch_1?limit=1", "limit", "parameter_unknown"],
      ["/v1/invoices?status=canceled", "status"],
      ["/v1/invoices?paid_at=1", "paid_at", "parameter_unknown"],
      ["/v1/subscriptions?status=everything", "status"],
      ["/v1/subscriptions?test_clock=clock_1", "test_clock"],
      ["/v1/customers?customer=cus_1", "customer", "parameter_unknown"],
      ["/v1/customers?constructor=1", "constructor", "parameter_unknown"],
      ["/v1/invoice_payments?payment[payment_intent]=pi_1", "payment[payment_intent]"],
    ];

    for (const [path, param, code] of cases) {
      const { status, body } = await ask(stripe, path);
      const got = [status, at(body, "error.type"), at(body, "error.param"), at(body, "error.code")];
      assert.deepEqual(got, [400, "invalid_request_error", param, code], path);
    }
  });

  test("an unknown route and every method but GET is refused", async (t) => {
    const stripe = await start(t, { charges: [aCharge({ id: "ch_1" })] });

    for (const path of ["/v1/charge", "/v1/charges/ch_1/refunds", "/v2/charges", "/v1/charges/", "/v1/toString"])
      assert.equal((await ask(stripe, path)).status, 404, path);
    for (const method of ["POST", "DELETE", "PUT"])
      assert.equal((await ask(stripe, "/v1/charges/ch_1", { method })).status, 403, method);
    assert.equal(stripe.account.charges.length, 1);
  });

  test("a request without a version, or with an unknown one, is refused", async (t) => {
    const stripe = await start(t, {});
    const without = { authorization: `Bearer ${SANDBOX_STRIPE_KEY}` };

    const response = await fetch(`${stripe.url}/v1/charges`, { headers: without });
    assert.equal(response.status, 400);
    const { status, body } = await ask(stripe, "/v1/charges", { headers: { "stripe-version": "2019-01-01" } });
    assert.equal(status, 400);
    assert.equal(at(body, "error.message"), "Invalid Stripe API version: 2019-01-01");
  });

  test("a missing object is 404 resource_missing, and a deleted customer is not missing", async (t) => {
    const stripe = await start(t, { deletedCustomerIds: ["cus_gone"] });

    const { status, body } = await ask(stripe, "/v1/charges/ch_x");
    assert.equal(status, 404);
    assert.equal(at(body, "error.code"), "resource_missing");
    assert.equal(at(body, "error.message"), "No such charge: 'ch_x'");
    const deleted = await ask(stripe, "/v1/customers/cus_gone");
    assert.deepEqual(deleted.body, { id: "cus_gone", object: "customer", deleted: true });
  });

  test("a key of the other mode sees an empty account, and is told what it missed", async (t) => {
    const stripe = await start(t, { customers: [aCustomer({ id: "cus_1" })] });
    const key = SANDBOX_STRIPE_TEST_KEY;

    assert.deepEqual(idsOf((await ask(stripe, "/v1/customers", { key })).body), []);
    assert.equal(
      at((await ask(stripe, "/v1/customers/cus_1", { key })).body, "error.message"),
      "No such customer: 'cus_1'; a similar object exists in live mode, but a test mode key was used to make this request.",
    );
  });
});

describe("keys", () => {
  const WRONG = "rk_live_wrong";
  const keys = [
    { key: "rk_live_expired", expired: true },
    { key: "rk_live_blocked", ipBlocked: true },
    { key: "rk_live_charges", permissions: ["rak_charge_read"] },
  ];

  test("a key that Stripe does not accept is refused, and never repeated in full", async (t) => {
    const stripe = await start(t, {}, { keys });
    const cases: [key: string, status: number, code: string | undefined, message: RegExp][] = [
      [WRONG, 401, undefined, /^Invalid API Key provided: rk_live_\*\*\*/],
      ["rk_live_expired", 401, "api_key_expired", /^Expired API Key provided/],
      ["pk_live_published", 401, "secret_key_required", /publishable API key/],
      ["rk_live_blocked", 403, undefined, /does not allow requests from your IP address/],
    ];

    for (const [key, status, code, message] of cases) {
      const answer = await ask(stripe, "/v1/charges", { key });
      assert.deepEqual([answer.status, at(answer.body, "error.code")], [status, code], key);
      assert.match(String(at(answer.body, "error.message")), message);
      assert.equal(JSON.stringify(answer.body).includes(key), false);
    }
    assert.equal((await fetch(`${stripe.url}/v1/charges`)).status, 401);
  });

  test("a missing permission is named as in the dashboard, before existence and validation", async (t) => {
    const stripe = await start(t, {}, { keys });
    const key = "rk_live_charges";
    const cases: [path: string, named: string][] = [
      ["/v1/invoices?limit=0", "Invoices Read ('invoice_read')"],
      ["/v1/invoice_payments", "Invoices Read ('invoice_read')"],
      ["/v1/invoices/in_x/lines", "Invoices Read ('invoice_read')"],
      ["/v1/customers/cus_x", "Customers Read ('customer_read')"],
      ["/v1/subscriptions", "Subscriptions Read ('subscription_read')"],
      ["/v1/products", "Products Read ('product_read')"],
      ["/v1/coupons/co_x", "Coupons Read ('coupon_read')"],
    ];

    for (const [path, named] of cases) {
      const { status, body } = await ask(stripe, path, { key });
      assert.deepEqual([status, at(body, "error.code")], [403, "more_permissions_required"], path);
      assert.ok(String(at(body, "error.message")).includes(named), path);
    }
    assert.equal((await ask(stripe, "/v1/charges", { key })).status, 200);
  });
});

describe("server", () => {
  test("every answer has a request id of its own", async (t) => {
    const stripe = await start(t, {});
    const ids = new Set<string | null>();

    for (const path of ["/v1/charges", "/v1/charges", "/v1/nothing", "/v1/charges/ch_x"])
      ids.add((await ask(stripe, path)).headers.get("request-id"));

    assert.equal(ids.size, 4);
    for (const id of ids) assert.match(String(id), /^req_\w+$/);
  });

  test("the published limits refuse the 26th request of a second to one endpoint", async (t) => {
    const stripe = await start(t, {}, { limits: "published" });

    const asked = Array.from({ length: 30 }, (_, n) =>
      ask(stripe, n % 2 === 0 ? "/v1/charges" : "/v1/charges?limit=1"),
    );
    const refused = (await Promise.all(asked)).filter(({ status }) => status === 429);

    assert.equal(refused.length, 5);
    assert.equal(refused[0]?.headers.get("stripe-rate-limited-reason"), "endpoint-rate");
    assert.equal(at(refused[0]?.body, "error.code"), "rate_limit");
  });

  test("a test mode account is limited to 25 requests a second over all endpoints", async (t) => {
    const stripe = await start(t, { livemode: false }, { limits: "published" });
    const paths = ["/v1/charges", "/v1/invoices", "/v1/customers", "/v1/subscriptions"];

    const key = SANDBOX_STRIPE_TEST_KEY;
    const asked = Array.from({ length: 28 }, (_, n) => ask(stripe, paths[n % 4] ?? "", { key }));
    const refused = (await Promise.all(asked)).filter(({ status }) => status === 429);

    assert.equal(refused.length, 3);
    assert.equal(refused[0]?.headers.get("stripe-rate-limited-reason"), "global-rate");
  });

  test("put, remove and deleteCustomer change what the next request sees", async (t) => {
    const stripe = await start(t, {
      charges: [aCharge({ id: "ch_1", customer: "cus_1", created: 7 })],
      customers: [aCustomer({ id: "cus_1" })],
      subscriptions: [aSubscription({ id: "sub_1", customer: "cus_1", created: 5 })],
    });
    assert.equal(at((await ask(stripe, "/v1/charges")).body, "data.0.amount_refunded"), 0);

    stripe.put(aCharge({ id: "ch_1", customer: "cus_1", created: 7, amount_refunded: 400 }));
    stripe.deleteCustomer("cus_1");
    assert.equal(at((await ask(stripe, "/v1/charges?customer=cus_1")).body, "data.0.amount_refunded"), 400);
    assert.deepEqual(idsOf((await ask(stripe, "/v1/customers")).body), []);
    assert.equal(at((await ask(stripe, "/v1/subscriptions/sub_1")).body, "ended_at"), 8);
    assert.deepEqual(idsOf((await ask(stripe, "/v1/subscriptions")).body), []);
    stripe.remove("ch_1");
    assert.deepEqual(idsOf((await ask(stripe, "/v1/charges")).body), []);
  });

  test("prepared text is the same text", async (t) => {
    const account = seedAccount({ customers: 60, seed: 3 });
    const [plain, prepared] = [await start(t, account), await start(t, account)];

    prepared.prepare();

    for (const path of ["/v1/charges?limit=100", "/v1/invoices?limit=100"])
      assert.deepEqual((await ask(prepared, path)).body, (await ask(plain, path)).body);
  });
});

describe("faults", () => {
  async function faulty(t: TestContext, fault: Parameters<typeof script>[1][number]): Promise<StripeSandbox> {
    const charges = Array.from({ length: 3 }, (_, n) => aCharge({ id: `ch_${n}`, created: n }));
    const stripe = await start(t, { charges });
    stripe.faultRules.push(script("GET /v1/charges", [fault]));
    return stripe;
  }

  test("a refusal of the rate limiter carries Retry-After only where that is asked for", async (t) => {
    const until = new Date(Date.UTC(2026, 10, 1));
    const cases = [
      [stripeFaults.rateLimited, null],
      [stripeFaults.rateLimitedFor(2), "2"],
      [stripeFaults.rateLimitedUntil(until), "Sun, 01 Nov 2026 00:00:00 GMT"],
      [stripeFaults.shouldRetry(stripeFaults.rateLimitedFor(3), false), "3", "false"],
    ] as const;

    for (const [fault, retryAfter, should = null] of cases) {
      const stripe = await faulty(t, fault);
      const { status, headers } = await ask(stripe, "/v1/charges");
      assert.deepEqual([status, headers.get("retry-after")], [429, retryAfter]);
      assert.equal(headers.get("stripe-should-retry"), should);
      assert.equal((await ask(stripe, "/v1/charges")).status, 200);
    }
  });

  test("a page can repeat its cursor, be empty with more to come, or hold a field of the wrong type", async (t) => {
    const repeating = await ask(await faulty(t, stripeFaults.repeatCursor), "/v1/charges?limit=1&starting_after=ch_2");
    assert.deepEqual(idsOf(repeating.body), ["ch_2"]);
    assert.equal(at(repeating.body, "has_more"), true);

    const empty = await ask(await faulty(t, stripeFaults.emptyWithMore), "/v1/charges");
    assert.deepEqual([idsOf(empty.body), at(empty.body, "has_more")], [[], true]);

    const wrong = await ask(await faulty(t, stripeFaults.wrongType("amount")), "/v1/charges");
    assert.equal(at(wrong.body, "data.0.amount"), "1000");
  });

  test("a reset and a cut body end the request without a usable answer", async (t) => {
    for (const fault of [stripeFaults.reset, stripeFaults.cutBody]) {
      const stripe = await faulty(t, fault);
      await assert.rejects(ask(stripe, "/v1/charges"));
    }
  });
});

describe("seeded account", () => {
  const account = seedAccount({ customers: 400, seed: 1 });
  const { charges, invoices, subscriptions } = account;

  function most(objects: readonly { readonly created: number }[]): number {
    const bySecond = new Map<number, number>();
    for (const { created } of objects) bySecond.set(created, (bySecond.get(created) ?? 0) + 1);
    return Math.max(...bySecond.values());
  }

  test("the same seed gives the same account, another seed another one", () => {
    assert.deepEqual(seedAccount({ customers: 400, seed: 1 }), account);
    assert.notDeepEqual(seedAccount({ customers: 400, seed: 2 }).charges, charges);
  });

  test("every kind of charge is there", () => {
    const released = (n: number): number => (charges[n]?.amount ?? 0) - (charges[n]?.amount_captured ?? 0);
    const partial = charges.filter((charge, n) => charge.captured && released(n) > 0);

    assert.ok(partial.some((charge) => charge.amount_refunded === 0));
    assert.ok(partial.some((charge) => charge.amount_refunded === charge.amount - charge.amount_captured));
    assert.ok(partial.some((charge) => charge.amount_refunded > charge.amount - charge.amount_captured));
    assert.ok(partial.some((charge) => charge.refunded));
    assert.ok(charges.some((charge) => !charge.captured && charge.refunded));
    assert.ok(charges.some((charge) => !charge.captured && charge.paid && !charge.refunded));
    assert.ok(charges.some((charge) => charge.disputed));
    assert.ok(charges.some((charge) => charge.customer === null));
    for (const status of ["failed", "pending"]) assert.ok(charges.some((charge) => charge.status === status));
  });

  test("a balance transaction settles the authorised amount before basil and the captured amount since", () => {
    const settled = new Map(account.balanceTransactions.map((each) => [each.source, each]));
    const kinds = new Set<string>();
    for (const charge of charges) {
      const transaction = settled.get(charge.id);
      if (transaction === undefined || charge.amount === charge.amount_captured) continue;
      const rate = transaction.exchange_rate ?? 1;
      const isAuthorised = Math.abs(transaction.amount - charge.amount * rate) <= 0.5;
      const isCaptured = Math.abs(transaction.amount - charge.amount_captured * rate) <= 0.5;
      assert.notEqual(isAuthorised, isCaptured);
      kinds.add(isAuthorised ? "authorised" : "captured");
    }

    assert.deepEqual([...kinds].sort(), ["authorised", "captured"]);
  });

  test("more than a page of charges, invoices, customers and subscriptions share one second", () => {
    for (const objects of [charges, invoices, account.customers, subscriptions]) assert.ok(most(objects) > 100);
  });

  test("invoices have 1 to more than 200 lines, negative and zero ones, ones without product or pricing", () => {
    const counts = invoices.map(({ lines }) => lines.data.length);
    const lines = invoices.flatMap((invoice) => invoice.lines.data);

    for (const count of [1, 10, 11, 27, 241]) assert.ok(counts.includes(count), String(count));
    assert.ok(lines.some(({ amount }) => amount === 0));
    assert.ok(lines.some(({ pricing, price }) => pricing === null && price === undefined));
    assert.ok(lines.some(({ pricing, price }) => pricing === null && price?.product !== undefined));
    assert.ok(
      invoices.some((invoice) => invoice.amount_paid > 0 && invoice.lines.data.every(({ amount }) => amount <= 0)),
    );
  });

  test("invoices of every status are there, and some were paid outside Stripe, wholly or partly", () => {
    const statuses = new Set(invoices.map(({ status }) => status));
    const outside = invoices.filter(({ amount_paid_off_stripe = 0 }) => amount_paid_off_stripe > 0);

    assert.deepEqual([...statuses].sort(), ["draft", "open", "paid", "uncollectible", "void"]);
    assert.ok(outside.some((invoice) => invoice.amount_paid_off_stripe === invoice.amount_paid));
    assert.ok(outside.some((invoice) => (invoice.amount_paid_off_stripe ?? 0) < invoice.amount_paid));
  });

  test("subscriptions of every status and cancellation reason are there, without two equal ends", () => {
    const reasons = new Set<string | null>();
    const ends = new Set<string>();
    for (const { customer, ended_at, status, cancellation_details } of subscriptions) {
      if (status !== "canceled") continue;
      reasons.add(cancellation_details.reason);
      assert.equal(ends.has(`${customer} ${ended_at}`), false);
      ends.add(`${customer} ${ended_at}`);
    }

    assert.equal(new Set(subscriptions.map(({ status }) => status)).size, 8);
    assert.deepEqual([...reasons].sort(), ["cancellation_requested", null, "payment_disputed", "payment_failed"]);
  });

  test("the first customers have a subscription of each kind, and a failed charge where one is past due", () => {
    const first = seedAccount({ customers: 14, seed: 1 });
    const of = (is: (subscription: StripeSubscription) => boolean): StripeSubscription => {
      const found = first.subscriptions.find((each) => each.ended_at === null && is(each));
      assert.ok(found, String(is));
      return found;
    };
    const some = (is: (item: StripeSubscriptionItem) => boolean): StripeSubscription =>
      of(({ items }) => items.data.some(is));

    assert.equal(some(({ price }) => price.recurring?.interval === "year").status, "active");
    assert.equal(some(({ price }) => price.billing_scheme === "tiered").status, "active");
    assert.equal(some(({ price }) => price.recurring?.usage_type === "metered").items.data.length, 2);
    assert.equal(some(({ discounts }) => discounts.length === 1).discounts.length, 0);
    assert.equal(of(({ discounts }) => discounts.length === 1).discounts[0]?.source.coupon, "co_SbxSupporter");
    assert.equal(of(({ pause_collection }) => pause_collection !== null).pause_collection?.behavior, "void");
    assert.equal(of((each) => each.cancel_at_period_end).status, "active");
    assert.equal(of(({ status }) => status === "trialing").trial_end !== null, true);
    assert.notEqual(of(({ currency }) => currency !== "usd").currency, "usd");
    const { customer } = of(({ status }) => status === "past_due");
    const last = first.charges
      .filter((charge) => charge.customer === customer)
      .sort((a, b) => b.created - a.created)[0];
    assert.equal(last?.status, "failed");
    const prices = new Map<string, unknown>();
    for (const { price } of first.subscriptions.flatMap(({ items }) => items.data))
      assert.deepEqual(prices.get(price.id) ?? (prices.set(price.id, price), price), price);
  });

  test("about a quarter of the charges are in other currencies, in a few of which nothing can be converted", () => {
    const foreign = charges.filter(({ currency }) => currency !== "usd");
    const share = foreign.length / charges.length;

    assert.ok(share > 0.15 && share < 0.35, String(share));
    for (const code of ["eur", "gbp", "jpy", "kwd"])
      assert.ok(
        foreign.some(({ currency }) => currency === code),
        code,
      );
    assert.ok(foreign.some((charge) => charge.balance_transaction === null));
    assert.ok(account.balanceTransactions.some(({ currency }) => currency !== "usd"));
    for (const { currency, amount } of foreign) if (currency === "kwd") assert.equal(amount % 10, 0);
  });

  test("without foreign money and partial captures, no charge needs its balance transaction", () => {
    const plain = seedAccount({ customers: 100, seed: 1, foreign: false, partialCaptures: false });

    for (const charge of plain.charges) {
      assert.equal(charge.currency, "usd");
      if (charge.captured) assert.equal(charge.amount_captured, charge.amount);
    }
  });

  test("Stripe can settle in another currency than customers pay in", () => {
    const abroad = seedAccount({ customers: 40, seed: 1, foreign: 0, settlesIn: "gbp" });
    const settled = new Set(abroad.balanceTransactions.map(({ currency }) => currency));

    assert.deepEqual([...new Set(abroad.charges.map(({ currency }) => currency))], ["usd"]);
    assert.deepEqual([...settled], ["gbp"]);
    assert.ok(abroad.balanceTransactions.every(({ exchange_rate }) => exchange_rate !== null));
  });

  test("an account can have guests only, and products that are named after customers", () => {
    const guests = seedAccount({ customers: 0, guests: 9, seed: 1, hasPrivateNames: true });

    assert.equal(guests.charges.filter(({ customer }) => customer === null).length, 9);
    assert.equal(guests.customers.length, 0);
    for (const { name } of guests.products) assert.match(name, / - .+ \(.+@.+\)$/);
  });

  test("every id is used once, and what an object names exists", () => {
    const transactions = new Set(account.balanceTransactions.map(({ id }) => id));
    const customers = new Set([...account.customers.map(({ id }) => id), ...account.deletedCustomerIds]);
    const ids = [...charges, ...invoices, ...subscriptions, ...invoices.flatMap(({ lines }) => lines.data)];

    assert.equal(new Set(ids.map(({ id }) => id)).size, ids.length);
    for (const { balance_transaction, customer } of charges) {
      assert.ok(balance_transaction === null || transactions.has(balance_transaction));
      assert.ok(customer === null || customers.has(customer));
    }
    for (const { id, lines } of invoices) for (const line of lines.data) assert.equal(line.invoice, id);
  });

  test("several products share a column, and some have none", () => {
    const slugs = Object.values(SANDBOX_PRODUCT_SLUGS);

    assert.ok(new Set(slugs).size < slugs.length);
    assert.ok(account.products.some(({ id }) => SANDBOX_PRODUCT_SLUGS[id] === undefined));
    for (const slug of slugs) assert.match(slug, /^spend_[a-z0-9_]+$/);
  });

  test("no address belongs to two people, and some payers have no person", () => {
    const addresses = seedPeople(account).flatMap(({ emailAddresses }) => emailAddresses);
    const owned = new Set(addresses.map((address) => address.toLowerCase()));
    const typed = account.customers.flatMap(({ email }) => email?.trim().toLowerCase() ?? []);

    assert.equal(owned.size, addresses.length);
    assert.ok(typed.some((address) => owned.has(address)));
    assert.ok(typed.some((address) => !owned.has(address)));
    assert.ok(new Set(typed).size < typed.length);
  });
});

describe("large account", () => {
  test("it has as many objects as asked for, growing over five years, each with its balance transaction", () => {
    const size = { charges: 2_000, invoices: 500, customers: 300, subscriptions: 100 };
    const account = largeAccount({
      ...size,
      seed: 1,
      partialCaptureShare: 0.1,
      discountShare: 0.5,
      longInvoiceShare: 1,
    });
    const discounted = account.subscriptions.filter(({ discounts }) => discounts.length > 0).length;
    const half = account.charges[1_000]?.created ?? 0;
    const [first, last] = [account.charges[0]?.created ?? 0, account.charges[1_999]?.created ?? 0];

    assert.deepEqual(
      [account.charges.length, account.invoices.length, account.customers.length, account.subscriptions.length],
      [2_000, 500, 300, 100],
    );
    assert.ok(half - first > last - half);
    assert.equal(account.balanceTransactions.length, 2_000);
    assert.ok(discounted > 30 && discounted < 70, String(discounted));
    assert.ok(account.invoices.every(({ lines }) => lines.data.length === 24));
    assert.ok(account.charges.some((charge) => charge.amount_refunded > 0));
  });
});
