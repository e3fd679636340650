// ledger.test.ts - the money rules: what a charge brought in, what an invoice was for, and the bridge between both.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { TestContext } from "node:test";
import fc from "fast-check";
import * as stripe from "../sandbox/objects.ts";
import { emptyAccount } from "../sandbox/stripe.ts";
import { closeBooks, explainCharge, explainInvoice, ledgerOf } from "../sync.ts";
import type { Books, Charge, Invoice, Ledger } from "../sync.ts";
import { aNewWorld, askedOf, writesOf } from "./ground.ts";
import { expectedTotals } from "./oracle.ts";
import { CREATED, T0, aBalance, aCharge, aLine, aPartialCapture, aSubscription, anInvoice } from "./samples.ts";
import { booksOf, holds, leavesOf, openBooksOf, oracleInputOf, planOf, randomAccount, reordered } from "./samples.ts";
import type { Account, Line } from "./samples.ts";

/** The ledger of the one customer. */
function ledgerOfOne(account: Partial<Account>): Ledger {
  return ledgerOf(booksOf(account), "cus_1");
}

function spendOf(account: Partial<Account>): Record<string, number> {
  return Object.fromEntries(ledgerOfOne(account).spend);
}

/** The bridge's terms that are not 0, in one currency, each as [count, minor units]. */
function bridgeOf(books: Books, currency = "usd"): Record<string, [number, number]> {
  const line = books.bridge.get(currency);
  const tallies = Object.entries(line ?? {}).filter(([, { count }]) => count > 0);
  return Object.fromEntries(tallies.map(([kind, { count, amount: sum }]) => [kind, [count, sum]]));
}

describe("the net of a charge", () => {
  const KINDS: readonly (readonly [kind: string, charge: Partial<Charge>, balance: number, net: number])[] = [
    ["captured in full, partly refunded", { amount: 10_000, amount_refunded: 2500 }, 10_000, 7500],
    ["captured in part before basil, the rest released", { amount: 20_675, amount_captured: 20_300, amount_refunded: 375 }, 20_675, 20_300],
    ["the same, then 10.00 refunded", { amount: 20_675, amount_captured: 20_300, amount_refunded: 1375 }, 20_675, 19_300],
    ["captured in part since basil", { amount: 100, amount_captured: 80 }, 80, 80],
    ["the same, then 0.20 refunded", { amount: 100, amount_captured: 80, amount_refunded: 20 }, 80, 60],
    ["the same, then 0.19 refunded, less than was released", { amount: 100, amount_captured: 80, amount_refunded: 19 }, 80, 61],
    ["the same, then all refunded", { amount: 100, amount_captured: 80, amount_refunded: 80, refunded: true }, 80, 0],
    ["captured in part before basil, then all refunded", { amount: 100, amount_captured: 80, amount_refunded: 100, refunded: true }, 100, 0],
    ["voided before basil", { amount: 5000, amount_captured: 0, amount_refunded: 5000, captured: false }, 0, 0],
    ["voided since basil", { amount: 5000, amount_captured: 0, captured: false }, 0, 0],
    ["authorised and waiting", { amount: 5000, captured: false }, 0, 0],
    ["pending", { status: "pending", captured: true }, 10_000, 0],
    ["failed", { status: "failed", captured: true }, 10_000, 0],
    ["disputed", { disputed: true }, 10_000, 10_000],
    ["of 10^12 minor units, one given back", { amount: 10 ** 12, amount_refunded: 1 }, 10 ** 12, 10 ** 12 - 1],
    ["captured for more than was authorised", { amount: 100, amount_captured: 120, amount_refunded: 20 }, 120, 100],
  ]; // prettier-ignore
  for (const [kind, overrides, balance, net] of KINDS)
    it(`${kind} is ${net}`, () => {
      const charge = aCharge({ ...overrides, balance_transaction: aBalance(balance) });
      assert.equal(explainCharge(charge, "usd").netMinor, net);
      assert.equal(ledgerOfOne({ charges: [charge] }).totalMinor, net);
    });

  it("is never below 0, and what was given back never above what was captured", () => {
    const charge = aCharge({ amount: 100, amount_captured: 50, amount_refunded: 900, balance_transaction: null });
    const { netMinor, refundedMinor } = explainCharge(charge, "usd");
    assert.deepEqual([netMinor, refundedMinor], [0, 50]);
    assert.equal(explainCharge({ ...charge, amount_refunded: 10 }, "usd").refundedMinor, 10);
  });
});

describe("a partial capture whose refunds may hold the released part", () => {
  it("is told by the nearer of the two amounts, at the balance transaction's own rate", () => {
    const half = aPartialCapture({ currency: "eur", amount: 1000, amount_captured: 600, amount_refunded: 400 });
    const settledFor = (amount: number) =>
      explainCharge({ ...half, balance_transaction: aBalance(amount, "usd", 1.1) }, "usd").basis;
    for (const amount of [1100, 881, 880]) assert.equal(settledFor(amount), "authorised");
    for (const amount of [879, 660]) assert.equal(settledFor(amount), "captured");
  });

  it("counts as before basil where the balance transaction cannot be read, and is reported with what is at stake", () => {
    for (const balance of [null, "txn_1", aBalance(22_000, "eur", null)]) {
      const charge = aPartialCapture({ amount_refunded: 1375, balance_transaction: balance });
      const { basis, netMinor } = explainCharge(charge, "usd");
      assert.deepEqual([basis, netMinor], ["undecided", 19_300]);
      assert.deepEqual(bridgeOf(booksOf({ charges: [charge] }))["undecided"], [1, 375]);
    }
  });
});

describe("a balance transaction", () => {
  const part = { amount: 20_675, amount_captured: 20_300, amount_refunded: 375, refunded: false };
  const inEuro = { currency: "eur" };
  const gone = { ...inEuro, amount_refunded: 1000, refunded: true };
  const CHARGES: readonly (readonly [kind: string, charge: Partial<stripe.StripeCharge>, isNeeded: boolean])[] = [
    ["partly refunded", { amount_refunded: 50 }, false],
    ["captured in part, the released part booked as a refund", part, true],
    ["the same of a guest", { ...part, customer: null }, true],
    ["captured in part, nothing refunded", { ...part, amount_refunded: 0 }, false],
    ["captured in part, then all refunded", { ...part, refunded: true }, false],
    ["in another currency", inEuro, true],
    ["in another currency, of a guest", { ...inEuro, customer: null }, false],
    ["in another currency, then all refunded: part of a rate", gone, true],
    ["in another currency, failed", { ...inEuro, status: "failed", captured: false }, false],
    ["in another currency, without one", { ...inEuro, balance_transaction: null }, false],
  ];
  for (const [kind, overrides, isNeeded] of CHARGES)
    it(`of a charge ${kind} is ${isNeeded ? "asked for" : "left alone"}`, async (t) => {
      const charge = stripe.aCharge({ customer: "cus_1", balance_transaction: "txn_1", ...overrides });
      const balanceTransactions = [stripe.aBalanceTransaction({ id: "txn_1" })];

      const log = await askedOf(t, { charges: [charge], balanceTransactions });

      const isAsked = log.some(({ query }) => String(query).includes("balance_transaction"));
      assert.equal(isAsked, isNeeded);
    });
});

describe("lifetime revenue", () => {
  it("is the sum of the nets, from the earliest to the latest charge that counts", () => {
    const ledger = ledgerOfOne({
      charges: [
        aCharge({ created: CREATED + 3, amount: 500 }),
        aCharge({ created: CREATED + 2, amount: 700, amount_refunded: 100 }),
        aCharge({ created: CREATED + 9, amount: 900, refunded: true, amount_refunded: 900 }), // counts no more
        aCharge({ created: CREATED + 1, amount: 900, status: "failed", captured: false }),
      ],
    });
    assert.equal(ledger.totalMinor, 1100);
    assert.deepEqual([ledger.firstChargeUnix, ledger.lastChargeUnix], [CREATED + 2, CREATED + 3]);
    assert.equal(ledger.charges, 4);
  });

  it("that leaves the exact whole numbers stops instead of losing a unit", () => {
    const charge = aCharge({ amount: Number.MAX_SAFE_INTEGER });
    assert.throws(() => booksOf({ charges: [charge, charge] }), /too large to be exact/);
  });
});

describe("spend by product", () => {
  it("is what was collected, in proportion to the positive lines, before refunds and whatever the discounts", () => {
    const lines = [aLine(7000), aLine(3000, "prod_team"), aLine(-2000, "prod_team"), aLine(0)];
    const invoice = anInvoice(lines, { amount_paid: 8000 });
    const refunded = aCharge({ amount: 8000, amount_refunded: 8000, refunded: true });
    assert.deepEqual(spendOf({ invoices: [invoice] }), { spend_pro: 5600, spend_team: 2400 });
    assert.deepEqual(spendOf({ invoices: [invoice], charges: [refunded] }), { spend_pro: 5600, spend_team: 2400 });
  });

  it("is not split by line where lines are missing: the whole falls into spend_other, and says why", () => {
    const cut = anInvoice([aLine(100)], { lines: { data: [aLine(100)], has_more: true }, amount_paid: 900 });
    assert.deepEqual(
      booksOf({ invoices: [cut] }).fallback,
      new Map([["invoices of more than ten lines, not read", 900]]),
    );
  });

  it("counts the invoices of more than ten lines, read or not", () => {
    const lines = (count: number, has_more: boolean) => ({ data: Array<Line>(count).fill(aLine(1)), has_more });
    const invoices = [lines(10, false), lines(11, false), lines(10, true)].map((all) => anInvoice([], { lines: all }));
    assert.equal(booksOf({ invoices }).counts.longInvoices, 2);
  });

  it("leaves out what was paid outside Stripe", () => {
    const paid = (amount: number, outside: number | null) =>
      anInvoice([aLine(10_000)], { amount_paid: amount, amount_paid_off_stripe: outside });
    const collected = (invoice: Invoice) => explainInvoice(booksOf({}), invoice).collectedMinor;
    const invoices = [paid(9000, null), paid(9000, 4000), paid(9000, 9000), paid(0, 50)];
    assert.deepEqual(invoices.map(collected), [9000, 5000, 0, 0]);
    assert.deepEqual(spendOf({ invoices: [paid(9000, 4000)] }), { spend_pro: 5000 });
    assert.deepEqual(bridgeOf(booksOf({ invoices: [paid(9000, 4000), paid(70, 70)] }))["paidOutside"], [2, 4070]);
  });

  it("knows a product by pricing, else by the older price, else by nothing", () => {
    const both = { ...aLine(100, "prod_team"), price: { product: "prod_pro" } };
    const older = { ...aLine(100, null), price: { product: "prod_pro" } };
    const bare = { ...aLine(100, null), pricing: { price_details: null }, price: { product: null } };
    const spend = spendOf({ invoices: [anInvoice([both, older, bare])] });
    assert.deepEqual(spend, { spend_team: 100, spend_pro: 100, spend_other: 100 });
  });

  it("falls into spend_other where nothing maps it, and says why", () => {
    const invoices = [
      anInvoice([aLine(100, "prod_new"), aLine(200, "__proto__"), aLine(300, null)]),
      anInvoice([aLine(-50), aLine(0)], { amount_paid: 400 }),
      anInvoice([], { amount_paid: 500 }),
    ];
    const books = booksOf({ invoices });
    assert.deepEqual(Object.fromEntries(ledgerOf(books, "cus_1").spend), { spend_other: 1500 });
    assert.deepEqual(Object.fromEntries(books.fallback), {
      prod_new: 100,
      ["__proto__"]: 200,
      "invoice lines without a product": 300,
      "invoices without a positive line": 900,
    });
  });

  it("waits for the next run where an invoice is paid at or after T0", () => {
    const paidAt = (unix: number | null) => anInvoice([aLine(100)], { status_transitions: { paid_at: unix } });
    const books = booksOf({ invoices: [paidAt(T0 - 1), paidAt(T0), paidAt(T0 + 1), paidAt(null)] });
    assert.equal(ledgerOf(books, "cus_1").spend.get("spend_pro"), 200);
    assert.deepEqual([books.counts.invoices, books.counts.paidLater], [2, 2]);
  });
});

describe("another currency", () => {
  const inEuro = (overrides: Partial<Charge> = {}) =>
    aCharge({ currency: "eur", balance_transaction: aBalance(11_000, "usd", 1.1), ...overrides });

  it("counts at what Stripe settled, in proportion to the net, half rounded up", () => {
    assert.equal(ledgerOfOne({ charges: [inEuro()] }).totalMinor, 11_000);
    assert.equal(ledgerOfOne({ charges: [inEuro({ amount_refunded: 2500 })] }).totalMinor, 8250);
    const odd = inEuro({ amount: 2, amount_refunded: 1, balance_transaction: aBalance(3, "usd", 1.5) });
    assert.equal(explainCharge(odd, "usd").countedMinor, 2);
  });

  it("settles the authorised amount of a capture before basil, else what was captured", () => {
    const part = { amount: 10_000, amount_captured: 8000 };
    const before = inEuro({ ...part, amount_refunded: 2000, balance_transaction: aBalance(11_000, "usd", 1.1) });
    const since = inEuro({ ...part, amount_refunded: 2000, balance_transaction: aBalance(8800, "usd", 1.1) });
    const valueOf = (charge: Charge) => {
      const { countedMinor, rate } = explainCharge(charge, "usd");
      return [countedMinor, rate?.settledMinor, rate?.ofMinor];
    };
    assert.deepEqual(valueOf(before), [8800, 11_000, 10_000]);
    assert.deepEqual(valueOf(since), [6600, 8800, 8000]);
  });

  it("is set aside where Stripe settled it in yet another, or nobody can read in which", () => {
    for (const balance of [aBalance(9000, "gbp", 0.9), null, "txn_1"]) {
      const books = booksOf({ charges: [inEuro({ balance_transaction: balance, amount_refunded: 1000 }), aCharge()] });
      assert.equal(ledgerOf(books, "cus_1").totalMinor, 10_000);
      assert.deepEqual(bridgeOf(books, "eur"), { captured: [1, 10_000], refunded: [1, 1000], setAside: [1, 9000] });
    }
  });

  it("of a customer with several charges converts invoices at the rate of their sums, then splits", () => {
    const charges = [
      inEuro({ amount: 1000, balance_transaction: aBalance(1101, "usd", 1.1) }),
      inEuro({ amount: 3000, balance_transaction: aBalance(3000, "usd", 1) }),
      inEuro({ amount: 3000, customer: "cus_2", balance_transaction: aBalance(9000, "usd", 3) }), // another's rate
    ];
    const invoice = anInvoice([aLine(1000), aLine(1000, "prod_team")], { currency: "eur", amount_paid: 2001 });
    const books = booksOf({ charges, invoices: [invoice] });
    // 2001 × 4101 / 4000 = 2051.5…, then halved: the unit left over goes to the earlier line
    assert.equal(explainInvoice(books, invoice).convertedMinor, 2052);
    assert.deepEqual(Object.fromEntries(ledgerOf(books, "cus_1").spend), { spend_pro: 1026, spend_team: 1026 });
  });

  it("has the same columns after a refund of one charge, or of all: they are before refunds", () => {
    const gone = { refunded: true, amount_refunded: 10_000 };
    const worth = (...refunds: readonly Partial<Charge>[]) =>
      spendOf({
        charges: [
          inEuro({ balance_transaction: aBalance(11_000, "usd", 1.1), ...refunds[0] }),
          inEuro({ balance_transaction: aBalance(12_000, "usd", 1.2), ...refunds[1] }),
        ],
        invoices: [1, 2].map(() => anInvoice([aLine(10_000)], { currency: "eur" })),
      });
    for (const refunds of [[], [gone], [{}, gone], [gone, gone]])
      assert.deepEqual(worth(...refunds), { spend_pro: 23_000 });
  });

  it("of an invoice whose customer has no captured charge in it, or one set aside, is not included either", () => {
    const inDinar = (balance: Charge["balance_transaction"]) =>
      aCharge({ currency: "kwd", amount: 462_590, balance_transaction: balance });
    const invoice = anInvoice([aLine(462_590)], { currency: "kwd" });
    const settled = inDinar(aBalance(147_948, "usd", 0.32));
    for (const charges of [[], [aCharge()], [inDinar(aBalance(1, "gbp", 0.3)), settled], [inDinar(null), settled]]) {
      const books = booksOf({ charges, invoices: [invoice] });
      assert.deepEqual(bridgeOf(books, "kwd")["noRate"], [1, 462_590]);
      assert.equal(books.ledgers.get("cus_1")?.spend.size ?? 0, 0);
    }
    assert.deepEqual(spendOf({ charges: [settled], invoices: [invoice] }), { spend_pro: 147_948 });
    const nobodys = booksOf({ invoices: [{ ...invoice, customer: null }] });
    assert.deepEqual(bridgeOf(nobodys, "kwd"), { noRate: [1, 462_590] });
  });
});

describe("the CURRENCY that is advised", () => {
  type Paid = readonly [count: number, amount: number, currency: string, settledIn: string, rate?: number];

  /** What a first run advises to whom so many customers have paid so much each; where to set it, it writes nothing. */
  async function advised(t: TestContext, paid: readonly Paid[]): Promise<string> {
    const account = emptyAccount();
    for (const [count, amount, currency, settledIn, rate = 1] of paid)
      for (let n = 0; n < count; n += 1) {
        const [id, customer] = [`txn_${account.charges.length}`, `cus_${account.charges.length}`];
        account.charges.push(stripe.aCharge({ amount, currency, customer, balance_transaction: id }));
        const settled = { amount: amount * rate, currency: settledIn, exchange_rate: rate };
        account.balanceTransactions.push(stripe.aBalanceTransaction({ id, ...settled }));
      }
    const world = await aNewWorld(t, { account, env: { CURRENCY: "usd" } });
    const { code, err } = await world.run("sync");
    const [advice = "nothing"] = /(?<=than in usd\. )Set CURRENCY=\w+|would count with CURRENCY=\w+/.exec(err) ?? [];
    const isStopped = advice.startsWith("Set");
    assert.deepEqual([code, writesOf(world.attio).length > 0], isStopped ? [1, false] : [0, true]);
    return advice;
  }

  const homeAtHalf = [1, 100_000, "usd", "gbp", 0.5] as const;
  const CASES: readonly (readonly [why: string, paid: readonly Paid[], advice: string])[] = [
    ["where nothing is left out", [[3, 100, "usd", "usd"]], "nothing"],
    ["by the number of charges", [[1, 999, "usd", "usd"], [3, 1, "gbp", "gbp"], [2, 9, "eur", "eur"]], "Set CURRENCY=gbp"],
    ["by the alphabet where two are as many", [[2, 1, "gbp", "gbp"], [2, 1, "eur", "eur"]], "Set CURRENCY=eur"],
    ["by what charges are settled in", [[2, 100, "eur", "gbp", 0.9]], "Set CURRENCY=gbp"],
    ["for 499.90 beside 500.00", [homeAtHalf, [10, 4999, "eur", "gbp"]], "would count with CURRENCY=gbp"],
    ["for 500.10 beside 500.00", [homeAtHalf, [10, 5001, "eur", "gbp"]], "Set CURRENCY=gbp"],
    ["by number without a rate, 5 to 5", [[5, 100, "usd", "usd"], [5, 900, "eur", "eur"]], "would count with CURRENCY=eur"],
    ["by number with a rate for one only", [homeAtHalf, [1, 9, "eur", "gbp"], [1, 9, "chf", "chf"]], "would count with CURRENCY=chf"],
    ["by one currency, not by all others together", [[4, 100, "usd", "usd"], [3, 100, "eur", "eur"], [3, 100, "gbp", "gbp"]], "would count with CURRENCY=eur"],
    ["by number without a rate, 6 to 5", [[5, 900, "usd", "usd"], [6, 100, "eur", "eur"]], "Set CURRENCY=eur"],
  ]; // prettier-ignore
  for (const [why, paid, advice] of CASES)
    it(`${why} is: ${advice}`, async (t) => assert.equal(await advised(t, paid), advice));
});

describe("money that came some other way", () => {
  it("is what a customer's paid invoices collected beyond all charges captured, refunds or not, by currency", () => {
    const charges = [aCharge({ amount_refunded: 10_000, refunded: true }), aCharge({ customer: "cus_2" })];
    const invoices = [
      anInvoice([aLine(10_000)]),
      anInvoice([aLine(5_000_000)]), // a wire
      anInvoice([aLine(10_000)], { customer: "cus_2" }),
      anInvoice([aLine(700)], { customer: "cus_2", currency: "eur" }),
      anInvoice([aLine(400)], { customer: null }),
    ];
    const books = booksOf({ charges, invoices });
    assert.deepEqual(bridgeOf(books)["beyondCharges"], [1, 5_000_000]);
    assert.deepEqual(bridgeOf(books, "eur")["beyondCharges"], [1, 700]);
    assert.deepEqual(bridgeOf(booksOf({ charges }))["beyondCharges"], undefined);
  });
});

describe("the subscription status", () => {
  const statusFrom = (...subscriptions: Account["subscriptions"]) =>
    planOf({ charges: [aCharge()], subscriptions }).changes[0]?.values.get("subscription_status");
  const ended = (endedAt: number | null, reason: string | null) =>
    aSubscription("canceled", { ended_at: endedAt, cancellation_details: { reason } });
  const BEST_FIRST = [
    ["active", "Active"],
    ["trialing", "Active"],
    ["past_due", "Past Due"],
    ["unpaid", "Past Due"],
    ["paused", "Paused"],
    ["canceled", "Canceled (Voluntary)"],
    ["incomplete", "No Subscription"],
    ["incomplete_expired", "No Subscription"],
    ["invented_tomorrow", "No Subscription"],
  ] as const;

  for (const [at, [status, label]] of BEST_FIRST.entries())
    it(`${status} is ${label}, and yields to what is better`, () => {
      assert.equal(statusFrom(aSubscription(status)), label);
      for (const [better, itsLabel] of BEST_FIRST.slice(0, at)) {
        assert.equal(statusFrom(aSubscription(status), aSubscription(better)), itsLabel);
        assert.equal(statusFrom(aSubscription(better), aSubscription(status)), itsLabel);
      }
    });

  it("of canceled ones is decided by the reason of the last to end, of two at once the voluntary one", () => {
    for (const reason of ["payment_failed", "payment_disputed"])
      assert.equal(statusFrom(ended(5, reason)), "Canceled (Involuntary)");
    for (const reason of ["cancellation_requested", "canceled_by_retention_policy", null])
      assert.equal(statusFrom(ended(5, reason)), "Canceled (Voluntary)");
    assert.equal(statusFrom(ended(9, "payment_failed"), ended(5, null)), "Canceled (Involuntary)");
    assert.equal(statusFrom(ended(null, null), ended(1, "payment_failed")), "Canceled (Involuntary)");
    for (const voluntaryEnd of [9, 5]) {
      const [failed, voluntary] = [ended(5, "payment_failed"), ended(voluntaryEnd, null)];
      assert.equal(statusFrom(failed, voluntary), "Canceled (Voluntary)");
      assert.equal(statusFrom(voluntary, failed), "Canceled (Voluntary)");
    }
  });

  it("is No Subscription without any, and nobody gets another's", () => {
    assert.equal(statusFrom(), "No Subscription");
    assert.equal(statusFrom(aSubscription("active", { customer: "cus_2" })), "No Subscription");
  });
});

describe("the books", () => {
  it("do not depend on the order of charges, invoices and subscriptions", () => {
    const twice = randomAccount().chain((account) => fc.tuple(fc.constant(account), reordered(account)));
    const sums = (account: Account) => [...leavesOf(booksOf(account))].filter(([path]) => !path.startsWith("/running"));
    holds(twice, ([account, other]) => assert.deepEqual(sums(other), sums(account)));
  });

  it("of two halves of an account add up to those of the whole", () => {
    const halved = fc.record({ account: randomAccount([]), at: fc.nat(8) });
    const isSum = (path: string): boolean =>
      !/Unix$|standings|^\/currency|productSlugs|customerId$|t0|beyondCharges|isPartly/.test(path);
    holds(halved, ({ account: { charges, invoices }, at }) => {
      const sums = new Map<string, number>();
      for (const half of [
        { charges: charges.slice(0, at), invoices: invoices.slice(0, at) },
        { charges: charges.slice(at), invoices: invoices.slice(at) },
      ])
        for (const [path, value] of leavesOf(booksOf(half)))
          if (isSum(path)) sums.set(path, (sums.get(path) ?? 0) + Number(value));
      const whole = [...leavesOf(booksOf({ charges, invoices }))].filter(([path]) => isSum(path));
      assert.deepEqual(new Map([...sums].toSorted(([a], [b]) => (a < b ? -1 : 1))), new Map(whole));
    });
  });

  it("equal an independent computation, term by term", () => {
    holds(randomAccount(), (account) => {
      const books = booksOf(account);
      const totals = expectedTotals(oracleInputOf(account));
      const total = [...books.ledgers.values()].reduce((sum, ledger) => sum + ledger.totalMinor, 0);
      assert.equal(BigInt(total), totals.total);
      for (const [currency, { settled, ...tallies }] of totals.byCurrency) {
        const found = bridgeOf(books, currency);
        for (const [kind, { count, amount }] of Object.entries(tallies))
          assert.deepEqual(found[kind] ?? [0, 0], [count, Number(amount)], `${currency} ${kind}`);
        assert.equal(BigInt(books.bridge.get(currency)?.countedAs.amount ?? 0), settled, currency);
      }
    });
  });
});

describe("the bridge", () => {
  const EVERYTHING: Partial<Account> = {
    charges: [
      aCharge({ amount_refunded: 1000 }),
      aCharge({ customer: "cus_2" }),
      aCharge({ customer: null, amount: 700, amount_refunded: 200 }),
      aCharge({ currency: "eur", balance_transaction: aBalance(11_000, "usd", 1.1) }),
      aCharge({ currency: "eur", amount: 300, balance_transaction: aBalance(300, "gbp", 1) }),
    ],
  };

  it("does not close when a unit is missing in one of its terms, or one too many", () => {
    for (const currency of ["usd", "eur"])
      for (const term of ["captured", "refunded", "guests", "setAside", "counted"] as const)
        for (const by of [1, -1]) {
          const books = openBooksOf(EVERYTHING);
          const tally = books.bridge.get(currency)?.[term];
          Object.assign(tally ?? {}, { amount: (tally?.amount ?? 0) + by });
          const message = new RegExp(`the bridge does not close in ${currency}: a bug in sync\\.ts`);
          assert.throws(() => closeBooks(books), message, `${term} ${currency} ${by}`);
        }
  });

  it("does not close when a ledger holds another amount than its charges, or is lost", () => {
    const changed = openBooksOf(EVERYTHING);
    Object.assign(ledgerOf(changed, "cus_2"), { totalMinor: 9999 });
    const lost = openBooksOf(EVERYTHING);
    lost.ledgers.delete("cus_2");
    for (const books of [changed, lost]) assert.throws(() => closeBooks(books), /between charges and ledgers/);
  });
});
