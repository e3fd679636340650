// process.test.ts - the programs as processes: exit codes, streams, the file .env, signals, kills, two at once.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import type { TestContext } from "node:test";
import type { Call, FaultRule, SandboxServer } from "../sandbox/server.ts";
import { stripeFaults } from "../sandbox/stripe.ts";
import { SETTINGS, VERSION } from "../sync.ts";
import {
  aNewWorld,
  assertNoSecrets,
  assertRecordsEqual,
  customerIds,
  expectedOf,
  payers,
  start,
  whenSeen,
  writesOf,
} from "./ground.ts";
import { summaryOf } from "./world.ts";
import type { Run, World, WorldOptions } from "./world.ts";

const PROGRAMS = ["sync.ts", "bootstrap-attio.ts", "test-one.ts"];
const CONTROL = /[\u0000-\u0009\u000b-\u001f\u007f\u009b]/;

function isAssert({ route }: Call): boolean {
  return route === "PUT /v2/objects/stripe_customers/records";
}

function aWorldOf(t: TestContext, count: number, options: WorldOptions = {}): Promise<World> {
  return aNewWorld(t, { account: payers(count), ...options });
}

/** Matching requests are answered after a moment: what is sent when one is seen arrives before its answer. */
function slowly(isMatch: (call: Call) => boolean): FaultRule {
  return (call) => (isMatch(call) ? stripeFaults.slow(30) : undefined);
}

type Moment = { on: SandboxServer; isMatch: (call: Call) => boolean; n: number };

/** A child that gets a signal as the n-th matching request arrives. */
async function signalled(world: World, signal: NodeJS.Signals, { on, isMatch, n }: Moment): Promise<Run> {
  const child = start("sync.ts", [], world.env);
  const kill = (): void => void child.process.kill(signal);
  on.faultRules.push(whenSeen(isMatch, n, kill), slowly(isMatch));
  const run = await child.ended;
  on.faultRules.length = 0;
  return run;
}

/** Fails unless a further run leaves exactly the expected records, and the one after that has nothing to do. */
async function assertConverges(world: World): Promise<void> {
  const next = await world.run("sync");
  assert.equal(next.code, 0, next.all);
  assertRecordsEqual(world, expectedOf(world));
  const { created, updated, failed } = summaryOf(await world.run("sync"));
  assert.deepEqual([created, updated, failed], [0, 0, 0]);
}

describe("process: exit codes and streams", { concurrency: 4 }, () => {
  test("a good run exits 0, its report and summary on stdout, its warnings on stderr", async (t) => {
    const world = await aWorldOf(t, 2);

    const run = await start("sync.ts", [], world.env).ended;

    assert.equal(run.code, 0, run.all);
    assert.equal(summaryOf(run).created, 2);
    assert.match(run.out, /^check: both keys work/);
    assert.match(run.err, /^STRIPE_API_BASE is set: .+\nATTIO_API_BASE is set: .+\n$/);
    assert.doesNotMatch(run.all, CONTROL);
  });

  test("wrong options and settings are named all at once with exit 2, before any request", async (t) => {
    const world = await aWorldOf(t, 1);
    const wrong = { STRIPE_API_KEY: "pk_live_123", CURRENCY: "EURO", DRY_RUN: "yes", REFRESH_DAYS: "often" };

    const run = await start("sync.ts", ["--dryrun"], { ...world.env, ...wrong }).ended;

    assert.deepEqual([run.code, run.out], [2, ""]);
    assert.match(run.err, /^5 things to put right:\n  - "--dryrun" is not an option\. Options: --dry-run, /m);
    for (const name of Object.keys(wrong)) assert.match(run.err, new RegExp(`^  - ${name} `, "m"));
    assert.match(run.err, /\nNothing was requested\.\n$/);
    assert.deepEqual([world.stripe.log, world.attio.log], [[], []]);
  });

  for (const program of PROGRAMS) {
    test(`${program} --help shows usage, options and settings without any setting, and exits 0`, async () => {
      const run = await start(program, ["--help"], {}).ended;

      assert.deepEqual([run.code, run.err], [0, ""]);
      assert.ok(run.out.startsWith(`usage: node ${program} `), run.out);
      assert.match(run.out, /^exit codes: 0 /m);
      for (const [name] of SETTINGS) if (program === "sync.ts") assert.match(run.out, new RegExp(`^  ${name} `, "m"));
    });

    test(`${program} --version says its version and exits 0`, async () => {
      const run = await start(program, ["--version"], {}).ended;

      assert.deepEqual([run.code, run.out, run.err], [0, `stripe-attio-sync ${VERSION}\n`, ""]);
    });

    test(`${program} says that Node is too old and exits 2, whatever it was asked`, async () => {
      const older = "Object.defineProperty(process.versions,'node',{value:'24.11.1'})";
      const env = { NODE_OPTIONS: `--import=data:text/javascript,${older}` };

      const run = await start(program, ["--dry-run"], env).ended;

      assert.deepEqual([run.code, run.out], [2, ""]);
      assert.match(run.err, /^Node 24\.11\.1 is too old: 24\.12 is needed\..+npm ci.+\n$/);
    });
  }

  test("every program reads the file .env beside it, wherever it is started; what is set already wins", (t) => {
    const folder = mkdtempSync(join(tmpdir(), "sync-"));
    t.after(() => rmSync(folder, { recursive: true }));
    for (const file of [...PROGRAMS, "package.json"])
      copyFileSync(join(import.meta.dirname, "..", file), join(folder, file));
    writeFileSync(join(folder, ".env"), "CURRENCY=quid\nREFRESH_DAYS=often\n");
    for (const program of PROGRAMS) {
      const options = { encoding: "utf8", env: { REFRESH_DAYS: "weekly" } } as const;
      const { status, stderr } = spawnSync(process.execPath, [join(folder, program)], options);
      assert.equal(status, 2, program);
      assert.match(stderr, /CURRENCY is "quid"[^]+REFRESH_DAYS is "weekly"/);
    }
  });
});

describe("process: signals and kills", { concurrency: 4 }, () => {
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    test(`${signal} while reading ends the run with exit 1 before any write`, async (t) => {
      const world = await aWorldOf(t, 150);
      const isRead = ({ query }: Call): boolean => query.get("limit") === "100";

      const run = await signalled(world, signal, { on: world.stripe, isMatch: isRead, n: 3 });

      assert.equal(run.code, 1, run.all);
      assert.match(run.err, new RegExp(`Stopped by ${signal}\\nNothing was written\\.\\n$`));
      assert.doesNotMatch(run.all, /done:|\n {4}at /);
      assert.deepEqual(world.attio.records("stripe_customers"), []);
    });

    test(`${signal} while writing starts no new write, lets those in flight end, and sums up`, async (t) => {
      const world = await aWorldOf(t, 20);

      const run = await signalled(world, signal, { on: world.attio, isMatch: isAssert, n: 3 });

      assert.equal(run.code, 1, run.all);
      const { created, failed } = summaryOf(run);
      assert.equal(failed, 0);
      assert.ok(created >= 3 && created < 20, `${created}`);
      assert.equal(world.attio.records("stripe_customers").length, created);
      assert.equal(writesOf(world.attio).filter(isAssert).length, created);
      const said = `Stopped by ${signal}: ${created} of 20 changes were written, ${20 - created} were not tried.`;
      assert.ok(run.err.includes(said), run.err);
      await assertConverges(world);
    });
  }

  test("SIGKILL while writing leaves whole records only, and the next run converges", async (t) => {
    const world = await aWorldOf(t, 20);

    const run = await signalled(world, "SIGKILL", { on: world.attio, isMatch: isAssert, n: 6 });

    assert.equal(run.code, -1);
    const written = customerIds(world);
    assert.ok(written.length >= 6 && written.length < 20, `${written.length}`);
    const all = expectedOf(world);
    for (const id of all.keys()) if (!written.includes(id)) all.delete(id);
    assertRecordsEqual(world, all);
    await assertConverges(world);
  });

  test("SIGKILL between a new person and the record leaves no second person after the next run", async (t) => {
    const world = await aWorldOf(t, 10, { env: { CREATE_PEOPLE: "1" } });
    const isPerson = ({ route }: Call): boolean => route === "POST /v2/objects/people/records";

    await signalled(world, "SIGKILL", { on: world.attio, isMatch: isPerson, n: 3 });

    await assertConverges(world);
    assert.equal(world.attio.records("people").length, 10);
  });

  test("two runs at once, slowed down by Attio's 25 writes a second, leave one record and person each", async (t) => {
    const options = { bootstraps: false, attio: { limits: "published" }, env: { CREATE_PEOPLE: "1" } } as const;
    const world = await aWorldOf(t, 20, options);
    assert.equal((await start("bootstrap-attio.ts", [], world.env).ended).code, 0);
    world.attio.faultRules.push(slowly(isAssert));

    const runs = await Promise.all([1, 2].map(() => start("sync.ts", [], world.env).ended));

    for (const run of runs) assert.deepEqual([run.code, summaryOf(run).failed], [0, 0], run.all);
    assert.ok(world.attio.log.some(({ status }) => status === 429)); // the limit was met
    assertRecordsEqual(world, expectedOf(world));
    assert.equal(world.attio.records("people").length, 20);
    assert.equal(summaryOf(await start("sync.ts", [], world.env).ended).unchanged, 20);
  });
});

describe("process: services that cannot be reached", () => {
  test("both are named with the reason, retries are summed up, and a later run is advised", async (t) => {
    const world = await aWorldOf(t, 1);
    await Promise.all([world.stripe.close(), world.attio.close()]);

    const run = await world.run("sync");

    assert.equal(run.code, 1);
    for (const name of ["Stripe", "Attio"]) {
      const why = "connect ECONNREFUSED 127\\.0\\.0\\.1:\\d+";
      assert.match(run.err, new RegExp(`^${name} gave no answer: ${why} \\[GET `, "m"));
      const told = run.err.match(new RegExp(`^retry    ${name}: `, "gm")) ?? [];
      assert.ok(told.length >= 1 && told.length <= 10, run.err); // of 20 tries; time passes fast on this clock
    }
    assert.match(run.err, /Run it again later\.\nNothing was written\.\n$/);
  });

  test("one alone is named, with the same advice", async (t) => {
    const world = await aWorldOf(t, 1);
    await world.attio.close();

    const run = await world.run("sync");

    assert.match(run.err, /^Attio gave no answer: .+ Run it again later\.\nNothing was written\.\n$/m);
    assert.doesNotMatch(run.err, /Stripe gave no answer/);
  });
});

describe("process: progress", () => {
  for (const isTerminal of [false, true])
    test(`progress ${isTerminal ? "is drawn over one line on a terminal" : "in a pipe is plain lines"}`, async (t) => {
      const world = await aWorldOf(t, 3);
      const every = (_: number, callback: () => void) => (callback(), () => undefined);

      const run = await world.run("sync", [], { isTerminal, every });

      assert.equal(run.code, 0, run.all);
      assert.match(run.out, /reading +\d+ rows from Stripe/);
      assert.match(run.out, /writing +\d+ of 3 records written/);
      assert.equal(CONTROL.test(run.all), isTerminal);
      assert.match(run.out.replaceAll("\r\u001b[2K", "\n"), /\ndone: created=3 .+\)\n$/);
    });
});

test("no run and no process of this file printed a key", () => {
  assertNoSecrets();
});
