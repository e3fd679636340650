// world.ts - both sandboxes, a clock that belongs to the test, and a way to run a program against them in this process.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { bootstrap } from "../bootstrap-attio.ts";
import { startAttio } from "../sandbox/attio.ts";
import type { AttioOptions, AttioSandbox } from "../sandbox/attio.ts";
import { seedAccount, seedPeople } from "../sandbox/account.ts";
import { sandboxSettings } from "../sandbox/settings.ts";
import { startStripe } from "../sandbox/stripe.ts";
import type { StripeAccount, StripeOptions, StripeSandbox } from "../sandbox/stripe.ts";
import { seededRandom } from "../sandbox/server.ts";
import { main } from "../sync.ts";
import type { Clock, Io } from "../sync.ts";
import { testOne } from "../test-one.ts";

/** 2026-11-21T07:17:00Z, after everything in the seeded account. */
export const NOW_MS = Date.UTC(2026, 10, 21, 7, 17);

/** A clock that only moves when somebody sleeps: waits take no time, and every run sees the same instants. */
export function virtualClock(startMs = NOW_MS, seed = 1): Clock & { advance(ms: number): void } {
  let elapsedMs = 0;
  return {
    now: () => startMs + elapsedMs,
    elapsed: () => elapsedMs,
    random: seededRandom(seed),
    sleep: async (ms, signal) => {
      signal.throwIfAborted();
      elapsedMs += Math.max(0, ms);
      await new Promise((resolve) => setImmediate(resolve));
      signal.throwIfAborted();
    },
    advance: (ms) => void (elapsedMs += ms),
  };
}

/** What a run printed, and its exit code. */
export type Run = { readonly code: number; readonly out: string; readonly err: string; readonly all: string };

const PROGRAMS = { sync: main, bootstrap, "test-one": testOne } as const;
type Program = keyof typeof PROGRAMS;

/** Everything that any run of this test process printed: searched for secrets at the end. */
export const printed: string[] = [];

/** Runs a program in this process, its output kept; time passes as it sleeps. */
export function runProgramWith(program: Program, io: Partial<Io> & Pick<Io, "env">): Promise<Run> {
  return runIn(PROGRAMS[program], io);
}

/** The same for anything that runs as a program does. */
export async function runIn(run: (io: Io) => Promise<number>, io: Partial<Io> & Pick<Io, "env">): Promise<Run> {
  let out = "";
  let err = "";
  const code = await run({
    args: [],
    clock: virtualClock(),
    stop: new AbortController().signal,
    out: (text) => void (out += text),
    err: (text) => void (err += text),
    isTerminal: false,
    every: () => () => undefined,
    timeoutMs: 5_000,
    ...io,
  });
  printed.push(out, err);
  return { code, out, err, all: out + err };
}

/** A file for a step summary, gone after the test; what it held counts as printed. */
export function aSummaryFile(onEnd: { after(remove: () => Promise<void>): void }): string {
  const folder = mkdtempSync(join(tmpdir(), "stripe-attio-"));
  const file = join(folder, "summary.md");
  writeFileSync(file, "");
  onEnd.after(async () => {
    printed.push(readFileSync(file, "utf8"));
    rmSync(folder, { recursive: true });
  });
  return file;
}

export type World = {
  readonly stripe: StripeSandbox;
  readonly attio: AttioSandbox;
  readonly clock: ReturnType<typeof virtualClock>;
  /** Settings that point at both sandboxes; a test may change them. */
  readonly env: Record<string, string>;
  run(program: Program, args?: readonly string[], io?: Partial<Io>): Promise<Run>;
};

export type WorldOptions = {
  readonly account?: StripeAccount;
  readonly stripe?: StripeOptions;
  readonly attio?: AttioOptions;
  readonly env?: Record<string, string>;
  /** Create the Attio object first; true unless a test is about its absence. */
  readonly bootstraps?: boolean;
  /** Put the people of the seeded account into the CRM. */
  readonly hasPeople?: boolean;
};

/** Starts both services; `onEnd` is the test context's `after`. */
export async function aWorld(
  onEnd: { after(close: () => Promise<void>): void },
  options: WorldOptions = {},
): Promise<World> {
  const account = options.account ?? seedAccount({ customers: 40, seed: 1 });
  const stripe = await startStripe(account, options.stripe);
  onEnd.after(() => stripe.close());
  const attio = await startAttio(options.attio);
  onEnd.after(() => attio.close());
  if (options.hasPeople !== false) for (const person of seedPeople(account)) addPersonTo(attio, person);
  const clock = virtualClock();
  const env = { ...sandboxSettings(stripe, attio), ...options.env };
  const world: World = {
    stripe,
    attio,
    clock,
    env,
    run: (program, args = [], io = {}) => runProgramWith(program, { args, env, clock, ...io }),
  };
  if (options.bootstraps !== false) {
    const { code, all } = await world.run("bootstrap");
    if (code !== 0) throw new Error(`the bootstrap failed:\n${all}`);
  }
  return world;
}

function addPersonTo(attio: AttioSandbox, person: ReturnType<typeof seedPeople>[number]): void {
  const { companyDomain } = person;
  const isKnown = attio.records("companies").some(({ domains }) => String(domains) === companyDomain);
  if (companyDomain !== null && !isKnown) attio.addCompany({ name: companyDomain, domain: companyDomain });
  attio.addPerson({
    firstName: person.firstName,
    lastName: person.lastName,
    emailAddresses: person.emailAddresses,
    ...(companyDomain !== null && { company: companyDomain }),
  });
}

/** The counts of the summary line, which must be the last line on stdout. */
export function summaryOf(run: Run): Record<"created" | "updated" | "refreshed" | "unchanged" | "failed", number> {
  const last = run.out.trimEnd().split("\n").at(-1) ?? "";
  const match = /^done: created=(\d+) updated=(\d+) refreshed=(\d+) unchanged=(\d+) failed=(\d+) \(.+\)$/.exec(last);
  if (match === null) throw new Error(`the last line is no summary: ${last}\n${run.all}`);
  const [created = 0, updated = 0, refreshed = 0, unchanged = 0, failed = 0] = match.slice(1).map(Number);
  return { created, updated, refreshed, unchanged, failed };
}
