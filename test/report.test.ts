// report.test.ts - what a log and a step summary say, and what they may never say.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it, test } from "node:test";
import { VERSION, oneLine, planChanges, reportOf, runProgram, stepSummary } from "../sync.ts";
import type { Environment, Findings, Log, Row } from "../sync.ts";
import { payers as payersIn } from "./ground.ts";
import { aBalance, aCharge, aCustomer, aLine, aMonthly, aPartialCapture, anInvoice, payers } from "./samples.ts";
import { findingsOf, recordsAfter } from "./samples.ts";
import type { Scene } from "./samples.ts";
import { aSummaryFile, aWorld, runIn } from "./world.ts";

/** Something of everything that a report can mention. */
const EVERYTHING: Scene = {
  charges: [
    aCharge({ amount: 1_234_567, amount_refunded: 1111, disputed: true }),
    aCharge({ customer: "cus_2", amount: 765_432, disputed: true }),
    aCharge({ customer: null, amount: 4321 }),
    aCharge({ currency: "eur", amount: 87_654, balance_transaction: aBalance(98_765, "usd", 1.1) }),
    aCharge({ currency: "eur", amount: 65_432, balance_transaction: aBalance(54_321, "gbp", 0.9) }),
    aPartialCapture({ balance_transaction: null }),
    aCharge({ captured: false, amount: 1357 }),
    aCharge({ status: "pending", amount: 2468 }),
    aCharge({ status: "failed", amount: 3579, captured: false }),
  ],
  invoices: [
    anInvoice([aLine(345_678), aLine(23_456, "prod_new"), aLine(5678, null)], { amount_paid_off_stripe: 4567 }),
    anInvoice([], { amount_paid: 7890 }),
    anInvoice([aLine(6789)], { currency: "eur", customer: "cus_9" }),
    anInvoice([aLine(3456)], { customer: "cus_9" }),
  ],
  subscriptions: [
    aMonthly(4900, { discounts: ["half"] }),
    aMonthly(1200, { cancel_at: 2_000_000_000 }),
    aMonthly(700, { pause_collection: { behavior: "void" } }),
    aMonthly(300, { status: "trialing" }),
    aMonthly(null, { customer: "cus_2" }),
    aMonthly(2300, { customer: "cus_9" }),
  ],
  customers: [aCustomer(), aCustomer({ id: "cus_2", name: "Bob", email: "bob@example.com" })],
};

const NAMES = { productNames: new Map([["prod_new", "New plan"]]) };
type Report = ReturnType<typeof reportOf>;

function told(scene: Scene, overrides: Partial<Findings> = {}): Report {
  const findings = findingsOf(scene, overrides);
  return reportOf(findings, planChanges(findings));
}

/** What a program prints that does this with its log. */
async function printedBy(env: Environment, act: (log: Log) => void): Promise<string> {
  const usage = { flags: [], requires: [], help: "" };
  const { all } = await runIn((io) => runProgram(io, usage, async (_, log) => (act(log), 0)), { env });
  return all;
}

function textOf({ headline, sections, changes, warnings }: Report): Promise<string> {
  const tell = (log: Log): void => {
    log.tell({ title: headline, rows: [] }, ...sections, changes);
    warnings.forEach(log.warn);
  };
  return printedBy({}, tell);
}

function summaryOf({ headline, sections }: Report, problems: Log["problems"] = []): string {
  return stepSummary(problems, { heading: "Stripe to Attio", lines: [`**${headline}**`], sections });
}

/** Everything a run would print of its findings, as a person reads it. */
async function everyText(report: Report): Promise<string> {
  const summary = summaryOf(report).replace(/&#(\d+);/g, (_, code: string) => String.fromCodePoint(Number(code)));
  return `${await textOf(report)}\n${summary}`;
}

function rowsOf({ sections }: Report, title: string): readonly Row[] {
  return sections.find((section) => section.title.startsWith(title))?.rows ?? [];
}

/** A row on one line: label | count | amount | remark. */
function inShort({ label, count, amount = "", remark = "" }: Row): string {
  return [label, count ?? "", amount, remark].join(" | ").replace(/[ |]+$/, "");
}

/** The lines that GitHub's runner would take for a command: `::` at the start, spaces aside, or `##[` anywhere. */
function commandsIn(printed: string): string[] {
  return printed.split(/\r?\n|\r/).filter((line) => /^\s*::|##\[/.test(line));
}

describe("the first line, and the last but one", () => {
  const before: Scene = { charges: payers(3, 1000) };
  const records = recordsAfter(before);
  const more = [...payers(4, 1000), aCharge({ customer: "cus_1", amount: 250 })];
  const less = [...payers(2, 1000), aCharge({ customer: "cus_2", refunded: true })];
  const LINES: readonly (readonly [does: string, scene: Scene, line: string])[] = [
    ["the total, of how many, and more than the CRM held", { charges: more, records }, "total revenue 42.50 usd of 4 customers, +12.50 since the last run"],
    ["less than the CRM held", { charges: less, records }, "total revenue 20.00 usd of 2 customers, -10.00 since the last run"],
    ["as much as the CRM held", { ...before, records }, "total revenue 30.00 usd of 3 customers, 0.00 since the last run"],
    ["that there was no record before a first run", before, "total revenue 30.00 usd of 3 customers, no record before"],
    ["without amounts the customers only", { ...before, env: { SHOW_AMOUNTS: "0" } }, "total revenue of 3 customers"],
  ]; // prettier-ignore
  for (const [does, scene, line] of LINES) it(`says ${does}`, () => assert.equal(told(scene).headline, line));

  test("are printed by a run; the very last has one exact shape, and a summary says that the run was a dry one", async (t) => {
    const file = aSummaryFile(t);
    const world = await aWorld(t, { account: payersIn(2), hasPeople: false, env: { GITHUB_STEP_SUMMARY: file } });

    const { out } = await world.run("sync", ["--dry-run", "--update-only"]);

    const headline = "total revenue 30.00 usd of 2 customers, no record before";
    const used = String.raw`\d+\.\d s, stripe \d+ requests, attio \d+ requests, 0 retries`;
    const notes = "2 left out by --update-only, dry run: nothing was written";
    const last = `done: created=0 updated=0 refreshed=0 unchanged=0 failed=0 \\(${used}, ${notes}\\)`;
    assert.match(out, new RegExp(`, version ${VERSION}\n\n${headline}\n\nRead\n[^]+\n${headline}\n${last}\n$`));
    const head = `^## Stripe to Attio, dry run\n\n\\*\\*${headline}\\*\\*\n\n\`${last}\`\n\n> `;
    assert.match(readFileSync(file, "utf8"), new RegExp(head));
  });
});

describe("SHOW_AMOUNTS=0", () => {
  const yen = {
    charges: [aCharge({ amount: 1_234_567, currency: "jpy" }), aCharge({ amount: 765_432, currency: "krw" })],
    invoices: [anInvoice([aLine(345_678, "prod_new")], { currency: "jpy" })],
    currency: "jpy",
  };
  const TOLD: readonly (readonly [what: string, scene: Scene, shown: RegExp, hidden: RegExp])[] = [
    ["no share and no picture", EVERYTHING, /\d\.\d\d usd[^]*█/, /\d[.,]\d|\d (usd|eur)|% of revenue|█/],
    ["none without decimals, which looks like a count", yen, /1234567/, /\d{4}/],
  ];
  for (const [what, scene, shown, hidden] of TOLD)
    it(`leaves no amount anywhere: ${what}`, async () => {
      assert.match(await everyText(told(scene)), shown);
      for (const env of [{ SHOW_AMOUNTS: "0" }, { SHOW_AMOUNTS: "false", CI: "true" }]) {
        const text = await everyText(told({ ...scene, env }));
        assert.doesNotMatch(text.replace(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z/g, ""), hidden);
        assert.match(text, /prod_new/);
      }
    });

  test("asks for no product's name, else for those of the 20 that are shown", async (t) => {
    const world = await aWorld(t, { account: payersIn(30, (n) => ({ product: `prod_${n}` })), hasPeople: false });
    const asked: string[] = [];
    for (const SHOW_AMOUNTS of ["0", "1"]) {
      Object.assign(world.env, { SHOW_AMOUNTS });
      await world.run("sync", ["--dry-run"]);
      const queries = world.stripe.log.map(({ path, query }) => (path === "/v1/products" ? String(query) : ""));
      asked.push((queries.join().match(/prod_\d+/g) ?? []).join());
    }
    assert.deepEqual(asked, ["", Array.from({ length: 20 }, (_, n) => `prod_${29 - n}`).join()]);
  });
});

describe("where others may read the log", () => {
  const before = { ...EVERYTHING, charges: [aCharge({ amount: 500_000 })], subscriptions: [] };
  const scene = { ...EVERYTHING, records: recordsAfter(before) };

  it("no ids stand in what changes, nor the amount of one customer", () => {
    const byHand = ["new payers | 1 | +7654.32 | cus_2", "paid more | 1 | +8525.21 | cus_1", "changes of status | 1 |  | 1 Active; cus_1"]; // prettier-ignore
    const inCi = ["new payers | 1", "paid more | 1", "changes of status | 1 |  | 1 Active"];
    const rowsWith = (CI: string) => rowsOf(told({ ...scene, env: { CI } }), "What changes").map(inShort);
    for (const CI of ["", "0", "false"]) assert.deepEqual(rowsWith(CI), byHand);
    for (const CI of ["true", "1", "woodpecker"]) assert.deepEqual(rowsWith(CI), inCi);
  });

  it("no amount stands beside a count of one, nor in a dry run's changes", () => {
    const amountsWith = (CI: string) =>
      [scene, { charges: [aCharge()] }].flatMap((one) => {
        const { sections, changes } = told({ ...one, env: { CI } });
        const ones = sections.flatMap(({ rows }) => rows.filter(({ count }) => count === 1));
        return [...ones, ...changes.rows].flatMap(({ amount }) => amount || []);
      });
    const byHand = amountsWith("");
    for (const amount of ["11.11 usd", "100.0 % of revenue", "none -> 7654.32"]) assert.ok(byHand.includes(amount));
    assert.deepEqual(amountsWith("true"), []);
  });

  it("no name and no address stands anywhere", async () => {
    for (const CI of ["", "true"])
      assert.doesNotMatch(await everyText(told({ ...scene, env: { CI } })), /Ada|Bob|@example/);
  });
});

describe("the report", () => {
  const everything = told(EVERYTHING, NAMES);
  const verbose = told({ ...EVERYTHING, args: ["--verbose"] });
  const bars = (row: Row) => inShort(row).replace(/█+|░+/, (bar) => `${bar[0]}${bar.length}`);
  const SECTIONS: readonly (readonly [does: string, title: string, rows: readonly string[]])[] = [
    ["has each term of the bridge with count, amount and why", "Charges in usd", [
      "captured | 4 | 20246.20 usd",
      "- refunded | 1 | 11.11 usd",
      "- guests | 1 | 43.21 usd | charges without a customer",
      "= counted | 3 | 20191.88 usd | net of refunds, before Stripe's fees",
      "· uncaptured | 1 | 13.57 usd | in no sum",
      "· pending | 1 | 24.68 usd | in no sum until they succeed",
      "· failed | 1 | 35.79 usd | in no sum",
      "· disputed | 2 | 19999.99 usd | lost ones too: counted, never subtracted",
      "· undecided | 1 | 3.75 usd | captured in part: what an unreadable balance transaction decides",
      "· paid outside | 1 | 45.67 usd | invoices, in no sum",
      "· beyond charges | 1 | 34.56 usd | customers with more collected than captured",
    ]],
    ["has a line for each other currency", "Charges in other", [
      "eur | 2 | 987.65 usd | captured 1530.86 eur - not included 654.32 eur = counted 876.54 eur",
    ]],
    ["has the revenue by product with bars, adding up to the total", "Revenue by product", [
      "spend_pro |  | 3414.66 usd | █4",
      "spend_team |  | 0.00 usd",
      "spend_other |  | 366.69 usd | █1",
      "unallocated |  | 17398.18 usd | █20 paid without an invoice, less refunds",
      "= total revenue |  | 21179.53 usd",
      "· no record | 1 | 34.56 usd | paid invoices",
    ]],
    ["goes from list price to mrr, with what stands beside it", "What they pay now", [
      "list price |  | 91.00 usd",
      "- coupons |  | 24.50 usd",
      "- paused |  | 7.00 usd",
      "= mrr |  | 59.50 usd",
      "· scheduled to end | 1 | 12.00 usd",
      "· trials | 1 | 3.00 usd | at list price",
      "· cannot be told: tiered | 1 |  | customers",
      "· no record | 1 | 23.00 usd",
    ]],
    ["lists what fell into spend_other, the largest first, and how attributes are suggested for it", "In spend_other", [
      "prod_new |  | 231.70 usd | New plan",
      "invoices without a positive line |  | 78.90 usd",
      "invoice lines without a product |  | 56.09 usd",
      "suggest products: npm run bootstrap -- --suggest-products",
    ]],
  ]; // prettier-ignore
  for (const [does, title, rows] of SECTIONS)
    it(does, () => assert.deepEqual(rowsOf(everything, title).map(bars), rows));

  it("with --verbose has the terms of every currency", () => {
    const terms = ["captured", "- not included", "= counted", "= settled at", "· no rate", "· beyond charges"];
    assert.deepEqual(rowsOf(verbose, "Charges in eur").map(({ label }) => label), terms); // prettier-ignore
  });

  const negative = { charges: [aCharge({ refunded: true }), aCharge()], invoices: [anInvoice([aLine(20_000)])] };
  const charges = [5000, 1000, 4000].map((amount, at) => aCharge({ amount, customer: `cus_${at + 1}` }));
  const people = new Map([["ada@example.com", { recordId: "per_ada", companyId: undefined }]]);
  const LINES: readonly (readonly [does: string, report: Report, title: string, line: string])[] = [
    ["with --verbose says where the dashboard has the same figure", verbose, "Charges in usd", "· failed | 1 | 35.79 usd | in no sum; Payments › Failed"],
    ["has a bar of its own for what is below 0", told(negative), "Revenue by product", "unallocated |  | -100.00 usd | ░10 paid without an invoice, less refunds"],
    ["says so where no mapping names a column any more", told({}, { unmappedSlugs: ["spend_team"] }), "Revenue by product", "spend_team |  | 0.00 usd | no mapping names it any more"],
    ["is there for an account without anything, too", told({}), "Revenue by product", "= total revenue |  | 0.00 usd"],
    ["counts no reads a month within what Stripe gives for free", told({}, { stripeRequests: 333 }), "Read", ""],
    ["counts reads a month beyond that", told({}, { stripeRequests: 334 }), "Read", "reads a month | 10020 |  | 10000, or 500 a transaction, are free"],
    ["names payers without a person in order of revenue, with their share", told({ charges, people, customers: [aCustomer()] }), "Plan", "payers without a person | 2 | 50.0 % of revenue | cus_3, cus_2"],
  ]; // prettier-ignore
  for (const [does, report, title, line] of LINES)
    it(does, () => {
      const label = line.split(" | ")[0] || "reads a month";
      const row = rowsOf(report, title).find((one) => one.label === label);
      assert.equal(row === undefined ? "" : bars(row), line);
    });

  it("shows at most 20 products of spend_other", () => {
    const invoices = Array.from({ length: 30 }, (_, at) => anInvoice([aLine(100 + at, `prod_${at}`)]));
    const shown = rowsOf(told({ charges: [aCharge()], invoices }), "In spend_other").map(({ label }) => label);
    assert.deepEqual([shown[0], shown[19], shown[20]], ["prod_29", "prod_10", "and others"]);
  });

  it("says what changed by count and sum, the largest together, adding up to the difference", () => {
    const records = recordsAfter({ charges: payers(12, 1000) });
    const charges = [
      ...payers(14, 1000).filter(({ customer }) => customer !== "cus_0" && customer !== "cus_1"),
      ...[2, 3, 4, 5, 6, 7].map((n) => aCharge({ customer: `cus_${n}`, amount: 100 * n })),
      aCharge({ customer: "cus_0", refunded: true }),
      aCharge({ customer: "cus_1", amount: 1000, amount_refunded: 300 }),
    ];
    const report = told({ charges, records });
    assert.deepEqual(rowsOf(report, "What changes").map(inShort), [
      "new payers | 2 | +20.00 | cus_12, cus_13",
      "paid more | 6 | +27.00 | 3 largest: +18.00; cus_7, cus_6, cus_5 +3 more",
      "refunded | 2 | -13.00 | 1 to 0; cus_0, cus_1",
    ]);
    assert.match(report.headline, /\+34\.00 since/);
  });

  it("shows three ids, with --verbose 20, and at most 20 changes", () => {
    const scene = { charges: payers(23, 1000) };
    const idsIn = (report: Report) => rowsOf(report, "What changes")[0]?.remark?.replace(/^.*; /, "");
    assert.equal(idsIn(told(scene)), "cus_0, cus_1, cus_10 +20 more");
    assert.match(idsIn(told({ ...scene, args: ["--verbose"] })) ?? "", /^(cus_\d+, ){19}cus_\d+ \+3 more$/);
    const { title, rows } = told(scene).changes;
    assert.deepEqual([title, rows.length], ["Changes, largest first: 20 of 23", 20]);
    for (const { label } of rows) assert.match(label, /^create +cus_/);
  });

  it("has no line over 100 columns", async () => {
    const amount = 123_456_789_012;
    const charges = payers(40, amount).map((charge) => ({ ...charge, customer: `${charge.customer}_Sbx005YC4NKd` }));
    const invoices = [anInvoice([aLine(amount, `prod_${"x".repeat(20)}`)], { customer: "cus_1_Sbx005YC4NKd" })];
    const productNames = new Map([[`prod_${"x".repeat(20)}`, "A product with a name ".repeat(12)]]);
    const scene = { ...EVERYTHING, charges: [...(EVERYTHING.charges ?? []), ...charges], invoices };
    for (const report of [everything, verbose, told(scene, { productNames })])
      for (const line of (await textOf({ ...report, warnings: [] })).split("\n")) assert.ok(line.length <= 100, line);
  });
});

describe("warnings", () => {
  const guest = aCharge({ customer: null, amount: 500 });
  const abroad = [
    aCharge({ currency: "eur", amount: 500, balance_transaction: aBalance(400, "gbp", 0.8) }),
    aCharge({ currency: "gbp", amount: 900, balance_transaction: aBalance(900, "gbp") }),
    aCharge(),
  ];
  const noRate = [anInvoice([aLine(700)], { currency: "eur" })];
  const WARNINGS: readonly (readonly [does: string, scene: Scene, lines: readonly string[]])[] = [
    ["are none where nothing is to be warned of", { charges: [aCharge(), guest] }, []],
    ["name what is not included by count and currency, and the CURRENCY that would count most", { charges: abroad, invoices: noRate }, [
      "Not included: 2 charges (5.00 eur, 9.00 gbp), not settled in usd. Most of that would count with CURRENCY=gbp.",
      "Not included: 1 paid invoice (7.00 eur), as no charge of their customers tells a rate.",
    ]],
    ["name the currencies only where amounts are not to be shown", { charges: abroad, env: { SHOW_AMOUNTS: "0" } }, [
      "Not included: 2 charges (eur, gbp), not settled in usd. Most of that would count with CURRENCY=gbp.",
    ]],
    ["say that nobody gets a record where all charges are guests'", { charges: [guest, guest] }, [
      "Nobody gets a record: all 2 charges (10.00 usd) are without a customer. Let your checkout create customers.",
    ]],
  ]; // prettier-ignore
  for (const [does, scene, lines] of WARNINGS) it(does, () => assert.deepEqual(told(scene).warnings, lines));
});

describe("the step summary", () => {
  it("has the headline, then what changes, the picture, the plan, and the rest folded", () => {
    const summary = summaryOf(told({ ...EVERYTHING, args: ["--verbose"] }));
    assert.match(summary, /^## Stripe to Attio\n\n\*\*total revenue 21179\.53 usd of 2 .+\*\*\n\n### /);
    const titlesIn = (pattern: RegExp) => [...summary.matchAll(pattern)].map(([, title]) => title).join("; ");
    assert.equal(titlesIn(/^### (.+)/gm), "What changes; Revenue by product, in usd; Plan");
    const folded = "Read; Charges in usd; Charges in eur; What they pay now, a month, in usd; In spend&#95;other";
    assert.equal(titlesIn(/^<details><summary>(.+)<\/summary>/gm), folded);
    assert.ok(summary.includes("\n| = total revenue |  | 21179.53 usd |  |\n"), summary);
  });

  it("names problems before what changes, each in a quotation of its own lines", () => {
    const line = "2 things:\n  - <b>one</b>\n  - `two`";
    const summary = summaryOf(told(EVERYTHING), [{ kind: "error", line }]);
    assert.match(summary, /^## Stripe to Attio: needs attention\n/);
    const quoted = summary.split("\n").filter((text) => text.startsWith("> "));
    assert.deepEqual(quoted, ["> **error** 2 things&#58;  ", "> - &#60;b&#62;one&#60;/b&#62;  ", "> - &#96;two&#96;"]);
    assert.ok(summary.indexOf("> **error**") < summary.indexOf("### What changes"));
  });
});

describe("a product's name or id", () => {
  /** What Markdown makes of a summary: headings, tags, fences, quotations, and each table row's number of bars. */
  const structureOf = (summary: string): string[] =>
    summary
      .split("\n")
      .map((line) => /^\s*(#+|<[^>]*>|```\w*|>|[-+*] )/.exec(line)?.[1] ?? line.replace(/[^|]/g, ""))
      .filter(Boolean);
  const withProduct = (id: string, name: string): Report => {
    const scene: Scene = { charges: [aCharge()], invoices: [anInvoice([aLine(6000, id)])] };
    return told(scene, { productNames: new Map(name === "" ? [] : [[id, oneLine(name)]]) });
  };
  // prettier-ignore
  const HOSTILE = [
    "a|b||c", "`code` ```", "<script>alert(1)</script><img src=x>", "[link](https://evil.example) ![i](x)", "&lt;b&gt;",
    "line\r\n## heading\n\n| x |", "@everyone #1 ~~x~~ **b** _i_", "p\u001b[31m\u0007\u009b2J\u202e\u2028q",
    "::error::x", "::stop-commands::x", "%0A::error::x", "a\n::error::x", "##[error]x", "b ##[add-mask]1",
  ];
  for (const text of HOSTILE)
    it(`is no Markdown, HTML or command, and steers no terminal: ${JSON.stringify(text)}`, async () => {
      for (const [id, name] of [["prod_1", text], [text, "Pro"], [text, ""]] as const) {
        const report = withProduct(id, name);
        const [summary, printed] = [summaryOf(report), await textOf(report)];
        assert.deepEqual(structureOf(summary), structureOf(summaryOf(withProduct("prod_1", name && "Pro"))));
        const rows = summary.split("\n").filter((line) => line.startsWith("|") && line.includes("60.00"));
        for (const row of rows) assert.doesNotMatch(row, /[<>`*_[\]~@]|&(?!#\d+;)/);
        assert.match(printed, /60\.00 usd/);
        assert.deepEqual(commandsIn(printed), []);
        assert.doesNotMatch(summary + printed, /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2028\u2029]/);
      } // prettier-ignore
    });
});

describe("the log in GitHub Actions", () => {
  const GITHUB_ACTIONS = "true";

  it("marks a problem as an annotation, on one line and with its percent signs escaped", async () => {
    const fail = (log: Log): void => (log.error("20 % less\r\nin cus_1"), log.warn("slow"));
    assert.deepEqual(commandsIn(await printedBy({ GITHUB_ACTIONS }, fail)), [
      "::error title=stripe-attio-sync::20 %25 less%0D%0Ain cus_1",
      "::warning title=stripe-attio-sync::slow",
    ]);
    assert.equal(await printedBy({}, fail), "20 % less\r\nin cus_1\nslow\n");
  });

  it("never shows a key", async () => {
    const keys = { STRIPE_API_KEY: "rk_live_hush", ATTIO_API_KEY: "hush_attio" };
    let kept = "";
    const printed = await printedBy({ ...keys, GITHUB_ACTIONS }, (log) => {
      for (const key of Object.values(keys)) {
        [log.line, log.note, log.warn, log.error].forEach((print) => print(`fetch of ${key} failed`));
        log.tell({ title: key, rows: [{ label: key }] });
      }
      kept = JSON.stringify(log.problems);
    });
    assert.doesNotMatch(printed + kept, /hush/);
    assert.deepEqual([printed, kept].map((text) => text.split("(secret)").length - 1), [16, 4]); // prettier-ignore
  });
});
