// What README, docs and the other pages say, held against the code: commands are run, settings, options, permissions and
// messages compared, the worked example computed, the picture drawn again.

import { exec, spawn } from "node:child_process";
import assert from "node:assert/strict";
import { cpSync, mkdtempSync, readFileSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { describe, test } from "node:test";
import type { TestContext } from "node:test";
import { promisify } from "node:util";

import { aBalanceTransaction, aCharge, anInvoice, anInvoiceLine } from "../sandbox/objects.ts";
import { demoRecords } from "../sandbox/demo.ts";
import { PICTURE_PATH, drawRecords } from "../docs/picture.ts";
import { CHARGE, INVOICE, SETTINGS, STRIPE_EXTRAS, STRIPE_LISTS, VERSION, attributeSpecs } from "../sync.ts";
import { explainCharge, explainInvoice, formatMinor, minor, openBooks, readAs, slugsOf } from "../sync.ts";
import { runProgramWith } from "./world.ts";

const root = join(import.meta.dirname, "..");
const read = (path: string): string => readFileSync(join(root, path), "utf8");
const readme = read("README.md");
const docs = readdirSync(join(root, "docs")).filter((name) => name.endsWith(".md"));
const names = ["README.md", "SECURITY.md", "DECISIONS.md", "CONTRIBUTING.md", "CHANGELOG.md", ...docs.map((name) => `docs/${name}`)]; // prettier-ignore
const pages = names.map((name) => ({ name, text: read(name) }));
const allPages = pages.map(({ text }) => text).join("\n");
const workflow = read(".github/workflows/sync.yml");
const sync = read("sync.ts");
const programs = [sync, read("bootstrap-attio.ts"), read("test-one.ts"), workflow].join("\n");
const manifest = JSON.parse(read("package.json"));

/** The rows of the tables in a text, heads left out: between `<!-- name -->` and `<!-- /name -->` of whichever page. */
function rowsOf(name: string): string[][] {
  const [, block] = new RegExp(`<!-- ${name} -->\n([^]*?)<!-- /${name} -->`).exec(allPages) ?? [];
  assert.ok(block !== undefined, `no page has <!-- ${name} --> … <!-- /${name} -->`);
  return rowsIn(block);
}

function rowsIn(text: string): string[][] {
  const tables = text.split(/^ *\|[|\s:-]+\|$/m).slice(1);
  const lines = tables.flatMap((table) => table.split("\n\n")[0]?.trim().split("\n") ?? []);
  return lines.map((line) => line.trim().slice(2, -2).split(/ (?<!\\)\| ?/).map((cell) => cell.trim())); // prettier-ignore
}

function codesIn(text: string): string[] {
  return [...text.replace(/^ *```[^]*?^ *```$/gm, "").matchAll(/`([^`\n]+)`/g)].map(([, code = ""]) => code);
}

function fencedIn(text: string, language: string): string[] {
  const blocks = [...text.matchAll(new RegExp(`^ *\`\`\`${language}\n([^]*?)^ *\`\`\`$`, "gm"))];
  return blocks.flatMap(([, block = ""]) => block.split("\n").map((line) => line.trim())).filter(Boolean); // prettier-ignore
}

/** Whether a text holds this, `…` standing for anything on a line. */
function holds(text: string, quoted: string): boolean {
  const parts = quoted.split("…").map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  return new RegExp(parts.join(".*")).test(text);
}

describe("README", () => {
  test("it is short: first command within 60 words, set-up complete by word 900, 2,300 words and 220 lines in all", () => {
    const wordsIn = (text: string): number => text.split(/\s+/).filter(Boolean).length;
    const upTo = (mark: string): number => wordsIn(readme.slice(0, readme.indexOf(mark)));
    const lengths = [upTo("git clone "), upTo("### On your own"), wordsIn(readme), readme.trimEnd().split("\n").length];
    const isShort = lengths.every((length, at) => length <= ([59, 900, 2300, 220][at] ?? 0));
    assert.ok(isShort, lengths.join(", "));
  });

  test("it opens with the picture of the demo's records, which is what the script draws", async () => {
    assert.match(readme, /^# .+\n\n[^#]+?\n\n!\[.+\]\(docs\/records\.svg\)\n/);
    assert.ok(readFileSync(PICTURE_PATH, "utf8") === drawRecords(await demoRecords()), "npm run picture");
  });

  test("no page praises, promises or decorates, and those for users say refunded and not included", () => {
    const praise = /\b(simply|simple|powerful|easy|easily|blazing|seamless|soon|roadmap)\b|\p{Emoji_Presentation}/iu;
    const avoided = /given back|set aside/;
    for (const { name, text } of pages)
      for (const words of /README|docs|SECURITY/.test(name) ? [praise, avoided] : [praise])
        assert.equal(words.exec(text)?.[0], undefined, name);
  });
});

/** All commands of the pages, in code blocks and in sentences, without comments. */
const commands = pages.flatMap(({ text }) => {
  const inline = codesIn(text).filter((code) => /^(npm|node) [^(]*$/.test(code));
  return [...fencedIn(text, "sh"), ...inline].flatMap((line) => line.replace(/ +#.*/, "").split(" && "));
});

/** Not run here: they fetch, install, run this very file, or take long. CI runs most of them. */
const notRun = ["npm ci", "npm test", "npm run check", "npm run format", "npm run bench", "cd stripe-attio-sync"];

describe("commands", () => {
  test("every npm script, program and option that a page names exists", () => {
    const sources: Record<string, string> = { start: "sync.ts", bootstrap: "bootstrap-attio.ts", "test-one": "test-one.ts", demo: "sandbox/demo.ts" }; // prettier-ignore
    assert.ok(commands.length > 15);
    for (const command of commands) {
      const [, tool, script = ""] = /^(npm run|npm|node) ([^ ]+)/.exec(command) ?? [];
      if (tool?.startsWith("npm")) assert.ok(script === "ci" || script in manifest.scripts, command);
      for (const [option] of command.matchAll(/(?<= )--[a-z-]+/g))
        assert.ok(read(sources[script] ?? script).includes(`"${option}"`), command);
    }
  });

  test("the commands for GitHub's command line name inputs, choices and settings that exist", () => {
    const block = fencedIn(readme, "bash").join("\n");
    const named = (pattern: RegExp): string[] => [...block.matchAll(pattern)].map(([, name = ""]) => name);
    for (const name of named(/^gh secret set (\w+)/gm)) assert.ok(workflow.includes(`secrets.${name} `), name);
    for (const name of named(/^gh variable set (\w+)/gm)) assert.ok(workflow.includes(`vars.${name} `), name);
    for (const name of named(/ -f (\w+)=/g)) assert.match(workflow, new RegExp(`^ {6}${name}:$`, "m"));
    for (const name of named(/ -f what="?([\w ]+)/g)) assert.match(workflow, new RegExp(`^ {10}- ${name}$`, "m"));
    assert.equal(named(/^(gh workflow run sync\.yml)/gm).length, 5);
  });

  test("the README's commands, word for word and in order, bring a fresh copy to a second run that writes nothing", async (t) => {
    const copy = aFreshCopy(t);
    const printed = await served(t, copy);
    const settings = [...printed.matchAll(/^export (\w+)='(.*)'$/gm)].map(([, name, value]) => `${name}=${value}\n`);
    const outputs = new Map<string, string>();
    for (const command of fencedIn(readme, "sh").flatMap((line) => line.split(" && "))) {
      if (notRun.includes(command) || command.startsWith("git clone ")) continue;
      const line = asNpmRuns(command).replace("cus_NffrFeUfNV2Hib", /cus_\w+/.exec(printed)?.[0] ?? "");
      outputs.set(command, (await promisify(exec)(line, inside(copy))).stdout);
      if (command === "cp .env.example .env") writeFileSync(join(copy, ".env"), settings.join(""));
    }
    assert.match(outputs.get("npm start -- --dry-run") ?? "", /^done: created=[1-9].*, dry run: nothing was written\)$/m); // prettier-ignore
    assert.match(outputs.get("npm start") ?? "", /^done: created=0 updated=0 refreshed=0 unchanged=\d+ failed=0 /m);
  });
});

/** What npm runs for a command, without the half second that npm itself takes. */
function asNpmRuns(command: string): string {
  const [, name = "", options = ""] = /^npm (?:run )?([\w-]+)(?: -- (.+))?$/.exec(command) ?? [];
  const script = manifest.scripts[name];
  return script === undefined ? command : `${script} ${options}`.trim();
}

/** The files a new user gets, and the packages that `npm ci` would bring. */
function aFreshCopy(t: TestContext): string {
  const copy = mkdtempSync(join(tmpdir(), "docs-"));
  t.after(() => rmSync(copy, { recursive: true, force: true }));
  const paths = ["package.json", ".npmrc", ".env.example", "sync.ts", "bootstrap-attio.ts", "test-one.ts", "sandbox"];
  for (const path of paths) cpSync(join(root, path), join(copy, path), { recursive: true });
  symlinkSync(join(root, "node_modules"), join(copy, "node_modules"));
  return copy;
}

/** Where a command runs: an empty home and no key; `node` is the one that runs this test. */
function inside(cwd: string) {
  return { cwd, env: { HOME: cwd, PATH: `${dirname(process.execPath)}:${process.env["PATH"]}` } };
}

/** What `npm run demo -- --serve` prints; its services are up until the test ends. */
async function served(t: TestContext, directory: string): Promise<string> {
  assert.ok(commands.includes("npm run demo -- --serve"));
  const child = spawn("sh", ["-c", `exec ${asNpmRuns("npm run demo -- --serve")}`], inside(directory));
  t.after(() => child.kill("SIGKILL"));
  let out = "";
  for await (const chunk of child.stdout) {
    out += String(chunk);
    if (out.includes("Ctrl-C")) break;
  }
  return out;
}

describe("settings and options", () => {
  test("the settings table is the one that --help prints, word for word", () => {
    const rows = rowsOf("settings").map((cells) => cells.join(" | ").replaceAll("`", ""));
    assert.deepEqual(rows, SETTINGS.map((setting) => setting.join(" | "))); // prettier-ignore
  });

  test("a setting that any page names exists, and .env.example has each, explained, without a key", () => {
    const known = [...SETTINGS.map(([name]) => name), "HEARTBEAT_URL", "GH_REPO"];
    for (const code of codesIn(allPages)) {
      const [setting = "CURRENCY"] = /^[A-Z][A-Z_]{4,}(?==|$)/.exec(code) ?? [];
      assert.ok(known.includes(setting), code);
    }
    const [, ...entries] = read(".env.example").trim().split("\n\n");
    const explained = entries.map((entry) => /^(?:# .+\n)+([A-Z_]+)=7?$/.exec(entry)?.[1]);
    assert.deepEqual(explained, SETTINGS.map(([name]) => name)); // prettier-ignore
    assert.ok([".env", "sync.log"].every((path) => read(".gitignore").split("\n").includes(path)));
  });

  test("the options table has every option of every program, and no other", async () => {
    const rows = rowsIn(readme).filter(([command]) => command?.startsWith("`node "));
    const documented = rows.map(([command = "", option = ""]) => `${/\w[\w-]+\.ts/.exec(command)} ${option}`);
    const offered: string[] = [];
    for (const program of ["sync", "bootstrap", "test-one"] as const) {
      const { out } = await runProgramWith(program, { env: {}, args: ["--help"] });
      const [, path] = /^usage: node (\S+)/.exec(out) ?? [];
      const options = out.match(/(?<=^ {2})--(?!help|version)[\w-]+/gm) ?? [];
      offered.push(...options.map((option) => `${path} \`${option}\``));
    }
    assert.deepEqual(documented, offered);
  });

  const lists = Object.values(STRIPE_LISTS);
  const permissions = [...lists.map(({ permission }) => permission), ...Object.values(STRIPE_EXTRAS)];
  const slugs = permissions.map(({ slug }): string => slug).toSorted();

  test("the link ticks the permissions of the program, and both tables of them name them as the dashboard does", () => {
    const [, link = ""] = /\((https:\/\/dashboard\.stripe\.com\/apikeys\/create\?[^)]+)\)/.exec(readme) ?? [];
    const rows = rowsIn(readme).filter(([, slug]) => slug?.startsWith("`rak_"));
    assert.deepEqual(new URL(link).searchParams.getAll("permissions[]").toSorted(), slugs);
    assert.deepEqual(rows.map(([, slug = ""]) => slug.replaceAll("`", "")).toSorted(), slugs); // prettier-ignore
    assert.deepEqual([...new Set(read("SECURITY.md").match(/rak_\w+/g))].toSorted(), slugs);
    for (const { name, slug } of permissions)
      assert.equal(rows.find(([, code]) => code === `\`${slug}\``)?.[0]?.split(" › ")[1], name);
  });

  test("the pages name only scopes that the programs ask for, and choices, boxes and times of the workflow", () => {
    for (const [scope] of allPages.matchAll(/\b(object_configuration|record_permission):[a-z-]+/g))
      assert.ok(programs.includes(`"${scope}"`), scope);
    const stated = /name: Sync\n[^]*cron: "17 7 [^]*- sync\n[^]*- bootstrap\n[^]*- suggest products\n[^]*"Dry run: [^]*timeout-minutes: 90\n[^]*name: One customer\n[^]*retention-days: 30\n/; // prettier-ignore
    assert.match(workflow, stated);
    assert.match(readme, /07:17 UTC/);
  });
});

describe("what is explained", () => {
  test("the table of attributes has every attribute of the object, and no other", () => {
    const [, table = ""] = /^## What the numbers mean\n([^]*?)^- /m.exec(readme) ?? [];
    const slugs = rowsIn(table).flatMap(([cell = ""]) => codesIn(cell));
    const wanted = attributeSpecs(slugsOf(new Map([["prod_…", "spend_…"]]))).map(({ slug }) => slug);
    assert.deepEqual(slugs.toSorted(), wanted.toSorted());
  });

  test("every message that is explained is one that a program or the workflow prints", () => {
    const printed = programs.replaceAll("${OBJECT}", "stripe_customers");
    const messages = rowsIn(read("docs/messages.md")).flatMap(([cell = ""]) => codesIn(cell));
    assert.ok(messages.length > 30);
    for (const message of messages) assert.ok(holds(printed, message), message);
  });

  test("every promise of SECURITY.md names code that stands there and a test of that title", () => {
    const titles = readdirSync(join(root, "test")).map((name) => read(`test/${name}`)).join("\n"); // prettier-ignore
    for (const [promise, file = "", code = "", title = ""] of rowsOf("verify")) {
      for (const piece of codesIn(code))
        assert.ok(holds(file === "`sync.yml`" ? workflow : sync, piece), `${promise}: ${piece}`);
      assert.ok(holds(titles, title), `${promise}: ${title}`);
    }
  });

  test("the table of sections has those of sync.ts, in their order", () => {
    const banners = [...sync.matchAll(/^\/\/ -{10,} (\w+) -{4}$/gm)].map(([, name]) => name);
    assert.deepEqual(rowsOf("sections").map(([name]) => name), banners); // prettier-ignore
  });

  test("every file and every heading that a page links to exists", () => {
    const anchor = (title: string): string => title.toLowerCase().replace(/[^\w -]/g, "").replaceAll(" ", "-"); // prettier-ignore
    for (const { name, text } of pages)
      for (const [, target = ""] of text.matchAll(/\]\((?!https:)([^)\s]+)\)/g)) {
        const [path = "", heading] = target.split("#");
        const titles = read(path === "" ? name : join(dirname(name), path)).match(/(?<=^#+ ).+/gm) ?? [];
        assert.ok(heading === undefined || titles.map(anchor).includes(heading), `${name}: ${target}`);
      }
  });

  test("the program, the package and the newest entry of the changelog have one version", () => {
    const [, inChangelog] = /^## \[([\d.]+)\]/m.exec(read("CHANGELOG.md")) ?? [];
    assert.deepEqual([manifest.version, inChangelog], [VERSION, VERSION]);
  });
});

describe("worked example", () => {
  const bt = aBalanceTransaction({ amount: 2165, currency: "usd", exchange_rate: 1.0825 });
  const charges = [
    aCharge({ customer: "cus_1", amount: 6960, amount_refunded: 1000 }),
    aCharge({ customer: "cus_1", amount: 10000, amount_captured: 8000, amount_refunded: 500 }),
    { ...aCharge({ customer: "cus_1", amount: 2000, amount_refunded: 500, currency: "eur" }), balance_transaction: bt },
    aCharge({ customer: "cus_1", amount: 5000, status: "failed" }),
  ].map((charge) => ({ currency: charge.currency, ...explainCharge(readAs("charge", CHARGE, charge), "usd") }));
  const total = charges.reduce((sum, { countedMinor }) => sum + countedMinor, 0);
  const show = (amount: number, currency = "usd"): string => `${formatMinor(minor(amount), currency)} ${currency}`;
  const rows = rowsOf("example");

  test("each charge's captured, refunded, net and counted amount are the ledger's", () => {
    const computed = charges.map(({ currency, capturedMinor, refundedMinor, netMinor, countedMinor }) => {
      const parts = netMinor > 0 ? [show(capturedMinor, currency), show(refundedMinor, currency)] : ["", ""];
      return [...parts, show(netMinor, currency), show(countedMinor)].join(" | ");
    });
    assert.deepEqual(rows.slice(0, 4).map((cells) => cells.slice(1).join(" | ")), computed); // prettier-ignore
    assert.equal(rows[4]?.at(-1), show(total));
  });

  test("each line's share and attribute are the ledger's, and the total less the shares is what is stated", () => {
    const billed = [[2900, "pro"], [1800, "seats"], [5000, "onboarding"], [-1000, "pro"]] as const; // prettier-ignore
    const lines = billed.map(([amount, product]) => anInvoiceLine({ amount, product: `prod_${product}` }));
    const productSlugs = new Map([["prod_pro", "spend_pro"], ["prod_seats", "spend_seats"]]); // prettier-ignore
    const books = openBooks({ currency: "usd", productSlugs }, Date.UTC(2030, 0) / 1000);
    const { shares } = explainInvoice(books, readAs("invoice", INVOICE, anInvoice({ total: 6960, lines })));
    const computed = shares.map(({ line, slug, shareMinor }) => {
      const amount = billed[line]?.[0] ?? 0;
      const exact = `${Math.floor((6960 * amount) / 97) / 10000}…`;
      return `${show(amount)} | ${exact} | ${show(shareMinor)} | \`${slug}\``;
    });
    const parts = shares.map(({ shareMinor }) => shareMinor);
    const sum = [total, ...parts].map((amount) => formatMinor(minor(amount), "usd")).join(" - ");
    const left = parts.reduce((rest, share) => rest - share, total);
    assert.deepEqual(rows.slice(5, 8).map((cells) => cells.slice(1).join(" | ")), computed); // prettier-ignore
    assert.ok(read("DECISIONS.md").includes(`${sum} = **${show(left)}**`));
  });
});
