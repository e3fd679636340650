// layers.test.ts - what may stand where in the programs that hold the keys, read as text.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";

const PROGRAMS = ["sync.ts", "bootstrap-attio.ts", "test-one.ts"] as const;

function textOf(path: string): string {
  return readFileSync(new URL(`../${path}`, import.meta.url), "utf8");
}

/** Code with its comments taken out; `//` inside an address or a pattern is none. */
function withoutComments(code: string): string {
  return code.replace(/\/\*[\s\S]*?\*\//g, "").replace(/(^|[\s;{}(),])\/\/ .*$/gm, "$1");
}

/** The sections of sync.ts by the name in their banner, without comments; what stands above the first is "Head". */
const sections = new Map<string, string>();
{
  const [head = "", ...parts] = textOf("sync.ts").split(/^\/\/ -+ (\w+) -+$/m);
  sections.set("Head", withoutComments(head));
  for (let at = 0; at < parts.length; at += 2) sections.set(parts[at] ?? "", withoutComments(parts[at + 1] ?? ""));
}

/** The sections, or the programs, whose code holds this. */
function holdersOf(pattern: RegExp, among: ReadonlyMap<string, string> = sections): string[] {
  return [...among].filter(([, code]) => pattern.test(code)).map(([name]) => name);
}

const programs = new Map(PROGRAMS.map((path) => [path, withoutComments(textOf(path))]));

describe("sync.ts", () => {
  it("has its sections in the order of the layers", () => {
    assert.deepEqual(
      [...sections.keys()],
      ["Head", "Settings", "Shapes", "Money", "Ledger", "Plan", "HTTP", "Stripe", "Attio", "Report", "Main"],
    );
  });

  it("requests only in HTTP", () => {
    assert.deepEqual(holdersOf(/\bfetch\(/), ["HTTP"]);
    assert.deepEqual(holdersOf(/node:(https?|net|tls|http2|dgram)|WebSocket|XMLHttpRequest/), []);
  });

  it("touches the process, the clock and chance only in Main", () => {
    assert.deepEqual(holdersOf(/(?<!\.)\bprocess\b(?! )/), ["Main"]);
    assert.deepEqual(holdersOf(/Date\.now|new Date\(\)|performance\./), ["Main"]);
    assert.deepEqual(holdersOf(/Math\.random|randomUUID/), ["Main"]);
    assert.deepEqual(holdersOf(/\bset(Timeout|Interval|Immediate)\(/), ["Main"]);
    assert.deepEqual(holdersOf(/\bsleep\((?!ms: number)(?<!\.sleep\()/), ["Main"]);
    assert.deepEqual(holdersOf(/appendFileSync|writeFileSync|readFileSync/), ["Head", "Main"]);
  });

  it("can send another verb than GET only to Attio", () => {
    const holders = holdersOf(/"(POST|PUT|PATCH)"/);
    assert.deepEqual(holders, ["HTTP", "Attio"]);
    assert.equal(sections.get("HTTP")?.match(/"(POST|PUT|PATCH)"/g)?.length, 3);
    assert.match(sections.get("HTTP") ?? "", /readonly method: "GET" \| "POST" \| "PUT" \| "PATCH";/);
    assert.deepEqual(holdersOf(/\bDELETE\b/), []);
    assert.match(sections.get("Stripe") ?? "", /method: "GET"/);
  });

  it("keeps Stripe and Attio apart, and the pure sections pure", () => {
    assert.deepEqual(holdersOf(/\/v1\//), ["Stripe"]);
    assert.deepEqual(holdersOf(/\/v2\//), ["Attio"]);
    for (const pure of ["Money", "Ledger", "Plan"])
      assert.doesNotMatch(sections.get(pure) ?? "", /\basync\b|\bawait\b|\bPromise\b|\bclock\b|\brequest\(/, pure);
  });

  it("uses in a section only what is declared in it or above", () => {
    const names = [...sections.keys()];
    const tooEarly = names.flatMap((name, at) => {
      const code = (sections.get(name) ?? "").replace(/"(?:[^"\\\n]|\\.)*"/g, '""');
      const declared = names.slice(at + 1).flatMap((later) => declaredIn(later));
      return declared.filter((word) => usePattern(word).test(code)).map((word) => `${word} in ${name}`);
    });
    assert.deepEqual(tooEarly, []);
  });
});

function declaredIn(section: string): string[] {
  const declaration = /^(?:export )?(?:async )?(?:function\*?|const|class|type) (\w+)/gm;
  return [...(sections.get(section) ?? "").matchAll(declaration)].map(([, word = ""]) => word);
}

/** A name in lower case may be a parameter elsewhere: of these only a call counts. */
function usePattern(word: string): RegExp {
  return new RegExp(/^[A-Z]/.test(word) ? `(?<![.\\w])${word}\\b(?!:)` : `(?<![.\\w])${word}\\(`);
}

describe("every program that runs with the keys", () => {
  const importsOf = (code: string): string[] => [...code.matchAll(/\bfrom "(.+?)"/g)].map(([, from = ""]) => from);

  it("imports nothing but Node's own modules and sync.ts", () => {
    for (const [path, code] of programs) {
      for (const from of importsOf(code)) assert.match(from, path === "sync.ts" ? /^node:/ : /^(node:|\.\/sync\.ts$)/);
    }
    assert.deepEqual(holdersOf(/\bimport\(|\brequire\(|\bimport "/, programs), []);
    assert.ok(importsOf(programs.get("test-one.ts") ?? "").includes("./sync.ts"));
  });

  it("runs no other program, no code from text, and loads nothing at run time", () => {
    assert.deepEqual(holdersOf(/child_process|node:vm|worker_threads|\beval\(|new Function\(/, programs), []);
  });

  it("prints through its log, never to the console", () => {
    assert.deepEqual(holdersOf(/\bconsole\b/, programs), []);
  });

  it("touches the process only in its last line", () => {
    for (const path of ["bootstrap-attio.ts", "test-one.ts"] as const) {
      const [last = "", ...above] = (programs.get(path) ?? "").trimEnd().split("\n").toReversed();
      assert.match(
        last,
        /^if \(import\.meta\.main\) process\.exitCode = await \w+\(processIo\(import\.meta\.dirname\)\);$/,
      );
      assert.doesNotMatch(above.join("\n"), /(?<!\.)\bprocess\.|\bfetch\(|Date\.now|new Date\(\)|Math\.random/, path);
    }
  });

  it("has no any, no unchecked comment and no escape from the type check", () => {
    for (const path of PROGRAMS) {
      assert.doesNotMatch(programs.get(path) ?? "", /[:<,|&(]\s*any\b|\bas any\b|\bany\[\]|\bas unknown as\b/, path);
      assert.doesNotMatch(textOf(path), /@ts-(ignore|nocheck|expect-error)|eslint-disable/, path);
    }
  });

  it("needs no installed package: package.json names no dependency at run time", () => {
    const manifest: unknown = JSON.parse(textOf("package.json"));
    assert.ok(typeof manifest === "object" && manifest !== null);
    assert.ok(!("dependencies" in manifest) && !("optionalDependencies" in manifest));
  });
});
