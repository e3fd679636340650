// stripe.test.ts - reading Stripe: every object once however its list lies in time, all lines, balances only on demand.

import assert from "node:assert/strict";
import { describe, test } from "node:test";

import fc from "fast-check";

import { aBalanceTransaction, aCharge, aCustomer, aProduct, anInvoice, anInvoiceLine } from "../sandbox/objects.ts";
import { script, seededRandom } from "../sandbox/server.ts";
import type { Call as Received, Fault } from "../sandbox/server.ts";
import { SANDBOX_STRIPE_KEY, STRIPE_PERMISSIONS, emptyAccount, startStripe, stripeFaults } from "../sandbox/stripe.ts";
import type { StripeAccount, StripeOptions, StripeSandbox } from "../sandbox/stripe.ts";
import {
  ApiError,
  CUSTOMER,
  UnexpectedError,
  connectStripe,
  needsBalance,
  STRIPE_LISTS,
  readInvoices,
  readList,
  readProducts,
} from "../sync.ts";
import type { Charge, Invoice, Service, StripeList, Wanted } from "../sync.ts";
import { aNewWorld, writesOf } from "./ground.ts";
import { aConnection, aService, failureOf, inScope, rewriting, someSettings } from "./services.ts";
import type { Ends } from "./services.ts";

const T0 = 1_790_000_000;
const DAY = 86_400;
const CUSTOMERS = { path: "/v1/customers", kind: "customer", reader: CUSTOMER };

type Reached = { readonly sandbox: StripeSandbox; readonly stripe: Service };

async function reach(ends: Ends, account: Partial<StripeAccount>, options?: StripeOptions): Promise<Reached> {
  const sandbox = await startStripe(emptyAccount(account), options);
  ends.after(() => sandbox.close());
  return { sandbox, stripe: connectStripe(someSettings({ STRIPE_API_BASE: sandbox.url }), aConnection()) };
}

function customersAt(times: readonly number[]) {
  return times.map((created, n) => aCustomer({ id: `cus_${n}`, created }));
}

/** The ids of what a list has, each as often as it came. */
async function idsOf<T extends { readonly id: string; readonly created: number }>(
  stripe: Service,
  list: StripeList<T>,
  more: Partial<Wanted<T>> = {},
): Promise<string[]> {
  const ids: string[] = [];
  await readList(stripe, list, { t0: T0, ...more }, ({ id }) => void ids.push(id));
  return ids;
}

function queries(sandbox: StripeSandbox, path: string): Record<string, string>[] {
  return sandbox.log.filter((exchange) => exchange.path === path).map(({ query }) => Object.fromEntries(query));
}

describe("Stripe: a list", () => {
  /** Reads a list of customers created at these times. */
  async function assertOnceAndCheap(times: readonly number[], options?: StripeOptions): Promise<void> {
    await inScope(async (ends) => {
      const { sandbox, stripe } = await reach(ends, { customers: customersAt(times) }, options);
      const ids = await idsOf(stripe, CUSTOMERS);

      const least = Math.max(1, Math.ceil(times.length / 100));
      const { requests } = sandbox.counts;
      assert.deepEqual([ids.length, new Set(ids).size], [times.length, times.length]);
      assert.ok(requests <= 1.3 * least + 5, `${requests} requests for ${least} pages`);
    });
  }

  /** So many times by a rule for the n-th of them, all before T0. */
  function times(count: number, rule: (n: number) => number): number[] {
    return Array.from({ length: count }, (_, n) => Math.min(T0 - 1, Math.max(1, Math.floor(rule(n)))));
  }

  const random = seededRandom(7);
  const hostile: [string, number[]][] = [
    ["nothing at all", []],
    ["a single object", [1]],
    ["exactly one page", times(100, (n) => T0 - n * DAY)],
    ["one object more than a page", times(101, (n) => T0 - n * DAY)],
    ["exactly two pages", times(200, (n) => T0 - n * DAY)],
    ["all in one second", times(2_000, () => T0 - 5_000)],
    ["all in the last second before T0", times(1_200, () => T0 - 1)],
    ["one a year", times(40, (n) => T0 - n * 365 * DAY)],
    ["a burst yesterday behind five even years", [...times(600, (n) => T0 - n * 3 * DAY), ...times(700, (n) => T0 - DAY - n % 7)]], // prettier-ignore
    ["two bursts years apart", [...times(800, () => T0 - 50), ...times(800, (n) => T0 - 2_000 * DAY + (n % 3))]],
    ["growth", times(1_500, (n) => T0 - 1_800 * DAY * (1 - Math.sqrt(n / 1_500)))],
    ["decline", times(1_500, (n) => T0 - 1_800 * DAY * (n / 1_500) ** 4)],
    ["ever closer to the present", times(1_000, (n) => T0 - 2 ** (n / 40))],
    ["a burst every night", times(1_200, (n) => T0 - Math.floor(n / 60) * DAY - (n % 2))],
    ["a burst of a page and one, every half year", times(1_010, (n) => T0 - 9 - Math.floor(n / 101) * 182 * DAY)],
    ["a rate that never changes, over ten years", times(1_100, () => T0 - 3_650 * DAY * random())],
  ];
  for (const [title, created] of hostile)
    test(`${title}: every object comes once, for hardly more requests than pages`, () => assertOnceAndCheap(created));

  test("however objects lie in time, each comes once, for hardly more requests than pages", async () => {
    const part = fc.record({
      count: fc.integer({ min: 0, max: 450 }),
      endsAgo: fc.integer({ min: 1, max: 2_000 * DAY }),
      lasts: fc.constantFrom(1, 60, DAY, 30 * DAY, 1_000 * DAY),
      bend: fc.constantFrom(0.3, 1, 4),
    });
    const law = fc.asyncProperty(
      fc.array(part, { maxLength: 5 }),
      fc.constantFrom(0, 2),
      fc.integer({ min: 1, max: 1_000 }),
      async (parts, jitterMs, seed) => {
        const chance = seededRandom(seed);
        const created = parts.flatMap(({ count, endsAgo, lasts, bend }) =>
          times(count, () => T0 - endsAgo - lasts * chance() ** bend),
        );
        await assertOnceAndCheap(created, { jitterMs, seed });
      },
    );

    await fc.assert(law, { seed: 1, numRuns: 25, endOnFailure: true });
  });

  test("every request asks for what was created before T0, a hundred at a time, by GET and in one API version", async (t) => {
    const { sandbox, stripe } = await reach(t, { customers: customersAt(times(900, (n) => T0 - n * DAY)) });

    await idsOf(stripe, CUSTOMERS);

    assert.ok(sandbox.log.length >= 9);
    for (const { method, query, headers } of sandbox.log) {
      assert.equal(method, "GET");
      assert.equal(headers["stripe-version"], "2026-10-28.endive");
      assert.equal(query.get("limit"), "100");
      assert.ok(Number(query.get("created[lt]")) <= T0 && query.get("created[lt]") !== null);
    }
  });

  test("an object created at T0 or later is left to the next run", async (t) => {
    const { stripe } = await reach(t, { customers: customersAt([T0 - 1, T0, T0 + 1]) });

    assert.deepEqual(await idsOf(stripe, CUSTOMERS), ["cus_0"]);
  });

  test("a cursor goes on with exactly the filters of the page it comes from", async (t) => {
    const { sandbox, stripe } = await reach(t, { customers: customersAt(times(2_000, (n) => T0 - n * DAY)) });
    const filtersOf = ({ query }: Received): string => {
      const filters = new URLSearchParams(query);
      filters.delete("starting_after");
      return filters.toString();
    };
    const pageEnds = new Set<string>();
    const cursors: string[] = [];
    const watch: Fault = rewriting("watched", ({ data }, call) => {
      assert.ok(Array.isArray(data));
      pageEnds.add(`${data.at(-1)?.id} ${filtersOf(call)}`);
      if (call.query.has("starting_after")) cursors.push(`${call.query.get("starting_after")} ${filtersOf(call)}`);
    });
    sandbox.faultRules.push(() => watch);

    await idsOf(stripe, CUSTOMERS);

    assert.ok(cursors.length > 5);
    for (const cursor of cursors) assert.ok(pageEnds.has(cursor), cursor);
  });

  test("a long list is read by several workers at once, and one that is done with its window starts on another", async (t) => {
    const customers = customersAt(times(6_000, (n) => T0 - n * DAY));
    const { sandbox, stripe } = await reach(t, { customers }, { latencyMs: 3 });

    await idsOf({ ...stripe, pace: aService("").pace }, CUSTOMERS); // as fast as it can

    const windows = new Set(queries(sandbox, "/v1/customers").map((query) => query["created[lt]"]));
    assert.ok(windows.size > 10, `${windows.size} windows, of which ten workers can have ten at a time`);
  });
});

describe("Stripe: invoices and subscriptions", () => {
  function longInvoice(lines: number, { id = `in_${lines}`, created = T0 - lines } = {}) {
    const data = Array.from({ length: lines }, (_, n) => anInvoiceLine({ id: `il_${lines}_${n}`, amount: n + 1 }));
    return anInvoice({ id, created, lines: data });
  }

  async function invoicesOf({ stripe }: Reached, hasLines = true): Promise<Map<string, Invoice>> {
    const invoices = new Map<string, Invoice>();
    await readInvoices(stripe, { t0: T0, hasLines }, (invoice) => {
      assert.ok(!invoices.has(invoice.id));
      invoices.set(invoice.id, invoice);
    });
    return invoices;
  }

  test("all lines of an invoice come, once and in order, for the least requests", async (t) => {
    const least = new Map(Object.entries({ in_1: 0, in_10: 0, in_11: 1, in_110: 1, in_111: 2, in_240: 3 }));
    const reached = await reach(t, { invoices: [1, 10, 11, 110, 111, 240].map((count) => longInvoice(count)) });

    const invoices = await invoicesOf(reached);

    assert.equal(invoices.size, 6);
    for (const { id, lines } of invoices.values()) {
      const amounts = Array.from({ length: Number(id.slice(3)) }, (_, n) => n + 1);
      assert.deepEqual(lines.data.map(({ amount }) => amount), amounts); // prettier-ignore
      assert.equal(queries(reached.sandbox, `/v1/invoices/${id}/lines`).length, least.get(id), id);
    }
  });

  test("where no line is wanted, none is read, and the invoice says that it is not whole", async (t) => {
    const reached = await reach(t, { invoices: [longInvoice(240)] });

    const invoices = await invoicesOf(reached, false);

    assert.equal(invoices.get("in_240")?.lines.has_more, true);
    assert.equal(reached.sandbox.counts.requests, 1);
  });

  test("pages wait while the lines of many invoices are still to be read", async (t) => {
    const invoices = Array.from({ length: 1_500 }, (_, n) => longInvoice(11, { id: `in_${n}`, created: T0 - 1 - n }));
    const reached = await reach(t, { invoices });
    let ahead = 0;
    reached.sandbox.faultRules.push(({ path }) => {
      ahead += path.endsWith("/lines") ? -1 : 100;
      assert.ok(ahead < 1_300, `${ahead} invoices wait for their lines`);
      return undefined;
    });

    assert.equal((await invoicesOf(reached)).size, 1_500);
  });

  test("only paid invoices are asked for", async (t) => {
    const invoices = (["paid", "open"] as const).map((status) => anInvoice({ id: `in_${status}`, created: 5, status }));
    const reached = await reach(t, { invoices });

    assert.deepEqual([...(await invoicesOf(reached)).keys()], ["in_paid"]);

    assert.deepEqual(queries(reached.sandbox, "/v1/invoices"), [
      { status: "paid", "created[lt]": "1790000000", "expand[0]": "data.amount_paid_off_stripe", limit: "100" },
    ]);
  });

  for (const status of [400, 403] as const)
    test(`what was paid outside of Stripe is read on without, and told once, where that is refused with ${status}`, async (t) => {
      const invoices = Array.from({ length: 350 }, (_, n) => anInvoice({ created: T0 - 1 - n }));
      const { stripe } = await reach(t, { invoices }, { refuses: { amount_paid_off_stripe: status } });
      const refusals: ApiError[] = [];
      let count = 0;

      const use = { t0: T0, hasLines: true, onRefusal: (refusal: ApiError) => void refusals.push(refusal) };
      await readInvoices(stripe, use, () => void (count += 1));

      assert.deepEqual([count, refusals.map((refusal) => refusal.status)], [350, [status]]);
    });

  test("a read for one customer carries the customer in every request", async (t) => {
    const customers = customersAt([1, 2]);
    const charges = Array.from({ length: 250 }, (_, n) => aCharge({ customer: `cus_${n < 220 ? 1 : 0}`, created: n }));
    const { sandbox, stripe } = await reach(t, { charges, customers });

    assert.equal((await idsOf(stripe, STRIPE_LISTS.charges, { customer: "cus_1" })).length, 220);

    assert.ok(sandbox.log.every(({ query }) => query.get("customer") === "cus_1"));
  });

  test("products are asked for by id, a hundred at a time", async (t) => {
    const ids = Array.from({ length: 250 }, (_, n) => `prod_${n}`);
    const { sandbox, stripe } = await reach(t, { products: ids.map((id, created) => aProduct({ id, created })) });

    const found = await readProducts(stripe, ids.slice(0, 150));

    assert.deepEqual(found.map(({ id }) => id).toSorted(), ids.slice(0, 150).toSorted()); // prettier-ignore
    assert.deepEqual(sandbox.log.map(({ query }) => query.size), [101, 51]); // prettier-ignore
  });
});

describe("Stripe: balance transactions on demand", () => {
  const isUnclear = (charge: Charge): boolean => needsBalance(charge, "usd");
  /** So many plain charges, the newest first, with one in euro at a place; and the balance transaction of each. */
  function account(count: number, foreignAt: number): Partial<StripeAccount> {
    const places = Array.from({ length: count }, (_, n) => ({ n, created: T0 - 1 - n * DAY }));
    const charges = places.map(({ n, created }) => {
      const currency = n === foreignAt ? "eur" : "usd";
      return aCharge({ id: `ch_${n}`, created, currency, customer: "cus_1", balance_transaction: `txn_${n}` });
    });
    return { charges, balanceTransactions: places.map(({ n, created }) => aBalanceTransaction({ id: `txn_${n}`, created })) }; // prettier-ignore
  }

  async function readOnce({ stripe }: Reached): Promise<Map<string, Charge>> {
    const charges = new Map<string, Charge>();
    await readList(stripe, STRIPE_LISTS.charges, { t0: T0, isUnclear }, (charge) => {
      assert.ok(!charges.has(charge.id));
      charges.set(charge.id, charge);
    });
    return charges;
  }

  function expansions({ sandbox }: Reached): (string | undefined)[] {
    return queries(sandbox, "/v1/charges").map((query) => query["expand[0]"]);
  }

  test("the page of the first charge that needs one is read again, and the next ask at once", async (t) => {
    const reached = await reach(t, account(350, 99));

    const charges = await readOnce(reached);

    assert.equal(charges.size, 350);
    assert.equal(typeof charges.get("ch_99")?.balance_transaction, "object");
    const [first, ...others] = expansions(reached);
    assert.equal(first, undefined);
    assert.ok(others.length >= 4 && others.every((expansion) => expansion === "data.balance_transaction"));
  });

  for (const place of [0, 100, 260, 449])
    test(`a charge that needs one at place ${place} gets it, and every charge comes once`, async (t) => {
      const charges = await readOnce(await reach(t, account(450, place)));

      assert.equal(charges.size, 450);
      assert.equal(typeof charges.get(`ch_${place}`)?.balance_transaction, "object");
    });

  test("a partial capture needs one as well", async (t) => {
    const partial = aCharge({ id: "ch_p", created: 5, amount: 1000, amount_captured: 800, amount_refunded: 200, refunded: false, balance_transaction: "txn_p", customer: "cus_1" }); // prettier-ignore
    const reached = await reach(t, { charges: [partial], balanceTransactions: [aBalanceTransaction({ id: "txn_p" })] });

    await readOnce(reached);

    assert.deepEqual(expansions(reached), [undefined, "data.balance_transaction"]);
  });

  test("a missing permission stops the run before it writes anything, and is named as the dashboard names it", async (t) => {
    const permissions = Object.keys(STRIPE_PERMISSIONS).filter((slug) => !slug.includes("balance"));
    const stripe = { keys: [{ key: SANDBOX_STRIPE_KEY, permissions }] };
    const world = await aNewWorld(t, { account: emptyAccount(account(3, 1)), stripe });

    const run = await world.run("sync");

    assert.equal(run.code, 1);
    const named = 'lacks the permission "Balance transaction sources" (rak_balance_transaction_source_read)';
    assert.ok(run.err.includes(named), run.err);
    assert.match(run.err, /\nNothing was written\.\n$/);
    assert.deepEqual(writesOf(world.attio), []);
  });

  test("a page that is refused without them too is no matter of what was asked for beside", async (t) => {
    const reached = await reach(t, account(150, 0));
    const refused: Fault = { name: "403", before: { status: 403, text: '{"error":{"message":"Not like this."}}' } };
    reached.sandbox.faultRules.push(script("GET /v1/charges", [null, refused, refused]));

    const error = await failureOf(readOnce(reached));

    assert.equal(String(error), "Error: Stripe refused: Not like this. [GET /v1/charges -> 403]");
  });
});

describe("Stripe: answers that cannot be", () => {
  const rewritten = (rewrite: (page: Record<string, unknown>, objects: readonly object[]) => void): Fault[] => [
    rewriting("spoiled", (page) => rewrite(page, Array.isArray(page["data"]) ? page["data"] : [])),
  ];
  const lists: [string, Fault[], RegExp][] = [
    ["has_more with an empty page", Array(50).fill(stripeFaults.emptyWithMore), /^Stripe said has_more with an empty page of \/v1\/customers after the start$/],
    ["a page that repeats its cursor", Array(50).fill(stripeFaults.repeatCursor), /^Stripe repeated cus_\d+ on the page of \/v1\/customers that follows it$/],
    ["a list that is not newest first", rewritten((page, objects) => (page["data"] = objects.toReversed())), /^Stripe did not list newest first at cus_\d+$/],
    ["an object that its own window leaves out", rewritten((page, [first, ...others]) => (page["data"] = [{ ...first, created: T0 }, ...others])), /^Stripe did not list newest first at cus_\d+$/],
    ["a time as text", [stripeFaults.wrongType("created")], /^customer cus_\d+: created is string, expected a whole number$/],
    ["an id as a number", [stripeFaults.wrongType("id")], /^customer: id is number, expected text$/],
    ["a page with no data", rewritten((page) => delete page["data"]), /^page of \/v1\/customers: data is undefined, expected a list$/],
    ["a page with no has_more", rewritten((page) => delete page["has_more"]), /^page of \/v1\/customers: has_more is undefined, expected true or false$/],
  ]; // prettier-ignore
  for (const [title, faults, expected] of lists)
    test(`${title} is an error, not a loop, and says what is wrong with what`, async (t) => {
      const { sandbox, stripe } = await reach(t, { customers: customersAt(Array.from({ length: 300 }, (_, n) => 1_000 - (n % 100))) }); // prettier-ignore
      sandbox.faultRules.push(script("GET /v1/customers", faults));

      const error = await failureOf(idsOf(stripe, CUSTOMERS));

      assert.ok(error instanceof UnexpectedError, String(error));
      assert.match(error.message.replace("Unexpected: ", ""), expected);
      assert.ok(sandbox.counts.requests < 20);
    });

  const lines = Array.from({ length: 30 }, (_, n) => anInvoiceLine({ id: `il_${n}` }));
  const badLines = { data: [{ id: "il_1", amount: "12" }], has_more: false };
  const ofLines: [string, string, Fault[], string][] = [
    ["a field deep in an invoice is named by its path", "GET /v1/invoices", rewritten((page, [first]) => (page["data"] = [{ ...first, lines: badLines }])), "invoice in_1: lines.data.amount is string, expected a whole number"],
    ["has_more with an empty page of lines is an error, not a loop", "GET /v1/invoices/{id}/lines", Array(50).fill(stripeFaults.emptyWithMore), "Stripe said has_more with an empty page of /v1/invoices/in_1/lines after il_9"],
  ]; // prettier-ignore
  for (const [title, route, faults, expected] of ofLines)
    test(title, async (t) => {
      const { sandbox, stripe } = await reach(t, { invoices: [anInvoice({ id: "in_1", lines })] });
      sandbox.faultRules.push(script(route, faults));

      const error = await failureOf(readInvoices(stripe, { t0: T0, hasLines: true }, () => undefined));

      assert.equal(String(error), `Error: Unexpected: ${expected}`);
    });
});
