// plan.test.ts - what is written to whose record, and the accidents that stop a run before it writes.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { connectAttio, findBrake, ledgerOf, planChanges, readCrm } from "../sync.ts";
import type { Change, Charge, CrmRecord, Person } from "../sync.ts";
import { serve } from "../sandbox/server.ts";
import { decimalOf, expectedRecords } from "./oracle.ts";
import { NOW_MS } from "./world.ts";
import { DAY_MS, SPEND_SLUGS, aCharge, aCustomer, aLine, aRecord, aSubscription, anInvoice } from "./samples.ts";
import {
  findingsOf,
  holds,
  oracleInputOf,
  payers,
  planOf,
  randomAccount,
  recordAfter,
  recordsAfter,
} from "./samples.ts";
import type { Scene } from "./samples.ts";
import { aConnection, someSettings } from "./services.ts";

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

/** The record that a run over ADA leaves, once somebody else has set these values. */
function recordWith(values: Readonly<Record<string, string | undefined>>): Map<string, CrmRecord> {
  const change = { ...changeOf(ADA), values: new Map([...changeOf(ADA).values, ...Object.entries(values)]) };
  const set = Object.keys(values).filter((slug) => values[slug] !== undefined); // an empty value has no author
  return new Map([["cus_1", recordAfter(change, set)]]);
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
        const { total_revenue, unallocated_revenue, spend } = record;
        const columns = { ...Object.fromEntries(SPEND_SLUGS.map((slug) => [slug, 0n])), ...spend };
        for (const [slug, amount] of Object.entries({ ...columns, total_revenue, unallocated_revenue }))
          assert.equal(values.get(slug), decimalOf(amount, "usd"), slug);
        for (const slug of ["first_charge_at", "last_charge_at", "payment_failed_at"] as const)
          assert.equal(values.get(slug) ?? null, record[slug], slug);
        // Which of two that ended in the same second gives the reason, nothing says.
        const withoutReason = (status = ""): string => status.replace(/ \(.+\)$/, "");
        assert.equal(withoutReason(values.get("subscription_status")), withoutReason(record.subscription_status));
      }
    });
  });

  it("is named after the e-mail address, else the id, where Stripe has no name", () => {
    const nameFor = (name: string | null, email: string | null) =>
      changeOf({ ...ADA, customers: [aCustomer({ name, email })] }).values.get("name");
    assert.equal(nameFor(" Ada L. ", null), "Ada L.");
    assert.equal(nameFor("  ", " ADA@Example.com "), "ada@example.com");
    assert.equal(nameFor(null, null), "cus_1");
  });
});

describe("who gets a record", () => {
  const refunded = aCharge({ refunded: true, amount_refunded: 10_000 });
  const failed = aCharge({ status: "failed", captured: false });
  const WHO: readonly (readonly [who: string, scene: Scene, without: readonly string[], held: readonly string[]])[] = [
    ["who paid gets one", { charges: [aCharge()] }, ["create"], ["update"]],
    ["who was refunded in full gets none, and keeps one", { charges: [refunded] }, [], ["update"]],
    ["whose charges failed gets none, and keeps one", { charges: [failed] }, [], ["update"]],
    ["with paid invoices and no charge has it left alone", { invoices: [anInvoice([aLine(100)])] }, [], []],
    ["who only signed up has it left alone", { customers: [aCustomer()] }, [], []],
  ];
  for (const [who, scene, without, held] of WHO)
    it(`a customer ${who}`, () => {
      const plan = planOf({ ...scene, records: new Map([["cus_1", aRecord({ total_revenue: "5.00" })]]) });
      const outcomes = [planOf(scene), plan].map(({ changes }) => changes.map(({ outcome }) => outcome));
      assert.deepEqual([...outcomes, plan.leftAlone], [without, held, 1 - held.length]);
    });

  it("the paid invoices of who gets none, and of nobody, are summed apart", () => {
    const invoices = ["cus_1", "cus_2", null].map((customer) => anInvoice([aLine(170)], { customer }));
    assert.deepEqual(planOf({ ...ADA, invoices }).withoutRecord, { count: 2, amount: 340 });
  });
});

describe("an existing record", () => {
  it("is equal by its cents and its instants, however Attio writes them", async (test) => {
    const money = (amount: unknown) => [{ currency_value: amount, currency_code: "USD" }];
    const odd = {
      stripe_customer_id: [{ value: "cus_1" }],
      total_revenue: money(100),
      spend_pro: money("60.0000"),
      spend_team: money("0"),
      spend_other: money(-0),
      first_charge_at: [{ value: "2025-01-01T00:00:00.000000000Z" }],
      last_charge_at: [{ value: "2025-01-01T01:00:00+01:00" }],
    };
    const page = JSON.stringify({ data: [{ id: { record_id: "rec_1" }, values: odd }] });
    const attio = await serve({ handle: () => ({ status: 200, text: page }), routeOf: (method) => method });
    test.after(() => attio.close());
    const service = connectAttio(someSettings({ ATTIO_API_BASE: attio.url }), aConnection());
    const { records } = await readCrm(service, { spendSlugs: SPEND_SLUGS, currency: "usd" });
    const { values } = changeAfter({}, records);
    assert.deepEqual(
      Object.keys(odd).filter((slug) => values.has(slug)),
      ["stripe_customer_id"],
    );
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
    const charges = [aCharge(), failed(1_900_000_000)];
    const held = recordsAfter({ ...ADA, charges });
    const change = changeAfter({ charges: [...charges, aCharge({ created: 1_900_000_001 })] }, held);
    assert.equal(written(change)["payment_failed_at"], undefined);
    assert.ok(change.values.has("payment_failed_at"));
  });
});

describe("an unchanged record", () => {
  const AGES: readonly (readonly [refreshDays: string, ageMs: number, outcome: string])[] = [
    ["7", 7 * DAY_MS - 1, "unchanged"],
    ["7", 7 * DAY_MS, "refresh"],
    ["1", DAY_MS, "refresh"],
    ["", 6 * DAY_MS, "unchanged"],
    ["0", 0, "refresh"],
  ];
  for (const [days, ageMs, outcome] of AGES)
    it(`of ${ageMs} ms is "${outcome}" with REFRESH_DAYS=${days}`, () => {
      assert.equal(changeAfter({ env: { REFRESH_DAYS: days }, nowMs: NOW_MS + ageMs }).outcome, outcome);
    });

  it("is re-stamped where its stamp is missing or unreadable", () => {
    for (const stamp of [undefined, "an unreadable time"])
      assert.equal(changeAfter({}, recordWith({ last_synced_at: stamp })).outcome, "refresh");
  });

  it("is refreshed with the match key and the stamp alone", () => {
    const { values } = changeAfter({ nowMs: NOW_MS + 8 * DAY_MS });
    const stamp = "2026-11-29T07:17:00.000Z";
    assert.deepEqual(Object.fromEntries(values), { stripe_customer_id: "cus_1", last_synced_at: stamp });
  });
});

describe("links", () => {
  const bob = { recordId: "per_bob", companyId: "com_bob" };
  const alone = { recordId: "per_ada", companyId: undefined };
  const owner = (...one: readonly (Person | null)[]): Scene => {
    return { people: new Map(one.map((person) => ["ada@example.com", person])) };
  };
  const unlinked = recordsAfter({ ...ADA, people: new Map() });
  const [personSet, companySet] = [recordsAfter(ADA, ["person"]), recordsAfter(ADA, ["company"])];
  const noAddress = { customers: [aCustomer({ email: null })] };
  type Held = ReadonlyMap<string, CrmRecord>;
  const LINKS: readonly (readonly [what: string, scene: Scene, held: Held, ReturnType<typeof written>])[] = [
    ["appear on the day after the person does", {}, unlinked, { person: "per_ada", company: "com_ada" }],
    ["move to who has the address now", owner(bob), LINKED, { person: "per_bob", company: "com_bob" }],
    ["are cleared when the address is nobody's", owner(), LINKED, { person: undefined, company: undefined }],
    ["to a company go with the person's", owner(alone), LINKED, { company: undefined }],
    ["stay where the address is unknown", noAddress, LINKED, { email: undefined }],
    ["stay where two people claim the address", owner(null), LINKED, {}],
    ["that anybody else set to a person stay, with the company", owner(bob), personSet, {}],
    ["that anybody else set stay where the address is nobody's", owner(), personSet, {}],
    ["that anybody else set to a company stay, while the person moves", owner(bob), companySet, { person: "per_bob" }],
    ["removed by hand come back: nothing has no author", {}, recordWith({ person: undefined }), { person: "per_ada" }],
  ];
  for (const [what, scene, held, values] of LINKS)
    it(what, () => {
      const change = changeAfter(scene, held);
      assert.deepEqual(written(change), values);
      assert.equal(change.hasPerson, recordAfter(change).values.has("person"));
    });
});

describe("the plan", () => {
  it("has the largest change of revenue first, whichever way it goes, then by id", () => {
    const records = new Map([
      ["cus_a", aRecord({ total_revenue: "50.00" })], // falls by 49.00
      ["cus_b", aRecord({ total_revenue: "3.00" })], // stays
    ]);
    const paid = { cus_b: 300, cus_d: 700, cus_c: 700, cus_a: 100, cus_e: 9000 };
    const charges = Object.entries(paid).map(([customer, amount]) => aCharge({ customer, amount }));
    const order = planOf({ charges, records }).changes.map(({ customerId }) => customerId);
    assert.deepEqual(order, ["cus_e", "cus_a", "cus_c", "cus_d", "cus_b"]);
  });

  it("stops where the records would not hold what the ledgers hold", () => {
    const input = findingsOf(ADA);
    Object.assign(ledgerOf(input.books, "cus_2"), { totalMinor: -5 }); // gets no record, so its amount is in none
    assert.throws(() => planChanges(input), /does not close between records and ledgers: a bug/);
  });
});

describe("the brake", () => {
  /** `count` records of cus_0 onwards, each of so much revenue. */
  const records = (count: number, revenue = "10.00", page = "https://dashboard.stripe.com/test/customers/x") => {
    const record = aRecord({ total_revenue: revenue, stripe_url: page });
    return new Map(Array.from({ length: count }, (_, at) => [`cus_${at}`, record]));
  };
  const liveRecord = records(1, "10.00", "https://dashboard.stripe.com/customers/x");
  const liveKey = { STRIPE_API_KEY: "rk_live_1" };

  /** A day on which `held` records meet charges of 10.00 each, the first of them refunded by so much. */
  const day = (charged: number, held: ReadonlyMap<string, CrmRecord>, refunds: readonly number[] = []): Scene => ({
    charges: payers(charged, 1000).map((charge, at) => {
      const refund = refunds[at] ?? 0;
      return { ...charge, amount_refunded: refund, refunded: refund === charge.amount };
    }),
    records: held,
  });
  /** The same in an account with three customers more, whom the CRM does not know. */
  const among = (charged: number, held: number): Scene => {
    const others = payers(3, 1000).map((charge) => ({ ...charge, customer: `other_${charge.customer}` }));
    return { charges: [...payers(charged, 1000), ...others], records: records(held) };
  };
  /** 12 payers of whom the three smallest, with so much each, were refunded in full. */
  const smallOnes = (amount: number): Scene => {
    const small = [...records(3, `${amount / 100}.00`), ...[...records(12)].slice(3)];
    const charges = payers(3, amount).map((charge) => ({ ...charge, refunded: true, amount_refunded: amount }));
    return { charges: [...charges, ...payers(12, 1000).slice(3)], records: new Map(small) };
  };
  const elsewhere = [...records(40)].map(([id, record]) => [`other_${id}`, record] as const);
  const threeLost = day(10, new Map([...records(10), ...elsewhere]), [1000, 1000, 1000]);
  const newcomers = { ...threeLost, charges: [...(threeLost.charges ?? []), ...payers(40, 50_000).slice(20)] };

  /** `count` payers with a customer, a person and an invoice each, in the CRM as a run leaves them. */
  const business = (count: number, ...products: readonly string[]) => {
    const ids = Array.from({ length: count }, (_, at) => `cus_${at}`);
    const lines = products.map((product, at) => aLine(300 - at, product));
    const scene = {
      charges: payers(count, 1000),
      invoices: ids.map((customer) => anInvoice(lines, { customer })),
      customers: ids.map((id) => aCustomer({ id, email: `${id}@example.com` })),
      people: new Map(ids.map((id) => [`${id}@example.com`, { recordId: `per_${id}`, companyId: undefined }])),
    };
    return { ...scene, records: recordsAfter(scene) };
  };
  const nine = business(9, "prod_pro");
  const ten = business(10, "prod_pro", "prod_team", "prod_x");
  const whoIsKnown = (count: number): Scene => ({ ...ten, people: new Map([...ten.people].slice(0, count)) });
  const invoicedFor = (product: string): Scene => ({ ...ten, invoices: business(10, product).invoices });

  const PASSES: readonly (readonly [what: string, scene: Scene])[] = [
    ["a first run", day(50, new Map())],
    ["an ordinary day", day(50, records(50))],
    ["a day of growth", { charges: payers(50, 90_000), records: records(20) }],
    ["a run without charges and records", {}],
    ["(b) no charge at all where no record has revenue", day(0, records(30, "0.00"))],
    ["(b) a guest's charge", { charges: [aCharge({ customer: null })], records: records(2) }],
    ["(c) none of 2 records that belongs to this account", among(0, 2)],
    ["(c) 1 of 5 records that belongs to this account", among(1, 5)],
    ["(d) 9 refunds in full among 9 records", day(9, records(9), Array<number>(9).fill(1000))],
    ["(d) 3 refunds in full among 12 records, by under 5 % of the sum", smallOnes(100)],
    ["(d) a fall of the sum by 20 %", day(10, records(10), [1000, 999, 1])],
    ["(e) 2 of 10 records that lose their person", whoIsKnown(8)],
    ["(e) 9 of 9 records that lose person and e-mail", { ...nine, customers: [], people: new Map() }],
    ["(e) 9 of 9 records that lose their products", { ...nine, invoices: [] }],
    ["(e) one product less", invoicedFor("prod_team")],
    ["(e) money out of spend_other", { ...invoicedFor("prod_pro"), records: business(10, "prod_x").records }],
  ];
  for (const [what, scene] of PASSES)
    it(`lets pass ${what}`, () => assert.equal(findBrake(planOf(scene), findingsOf(scene)), undefined));

  const never = "--force does not help here\\.$";
  const forced = "npm start -- --dry-run.+npm start -- --force\\.$";
  const STOPS: readonly (readonly [what: string, scene: Scene, message: string])[] = [
    ["(a) a live key before records of test mode", { ...day(3, records(3)), env: liveKey }, `live key, but 3 of 3 records.+test mode.+test key.+${never}`],
    ["(a) a test key before records of live mode", day(1, liveRecord), `test key, but 1 of 1 records.+live mode.+live key.+${never}`],
    ["(a) a live key where records of test mode have no revenue", { ...day(0, records(1, "0.00")), env: liveKey }, `live key.+${never}`],
    ["(b) no charge at all before 1 paying record", day(0, records(1)), `no charge, but 1 records.+${never}`],
    ["(c) none of 3 records that belongs to this account", among(0, 3), `^Only 0 of 3 records with revenue belong to this.+${forced}`],
    ["(c) 1 of 6 records that belongs to this account", among(1, 6), `^Only 1 of 6 records with revenue.+${forced}`],
    ["(d) 3 refunds in full among 12 records, by 6 % of the sum", smallOnes(200), `^Of 12 records with revenue 3 would fall to 0, and their sum by 6 %.+${forced}`],
    ["(d) a fall of the sum by over 20 %", day(10, records(10), [999, 999, 3]), `0 would fall to 0, and their sum by 20 %.+${forced}`],
    ["(d) the same where new payers, and another account's records, make up for it", newcomers, `^Of 10 records with revenue 3 would fall to 0.+${forced}`],
    ["(e) 3 of 10 records that lose their person", whoIsKnown(7), `^3 of 10 records would lose their person: .+${forced}`],
    ["(e) records that lose their e-mail", { ...ten, customers: [] }, `^10 of 10 records would lose their email: .+${forced}`],
    ["(e) no product that holds money", invoicedFor("prod_x"), `^No product's attribute .+spend_pro, spend_team.+PRODUCT_SLUGS.+${forced}`],
    ["(e) no invoice", { ...ten, invoices: [] }, `^No product's attribute would hold money.+${forced}`],
    ["(e) no invoice where nothing is mapped", { ...business(10, "prod_x"), invoices: [] }, `^Not even spend_other would hold money.+${forced}`],
  ]; // prettier-ignore
  for (const [what, scene, message] of STOPS)
    it(`stops ${what}`, () => {
      const brake = findBrake(planOf(scene), findingsOf(scene));
      assert.match(brake?.message ?? "", new RegExp(message));
      assert.equal(brake?.isForceable, message.endsWith(forced));
    });
});
