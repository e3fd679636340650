// What README, SECURITY, DECISIONS and CONTRIBUTING say, held against the code: commands are run, settings, options,
// permissions and messages compared, the worked example computed.

import { spawn } from "node:child_process";
import assert from "node:assert/strict";
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { describe, test } from "node:test";

import { aBalanceTransaction, aCharge, anInvoice, anInvoiceLine } from "../sandbox/objects.ts";
import {
  CHARGE,
  INVOICE,
  SETTINGS,
  STRIPE_PERMISSIONS,
  addCharge,
  addInvoice,
  attributeSpecs,
  closeBooks,
  formatMinor,
  givenBackMinor,
  ledgerOf,
  minor,
  netMinor,
  openBooks,
  readAs,
  settledValue,
  sharesOf,
  unallocatedMinor,
  weightsOf,
} from "../sync.ts";
import { runProgramWith } from "./world.ts";
import type { Program } from "./world.ts";

const root = join(import.meta.dirname, "..");
const read = (path: string): string => readFileSync(join(root, path), "utf8");
const readme = read("README.md");
const pages = ["README.md", "SECURITY.md", "DECISIONS.md", "CONTRIBUTING.md"].map((name) => ({
  name,
  text: read(name),
}));
const workflow = read(".github/workflows/sync.yml");
const programs = ["sync.ts", "bootstrap-attio.ts", "test-one.ts"].map(read);

/** What stands between `<!-- name -->` and `<!-- /name -->`. */
function marked(name: string): string {
  const [, block] = new RegExp(`<!-- ${name} -->\n([^]*?)<!-- /${name} -->`).exec(readme) ?? [];
  assert.ok(block !== undefined, `README.md has no <!-- ${name} --> … <!-- /${name} -->`);
  return block;
}

/** The text below a heading, up to the next one of any level. */
function below(heading: string): string {
  const [, block] = new RegExp(`^#+ ${heading}\n([^]*?)(?=^#+ |$(?![^]))`, "m").exec(readme) ?? [];
  assert.ok(block !== undefined, `README.md has no heading ${heading}`);
  return block;
}

/** The cells of all table rows in a text, without the lines under the heads. */
function rowsIn(text: string): string[][] {
  const lines = text.split("\n").map((line) => line.trim());
  const rows = lines.filter((line) => line.startsWith("|") && !/^[|\s:-]+$/.test(line));
  return rows.map((line) => line.slice(1, -1).split("|").map((cell) => cell.trim())); // prettier-ignore
}

function codesIn(text: string): string[] {
  return [...text.replace(/^ *```[^]*?^ *```$/gm, "").matchAll(/`([^`\n]+)`/g)].map(([, code = ""]) => code);
}

function fencedIn(text: string, language: string): string[] {
  const blocks = [...text.matchAll(new RegExp(`^ *\`\`\`${language}\n([^]*?)^ *\`\`\`$`, "gm"))];
  return blocks.flatMap(([, block = ""]) => block.split("\n").map((line) => line.trim())).filter(Boolean); // prettier-ignore
}

describe("first screen", () => {
  const screen = readme.split("\n").slice(0, 25).join("\n");

  test("the first 25 lines hold purpose, picture, both commands, a summary line and what it never does", () => {
    for (const part of ["Stripe", "Attio", "```mermaid", "npm ci && npm run demo", "npm ci && npm test", "It never "])
      assert.ok(screen.includes(part), part);
    assert.match(screen, /^`done: created=\d+ updated=\d+ refreshed=\d+ unchanged=\d+ failed=\d+ \(.+\)`$/m);
  });

  test("no page praises, promises or decorates", () => {
    for (const { name, text } of pages)
      assert.doesNotMatch(text, /\b(simply|simple|powerful|easy|easily|blazing|seamless|soon|roadmap)\b|\p{Emoji_Presentation}/iu, name); // prettier-ignore
  });
});

/** All commands of the pages, in code blocks and in sentences, without comments. */
const commands = pages.flatMap(({ text }) => {
  const inline = codesIn(text).filter((code) => /^(npm|node) [^(]*$/.test(code));
  return [...fencedIn(text, "sh"), ...inline].flatMap((line) => line.replace(/ +#.*/, "").split(" && "));
});

/** Not run here: they install, run this very file, or take long. CI runs the first three. */
const notRun = ["npm ci", "npm test", "npm run check", "npm run format", "npm run bench"];

describe("commands", () => {
  test("every npm script and every program that a page names exists", () => {
    const { scripts } = JSON.parse(read("package.json"));

    assert.ok(commands.length > 15);
    for (const command of commands) {
      const [tool, first = "", second = ""] = command.split(" ");
      const script = first === "run" ? second : first;
      if (tool === "npm") assert.ok(script === "ci" || script in scripts, command);
      if (tool === "node") assert.ok(existsSync(join(root, first)), command);
    }
  });

  test("the README's commands, word for word and in order, bring a fresh copy to a second run that writes nothing", async (t) => {
    const copy = aFreshCopy();
    const serving = startServing(copy);
    t.after(async () => {
      await serving.end();
      rmSync(copy, { recursive: true, force: true });
    });
    const demo = runIn(copy, asNpmRuns("npm run demo")); // needs none of the others: runs beside them
    const { settings, customerId } = await serving.settings;
    const outputs = new Map<string, string>();

    for (const command of fencedIn(readme, "sh").flatMap((line) => line.split(" && "))) {
      if (notRun.includes(command) || command === "npm run demo") continue;
      const { code, out } = await runIn(copy, asNpmRuns(command).replace("cus_NffrFeUfNV2Hib", customerId));
      assert.equal(code, 0, `${command}\n${out}`);
      outputs.set(command, out);
      if (command === "cp .env.example .env") fillIn(join(copy, ".env"), settings);
    }
    const { code, out } = await demo;

    for (const line of fencedIn(readme, "text")) assert.ok(outputs.get("npm run bootstrap")?.includes(line), line);
    assert.match(
      outputs.get("npm start -- --dry-run") ?? "",
      /^done: created=[1-9].*, dry run: nothing was written\)$/m,
    );
    assert.match(outputs.get("npm start") ?? "", /^done: created=0 updated=0 refreshed=0 unchanged=10 failed=0 /m);
    assert.equal(code, 0, out);
    assert.ok(out.includes(/`(done: [^(]+)/.exec(readme)?.[1] ?? "no summary line"));
  });
});

/** What npm runs for a command, without the half second that npm itself takes. */
function asNpmRuns(command: string): string {
  const [, name = "", options = ""] = /^npm (?:run )?([\w-]+)(?: -- (.+))?$/.exec(command) ?? [];
  const script = JSON.parse(read("package.json")).scripts[name];
  return script === undefined ? command : `${script} ${options}`.trim();
}

/** The files a new user gets, and the packages that `npm ci` would bring. */
function aFreshCopy(): string {
  const copy = mkdtempSync(join(tmpdir(), "docs-"));
  const names = ["package.json", ".npmrc", ".env.example", "sync.ts", "bootstrap-attio.ts", "test-one.ts", "sandbox"];
  for (const name of names) cpSync(join(root, name), join(copy, name), { recursive: true });
  symlinkSync(join(root, "node_modules"), join(copy, "node_modules"));
  return copy;
}

/** A shell with an empty home and no key; `node` is the one that runs this test. */
function spawnIn(directory: string, command: string) {
  const env = { HOME: directory, PATH: `${dirname(process.execPath)}:${process.env["PATH"]}` };
  return spawn("sh", ["-c", command], { cwd: directory, env, detached: true, stdio: ["ignore", "pipe", "pipe"] });
}

async function runIn(directory: string, command: string): Promise<{ code: number | null; out: string }> {
  const child = spawnIn(directory, command);
  let out = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk: Buffer) => (out += chunk.toString()));
  const code = await new Promise<number | null>((resolve) => child.on("close", resolve));
  return { code, out };
}

/** `npm run demo -- --serve`, as the README names it: both services, until `end`. */
function startServing(directory: string) {
  const command = "npm run demo -- --serve";
  assert.ok(commands.includes(command));
  const child = spawnIn(directory, command);
  let out = "";
  const settings = new Promise<{ settings: ReadonlyMap<string, string>; customerId: string }>((resolve, reject) => {
    child.on("close", () => reject(new Error(`${command} ended:\n${out}`)));
    child.stderr.on("data", (chunk: Buffer) => (out += chunk.toString()));
    child.stdout.on("data", (chunk: Buffer) => {
      out += chunk.toString();
      if (!out.includes("Ctrl-C")) return;
      const exported = [...out.matchAll(/^export (\w+)='(.*)'$/gm)];
      const customerId = /^npm run test-one -- (cus_\w+)$/m.exec(out)?.[1] ?? "";
      resolve({ settings: new Map(exported.map(([, name = "", value = ""]) => [name, value])), customerId });
    });
  });
  const ended = new Promise((resolve) => child.on("close", resolve));
  const end = async (): Promise<void> => {
    if (child.pid !== undefined && child.exitCode === null) process.kill(-child.pid); // npm and all below it
    await ended;
  };
  return { settings, end };
}

/** Does what a person does with .env: writes values behind the names that stand there. */
function fillIn(path: string, settings: ReadonlyMap<string, string>): void {
  let text = readFileSync(path, "utf8");
  for (const [name, value] of settings) {
    assert.match(text, new RegExp(`^${name}=`, "m"));
    text = text.replace(new RegExp(`^${name}=.*$`, "m"), () => `${name}=${value}`);
  }
  writeFileSync(path, text);
}

describe("settings and options", () => {
  const names = SETTINGS.map(([name]) => name);

  test("the settings table is the one that --help prints, word for word", () => {
    const [, ...rows] = rowsIn(marked("settings"));

    assert.deepEqual(
      rows.map((cells) => cells.map((cell) => cell.replaceAll("`", ""))),
      SETTINGS.map((setting) => [...setting]),
    );
  });

  test("a setting that any page names exists, and .env.example has exactly the settings", () => {
    for (const { name, text } of pages)
      for (const code of codesIn(text)) {
        const [setting = ""] = /^[A-Z][A-Z_]{4,}(?==|$)/.exec(code) ?? [];
        if (setting !== "") assert.ok(names.includes(setting), `${name}: ${code}`);
      }
    assert.deepEqual([...read(".env.example").matchAll(/^([A-Z_]+)=/gm)].map(([, name]) => name), names); // prettier-ignore
  });

  test("the options table has every option of every program, and no other", async () => {
    const [, ...rows] = rowsIn(below("Options"));
    const documented = rows.map(([command = "", option = ""]) => `${/\w[\w-]+\.ts/.exec(command)} ${option}`);
    const offered: string[] = [];
    for (const [path, program] of [
      ["sync.ts", "sync"],
      ["bootstrap-attio.ts", "bootstrap"],
      ["test-one.ts", "test-one"],
    ] satisfies [string, Program][]) {
      // prettier-ignore
      const { out } = await runProgramWith(program, { env: {}, args: ["--help"] });
      assert.ok(out.startsWith(`usage: node ${path} `), out);
      const options = [...out.matchAll(/^ {2}(--[\w-]+)/gm)].map(([, option]) => option);
      offered.push(...options.filter((option) => option !== "--help").map((option) => `${path} \`${option}\``));
    }

    assert.deepEqual(documented, offered);
  });

  test("every option in a command of any page is an option of that program", async () => {
    const usages: Record<string, string> = { start: "sync.ts", bootstrap: "bootstrap-attio.ts", "test-one": "test-one.ts", demo: "sandbox/demo.ts" }; // prettier-ignore
    for (const command of commands) {
      const [, script = ""] = /^(?:npm run|npm|node) ([^ ]+)/.exec(command) ?? [];
      for (const [option] of command.matchAll(/(?<= )--[a-z-]+/g))
        assert.ok(option === "--help" || read(usages[script] ?? script).includes(`"${option}"`), command);
    }
  });
});

describe("set-up", () => {
  const slugs = [...STRIPE_PERMISSIONS.map(({ slug }) => slug as string), "rak_balance_transaction_source_read"].toSorted(); // prettier-ignore

  test("the link ticks the permissions of the program, and the table lists them by the dashboard's names", () => {
    const [, link = ""] = /\((https:\/\/dashboard\.stripe\.com\/apikeys\/create\?[^)]+)\)/.exec(readme) ?? [];
    const rows = rowsIn(below("Set-up")).filter(([, slug]) => slug?.startsWith("`rak_"));

    assert.deepEqual(new URL(link).searchParams.getAll("permissions[]").toSorted(), slugs);
    assert.deepEqual(rows.map(([, slug = ""]) => slug.replaceAll("`", "")).toSorted(), slugs); // prettier-ignore
    for (const [row = "", slug = ""] of rows) {
      const known = STRIPE_PERMISSIONS.find((permission) => slug === `\`${permission.slug}\``);
      assert.ok(row.endsWith(` › ${known?.name ?? "Balance transaction sources"}`), row);
    }
    assert.ok(programs[0]?.includes('"Balance transaction sources", slug: "rak_balance_transaction_source_read"'));
  });

  test("SECURITY.md lists the same permissions, and both pages only scopes that the programs ask for", () => {
    const security = read("SECURITY.md");

    assert.deepEqual([...new Set(security.match(/rak_\w+/g))].toSorted(), slugs);
    for (const [scope] of (readme + security).matchAll(/\b(object_configuration|record_permission):[a-z-]+/g))
      assert.ok(programs.some((code) => code.includes(`"${scope}"`)), scope); // prettier-ignore
  });

  test("the workflow has the choices, boxes, steps, variables and secrets that the steps name", () => {
    for (const part of [
      "name: Sync\n",
      "description: What to run\n",
      "- suggest products\n",
      "- bootstrap\n",
      "- sync\n",
      '"Dry run: ',
      "name: Product suggestions\n",
      "name: One customer\n",
      "vars.DRY_RUN",
      "vars.CURRENCY",
      "vars.PRODUCT_SLUGS",
      "secrets.STRIPE_API_KEY",
      "secrets.ATTIO_API_KEY",
      "secrets.HEARTBEAT_URL",
      'cron: "17 7 * * *"',
      "timeout-minutes: 90",
      "retention-days: 30",
    ])
      // prettier-ignore
      assert.ok(workflow.includes(part), part);
    assert.match(readme, /07:17 UTC/);
  });
});

describe("what is explained", () => {
  test("the table of attributes has every attribute of the object, and no other", () => {
    const [, ...rows] = rowsIn(below("What the numbers mean"));
    const slugs = rows.flatMap(([cell = ""]) => codesIn(cell));
    const wanted = attributeSpecs(["spend_…", "spend_other"]).map(({ slug }) => slug);

    assert.deepEqual(slugs.toSorted(), wanted.toSorted());
  });

  test("every message in the table is one that a program prints", () => {
    // A message is a pattern: `…` stands for what the program fills in.
    const printed = programs.join("\n").replaceAll("${OBJECT}", "stripe_customers");
    const [, ...rows] = rowsIn(below("What a message means and what to do"));
    const messages = rows.flatMap(([cell = ""]) => codesIn(cell));

    assert.ok(messages.length > 30);
    for (const message of messages) {
      const parts = message.split("…").map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
      assert.ok(new RegExp(parts.join(".*")).test(printed), message);
    }
  });

  test("the table of sections has those of sync.ts, in their order", () => {
    const [, ...rows] = rowsIn(marked("sections"));
    const banners = [...(programs[0] ?? "").matchAll(/^\/\/ -{10,} (\w+) -{4}$/gm)].map(([, name]) => name);

    assert.deepEqual(rows.map(([name]) => name), banners); // prettier-ignore
  });

  test("every file and every heading that a page links to exists", () => {
    const anchors = [...readme.matchAll(/^#+ (.+)$/gm)].map(([, title = ""]) => `#${title.toLowerCase().replace(/[^\w -]/g, "").replaceAll(" ", "-")}`); // prettier-ignore
    for (const { name, text } of pages)
      for (const [, target = ""] of text.matchAll(/\]\(([^)\s]+)\)/g)) {
        if (target.startsWith("https://")) continue;
        assert.ok(target.startsWith("#") ? anchors.includes(target) : existsSync(join(root, target)), `${name}: ${target}`); // prettier-ignore
      }
  });

  test("the bench table has its place", () => {
    assert.equal(typeof marked("bench"), "string");
  });
});

describe("worked example", () => {
  const customer = "cus_NffrFeUfNV2Hib";
  const bt = aBalanceTransaction({ amount: 2165, currency: "usd", exchange_rate: 1.0825 });
  const charges = [
    aCharge({ customer, amount: 6960, amount_refunded: 1000 }),
    aCharge({ customer, amount: 10000, amount_captured: 8000, amount_refunded: 500 }),
    { ...aCharge({ customer, amount: 2000, amount_refunded: 500, currency: "eur" }), balance_transaction: bt },
    aCharge({ customer, amount: 5000, status: "failed" }),
  ].map((charge) => readAs("charge", CHARGE, charge));
  const lines = [
    anInvoiceLine({ amount: 2900, product: "prod_pro" }),
    anInvoiceLine({ amount: 1800, product: "prod_seats" }),
    anInvoiceLine({ amount: 5000, product: "prod_onboarding" }),
    anInvoiceLine({ amount: -1000, product: "prod_pro" }),
  ];
  const invoice = readAs("invoice", INVOICE, anInvoice({ customer, total: 6960, lines }));
  const slugs = new Map([["prod_pro", "spend_pro"], ["prod_seats", "spend_seats"]]); // prettier-ignore
  const books = openBooks("usd", slugs);
  for (const charge of charges) addCharge(books, charge);
  addInvoice(books, invoice, Date.UTC(2030, 0) / 1000);
  closeBooks(books);
  const ledger = ledgerOf(books, customer);
  const show = (amount: number, currency = "usd"): string => `${formatMinor(minor(amount), currency)} ${currency}`;
  const rows = rowsIn(marked("example"));

  test("each charge's captured, given back, net and counted amount are the ledger's", () => {
    const computed = charges.map((charge) => {
      const isCounted = netMinor(charge) > 0;
      const parts = [charge.amount_captured, givenBackMinor(charge)].map((amount) => (isCounted ? show(amount, charge.currency) : "")); // prettier-ignore
      return [...parts, show(netMinor(charge), charge.currency), show(settledValue(charge, "usd")?.settled ?? 0)];
    });

    assert.deepEqual(rows.slice(1, 5).map((cells) => cells.slice(1)), computed); // prettier-ignore
    assert.equal(rows[5]?.at(-1), show(ledger.totalMinor));
  });

  test("each invoice line's share and attribute are the ledger's, to the cent", () => {
    const weights = weightsOf(invoice);
    const shares = sharesOf(minor(6960), weights);
    const computed = shares.map(({ product, share }, at) => [
      show(weights[at]?.amount ?? 0),
      `${Math.floor((6960 * (weights[at]?.amount ?? 0)) / 97) / 10000}…`,
      show(share),
      `\`${slugs.get(product) ?? "spend_other"}\``,
    ]);

    assert.deepEqual(rows.slice(7, 10).map((cells) => cells.slice(1)), computed); // prettier-ignore
    assert.deepEqual(rows[10], ["credit for proration", "-10.00 usd", "none", "", ""]);
  });

  test("the total less the three shares is the unallocated revenue that the README states", () => {
    const spend = ["spend_pro", "spend_seats", "spend_other"].map((slug) => formatMinor(ledger.spend.get(slug) ?? minor(0), "usd")); // prettier-ignore
    const sum = [formatMinor(ledger.totalMinor, "usd"), ...spend].join(" - ");

    assert.match(marked("example"), new RegExp(`${sum} = \\*\\*${show(unallocatedMinor(ledger))}\\*\\*`));
  });
});
