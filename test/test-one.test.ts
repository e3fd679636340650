// test-one.test.ts - one customer's statement: the same arithmetic as the sync's, line by line, and never a write.

import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname } from "node:path";
import { before, describe, test } from "node:test";
import type { TestContext } from "node:test";
import { seedAccount } from "../sandbox/account.ts";
import { aBalanceTransaction, aCharge, anInvoice, anInvoiceLine, anInvoicePayment } from "../sandbox/objects.ts";
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
const JULY = Date.UTC(2026, 6, 1) / 1000;

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

/** What a key without the permission gets. */
function refuse({ stripe }: World, path: string): void {
  const text = JSON.stringify({ error: { type: "invalid_request_error", message: "The key may not." } });
  stripe.faultRules.push((call) => (call.path === path ? { name: "403", before: { status: 403, text } } : undefined));
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
      assert.ok(isScoped || path.startsWith("/v1/coupons/"), `${path}?${query} is not of ${id}`);
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
      for (const [field, value] of Object.entries(record))
        if (typeof value !== "bigint" && field !== "name" && field in json)
          assert.equal(json[field], value, `${field} of ${id}`);
      assert.equal(json["mrr_minor"], record.mrr === null ? null : Number(record.mrr), `mrr of ${id}`);
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
    const [record] = world.attio.records("stripe_customers");
    const json = jsonOf(await world.run("test-one", [String(record?.["stripe_customer_id"]), "--json"]));

    assert.equal(json["next_sync"], "unchanged");
    assert.ok(isObject(json["crm"]));
    assert.equal(json["crm"]["record_id"], record?.recordId);
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
  type Add = (world: World) => void;
  const charge = (fields: Partial<StripeCharge>, ...settled: readonly (number | string)[]): Add => {
    const [amount = 0, currency = "usd", rate] = settled;
    const balance = { id: "txn_x", amount: Number(amount), currency: String(currency), source: "ch_x" };
    const exchange_rate = rate === undefined ? null : Number(rate);
    const txn = settled.length === 0 ? {} : { balance_transaction: "txn_x" };
    return ({ stripe }) => {
      stripe.put(aCharge({ id: "ch_x", customer: ME, payment_intent: "pi_x", created: JULY, ...txn, ...fields }));
      if (settled.length > 0) stripe.put(aBalanceTransaction({ ...balance, exchange_rate }));
    };
  };
  const invoice = (fields: Omit<Partial<StripeInvoice>, "lines">, amounts: readonly number[]): Add => {
    const lines = amounts.map((amount, n) =>
      anInvoiceLine({ id: `il_${n}`, amount, product: n === 0 ? PRO : "prod_b" }),
    );
    return ({ stripe }) => stripe.put(anInvoice({ id: "in_x", customer: ME, created: JULY, lines, ...fields }));
  };
  const ofTen = (world: World): void => {
    invoice({}, [1000])(world);
    charge({ created: 0 })(world);
    const payment = { type: "payment_intent", payment_intent: "pi_x" } as const;
    world.stripe.put(anInvoicePayment({ id: "inpay_x", invoice: "in_x", payment, status: "paid" }));
  };
  const none = { finalized_at: null, marked_uncollectible_at: null, voided_at: null };
  const later = { status_transitions: { ...none, paid_at: Date.UTC(2027, 0, 1) / 1000 } };
  const partial = { amount_captured: 600, amount_refunded: 500 };
  const inEuro = { currency: "eur" };

  // prettier-ignore
  const SAID: readonly (readonly [name: string, adds: readonly Add[], ...parts: string[]])[] = [
    ["a partial refund", [charge({ amount_refunded: 300 })], "7.00 usd", "captured 10.00 usd, refunded 3.00 usd"],
    ["a full refund", [charge({ amount_refunded: 1000 })], "0.00 usd", "captured 10.00 usd, refunded 10.00 usd"],
    ["a failed charge", [charge({ status: "failed" })], "0.00 usd", "failed: not counted"],
    ["a pending charge", [charge({ status: "pending", captured: true })], "0.00 usd", "pending: not counted"],
    ["an authorisation", [charge({ captured: false })], "0.00 usd", "uncaptured: not counted"],
    ["a dispute", [charge({ disputed: true })], "10.00 usd", "disputed, still counted"],
    ["a partial capture before basil", [charge(partial, 1000)], "5.00 usd", "refunded 1.00", "authorised settled"],
    ["a partial capture since basil", [charge(partial, 600)], "1.00 usd", "refunded 5.00", "captured settled"],
    ["a charge in another currency", [charge({ ...inEuro, amount_refunded: 500 }, 1100, "usd", 1.1)],
      "5.50 usd", "captured 10.00 eur, refunded 5.00 eur; settled 11.00 usd for 10.00 eur"],
    ["a charge settled in another", [charge(inEuro, 1000, "eur")], "0.00 usd", "not included: not settled in usd"],
    ["money from outside", [invoice({ amount_paid_off_stripe: 400 }, [1000])], "6.00 usd", "some paid outside Stripe"],
    ["an invoice of 0", [invoice({}, [1000, -1000])], "0.00 usd", "nothing to split"],
    ["an invoice without a rate", [invoice(inEuro, [1000])], "0.00 usd", "not included: no charge tells a rate"],
    ["an invoice paid later", [invoice(later, [1000])], "0.00 usd", "the next run's"],
    ["an invoice with a rate", [invoice(inEuro, [1000]), charge({ ...inEuro, amount: 2000, created: 0 }, 2300, "usd", 1.15)],
      "11.50 usd  collected 10.00 eur; at this customer's own rate"],
    ["an invoice and what paid it", [ofTen], "10.00 usd  collected 10.00 usd; by ch_x"],
    ["an invoice whose payments are refused", [ofTen, (world) => refuse(world, "/v1/invoice_payments")], "10.00 usd"],
  ];
  for (const [name, adds, ...parts] of SAID)
    test(`${name} is explained in two lines of at most 100 columns`, async (t) => {
      const lines = (await statementOf(t, (world) => adds.forEach((add) => add(world)))).split("\n");

      says(lines.join("\n"), "2026-07-01", ...parts);
      const at = lines.findIndex((line) => line.includes("2026-07-01"));
      assert.match(lines[at + 1] ?? "", /^ +https:\/\/dashboard\.stripe\.com\/(payments\/ch|invoices\/in)_x$/);
      for (const line of lines) assert.ok(line.length <= 100, line);
    });

  test("a plain payer's charge, invoice, line, totals and record are shown with links", async (t) => {
    const statement = await statementOf(t, () => undefined);

    says(statement, "2026-01-01", "10.00 usd  captured 10.00 usd, refunded 0.00 usd");
    says(statement, `https://dashboard.stripe.com/payments/${chargeIdOf(0)}`);
    says(statement, "https://dashboard.stripe.com/invoices/in_");
    assert.match(statement, new RegExp(`^ +10\\.00 usd +${PRO} -> spend_pro; .+$`, "m"));
    says(statement, "spend_pro", "10.00 usd");
    says(statement, "unallocated", "0.00 usd", "paid without an invoice, less refunds");
    says(statement, "= total revenue", "10.00 usd");
    says(statement, "next sync", "create");
    says(statement, "total_revenue", "empty -> 10.00");
    says(statement, "dashboard", `https://dashboard.stripe.com/customers/${ME}`);
    assert.doesNotMatch(statement, /beyond charges/);
  });

  test("an invoice is split over its positive lines, the unit left over to the largest remainder", async (t) => {
    const statement = await statementOf(t, invoice({ amount_paid: 1000 }, [100, 200, -50, 0]));

    assert.match(statement, new RegExp(`^ +3\\.33 usd +${PRO} -> spend_pro; .+$`, "m"));
    assert.match(statement, /^ +6\.67 usd +prod_b -> spend_other; .+$/m);
  });

  test("all lines are shown, and what has none goes to spend_other", async (t) => {
    const many = await statementOf(t, invoice({}, Array<number>(130).fill(100)));
    const noPositive = await statementOf(t, invoice({ amount_paid: 700 }, [-300]));

    assert.equal(many.match(/^ +1\.00 usd +prod_b -> spend_other; .+$/gm)?.length, 129);
    assert.match(noPositive, /^ +7\.00 usd +invoices without a positive line -> spend_other$/m);
  });

  test("what invoices collected beyond all charges is said to have been paid some other way", async (t) => {
    says(await statementOf(t, invoice({}, [5000])), "· beyond charges", "50.00 usd", "paid some other way");
  });

  test("a subscription is shown with its status, what it is worth a month, and why", async (t) => {
    const account = seedAccount({ customers: 12, seed: 1 });
    const world = await aWorld(t, { account, hasPeople: false });
    const sub = account.subscriptions.find(({ discounts, status }) => discounts.length > 0 && status === "active");

    const { out } = await world.run("test-one", [String(sub?.customer)]);

    assert.match(out, /^Subscriptions: Active, mrr [\d.]+$/m);
    assert.match(out, new RegExp(`^  ${sub?.id}: active; counted; renews \\d{4}-\\d\\d-\\d\\d$`, "m"));
    assert.match(out, /^ +[\d.]+ usd +\d+ × \d+ .+ every 1 month = [\d.]+ a month; less coupon co_\w+$/m);
  });

  test("a customer deleted in Stripe is said to be, with the revenue it keeps", async (t) => {
    const statement = await statementOf(t, ({ stripe }) => stripe.deleteCustomer(ME));

    says(statement, "name", "deleted in Stripe");
    says(statement, "= total revenue", "10.00 usd");
  });

  test("links are those of test mode with a test key, and an address of the dashboard is taken for its id", async (t) => {
    const env = { STRIPE_API_KEY: "rk_test_51SandboxOnlyNotARealKey0002" };
    const world = await aWorld(t, { account: { ...payers(1), livemode: false }, hasPeople: false, env });

    const { out } = await world.run("test-one", [`https://dashboard.stripe.com/test/customers/${ME}?tab=payments`]);

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

    assert.match(out, new RegExp(`^ {2}DUPLICATES +records [^:]+${copy}: the sync stops`, "m"));
  });

  test("where Attio lacks the object the Stripe side is shown, the fault is named, and it exits 1", async (t) => {
    const world = await aWorld(t, { account: payers(1), hasPeople: false, bootstraps: false });

    const run = await world.run("test-one", [ME]);

    assert.equal(run.code, 1);
    says(run.out, "= total revenue", "10.00 usd");
    assert.match(run.err, /There is no object stripe_customers in Attio\. Next: npm run bootstrap/);
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

    const { stripe_customer_id, currency, spend_minor } = json;
    assert.deepEqual([stripe_customer_id, currency], [ME, "usd"]);
    assert.deepEqual(spend_minor, { spend_pro: 1000, spend_starter: 0, spend_team: 0, spend_usage: 0, spend_other: 0 });
  });

  test("an unknown customer is a clear error, exit 1, and nothing on stdout", async (t) => {
    const world = await aWorld(t, { account: payers(1), hasPeople: false });

    const run = await world.run("test-one", ["cus_NobodyHere0001", "--json"]);

    assert.deepEqual([run.code, run.out], [1, ""]);
    assert.match(run.err, /Stripe has no customer cus_NobodyHere0001 in live mode\. Check the id, and that STRIPE/);
  });

  test("after its error it asks for nothing more", async (t) => {
    const world = await aWorld(t, { account: payers(1), hasPeople: false });
    refuse(world, "/v1/invoices");
    const slow = { name: "slow", before: { status: 500, text: "{}" }, slowMs: 20 };
    world.stripe.faultRules.push(({ path }) => (path === "/v1/charges" ? slow : undefined));

    const run = await world.run("test-one", [ME]);
    const asked = world.stripe.log.length;
    await new Promise((resolve) => setTimeout(resolve, 100));

    assert.equal(run.code, 1);
    assert.match(run.err, /The key may not/);
    assert.ok(world.stripe.log.length <= asked + 1, "what was under way may still arrive");
  });

  test("the statement stands in the step summary as well", async (t) => {
    const world = await aWorld(t, { account: payers(1), hasPeople: false });
    const file = `${mkdtempSync(`${tmpdir()}/step-summary-`)}/summary.md`;
    world.env["GITHUB_STEP_SUMMARY"] = file;

    await world.run("test-one", [ME]);

    const summary = readFileSync(file, "utf8");
    assert.match(summary, /^## One customer\n/);
    assert.match(summary, /\n\| = total revenue \| 10\.00 usd \|/);
    rmSync(dirname(file), { recursive: true });
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
