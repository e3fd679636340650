// test-one.test.ts - one customer's statement: the same arithmetic as the sync's, line by line, and never a write.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { before, describe, test } from "node:test";
import type { TestContext } from "node:test";
import { seedAccount } from "../sandbox/account.ts";
import { aBalanceTransaction, aCharge, anInvoice, anInvoiceLine, anInvoicePayment } from "../sandbox/objects.ts";
import type { StripeCharge, StripeInvoice } from "../sandbox/objects.ts";
import { isObject } from "../sync.ts";
import { PRO, aSyncedWorld, assertNoSecrets, chargeIdOf, customerIds, endOfSuite, expectedOf } from "./ground.ts";
import { payerId, payers, recordOf, writesOf } from "./ground.ts";
import type { ExpectedRecord } from "./oracle.ts";
import { aSummaryFile, aWorld } from "./world.ts";
import type { Run, World } from "./world.ts";

const ME = payerId(0);
const JULY = Date.UTC(2026, 6, 1) / 1000;

/** The one JSON object that `--json` prints. */
function jsonOf({ out }: Run): Record<string, unknown> {
  const value: unknown = JSON.parse(out);
  assert.ok(isObject(value));
  return { ...value };
}

/** A payer of 10.00 usd, to whose history something may be added, without people. */
async function aPayer(t: TestContext, ...adds: readonly ((world: World) => void)[]): Promise<World> {
  const world = await aWorld(t, { account: payers(1), hasPeople: false });
  for (const add of adds) add(world);
  return world;
}

/** What a good run about this payer says. */
async function statementOf(world: World): Promise<string> {
  const { code, out, all } = await world.run("test-one", [ME]);
  assert.equal(code, 0, all);
  return out;
}

/** Fails unless the statement has lines that start like these, blanks and columns aside. */
function says(statement: string, ...starts: readonly string[]): void {
  const lines = statement.replace(/\n {20,}(?=[a-z])/g, " ").split("\n").map((line) => line.trim().replace(/ {2,}/g, "  ")); // prettier-ignore
  for (const start of starts) assert.ok(lines.some((line) => line.startsWith(start)), `no "${start}" in\n${statement}`); // prettier-ignore
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
  let writes: number;

  before(async () => {
    world = await aWorld(suite, { account });
    world.attio.log.length = 0;
    const ids = [...account.customers.map(({ id }) => id), ...account.deletedCustomerIds];
    expected = expectedOf(world, { existingCustomerIds: ids });
    for (const id of ids) {
      world.stripe.log.length = 0;
      const run = await world.run("test-one", [id, "--json"]);
      assert.equal(run.code, 0, run.all);
      shown.set(id, jsonOf(run));
      assertScoped(world, id);
    }
    await world.run("test-one", [ids[0] ?? ""]);
    writes = writesOf(world.attio).length;
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
    assert.ok(expected.size >= 28, `${expected.size}`);
    const number = (amount: bigint | null): number | null => (amount === null ? null : Number(amount));
    for (const [id, { spend, mrr, total_revenue, unallocated_revenue, name: _, ...plain }] of expected) {
      const json = shown.get(id) ?? {};
      const sums = ["total_revenue_minor", "unallocated_revenue_minor", "mrr_minor"].map((field) => json[field]);
      assert.deepEqual(sums, [total_revenue, unallocated_revenue, mrr].map(number), id); // prettier-ignore
      const inColumns = Object.fromEntries(Object.entries(spend).map(([slug, sum]) => [slug, number(sum)]));
      assert.deepEqual([json["spend_minor"], json["currency"]], [inColumns, "usd"], id);
      for (const [field, value] of Object.entries(plain)) if (field in json) assert.equal(json[field], value, `${field} of ${id}`); // prettier-ignore
    }
  });

  test("a customer without any charge is all zeros and gets no record", () => {
    const free = [...shown].filter(([id]) => !expected.has(id));
    assert.ok(free.length > 0);
    for (const [, json] of free) assert.deepEqual([json["total_revenue_minor"], json["next_sync"]], [0, "no record"]);
  });

  test("of whom it says that the next sync creates a record, has one then, and nothing changes any more", async () => {
    const creates = [...shown].filter(([, json]) => json["next_sync"] === "create").map(([id]) => id);

    const run = await world.run("sync");

    assert.equal(run.code, 0, run.all);
    assert.deepEqual(creates.toSorted(), customerIds(world).toSorted());
    const [id = assert.fail()] = creates;
    const { next_sync, crm } = jsonOf(await world.run("test-one", [id, "--json"]));
    assert.ok(isObject(crm));
    assert.deepEqual([next_sync, crm["record_id"]], ["unchanged", recordOf(world, id).recordId]);
  });

  test("nothing was written, neither by the statement nor by the JSON", () => {
    assert.equal(writes, 0);
    assert.ok(world.attio.log.length > 0);
  });
});

describe("test-one: the statement", () => {
  type Add = (world: World) => void;
  const charge =
    (fields: Partial<StripeCharge>, settled?: number, currency = "usd", exchange_rate: number | null = null): Add =>
    ({ stripe }) => {
      const txn = settled === undefined ? {} : { balance_transaction: "txn_x" };
      stripe.put(aCharge({ id: "ch_x", customer: ME, payment_intent: "pi_x", created: JULY, ...txn, ...fields }));
      if (settled === undefined) return;
      stripe.put(aBalanceTransaction({ id: "txn_x", amount: settled, currency, exchange_rate, source: "ch_x" }));
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

  const dashboard = "https://dashboard.stripe.com";
  const plain = ["2026-01-01  10.00 usd  captured 10.00 usd, refunded 0.00 usd", `${dashboard}/payments/${chargeIdOf(0)}`,
    `${dashboard}/invoices/in_`, `10.00 usd  ${PRO} -> spend_pro; `, "spend_pro  10.00 usd", "unallocated  0.00 usd  paid without an invoice, less refunds",
    "= total revenue  10.00 usd", "next sync  create", "total_revenue  empty -> 10.00", `dashboard  ${dashboard}/customers/${ME}`]; // prettier-ignore

  // prettier-ignore
  const SAID: readonly (readonly [name: string, adds: readonly Add[], ...starts: string[]])[] = [
    ["a plain payer's charge, invoice, line, totals and record, with links", [], ...plain],
    ["a partial refund", [charge({ amount_refunded: 300 })], "2026-07-01  7.00 usd  captured 10.00 usd, refunded 3.00 usd", `${dashboard}/payments/ch_x`],
    ["a full refund", [charge({ amount_refunded: 1000 })], "2026-07-01  0.00 usd  captured 10.00 usd, refunded 10.00 usd"],
    ["a failed charge", [charge({ status: "failed" })], "2026-07-01  0.00 usd  failed: not counted"],
    ["a pending charge", [charge({ status: "pending", captured: true })], "2026-07-01  0.00 usd  pending: not counted"],
    ["an authorisation", [charge({ captured: false })], "2026-07-01  0.00 usd  uncaptured: not counted"],
    ["a dispute", [charge({ disputed: true })], "2026-07-01  10.00 usd  captured 10.00 usd, refunded 0.00 usd; disputed, still counted"],
    ["a partial capture before basil", [charge(partial, 1000)], "2026-07-01  5.00 usd  captured 6.00 usd, refunded 1.00 usd; part captured, authorised settled"],
    ["a partial capture since basil", [charge(partial, 600)], "2026-07-01  1.00 usd  captured 6.00 usd, refunded 5.00 usd; part captured, captured settled"],
    ["a charge in another currency", [charge({ ...inEuro, amount_refunded: 500 }, 1100, "usd", 1.1)],
      "2026-07-01  5.50 usd  captured 10.00 eur, refunded 5.00 eur; settled 11.00 usd for 10.00 eur"],
    ["a charge settled in another", [charge(inEuro, 1000, "eur")], "2026-07-01  0.00 usd  captured 10.00 eur, refunded 0.00 eur; not included: not settled in usd"],
    ["money from outside", [invoice({ amount_paid_off_stripe: 400 }, [1000])],
      "2026-07-01  6.00 usd  collected 6.00 usd; some paid outside Stripe: not split", `${dashboard}/invoices/in_x`],
    ["an invoice of 0", [invoice({}, [1000, -1000])], "2026-07-01  0.00 usd  collected 0.00 usd; nothing to split"],
    ["an invoice without a rate", [invoice(inEuro, [1000])], "2026-07-01  0.00 usd  collected 10.00 eur; not included: no charge tells a rate"],
    ["an invoice paid later", [invoice(later, [1000])], "2026-07-01  0.00 usd  collected 10.00 usd; paid since this run began: the next run's"],
    ["an invoice with a rate", [invoice(inEuro, [1000]), charge({ ...inEuro, amount: 2000, created: 0 }, 2300, "usd", 1.15)],
      "2026-07-01  11.50 usd  collected 10.00 eur; at this customer's own rate"],
    ["an invoice and what paid it", [ofTen], "2026-07-01  10.00 usd  collected 10.00 usd; by ch_x"],
    ["an invoice whose payments are refused", [ofTen, (world) => refuse(world, "/v1/invoice_payments")], "2026-07-01  10.00 usd  collected 10.00 usd"],
    ["an invoice of positive and other lines, the unit left over to the largest remainder", [invoice({ amount_paid: 1000 }, [100, 200, -50, 0])],
      `3.33 usd  ${PRO} -> spend_pro; `, "6.67 usd  prod_b -> spend_other; "],
    ["an invoice without a positive line", [invoice({ amount_paid: 700 }, [-300])], "7.00 usd  invoices without a positive line -> spend_other"],
    ["money that invoices collected beyond all charges", [invoice({}, [5000])],
      "· beyond charges  50.00 usd  collected by invoices beyond all charges: paid some other way"],
    ["a customer deleted in Stripe, with the revenue it keeps", [({ stripe }) => stripe.deleteCustomer(ME)], "name  deleted in Stripe", "= total revenue  10.00 usd"],
  ];
  for (const [name, adds, ...starts] of SAID)
    test(`${name} is explained in lines of at most 100 columns`, async (t) => {
      const statement = await statementOf(await aPayer(t, ...adds));

      says(statement, ...starts);
      if (adds.length === 0) assert.doesNotMatch(statement, /beyond charges/);
      assert.match(statement, /^ {2}2026-01-01 .*\n {6}https:/m, "a link stands under its charge, further in");
      for (const line of statement.split("\n")) assert.ok(line.length <= 100, line);
    });

  test("all lines of an invoice are shown", async (t) => {
    const statement = await statementOf(await aPayer(t, invoice({}, Array<number>(130).fill(100))));

    assert.equal(statement.match(/^ +1\.00 usd +prod_b -> spend_other; .+$/gm)?.length, 129);
  });

  test("a subscription is shown with its status, what it is worth a month, and why", async (t) => {
    const account = seedAccount({ customers: 12, seed: 1 });
    const world = await aWorld(t, { account, hasPeople: false });
    const sub = account.subscriptions.find(({ discounts, status }) => discounts.length > 0 && status === "active");

    const { out } = await world.run("test-one", [String(sub?.customer)]);

    assert.match(out, /^Subscriptions: Active, mrr [\d.]+$/m);
    assert.match(out, new RegExp(`^  ${sub?.id}: active; counted; renews \\d{4}-\\d\\d-\\d\\d$`, "m"));
    assert.match(
      out,
      /^ +[\d.]+ usd +\d+ × \d+ minor units of usd a month = [\d.]+ a month; less coupon co_\w+ \(20 %\)$/m,
    );
  });

  test("links are those of test mode with a test key, and an address of the dashboard is taken for its id", async (t) => {
    const env = { STRIPE_API_KEY: "rk_test_51SandboxOnlyNotARealKey0002" };
    const world = await aWorld(t, { account: { ...payers(1), livemode: false }, hasPeople: false, env });

    const { out } = await world.run("test-one", [`${dashboard}/test/customers/${ME}?tab=payments`]);

    says(out, `dashboard  ${dashboard}/test/customers/${ME}`);
  });
});

describe("test-one: beside the CRM", () => {
  const edit = (world: World, values: Record<string, unknown>): void =>
    world.attio.editAsMember("stripe_customers", recordOf(world, ME).recordId, values);
  const CRM: readonly (readonly [name: string, change: (world: World) => readonly string[]])[] = [
    ["what the CRM holds stands beside what the next sync would write", (world) => {
      const person = world.attio.addPerson({ emailAddresses: ["payer0@example.com"] });
      edit(world, { total_revenue: 7 });
      const links = [`person  empty -> ${person}`, `record  ${recordOf(world, ME).recordId}`];
      return ["next sync  update", "total_revenue  7.00 -> 10.00", "email  payer0@example.com", ...links];
    }],
    ["a person set by hand is shown to stay", (world) => {
      const id = world.attio.addPerson({ emailAddresses: ["boss@example.com"] });
      edit(world, { person: { target_object: "people", target_record_id: id } });
      return [`person  ${id} (set by hand: stays)`];
    }],
    ["two records of the customer are named", (world) => {
      const { recordId } = recordOf(world, ME);
      world.attio.setUnique("stripe_customers", "stripe_customer_id", false);
      const copy = world.attio.addRecordAsMember("stripe_customers", { stripe_customer_id: ME });
      world.attio.setUnique("stripe_customers", "stripe_customer_id", true);
      return [`DUPLICATES  records ${recordId}, ${copy}: the sync stops until one is left`];
    }],
  ]; // prettier-ignore
  for (const [name, change] of CRM)
    test(name, async (t) => {
      const world = await aSyncedWorld(t, { account: payers(1) });
      const starts = change(world);

      says(await statementOf(world), ...starts);
    });

  test("where Attio is not asked or lacks the object, the Stripe side is shown, and a fault exits 1", async (t) => {
    const world = await aWorld(t, { account: payers(1), hasPeople: false, bootstraps: false });

    const lacking = await world.run("test-one", [ME]);
    world.attio.log.length = 0;
    world.env["ATTIO_API_KEY"] = "";
    const json = jsonOf(await world.run("test-one", [ME, "--json"]));

    says(await statementOf(world), "not asked  ATTIO_API_KEY is not set", "= total revenue  10.00 usd");
    assert.deepEqual([json["total_revenue_minor"], json["person"], json["next_sync"]], [1000, null, null]);
    assert.equal(world.attio.log.length, 0);
    says(lacking.out, "= total revenue  10.00 usd");
    assert.match(lacking.err, /There is no object stripe_customers in Attio\. Next: npm run bootstrap/);
    assert.equal(lacking.code, 1);
  });
});

describe("test-one: usage", () => {
  test("an unknown customer is a clear error, exit 1, and nothing on stdout", async (t) => {
    const world = await aPayer(t);

    const run = await world.run("test-one", ["cus_NobodyHere0001", "--json"]);

    assert.deepEqual([run.code, run.out], [1, ""]);
    assert.match(run.err, /Stripe has no customer cus_NobodyHere0001 in live mode\. Check the id, and that STRIPE/);
  });

  test("after its error it asks for nothing more", async (t) => {
    const world = await aPayer(t);
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
    const world = await aPayer(t);
    const file = aSummaryFile(t);
    world.env["GITHUB_STEP_SUMMARY"] = file;

    await statementOf(world);

    assert.match(readFileSync(file, "utf8"), /^## One customer\n[^]+\n\| = total revenue \| 10\.00 usd \|/);
  });

  test("no id, another's, two or an option of the sync are wrong usage: exit 2, nothing requested", async (t) => {
    const world = await aWorld(t, { account: payers(1), hasPeople: false, bootstraps: false });

    for (const args of [[], ["ch_1"], ["cus_1", "cus_2"], ["cus_1", "--dry-run"]]) {
      const run = await world.run("test-one", args);
      assert.equal(run.code, 2, args.join());
      assert.match(run.err, /Nothing was requested\.\n$/);
    }
    assert.deepEqual([world.stripe.log.length, world.attio.log.length], [0, 0]);
  });

  test("no run of this file printed a key", () => {
    assertNoSecrets();
  });
});
