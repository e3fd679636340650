// mrr.test.ts - what a subscription is worth a month, to the minor unit or not at all.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import * as stripe from "../sandbox/objects.ts";
import { SUBSCRIPTION, closeSubscriptions, explainSubscription, readAs } from "../sync.ts";
import type { Coupon, Subscription } from "../sync.ts";
import { askedOf } from "./ground.ts";
import { worthOf } from "./mrr-oracle.ts";
import { T0, aCharge, aCoupon, aCustomer, aMonthly, aSubscription, anItem } from "./samples.ts";
import { findingsOf, holds, planOf } from "./samples.ts";
import type { Item } from "./samples.ts";

/** An item with other fields of its price. */
function priced(item: Item, price: Partial<Item["price"]>, quantity = item.quantity): Item {
  return { ...item, quantity, price: { ...item.price, ...price } };
}

const metered = { recurring: { interval: "month", interval_count: 1, usage_type: "metered" } };
const packs = (divide_by: number, round: string) => ({ transform_quantity: { divide_by, round } });
const percent = (percent_off: number, duration = "forever"): Coupon => aCoupon({ percent_off, duration });
const amount = (amount_off: number, more = {}): Coupon => aCoupon({ amount_off, currency: "usd", ...more });
const forTeam = (coupon: Coupon): Coupon => ({ ...coupon, applies_to: { products: ["prod_team"] } });

function of(items: readonly Item[], overrides: Partial<Subscription> = {}, isCut = false): Subscription {
  return aSubscription("active", { items: { data: [...items], has_more: isCut }, ...overrides });
}

function explain(
  subscription: Subscription,
  coupons: Record<string, Coupon | undefined> = {},
  customerDiscount: string | null = null,
) {
  const known = new Map(Object.entries(coupons));
  return explainSubscription(subscription, { currency: "usd", coupons: known, customerDiscount });
}

/** What it adds to its customer's `mrr`; the reason where that cannot be told. */
function mrrOf(...explained: Parameters<typeof explain>): number | string {
  const { counts, reason, items } = explain(...explained);
  return counts !== "counted" ? 0 : (reason ?? items.reduce((sum, { mrrMinor }) => sum + mrrMinor, 0));
}

describe("mrr", () => {
  const monthly = anItem(4_900);
  const yearly = anItem(99_900, "year");
  const paused = (behavior: string) => of([monthly], { pause_collection: { behavior } });
  const one = (coupon: Coupon, item = monthly) => [of([item], { discounts: ["one"] }), { one: coupon }] as const;
  const eur = priced(anItem(5_000), { currency: "eur" });
  const half = { half: percent(50) };
  const team = priced(monthly, { product: "prod_team" });
  const lowered = { ...monthly, discounts: ["half"] };
  const cases: [string, Parameters<typeof explain>, number | string][] = [
    ["4900 a month, active", [of([monthly])], 4_900],
    ["4900 a month, past due", [of([monthly], { status: "past_due" })], 4_900],
    ["unpaid", [of([monthly], { status: "unpaid" })], 0],
    ["trialing", [of([monthly], { status: "trialing" })], 0],
    ["99900 a year", [of([yearly])], 8_325],
    ["3000 every 2 weeks", [of([anItem(3_000, "week", 2)])], 6_500],
    ["100 a day", [of([anItem(100, "day")])], 3_042],
    ["900 per 100, quantity 250, round up", [of([priced(anItem(900), packs(100, "up"), 250)])], 2_700],
    ["900 per 100, quantity 250, round down", [of([priced(anItem(900), packs(100, "down"), 250)])], 1_800],
    ["12 decimals, a hair below a half", [of([anItem("0.499999999999")])], 0],
    ["exactly a half", [of([anItem("0.5")])], 1],
    ["99900 a year less 1000 forever", [...one(amount(1_000), yearly)], 8_242],
    ["less 1000 once", [...one(amount(1_000, { duration: "once" }))], 4_900],
    ["less 50 % for some months", [...one(percent(50, "repeating"))], 4_900],
    ["less 50 %, then 450", [of([monthly], { discounts: ["half", "one"] }), { ...half, one: amount(450) }], 2_000],
    ["an amount over two items", [of([monthly, team], { discounts: ["c"] }), { c: amount(700) }], 9_100],
    ["only one product less 50 %", [of([monthly, team], { discounts: ["c"] }), { c: forTeam(percent(50)) }], 7_350],
    ["an item's discount, then the subscription's", [of([lowered], { discounts: ["half"] }), half], 1_225],
    ["the customer's, overridden", [of([monthly], { discounts: ["x"] }), { ...half, x: percent(10) }, "half"], 4_410],
    ["the customer's, after an item's", [of([lowered, monthly]), half, "half"], 3_675],
    ["paused, invoices void", [paused("void")], 0],
    ["one where no quantity is told", [of([priced(monthly, {}, null)])], 4_900],
    ["paused, invoices kept as drafts", [paused("keep_as_draft")], 4_900],
    ["metered beside 4900 licensed", [of([monthly, priced(anItem(null), metered, null)])], 4_900],
    ["metered, with a coupon nobody can read", [of([priced(eur, metered, null)], { discounts: [""] })], 0],
    ["tiered", [of([monthly, anItem(null)])], "tiered"],
    ["eur 5000", [of([eur], { currency: "eur" })], "currency"],
    ["free in eur", [of([priced(eur, { unit_amount_decimal: "0" })], { currency: "eur" })], 0],
    ["a eur price billed in usd", [of([eur])], "currency"],
    ["more items than the page shows", [of([monthly], {}, true)], "cut"],
    ["a price that does not recur", [of([priced(monthly, { recurring: null })])], "interval"],
    ["an interval invented tomorrow", [of([anItem(4_900, "fortnight")])], "interval"],
    ["a coupon that cannot be read", [of([monthly], { discounts: ["gone"] }), { gone: undefined }], "coupon"],
    ["a discount that was not expanded", [of([monthly], { discounts: [""] })], "coupon"],
    ["an amount off in another currency", [...one(amount(100, { currency: "eur" }))], "coupon"],
  ];
  for (const [name, explained, expected] of cases)
    it(`${name}: ${expected}`, () => assert.equal(mrrOf(...explained), expected));

  it("says of each item what its list price and its coupons were", () => {
    const { items, reason } = explain(of([lowered, team], { discounts: ["c"] }), { ...half, c: forTeam(amount(900)) });

    assert.equal(reason, undefined);
    const told = items.map(({ listMinor, mrrMinor, couponIds }) => ({ listMinor, mrrMinor, couponIds }));
    assert.deepEqual(told, [
      { listMinor: 4_900, mrrMinor: 2_450, couponIds: ["half"] },
      { listMinor: 4_900, mrrMinor: 4_000, couponIds: ["c"] },
    ]);
  });
});

describe("renewal and end", () => {
  const two = [30, 9].map((end) => anItem(1, "year", 1, { current_period_end: end }));
  const cases: [string, Partial<Subscription>, number | undefined, number | undefined][] = [
    ["renews with the first item that does", {}, 9, undefined],
    ["renews and ends later", { cancel_at: 25 }, 9, 25],
    ["ends as its period does, and renews no more", { cancel_at: 9 }, undefined, 9],
    ["ends with its last period, where only that is told", { cancel_at_period_end: true }, 9, 30],
    ["renews once its trial ends", { status: "trialing" }, 9, undefined],
    ["does neither when it is over", { status: "canceled", cancel_at: 25 }, undefined, undefined],
  ];
  for (const [name, overrides, renewsAtUnix, cancelsAtUnix] of cases)
    it(name, () => {
      const explained = explain(of(two, overrides));
      assert.deepEqual([explained.renewsAtUnix, explained.cancelsAtUnix], [renewsAtUnix, cancelsAtUnix]);
    });
});

describe("coupons", () => {
  const read = (discounts: unknown[]) =>
    readAs("subscription", SUBSCRIPTION, { ...of([anItem(1)]), discounts, customer: { id: "cus_1" } });
  const discount = (coupon: unknown) => ({ id: "di_1", source: { coupon, type: "coupon" } });

  it("are known by their ids, however the discount comes", () => {
    const found = read([discount("a"), discount({ id: "b", valid: true }), discount(null), "di_2"]);
    assert.deepEqual(found.discounts, ["a", "b", "", ""]);
  });

  const by = (coupon: string) => [stripe.aDiscount({ coupon })];
  const items = [stripe.aSubscriptionItem({ discounts: by("i") })];
  type Fields = Parameters<typeof stripe.aSubscription>[0];
  const NEEDED: readonly (readonly [what: string, fields: Fields, coupons: string])[] = [
    ["an item's, and the customer's where the subscription has none", { items }, "c i"],
    ["the subscription's, not the customer's", { discounts: by("s") }, "s"],
    ["none of a paused one", { discounts: by("s"), pause_collection: { behavior: "void", resumes_at: null } }, ""],
    ["none of a trial", { discounts: by("s"), status: "trialing" }, ""],
    ["none of one that has ended", { discounts: by("s"), items, status: "canceled" }, ""],
  ];
  for (const [what, fields, coupons] of NEEDED)
    it(`are read: ${what}`, async (t) => {
      const customers = [stripe.aCustomer({ id: "cus_1", discount: by("c")[0] ?? null })];
      const subscriptions = [stripe.aSubscription({ customer: "cus_1", ...fields })];

      const log = await askedOf(t, { customers, subscriptions });

      const asked = log.flatMap(({ path }) => /\/coupons\/(\w+)/.exec(path)?.slice(1) ?? []);
      assert.equal(asked.toSorted().join(" "), coupons);
      const isExpanded = log.some(({ query }) => String(query).includes("discounts"));
      assert.equal(isExpanded, coupons !== "");
    });
});

describe("mrr of anything", () => {
  const ids = ["p", "p", "q", "a", "a", "once", "gone"];
  const coupons = fc.record({
    p: fc.constantFrom(0.01, 12.5, 33.33, 99.999, 100).map((off) => percent(off)),
    q: fc.constantFrom(percent(20), forTeam(percent(50))),
    a: fc.constantFrom(amount(0), amount(1), amount(10 ** 9), forTeam(amount(700))),
    once: fc.constant(percent(50, "once")),
    gone: fc.constant(undefined),
  });
  const some = (most: number, from = ids) => fc.array(fc.constantFrom(...from), { maxLength: most });
  const unitAmount = fc.oneof(fc.nat(99_999), fc.constantFrom("0.35", "0.000000000001", "12.5", "1234.56789"));
  const intervals = fc.constantFrom("day", "week", "month", "month", "year");
  const fields = fc.constantFrom({}, {}, { product: "prod_team" }, metered, packs(7, "up"), packs(100, "down"));
  const item = fc
    .tuple(unitAmount, intervals, fc.integer({ min: 1, max: 4 }), some(1), fc.nat(300), fields)
    .map(([price, every, count, discounts, seats, more]) =>
      priced(anItem(price, every, count, { discounts }), more, seats),
    );
  const items = fc.array(item, { maxLength: 5 });
  type Scene = typeof scenes extends fc.Arbitrary<infer One> ? One : never;
  const scenes = fc.record({ items, shared: some(3), known: coupons, ofCustomer: fc.constantFrom(null, ...ids) });

  it("is what another way of reckoning finds, and so is the list price, in any order of the items", () => {
    const check = ({ items, shared, known, ofCustomer }: Scene): void => {
      const subscription = of(items, { discounts: shared });
      const list = explain(subscription, known).items.reduce((sum, { listMinor }) => sum + listMinor, 0);
      const expected = worthOf(subscription, "usd", new Map(Object.entries(known)), ofCustomer);
      const found = mrrOf(subscription, known, ofCustomer);
      assert.equal(mrrOf(of(items.toReversed(), { discounts: shared }), known, ofCustomer), found);
      if (expected === null) assert.equal(found, "coupon");
      else assert.deepEqual([BigInt(list), BigInt(found)], [expected.list, expected.mrr]);
    };
    holds(scenes, check, 1_000);
  });
});

describe("what a customer pays now", () => {
  const ending = { cancel_at_period_end: true, cancel_at: T0 + 86_400 };
  const valuesOf = (...subscriptions: Subscription[]) => {
    const customers = [aCustomer({ discount: "half" })];
    const [change] = planOf({ charges: [aCharge()], subscriptions, customers }).changes;
    return ["mrr", "renews_at", "cancels_at"].map((slug) => change?.values.get(slug));
  };
  const day = "2026-11-22T07:17:00.000Z";

  it("is written as mrr, with the next renewal and the next scheduled end", () => {
    assert.deepEqual(valuesOf(aMonthly(4900)), ["24.50", day, undefined]); // the customer's own coupon
    assert.deepEqual(valuesOf(aMonthly(4900, { discounts: ["once"] })), [undefined, day, undefined]); // unreadable
    assert.deepEqual(valuesOf(aMonthly(4900, ending)), ["24.50", undefined, day]);
    const two = valuesOf(aMonthly(100), aMonthly(200, { ...ending, cancel_at: T0 + 9 }));
    assert.deepEqual(two, ["1.50", day, "2026-11-21T07:17:09.000Z"]);
    assert.deepEqual(valuesOf(aMonthly(4900, { status: "trialing" })), ["0.00", day, undefined]);
  });

  it("is 0.00 where no subscription counts, and empty where one that counts cannot be told", () => {
    assert.deepEqual(valuesOf(), ["0.00", undefined, undefined]);
    assert.deepEqual(valuesOf(aMonthly(4900, { status: "canceled" })), ["0.00", undefined, undefined]);
    assert.deepEqual(valuesOf(aMonthly(100), aMonthly(null))[0], undefined);
    for (const paused of [null, 200])
      assert.equal(valuesOf(aMonthly(100), aMonthly(paused, { pause_collection: { behavior: "void" } }))[0], "0.50");
  });

  it("stops where list price, coupons and paused do not add up to it", () => {
    const { books } = findingsOf({ subscriptions: [aMonthly(1)] });
    Object.assign(books.mrr.list, { amount: 3 });
    assert.throws(() => closeSubscriptions(books, new Map(), new Map()), /does not close between list price and mrr/);
  });
});
