// The files that GitHub runs, held to the rules that keep the keys, the amounts and the schedule safe. They are read as
// text; GitHub's own language service lints them, its own evaluator computes expressions, bash runs steps as GitHub does.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { registerHooks } from "node:module";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { describe, test } from "node:test";
import type { TestContext } from "node:test";

import { stripeFaults } from "../sandbox/stripe.ts";
import { payers, whenSeen } from "./ground.ts";
import { aWorld } from "./world.ts";

// GitHub's packages import JSON without the attribute that Node asks for, as bundlers allow.
const json = { importAttributes: { type: "json" } };
registerHooks({ load: (url, context, next) => next(url, url.endsWith(".json") ? { ...context, ...json } : context) });
const { validate } = await import("@actions/languageservice");
const { data, Evaluator, Lexer, Parser } = await import("@actions/expressions");
const { TextDocument } = await import("vscode-languageserver-textdocument");

const root = join(import.meta.dirname, "..");
const read = (path: string): string => readFileSync(join(root, path), "utf8");
const sync = read(".github/workflows/sync.yml");
const ci = read(".github/workflows/ci.yml");
const refusal = "Refusal in a public repository";

/** The steps of a workflow, each by its first line without `name: `. */
function stepsOf(workflow: string): Map<string, string> {
  const texts = workflow.split(/^ {6}- /m).slice(1);
  return new Map(texts.map((text) => [text.split("\n")[0]?.replace("name: ", "") ?? "", text]));
}

/** The commands of a step, without the YAML around them; empty for a step that uses an action. */
function commandsOf(step = ""): string {
  const [, block = "", inline = ""] = /^ {8}run: (?:\|\n((?: {10}.*\n?)+)|(.*))/m.exec(step) ?? [];
  return block.replace(/^ {10}/gm, "") + inline.replace(/ +# .*/, "");
}

/** The value of `key: …` where it first occurs in the text, without quotes, `${{ }}` and comment. */
function valueOf(text = "", key: string): string {
  const value = new RegExp(`^ *${key}: (.*?)(?: +#.*)?$`, "m").exec(text)?.[1] ?? "";
  return value.replace(/^\$\{\{ (.*) \}\}$/, "$1").replace(/^"(.*)"$/, "$1");
}

type Contexts = Readonly<Record<string, unknown>>;

/** What GitHub makes of the expression in a run with these contexts. */
function evaluate(expression: string, contexts: Contexts): string | boolean {
  const names = ["github", "inputs", "vars", "secrets", "env", "steps"];
  const all = Object.fromEntries(names.map((name) => [name, contexts[name] ?? {}]));
  const dictionary: unknown = JSON.parse(JSON.stringify(all), data.reviver);
  assert.ok(dictionary instanceof data.Dictionary);
  const parsed = new Parser(new Lexer(expression).lex().tokens, names, []).parse();
  const value = new Evaluator(parsed, dictionary).evaluate();
  return value instanceof data.BooleanData ? value.value : value.coerceString();
}

const isPrivate = { private: true };
const github = (name: string, repository: object = isPrivate) => ({ event_name: name, event: { repository } });
const daily: Contexts = { github: github("schedule") };
const form = { what: "sync", dry_run: false, update_only: false, force: false, customer: "" };
function byHand(inputs: object, repository?: object): Contexts {
  return { github: github("workflow_dispatch", repository), inputs: { ...form, ...inputs } };
}

describe("every workflow", () => {
  for (const fileName of readdirSync(join(root, ".github/workflows"))) {
    const workflow = read(`.github/workflows/${fileName}`);
    test(`${fileName} has no fault that GitHub's own checker knows of`, async () => {
      const faults = await validate(TextDocument.create(`file:///${fileName}`, "yaml", 1, workflow));
      assert.deepEqual(faults, []);
    });

    test(`${fileName} pins every action, leaves no token behind, and grants each job no more than reading the code`, () => {
      for (const action of workflow.match(/uses: .*/g) ?? [])
        assert.match(action, /^uses: [\w-]+\/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$/);
      assert.equal(workflow.match(/checkout@/g)?.length, workflow.match(/persist-credentials: false$/gm)?.length);
      const limited = /^ {4}timeout-minutes: \d+\n {4}permissions:\n {6}contents: read\n(?! {6}\S)/gm;
      assert.equal(workflow.match(limited)?.length, workflow.match(/^ {4}runs-on:/gm)?.length);
      assert.equal(workflow.match(/permissions:/g)?.length, 1 + (workflow.match(limited)?.length ?? 0));
      assert.doesNotMatch(workflow, /pull_request_target|workflow_run/);
    });

    test(`${fileName} has named steps, and no expression in a command line`, () => {
      for (const step of stepsOf(workflow).values()) {
        if (step.includes("run:")) assert.match(step, /^name: [A-Z]/);
        assert.doesNotMatch(commandsOf(step), /\$\{\{/);
      }
    });
  }

  test("the checker finds a misspelt key, an unknown context and an unknown property", async () => {
    const broken = sync.replace("timeout-m", "timeout-M").replace("vars.C", "var.C").replace("event_name", "event_nam");
    // The checker remembers a document by its address: a second text under the same one would not be read.
    const faults = await validate(TextDocument.create("file:///broken.yml", "yaml", 1, broken));
    assert.equal(faults.length, 3);
  });
});

const steps = stepsOf(sync);
const dry = "inputs.dry_run || vars.DRY_RUN";

describe("sync.yml", () => {
  test("it runs once a day off the full hour, in a file without push, which GitHub would disable with it", () => {
    const [, triggers = ""] = /^on:\n((?: .*\n)+)/m.exec(sync) ?? [];
    const stated = triggers.match(/(?<=^ {2})\w+|(?<=cron: )".*"|(?<=^ {10}- ).*/gm)?.join(", ");
    assert.equal(stated, 'schedule, "17 7 * * *", workflow_dispatch, sync, bootstrap, suggest products');
  });

  test("runs never overlap, none that waits is dropped, each ends after 90 minutes, and none installs a package", () => {
    assert.match(sync, /^concurrency:\n {2}group: sync\n {2}cancel-in-progress: false.*\n {2}queue: max.*\njobs:/m);
    const stated = ["timeout-minutes", "package-manager-cache", "node-version-file"].map((key) => valueOf(sync, key));
    assert.deepEqual(stated, ["90", "false", ".node-version"]);
    assert.doesNotMatch(sync, /\b(?:npm|npx|yarn|pnpm)\b/);
  });

  test("a key reaches only the steps that run a program, and the heartbeat's address only its own", () => {
    for (const name of ["Sync", "Bootstrap", "Product suggestions", "One customer"])
      for (const key of ["STRIPE_API_KEY", "ATTIO_API_KEY"])
        assert.equal(valueOf(steps.get(name), key), `secrets.${key}`);
    assert.equal(valueOf(steps.get("Heartbeat"), "HEARTBEAT_URL"), "secrets.HEARTBEAT_URL");
    assert.equal(valueOf(sync, "HAS_HEARTBEAT"), "secrets.HEARTBEAT_URL != ''");
    assert.equal(sync.match(/\bsecrets\b/g)?.length, 10);
    assert.doesNotMatch(ci, /secrets/);
  });

  test("every other setting but the sandbox's two is a variable, and DRY_RUN is the sync's alone", () => {
    const settings = [...read(".env.example").matchAll(/^([A-Z_]+)=/gm)].map(([, name = ""]) => name);
    for (const name of settings.filter((setting) => !/_API_(KEY|BASE)$/.test(setting)))
      if (name !== "HEARTBEAT_URL") assert.ok(valueOf(sync, name).includes(`vars.${name}`), name);
    assert.equal(valueOf(steps.get("Sync"), "DRY_RUN"), dry);
    assert.equal(sync.match(/\bDRY_RUN:/g)?.length, 1);
    assert.doesNotMatch(sync, /_API_BASE/);
  });

  test("every program takes the place of its shell and writes the log that is kept, but for one customer's", () => {
    const log = " > >(tee sync.log) 2>&1";
    for (const [name, command] of [
      ["Sync", "sync.ts ${UPDATE_ONLY:+--update-only} ${FORCE:+--force}" + log],
      ["Bootstrap", "bootstrap-attio.ts ${IS_DRY:+--dry-run}" + log],
      ["Product suggestions", "bootstrap-attio.ts --suggest-products" + log],
      ["One customer", 'test-one.ts "$CUSTOMER"'],
    ] as const)
      assert.equal(commandsOf(steps.get(name)), `exec node ${command}`);
    assert.equal(valueOf(steps.get("One customer"), "CUSTOMER"), "inputs.customer");
    assert.deepEqual([valueOf(steps.get("Log"), "if"), valueOf(steps.get("Log"), "path")], ["always()", "sync.log"]);
    assert.deepEqual([[...steps.keys()][0], [...steps.keys()].at(-1)], [refusal, "Log"]);
    assert.match(commandsOf(steps.get(refusal)), /^exit 1$/m);
  });

  const choices: [string, Contexts, string][] = [
    ["the daily run syncs", daily, "Sync"],
    ["a run by hand syncs unless told otherwise", byHand({}), "Sync"],
    ["the choice bootstrap runs nothing else", byHand({ what: "bootstrap" }), "Bootstrap"],
    ["the choice suggest products runs nothing else", byHand({ what: "suggest products" }), "Product suggestions"],
    ["a customer id replaces the sync", byHand({ customer: "cus_1" }), "One customer"],
    ["a customer id replaces the bootstrap", byHand({ what: "bootstrap", customer: "cus_1" }), "One customer"],
    ["a customer id is refused in a public repository", byHand({ customer: "cus_1" }, { private: false }), refusal],
    ["a customer id is refused where the visibility is unknown", byHand({ customer: "cus_1" }, {}), refusal],
  ];
  for (const [title, contexts, expected] of choices)
    test(title, () => {
      const conditional = [...steps].filter(([step, text]) => step !== "Log" && / if: /.test(text));
      const taken = conditional.filter(([, text]) => evaluate(valueOf(text, "if"), contexts) === true);
      assert.equal(taken.map(([step]) => step).join(), expected);
    });

  const shown = valueOf(sync, "SHOW_AMOUNTS");
  const beats = valueOf(steps.get("Heartbeat"), "if");
  const tests = `(${valueOf(ci, "if")}) == true`;
  const good = { ...daily, env: { HAS_HEARTBEAT: "true" }, steps: { sync: { outcome: "success" } } };
  const values: [string, string, Contexts, string | boolean][] = [
    ["a private repository's log shows amounts", shown, daily, "true"],
    ["a public repository's log shows none", shown, { github: github("schedule", { private: false }) }, "false"],
    ["without a known visibility the log shows none", shown, { github: github("schedule", {}) }, "false"],
    ["a variable hides them in a private repository", shown, { ...daily, vars: { SHOW_AMOUNTS: "0" } }, "0"],
    ["no variable shows them in a public one", shown, { github: github("schedule", {}), vars: { SHOW_AMOUNTS: "1" } }, "false"], // prettier-ignore
    ["the daily run writes", dry, daily, ""],
    ["the variable DRY_RUN holds for the daily run", dry, { ...daily, vars: { DRY_RUN: "1" } }, "1"],
    ["an unticked box does not lift the variable DRY_RUN", dry, { ...byHand({}), vars: { DRY_RUN: "1" } }, "1"],
    ["a ticked box makes a dry bootstrap", valueOf(sync, "IS_DRY"), byHand({ dry_run: true }), true],
    ["an unticked box adds no option", valueOf(sync, "UPDATE_ONLY"), byHand({}), ""],
    ["a ticked box adds its option", valueOf(sync, "FORCE"), byHand({ force: true }), true],
    ["a good run that wrote is told to the watcher", beats, good, true],
    ["so is one where the variable DRY_RUN says no", beats, { ...good, vars: { DRY_RUN: "False" } }, true],
    ["a failed run is not", beats, { ...good, steps: { sync: { outcome: "failure" } } }, false],
    ["a bootstrap is not", beats, { ...good, steps: { sync: { outcome: "skipped" } } }, false],
    ["a dry run is not, by its box", beats, { ...good, ...byHand({ dry_run: true }) }, false],
    ["a dry run is not, by the variable", beats, { ...good, vars: { DRY_RUN: "true" } }, false],
    ["nobody is told where there is no address", beats, { ...good, env: { HAS_HEARTBEAT: "false" } }, false],
    ["CI runs in the template", tests, { github: github("push", { is_template: true }) }, true],
    ["CI runs by hand anywhere", tests, { github: github("workflow_dispatch", { is_template: false }) }, true],
    ["CI does not run in a copy", tests, { github: github("push", { is_template: false }) }, false],
  ];
  for (const [title, expression, contexts, expected] of values)
    test(title, () => assert.equal(evaluate(expression, contexts), expected));
});

/** Runs a step's script as GitHub does: bash with -e and pipefail, in a directory that holds the program. */
function startStep(t: TestContext, name: string, env: Readonly<Record<string, string>>) {
  const directory = mkdtempSync(join(tmpdir(), "step-"));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  cpSync(join(root, "sync.ts"), join(directory, "sync.ts"));
  writeFileSync(join(directory, "step.sh"), commandsOf(steps.get(name)));
  const shell = spawn("bash", ["--noprofile", "--norc", "-eo", "pipefail", "step.sh"], {
    cwd: directory,
    env: { ...env, PATH: `${dirname(process.execPath)}:${process.env["PATH"]}` },
  });
  let out = "";
  for (const stream of [shell.stdout, shell.stderr]) stream.on("data", (chunk: Buffer) => (out += chunk.toString()));
  // Both streams are closed only once every process that holds them, tee too, is gone.
  const ended = new Promise<{ code: number | null; out: string; log: () => string }>((resolve) =>
    shell.on("close", (code) => resolve({ code, out, log: () => readFileSync(join(directory, "sync.log"), "utf8") })),
  );
  return { shell, ended };
}

describe("a step as GitHub runs it", { concurrency: 4 }, () => {
  test("a signal to the shell's process alone ends the sync with its summary, exit code 1 and a whole log", async (t) => {
    const world = await aWorld(t, { account: payers(40), hasPeople: false });
    const { shell, ended } = startStep(t, "Sync", world.env);
    const isWrite = ({ method }: { method: string }): boolean => method === "PUT";
    world.attio.faultRules.push(
      whenSeen(isWrite, 5, () => void shell.kill("SIGINT")),
      (call) => (isWrite(call) ? stripeFaults.slow(30) : undefined),
    );
    const { code, out, log } = await ended;

    assert.deepEqual([code, log()], [1, out]);
    assert.match(out, /^Stopped by SIGINT[^]*^done: created=\d+ updated=0 .+\n$/m);
    assert.ok(world.attio.records("stripe_customers").length < 40);
  });

  test("a program's exit code is the step's", async (t) => {
    const { code, out, log } = await startStep(t, "Sync", {}).ended;
    assert.deepEqual([code, log()], [2, out]);
  });

  for (const status of [200, 500])
    test(`a watcher that answers ${status} never fails the run, and its address is not printed`, async (t) => {
      let requests = 0;
      const server = createServer((_, response) => response.writeHead(status).end(String((requests += 1))));
      await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
      t.after(() => server.close());
      const HEARTBEAT_URL = `http://127.0.0.1:${(server.address() as AddressInfo).port}/ping/not-to-be-printed`;
      const { code, out } = await startStep(t, "Heartbeat", { HEARTBEAT_URL }).ended;

      assert.deepEqual([code, requests], [0, status === 200 ? 1 : 3]);
      assert.match(out, status === 200 ? /^$/ : /^::warning::HEARTBEAT_URL did not answer: .+\n$/);
      assert.ok(!out.includes("not-to-be-printed"));
    });
});

describe("ci.yml, .ci/run and dependabot.yml", () => {
  test("CI and .ci/run check the same things, CI on Node 24 and 26, and .ci/run stops at the first failure", () => {
    const checks = ["npm ci", "npm run check", "npm test", "npm run demo"];
    assert.deepEqual(ci.match(/(?<=run: )npm (?:ci|run \w+|test)/g), checks);
    assert.match(ci, /npm ci --ignore-scripts/);
    assert.deepEqual([valueOf(ci, "node"), valueOf(ci, "node-version")], ["[24, 26]", "matrix.node"]);
    assert.deepEqual(read(".ci/run").match(/(?<=^step ).*/gm), checks);
    assert.equal(statSync(join(root, ".ci/run")).mode & 0o111, 0o111);
    assert.match(read(".ci/run"), /^set -euo pipefail$/m);
  });

  test("a copy is asked about actions only: weekly, in one group, no sooner than a week after a release", () => {
    const dependabot = read(".github/dependabot.yml");
    const stated = ["- package-ecosystem", "interval", "default-days", "patterns"].map((key) =>
      valueOf(dependabot, key),
    );
    assert.deepEqual(stated, ["github-actions", "weekly", "7", '["*"]']);
    assert.equal(dependabot.match(/package-ecosystem/g)?.length, 1);
  });
});
