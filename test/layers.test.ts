// layers.test.ts - what may stand where in the programs that hold the keys, read as text.

import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { describe, it } from "node:test";

const textOf = (path: string): string => readFileSync(new URL(`../${path}`, import.meta.url), "utf8");

/** Code with its comments taken out; `//` inside an address or a pattern is none. */
const codeOf = (text: string): string =>
  text.replace(/\/\*[\s\S]*?\*\//g, "").replace(/(^|[\s;{}(),])\/\/ .*$/gm, "$1");

const filesIn = (folder: string): string[] =>
  readdirSync(new URL(`../${folder}`, import.meta.url)).map((file) => `${folder}/${file}`);
const COMPANIONS = ["bootstrap-attio.ts", "test-one.ts"];
const PROGRAMS = new Map(["sync.ts", ...COMPANIONS].map((path) => [path, codeOf(textOf(path))]));
/** The code of sync.ts by the names of its sections; what stands above the first is "Head". */
const [, ...parts] = `// - Head -\n${textOf("sync.ts")}`.split(/^\/\/ -+ (\w+) -+$/m).map(codeOf);
const SECTIONS = new Map(parts.flatMap((name, at) => (at % 2 === 0 ? [[name, parts[at + 1] ?? ""] as const] : [])));

const SECTIONS_IN_ORDER = "Head Settings Shapes Money Ledger Plan HTTP Stripe Attio Report Main";

const RULES: readonly (readonly [what: string, pattern: RegExp, places: string, among?: typeof PROGRAMS])[] = [
  ["requests only in HTTP", /\bfetch\(/, "HTTP"],
  ["reaches the network in no other way", /node:(https?|net|tls|http2|dgram)|WebSocket|XMLHttpRequest/, ""],
  ["touches the process only in Main", /(?<!\.)\bprocess\b(?! )/, "Main"],
  ["reads the clock only in Main", /Date\.now|new Date\(\)|performance\./, "Main"],
  ["takes chance only in Main", /Math\.random|randomUUID/, "Main"],
  ["sets timers only in Main", /\bset(Timeout|Interval|Immediate)\(|\bsleep\((?!ms: number)(?<!\.sleep\()/, "Main"],
  ["opens files only in Main", /appendFileSync|writeFileSync|readFileSync/, "Head Main"],
  ["knows other verbs than GET only in HTTP and Attio", /"(POST|PUT|PATCH)"/, "HTTP Attio"],
  ["deletes nothing", /\bDELETE\b/, ""],
  ["imports nothing but Node's own modules and sync.ts", /\bfrom "(?!node:|\.\/sync\.ts")/, "", PROGRAMS],
  ["loads no module at run time", /\bimport\(|\brequire\(|\bimport "/, "", PROGRAMS],
  ["runs no other program, and no code from text", /child_process|node:vm|worker_threads|\beval\(|new Function\(/, "", PROGRAMS],
  ["prints through its log, never to the console", /\bconsole\b/, "", PROGRAMS],
  ["escapes no type", /[:<,|&(]\s*any\b|\bas any\b|\bany\[\]|\bas unknown as\b/, "", PROGRAMS],
]; // prettier-ignore

const placesOf = (pattern: RegExp, among: typeof PROGRAMS = SECTIONS): string =>
  [...among].flatMap(([name, code]) => (pattern.test(code) ? name : [])).join(" ");
for (const [what, pattern, places, among] of RULES) it(what, () => assert.equal(placesOf(pattern, among), places));

describe("sync.ts", () => {
  it("has its sections in the order of the layers", () => {
    assert.equal([...SECTIONS.keys()].join(" "), SECTIONS_IN_ORDER);
  });

  it("keeps Stripe and Attio apart, and the pure sections pure", () => {
    assert.deepEqual([placesOf(/\/v1\//), placesOf(/\/v2\//)], ["Stripe", "Attio"]);
    assert.equal(placesOf(/\basync\b|\bawait\b|\bPromise\b|\bclock\b|\brequest\(/), "HTTP Stripe Attio Main");
  });

  it("can send another verb than GET only to Attio", () => {
    assert.equal(SECTIONS.get("HTTP")?.match(/"(POST|PUT|PATCH)"/g)?.length, 3);
    assert.match(SECTIONS.get("HTTP") ?? "", /readonly method: "GET" \| "POST" \| "PUT" \| "PATCH";/);
    assert.match(SECTIONS.get("Stripe") ?? "", /method: "GET"/);
  });

  it("uses in a section only what is declared in it or above", () => {
    const declaration = /^(?:export )?(?:async )?(?:function\*?|const|class|type) (\w+)/gm;
    const tooEarly = [...SECTIONS].flatMap(([name, text], at) => {
      const code = text.replace(/"(?:[^"\\\n]|\\.)*"/g, '""');
      const later = [...SECTIONS.values()].slice(at + 1).flatMap((below) => [...below.matchAll(declaration)]);
      // A name in lower case may be a parameter elsewhere: of these only a call counts.
      const use = (word: string): RegExp => new RegExp(`(?<![.\\w])${word}${/^[A-Z]/.test(word) ? "\\b(?!:)" : "\\("}`);
      return later.flatMap(([, word = ""]) => (use(word).test(code) ? `${word} in ${name}` : []));
    });
    assert.deepEqual(tooEarly, []);
  });

  /** Parts that tests take by themselves; what is not here is tested through what a program or the benchmark uses. */
  const FOR_TESTS = `VERSION SETTINGS SettingsError readSettings oneLine UnexpectedError INVOICE_LINE INVOICE COUPON CUSTOMER
    SUBSCRIPTION PRODUCT minor addMinor sumMinor parseMinor scaleMinor splitMinor CHARGE needsBalance openBooks addCharge
    addInvoice addSubscription closeBooks closeSubscriptions STATUSES attributeSpecs slugsOf findBrake createPace
    StoppedError STRIPE_LISTS STRIPE_EXTRAS readList readInvoices assertRecord noPeople createPerson stepSummary
    reportOf main`;
  it("exports what a companion, the benchmark or a test uses, and for tests alone a few parts", () => {
    const usedIn = (files: readonly string[]) => {
      const lists = files.flatMap((path) => [...textOf(path).matchAll(/\{([^{}]*)\} from "\.\.?\/sync\.ts"/g)]);
      return new Set(lists.flatMap(([, names = ""]) => names.match(/\w+/g) ?? []));
    };
    const [programs, tests] = [usedIn([...COMPANIONS, ...filesIn("bench")]), usedIn(filesIn("test"))];
    const exported = [...textOf("sync.ts").matchAll(/^export (?:async )?(\w+)\*? (\w+)/gm)];
    const others = exported.flatMap(([, kind, name = ""]) => (programs.has(name) ? [] : { kind, name }));
    assert.deepEqual(others.flatMap(({ name }) => (tests.has(name) ? [] : name)), []); // prettier-ignore
    const forTests = new Set(FOR_TESTS.split(/\s+/));
    assert.deepEqual(others.filter(({ kind, name }) => kind !== "type" && !forTests.has(name)), []); // prettier-ignore
  });
});

describe("the reading guide in the header of sync.ts", () => {
  it("says how many lines there are to read", () => {
    const text = textOf("sync.ts");
    const linesOf = (pattern: RegExp): string => (pattern.exec(text)?.[0].split("\n").length ?? 0).toLocaleString("en");
    const lengthOf = (name: string): string => linesOf(new RegExp(`^export async function ${name}\\b[^]*?^\\}$`, "m"));
    const between = (first: string, last: string): RegExp =>
      new RegExp(`^// -+ ${first} -+$[^]*?(?=\\n// -+ ${last} -)`, "m");
    for (const said of [
      `Shapes to Plan (${linesOf(between("Shapes", "HTTP"))} lines)`,
      `\`readList\` (${lengthOf("readList")} lines)`,
      `HTTP (${linesOf(between("HTTP", "Stripe"))} lines)`,
      `\`assertRecord\`\n// (${lengthOf("assertRecord")} lines)`,
    ])
      assert.ok(text.slice(0, 2000).includes(said), said);
  });
});

describe("every program", () => {
  it("has no function of more than 45 lines, the sandbox neither", () => {
    const functions = /^(?:export )?(?:async )?function\*? (\w+)(?!.*\}$)[\s\S]*?^\}$/gm;
    const long = [...PROGRAMS.keys(), ...filesIn("sandbox")].flatMap((path) => {
      const found = [...textOf(path).matchAll(functions)].map(([text, name]) => [path, name, text.split("\n").length]);
      return found.filter(([, , lines = 0]) => Number(lines) > 45);
    });
    assert.deepEqual(long, []);
  });

  it("has no line of more than 120 columns", () => {
    for (const path of PROGRAMS.keys())
      assert.deepEqual(textOf(path).split("\n").filter(({ length }) => length > 120), [], path); // prettier-ignore
  });

  it("touches the process only in its last line", () => {
    const start = /^if \(import\.meta\.main\) process\.exitCode = await \w+\(processIo\(import\.meta\.dirname\)\);$/;
    for (const path of COMPANIONS) {
      const [last = "", ...above] = (PROGRAMS.get(path) ?? "").trimEnd().split("\n").toReversed();
      assert.match(last, start);
      assert.doesNotMatch(above.join("\n"), /(?<!\.)\bprocess\.|\bfetch\(|Date\.now|new Date\(\)|Math\.random/, path);
    }
  });

  it("has no comment that turns a check off, and needs no installed package", () => {
    for (const path of PROGRAMS.keys())
      assert.doesNotMatch(textOf(path), /@ts-(ignore|nocheck|expect-error)|eslint-disable/, path);
    assert.doesNotMatch(textOf("package.json"), /"(optionalD|d)ependencies"/);
  });
});
