// sync.test.ts - whole runs of the daily job, over HTTP, against both sandboxes.

import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { before, describe, test } from "node:test";
import type { TestContext } from "node:test";
import { seedAccount } from "../sandbox/account.ts";
import { aCharge, anInvoice, anInvoiceLine, stripeId } from "../sandbox/objects.ts";
import type { Fault } from "../sandbox/server.ts";
import { SANDBOX_STRIPE_TEST_KEY } from "../sandbox/stripe.ts";
import { VERSION } from "../sync.ts";
import {
  DAY_MS,
  aSyncedWorld,
  assertNoSecrets,
  assertRecordsEqual,
  chargeIdOf,
  countIn,
  customerIds,
  endOfSuite,
  expectedOf,
  isWrite,
  newPayer,
  oracleInput,
  payerId,
  payers,
  pick,
  recordOf,
  refund,
  sumOf,
  valuesOf,
  whenSeen,
  writesOf,
} from "./ground.ts";
import { decimalOf, expectedTotals } from "./oracle.ts";
import type { ExpectedRecord } from "./oracle.ts";
import { rewriting } from "./services.ts";
import { aWorld, printed, summaryOf } from "./world.ts";
import type { Run, World } from "./world.ts";

const ASSERT_ROUTE = "PUT /v2/objects/stripe_customers/records";
const NOTHING = { created: 0, updated: 0, refreshed: 0, failed: 0 };

/** A file for a step summary, gone after the test; what it held counts as printed. */
function aSummaryFile(onEnd: { after(remove: () => Promise<void>): void }): string {
  const folder = mkdtempSync(join(tmpdir(), "stripe-attio-"));
  const file = join(folder, "summary.md");
  onEnd.after(async () => {
    printed.push(readFileSync(file, "utf8"));
    rmSync(folder, { recursive: true });
  });
  return file;
}

/** A run with both streams in one, in the order in which they were written. */
async function runInterleaved(world: World, args: readonly string[]): Promise<Run> {
  let all = "";
  const write = (text: string): void => void (all += text);
  return { ...(await world.run("sync", args, { out: write, err: write })), all };
}

describe("sync: 400 customers with every trap", () => {
  const suite = endOfSuite();
  const summaryFile = aSummaryFile(suite);
  const account = seedAccount({ customers: 400, seed: 7 });
  let world: World;
  let expected: Map<string, ExpectedRecord>;
  let first: Run;
  let second: Run;
  let quietDay: { stripe: number; attio: number; writes: number };

  before(async () => {
    world = await aWorld(suite, { account });
    world.env["CI"] = "true";
    world.env["GITHUB_STEP_SUMMARY"] = summaryFile;
    world.attio.log.length = 0;
    first = await world.run("sync");
    const [stripe, attio, writes] = [world.stripe.log.length, world.attio.log.length, writesOf(world.attio).length];
    second = await world.run("sync");
    quietDay = {
      stripe: world.stripe.log.length - stripe,
      attio: world.attio.log.length - attio,
      writes: writesOf(world.attio).length - writes,
    };
    expected = expectedOf(world);
  });

  test("every field of every record equals an independent computation", () => {
    assert.equal(first.code, 0, first.all);
    assert.ok(expected.size > 300);
    assertRecordsEqual(world, expected);
  });

  test("the second run counts no change and sends no write", () => {
    assert.equal(second.code, 0, second.all);
    assert.deepEqual(summaryOf(second), { ...NOTHING, unchanged: expected.size });
    assert.equal(quietDay.writes, 0);
  });

  test("Stripe sees GET requests only", () => {
    assert.deepEqual([...new Set(world.stripe.log.map(({ method }) => method))], ["GET"]);
  });

  test("a quiet day asks Attio once per 500 records and per 100 addresses, and a dozen times", () => {
    const addresses = new Set([...expected.values()].map(({ email }) => email)).size;
    assert.ok(quietDay.attio <= Math.ceil(expected.size / 500) + Math.ceil(addresses / 100) + 12, `${quietDay.attio}`);
  });

  test("a quiet day asks Stripe for at most 1.4 times the least number of pages and 40 more", () => {
    const { charges, customers, subscriptions, invoices } = account;
    const paid = invoices.filter(({ status }) => status === "paid");
    const pages = [charges, customers, subscriptions, paid].map(({ length }) => Math.ceil(length / 100));
    const lines = paid.map(({ lines: { data } }) => Math.ceil((data.length - 10) / 100)).filter((more) => more > 0);
    const least = [...pages, ...lines].reduce((sum, more) => sum + more, 0);
    assert.ok(quietDay.stripe <= 1.4 * least + 40, `${quietDay.stripe} requests for ${least} pages`);
  });

  test("the records add up to the total that was printed", () => {
    const [, total, count] = /^total revenue ([\d.]+) usd of (\d+) customers/m.exec(first.out) ?? [];
    assert.equal(Number(count), expected.size);
    assert.equal(total, decimalOf(sumOf(world, "total_revenue"), "usd"));
  });

  test("the product columns and what is unallocated add up to the total", () => {
    const columns = ["spend_pro", "spend_starter", "spend_team", "spend_usage", "spend_other", "unallocated_revenue"];
    const sum = columns.reduce((total, slug) => total + sumOf(world, slug), 0n);
    assert.equal(sum, sumOf(world, "total_revenue"));
  });

  test("a log in CI and its step summary hold no name and no address", () => {
    const texts = [first.all, second.all, readFileSync(summaryFile, "utf8")];
    for (const { name, email } of account.customers)
      for (const value of [name, email?.trim(), email?.trim().toLowerCase()])
        for (const text of texts) assert.equal(value != null && text.includes(value), false, `${value}`);
  });

  test("a log in CI and its step summary hold no single customer's amount", () => {
    const totals = expectedTotals(oracleInput(world));
    const accountWide = new Set([totals.total, totals.unallocated, totals.otherWithoutProduct]);
    for (const sum of [...Object.values(totals.columns), ...totals.fellIntoOther.values()]) accountWide.add(sum);
    for (const { settled, ...tallies } of totals.byCurrency.values())
      for (const amount of [settled, ...Object.values(tallies).map((tally) => tally.amount)]) accountWide.add(amount);
    const text = first.all + second.all + readFileSync(summaryFile, "utf8");
    const shown = new Set(text.match(/\d+\.\d\d\b/g));
    for (const { stripe_customer_id, total_revenue, spend } of expected.values())
      for (const amount of [total_revenue, ...Object.values(spend)])
        if (amount > 0n && !accountWide.has(amount))
          assert.equal(shown.has(decimalOf(amount, "usd")), false, `${amount} of ${stripe_customer_id}`);
  });

  test("a log in CI holds no list of customer ids", () => {
    assert.doesNotMatch(first.all, /cus_/);
  });
});

describe("sync: the next day", () => {
  const UNALLOCATED = ["total_revenue", "spend_pro", "unallocated_revenue", "first_charge_at", "last_charge_at"];

  test("a full refund takes the record to 0 with its dates cleared and its product columns kept", async (t) => {
    const world = await aSyncedWorld(t, { account: payers(3) });
    refund(world, 0);

    const run = await world.run("sync");

    assert.deepEqual(summaryOf(run), { ...NOTHING, updated: 1, unchanged: 2 });
    assert.deepEqual(pick(recordOf(world, payerId(0)), UNALLOCATED), {
      total_revenue: "0",
      spend_pro: "10",
      unallocated_revenue: "-10",
      first_charge_at: null,
      last_charge_at: null,
    });
  });

  test("a person who appears is linked with the company, and nothing else is written", async (t) => {
    const world = await aSyncedWorld(t, { account: payers(3) });
    world.attio.addCompany({ name: "Example", domain: "example.com" });
    const person = world.attio.addPerson({ emailAddresses: ["Payer1@Example.com"], company: "example.com" });
    world.attio.log.length = 0;

    const run = await world.run("sync");

    assert.deepEqual(summaryOf(run), { ...NOTHING, updated: 1, unchanged: 2 });
    const company = world.attio.records("companies")[0]?.recordId;
    assert.deepEqual(pick(recordOf(world, payerId(1)), ["person", "company"]), { person, company });
    const written = Object.keys(valuesOf(writesOf(world.attio)[0])).toSorted();
    assert.deepEqual(written, ["company", "last_synced_at", "person", "stripe_customer_id"]);
  });

  test("a link moves with the customer's address, and is cleared when the address is nobody's", async (t) => {
    const world = await aWorld(t, { account: payers(2), hasPeople: false });
    for (const n of [0, 1]) world.attio.addPerson({ emailAddresses: [`payer${n}@example.com`] });
    const newer = world.attio.addPerson({ emailAddresses: ["new@example.com"] });
    await world.run("sync");
    const [first, second] = world.stripe.account.customers;
    assert.ok(first && second);
    world.stripe.put({ ...first, email: "new@example.com" });
    world.stripe.put({ ...second, email: "nobody@example.com" });

    await world.run("sync");

    assert.deepEqual([0, 1].map((n) => recordOf(world, payerId(n))["person"]), [newer, null]); // prettier-ignore
  });

  test("an amount that was edited by hand is right again after the next run", async (t) => {
    const world = await aSyncedWorld(t, { account: payers(3) });
    const { recordId } = recordOf(world, payerId(2));
    world.attio.editAsMember("stripe_customers", recordId, { total_revenue: 31, spend_pro: 7 });

    const run = await world.run("sync");

    assert.deepEqual(summaryOf(run), { ...NOTHING, updated: 1, unchanged: 2 });
    const held = pick(recordOf(world, payerId(2)), ["total_revenue", "spend_pro", "unallocated_revenue"]);
    assert.deepEqual(held, { total_revenue: "30", spend_pro: "30", unallocated_revenue: "0" });
  });

  test("a product without a mapping leaves its column at 0 and its money in spend_other, nothing else", async (t) => {
    const world = await aSyncedWorld(t, { account: payers(2) });
    world.env["PRODUCT_SLUGS"] = '{"prod_other":"spend_team"}';
    world.attio.log.length = 0;

    const run = await world.run("sync");

    assert.deepEqual(summaryOf(run), { ...NOTHING, updated: 2, unchanged: 0 });
    const held = pick(recordOf(world, payerId(1)), ["spend_pro", "spend_other", "unallocated_revenue"]);
    assert.deepEqual(held, { spend_pro: "0", spend_other: "20", unallocated_revenue: "0" });
    for (const write of writesOf(world.attio))
      assert.deepEqual(Object.keys(valuesOf(write)).toSorted(), [
        "last_synced_at",
        "spend_other",
        "spend_pro",
        "stripe_customer_id",
      ]);
    assert.match(run.out, / spend_pro +0\.00 usd {2}no mapping names it/);
  });

  test("a record of another account is left as it is, and counted", async (t) => {
    const world = await aSyncedWorld(t, { account: payers(2) });
    const values = { stripe_customer_id: "cus_Elsewhere00001", name: "Elsewhere", total_revenue: 700 };
    world.attio.addRecordAsMember("stripe_customers", values);
    const before = recordOf(world, "cus_Elsewhere00001");
    world.clock.advance(30 * DAY_MS);

    const run = await world.run("sync");

    assert.deepEqual(summaryOf(run), { ...NOTHING, refreshed: 2, unchanged: 0 });
    assert.equal(countIn(run, "left alone"), 1);
    assert.deepEqual(recordOf(world, "cus_Elsewhere00001"), before);
  });

  test("a record that its page did not show, as another was deleted meanwhile, is found before it would be created", async (t) => {
    const world = await aSyncedWorld(t, { account: payers(2) });
    const chosen = world.attio.addPerson({ emailAddresses: ["somebody@example.com"] });
    const { recordId } = recordOf(world, payerId(0));
    const link = { target_object: "people", target_record_id: chosen };
    world.attio.editAsMember("stripe_customers", recordId, { person: link });
    const withoutIt = rewriting("a page that misses a record", (page) => {
      if (!Array.isArray(page["data"])) return;
      page["data"] = page["data"].filter((record) => JSON.stringify(record).includes(recordId) === false);
    });
    let seen = 0;
    const isQuery = (route: string): boolean => route === "POST /v2/objects/stripe_customers/records/query";
    world.attio.faultRules.push(({ route }) => (isQuery(route) && (seen += 1) === 1 ? withoutIt : undefined));

    const run = await world.run("sync");

    assert.deepEqual(summaryOf(run), { ...NOTHING, unchanged: 2 });
    assert.equal(recordOf(world, payerId(0))["person"], chosen);
  });

  test("a person and a company that a member set by hand stay", async (t) => {
    const world = await aWorld(t, { account: payers(2), hasPeople: false });
    for (const n of [0, 1]) world.attio.addPerson({ emailAddresses: [`payer${n}@example.com`] });
    await world.run("sync");
    const person = world.attio.addPerson({ emailAddresses: ["boss@example.com"] });
    const company = world.attio.addCompany({ name: "Chosen", domain: "chosen.com" });
    const reference = (object: string, id: string) => ({ target_object: object, target_record_id: id });
    const edit = (n: number, values: Record<string, unknown>): void =>
      world.attio.editAsMember("stripe_customers", recordOf(world, payerId(n)).recordId, values);
    edit(0, { person: reference("people", person) });
    edit(1, { company: reference("companies", company) });

    const run = await world.run("sync");

    assert.deepEqual(summaryOf(run), { ...NOTHING, unchanged: 2 });
    assert.equal(recordOf(world, payerId(0))["person"], person);
    assert.equal(recordOf(world, payerId(1))["company"], company);
  });

  test("a customer deleted in Stripe keeps revenue and link, its name becomes the id, its e-mail is cleared", async (t) => {
    const world = await aWorld(t, { account: payers(2), hasPeople: false });
    const person = world.attio.addPerson({ emailAddresses: ["payer1@example.com"] });
    await world.run("sync");
    world.stripe.deleteCustomer(payerId(1));

    const run = await world.run("sync");

    assert.deepEqual(summaryOf(run), { ...NOTHING, updated: 1, unchanged: 1 });
    const held = pick(recordOf(world, payerId(1)), ["name", "email", "total_revenue", "person"]);
    assert.deepEqual(held, { name: payerId(1), email: null, total_revenue: "20", person });
  });

  test("an unchanged record is stamped again once it is older than REFRESH_DAYS, with 0 on every run", async (t) => {
    const world = await aSyncedWorld(t, { account: payers(2) });

    world.clock.advance(6 * DAY_MS);
    assert.deepEqual(summaryOf(await world.run("sync")), { ...NOTHING, unchanged: 2 });
    world.clock.advance(2 * DAY_MS);
    world.attio.log.length = 0;
    assert.deepEqual(summaryOf(await world.run("sync")), { ...NOTHING, refreshed: 2, unchanged: 0 });
    const written = Object.keys(valuesOf(writesOf(world.attio)[0])).toSorted();
    assert.deepEqual(written, ["last_synced_at", "stripe_customer_id"]);
    world.env["REFRESH_DAYS"] = "0";
    assert.deepEqual(summaryOf(await world.run("sync")), { ...NOTHING, refreshed: 2, unchanged: 0 });
  });
});

describe("sync: options", () => {
  test("--update-only writes what exists, creates nothing and says how many it left out", async (t) => {
    const world = await aSyncedWorld(t, { account: payers(3) });
    for (const n of [3, 4]) newPayer(world, n);
    refund(world, 0);

    const run = await world.run("sync", ["--update-only"]);

    assert.equal(run.code, 0, run.all);
    assert.deepEqual(summaryOf(run), { ...NOTHING, updated: 1, unchanged: 2 });
    assert.match(run.out, /\(.+, 2 left out by --update-only\)\n$/);
    assert.equal(world.attio.records("stripe_customers").length, 3);
  });

  test("a dry run sends no write, says so first and last, and counts what the live run then does", async (t) => {
    const world = await aSyncedWorld(t, { account: payers(4) });
    newPayer(world, 4);
    refund(world, 0);
    world.attio.log.length = 0;

    const dry = await world.run("sync", ["--dry-run"]);
    const writes = writesOf(world.attio).length;
    const live = await world.run("sync");

    assert.equal(writes, 0);
    assert.match(dry.out, /^dry run: nothing will be written\n/);
    assert.match(dry.out, /dry run: nothing was written\)\n$/);
    const headline = "total revenue 140.00 usd of 4 customers, +40.00 since the last run";
    for (const { out } of [dry, live]) {
      assert.ok(out.includes(`version ${VERSION}\n\n${headline}\n\nRead\n`), out);
      assert.ok(out.includes(`\n${headline}\ndone: `), out);
    }
    assert.deepEqual(summaryOf(dry), { ...NOTHING, created: 1, updated: 1, unchanged: 3 });
    assert.deepEqual(summaryOf(live), summaryOf(dry));
  });

  test("DRY_RUN=1 is the same as --dry-run", async (t) => {
    const world = await aWorld(t, { account: payers(2), hasPeople: false });
    world.env["DRY_RUN"] = "1";

    const run = await world.run("sync");

    assert.deepEqual(summaryOf(run), { ...NOTHING, created: 2, unchanged: 0 });
    assert.deepEqual(world.attio.records("stripe_customers"), []);
  });

  test("a dry run lists at most 20 changes, the largest first", async (t) => {
    const world = await aWorld(t, { account: payers(25), hasPeople: false });

    const { out } = await world.run("sync", ["--dry-run"]);

    assert.match(out, /^Changes, largest first: 20 of 25$/m);
    const listed = [...out.matchAll(/^ {2}create +(cus_\w+) /gm)].map(([, id]) => id);
    assert.deepEqual(
      listed,
      Array.from({ length: 20 }, (_, n) => payerId(24 - n)),
    );
  });

  test("CREATE_PEOPLE makes one person for all customers who share an address", async (t) => {
    const account = payers(3, (n) => ({ email: n === 2 ? "c@example.com" : n === 1 ? " A@Example.com" : "a@example.com" })); // prettier-ignore
    const world = await aWorld(t, { account, hasPeople: false, env: { CREATE_PEOPLE: "1" } });

    const dry = await world.run("sync", ["--dry-run"]);
    const live = await world.run("sync");

    assert.equal(countIn(dry, "people to create"), 2);
    assert.deepEqual(summaryOf(live), summaryOf(dry));
    assert.match(live.out, /2 people created\)\n$/);
    const links = [0, 1, 2].map((n) => recordOf(world, payerId(n))["person"]);
    const people = world.attio.records("people");
    assert.deepEqual(people.map(({ email_addresses }) => String(email_addresses)).toSorted(), [
      "a@example.com",
      "c@example.com",
    ]);
    assert.deepEqual([new Set(links).size, links[0] === links[1], links.includes(null)], [2, true, false]);
    assert.deepEqual(summaryOf(await world.run("sync")), { ...NOTHING, unchanged: 3 });
  });

  test("CREATE_PEOPLE links the person whom somebody else made in the meantime", async (t) => {
    const world = await aWorld(t, { account: payers(1), hasPeople: false, env: { CREATE_PEOPLE: "1" } });
    let person = "";
    const isCreation = ({ route }: { route: string }): boolean => route === "POST /v2/objects/people/records";
    const meanwhile = (): void => void (person = world.attio.addPerson({ emailAddresses: ["payer0@example.com"] }));
    world.attio.faultRules.push(whenSeen(isCreation, 1, meanwhile));

    const run = await world.run("sync");

    assert.equal(run.code, 0, run.all);
    assert.equal(world.attio.records("people").length, 1);
    assert.equal(recordOf(world, payerId(0))["person"], person);
    assert.doesNotMatch(run.out, /person created/);
  });

  test("CREATE_PEOPLE leaves a company that was set by hand, also where the person turns up late", async (t) => {
    const world = await aSyncedWorld(t, { account: payers(1) });
    const theirs = world.attio.addCompany({ name: "Theirs", domain: "theirs.com" });
    const chosen = world.attio.addCompany({ name: "Chosen", domain: "chosen.com" });
    const { recordId } = recordOf(world, payerId(0));
    const link = { target_object: "companies", target_record_id: chosen };
    world.attio.editAsMember("stripe_customers", recordId, { company: link });
    const isCreation = ({ route }: { route: string }): boolean => route === "POST /v2/objects/people/records";
    const person = { emailAddresses: ["payer0@example.com"], company: "theirs.com" };
    world.attio.faultRules.push(whenSeen(isCreation, 1, () => void world.attio.addPerson(person)));
    world.env["CREATE_PEOPLE"] = "1";

    await world.run("sync");

    assert.notEqual(recordOf(world, payerId(0))["person"], null);
    assert.equal(recordOf(world, payerId(0))["company"], chosen);
    assert.notEqual(theirs, chosen);
  });

  test("CREATE_PEOPLE makes nobody where there is no address, two people claim it, or the record is left out", async (t) => {
    const emails = [null, "ada", "ada@localhost", "a b@example.com", "both@example.com"];
    const account = payers(6, (n) => ({ email: emails[n] ?? (n === 5 ? "new@example.com" : null) }));
    const world = await aSyncedWorld(t, { account: { ...account, charges: account.charges.slice(0, 5) } });
    world.attio.setUnique("people", "email_addresses", false);
    for (let n = 0; n < 2; n += 1) world.attio.addPerson({ emailAddresses: ["both@example.com"] });
    world.stripe.put(account.charges[5] ?? assert.fail());
    world.env["CREATE_PEOPLE"] = "1";

    const run = await world.run("sync", ["--update-only"]);

    assert.equal(run.code, 0, run.all);
    assert.equal(world.attio.records("people").length, 2);
  });

  test("CREATE_PEOPLE with an address that Attio refuses writes no record for that alone, and warns", async (t) => {
    const account = payers(2, (n) => ({ email: `payer@sandbox${n}.${n === 0 ? "test" : "com"}` }));
    const world = await aSyncedWorld(t, { account });
    world.env["CREATE_PEOPLE"] = "1";

    const run = await world.run("sync");

    assert.deepEqual([run.code, summaryOf(run)], [0, { ...NOTHING, updated: 1, unchanged: 1 }], run.all);
    assert.match(run.err, new RegExp(`${payerId(0)} gets no person: none could be created\\. Attio refused`));
    refund(world, 0);
    assert.equal(summaryOf(await world.run("sync")).updated, 1);
    assert.equal(recordOf(world, payerId(0))["total_revenue"], "0");
  });

  test("without CREATE_PEOPLE no person is made", async (t) => {
    const world = await aSyncedWorld(t, { account: payers(2) });

    assert.deepEqual(world.attio.records("people"), []);
    assert.equal(recordOf(world, payerId(0))["person"], null);
  });
});

describe("sync: currencies", () => {
  test("an account with a quarter of its charges in other currencies has every record at settled value", async (t) => {
    const account = seedAccount({ customers: 80, seed: 11, foreign: 0.25 });
    const world = await aWorld(t, { account });

    const run = await world.run("sync");

    assert.equal(run.code, 0, run.all);
    assertRecordsEqual(world, expectedOf(world));
    const total = /^ {2}= total revenue +([\d.]+) usd/m.exec(run.out)?.[1];
    assert.equal(total, decimalOf(sumOf(world, "total_revenue"), "usd"));
  });

  test("an account in one currency without partial captures makes no request for balance transactions", async (t) => {
    const account = seedAccount({ customers: 60, seed: 3, foreign: false, partialCaptures: false });
    const world = await aWorld(t, { account });
    world.stripe.log.length = 0;

    const run = await world.run("sync");

    assert.equal(run.code, 0, run.all);
    const asked = world.stripe.log.filter(({ path, query }) => /balance/.test(`${path} ${query}`));
    assert.deepEqual(asked, []);
    assertRecordsEqual(world, expectedOf(world));
  });

  test("an account in euro is synced with CURRENCY=eur", async (t) => {
    const account = seedAccount({ customers: 60, seed: 5, currency: "eur" });
    const world = await aWorld(t, { account, env: { CURRENCY: "eur" } });

    const run = await world.run("sync");

    assert.equal(run.code, 0, run.all);
    assertRecordsEqual(world, expectedOf(world));
  });

  test("an account in yen has whole amounts", async (t) => {
    const account = payers(2, () => ({ amount: 4999, currency: "jpy" }));
    const world = await aSyncedWorld(t, { account, env: { CURRENCY: "jpy" } });

    assert.equal(recordOf(world, payerId(0))["total_revenue"], "4999");
  });

  test("an account in another currency stops before writing and names the CURRENCY to set", async (t) => {
    const account = seedAccount({ customers: 40, seed: 5, currency: "eur", foreign: false });
    const world = await aWorld(t, { account, env: { CURRENCY: "usd" } });
    world.attio.log.length = 0;

    const run = await world.run("sync");

    assert.equal(run.code, 1);
    assert.match(run.err, /Set CURRENCY=eur\b.*\nNothing was written\.\n/);
    assert.deepEqual(writesOf(world.attio), []);
  });
});

describe("sync: the brake", () => {
  type Accident = readonly [name: string, world: (t: TestContext) => Promise<World>, message: RegExp, isForceable: boolean]; // prettier-ignore
  const synced = (t: TestContext): Promise<World> => aSyncedWorld(t, { account: payers(12) });
  const ACCIDENTS: readonly Accident[] = [
    [
      "the key's mode is not that of the records",
      async (t) => {
        const world = await synced(t);
        world.env["STRIPE_API_KEY"] = SANDBOX_STRIPE_TEST_KEY;
        return world;
      },
      /is a test key, but 12 of 12 records in Attio are of live mode\. Use the live key \(rk_live_…\)/,
      false,
    ],
    [
      "no charge comes back though the CRM holds paying records",
      async (t) => {
        const world = await synced(t);
        for (let n = 0; n < 12; n += 1) world.stripe.remove(chargeIdOf(n));
        return world;
      },
      /Stripe has no charge at all, but 12 records in Attio have revenue/,
      false,
    ],
    [
      "none of ten paying records belongs to this account",
      async (t) => {
        const world = await aWorld(t, { account: payers(2), hasPeople: false });
        for (let n = 0; n < 10; n += 1) {
          const values = { stripe_customer_id: `cus_Elsewhere${n}`, name: "Elsewhere", total_revenue: 5 };
          world.attio.addRecordAsMember("stripe_customers", values);
        }
        return world;
      },
      /None of the 10 records in Attio that have revenue belongs to this Stripe account/,
      true,
    ],
    [
      "over a fifth of the paying records would fall to 0",
      async (t) => {
        const world = await synced(t);
        for (const n of [0, 1, 2]) refund(world, n);
        return world;
      },
      /Of 12 records with revenue 3 would fall to 0, and their sum by (8|7\.7) %/,
      true,
    ],
    [
      "the sum of the paying records would fall by over a fifth",
      async (t) => {
        const world = await synced(t);
        for (const n of [10, 11]) refund(world, n);
        return world;
      },
      /Of 12 records with revenue 2 would fall to 0, and their sum by (29|29\.5) %/,
      true,
    ],
  ];

  for (const [name, makeWorld, message, isForceable] of ACCIDENTS) {
    test(`a run stops before its first write, and a dry run after its plan, when ${name}`, async (t) => {
      const world = await makeWorld(t);
      world.attio.log.length = 0;

      const dry = await runInterleaved(world, ["--dry-run"]);
      const live = await world.run("sync");

      assert.deepEqual([dry.code, live.code], [1, 1]);
      assert.match(live.err, message);
      assert.match(live.err, /Nothing was written\./);
      assert.deepEqual(summaryOf(live), { ...NOTHING, unchanged: summaryOf(live).unchanged });
      assert.deepEqual(writesOf(world.attio), []);
      const places = ["\nPlan\n", message, "\ndone: "].map((part) => dry.all.search(part));
      assert.ok(!places.includes(-1), dry.all);
      assert.deepEqual(
        places,
        places.toSorted((a, b) => a - b),
      );
    });

    test(`${isForceable ? "--force goes on" : "--force does not help"} when ${name}`, async (t) => {
      const world = await makeWorld(t);
      world.attio.log.length = 0;

      const run = await world.run("sync", ["--force"]);

      assert.equal(run.code, isForceable ? 0 : 1, run.all);
      assert.match(run.err, isForceable ? /Going on because of --force\./ : /--force does not help here/);
      assert.equal(writesOf(world.attio).length > 0, isForceable);
    });
  }

  test("a tenth of the revenue refunded is a day's business", async (t) => {
    const world = await synced(t);
    for (const n of [0, 1]) refund(world, n);

    const run = await world.run("sync");

    assert.equal(run.code, 0, run.all);
    assert.equal(summaryOf(run).updated, 2);
  });
});

/** Attio's refusal of a body. */
function refusing(detail: Readonly<Record<string, unknown>>): Fault {
  const error = { status_code: 400, type: "invalid_request_error", code: "validation_type", ...detail };
  return { name: "400", before: { status: 400, text: JSON.stringify(error) } };
}

describe("sync: what goes wrong in the CRM", () => {
  test("two records of one customer stop the run, which names them", async (t) => {
    const world = await aSyncedWorld(t, { account: payers(3) });
    world.attio.setUnique("stripe_customers", "stripe_customer_id", false);
    const copy = world.attio.addRecordAsMember("stripe_customers", { stripe_customer_id: payerId(1) });
    world.attio.setUnique("stripe_customers", "stripe_customer_id", true);
    const original = world.attio.records("stripe_customers").find(({ total_revenue }) => total_revenue === "20");
    refund(world, 0);
    world.attio.log.length = 0;

    const run = await world.run("sync", ["--force"]);

    assert.equal(run.code, 1);
    assert.match(run.err, /1 customer with more than one record in Attio/);
    for (const id of [payerId(1), copy, original?.recordId ?? "no record"]) assert.ok(run.err.includes(id), id);
    assert.match(run.err, /Nothing was written\./);
    assert.deepEqual(writesOf(world.attio), []);
  });

  test("a refused record is named with Attio's own message, the others are written, and the run exits 1", async (t) => {
    const account = payers(4, (n) => (n === 2 ? { email: null } : {}));
    const world = await aWorld(t, { account, hasPeople: false });
    world.attio.setRequired("stripe_customers", "email", true);

    const run = await world.run("sync");

    assert.equal(run.code, 1);
    assert.deepEqual(summaryOf(run), { ...NOTHING, created: 3, failed: 1, unchanged: 0 });
    assert.match(
      run.err,
      new RegExp(`${payerId(2)} was not written\\. Attio refused: Required value.* 400 missing_value`),
    );
    assert.deepEqual(customerIds(world).toSorted(), [0, 1, 3].map(payerId));
  });

  test("a refused record is named with the field that Attio found wrong", async (t) => {
    const world = await aWorld(t, { account: payers(2), hasPeople: false });
    world.attio.faultRules.push((call) => {
      if (call.route !== ASSERT_ROUTE || valuesOf(call)["stripe_customer_id"] !== payerId(1)) return undefined;
      const validation_errors = [{ code: "too_big", path: ["data", "values", "name"], message: "Too long" }];
      return refusing({ message: "Body payload validation error.", validation_errors });
    });

    const { err } = await world.run("sync");

    const said = 'Attio refused: Body payload validation error. ["data","values","name"]: Too long';
    assert.ok(err.includes(`${payerId(1)} was not written. ${said}`), err);
  });

  test("a fault after the writes says how many records were written, and not that none was", async (t) => {
    const world = await aWorld(t, { account: payers(2), hasPeople: false });
    const out = (text: string): void => {
      if (text.startsWith("done:")) throw new Error("the log is full");
    };

    const run = await world.run("sync", [], { out });

    assert.equal(run.code, 1);
    assert.match(run.err, /the log is full[^]*\n2 records were written\. A re-run is safe\.\n$/);
    assert.doesNotMatch(run.err, /Nothing was written/);
  });

  test("failures that are the records' own never end a run early", async (t) => {
    // The largest change is written first: these 25 fail before the others are tried.
    const account = payers(40, (n) => (n >= 15 ? { email: null } : {}));
    const world = await aWorld(t, { account, hasPeople: false });
    world.attio.setRequired("stripe_customers", "email", true);

    const run = await world.run("sync");

    assert.deepEqual(summaryOf(run), { ...NOTHING, created: 15, failed: 25, unchanged: 0 });
  });
});

describe("sync: hostile values", () => {
  const HUGE = 1_000_000_000_000;
  const COLUMNS = ["total_revenue", "spend_pro", "spend_other", "unallocated_revenue"];

  test("an amount of 10^12 minor units is exact to the unit", async (t) => {
    const world = await aSyncedWorld(t, { account: payers(2, (n) => ({ amount: HUGE - n })) });

    const held = [0, 1].map((n) => pick(recordOf(world, payerId(n)), COLUMNS));
    assert.deepEqual(held[0], {
      total_revenue: "10000000000",
      spend_pro: "10000000000",
      spend_other: "0",
      unallocated_revenue: "0",
    });
    assert.equal(held[1]?.["total_revenue"], "9999999999.99");
    assert.deepEqual(summaryOf(await world.run("sync")), { ...NOTHING, unchanged: 2 });
  });

  test("an invoice of 240 lines is split over all of them to the unit", async (t) => {
    const account = payers(1, () => ({ amount: 24_007 }));
    const lines = Array.from(
      { length: 240 },
      (_, n) =>
      anInvoiceLine({ id: stripeId("il", 1000 + n), amount: 100, product: n < 239 ? "prod_none" : "prod_SbxProMonthly1" }), // prettier-ignore
    );
    const [invoice] = account.invoices;
    account.invoices = [anInvoice({ ...invoice, lines, amount_paid: 24_007 })];
    const world = await aSyncedWorld(t, { account });

    // 24007 over 240 equal lines is 100 each and 7 left over, for the first seven lines.
    assert.deepEqual(pick(recordOf(world, payerId(0)), COLUMNS), {
      total_revenue: "240.07",
      spend_pro: "1",
      spend_other: "239.07",
      unallocated_revenue: "0",
    });
  });

  test("names with emoji, control characters and 10 kB, and odd addresses, are written once and stay", async (t) => {
    const names = ["Åsa 🦄 <b>&amp;</b>", "Bell\u0007\u001b[31mRed\r\n::error::x", "x".repeat(10_240), "  padded  "];
    const emails = ["  Ada.Long@Example.COM ", "not an address", 'quo"te@example.com', "bo'b+tag@example.com"];
    const account = payers(4, (n) => ({ name: names[n] ?? null, email: emails[n] ?? null }));
    const world = await aWorld(t, { account, hasPeople: false });
    const person = world.attio.addPerson({ emailAddresses: ["ada.long@example.com"] });

    const run = await world.run("sync");

    assert.equal(run.code, 0, run.all);
    const held = pick(recordOf(world, payerId(0)), ["name", "email", "person"]);
    assert.deepEqual(held, { name: names[0], email: "ada.long@example.com", person });
    assert.equal(String(recordOf(world, payerId(2))["name"]).length, 10_240);
    assert.equal(recordOf(world, payerId(3))["name"], "padded");
    assert.doesNotMatch(run.all, /\u001b|\u0007|^::error/m);
    assert.deepEqual(summaryOf(await world.run("sync")), { ...NOTHING, unchanged: 4 });
  });

  for (const product of ["__proto__", "constructor", "toString"])
    test(`a product called ${product} is a product like any other, mapped or not`, async (t) => {
      const world = await aSyncedWorld(t, { account: payers(1, () => ({ product })) });
      assert.equal(recordOf(world, payerId(0))["spend_other"], "10");

      world.env["PRODUCT_SLUGS"] = `{"${product}":"spend_pro"}`;
      const run = await world.run("sync");

      assert.equal(run.code, 0, run.all);
      const held = pick(recordOf(world, payerId(0)), ["spend_pro", "spend_other"]);
      assert.deepEqual(held, { spend_pro: "10", spend_other: "0" });
    });

  test("2,000 customers with one address are looked up in one request", async (t) => {
    const account = payers(2_000, () => ({ email: "all@example.com", amount: 500 }));
    const world = await aWorld(t, { account, hasPeople: false });
    world.attio.addPerson({ emailAddresses: ["all@example.com"] });

    const run = await world.run("sync", ["--dry-run"]);

    assert.deepEqual(summaryOf(run), { ...NOTHING, created: 2000, unchanged: 0 });
    assert.doesNotMatch(run.out, /without a person/);
    assert.equal(world.attio.log.filter(({ path }) => path.endsWith("/people/records/query")).length, 1);
  });

  test("a hundred customers with one address link one person, who shows them all", async (t) => {
    const account = payers(100, () => ({ email: "all@example.com" }));
    const world = await aWorld(t, { account, hasPeople: false });
    const person = world.attio.addPerson({ emailAddresses: ["all@example.com"] });

    await world.run("sync");

    const records = world.attio.records("stripe_customers");
    assert.deepEqual([...new Set(records.map((record) => record["person"]))], [person]);
    const shown = world.attio.records("people")[0]?.["stripe_customers"];
    assert.deepEqual(Array.isArray(shown) && shown.toSorted(), records.map(({ recordId }) => recordId).toSorted());
  });

  test("a slug that the CRM does not have stops the run, which names it and the bootstrap", async (t) => {
    const world = await aWorld(t, { account: payers(1), hasPeople: false });
    world.env["PRODUCT_SLUGS"] = '{"prod_x":"spend_new"}';
    world.attio.log.length = 0;

    const run = await world.run("sync");

    assert.equal(run.code, 1);
    assert.match(run.err, /npm run bootstrap -- --dry-run\n +spend_new is missing$/m);
    assert.deepEqual(writesOf(world.attio), []);
  });
});

describe("sync: what is shown", () => {
  const AMOUNT = /\d\.\d\d\b|\d (usd|eur|gbp|jpy|kwd)\b|pie showData/;

  test("a dry run in CI lists its changes by id without names, addresses and amounts", async (t) => {
    const account = payers(3, (n) => ({ amount: 1_230 * (n + 1) }));
    const world = await aWorld(t, { account, hasPeople: false, env: { CI: "true" } });

    const { out } = await world.run("sync", ["--dry-run"]);

    assert.match(out, new RegExp(`^ {2}create +${payerId(2)} +all attributes$`, "m"));
    assert.doesNotMatch(out, /Payer Number|example\.com|12\.30|24\.60|36\.90/);
    assert.match(out, /^total revenue 73\.80 usd of 3 customers/m);
  });

  test("with SHOW_AMOUNTS=0 no amount is in log, dry run or step summary", async (t) => {
    const file = aSummaryFile(t);
    const account = seedAccount({ customers: 60, seed: 9 });
    const world = await aWorld(t, { account, env: { SHOW_AMOUNTS: "0", GITHUB_STEP_SUMMARY: file } });

    const dry = await world.run("sync", ["--dry-run"]);
    const live = await world.run("sync");

    assert.deepEqual([dry.code, live.code], [0, 0]);
    for (const text of [dry.all, live.all, readFileSync(file, "utf8")]) assert.doesNotMatch(text, AMOUNT);
  });

  test("the step summary holds the headline, a pie of revenue by product and the report's tables", async (t) => {
    const file = aSummaryFile(t);
    const account = payers(3, (n) => (n === 2 ? { product: "prod_new" } : {}));
    await aSyncedWorld(t, { account, env: { GITHUB_STEP_SUMMARY: file } });

    const summary = readFileSync(file, "utf8");

    assert.match(summary, /^## Stripe to Attio/);
    assert.match(summary, /\*\*total revenue 60\.00 usd of 3 customers, no record before\*\*\s+`done: created=3 /);
    assert.match(summary, /\n\| spend&#95;pro \| 30\.00 usd \| █+ \|\n/);
    for (const title of ["Read", "Charges in usd", "Plan", "What changes"])
      assert.match(summary, new RegExp(`^(### |<details><summary>)${title}\\b`, "m"));
  });

  test("a problem becomes an annotation on one line and stands in the step summary", async (t) => {
    const file = aSummaryFile(t);
    const env = { GITHUB_ACTIONS: "true", GITHUB_STEP_SUMMARY: file, STRIPE_API_KEY: SANDBOX_STRIPE_TEST_KEY };
    const world = await aSyncedWorld(t, { account: payers(2) });
    Object.assign(world.env, env);

    const { err } = await world.run("sync");

    const annotations = err.split("\n").filter((line) => line.startsWith("::error "));
    assert.equal(annotations.length, 1);
    assert.match(annotations[0] ?? "", /^::error title=stripe-attio-sync::Stopped .*%0ANothing was written\.$/);
    assert.match(
      readFileSync(file, "utf8"),
      /^## Stripe to Attio: needs attention\n[^]*> (\*\*error\*\* )?Stopped before the first write/,
    );
  });

  test("a run that stops at the check says so in the step summary", async (t) => {
    const file = aSummaryFile(t);
    const world = await aWorld(t, { account: payers(1), bootstraps: false, env: { GITHUB_STEP_SUMMARY: file } });

    await world.run("sync");

    assert.match(readFileSync(file, "utf8"), /needs attention\n[^]*> .*There is no object stripe&#95;customers/);
  });

  test("disputes, lost ones too, are not subtracted but reported", async (t) => {
    const account = payers(2);
    const [charge] = account.charges;
    account.charges[0] = aCharge({ ...charge, disputed: true });
    const world = await aWorld(t, { account, hasPeople: false });

    const { out } = await world.run("sync");

    assert.match(out, /^ {2}· disputed +1 +10\.00 usd/m);
    assert.equal(recordOf(world, payerId(0))["total_revenue"], "10");
  });

  test("the report stands on stdout before the first write", async (t) => {
    const world = await aWorld(t, { account: payers(2), hasPeople: false });
    let out = "";
    let outAtFirstWrite = "";
    world.attio.faultRules.push(whenSeen(isWrite, 1, () => void (outAtFirstWrite = out)));

    await world.run("sync", [], { out: (text) => void (out += text) });

    assert.match(outAtFirstWrite, /^total revenue 30\.00 usd of 2 customers/m);
    assert.match(outAtFirstWrite, /^Plan$/m);
    assert.doesNotMatch(outAtFirstWrite, /done:/);
  });

  test("no run of this file printed a key", () => {
    assertNoSecrets();
  });
});
