// children.ts - the processes of the benchmark: the sandboxes in one, what is measured in another.

import { fork, spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { fileURLToPath } from "node:url";

import { flag, decimal, int, listOf, readAs, shape, text } from "../sync.ts";

/** How much an account holds; see `largeAccount`. */
export const SIZE = shape({
  charges: int,
  invoices: int,
  customers: int,
  subscriptions: int,
  partialCaptureShare: decimal,
  longInvoiceShare: decimal,
  discountShare: decimal,
  /** Whether every other customer is a person in the CRM. */
  hasPeople: flag,
});
export type Size = ReturnType<typeof SIZE>;

/** How long both services take to answer, from now on. */
export const LATENCY = shape({ latencyMs: int });

/** Requests to a route in each second since the first to either service. */
const ROUTE = shape({ route: text, perSecond: listOf(int) });
const SEEN = shape({
  requests: int,
  refused: int,
  busiestSecond: int,
  busiestRouteSecond: int,
  routes: listOf(ROUTE),
});
const OBSERVATION = shape({ stripe: SEEN, attio: SEEN, writes: int });
/** What the services saw; `writes` are Attio's. */
export type Observation = ReturnType<typeof OBSERVATION>;

const START = shape({ env: listOf(listOf(text)), least: int });
export type ServerStart = ReturnType<typeof START>;

/** Both services over one account, in a process of their own. */
export type Server = {
  readonly env: Readonly<Record<string, string>>;
  /** The fewest Stripe requests that read the account. */
  readonly least: number;
  /** Sets the latency; returns what was seen since it was last set. */
  setLatency(latencyMs: number): Promise<Observation>;
  stop(): void;
};

const fileBeside = (name: string): string => fileURLToPath(new URL(name, import.meta.url));

function nextMessage(child: ChildProcess): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const onExit = (code: number | null): void => reject(new Error(`the sandboxes ended with exit code ${code}`));
    child.once("exit", onExit);
    child.once("message", (message) => {
      child.off("exit", onExit);
      resolve(message);
    });
  });
}

/** Starts both sandboxes, with the Attio object created. */
export async function startServer(size: Size): Promise<Server> {
  const execArgv = ["--max-old-space-size=6000"];
  const child = fork(fileBeside("server.ts"), [JSON.stringify(size)], { execArgv });
  const { env, least } = readAs("start", START, await nextMessage(child));
  return {
    env: Object.fromEntries(env.map(([name = "", value = ""]) => [name, value])),
    least,
    async setLatency(latencyMs) {
      const answer = nextMessage(child);
      child.send({ latencyMs });
      return readAs("observation", OBSERVATION, await answer);
    },
    stop: () => child.disconnect(),
  };
}

const USAGE = shape({ cpuMs: int, parseMs: int, peakKb: int });

/** What one process did and cost. */
export type Measured = {
  readonly seconds: number;
  readonly cpuSeconds: number;
  /** CPU time inside JSON.parse; a part of `cpuSeconds`. */
  readonly parseSeconds: number;
  readonly peakMb: number;
  readonly out: string;
};

/** Runs a program of this repository in a process of its own, with nothing in its environment but `env`. */
export async function measure(
  program: string,
  args: readonly string[],
  env: Readonly<Record<string, string>>,
): Promise<Measured> {
  const startedAt = performance.now();
  const hook = new URL("usage.ts", import.meta.url).href;
  const child = spawn(process.execPath, ["--import", hook, fileBeside(program), ...args], { env });
  let out = "";
  let err = "";
  child.stdout.on("data", (chunk: Buffer) => (out += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (err += chunk.toString()));
  const code = await new Promise((resolve) => child.once("close", resolve));
  if (code !== 0) throw new Error(`${program} ended with exit code ${code}:\n${out}${err}`);
  const usage = readAs("usage", USAGE, JSON.parse(err.trimEnd().split("\n").at(-1) ?? ""));
  return {
    seconds: (performance.now() - startedAt) / 1000,
    cpuSeconds: usage.cpuMs / 1000,
    parseSeconds: usage.parseMs / 1000,
    peakMb: usage.peakKb / 1024,
    out,
  };
}
