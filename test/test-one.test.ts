// test-one.test.ts - one customer's statement: the same arithmetic as the sync's, line by line, and never a write.

import assert from "node:assert/strict";
import { before, describe, test } from "node:test";
import type { TestContext } from "node:test";
import { seedAccount } from "../sandbox/account.ts";
import {
  aBalanceTransaction,
  aCharge,
  aSubscription,
  anInvoice,
  anInvoiceLine,
  anInvoicePayment,
} from "../sandbox/objects.ts";
import type { StripeCharge, StripeInvoice } from "../sandbox/objects.ts";
import { isObject } from "../sync.ts";
import {
  PRO,
  aSyncedWorld,
  assertNoSecrets,
  chargeIdOf,
  endOfSuite,
  expectedOf,
  payerId,
  payers,
  recordOf,
  writesOf,
} from "./ground.ts";
import type { ExpectedRecord } from "./oracle.ts";
import { aWorld } from "./world.ts";
import type { Run, World } from "./world.ts";

const ME = payerId(0);

/** The one JSON object that `--json` prints. */
function jsonOf({ out }: Run): Record<string, unknown> {
  const value: unknown = JSON.parse(out);
  assert.ok(isObject(value));
  return { ...value };
}

/** The statement of a payer of 10.00 usd to whose history something was added. */
async function statementOf(t: TestContext, add: (world: World) => void): Promise<string> {
  const world = await aWorld(t, { account: payers(1), hasPeople: false });
  add(world);
  const { code, out, all } = await world.run("test-one", [ME]);
  assert.equal(code, 0, all);
  return out;
}

/** The rest of the line that starts with a label or an id. */
function lineOf(statement: string, label: string): string {
  const line = statement.split("\n").find((text) => text.trimStart().startsWith(label));
  assert.ok(line !== undefined, `no line "${label}" in\n${statement}`);
  return line.trim();
}

function says(statement: string, label: string, ...parts: readonly string[]): void {
  for (const part of parts) assert.ok(lineOf(statement, label).includes(part), `"${part}" in:\n${statement}`);
}

describe("test-one: every customer of a seeded account", () => {
  const suite = endOfSuite();
  const account = seedAccount({ customers: 30, seed: 21 });
  const shown = new Map<string, Record<string, unknown>>();
  let world: World;
  let expected: Map<string, ExpectedRecord>;

  before(async () => {
    world = await aWorld(suite, { account });
    const ids = [...account.customers.map(({ id }) => id), ...account.deletedCustomerIds];
    expected = expectedOf(world, { existingCustomerIds: ids });
    for (const id of ids) {
      world.stripe.log.length = 0;
      const run = await world.run("test-one", [id, "--json"]);
      assert.equal(run.code, 0, run.all);
      shown.set(id, jsonOf(run));
      assertScoped(world, id);
    }
  });

  /** Every request names the customer, or an invoice of this customer. */
  function assertScoped({ stripe }: World, id: string): void {
    const own = new Set(account.invoices.filter(({ customer }) => customer === id).map((invoice) => invoice.id));
    for (const { path, query } of stripe.log) {
      const invoice = query.get("invoice") ?? /^\/v1\/invoices\/(\w+)\/lines$/.exec(path)?.[1] ?? "";
      const isScoped = query.get("customer") === id || path === `/v1/customers/${id}` || own.has(invoice);
      assert.ok(isScoped, `${path}?${query} is not of ${id}`);
    }
    assert.deepEqual([...new Set(stripe.log.map(({ method }) => method))], ["GET"]);
  }

  test("the amounts, dates, status and links in minor units equal an independent computation", () => {
    let compared = 0;
    for (const [id, record] of expected) {
      const json = shown.get(id) ?? {};
      const spend = Object.fromEntries(Object.entries(record.spend).map(([slug, amount]) => [slug, Number(amount)]));
      assert.deepEqual(
        [json["total_revenue_minor"], json["unallocated_revenue_minor"], json["spend_minor"]],
        [Number(record.total_revenue), Number(record.unallocated_revenue), spend],
        id,
      );
      for (const field of ["subscription_status", "first_charge_at", "last_charge_at", "person", "company"] as const)
        assert.equal(json[field], record[field], `${field} of ${id}`);
      compared += 1;
    }
    assert.ok(compared >= 28, `${compared}`);
  });

  test("a customer without any charge is all zeros and gets no record", () => {
    const free = [...shown].filter(([id]) => !expected.has(id));
    assert.ok(free.length > 0);
    for (const [, json] of free) assert.deepEqual([json["total_revenue_minor"], json["next_sync"]], [0, "no record"]);
  });

  test("what it says the next sync would write is what the sync then writes", async () => {
    const run = await world.run("sync");
    assert.equal(run.code, 0, run.all);

    for (const record of world.attio.records("stripe_customers")) {
      const json = shown.get(String(record["stripe_customer_id"])) ?? {};
      const spend = isObject(json["spend_minor"]) ? json["spend_minor"] : {};
      const { total_revenue_minor: total_revenue, unallocated_revenue_minor: unallocated_revenue } = json;
      for (const [slug, amount] of Object.entries({ ...spend, total_revenue, unallocated_revenue }))
        assert.equal(Math.round(Number(record[slug]) * 100), amount, `${slug} of ${record.recordId}`);
      for (const slug of ["subscription_status", "person", "company"]) assert.equal(record[slug], json[slug]);
      assert.equal(json["next_sync"], "create");
    }
  });

  test("after the sync it says that the record is unchanged, and shows it", async () => {
    for (const record of world.attio.records("stripe_customers").slice(0, 3)) {
      const json = jsonOf(await world.run("test-one", [String(record["stripe_customer_id"]), "--json"]));

      assert.equal(json["next_sync"], "unchanged");
      assert.ok(isObject(json["crm"]));
      assert.equal(json["crm"]["record_id"], record.recordId);
    }
  });

  test("nothing was written, neither by the statement nor by the JSON", async () => {
    world.attio.log.length = 0;

    await world.run("test-one", [account.customers[0]?.id ?? ""]);
    await world.run("test-one", [account.customers[1]?.id ?? "", "--json"]);

    assert.deepEqual(writesOf(world.attio), []);
    assert.ok(world.attio.log.length > 0);
  });
});

describe("test-one: the statement", () => {
  const addCharge =
    (charge: Partial<StripeCharge>) =>
    (world: World): void =>
      world.stripe.put(aCharge({ id: "ch_x", customer: ME, payment_intent: "pi_x", ...charge }));

  test("a plain payer's charge, invoice, line, totals and record are shown with links", async (t) => {
    const statement = await statementOf(t, () => undefined);

    says(statement, chargeIdOf(0), "net 10.00 usd", "captured 10.00 usd", "given back 0.00 usd");
    says(statement, chargeIdOf(0), `https://dashboard.stripe.com/payments/${chargeIdOf(0)}`);
    says(statement, "in_", "collected 10.00 usd", "paid 10.00 usd", "https://dashboard.stripe.com/invoices/in_");
    says(statement, "10.00 usd", "billed 10.00 usd", `${PRO} -> spend_pro`);
    says(statement, "total revenue", "1", "10.00 usd");
    says(statement, "- spend_pro", "10.00 usd");
    says(statement, "= unallocated", "0.00 usd");
    says(statement, "next sync", "create");
    says(statement, "total_revenue", "empty -> 10.00");
    says(statement, "dashboard", `https://dashboard.stripe.com/customers/${ME}`);
  });

  const CHARGES: readonly (readonly [name: string, charge: Partial<StripeCharge>, parts: readonly string[]])[] = [
    ["a partial refund", { amount_refunded: 300 }, ["net 7.00 usd", "captured 10.00 usd", "given back 3.00 usd"]],
    ["a full refund", { amount_refunded: 1000 }, ["net 0.00 usd", "given back 10.00 usd", "refunded in full"]],
    ["a failed charge", { status: "failed" }, ["net 0.00 usd", "failed: not counted"]],
    ["a pending charge", { status: "pending", captured: true }, ["net 0.00 usd", "pending: not counted"]],
    ["an authorisation", { captured: false }, ["net 0.00 usd", "authorised, not captured: not counted"]],
    ["a dispute", { disputed: true }, ["net 10.00 usd", "disputed: still counted"]],
    [
      "a partial capture without a refund",
      { amount_captured: 600 },
      ["net 6.00 usd", "10.00 usd authorised, 6.00 usd captured"],
    ],
    [
      "a partial capture whose balance transaction cannot be read",
      { amount_captured: 600, amount_refunded: 400 },
      ["net 6.00 usd", "of 4.00 usd refunded, 4.00 usd was only released", "cannot be read"],
    ],
  ];
  for (const [name, charge, parts] of CHARGES)
    test(`${name} is explained in its line`, async (t) => {
      says(await statementOf(t, addCharge(charge)), "ch_x", ...parts);
    });

  for (const [when, settled, parts] of [
    [
      "before basil",
      1000,
      ["net 5.00 usd", "of 5.00 usd refunded, 4.00 usd was only released", "settled the authorised"],
    ],
    ["since basil", 600, ["net 1.00 usd", "the refunded 5.00 usd is real"]],
  ] as const)
    test(`a partial capture ${when} is explained by what Stripe settled`, async (t) => {
      const statement = await statementOf(t, (world) => {
        addCharge({ amount_captured: 600, amount_refunded: 500, balance_transaction: "txn_x" })(world);
        world.stripe.put(aBalanceTransaction({ id: "txn_x", amount: settled, source: "ch_x" }));
      });

      says(statement, "ch_x", ...parts);
    });

  test("a charge in another currency is shown at what Stripe settled it for", async (t) => {
    const statement = await statementOf(t, (world) => {
      addCharge({ currency: "eur", balance_transaction: "txn_x", amount_refunded: 500 })(world);
      world.stripe.put(aBalanceTransaction({ id: "txn_x", amount: 1100, source: "ch_x", exchange_rate: 1.1 }));
    });

    says(statement, "ch_x", "net 5.00 eur", "counts as 5.50 usd", "Stripe settled 11.00 usd for 10.00 eur");
    says(statement, "total revenue", "2", "15.50 usd");
  });

  test("a charge that Stripe settled in yet another currency is set aside", async (t) => {
    const statement = await statementOf(t, (world) => {
      addCharge({ currency: "eur", balance_transaction: "txn_x" })(world);
      world.stripe.put(aBalanceTransaction({ id: "txn_x", amount: 1000, currency: "eur", source: "ch_x" }));
    });

    says(statement, "ch_x", "net 10.00 eur", "not settled in usd: set aside");
    says(statement, "total revenue", "10.00 usd");
  });

  const addInvoice = (invoice: Omit<Partial<StripeInvoice>, "lines">, amounts: readonly number[]) => (world: World) =>
    world.stripe.put(
      anInvoice({
        id: "in_x",
        customer: ME,
        created: Date.UTC(2026, 1, 1) / 1000,
        lines: amounts.map((amount, n) => anInvoiceLine({ id: `il_${n}`, amount, product: n === 0 ? PRO : "prod_b" })),
        ...invoice,
      }),
    );

  test("an invoice is split over its positive lines, the unit left over to the largest remainder", async (t) => {
    const statement = await statementOf(t, addInvoice({ amount_paid: 1000 }, [100, 200, -50, 0]));

    says(statement, "in_x", "collected 10.00 usd", "2 of its lines", "3.00 usd billed: discounts, credits, tax");
    assert.match(statement, new RegExp(`^ +3\\.33 usd +billed 1\\.00 usd; ${PRO} -> spend_pro; .+$`, "m"));
    assert.match(statement, /^ +6\.67 usd +billed 2\.00 usd; prod_b -> spend_other; .+$/m);
  });

  test("what was paid outside Stripe is named and not split", async (t) => {
    const statement = await statementOf(t, addInvoice({ amount_paid_off_stripe: 400 }, [1000]));

    says(statement, "in_x", "collected 6.00 usd", "paid 10.00 usd", "4.00 usd outside Stripe: not split");
  });

  test("an invoice of 0 has nothing to split, one without a positive line goes to spend_other", async (t) => {
    const nothing = await statementOf(t, addInvoice({}, [1000, -1000]));
    const noPositive = await statementOf(t, addInvoice({ amount_paid: 700 }, [-300]));

    says(nothing, "in_x", "collected 0.00 usd", "nothing to split");
    assert.match(noPositive, /^ +7\.00 usd +invoices without a positive line -> spend_other$/m);
  });

  test("an invoice of more than ten lines is shown with all of them", async (t) => {
    const statement = await statementOf(t, addInvoice({}, Array<number>(130).fill(100)));

    assert.equal(statement.match(/billed 1\.00 usd; prod_b -> spend_other; .+$/gm)?.length, 129);
  });

  test("an invoice without a rate for its currency is set aside, one with a rate is converted, then split", async (t) => {
    const noRate = await statementOf(t, addInvoice({ currency: "eur" }, [1000]));
    const converted = await statementOf(t, (world) => {
      addInvoice({ currency: "eur" }, [1000])(world);
      addCharge({ currency: "eur", amount: 2000, balance_transaction: "txn_x" })(world);
      world.stripe.put(aBalanceTransaction({ id: "txn_x", amount: 2300, source: "ch_x", exchange_rate: 1.15 }));
    });

    says(noRate, "in_x", "collected 10.00 eur", "set aside");
    says(converted, "in_x", "collected 10.00 eur", "11.50 usd at this customer's own rate");
    assert.match(converted, new RegExp(`^ +11\\.50 usd +billed 10\\.00 eur; ${PRO} -> spend_pro; .+$`, "m"));
  });

  test("an invoice names the charge that paid it, found through its payments", async (t) => {
    const statement = await statementOf(t, (world) => {
      addInvoice({}, [1000])(world);
      addCharge({})(world);
      const payment = { type: "payment_intent", payment_intent: "pi_x" } as const;
      world.stripe.put(anInvoicePayment({ id: "inpay_x", invoice: "in_x", payment, status: "paid" }));
    });

    says(statement, "in_x", "by ch_x");
  });

  test("an invoice paid after the run began waits for the next run", async (t) => {
    const paid_at = Date.UTC(2027, 0, 1) / 1000;
    const transitions = { finalized_at: null, marked_uncollectible_at: null, paid_at, voided_at: null };
    const statement = await statementOf(t, addInvoice({ status_transitions: transitions }, [1000]));

    says(statement, "in_x", "not counted yet");
    says(statement, "- spend_pro", "10.00 usd");
  });

  test("the subscriptions are listed under the status that they make", async (t) => {
    const ended_at = Date.UTC(2026, 4, 1) / 1000;
    const cancellation_details = { comment: null, feedback: null, reason: "payment_failed" } as const;
    const statement = await statementOf(t, ({ stripe }) =>
      stripe.put(aSubscription({ id: "sub_x", customer: ME, status: "canceled", ended_at, cancellation_details })),
    );

    assert.match(statement, /^Subscription status: Canceled \(Involuntary\)$/m);
    says(statement, "sub_x", "canceled", "payment_failed", "ended 2026-05-01");
  });

  test("a customer deleted in Stripe is said to be, with the revenue it keeps", async (t) => {
    const statement = await statementOf(t, ({ stripe }) => stripe.deleteCustomer(ME));

    says(statement, "name", "deleted in Stripe");
    says(statement, "total revenue", "10.00 usd");
  });

  test("links and amounts are those of test mode with a test key", async (t) => {
    const account = { ...payers(1), livemode: false };
    const env = { STRIPE_API_KEY: "rk_test_51SandboxOnlyNotARealKey0002" };
    const world = await aWorld(t, { account, hasPeople: false, env });

    const { out } = await world.run("test-one", [ME]);

    says(out, "dashboard", `https://dashboard.stripe.com/test/customers/${ME}`);
  });
});

describe("test-one: beside the CRM", () => {
  test("what the CRM holds stands beside what the next sync would write", async (t) => {
    const world = await aSyncedWorld(t, { account: payers(2) });
    const { recordId } = recordOf(world, ME);
    const person = world.attio.addPerson({ emailAddresses: ["payer0@example.com"] });
    world.attio.editAsMember("stripe_customers", recordId, { total_revenue: 7 });

    const { out } = await world.run("test-one", [ME]);

    says(out, "next sync", "update");
    says(out, "record", recordId);
    says(out, "total_revenue", "7.00 -> 10.00");
    says(out, "email", "payer0@example.com");
    assert.match(out, new RegExp(`^ {2}person +empty -> ${person}$`, "m"));
  });

  test("a person set by hand is shown to stay", async (t) => {
    const world = await aSyncedWorld(t, { account: payers(1) });
    const target_record_id = world.attio.addPerson({ emailAddresses: ["boss@example.com"] });
    const values = { person: { target_object: "people", target_record_id } };
    world.attio.editAsMember("stripe_customers", recordOf(world, ME).recordId, values);

    const { out } = await world.run("test-one", [ME]);

    assert.match(out, new RegExp(`^ {2}person +${target_record_id} \\(set by hand: stays\\)$`, "m"));
  });

  test("two records of the customer are named", async (t) => {
    const world = await aSyncedWorld(t, { account: payers(1) });
    world.attio.setUnique("stripe_customers", "stripe_customer_id", false);
    const copy = world.attio.addRecordAsMember("stripe_customers", { stripe_customer_id: ME });
    world.attio.setUnique("stripe_customers", "stripe_customer_id", true);

    const { out } = await world.run("test-one", [ME]);

    says(out, "DUPLICATES", copy);
  });

  test("where Attio lacks the object the Stripe side is shown, the fault is named, and it exits 1", async (t) => {
    const world = await aWorld(t, { account: payers(1), hasPeople: false, bootstraps: false });

    const run = await world.run("test-one", [ME]);

    assert.equal(run.code, 1);
    says(run.out, "total revenue", "10.00 usd");
    assert.match(run.err, /There is no object stripe_customers in Attio\. Run: node bootstrap-attio\.ts/);
  });

  test("without ATTIO_API_KEY the Stripe side is shown, and Attio is not asked", async (t) => {
    const world = await aWorld(t, { account: payers(1), hasPeople: false, bootstraps: false });
    world.env["ATTIO_API_KEY"] = "";

    const statement = await world.run("test-one", [ME]);
    const json = jsonOf(await world.run("test-one", [ME, "--json"]));

    assert.equal(statement.code, 0, statement.all);
    says(statement.out, "not asked", "ATTIO_API_KEY is not set");
    assert.deepEqual([json["total_revenue_minor"], json["person"], json["next_sync"]], [1000, null, null]);
    assert.equal(world.attio.log.length, 0);
  });
});

describe("test-one: usage", () => {
  test("--json prints one object with the documented fields and nothing else on stdout", async (t) => {
    const world = await aWorld(t, { account: payers(1), hasPeople: false });

    const json = jsonOf(await world.run("test-one", [ME, "--json"]));

    const wanted = {
      stripe_customer_id: ME,
      total_revenue_minor: 1000,
      spend_minor: { spend_pro: 1000, spend_starter: 0, spend_team: 0, spend_usage: 0, spend_other: 0 },
      unallocated_revenue_minor: 0,
      currency: "usd",
      subscription_status: "No Subscription",
      first_charge_at: "2026-01-01T00:00:00.000Z",
      last_charge_at: "2026-01-01T00:00:00.000Z",
      person: null,
      company: null,
    };
    assert.deepEqual(Object.fromEntries(Object.keys(wanted).map((field) => [field, json[field]])), wanted);
  });

  test("an unknown customer is a clear error, exit 1, and nothing on stdout", async (t) => {
    const world = await aWorld(t, { account: payers(1), hasPeople: false });

    const run = await world.run("test-one", ["cus_NobodyHere0001", "--json"]);

    assert.equal(run.code, 1);
    assert.equal(run.out, "");
    assert.match(
      run.err,
      /Stripe has no customer cus_NobodyHere0001 in live mode\. Check the id, and that STRIPE_API_KEY/,
    );
  });

  for (const args of [[], ["ch_1"], ["cus_1", "cus_2"], ["cus_1", "--dry-run"]])
    test(`"${args.join(" ")}" is wrong usage: exit 2, nothing requested`, async (t) => {
      const world = await aWorld(t, { account: payers(1), hasPeople: false, bootstraps: false });

      const run = await world.run("test-one", args);

      assert.equal(run.code, 2);
      assert.match(run.err, /Nothing was requested\.\n$/);
      assert.deepEqual([world.stripe.log.length, world.attio.log.length], [0, 0]);
    });

  test("no run of this file printed a key", () => {
    assertNoSecrets();
  });
});
