// report.test.ts - what a log and a step summary say, and what they may never say.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  changeSection,
  clean,
  headlineOf,
  logLines,
  minor,
  planChanges,
  productsToName,
  reportSections,
  stepSummary,
  summaryLine,
  toldOf,
  warningsOf,
} from "../sync.ts";
import type { Environment, Findings, Log, Row } from "../sync.ts";
import {
  SPEND_SLUGS,
  aBalance,
  aCharge,
  aCustomer,
  aLine,
  aLog,
  aMonthly,
  aPartialCapture,
  anInvoice,
  findingsOf,
  holds,
  payers,
  planOf,
  randomAccount,
  recordsAfter,
  rowsOf,
} from "./samples.ts";
import type { Scene } from "./samples.ts";

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

function reportOf(findings: Findings): string {
  return logLines(reportSections(findings, planChanges(findings))).join("\n");
}

function changesOf(findings: Findings): string[] {
  return logLines([changeSection(findings, planChanges(findings))]);
}

function summaryOf(findings: Findings, problems: Log["problems"] = []): string {
  return stepSummary(problems, toldOf(findings, planChanges(findings), "done: created=2"));
}

/** Everything a run would print of its findings, as a person reads it. */
function everyText(findings: Findings): string {
  const plan = planChanges(findings);
  const texts = [headlineOf(findings, plan), reportOf(findings), ...changesOf(findings), ...warningsOf(findings)];
  const summary = summaryOf(findings).replace(/&#(\d+);/g, (_, code: string) => String.fromCodePoint(Number(code)));
  return [...texts, summary].join("\n");
}

function everythingWith(env: Environment, scene: Scene = EVERYTHING): string {
  return everyText(findingsOf({ ...scene, env }, { productNames: new Map([["prod_new", "New plan"]]) }));
}

/** A row on one line: label | count | amount | remark. */
function inShort({ label, count, amount = "", remark = "" }: Row): string {
  return [label, count ?? "", amount, remark].join(" | ").replace(/[ |]+$/, "");
}

function labelled(findings: Findings, title: string, label: string): string | undefined {
  const row = rowsOf(findings, title).find((candidate) => candidate.label === label);
  return row && inShort(row);
}

/** The lines that GitHub's runner would take for a command: `::` at the start, spaces aside, or `##[` anywhere. */
function commandsIn(printed: string): string[] {
  return printed.split(/\r?\n|\r/).filter((line) => /^\s*::|##\[/.test(line));
}

describe("the first line, and the last but one", () => {
  const lineOf = (scene: Scene) => headlineOf(findingsOf(scene), planOf(scene));
  const before: Scene = { charges: payers(3, 1000) };
  const records = recordsAfter(before);

  it("says the total, of how many customers, and by how much that differs from what the CRM held", () => {
    const more: Scene = { charges: [...payers(4, 1000), aCharge({ customer: "cus_1", amount: 250 })], records };
    assert.equal(lineOf(more), "total revenue 42.50 usd of 4 customers, +12.50 since the last run");
    const less: Scene = { charges: [...payers(2, 1000), aCharge({ customer: "cus_2", refunded: true })], records };
    assert.equal(lineOf(less), "total revenue 20.00 usd of 2 customers, -10.00 since the last run");
    assert.equal(lineOf({ ...before, records }), "total revenue 30.00 usd of 3 customers, 0.00 since the last run");
  });

  it("says of a first run that there was no record, and without amounts the customers only", () => {
    assert.equal(lineOf(before), "total revenue 30.00 usd of 3 customers, no record before");
    assert.equal(lineOf({ ...before, env: { SHOW_AMOUNTS: "0" } }), "total revenue of 3 customers");
  });
});

describe("SHOW_AMOUNTS=0", () => {
  const instants = /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z/g;

  it("leaves no amount, no share, no picture and no product's name anywhere", () => {
    assert.match(everythingWith({}), /\d\.\d\d usd[^]*█[^]*New plan/);
    for (const env of [{ SHOW_AMOUNTS: "0" }, { SHOW_AMOUNTS: "false", CI: "true" }]) {
      const text = everythingWith(env).replace(instants, "");
      assert.doesNotMatch(text, /\d[.,]\d/);
      assert.doesNotMatch(text, /\d (usd|eur)|% of revenue|█|New plan/);
      assert.match(text, /prod_new/);
    }
    assert.deepEqual(productsToName(findingsOf({ ...EVERYTHING, env: { SHOW_AMOUNTS: "0" } })), []);
  });

  it("leaves none in currencies without decimals, where an amount looks like a count", () => {
    const charges = [aCharge({ amount: 1_234_567, currency: "jpy" }), aCharge({ amount: 765_432, currency: "krw" })];
    const invoices = [anInvoice([aLine(345_678, "prod_new")], { currency: "jpy" })];
    const scene = { charges, invoices, currency: "jpy" };
    assert.match(everythingWith({}, scene), /1234567/);
    assert.doesNotMatch(everythingWith({ SHOW_AMOUNTS: "0" }, scene).replace(instants, ""), /\d{4}/);
  });
});

describe("where others may read the log", () => {
  const before = { ...EVERYTHING, charges: [aCharge({ amount: 500_000 })], subscriptions: [] };
  const scene = { ...EVERYTHING, records: recordsAfter(before) };

  it("no ids stand in what changes, nor the amount of one customer", () => {
    const [byHand, inCi] = [{}, { CI: "true" }].map((env) => rowsOf(findingsOf({ ...scene, env }), "What changes"));
    assert.deepEqual(byHand?.map(inShort), [
      "new payers | 1 | +7654.32 | cus_2",
      "paid more | 1 | +8525.21 | cus_1",
      "changes of status | 1 |  | 1 Active; cus_1",
    ]);
    assert.deepEqual(inCi?.map(inShort), ["new payers | 1", "paid more | 1", "changes of status | 1 |  | 1 Active"]);
  });

  it("no single customer's amount, name or address stands anywhere", () => {
    const findings = findingsOf({ ...scene, env: { CI: "true" } });
    assert.match(changesOf(findingsOf(scene)).join("\n"), /cus_1 +5000\.00 -> /);
    const changes = changesOf(findings).join("\n");
    assert.match(changes, /update +cus_1 +total_revenue/);
    assert.doesNotMatch(changes, /\d\.\d/);
    for (const { customerId, values } of planChanges(findings).changes)
      for (const slug of ["total_revenue", "name", "email"]) {
        const value = values.get(slug) ?? "";
        assert.ok(value === "" || !everyText(findings).includes(value), `${customerId} ${slug}`);
      }
  });

  it("is any value of CI but an empty one, 0 and false", () => {
    const idsIn = (CI: string) => labelled(findingsOf({ ...scene, env: { CI } }), "What changes", "new payers");
    for (const CI of ["true", "1", "woodpecker"]) assert.equal(idsIn(CI), "new payers | 1");
    for (const CI of ["", "0", "false"]) assert.equal(idsIn(CI), "new payers | 1 | +7654.32 | cus_2");
  });
});

describe("the report", () => {
  const findings = findingsOf(EVERYTHING, { productNames: new Map([["prod_new", "New plan"]]) });
  const verbose = findingsOf({ ...EVERYTHING, args: ["--verbose"] });

  const bars = (row: Row) => inShort(row).replace(/█+|░+/, (bar) => `${bar[0]}${bar.length}`);
  for (const [does, title, rows] of [
    [
      "has each term of the bridge with count, amount and why",
      "Charges in usd",
      [
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
      ],
    ],
    [
      "has a line for each other currency",
      "Charges in other",
      ["eur | 2 | 987.65 usd | captured 1530.86 eur - not included 654.32 eur = counted 876.54 eur"],
    ],
    [
      "has the revenue by product with bars, adding up to the total",
      "Revenue by product",
      [
        "spend_pro |  | 3414.66 usd | █4",
        "spend_team |  | 0.00 usd",
        "spend_other |  | 366.69 usd | █1",
        "unallocated |  | 17398.18 usd | █20 paid without an invoice, less refunds",
        "= total revenue |  | 21179.53 usd",
        "· no record | 1 | 34.56 usd | paid invoices",
      ],
    ],
    [
      "goes from list price to mrr, with what stands beside it",
      "What they pay now",
      [
        "list price |  | 91.00 usd",
        "- coupons |  | 24.50 usd",
        "- paused |  | 7.00 usd",
        "= mrr |  | 59.50 usd",
        "· scheduled to end | 1 | 12.00 usd",
        "· trials | 1 | 3.00 usd",
        "· cannot be told: tiered | 1 |  | customers",
        "· no record | 1 | 23.00 usd",
      ],
    ],
    [
      "lists what fell into spend_other, the largest first, and how attributes are suggested for it",
      "In spend_other",
      [
        "prod_new |  | 231.70 usd | New plan",
        "invoices without a positive line |  | 78.90 usd",
        "invoice lines without a product |  | 56.09 usd",
        "suggest products: npm run bootstrap -- --suggest-products",
      ],
    ],
  ] as const)
    it(does, () => assert.deepEqual(rowsOf(findings, title).map(bars), rows));

  it("with --verbose has the terms of every currency, and where the dashboard has the same figure", () => {
    assert.deepEqual(rowsOf(verbose, "Charges in eur").map(({ label }) => label), [
      "captured", "- not included", "= counted", "= settled at", "· no rate", "· beyond charges",
    ]); // prettier-ignore
    const failed = labelled(verbose, "Charges in usd", "· failed");
    assert.equal(failed, "· failed | 1 | 35.79 usd | in no sum; Payments › Failed");
  });

  it("has a bar of its own for what is below 0", () => {
    const scene = { charges: [aCharge({ refunded: true }), aCharge()], invoices: [anInvoice([aLine(20_000)])] };
    const [pro, , , unallocated] = rowsOf(findingsOf(scene), "Revenue by product").map(bars);
    assert.equal(pro, "spend_pro |  | 200.00 usd | █20");
    assert.equal(unallocated, "unallocated |  | -100.00 usd | ░10 paid without an invoice, less refunds");
  });

  it("closes to the cent as it is printed, for every account", () => {
    holds(randomAccount(), (account) => {
      const rows = rowsOf(findingsOf(account), "Revenue by product").filter(({ count }) => count === undefined);
      const cents = rows.map(({ amount = "" }) => Number(amount.replace(/\.| usd/g, "")));
      assert.equal(cents.at(-1), cents.slice(0, -1).reduce((sum, amount) => sum + amount, 0)); // prettier-ignore
    });
  });

  it("says so where no mapping names a column any more", () => {
    const rows = rowsOf(findingsOf(EVERYTHING, { unmappedSlugs: ["spend_team"] }), "Revenue by product");
    assert.match(rows[1]?.remark ?? "", /^no mapping names it any more$/);
  });

  it("shows at most 20 products of spend_other, and only their names are asked for", () => {
    const invoices = Array.from({ length: 30 }, (_, at) => anInvoice([aLine(100 + at, `prod_${at}`)]));
    const many = findingsOf({ charges: [aCharge()], invoices });
    const shown = rowsOf(many, "In spend_other").map(({ label }) => label);
    assert.deepEqual(productsToName(many), shown.slice(0, 20));
    assert.deepEqual([shown[0], shown[19], shown[20]], ["prod_29", "prod_10", "and others"]);
  });

  it("counts reads a month only beyond what Stripe gives for free", () => {
    const monthly = (stripeRequests: number) =>
      labelled(findingsOf(EVERYTHING, { stripeRequests }), "Read", "reads a month");
    assert.equal(monthly(333), undefined);
    assert.match(monthly(334) ?? "", /^reads a month \| 10020/);
  });

  it("names payers without a person in order of revenue, with their share", () => {
    const people = new Map([["ada@example.com", { recordId: "per_ada", companyId: undefined }]]);
    const charges = [5000, 1000, 4000].map((amount, at) => aCharge({ amount, customer: `cus_${at + 1}` }));
    const found = findingsOf({ charges, people, customers: [aCustomer()] });
    const row = labelled(found, "Plan", "payers without a person");
    assert.equal(row, "payers without a person | 2 | 50.0 % of revenue | cus_3, cus_2");
  });

  it("says what changed by count and sum, the largest together, adding up to the difference", () => {
    const records = recordsAfter({ charges: payers(12, 1000) });
    const charges = [
      ...payers(14, 1000).filter(({ customer }) => customer !== "cus_0" && customer !== "cus_1"),
      ...[2, 3, 4, 5, 6, 7].map((n) => aCharge({ customer: `cus_${n}`, amount: 100 * n })),
      aCharge({ customer: "cus_0", refunded: true }),
      aCharge({ customer: "cus_1", amount: 1000, amount_refunded: 300 }),
    ];
    assert.deepEqual(rowsOf(findingsOf({ charges, records }), "What changes").map(inShort), [
      "new payers | 2 | +20.00 | cus_12, cus_13",
      "paid more | 6 | +27.00 | 3 largest: +18.00; cus_7, cus_6, cus_5 +3 more",
      "refunded | 2 | -13.00 | 1 to 0; cus_0, cus_1",
    ]);
    assert.match(headlineOf(findingsOf({ charges, records }), planOf({ charges, records })), /\+34\.00 since/);
  });

  it("shows three ids, with --verbose 20, and at most 20 changes", () => {
    const scene = { charges: payers(23, 1000) };
    const idsIn = (found: Findings) => rowsOf(found, "What changes")[0]?.remark?.replace(/^.*; /, "");
    assert.equal(idsIn(findingsOf(scene)), "cus_0, cus_1, cus_10 +20 more");
    assert.match(idsIn(findingsOf({ ...scene, args: ["--verbose"] })) ?? "", /^(cus_\d+, ){19}cus_\d+ \+3 more$/);
    const changes = changesOf(findingsOf(scene));
    assert.equal(changes[0], "Changes, largest first: 20 of 23");
    assert.equal(changes.filter((line) => /^  create +cus_/.test(line)).length, 20);
  });

  it("has no line over 100 columns, and repeats no remark", () => {
    const amount = 123_456_789_012;
    const charges = payers(40, amount).map((charge) => ({ ...charge, customer: `${charge.customer}_Sbx005YC4NKd` }));
    const invoices = [anInvoice([aLine(amount, `prod_${"x".repeat(20)}`)], { customer: "cus_1_Sbx005YC4NKd" })];
    const names = new Map([[`prod_${"x".repeat(20)}`, "A product with a name ".repeat(12)]]);
    const wide = findingsOf({ ...EVERYTHING, charges: [...(EVERYTHING.charges ?? []), ...charges], invoices });
    for (const found of [findings, verbose, { ...wide, productNames: names }])
      for (const line of [...reportOf(found).split("\n"), ...changesOf(found)]) assert.ok(line.length <= 100, line);
    const remarks = reportSections(findings, planChanges(findings)).flatMap(({ rows }) =>
      rows.map(({ remark }) => remark),
    );
    const sentences = remarks.filter((remark = "") => remark.split(" ").length > 3);
    assert.deepEqual(sentences, [...new Set(sentences)]);
  });

  it("is there for an account without anything, too", () => {
    const nothing = findingsOf({});
    assert.deepEqual(planChanges(nothing).columns, new Map(SPEND_SLUGS.map((slug) => [slug, minor(0)])));
    assert.match(reportOf(nothing), /= total revenue +0\.00 usd/);
  });
});

describe("warnings", () => {
  it("are none where nothing is to be warned of", () => {
    assert.deepEqual(warningsOf(findingsOf({ charges: [aCharge(), aCharge({ customer: null })] })), []);
  });

  it("name what is not included by count and currency, and the CURRENCY that would count most", () => {
    const charges = [
      aCharge({ currency: "eur", amount: 500, balance_transaction: aBalance(400, "gbp", 0.8) }),
      aCharge({ currency: "gbp", amount: 900, balance_transaction: aBalance(900, "gbp") }),
      aCharge(),
    ];
    const scene = { charges, invoices: [anInvoice([aLine(700)], { currency: "eur" })] };
    assert.deepEqual(warningsOf(findingsOf(scene)), [
      "Not included: 2 charges (5.00 eur, 9.00 gbp), not settled in usd. CURRENCY=gbp would count most of it.",
      "Not included: 1 paid invoice (7.00 eur), as no charge of their customers tells a rate.",
    ]);
    const [hidden] = warningsOf(findingsOf({ ...scene, env: { SHOW_AMOUNTS: "0" } }));
    assert.match(hidden ?? "", /^Not included: 2 charges \(eur, gbp\), not settled in usd\./);
  });

  it("say that nobody gets a record where all charges are guests'", () => {
    const charges = [aCharge({ customer: null, amount: 500 }), aCharge({ customer: null, amount: 700 })];
    const [warning] = warningsOf(findingsOf({ charges }));
    assert.match(warning ?? "", /^Nobody gets a record: all 2 charges \(12\.00 usd\) are without a customer\./);
  });
});

describe("the summary line", () => {
  it("has one exact shape", () => {
    const stripe = { name: "Stripe" as const, stats: { requests: 31, retries: 1, throttled: 0 } };
    const attio = { name: "Attio" as const, stats: { requests: 1, retries: 1, throttled: 1 } };
    const applied = { created: 1, updated: 2, refreshed: 0, unchanged: 309, failed: 0 };
    assert.equal(
      summaryLine(applied, [stripe, attio], ["12.3 s", "3 left out by --update-only"]),
      "done: created=1 updated=2 refreshed=0 unchanged=309 failed=0 (12.3 s, stripe 31 requests, attio 1 request, 2 retries, 3 left out by --update-only)",
    );
  });
});

describe("the step summary", () => {
  it("has the total and the last line, then what changes, the picture, the plan, and the rest folded", () => {
    const summary = summaryOf(findingsOf(EVERYTHING));
    assert.match(
      summary,
      /^## Stripe to Attio\n\n\*\*total revenue 21179\.53 usd of 2 customers, no record before\*\*\n\n`done: created=2`\n/,
    );
    const titles = [...summary.matchAll(/^(###|<details><summary>) ?([^<\n]+)/gm)].map(
      ([, kind, title]) => `${kind}${title}`,
    );
    assert.deepEqual(titles, [
      "###What changes",
      "###Revenue by product, in usd",
      "###Plan",
      "<details><summary>Read",
      "<details><summary>Charges in usd",
      "<details><summary>Charges in eur",
      "<details><summary>What they pay now, a month, in usd",
      "<details><summary>In spend&#95;other",
    ]);
    assert.ok(summary.includes("\n| = total revenue |  | 21179.53 usd |  |\n"), summary);
  });

  it("says in its heading that a run was a dry one", () => {
    assert.match(summaryOf(findingsOf({ ...EVERYTHING, args: ["--dry-run"] })), /^## Stripe to Attio, dry run\n/);
  });

  it("names problems before what changes, each in a quotation of its own lines", () => {
    const line = "2 things:\n  - <b>one</b>\n  - `two`";
    const summary = summaryOf(findingsOf(EVERYTHING), [{ kind: "error", line }]);
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
  const withProduct = (id: string, name: string) => {
    const scene: Scene = { charges: [aCharge()], invoices: [anInvoice([aLine(6000, id)])] };
    const findings = findingsOf(scene, { productNames: new Map(name === "" ? [] : [[id, clean(name)]]) });
    return { summary: summaryOf(findings), report: reportOf(findings) };
  };
  // prettier-ignore
  const HOSTILE = [
    "a|b||c", "`code` ```", "<script>alert(1)</script><img src=x>", "[link](https://evil.example) ![i](x)", "&lt;b&gt;",
    "line\r\n## heading\n\n| x |", "@everyone #1 ~~x~~ **b** _i_", "p\u001b[31m\u0007\u009b2J\u202e\u2028q",
    "::error::x", "::stop-commands::x", "%0A::error::x", "a\n::error::x", "##[error]x", "b ##[add-mask]1",
  ];
  for (const text of HOSTILE)
    it(`is no Markdown, HTML or command, and steers no terminal: ${JSON.stringify(text)}`, () => {
      for (const [id, name] of [
        ["prod_1", text],
        [text, "Pro"],
        [text, ""],
      ] as const) {
        // prettier-ignore
        const { summary, report } = withProduct(id, name);
        assert.deepEqual(structureOf(summary), structureOf(withProduct("prod_1", name && "Pro").summary));
        const rows = summary.split("\n").filter((line) => line.startsWith("|") && line.includes("60.00"));
        for (const row of rows) assert.doesNotMatch(row, /[<>`*_[\]~@]|&(?!#\d+;)/);
        assert.match(report, /60\.00 usd/);
        assert.deepEqual(commandsIn(report), []);
        assert.doesNotMatch(summary + report, /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2028\u2029]/);
      }
    });
});

describe("the log in GitHub Actions", () => {
  it("marks a problem as an annotation, on one line and with its percent signs escaped", () => {
    const { log, printed } = aLog({ GITHUB_ACTIONS: "true" });
    const elsewhere = aLog();
    log.error("20 % less\r\nin cus_1");
    log.warn("slow");
    elsewhere.log.error("It failed.");
    assert.deepEqual(commandsIn(printed()), [
      "::error title=stripe-attio-sync::20 %25 less%0D%0Ain cus_1",
      "::warning title=stripe-attio-sync::slow",
    ]);
    assert.equal(elsewhere.printed(), "It failed.\n");
  });

  it("never shows a key", () => {
    const env = { STRIPE_API_KEY: "rk_live_hush", ATTIO_API_KEY: "hush_attio" };
    const { log, printed } = aLog({ ...env, GITHUB_ACTIONS: "true" });
    for (const secret of Object.values(env)) {
      [log.line, log.note, log.warn, log.error].forEach((print) => print(`fetch of ${secret} failed`));
      log.tell({ title: secret, rows: [{ label: secret }] });
    }
    assert.doesNotMatch(printed() + JSON.stringify(log.problems), /hush/);
    assert.equal(printed().split("(secret)").length - 1, 16);
  });
});
