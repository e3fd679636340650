// plan.test.ts - what is written to whose record, and the accidents that stop a run before it writes.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { connectAttio, findBrake, getsRecord, ledgerOf, minor, planChanges, readCrm } from "../sync.ts";
import type { Brake, Change, Charge, CrmRecord, Person } from "../sync.ts";
import { serve } from "../sandbox/server.ts";
import { decimalOf, expectedRecords } from "./oracle.ts";
import { NOW_MS, virtualClock } from "./world.ts";
import {
  DAY_MS,
  SPEND_SLUGS,
  aCharge,
  aCustomer,
  aLine,
  aRecord,
  aSubscription,
  anInvoice,
  holds,
  findingsOf,
  oracleInputOf,
  payers,
  planOf,
  randomAccount,
  recordAfter,
  recordsAfter,
  settingsOf,
} from "./samples.ts";
import type { Scene } from "./samples.ts";

/** One paying customer of 100.00, an active subscription and an invoice over 60.00. */
const ADA: Scene = {
  charges: [aCharge()],
  invoices: [anInvoice([aLine(6000)])],
  subscriptions: [aSubscription("active")],
  customers: [aCustomer()],
  people: new Map([["ada@example.com", { recordId: "per_ada", companyId: "com_ada" }]]),
};

const LINKED = recordsAfter(ADA);

/** The change planned for the one customer. */
function changeOf(scene: Scene): Change {
  const { changes } = planOf(scene);
  assert.equal(changes.length, 1);
  return changes[0] as Change;
}

/** The change to a record that a run over ADA left behind, once something is different. */
function changeAfter(scene: Scene, records: ReadonlyMap<string, CrmRecord> = LINKED): Change {
  return changeOf({ ...ADA, records, nowMs: NOW_MS + 1000, ...scene });
}

function recordWith(values: Readonly<Record<string, string | undefined>>): Map<string, CrmRecord> {
  const change = { ...changeOf(ADA), values: new Map([...changeOf(ADA).values, ...Object.entries(values)]) };
  return new Map([["cus_1", recordAfter(change)]]);
}

/** What is written beside the match key and the stamp. */
function written({ values }: Change): Record<string, string | undefined> {
  const { stripe_customer_id: key, last_synced_at: stamp, ...others } = Object.fromEntries(values);
  assert.ok(values.size === 0 || (key !== undefined && stamp !== undefined), "each write has key and stamp");
  return others;
}

describe("a new payer's record", () => {
  it("is created with every attribute", () => {
    const change = changeOf(ADA);
    assert.equal(change.outcome, "create");
    assert.deepEqual(Object.fromEntries(change.values), {
      stripe_customer_id: "cus_1",
      name: "Ada",
      email: "ada@example.com",
      total_revenue: "100.00",
      spend_pro: "60.00",
      spend_team: "0.00",
      spend_other: "0.00",
      unallocated_revenue: "40.00",
      subscription_status: "Active",
      mrr: "0.00",
      person: "per_ada",
      company: "com_ada",
      first_charge_at: "2025-01-01T00:00:00.000Z",
      last_charge_at: "2025-01-01T00:00:00.000Z",
      last_synced_at: "2026-11-21T07:17:00.000Z",
      stripe_url: "https://dashboard.stripe.com/test/customers/cus_1",
    });
  });

  it("holds what an independent computation says, for every account", () => {
    holds(randomAccount(), (account) => {
      const plan = planOf(account);
      const expected = expectedRecords(oracleInputOf(account));
      assert.equal(plan.changes.length, expected.size);
      for (const { customerId, values } of plan.changes) {
        const record = expected.get(customerId);
        assert.ok(record, customerId);
        const amounts = [record.total_revenue, ...SPEND_SLUGS.map((slug) => record.spend[slug] ?? 0n)];
        const slugs = ["total_revenue", ...SPEND_SLUGS, "unallocated_revenue"];
        assert.deepEqual(
          slugs.map((slug) => values.get(slug)),
          [...amounts, record.unallocated_revenue].map((amount) => decimalOf(amount, "usd")),
        );
        for (const slug of ["first_charge_at", "last_charge_at", "payment_failed_at"] as const)
          assert.equal(values.get(slug) ?? null, record[slug], slug);
        // Which of two that ended in the same second gives the reason, nothing says.
        const withoutReason = (status = ""): string => status.replace(/ \(.+\)$/, "");
        assert.equal(withoutReason(values.get("subscription_status")), withoutReason(record.subscription_status));
      }
    });
  });

  it("is left out under --update-only, and counted", () => {
    const plan = planOf({ ...ADA, args: ["--update-only"] });
    assert.deepEqual(plan.counts, { create: 0, update: 0, refresh: 0, unchanged: 0, "left out": 1 });
    assert.equal(plan.changes[0]?.values.size, 0);
    assert.equal(plan.totalMinor, 10_000);
  });

  it("is named after the e-mail address, else the id, where Stripe has no name", () => {
    const nameFor = (name: string | null, email: string | null) =>
      changeOf({ ...ADA, customers: [aCustomer({ name, email })] }).values.get("name");
    assert.equal(nameFor(" Ada L. ", null), "Ada L.");
    assert.equal(nameFor("  ", " ADA@Example.com "), "ada@example.com");
    assert.equal(nameFor(null, null), "cus_1");
  });

  it("has the address trimmed and in lower case, and is found under it", () => {
    const change = changeOf({ ...ADA, customers: [aCustomer({ email: " ADA@Example.com\n" })] });
    assert.equal(change.values.get("email"), "ada@example.com");
    assert.equal(change.values.get("person"), "per_ada");
  });

  it("leads to the live dashboard with a live key", () => {
    const change = changeOf({ ...ADA, env: { STRIPE_API_KEY: "rk_live_1" } });
    assert.equal(change.values.get("stripe_url"), "https://dashboard.stripe.com/customers/cus_1");
  });

  it("is not made for free sign-ups, full refunds and paid invoices without a charge", () => {
    const refunded = aCharge({ refunded: true, amount_refunded: 10_000 });
    const failed = aCharge({ customer: "cus_2", status: "failed", captured: false });
    const invoices = [anInvoice([aLine(300)], { customer: "cus_3" }), anInvoice([aLine(40)], { customer: null })];
    const plan = planOf({ charges: [refunded, failed], invoices, customers: [aCustomer({ id: "cus_4" })] });
    assert.deepEqual(plan.changes, []);
    assert.deepEqual(plan.withoutRecord, { count: 2, minor: 340 });
  });
});

describe("an existing record", () => {
  it("that is equal is not written", () => {
    const change = changeAfter({});
    assert.equal(change.outcome, "unchanged");
    assert.equal(change.values.size, 0);
  });

  it("is equal by its cents and its instants, however Attio writes them", async (test) => {
    const money = (amount: unknown) => [{ currency_value: amount, currency_code: "USD" }];
    const values = {
      ...Object.fromEntries(
        ["stripe_customer_id", "name", "email", "stripe_url"].map((slug) => [
          slug,
          [{ value: LINKED.get("cus_1")?.values.get(slug) }],
        ]),
      ),
      total_revenue: money(100),
      spend_pro: money("60.0000"),
      spend_team: money("0"),
      spend_other: money(-0),
      unallocated_revenue: money(40.0),
      subscription_status: [{ option: { title: "Active" } }],
      mrr: money("0.0000"),
      person: [{ target_record_id: "per_ada" }],
      company: [{ target_record_id: "com_ada" }],
      first_charge_at: [{ value: "2025-01-01T00:00:00.000000000Z" }],
      last_charge_at: [{ value: "2025-01-01T01:00:00+01:00" }],
      last_synced_at: [{ value: "2026-11-21T07:17:00Z" }],
    };
    const page = JSON.stringify({ data: [{ id: { record_id: "rec_1" }, values }] });
    const attio = await serve({ handle: () => ({ status: 200, text: page }), routeOf: (method) => method });
    test.after(() => attio.close());
    const connection = {
      clock: virtualClock(),
      stop: new AbortController().signal,
      onRetry: () => {},
      timeoutMs: 5000,
    };
    const service = connectAttio(settingsOf({ ATTIO_API_BASE: attio.url }), connection);
    const { records } = await readCrm(service, { spendSlugs: SPEND_SLUGS, currency: "usd" });
    assert.equal(changeAfter({}, records).outcome, "unchanged");
  });

  it("is never written twice, whatever the account", () => {
    holds(randomAccount(), (account) => {
      const second = planOf({ ...account, records: recordsAfter(account) });
      assert.equal(second.counts.unchanged, second.changes.length);
    });
  });

  it("is updated with the changed attributes, the match key and the stamp only", () => {
    const change = changeAfter({ charges: [aCharge({ amount_refunded: 1500 })] });
    assert.equal(change.outcome, "update");
    assert.deepEqual(Object.fromEntries(change.values), {
      total_revenue: "85.00",
      unallocated_revenue: "25.00",
      stripe_customer_id: "cus_1",
      last_synced_at: "2026-11-21T07:17:01.000Z",
    });
    assert.deepEqual([change.beforeMinor, change.afterMinor], [10_000, 8500]);
  });

  const EDITS: readonly (readonly [slug: string, held: string | undefined, right: string])[] = [
    ["total_revenue", "100.01", "100.00"],
    ["total_revenue", undefined, "100.00"],
    ["total_revenue", "100.005", "100.00"],
    ["spend_team", undefined, "0.00"],
    ["unallocated_revenue", "-40.00", "40.00"],
    ["name", "Somebody", "Ada"],
    ["subscription_status", "Paused", "Active"],
    ["last_charge_at", "2025-01-01T00:00:01.000Z", "2025-01-01T00:00:00.000Z"],
    ["stripe_url", "https://dashboard.stripe.com/customers/cus_1", "https://dashboard.stripe.com/test/customers/cus_1"],
  ];
  for (const [slug, held, right] of EDITS)
    it(`that holds ${held ?? "nothing"} in ${slug} gets ${right} again, and nothing else`, () => {
      const change = changeAfter({}, recordWith({ [slug]: held }));
      assert.equal(change.outcome, "update");
      assert.deepEqual(written(change), { [slug]: right });
    });

  it("falls to 0 after a full refund: dates cleared, columns kept, unallocated negative", () => {
    const change = changeAfter({ charges: [aCharge({ refunded: true, amount_refunded: 10_000 })] });
    assert.deepEqual(written(change), {
      total_revenue: "0.00",
      unallocated_revenue: "-60.00",
      first_charge_at: undefined,
      last_charge_at: undefined,
    });
  });

  it("keeps its revenue when the customer is deleted in Stripe: the name becomes the id, the address goes", () => {
    const change = changeAfter({ customers: [] });
    assert.deepEqual(written(change), { name: "cus_1", email: undefined });
    assert.equal(change.hasPerson, true);
  });

  it("of a customer without any charge in this account is left alone and counted", () => {
    const records = new Map([...LINKED, ["cus_elsewhere", aRecord({ total_revenue: "5.00" })]]);
    const plan = planOf({ ...ADA, records });
    assert.equal(plan.leftAlone, 1);
    assert.deepEqual(
      plan.changes.map(({ customerId }) => customerId),
      ["cus_1"],
    );
  });

  it("is updated under --update-only as well", () => {
    const change = changeAfter({ args: ["--update-only"], customers: [aCustomer({ name: "Ada B." })] });
    assert.deepEqual(written(change), { name: "Ada B." });
  });

  it("has its attributes that no mapping names any more set to 0", () => {
    const change = changeAfter({ spendSlugs: [...SPEND_SLUGS, "spend_old"] }, recordWith({ spend_old: "12.00" }));
    assert.deepEqual(written(change), { spend_old: "0.00" });
  });
});

describe("payment_failed_at", () => {
  const failed = (created: number) => aCharge({ created, status: "failed", captured: false, amount_captured: 0 });
  const failedAt = (...charges: readonly Charge[]) =>
    changeOf({ charges: [aCharge({ created: 100 }), ...charges] }).values.get("payment_failed_at");

  it("is the latest failed charge, if none was captured in that second or later, refunded or not", () => {
    const refunded = { refunded: true, amount_refunded: 10_000 };
    assert.equal(failedAt(), undefined);
    assert.equal(failedAt(failed(160), failed(220)), "1970-01-01T00:03:40.000Z");
    assert.equal(failedAt(failed(100)), undefined);
    assert.equal(failedAt(failed(99)), undefined);
    assert.equal(failedAt(failed(160), aCharge({ created: 161 })), undefined);
    assert.equal(failedAt(failed(160), aCharge({ created: 161, ...refunded })), undefined);
    assert.equal(failedAt(failed(160), aCharge({ created: 161, captured: false })), "1970-01-01T00:02:40.000Z");
  });

  it("is cleared once a charge is captured again", () => {
    const held = recordsAfter({ ...ADA, charges: [aCharge(), failed(1_900_000_000)] });
    const change = changeAfter(
      { charges: [aCharge(), failed(1_900_000_000), aCharge({ created: 1_900_000_001 })] },
      held,
    );
    assert.equal(written(change)["payment_failed_at"], undefined);
    assert.ok(change.values.has("payment_failed_at"));
  });
});

describe("an unchanged record", () => {
  const outcomeAfter = (days: string, ageMs: number) =>
    changeAfter({ env: { REFRESH_DAYS: days }, nowMs: NOW_MS + ageMs }).outcome;

  it("is re-stamped from REFRESH_DAYS on, and not before", () => {
    assert.equal(outcomeAfter("7", 7 * DAY_MS - 1), "unchanged");
    assert.equal(outcomeAfter("7", 7 * DAY_MS + 1), "refresh");
    assert.equal(outcomeAfter("1", DAY_MS + 1), "refresh");
    assert.equal(outcomeAfter("", 6 * DAY_MS), "unchanged");
  });

  it("is re-stamped on every run with REFRESH_DAYS=0", () => {
    assert.equal(outcomeAfter("0", 0), "refresh");
    assert.equal(outcomeAfter("0", 1), "refresh");
  });

  it("is re-stamped where its stamp is missing or unreadable", () => {
    for (const stamp of [undefined, "an unreadable time"])
      assert.equal(changeAfter({}, recordWith({ last_synced_at: stamp })).outcome, "refresh");
  });

  it("is refreshed with the match key and the stamp alone", () => {
    const { values } = changeAfter({ nowMs: NOW_MS + 8 * DAY_MS });
    assert.deepEqual(Object.fromEntries(values), {
      stripe_customer_id: "cus_1",
      last_synced_at: "2026-11-29T07:17:00.000Z",
    });
  });
});

describe("links", () => {
  const people = (person?: Person | null): Scene => ({
    people: new Map(person === undefined ? [] : [["ada@example.com", person]]),
  });

  it("appear on the day after the person does", () => {
    const unlinked = recordsAfter({ ...ADA, people: new Map() });
    assert.deepEqual(written(changeAfter({}, unlinked)), { person: "per_ada", company: "com_ada" });
  });

  it("are moved to the person who has the address now", () => {
    const change = changeAfter(people({ recordId: "per_bob", companyId: "com_bob" }));
    assert.deepEqual(written(change), { person: "per_bob", company: "com_bob" });
  });

  it("are cleared when the address is nobody's", () => {
    assert.deepEqual(written(changeAfter(people())), { person: undefined, company: undefined });
    assert.equal(changeAfter(people()).hasPerson, false);
  });

  it("to a company go with the person's", () => {
    const change = changeAfter(people({ recordId: "per_ada", companyId: undefined }));
    assert.deepEqual(written(change), { company: undefined });
  });

  it("stay where the address is unknown, or two people claim it", () => {
    assert.deepEqual(written(changeAfter({ customers: [aCustomer({ email: null })] })), { email: undefined });
    assert.equal(changeAfter(people(null)).outcome, "unchanged");
    assert.equal(changeAfter(people(null)).hasPerson, true);
  });

  it("that anybody else set to a person stay, and the company with them", () => {
    for (const person of [{ recordId: "per_bob", companyId: "com_bob" }, undefined])
      assert.equal(changeAfter(people(person), recordsAfter(ADA, ["person"])).outcome, "unchanged");
  });

  it("that anybody else set to a company stay, while the person moves", () => {
    const change = changeAfter(people({ recordId: "per_bob", companyId: "com_bob" }), recordsAfter(ADA, ["company"]));
    assert.deepEqual(written(change), { person: "per_bob" });
  });

  it("that a member removed by hand come back: an empty value has no author", () => {
    const change = changeAfter({}, recordWith({ person: undefined }));
    assert.deepEqual(written(change), { person: "per_ada" });
  });

  it("do not keep a member's edit of an amount", () => {
    const records = recordWith({ total_revenue: "1.00" });
    const others = new Map(
      [...records].map(([id, record]) => [id, { ...record, setByOthers: new Set(["total_revenue"]) }]),
    );
    assert.deepEqual(written(changeAfter({}, others)), { total_revenue: "100.00" });
  });
});

describe("the plan", () => {
  it("has the largest change of revenue first, whichever way it goes, then by id", () => {
    const records = new Map([
      ["cus_a", aRecord({ total_revenue: "50.00" })], // falls by 49.00
      ["cus_b", aRecord({ total_revenue: "3.00" })], // stays
    ]);
    const paid = (customer: string, amount: number) => aCharge({ customer, amount });
    const charges = [
      paid("cus_b", 300),
      paid("cus_d", 700),
      paid("cus_c", 700),
      paid("cus_a", 100),
      paid("cus_e", 9000),
    ];
    assert.deepEqual(
      planOf({ charges, records }).changes.map(({ customerId }) => customerId),
      ["cus_e", "cus_a", "cus_c", "cus_d", "cus_b"],
    );
  });

  it("adds up, for every account: records, columns and unallocated are the total", () => {
    holds(randomAccount(), (account) => {
      const { changes, columns, unallocated, totalMinor } = planOf(account);
      const inColumns = [...columns.values()].reduce((sum, amount) => sum + amount, 0);
      assert.equal(inColumns + unallocated, totalMinor);
      assert.equal(changes.reduce((sum, { afterMinor }) => sum + afterMinor, 0), totalMinor); // prettier-ignore
      for (const { values } of changes) {
        const amounts = [...SPEND_SLUGS, "unallocated_revenue"].map((slug) =>
          Number(values.get(slug)?.replace(".", "")),
        );
        assert.equal(amounts.reduce((sum, amount) => sum + amount, 0), Number(values.get("total_revenue")?.replace(".", ""))); // prettier-ignore
      }
    });
  });

  it("stops where the records would not hold what the ledgers hold", () => {
    const input = findingsOf(ADA);
    const negative = ledgerOf(input.books, "cus_2");
    negative.totalMinor = minor(-5); // gets no record, so its amount is in none
    assert.equal(getsRecord(negative, undefined), false);
    assert.throws(() => planChanges(input), /does not close between records and ledgers: a bug/);
  });
});

describe("the brake", () => {
  /** Records of revenue 10.00 each for cus_0 to cus_count-1. */
  const records = (count: number, revenue = "10.00", url = "https://dashboard.stripe.com/test/customers/x") =>
    new Map(
      Array.from({ length: count }, (_, at) => [`cus_${at}`, aRecord({ total_revenue: revenue, stripe_url: url })]),
    );
  const brakeOf = (scene: Scene): Brake | undefined => findBrake(planOf(scene), findingsOf(scene));
  const brakeFor = (charges: readonly Charge[], held: ReadonlyMap<string, CrmRecord>, mode = "test") =>
    brakeOf({ charges, records: held, env: { STRIPE_API_KEY: `rk_${mode}_1` } });
  /** The charges of `payers`, of which the first few are refunded in full, the next ones by so much. */
  const refunded = (all: readonly Charge[], fully: number, next: readonly number[] = []) =>
    all.map((charge, at) => {
      if (at < fully) return { ...charge, refunded: true, amount_refunded: charge.amount };
      return { ...charge, amount_refunded: next[at - fully] ?? 0 };
    });

  it("lets a first run, an ordinary day and a day of growth pass", () => {
    assert.equal(brakeFor(payers(50, 1000), new Map()), undefined);
    assert.equal(brakeFor(payers(50, 1000), records(50)), undefined);
    assert.equal(brakeFor(payers(50, 90_000), records(20)), undefined);
    assert.equal(brakeFor([], new Map()), undefined);
  });

  it("(a) stops a live key before records of test mode, and the other way round, --force or not", () => {
    const inTest = brakeFor(payers(3, 1000), records(3), "live");
    assert.equal(inTest?.isForceable, false);
    assert.match(inTest?.message ?? "", /live key, but 3 of 3 records.+test mode.+test key.+--force does not help/);
    const inLive = brakeFor(payers(1, 1000), records(1, "10.00", "https://dashboard.stripe.com/customers/x"), "test");
    assert.equal(inLive?.isForceable, false);
    assert.match(inLive?.message ?? "", /test key, but 1 of 1 records.+live mode.+live key.+--force does not help/);
  });

  it("(a) stops also where the records of the other mode have no revenue, or nothing was charged", () => {
    assert.match(brakeFor([], records(1, "0.00"), "live")?.message ?? "", /live key/);
    assert.match(brakeFor([], records(12), "live")?.message ?? "", /live key/);
  });

  it("(b) stops before paying records when no charge at all comes back, --force or not", () => {
    for (const count of [1, 9, 10, 500]) {
      const brake = brakeFor([], records(count));
      assert.equal(brake?.isForceable, false);
      assert.match(brake?.message ?? "", new RegExp(`no charge, but ${count} records.+--force does not help`));
    }
    assert.equal(brakeFor([], records(30, "0.00")), undefined);
    assert.equal(brakeFor([aCharge({ customer: null })], records(2)), undefined);
  });

  it("(c) stops where under a fifth of 3 or more paying records is of this account, unless forced", () => {
    const others = payers(3, 1000).map((charge) => ({ ...charge, customer: `other_${charge.customer}` }));
    const own = (count: number) => [...others, ...payers(count, 1000)];
    assert.equal(brakeFor(own(0), records(2)), undefined);
    for (const [count, held] of [[0, 3], [0, 9], [1, 6], [1, 200]] as const) {
      const brake = brakeFor(own(count), records(held));
      assert.equal(brake?.isForceable, true);
      assert.match(brake?.message ?? "", new RegExp(`^Only ${count} of ${held} records with revenue belong to this`));
      assert.match(brake?.message ?? "", /npm start -- --dry-run.+npm start -- --force\.$/);
    }
    assert.equal(brakeFor(own(1), records(5)), undefined);
    assert.equal(brakeFor(own(3), records(15)), undefined);
  }); // prettier-ignore

  it("(d) stops where over 20 % of 10 or more would fall to 0 and their sum by 5 %, unless forced", () => {
    const mixed = (small: number) => [...payers(12, small).slice(0, 3), ...payers(12, 1000).slice(3)];
    const held = (small: number) =>
      new Map([...records(12)].map(([id, record], at) => {
        return [id, at < 3 ? { ...record, values: new Map([...record.values, ["total_revenue", `${small}.00`]]) } : record];
      })); // prettier-ignore
    assert.equal(brakeFor(refunded(mixed(100), 3), held(1)), undefined); // 3 of 12 small payers: a day's business
    const brake = brakeFor(refunded(mixed(200), 3), held(2));
    assert.equal(brake?.isForceable, true);
    assert.match(
      brake?.message ?? "",
      /^Of 12 records with revenue 3 would fall to 0, and their sum by 6 %.+--force\.$/,
    );
    assert.equal(brakeFor(refunded(payers(9, 1000), 9), records(9)), undefined);
  });

  it("(d) stops where their sum would fall by over 20 %, unless forced", () => {
    const all = payers(10, 1000);
    assert.equal(brakeFor(refunded(all, 0, [1000, 999, 1]), records(10)), undefined);
    const brake = brakeFor(refunded(all, 0, [999, 999, 3]), records(10));
    assert.equal(brake?.isForceable, true);
    assert.match(brake?.message ?? "", /0 would fall to 0, and their sum by \d+ %/);
    assert.equal(brakeFor(refunded(payers(9, 1000), 0, Array(9).fill(900)), records(9)), undefined);
  });

  it("(d) does not count new payers against a fall, nor records of another account", () => {
    const newcomers = payers(40, 50_000).slice(20);
    const held = new Map([...records(10), ...[...records(40)].map(([id, record]) => [`other_${id}`, record] as const)]);
    const brake = brakeFor([...refunded(payers(10, 1000), 3), ...newcomers], held);
    assert.match(brake?.message ?? "", /^Of 10 records with revenue 3 would fall to 0/);
  });

  /** `count` payers with a customer, a person and an invoice each, in the CRM as a run leaves them. */
  const business = (count: number): Scene => {
    const ids = Array.from({ length: count }, (_, at) => `cus_${at}`);
    const scene = {
      charges: payers(count, 1000),
      invoices: ids.map((id) =>
        anInvoice([aLine(600), aLine(300, "prod_team"), aLine(100, "prod_x")], { customer: id }),
      ),
      customers: ids.map((id) => aCustomer({ id, email: `${id}@example.com` })),
      people: new Map(ids.map((id) => [`${id}@example.com`, { recordId: `per_${id}`, companyId: undefined }])),
    };
    return { ...scene, records: recordsAfter(scene) };
  };
  const some = (scene: Scene, kept: number): Scene => ({ people: new Map([...(scene.people ?? [])].slice(0, kept)) });

  it("(e) stops where over 20 % of 10 or more records would lose their person or their e-mail, unless forced", () => {
    const all = business(10);
    assert.equal(brakeOf({ ...all, ...some(all, 8) }), undefined);
    assert.match(brakeOf({ ...all, ...some(all, 7) })?.message ?? "", /^3 of 10 records would lose their person: /);
    assert.match(brakeOf({ ...all, customers: [] })?.message ?? "", /^10 of 10 records would lose their email: /);
    assert.equal(brakeOf({ ...all, customers: [] })?.isForceable, true);
    assert.equal(brakeOf({ ...business(9), customers: [], people: new Map() }), undefined);
  });

  it("(e) stops where no product's attribute would hold money any more, or none at all", () => {
    const all = business(10);
    const unmapped = (invoices = all.invoices): Scene => ({
      ...all,
      invoices: (invoices ?? []).map(({ customer }) => anInvoice([aLine(1000, "prod_x")], { customer })),
    });
    assert.match(brakeOf(unmapped())?.message ?? "", /^No product's attribute .+spend_pro, spend_team.+PRODUCT_SLUGS/);
    assert.match(brakeOf({ ...all, invoices: [] })?.message ?? "", /^No product's attribute would hold money/);
    const other = { ...unmapped(), records: recordsAfter(unmapped()) };
    assert.match(brakeOf({ ...other, invoices: [] })?.message ?? "", /^Not even spend_other would hold money/);
    assert.equal(brakeOf({ ...business(9), invoices: [] }), undefined);
  });

  it("(e) lets one product less pass, and money that moves out of spend_other into a new attribute", () => {
    const all = business(10);
    const one = (all.invoices ?? []).map(({ customer }) => anInvoice([aLine(1000)], { customer }));
    assert.equal(brakeOf({ ...all, invoices: one }), undefined);
    const before = { ...all, invoices: one.map((invoice) => ({ ...invoice, lines: { data: [], has_more: false } })) };
    assert.equal(brakeOf({ ...all, invoices: one, records: recordsAfter(before) }), undefined);
  });
});
