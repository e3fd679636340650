// sync.test.ts - whole runs of the daily job, over HTTP, against both sandboxes: what only a whole run shows.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { before, describe, test } from "node:test";
import { seedAccount } from "../sandbox/account.ts";
import { aCoupon, aDiscount, anInvoice, anInvoiceLine, aSubscription } from "../sandbox/objects.ts";
import type { StripeSubscription } from "../sandbox/objects.ts";
import type { Exchange, SandboxServer } from "../sandbox/server.ts";
import { SANDBOX_STRIPE_KEY, SANDBOX_STRIPE_TEST_KEY, STRIPE_PERMISSIONS, stripeFaults } from "../sandbox/stripe.ts";
import type { StripeAccount } from "../sandbox/stripe.ts";
import { PRO, aNewWorld, aSyncedWorld, endOfSuite, newPayer, payerId, payers, refund } from "./ground.ts";
import { assertNoSecrets, assertRecordsEqual, expectedOf, oracleInput, pick, recordOf } from "./ground.ts";
import { isWrite, whenSeen, writesOf } from "./ground.ts";
import { decimalOf, expectedTotals } from "./oracle.ts";
import type { expectedRecords } from "./oracle.ts";
import { rewriting } from "./services.ts";
import { aSummaryFile, aWorld, summaryOf } from "./world.ts";
import type { Run, World } from "./world.ts";

const NOTHING = { created: 0, updated: 0, refreshed: 0, failed: 0 };
const OBJECT = "stripe_customers";

/** The requests of which the path ends or begins like this. */
function askedFor({ log }: SandboxServer, path: string): Exchange[] {
  return log.filter((exchange) => exchange.path.startsWith(path) || exchange.path.endsWith(path));
}

/** An attribute of the records of the first few payers. */
function heldBy(world: World, count: number, slug: string): unknown[] {
  return Array.from({ length: count }, (_, n) => recordOf(world, payerId(n))[slug]);
}

describe("sync: 400 customers with every trap", () => {
  const suite = endOfSuite();
  const summaryFile = aSummaryFile(suite);
  const account = seedAccount({ customers: 400, seed: 7 });
  let world: World;
  let expected: ReturnType<typeof expectedRecords>;
  let totals: ReturnType<typeof expectedTotals>;
  let first: Run;
  let second: Run;
  let hidden: Run;
  let texts: string[];
  let quietDay: { stripe: Exchange[]; attio: Exchange[] };

  before(async () => {
    world = await aWorld(suite, { account, env: { CI: "true", GITHUB_STEP_SUMMARY: summaryFile } });
    world.attio.log.length = 0;
    first = await world.run("sync");
    const [stripe, attio] = [world.stripe.log.length, world.attio.log.length];
    second = await world.run("sync");
    quietDay = { stripe: world.stripe.log.slice(stripe), attio: world.attio.log.slice(attio) };
    [expected, totals] = [expectedOf(world), expectedTotals(oracleInput(world))];
    texts = [first.all, second.all, readFileSync(summaryFile, "utf8")];
    hidden = await world.run("sync", [], { env: { ...world.env, SHOW_AMOUNTS: "0", REFRESH_DAYS: "0" } });
  });

  test("every field of every record equals an independent computation", () => {
    assert.equal(first.code, 0, first.all);
    assert.ok(expected.size > 300);
    assertRecordsEqual(world, expected);
  });

  test("every kind of plan that the account has is that of some customer with a record", () => {
    const kindOf = ({ status, pause_collection, cancel_at, discounts, items }: StripeSubscription): string => {
      const prices = items.data.map(({ price }) => [price.currency, price.recurring, price.unit_amount_decimal]);
      return JSON.stringify([status, pause_collection, cancel_at === null, discounts[0]?.source, prices]);
    };
    const living = account.subscriptions.filter(({ ended_at }) => ended_at === null);
    const all = living.map(kindOf);
    const compared = living.filter(({ customer }) => expected.has(customer)).map(kindOf);
    assert.deepEqual(new Set(compared), new Set(all));
    assert.ok(new Set(all).size > 16);
    assert.ok(account.customers.some(({ id, discount }) => discount !== null && expected.has(id)));
  });

  test("the second run counts no change and sends no write", () => {
    assert.equal(second.code, 0, second.all);
    assert.deepEqual(summaryOf(second), { ...NOTHING, unchanged: expected.size });
    assert.deepEqual(quietDay.attio.filter(isWrite), []);
  });

  test("Stripe sees GET requests only", () => {
    assert.deepEqual([...new Set(world.stripe.log.map(({ method }) => method))], ["GET"]);
  });

  test("no person and no company is made unasked", () => {
    assert.deepEqual([...new Set(writesOf(world.attio).map(({ path }) => path.split("/")[3]))], [OBJECT]);
  });

  test("a quiet day asks Attio once per 500 records and per 100 addresses, and a dozen times", () => {
    const addresses = new Set([...expected.values()].map(({ email }) => email)).size;
    const least = Math.ceil(expected.size / 500) + Math.ceil(addresses / 100);
    assert.ok(quietDay.attio.length <= least + 12, `${quietDay.attio.length} requests for ${least} pages`);
  });

  test("a quiet day asks Stripe for at most 1.4 times the least number of pages and 40 more", () => {
    const { charges, customers, subscriptions, invoices } = account;
    const paid = invoices.filter(({ status }) => status === "paid");
    const pages = [charges, customers, subscriptions, paid].map(({ length }) => Math.ceil(length / 100));
    const lines = paid.map(({ lines: { data } }) => Math.ceil((data.length - 10) / 100)).filter((more) => more > 0);
    const least = [...pages, ...lines].reduce((sum, more) => sum + more, 0);
    assert.ok(quietDay.stripe.length <= 1.4 * least + 40, `${quietDay.stripe.length} requests for ${least} pages`);
  });

  test("the total that was printed is what all records hold", () => {
    const [, total, count] = /^total revenue ([\d.]+) usd of (\d+) customers/m.exec(first.out) ?? [];
    assert.deepEqual([total, Number(count)], [decimalOf(totals.total, "usd"), expected.size]);
  });

  test("a log in CI and its step summary hold no name, no address and no customer's id", () => {
    for (const { name, email, id } of account.customers)
      for (const value of [name, email?.trim(), email?.trim().toLowerCase(), id])
        for (const text of texts) assert.equal(value != null && text.includes(value), false, `${value}`);
  });

  test("a log in CI and its step summary hold no single customer's amount", () => {
    const { total, unallocated, columns, fellIntoOther, byCurrency } = totals;
    const accountWide = new Set([total, unallocated, ...columns, ...fellIntoOther.values()]);
    for (const { settled, ...tallies } of byCurrency.values())
      for (const amount of [settled, ...Object.values(tallies).map((tally) => tally.amount)]) accountWide.add(amount);
    const shown = new Set(texts.join().match(/\d+\.\d\d\b/g));
    for (const { stripe_customer_id, total_revenue, spend } of expected.values())
      for (const amount of [total_revenue, ...Object.values(spend)])
        if (amount > 0n && !accountWide.has(amount))
          assert.equal(shown.has(decimalOf(amount, "usd")), false, `${amount} of ${stripe_customer_id}`);
  });

  test("with SHOW_AMOUNTS=0 no amount is in log and step summary, of a run that writes each record again", () => {
    assert.deepEqual(summaryOf(hidden), { ...NOTHING, refreshed: expected.size, unchanged: 0 });
    const text = hidden.all + readFileSync(summaryFile, "utf8").slice(texts[2]?.length);
    assert.match(text, /^## Stripe to Attio$/m);
    assert.doesNotMatch(text, /\d\.\d\d\b|\d (usd|eur|gbp|jpy|kwd)\b|█/);
  });
});

describe("sync: the next day", () => {
  test("names with emoji, control characters and 10 kB, and odd addresses, are written once and stay", async (t) => {
    const names = ["Åsa 🦄 <b>&amp;</b>", "Bell\u0007\u001b[31mRed\r\n::error::x", "x".repeat(10_240), "  padded  "];
    const emails = ["  Ada.Long@Example.COM ", "not an address", 'quo"te@example.com', "bo'b+tag@example.com"];
    const account = payers(4, (n) => ({ name: names[n] ?? null, email: emails[n] ?? null }));
    const world = await aNewWorld(t, { account });
    const person = world.attio.addPerson({ emailAddresses: ["ada.long@example.com"] });

    const run = await world.run("sync");

    assert.equal(run.code, 0, run.all);
    const held = pick(recordOf(world, payerId(0)), ["name", "email", "person"]);
    assert.deepEqual(held, { name: names[0], email: "ada.long@example.com", person });
    assert.deepEqual(heldBy(world, 4, "name").slice(2), [names[2], "padded"]);
    assert.doesNotMatch(run.all, /\u001b|\u0007|^::error/m);
    assert.deepEqual(summaryOf(await world.run("sync")), { ...NOTHING, unchanged: 4 });
  });

  test("a record that its page did not show, as another was deleted meanwhile, is found before it would be created", async (t) => {
    const world = await aSyncedWorld(t, { account: payers(2) });
    const withoutFirst = rewriting("a page that misses a record", (page) => {
      if (Array.isArray(page["data"])) page["data"] = page["data"].slice(1);
    });
    const pages = [withoutFirst];
    world.attio.faultRules.push(({ path }) => (path.endsWith(`${OBJECT}/records/query`) ? pages.pop() : undefined));

    const run = await world.run("sync");

    assert.deepEqual(summaryOf(run), { ...NOTHING, unchanged: 2 });
  });
});

describe("sync: options", () => {
  test("--update-only writes what exists, creates nothing and says how many it left out", async (t) => {
    const world = await aSyncedWorld(t, { account: payers(3), env: { CREATE_PEOPLE: "1" } });
    for (const n of [3, 4]) newPayer(world, n);
    refund(world, 0);

    const run = await world.run("sync", ["--update-only"]);

    assert.deepEqual([run.code, summaryOf(run)], [0, { ...NOTHING, updated: 1, unchanged: 2 }], run.all);
    assert.match(run.out, /\(.+, 2 left out by --update-only\)\n$/);
    assert.deepEqual([OBJECT, "people"].map((object) => world.attio.records(object).length), [3, 3]); // prettier-ignore
    assert.equal(recordOf(world, payerId(0))["total_revenue"], "0");
  });

  test("a dry run sends no write, says so first and last, and counts what the live run then does", async (t) => {
    const world = await aSyncedWorld(t, { account: payers(4) });
    newPayer(world, 4);
    refund(world, 0);

    const dry = await world.run("sync", ["--dry-run"]);
    const writes = writesOf(world.attio).length;
    const live = await world.run("sync");

    assert.equal(writes, 0);
    assert.match(dry.out, /^dry run: nothing will be written\n[^]+dry run: nothing was written\)\n$/);
    assert.deepEqual(summaryOf(dry), { ...NOTHING, created: 1, updated: 1, unchanged: 3 });
    assert.deepEqual(summaryOf(live), summaryOf(dry));
  });

  test("CREATE_PEOPLE makes one person per address, and nobody for what is none or two people claim", async (t) => {
    const emails = ["a@example.com", " A@Example.com", "c@example.com", null, "ada", "b@localhost", "two@example.com"];
    const account = payers(7, (n) => ({ email: emails[n] ?? null }));
    const world = await aNewWorld(t, { account, env: { CREATE_PEOPLE: "1" } });
    world.attio.setUnique("people", "email_addresses", false);
    for (let n = 0; n < 2; n += 1) world.attio.addPerson({ emailAddresses: ["two@example.com"] });

    const dry = await world.run("sync", ["--dry-run"]);
    const live = await world.run("sync");

    assert.match(dry.out, /^ {2}people to create +2\b/m);
    assert.deepEqual(summaryOf(live), summaryOf(dry));
    assert.match(live.out, /2 people created\)\n$/);
    const [first, second, third, ...others] = heldBy(world, 7, "person");
    assert.deepEqual([first === second, new Set([first, third, null]).size], [true, 3]);
    assert.deepEqual(others, [null, null, null, null]);
    assert.equal(world.attio.records("people").length, 4);
    assert.deepEqual(summaryOf(await world.run("sync")), { ...NOTHING, unchanged: 7 });
  });

  test("CREATE_PEOPLE links whom somebody else made in the meantime, but keeps a company set by hand", async (t) => {
    const world = await aSyncedWorld(t, { account: payers(1) });
    const chosen = world.attio.addCompany({ name: "Chosen", domain: "chosen.com" });
    world.attio.addCompany({ name: "Theirs", domain: "theirs.com" });
    const link = { target_object: "companies", target_record_id: chosen };
    world.attio.editAsMember(OBJECT, recordOf(world, payerId(0)).recordId, { company: link });
    const isCreation = ({ route }: { route: string }): boolean => route === "POST /v2/objects/people/records";
    const person = { emailAddresses: ["payer0@example.com"], company: "theirs.com" };
    world.attio.faultRules.push(whenSeen(isCreation, 1, () => void world.attio.addPerson(person)));
    world.env["CREATE_PEOPLE"] = "1";

    const run = await world.run("sync");

    assert.doesNotMatch(run.out, /person created/);
    const [made, ...others] = world.attio.records("people").map(({ recordId }) => recordId);
    assert.deepEqual(others, []);
    assert.deepEqual(pick(recordOf(world, payerId(0)), ["person", "company"]), { person: made, company: chosen });
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
  });
});

describe("sync: currencies", () => {
  for (const currency of ["usd", "eur", "jpy"])
    test(`an account in ${currency} with a quarter of it in others has every record at settled value`, async (t) => {
      const account = seedAccount({ customers: 70, seed: 11, currency, foreign: 0.25 });
      const world = await aWorld(t, { account, env: { CURRENCY: currency } });

      const run = await world.run("sync");

      assert.equal(run.code, 0, run.all);
      assertRecordsEqual(world, expectedOf(world));
    });

  test("with records in the CRM a run goes on where more is not included than counted, and warns of it", async (t) => {
    const world = await aSyncedWorld(t, { account: payers(1) });
    for (const n of [1, 2]) newPayer(world, n, { currency: "eur" });

    const run = await world.run("sync");

    assert.deepEqual([run.code, summaryOf(run)], [0, { ...NOTHING, unchanged: 1 }]);
    assert.match(run.err, /^Not included: 2 charges \(50\.00 eur\), .+ would count with CURRENCY=eur\.$/m);
  });
});

describe("sync: what is asked of the services", () => {
  /** Four subscriptions of 20.00: two with half off, one with half off another product, one without a coupon. */
  function withCoupons(): StripeAccount {
    const account = payers(4);
    account.coupons.push(aCoupon({ id: "co_Half", percent_off: 50 }));
    account.coupons.push(aCoupon({ id: "co_Other", percent_off: 50, applies_to: { products: ["prod_other"] } }));
    for (const [n, coupon] of ["co_Half", "co_Half", "co_Other", ""].entries()) {
      const discounts = coupon === "" ? [] : [aDiscount({ coupon })];
      account.subscriptions.push(aSubscription({ customer: payerId(n), discounts }));
    }
    return account;
  }

  test("each coupon is read once, with the products that it applies to", async (t) => {
    const world = await aNewWorld(t, { account: withCoupons() });

    await world.run("sync");

    const asked = askedFor(world.stripe, "/v1/coupons").map(({ path, query }) => `${path}?${query}`);
    const wanted = ["co_Half", "co_Other"].map((id) => `/v1/coupons/${id}?expand%5B%5D=applies_to`);
    assert.deepEqual(asked.toSorted(), wanted);
    assert.deepEqual(heldBy(world, 4, "mrr"), ["10", "10", "20", "20"]);
  });

  test("a key that may not read coupons leaves mrr empty where it takes one, and the permission is named", async (t) => {
    const permissions = Object.keys(STRIPE_PERMISSIONS).filter((slug) => slug !== "rak_coupon_read");
    const stripe = { keys: [{ key: SANDBOX_STRIPE_KEY, permissions }] };
    const world = await aNewWorld(t, { account: withCoupons(), stripe });

    const run = await world.run("sync");

    assert.equal(run.code, 0, run.all);
    assert.match(run.err, /^2 of 2 coupons cannot be read: .+ lacks the permission "Coupons" \(rak_coupon_read\)/m);
    assert.deepEqual(heldBy(world, 4, "mrr"), [null, null, null, "20"]);
  });

  test("an account in one currency and without discounts costs a check and a page a list, and nothing more", async (t) => {
    const account = { ...withCoupons(), subscriptions: [aSubscription({ customer: payerId(0) })] };
    const world = await aNewWorld(t, { account });

    await world.run("sync");

    const asked = world.stripe.log.map(({ path, query }) => `${path} ${query.get("limit")}`);
    const lists = ["charges", "customers", "invoices", "subscriptions"].map((name) => `/v1/${name}`);
    assert.deepEqual(
      asked.toSorted(),
      lists.flatMap((path) => [`${path} 1`, `${path} 100`]),
    );
    assert.doesNotMatch(world.stripe.log.map(({ query }) => String(query)).join(), /balance|discount/);
  });

  for (const isTold of [true, false])
    test(`a wire beside a card payment counts as ${isTold ? "paid outside" : "collected where that is not told"}`, async (t) => {
      const stripe = isTold ? {} : ({ refuses: { amount_paid_off_stripe: 400 } } as const);
      const account = payers(1, () => ({ amount: 10_000 }));
      const lines = [anInvoiceLine({ amount: 5_000_000, product: PRO })];
      account.invoices.push(anInvoice({ customer: payerId(0), lines, amount_paid_off_stripe: 5_000_000 }));
      const world = await aNewWorld(t, { account, stripe });

      const run = await world.run("sync");

      assert.equal(run.code, 0, run.all);
      assert.equal(/^Stripe does not tell what was paid outside of it: .+ -> 400/m.test(run.err), !isTold);
      const { spend_pro, unallocated_revenue } = recordOf(world, payerId(0));
      assert.deepEqual([spend_pro, unallocated_revenue], isTold ? ["100", "0"] : ["50100", "-50000"]);
    });

  test("people are looked up while charges are still read, each address once, in one request more at most", async (t) => {
    const account = payers(200, (n) => (n < 150 ? {} : { email: "Payer0@example.com" }));
    const [first = assert.fail()] = account.charges;
    for (let n = 1; n <= 3_000; n += 1)
      account.charges.push({ ...first, id: `ch_old_${n}`, created: first.created - 1_000 - n });
    const world = await aNewWorld(t, { account });
    const slow = new Map(Object.entries({ "/v1/charges": 100, "/v1/customers": 300 }));
    world.stripe.faultRules.push(({ path }) => (slow.has(path) ? stripeFaults.slow(slow.get(path) ?? 0) : undefined));

    const run = await world.run("sync", ["--dry-run"]);

    assert.equal(run.code, 0, run.all);
    const lookUps = askedFor(world.attio, "/people/records/query");
    assert.ok((lookUps[0]?.atMs ?? Infinity) < (askedFor(world.stripe, "/v1/charges").at(-1)?.atMs ?? 0));
    const asked = lookUps.flatMap(({ body }) => JSON.stringify(body).match(/[\w.-]+@[\w.-]+/g) ?? []);
    assert.deepEqual([asked.length, new Set(asked).size], [150, 150]);
    assert.ok(lookUps.length <= 3, `${lookUps.length}`);
  });
});

describe("sync: the brake", () => {
  const hasTestKey = ({ env }: World): void => void (env["STRIPE_API_KEY"] = SANDBOX_STRIPE_TEST_KEY);
  const refundLargest = (world: World): void => [9, 10, 11].forEach((n) => refund(world, n));
  const ACCIDENTS: readonly (readonly [name: string, happens: (world: World) => void, message: string])[] = [
    ["a key of the other mode", hasTestKey, "is a test key, but 12 of 12 records are of live mode"],
    ["a fall in revenue", refundLargest, "Of 12 records with revenue 3 would fall to 0"],
  ];
  for (const [name, happens, message] of ACCIDENTS) {
    const isForceable = happens === refundLargest;
    test(`${name} stops a run before its first write, a dry run after its plan, ${isForceable ? "unless forced" : "forced or not"}`, async (t) => {
      const world = await aSyncedWorld(t, { account: payers(12) });
      newPayer(world, 12);
      happens(world);
      let all = "";
      const write = (text: string): void => void (all += text);

      const dry = await world.run("sync", ["--dry-run"], { out: write, err: write });
      const live = await world.run("sync");
      const isWritten = writesOf(world.attio).length > 0;
      const forced = await world.run("sync", ["--force"]);

      assert.deepEqual([dry.code, live.code, isWritten], [1, 1, false]);
      assert.match(live.err, new RegExp(`before the first write\\. .*${message}.*\\nNothing was written\\.\\n$`));
      assert.deepEqual(summaryOf(live), { ...NOTHING, unchanged: summaryOf(live).unchanged });
      assert.match(all, new RegExp(`\\nPlan\\n[^]+${message}[^]+\\ndone: .+, dry run: nothing was written\\)\\n$`));
      assert.deepEqual([forced.code, writesOf(world.attio).length > 0], [isForceable ? 0 : 1, isForceable]);
      assert.match(forced.err, isForceable ? /Going on because of --force\./ : /--force does not help here/);
    });
  }
});

describe("sync: what goes wrong in the CRM", () => {
  test("two records of one customer stop the run, which names them", async (t) => {
    const world = await aSyncedWorld(t, { account: payers(3) });
    const original = recordOf(world, payerId(1)).recordId;
    world.attio.setUnique(OBJECT, "stripe_customer_id", false);
    const copy = world.attio.addRecordAsMember(OBJECT, { stripe_customer_id: payerId(1) });
    world.attio.setUnique(OBJECT, "stripe_customer_id", true);
    refund(world, 0);

    const run = await world.run("sync", ["--force"]);

    assert.equal(run.code, 1);
    assert.match(run.err, /1 customer with more than one record in Attio[^]+\nNothing was written\./);
    for (const id of [payerId(1), copy, original]) assert.ok(run.err.includes(id), id);
    assert.deepEqual(writesOf(world.attio), []);
  });

  test("records that Attio refuses are named with its words, and however many, the others are written", async (t) => {
    // The largest change is written first: these 25 fail before the others are tried.
    const account = payers(40, (n) => (n >= 15 ? { email: null } : {}));
    const world = await aNewWorld(t, { account });
    world.attio.setRequired(OBJECT, "email", true);

    const run = await world.run("sync");

    assert.deepEqual([run.code, summaryOf(run)], [1, { ...NOTHING, created: 15, failed: 25, unchanged: 0 }]);
    assert.match(run.err, new RegExp(`${payerId(39)} was not written\\. Attio refused: Required.* 400 missing_value`));
    assert.equal(heldBy(world, 15, "total_revenue").length, world.attio.records(OBJECT).length);
  });

  test("a fault after the writes says how many records were written, and not that none was", async (t) => {
    const world = await aNewWorld(t, { account: payers(2) });
    const out = (text: string): void => {
      if (text.startsWith("done:")) throw new Error("the log is full");
    };

    const run = await world.run("sync", [], { out });

    assert.equal(run.code, 1);
    assert.match(run.err, /the log is full[^]*\n2 records were written\. A re-run is safe\.\n$/);
    assert.doesNotMatch(run.err, /Nothing was written/);
  });
});

describe("sync: what is shown", () => {
  test("why a run stops stands in the step summary", async (t) => {
    const file = aSummaryFile(t);
    const env = { GITHUB_STEP_SUMMARY: file };
    const world = await aNewWorld(t, { account: payers(1), bootstraps: false, env });

    await world.run("sync");

    assert.match(readFileSync(file, "utf8"), /: needs attention\n[^]*> .*There is no object stripe&#95;customers/);
  });

  test("the report stands on stdout before the first write", async (t) => {
    const world = await aNewWorld(t, { account: payers(2) });
    let [out, outAtFirstWrite] = ["", ""];
    world.attio.faultRules.push(whenSeen(isWrite, 1, () => void (outAtFirstWrite = out)));

    await world.run("sync", [], { out: (text) => void (out += text) });

    assert.match(outAtFirstWrite, /^total revenue 30\.00 usd of 2 customers[^]+^Plan$/m);
    assert.doesNotMatch(outAtFirstWrite, /done:/);
  });

  test("no run of this file printed a key", () => {
    assertNoSecrets();
  });
});
