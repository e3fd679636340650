// The files that GitHub runs, held to the rules that keep the keys, the amounts and the schedule safe. They are
// read as text; expressions are evaluated by GitHub's own evaluator, and GitHub's own language service lints them.
import assert from "node:assert/strict";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { registerHooks } from "node:module";
import { describe, test } from "node:test";

// GitHub's packages import JSON without the attribute that Node asks for, as bundlers allow.
registerHooks({
  load: (url, context, nextLoad) =>
    nextLoad(url, url.endsWith(".json") ? { ...context, importAttributes: { type: "json" } } : context),
});
const { validate } = await import("@actions/languageservice");
const { data, Evaluator, Lexer, Parser } = await import("@actions/expressions");
const { TextDocument } = await import("vscode-languageserver-textdocument");

type Step = { readonly title: string; readonly text: string };
type Inputs = Readonly<Record<string, string | boolean>>;
type Run = {
  readonly event: "schedule" | "workflow_dispatch";
  /** As in `github.event.repository.private`; undefined: the payload has no such field. */
  readonly isPrivate?: boolean;
  readonly inputs?: Inputs;
  readonly vars?: Readonly<Record<string, string>>;
};

const root = new URL("../", import.meta.url);
const read = (path: string): string => readFileSync(new URL(path, root), "utf8");
const fileNames = readdirSync(new URL(".github/workflows/", root)).sort();
const workflows = new Map(fileNames.map((fileName) => [fileName, read(`.github/workflows/${fileName}`)]));
const sync = read(".github/workflows/sync.yml");
const ci = read(".github/workflows/ci.yml");
const dependabot = read(".github/dependabot.yml");
const ciRun = read(".ci/run");
const envExample = read(".env.example");

/** The workflow's jobs, each as the text below its name. */
function jobsOf(workflow: string): string[] {
  const [, jobs = ""] = workflow.split(/^jobs:\n/m);
  return jobs.split(/^ {2}[\w-]+:\n/m).slice(1);
}

function stepsOf(workflow: string): Step[] {
  const steps = jobsOf(workflow).flatMap(
    (job) =>
      job
        .split(/^ {4}steps:\n/m)[1]
        ?.split(/^ {6}- /m)
        .slice(1) ?? [],
  );
  return steps.map((text) => ({ title: text.split("\n")[0] ?? "", text }));
}

function stepNamed(name: string): Step {
  const step = stepsOf(sync).find(({ title }) => title === `name: ${name}`);
  assert.ok(step, `sync.yml has no step named ${name}`);
  return step;
}

/** The commands of a step, without the YAML around them; empty for a step that uses an action. */
function commandsOf(step: Step): string {
  const [, inline = "", block = ""] = /^ {8}run: (?:\|\n((?: {10}.*\n?)+)|(.*))/m.exec(step.text) ?? [];
  return inline + block;
}

/** The value of `key: …` where it first occurs in the text, without quotes, `${{ }}` and comment. */
function valueOf(text: string, key: string): string {
  const value = new RegExp(`^ *${key}: (.*?)(?: +#.*)?$`, "m").exec(text)?.[1];
  assert.ok(value !== undefined, `no ${key} in: ${text}`);
  return value.replace(/^\$\{\{ (.*) \}\}$/, "$1").replace(/^"(.*)"$/, "$1");
}

/** What GitHub makes of the expression in such a run. */
function evaluate(expression: string, { event, isPrivate, inputs, vars = {} }: Run): string | boolean {
  const repository = isPrivate === undefined ? {} : { private: isPrivate };
  const github = { event_name: event, event: { repository } };
  const contexts: unknown = JSON.parse(JSON.stringify({ github, inputs: inputs ?? {}, vars }), data.reviver);
  assert.ok(contexts instanceof data.Dictionary);

  const parsed = new Parser(new Lexer(expression).lex().tokens, ["github", "inputs", "vars"], []).parse();
  const value = new Evaluator(parsed, contexts).evaluate();
  return value instanceof data.BooleanData ? value.value : value.coerceString();
}

/** The titles of the steps with a condition that this run takes; the log step, which always runs, left out. */
function stepsTaken(run: Run): string[] {
  const conditional = stepsOf(sync).filter(({ text }) => /^ {8}if: (?!always)/m.test(text));
  return conditional.filter(({ text }) => evaluate(valueOf(text, "if"), run) === true).map(({ title }) => title);
}

const form: Inputs = { what: "sync", dry_run: false, update_only: false, force: false, customer: "" };
const daily: Run = { event: "schedule", isPrivate: true };
const byHand = (changed: Inputs): Run => ({
  event: "workflow_dispatch",
  isPrivate: true,
  inputs: { ...form, ...changed },
});

describe("every workflow", () => {
  for (const [fileName, workflow] of workflows) {
    test(`${fileName} has no fault that GitHub's own checker knows of`, async () => {
      const document = TextDocument.create(`file:///.github/workflows/${fileName}`, "yaml", 1, workflow);

      const faults = await validate(document);

      assert.deepEqual(
        faults.map(({ message, range }) => `line ${range.start.line + 1}: ${message}`),
        [],
      );
    });

    test(`${fileName} pins every action to a commit and names its version beside`, () => {
      const actions = workflow.match(/uses: .*/g) ?? [];

      assert.ok(actions.length > 0);
      for (const action of actions) assert.match(action, /^uses: [\w-]+\/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$/);
    });

    test(`${fileName} grants nothing at the top and each job no more than reading the code`, () => {
      assert.match(workflow, /^permissions: \{\}$/m);
      assert.equal(workflow.match(/permissions:/g)?.length, jobsOf(workflow).length + 1);
      for (const job of jobsOf(workflow)) assert.match(job, /^ {4}permissions:\n {6}contents: read\n(?! {6}\S)/m);
    });

    test(`${fileName} limits the time of every job`, () => {
      assert.ok(jobsOf(workflow).length > 0);
      for (const job of jobsOf(workflow)) assert.match(job, /^ {4}timeout-minutes: \d+$/m);
    });

    test(`${fileName} leaves no token behind after a checkout`, () => {
      const checkouts = stepsOf(workflow).filter(({ title }) => title.includes("actions/checkout@"));

      assert.ok(checkouts.length > 0);
      for (const { text } of checkouts) assert.match(text, /^ {10}persist-credentials: false$/m);
    });

    test(`${fileName} puts no expression into a command line`, () => {
      assert.ok(stepsOf(workflow).some((step) => commandsOf(step) !== ""));
      for (const step of stepsOf(workflow)) assert.doesNotMatch(commandsOf(step), /\$\{\{/);
    });

    test(`${fileName} lets no pipe hide a failure`, () => {
      const piped = stepsOf(workflow).filter((step) => commandsOf(step).includes(" | "));

      for (const step of piped) {
        assert.match(step.text, /^ {8}shell: bash$/m);
        assert.match(commandsOf(step), /^ *set -o pipefail\b/);
      }
    });

    test(`${fileName} mentions a secret only in the environment of a step that runs a program`, () => {
      const stepsWithSecrets = stepsOf(workflow).filter(({ text }) => text.includes("secrets."));
      const inSteps = stepsWithSecrets.flatMap(
        ({ text }) => text.match(/^ {10}\w+: \$\{\{ secrets\.\w+ \}\}$/gm) ?? [],
      );

      assert.equal(inSteps.length, workflow.match(/\bsecrets\b/g)?.length ?? 0);
      for (const step of stepsWithSecrets) assert.match(commandsOf(step), /^ *node [\w-]+\.ts\b/m);
    });

    test(`${fileName} keeps its keys in one order and names every step that runs a command`, () => {
      const keys = [...workflow.matchAll(/^([\w-]+):/gm)].map(([, key]) => key);

      assert.deepEqual(keys, ["name", "on", "permissions", "concurrency", "jobs"]);
      for (const { title, text } of stepsOf(workflow)) {
        if (text.includes("run:")) assert.match(title, /^name: [A-Z]/);
      }
    });

    test(`${fileName} never runs a stranger's code with the repository's rights`, () => {
      assert.doesNotMatch(workflow, /pull_request_target|workflow_run/);
    });
  }

  test("the checker finds a misspelt key, an unknown context and an unknown property", async () => {
    const broken = sync
      .replace("timeout-minutes", "timeout-minuts")
      .replace("vars.CURRENCY", "var.CURRENCY")
      .replace("github.event_name", "github.event_nam");
    // The checker remembers a document by its address: a second text under the same one would not be read.
    const document = TextDocument.create("file:///.github/workflows/broken.yml", "yaml", 1, broken);

    const faults = await validate(document);

    assert.equal(faults.length, 3);
  });
});

describe("sync.yml", () => {
  test("the schedule is once a day and off the full hour", () => {
    const schedules = [...sync.matchAll(/cron: "(.*)"/g)].map(([, cron]) => cron);

    assert.deepEqual(schedules, ["17 7 * * *"]);
  });

  test("the schedule stands in a file without push or pull request, which GitHub would disable with it", () => {
    const [, triggers = ""] = /^on:\n((?: .*\n)+)/m.exec(sync) ?? [];

    assert.deepEqual(triggers.match(/^ {2}\w+/gm), ["  schedule", "  workflow_dispatch"]);
  });

  test("runs never overlap, none is stopped half-way and none that waits is dropped", () => {
    assert.match(sync, /^concurrency:\n {2}group: sync\n {2}cancel-in-progress: false.*\n {2}queue: max.*\njobs:/m);
  });

  test("a run is ended after 90 minutes", () => {
    assert.equal(valueOf(sync, "timeout-minutes"), "90");
  });

  test("no package is installed where the keys are", () => {
    for (const step of stepsOf(sync)) assert.doesNotMatch(commandsOf(step), /\b(?:npm|npx|yarn|pnpm|curl)\b/);
    assert.equal(valueOf(sync, "package-manager-cache"), "false");
  });

  test("Node is the version that the repository names", () => {
    assert.equal(valueOf(sync, "node-version-file"), ".node-version");
  });

  test("only the sync knows the heartbeat address", () => {
    const holders = stepsOf(sync).filter(({ text }) => text.includes("HEARTBEAT_URL"));

    assert.deepEqual(
      holders.map(({ title }) => title),
      ["name: Sync"],
    );
  });

  test("every setting but the sandbox's two reaches the program, keys as secrets and the rest as variables", () => {
    const settings = [...envExample.matchAll(/^([A-Z_]+)=/gm)].map(([, name = ""]) => name);
    const secret = ["STRIPE_API_KEY", "ATTIO_API_KEY", "HEARTBEAT_URL"];

    for (const name of settings.filter((setting) => !setting.endsWith("_API_BASE"))) {
      const value = valueOf(secret.includes(name) ? stepNamed("Sync").text : sync, name);
      assert.ok(value.includes(`${secret.includes(name) ? "secrets" : "vars"}.${name}`), name);
    }
    assert.doesNotMatch(sync, /_API_BASE/);
  });

  test("the log is kept whatever happened, after every step that could fail", () => {
    const { title, text } = stepsOf(sync).at(-1) ?? { title: "", text: "" };

    assert.equal(title, "name: Log");
    assert.equal(valueOf(text, "if"), "always()");
    assert.match(text, /uses: actions\/upload-artifact@/);
    assert.equal(valueOf(text, "path"), "sync.log");
  });

  test("sync and bootstrap write to the log that is kept", () => {
    for (const name of ["Sync", "Bootstrap", "Product suggestions"]) {
      assert.match(commandsOf(stepNamed(name)), /^ *node .* 2>&1 \| tee sync\.log$/m);
    }
  });

  test("the check of one customer leaves no log behind and quotes what a person typed", () => {
    assert.match(commandsOf(stepNamed("One customer")), /^node test-one\.ts "\$CUSTOMER"(?: +#.*)?$/);
    assert.equal(valueOf(stepNamed("One customer").text, "CUSTOMER"), "inputs.customer");
  });

  test("a refused customer check fails before anything else happens", () => {
    const [first] = stepsOf(sync);

    assert.equal(first?.title, "name: Refusal in a public repository");
    assert.match(commandsOf(stepNamed("Refusal in a public repository")), /^ *exit 1$/m);
  });

  const choices: [string, Run, string[]][] = [
    ["the daily run syncs", daily, ["name: Sync"]],
    ["a daily run that cannot tell the repository's visibility syncs", { event: "schedule" }, ["name: Sync"]],
    ["a run by hand syncs unless told otherwise", byHand({}), ["name: Sync"]],
    ["the choice bootstrap runs nothing else", byHand({ what: "bootstrap" }), ["name: Bootstrap"]],
    [
      "the choice suggest products runs nothing else",
      byHand({ what: "suggest products" }),
      ["name: Product suggestions"],
    ],
    ["a customer id replaces the sync", byHand({ customer: "cus_1" }), ["name: One customer"]],
    ["a customer id replaces the bootstrap", byHand({ what: "bootstrap", customer: "cus_1" }), ["name: One customer"]],
    [
      "a customer id is refused in a public repository",
      { ...byHand({ customer: "cus_1" }), isPrivate: false },
      ["name: Refusal in a public repository"],
    ],
    [
      "a customer id is refused where the visibility is unknown",
      { event: "workflow_dispatch", inputs: { ...form, customer: "cus_1" } },
      ["name: Refusal in a public repository"],
    ],
  ];
  for (const [title, run, expected] of choices) {
    test(title, () => assert.deepEqual(stepsTaken(run), expected));
  }

  test("every choice of the form has a step", () => {
    const [, options = ""] = /options:\n((?: {10}- .*\n)+)/.exec(sync) ?? [];
    const names = options.split("\n").flatMap((line) => line.match(/(?<=- ).*/) ?? []);

    assert.deepEqual(names, ["sync", "bootstrap", "suggest products"]);
    for (const what of names) assert.equal(stepsTaken(byHand({ what })).length, 1);
  });

  const amounts: [string, Run, string][] = [
    ["a private repository's log shows amounts", daily, "true"],
    ["a public repository's log shows none", { event: "schedule", isPrivate: false }, "false"],
    ["without a known visibility the log shows none", { event: "schedule" }, "false"],
    ["a variable turns them off in a private repository", { ...daily, vars: { SHOW_AMOUNTS: "0" } }, "0"],
    [
      "a variable does not turn them on in a public repository",
      { event: "schedule", isPrivate: false, vars: { SHOW_AMOUNTS: "1" } },
      "false",
    ],
  ];
  for (const [title, run, expected] of amounts) {
    test(title, () => assert.equal(evaluate(valueOf(sync, "SHOW_AMOUNTS"), run), expected));
  }

  const locks: [string, Run, string | boolean][] = [
    ["the daily run writes", daily, ""],
    ["the variable DRY_RUN holds for the daily run", { ...daily, vars: { DRY_RUN: "1" } }, "1"],
    ["an unticked box does not lift the variable DRY_RUN", { ...byHand({}), vars: { DRY_RUN: "1" } }, "1"],
    ["a ticked box makes a dry run", byHand({ dry_run: true }), true],
    ["a run by hand with no box ticked writes", byHand({}), ""],
  ];
  for (const [title, run, expected] of locks) {
    test(title, () => assert.equal(evaluate(valueOf(sync, "DRY_RUN"), run), expected));
  }

  const boxes: [string, string, string][] = [
    ["UPDATE_ONLY", "update_only", "--update-only"],
    ["FORCE", "force", "--force"],
  ];
  for (const [variable, input, option] of boxes) {
    test(`the box ${input} adds ${option}, and only when it is ticked`, () => {
      const expression = valueOf(stepNamed("Sync").text, variable);

      assert.equal(evaluate(expression, byHand({ [input]: true })), true);
      assert.equal(evaluate(expression, byHand({})), "");
      assert.equal(evaluate(expression, daily), "");
      assert.ok(commandsOf(stepNamed("Sync")).includes(`\${${variable}:+${option}}`));
    });
  }
});

describe("ci.yml and .ci/run", () => {
  test("CI runs on pushes to main and on pull requests", () => {
    assert.match(ci, /^on:\n {2}push:\n {4}branches: \[main\]\n {2}pull_request:\n\S/m);
  });

  test("CI knows no secret", () => {
    assert.doesNotMatch(ci, /secrets/);
  });

  test("CI tries Node 24 and 26, on the Node that it names", () => {
    assert.match(ci, /^ {8}node: \[24, 26\]$/m);
    assert.equal(valueOf(ci, "node-version"), "matrix.node");
    assert.match(ci, /npm ci --ignore-scripts/);
  });

  test("a newer push ends the run of the older one on the same branch only", () => {
    assert.match(ci, /^concurrency:\n {2}group: ci-\$\{\{ github\.ref \}\}\n {2}cancel-in-progress: true$/m);
  });

  test("CI and .ci/run check the same things", () => {
    const inCi = stepsOf(ci).flatMap((step) => commandsOf(step).match(/npm (?:ci|run \w+|test)/) ?? []);
    const inCiRun = [...ciRun.matchAll(/^step (.*)$/gm)].map(([, command]) => command);

    assert.deepEqual(inCi, ["npm ci", "npm run check", "npm test", "npm run demo"]);
    assert.deepEqual(inCiRun, ["npm ci", "npm run check", "npm test", "npm run demo"]);
  });

  test(".ci/run can be run and stops at the first failure", () => {
    assert.equal(statSync(new URL(".ci/run", root)).mode & 0o111, 0o111);
    assert.match(ciRun, /^set -euo pipefail$/m);
  });
});

describe("dependabot.yml", () => {
  for (const ecosystem of ["github-actions", "npm"]) {
    test(`${ecosystem} updates come weekly, in one group, and no sooner than a week after a release`, () => {
      const updates = dependabot.split(/^ {2}- package-ecosystem: /m);

      const update = updates.find((text) => text.startsWith(`${ecosystem}\n`)) ?? "";

      assert.match(update, /^ {6}interval: weekly$/m);
      assert.match(update, /^ {6}default-days: 7\b/m);
      assert.match(update, /^ {4}groups:\n {6}\w+:\n {8}patterns: \["\*"\]$/m);
    });
  }
});

describe(".env.example", () => {
  test("every setting has a line that explains it", () => {
    const [, ...settings] = envExample.trim().split("\n\n");

    assert.ok(settings.length > 0);
    for (const setting of settings) assert.match(setting, /^(?:# .+\n)+[A-Z_]+=\S*$/);
  });

  test("no key, address or unusual value is in it", () => {
    const values = [...envExample.matchAll(/^[A-Z_]+=(.*)$/gm)].map(([, value]) => value);

    assert.deepEqual(
      values.filter((value) => value !== ""),
      ["{}", "7"],
    );
  });

  test("git ignores the file that it is copied to, and the log", () => {
    const ignored = read(".gitignore").split("\n");

    assert.ok(ignored.includes(".env"));
    assert.ok(ignored.includes("sync.log"));
  });
});
