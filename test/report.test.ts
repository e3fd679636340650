// report.test.ts - what a log and a step summary say, and what they may never say.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  bridgeSections,
  changeSection,
  clean,
  logLines,
  minor,
  reportSections,
  stepSummary,
  summaryLine,
} from "../sync.ts";
import type { Environment, Findings, Log } from "../sync.ts";
import {
  SPEND_SLUGS,
  aBalance,
  aCharge,
  aCustomer,
  aLine,
  aLog,
  aPartialCapture,
  aSubscription,
  anInvoice,
  findingsOf,
  holds,
  payers,
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
  subscriptions: [aSubscription("active")],
  customers: [aCustomer(), aCustomer({ id: "cus_2", name: "Bob", email: "bob@example.com" })],
};

/** Everything a run would print of its findings, as a person reads it: report, changes and step summary. */
function everyText(findings: Findings): string {
  const lines = logLines([...reportSections(findings), changeSection(findings)]);
  const all = [...lines, stepSummary([], findings, "done: created=2")].join("\n");
  return all.replace(/&#(\d+);/g, (_, code: string) => String.fromCodePoint(Number(code)));
}

function changeLinesOf(findings: Findings): string[] {
  return logLines([changeSection(findings)]);
}

function everythingWith(env: Environment, scene: Scene = EVERYTHING): string {
  return everyText(findingsOf({ ...scene, env }, { productNames: new Map([["prod_new", "New plan"]]) }));
}

describe("SHOW_AMOUNTS=0", () => {
  const instants = /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z/g;

  it("leaves no amount anywhere", () => {
    assert.match(everythingWith({}), /\d\.\d\d usd/);
    for (const env of [{ SHOW_AMOUNTS: "0" }, { SHOW_AMOUNTS: "false", CI: "true" }]) {
      const text = everythingWith(env).replace(instants, "");
      assert.doesNotMatch(text, /\d[.,]\d/);
      assert.doesNotMatch(text, /\d (usd|eur)|% of revenue|mermaid/);
    }
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

  it("no ids stand in what changes", () => {
    const [byHand, inCi] = [{}, { CI: "true" }].map((env) => rowsOf(findingsOf({ ...scene, env }), "What changes"));
    assert.deepEqual(byHand?.map(([label, count, , ids]) => [label, count, ids]), [
      ["new payers", "1", "cus_2"],
      ["changes of status", "1", "cus_1"],
      ["payers without a person", "2", "cus_1, cus_2"],
    ]); // prettier-ignore
    assert.deepEqual(inCi?.map(([label, count, , ids]) => [label, count, ids]), [
      ["new payers", "1", ""],
      ["changes of status", "1", ""],
      ["payers without a person", "2", ""],
    ]); // prettier-ignore
  });

  it("no single customer's amount, name or address stands anywhere", () => {
    const findings = findingsOf({ ...scene, env: { CI: "true" } });
    assert.match(changeLinesOf(findingsOf(scene)).join("\n"), /cus_1 +5000\.00 -> /);
    const changes = changeLinesOf(findings).join("\n");
    assert.match(changes, /update +cus_1 +total_revenue/);
    assert.doesNotMatch(changes, /\d\.\d/);
    for (const customerId of ["cus_1", "cus_2"]) {
      const change = findings.plan.changes.find((candidate) => candidate.customerId === customerId);
      for (const slug of ["total_revenue", "name", "email"]) {
        const value = change?.values.get(slug) ?? "";
        assert.ok(value === "" || !everyText(findings).includes(value), `${customerId} ${slug}`);
      }
    }
  });

  it("is any value of CI but an empty one, 0 and false", () => {
    const hides = (CI: string) => !everythingWith({ CI }, scene).includes("cus_1, cus_2");
    assert.deepEqual(["true", "1", "woodpecker"].map(hides), [true, true, true]);
    assert.deepEqual(["", "0", "false"].map(hides), [false, false, false]);
  });
});

describe("the report", () => {
  const findings = findingsOf(EVERYTHING, { productNames: new Map([["prod_new", "New plan"]]) });

  it("says for each term of the bridge its count, its amount and where the dashboard has it", () => {
    const rows = bridgeSections(findings).map(({ title, rows: terms }) => [
      title,
      ...terms.map(([label, count, amount]) => `${label} | ${count} | ${amount}`),
    ]);
    assert.deepEqual(rows, [
      [
        "Charges in usd",
        "captured | 4 | 20246.20 usd",
        "- given back | 1 | 11.11 usd",
        "- guests | 1 | 43.21 usd",
        "= counted | 3 | 20191.88 usd",
        "· uncaptured | 1 | 13.57 usd",
        "· pending | 1 | 24.68 usd",
        "· failed | 1 | 35.79 usd",
        "· disputed | 2 | 19999.99 usd",
        "· undecided | 1 | 3.75 usd",
        "· paid outside | 1 | 45.67 usd",
      ],
      [
        "Charges in eur",
        "captured | 2 | 1530.86 eur",
        "- set aside | 1 | 654.32 eur",
        "= counted | 1 | 876.54 eur",
        "= settled at |  | 987.65 usd",
        "· no rate | 1 | 67.89 eur",
      ],
      [
        "All currencies at settled value, in usd",
        "total revenue | 2 | 21179.53 usd",
        "- spend_pro |  | 3414.66 usd",
        "- spend_team |  | 0.00 usd",
        "- spend_other |  | 366.69 usd",
        "= unallocated |  | 17398.18 usd",
        "· no record | 1 | 34.56 usd",
      ],
    ]);
    for (const [label, , , remark] of bridgeSections(findings).flatMap((section) => section.rows))
      assert.ok(remark !== "", `${label} does not say where to find it`);
  });

  it("closes to the cent as it is printed, for every account", () => {
    holds(randomAccount(), (account) => {
      const sections = bridgeSections(findingsOf(account));
      const total = sections.at(-1)?.rows.filter(([label]) => !label.startsWith("·")) ?? [];
      const cents = total.map(([, , amount]) => Number(amount.replace(/\.| usd/g, "")));
      assert.equal(
        cents[0],
        cents.slice(1).reduce((sum, amount) => sum + amount, 0),
      );
    });
  });

  it("says so where no mapping names a column any more", () => {
    const [, , total] = bridgeSections(findingsOf(EVERYTHING, { unmappedSlugs: ["spend_team"] }));
    assert.match(total?.rows.find(([label]) => label === "- spend_team")?.[3] ?? "", /^no mapping names it/);
  });

  it("lists what fell into spend_other, largest first, and how to give it attributes of its own", () => {
    const section = reportSections(findings).find(({ title }) => title.startsWith("In spend_other"));
    const rows = section?.rows.map((cells) => cells.filter(Boolean).toSorted().join(" | "));
    assert.deepEqual(rows, [
      "231.70 usd | New plan | prod_new",
      "78.90 usd | invoices without a positive line",
      "56.09 usd | invoice lines without a product",
    ]);
    assert.match(section?.title ?? "", /--suggest-products/);
  });

  it("counts reads a month only beyond what Stripe gives for free", () => {
    const monthly = (stripeRequests: number) =>
      rowsOf(findingsOf(EVERYTHING, { stripeRequests }), "Read").find(([label]) => label === "reads a month")?.[1];
    assert.equal(monthly(333), undefined);
    assert.equal(monthly(334), "10020");
  });

  it("names payers without a person in order of revenue, with their share", () => {
    const people = new Map([["ada@example.com", { recordId: "per_ada", companyId: undefined }]]);
    const charges = [
      aCharge({ amount: 5000 }),
      aCharge({ customer: "cus_2", amount: 1000 }),
      aCharge({ customer: "cus_3", amount: 4000 }),
    ];
    const rows = rowsOf(findingsOf({ charges, people, customers: [aCustomer()] }), "What changes");
    assert.deepEqual(rows.at(-1), ["payers without a person", "2", "50.0 % of revenue", "cus_3, cus_2"]);
  });

  it("shows at most 20 ids and 20 changes, and how many there are", () => {
    const many = findingsOf({ charges: payers(23, 1000) });
    assert.match(rowsOf(many, "What changes")[0]?.[3] ?? "", /^cus_0, (cus_\d+, ){19}and 3 more$/);
    const changes = changeLinesOf(many);
    assert.equal(changes[0], "Changes, largest first: 20 of 23");
    assert.equal(changes.filter((line) => /^  create +cus_/.test(line)).length, 20);
  });
});

describe("the summary line", () => {
  it("has one exact shape", () => {
    const stripe = { requests: 31, retries: 1, throttled: 0 };
    const attio = { requests: 25, retries: 1, throttled: 1 };
    const applied = { created: 1, updated: 2, refreshed: 0, unchanged: 309, failed: 0 };
    assert.equal(
      summaryLine(applied, stripe, attio, ["12.3 s"]),
      "done: created=1 updated=2 refreshed=0 unchanged=309 failed=0 (12.3 s, stripe 31 requests, attio 25 requests, 2 retries)",
    );
    assert.equal(
      summaryLine(applied, { ...stripe, requests: 1 }, { ...attio, retries: 0 }, [
        "0.0 s",
        "3 left out by --update-only",
      ]),
      "done: created=1 updated=2 refreshed=0 unchanged=309 failed=0 (0.0 s, stripe 1 request, attio 25 requests, 1 retry, 3 left out by --update-only)",
    );
  });
});

describe("the step summary", () => {
  /** An account whose one product has this name or, without a name, this id. Names come to the report cleaned. */
  const withProduct = (id: string, name?: string, problems: Log["problems"] = []) => {
    const scene: Scene = { charges: [aCharge()], invoices: [anInvoice([aLine(6000, id)])] };
    const findings = findingsOf(scene, { productNames: new Map(name === undefined ? [] : [[id, clean(name)]]) });
    return { summary: stepSummary(problems, findings, "done: created=1"), log: logLines(reportSections(findings)) };
  };

  it("has the total, the last line, a pie that adds up to it, and the tables", () => {
    const summary = stepSummary([], findingsOf(EVERYTHING), "done: created=2");
    assert.match(summary, /^## Stripe to Attio\n\n\*\*21179\.53 usd\*\* lifetime revenue of 2 customers\.\n/);
    assert.match(summary, /\n`done: created=2`\n/);
    assert.match(summary, /\n```mermaid\npie showData\n  title Revenue by product, usd\n  "pro" : 3414\.66\n/);
    const slices = [...summary.matchAll(/^  ".+" : (\d+)\.(\d\d)$/gm)].map(([, major, cents]) =>
      Number(`${major}${cents}`),
    );
    assert.equal(slices.reduce((sum, slice) => sum + slice, 0), 2_117_953); // prettier-ignore
    for (const row of [
      "create | 2",
      "captured | 4 | 20246.20 usd",
      "= unallocated |  | 17398.18 usd",
      "new payers | 2",
    ])
      assert.ok(summary.includes(`\n| ${row} |`), row);
  });

  it("has no slice below or at 0, and no pie where nothing is above", () => {
    const scene: Scene = {
      charges: [aCharge({ refunded: true, amount_refunded: 10_000 })],
      invoices: [anInvoice([aLine(6000)])],
      records: recordsAfter({ charges: [aCharge()] }),
    };
    const summary = stepSummary([], findingsOf(scene));
    assert.match(summary, /"pro" : 60\.00\n```/);
    assert.doesNotMatch(summary, /" : -|" : 0\.00/);
    assert.doesNotMatch(stepSummary([], findingsOf({})), /mermaid/);
  });

  it("names problems first, each in a quotation of its own lines", () => {
    const line = "2 things:\n  - <b>one</b>\n  - `two`";
    const { summary } = withProduct("prod_1", "Pro", [{ kind: "error", line }]);
    const [title, , ...quoted] = summary.split("\n").slice(0, 5);
    assert.equal(title, "## Stripe to Attio: needs attention");
    for (const [at, part] of ["2 things", "&#60;b&#62;one&#60;/b&#62;", "&#96;two&#96;"].entries()) {
      assert.ok(quoted[at]?.startsWith("> "), summary);
      assert.ok(quoted[at]?.includes(part), summary);
    }
    assert.match(
      stepSummary([{ kind: "error", line: "It failed." }]),
      /^## Stripe to Attio: needs attention\n\n> .*It failed\.\s*$/,
    );
  });

  const HOSTILE = [
    "a|b||c",
    "`code` ```",
    "<script>alert(1)</script><img src=x>",
    "[link](https://evil.example) ![i](x)",
    "line\r\n## heading\n\n| x |",
    "@everyone #1 ~~x~~ **b** _i_",
    "&lt;b&gt;",
    '"\n```\n\n<b>',
  ];
  /** What Markdown makes of a summary: headings, tags, fences, quotations, and each table row's number of bars. */
  const structureOf = (summary: string): string[] =>
    summary
      .split("\n")
      .map(
        (line) =>
          /^\s*(#+|<[^>]*>|```\w*|>|[-+*] )/.exec(line)?.[1] ?? (line.startsWith("|") ? line.replace(/[^|]/g, "") : ""),
      )
      .filter(Boolean);
  for (const name of HOSTILE)
    it(`takes no Markdown, Mermaid or HTML from a product called ${JSON.stringify(name)}`, () => {
      const cases = [
        [withProduct("prod_1", name), withProduct("prod_1", "Pro")],
        [withProduct(name, "Pro"), withProduct("prod_1", "Pro")],
        [withProduct(name), withProduct("prod_1")],
      ] as const;
      for (const [{ summary }, harmless] of cases) {
        assert.deepEqual(structureOf(summary), structureOf(harmless.summary));
        const rows = summary.split("\n").filter((line) => line.startsWith("|") && line.includes("60.00"));
        assert.equal(rows.length, 2, "one for the column, one for the product");
        for (const row of rows) assert.doesNotMatch(row, /[<>`*_[\]~@]|&(?!#\d+;)/);
      }
    });

  const inHostileCurrency: Scene = {
    charges: [aCharge({ currency: "x|`<b>\n## y\u001b[2J", balance_transaction: aBalance(9, "usd", 1) })],
  };

  it("takes none from a currency either", () => {
    assert.doesNotMatch(stepSummary([], findingsOf(inHostileCurrency)), /x\||<b>|\n## y|\u001b/);
  });

  it("and the log stay in their lines whatever a currency is called", () => {
    const sections = reportSections(findingsOf(inHostileCurrency));
    assert.doesNotMatch(logLines(sections).join("\n"), /\n## y|\u001b/);
  });

  it("and the log hold no character that could steer a terminal", () => {
    const hostile = "p\u001b[31m\u0007\u009b2J\u202e\u2028q";
    for (const { summary, log } of [withProduct("prod_1", hostile), withProduct(hostile)])
      assert.doesNotMatch(
        summary + log.join("\n"),
        /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2028\u2029]/,
      );
  });
});

describe("the log in GitHub Actions", () => {
  /** The lines that the runner would take for a command: `::` at the start, spaces aside, or `##[` anywhere. */
  const commandsIn = (printed: string) => printed.split(/\r?\n|\r/).filter((line) => /^\s*::|##\[/.test(line));

  it("marks a problem as an annotation, on one line and with its percent signs escaped", () => {
    const { log, printed } = aLog({ GITHUB_ACTIONS: "true" });
    log.error("20 % less\r\nin cus_1");
    log.warn("slow");
    assert.deepEqual(commandsIn(printed()), [
      "::error title=stripe-attio-sync::20 %25 less%0D%0Ain cus_1",
      "::warning title=stripe-attio-sync::slow",
    ]);
    assert.deepEqual(log.problems, [
      { kind: "error", line: "20 % less\r\nin cus_1" },
      { kind: "warning", line: "slow" },
    ]);
  });

  it("marks nothing elsewhere", () => {
    const { log, printed } = aLog();
    log.error("It failed.");
    assert.equal(printed(), "It failed.\n");
  });

  it("takes no command from a product, whatever its id or name", () => {
    for (const hostile of [
      "::error::x",
      "::stop-commands::x",
      "%0A::error::x",
      "a\n::error::x",
      "##[error]x",
      "b ##[add-mask]1",
    ])
      for (const [id, name] of [
        [hostile, undefined],
        ["prod_1", hostile],
      ] as const) {
        const scene: Scene = { charges: [aCharge()], invoices: [anInvoice([aLine(6000, id)])] };
        const productNames = new Map(name === undefined ? [] : [[id, clean(name)]]);
        const { log, printed } = aLog({ GITHUB_ACTIONS: "true" });
        for (const line of logLines(reportSections(findingsOf(scene, { productNames })))) log.line(line);
        assert.match(printed(), /60\.00 usd/);
        assert.deepEqual(commandsIn(printed()), [], JSON.stringify([id, name]));
      }
  });

  it("never shows a key or the heartbeat's address", () => {
    const env = {
      STRIPE_API_KEY: "rk_live_hush",
      ATTIO_API_KEY: "hush_attio",
      HEARTBEAT_URL: "https://hc.example/hush",
    };
    const { log, printed } = aLog({ ...env, GITHUB_ACTIONS: "true" });
    for (const secret of Object.values(env)) {
      const line = `fetch of ${secret} failed`;
      [log.line, log.note, log.warn, log.error].forEach((print) => print(line));
    }
    assert.doesNotMatch(printed() + JSON.stringify(log.problems), /hush/);
    assert.equal(printed().split("(secret)").length - 1, 18);
  });
});

describe("an account without anything", () => {
  it("has a report all the same", () => {
    const findings = findingsOf({});
    assert.deepEqual(findings.plan.columns, new Map(SPEND_SLUGS.map((slug) => [slug, minor(0)])));
    assert.deepEqual(reportSections(findings).map(({ title }) => title), [
      "Read", "All currencies at settled value, in usd", "Plan",
    ]); // prettier-ignore
  });
});
