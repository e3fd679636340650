// sandbox-account.test.ts - the seeded accounts are the same everywhere, and hold their traps.

import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { largeAccount, seedAccount, seedPeople } from "../sandbox/account.ts";
import type { StripeCharge, StripeInvoice, StripeSubscription, StripeSubscriptionItem } from "../sandbox/objects.ts";

/** Each of these must be there. */
type Kinds<Object> = readonly (readonly [kind: string, is: (object: Object) => boolean])[];

function hasEach<Object>(objects: readonly Object[], kinds: Kinds<Object>): void {
  for (const [kind, is] of kinds) assert.ok(objects.some(is), kind);
}

describe("a seeded account", () => {
  const account = seedAccount({ customers: 400, seed: 1 });
  const { charges, invoices, subscriptions } = account;

  test("is the same for the same seed, and another one for another seed", () => {
    assert.deepEqual(seedAccount({ customers: 400, seed: 1 }), account);
    assert.notDeepEqual(seedAccount({ customers: 400, seed: 2 }).charges, charges);
  });

  test("has every kind of charge", () => {
    const released = (charge: StripeCharge): number => charge.amount - charge.amount_captured;
    const isPartial = (charge: StripeCharge): boolean => charge.captured && released(charge) > 0;

    hasEach(charges, [
      ["partial capture, nothing back", (charge) => isPartial(charge) && charge.amount_refunded === 0],
      ["partial capture, the rest back", (charge) => isPartial(charge) && charge.amount_refunded === released(charge)],
      ["partial capture, more back", (charge) => isPartial(charge) && charge.amount_refunded > released(charge)],
      ["partial capture, all back", (charge) => isPartial(charge) && charge.refunded],
      ["canceled authorisation", (charge) => !charge.captured && charge.refunded],
      ["authorisation", (charge) => !charge.captured && charge.paid && !charge.refunded],
      ["disputed", (charge) => charge.disputed],
      ["guest", (charge) => charge.customer === null],
      ["failed", (charge) => charge.status === "failed"],
      ["pending", (charge) => charge.status === "pending"],
      ["foreign and not settled", (charge) => charge.currency !== "usd" && charge.balance_transaction === null],
      ...["eur", "gbp", "jpy", "kwd"].map((code) => [code, ({ currency }: StripeCharge) => currency === code] as const),
    ]);
    assert.ok(account.balanceTransactions.some(({ currency }) => currency !== "usd"));
  });

  test("has more than a page of charges, invoices, customers and subscriptions in one second", () => {
    for (const objects of [charges, invoices, account.customers, subscriptions]) {
      const bySecond = Map.groupBy<number, { readonly created: number }>(objects, ({ created }) => created);
      assert.ok(Math.max(...[...bySecond.values()].map(({ length }) => length)) > 100);
    }
  });

  test("has invoices of every status and shape", () => {
    const outside = ({ amount_paid_off_stripe = 0 }: StripeInvoice): number => amount_paid_off_stripe;
    const counts = new Set(invoices.map(({ lines }) => lines.data.length));

    assert.equal(new Set(invoices.map(({ status }) => status)).size, 5);
    assert.ok([1, 10, 11, 27, 241].every((count) => counts.has(count)));
    hasEach(invoices, [
      ["wholly paid outside Stripe", (each) => outside(each) > 0 && outside(each) === each.amount_paid],
      ["partly paid outside Stripe", (each) => outside(each) > 0 && outside(each) < each.amount_paid],
      ["no positive line", (each) => each.amount_paid > 0 && each.lines.data.every(({ amount }) => amount <= 0)],
    ]);
    const lines = invoices.flatMap((each) => each.lines.data);
    hasEach(lines, [
      ["free", ({ amount }) => amount === 0],
      ["by hand", ({ pricing, price }) => pricing === null && price === undefined],
      ["of before basil", ({ pricing, price }) => pricing === null && price !== undefined],
    ]);
  });

  test("has subscriptions of every status and cancellation reason, without two equal ends", () => {
    const canceled = subscriptions.filter(({ status }) => status === "canceled");
    const reasons = new Set(canceled.map(({ cancellation_details }) => cancellation_details.reason));

    assert.equal(new Set(subscriptions.map(({ status }) => status)).size, 8);
    assert.deepEqual([...reasons].sort(), ["cancellation_requested", null, "payment_disputed", "payment_failed"]);
    const ends = canceled.map(({ customer, ended_at }) => `${customer} ${ended_at}`);
    assert.equal(new Set(ends).size, ends.length);
  });

  test("of 14 customers has one subscription of each kind, and a failed charge where one is past due", () => {
    const first = seedAccount({ customers: 14, seed: 1 });
    const living = first.subscriptions.filter(({ ended_at }) => ended_at === null);
    function some(is: (item: StripeSubscriptionItem) => boolean) {
      return ({ items }: StripeSubscription): boolean => items.data.some(is);
    }

    hasEach(living, [
      ["yearly", some(({ price }) => price.recurring?.interval === "year")],
      ["tiered", some(({ price }) => price.billing_scheme === "tiered")],
      ["metered", some(({ price }) => price.recurring?.usage_type === "metered")],
      ["discounted item", some(({ discounts }) => discounts.length === 1)],
      ["by hundreds", some(({ price }) => price.transform_quantity?.divide_by === 100)],
      ["coupon", ({ discounts }) => discounts[0]?.source.coupon === "co_SbxSupporter"],
      ["paused", ({ pause_collection }) => pause_collection?.behavior === "void"],
      ["ending", ({ cancel_at_period_end, cancel_at }) => cancel_at_period_end && cancel_at !== null],
      ["trial", ({ status, trial_end }) => status === "trialing" && trial_end !== null],
      ["foreign", ({ currency }) => currency !== "usd"],
    ]);
    assert.ok(first.customers.some(({ discount }) => discount?.source.coupon === "co_SbxSupporter"));
    const late = living.find(({ status }) => status === "past_due")?.customer;
    const tries = first.charges.filter(({ customer }) => customer === late).sort((a, b) => b.created - a.created);
    assert.equal(tries[0]?.status, "failed");
  });

  test("has payers without a person, and no address of two people", () => {
    const addresses = seedPeople(account).flatMap(({ emailAddresses }) => emailAddresses);
    const owned = new Set(addresses.map((address) => address.toLowerCase()));
    const typed = account.customers.flatMap(({ email }) => email?.trim().toLowerCase() ?? []);

    assert.equal(owned.size, addresses.length);
    assert.equal(new Set(typed.map((address) => owned.has(address))).size, 2);
    assert.ok(new Set(typed).size < typed.length);
  });
});

describe("a large account", () => {
  test("has as many objects as asked for, growing over five years, each with its balance transaction", () => {
    const size = { charges: 2_000, invoices: 500, customers: 300, subscriptions: 100 };
    const shares = { partialCaptureShare: 0.1, discountShare: 0.5, longInvoiceShare: 1 };
    const account = largeAccount({ ...size, ...shares, seed: 1 });
    const { charges, invoices, customers, subscriptions, balanceTransactions } = account;
    const [first = 0, half = 0, last = 0] = [0, 1_000, 1_999].map((n) => charges[n]?.created ?? 0);

    const counts = [charges, invoices, customers, subscriptions, balanceTransactions].map(({ length }) => length);
    assert.deepEqual(counts, [2_000, 500, 300, 100, 2_000]);
    assert.ok(half - first > last - half);
    assert.ok(charges.some((charge) => charge.amount_refunded > 0));
    assert.ok(subscriptions.some(({ discounts }) => discounts.length > 0));
    assert.ok(invoices.every(({ lines }) => lines.data.length === 24));
  });
});
