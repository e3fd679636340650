// services.ts - what the tests of single sections stand on: servers scripted by the request, clocks that belong to the
// test, and connections to them or to a sandbox.

import { createServer } from "node:http";
import type { ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

import { serve } from "../sandbox/server.ts";
import type { Call as Received, Fault, Reply, SandboxServer } from "../sandbox/server.ts";
import { SANDBOX_ATTIO_KEY } from "../sandbox/attio.ts";
import { SANDBOX_STRIPE_KEY } from "../sandbox/stripe.ts";
import { createPace, readSettings } from "../sync.ts";
import type { Clock, Connection, Environment, Service, Settings } from "../sync.ts";
import { virtualClock } from "./world.ts";

/** Where a helper registers what must be closed: the test's context, or `inScope`'s within one. */
export type Ends = { after(close: () => Promise<void>): void };

/** Closes within a test what one of many runs opened. */
export async function inScope<T>(body: (ends: Ends) => Promise<T>): Promise<T> {
  const closings: (() => Promise<void>)[] = [];
  try {
    return await body({ after: (close) => void closings.push(close) });
  } finally {
    await Promise.all(closings.map((close) => close()));
  }
}

// ---------------------------------------------------------------- Clocks ----

/** A clock on which sleeping takes no time; `waits` has every sleep asked for, in milliseconds. */
export function recordingClock(random: () => number = () => 0.5) {
  const clock = virtualClock();
  const waits: number[] = [];
  const sleep: Clock["sleep"] = (ms, signal) => (waits.push(ms), clock.sleep(ms, signal));
  return { ...clock, random, waits, sleep };
}

/** A clock on which nobody wakes until the test says so, or the signal of the sleep. */
export function heldClock() {
  const waits: number[] = [];
  const sleepers = new Set<{ readonly until: number; readonly wake: () => void }>();
  let watchers: { readonly count: number; readonly tell: () => void }[] = [];
  let nowMs = 0;
  return {
    waits,
    now: () => nowMs,
    elapsed: () => nowMs,
    random: () => 0.5,
    sleep: (ms: number, signal: AbortSignal) =>
      new Promise<void>((wake, reject) => {
        if (signal.aborted) return reject(signal.reason);
        const sleeper = { until: nowMs + ms, wake };
        sleepers.add(sleeper);
        signal.addEventListener("abort", () => (sleepers.delete(sleeper), reject(signal.reason)));
        waits.push(ms);
        for (const { count, tell } of watchers) if (count <= waits.length) tell();
      }),
    /** Resolves once so many sleeps were begun, over all time. */
    slept: (count: number) =>
      new Promise<void>((tell) => {
        watchers = [...watchers, { count, tell }];
        if (count <= waits.length) tell();
      }),
    /** Lets the longest sleep pass, and with it all others. */
    wakeAll() {
      for (const { until } of sleepers) nowMs = Math.max(nowMs, until);
      for (const { wake } of sleepers) wake();
      sleepers.clear();
    },
  };
}

/** A discrete-event clock from 0: every sleep ends at exactly its instant, plus the timer's `latenessMs`. */
export function eventClock(latenessMs: () => number = () => 0) {
  const events: { readonly at: number; readonly act: () => void }[] = [];
  let nowMs = 0;
  return {
    now: () => nowMs,
    elapsed: () => nowMs,
    random: () => 0.5,
    sleep: (ms: number) => new Promise<void>((act) => events.push({ at: nowMs + ms + latenessMs(), act })),
    /** Does something at an instant. */
    at: (ms: number, act: () => void) => void events.push({ at: ms, act }),
    /** Lets time pass, from event to event, until nobody sleeps any more. */
    async run() {
      for (;;) {
        await new Promise((resolve) => setImmediate(resolve)); // whoever was woken acts first
        const [next] = events.toSorted((a, b) => a.at - b.at);
        if (next === undefined) return;
        events.splice(events.indexOf(next), 1);
        nowMs = next.at;
        next.act();
      }
    },
  };
}

// --------------------------------------------------------------- Servers ----

export const DONE: Reply = { status: 200, text: '{"is":"done"}' };

/** A server that gives these answers in this order, and `DONE` from then on. */
export async function scripted(ends: Ends, answers: readonly (Reply | "reset")[]): Promise<SandboxServer> {
  const server = await serve({ handle: () => DONE, routeOf: (method, path) => `${method} ${path}` });
  ends.after(() => server.close());
  let asked = 0;
  server.faultRules.push((): Fault | undefined => {
    const before = answers[asked++];
    return before === undefined ? undefined : { name: "scripted", before };
  });
  return server;
}

/** A server that a test answers by hand, which may be never: `answer` gets each request's number, from 1. */
export async function byHand(ends: Ends, answer: (attempt: number, response: ServerResponse) => void) {
  const counts = { requests: 0 };
  const server = createServer((_, response) => answer((counts.requests += 1), response));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  ends.after(
    () => new Promise((resolve) => (server.close(() => resolve()), server.closeAllConnections())), // prettier-ignore
  );
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}`, counts };
}

/** Rewrites the JSON of one answer, such as a page; the service has done its work. */
export function rewriting(name: string, rewrite: (body: Record<string, unknown>, call: Received) => void): Fault {
  return {
    name,
    after(reply, call) {
      const copy: Record<string, unknown> = { ...JSON.parse(reply.text) };
      rewrite(copy, call);
      return { ...reply, text: JSON.stringify(copy) };
    },
  };
}

/** A refusal by Attio, with this code. */
export function refusal(code: string): Fault {
  const text = JSON.stringify({ status_code: 400, type: "invalid_request_error", code, message: "Not like this." });
  return { name: code, before: { status: 400, text } };
}

// ----------------------------------------------------------- Connections ----

export function aConnection(overrides: Partial<Connection> = {}): Connection {
  const stop = new AbortController().signal;
  return { clock: virtualClock(), stop, onRetry: () => undefined, timeoutMs: 5_000, ...overrides };
}

/** A service without a pace of its own, so that every wait on its clock is a retry's. */
export function aService(base: string, overrides: Partial<Service> = {}): Service & { readonly notes: string[] } {
  const notes: string[] = [];
  const onRetry = (line: string): void => void notes.push(line);
  const connection = aConnection({ clock: recordingClock(), onRetry, ...overrides });
  return {
    ...connection,
    name: "Stripe",
    base,
    headers: { authorization: `Bearer ${SANDBOX_STRIPE_KEY}` },
    quotesWords: true,
    pace: createPace(connection, { all: Infinity, lane: () => Infinity }),
    stats: { requests: 0, retries: 0 },
    cutsInFlight: true,
    notes,
    ...overrides,
  };
}

/** Settings with both sandbox keys. */
export function someSettings(env: Environment): Settings {
  const keys = { STRIPE_API_KEY: SANDBOX_STRIPE_KEY, ATTIO_API_KEY: SANDBOX_ATTIO_KEY };
  return readSettings({ ...keys, ...env }, [], { flags: [], requires: [], help: "" });
}

/** What a promise was rejected with. */
export async function failureOf(promise: Promise<unknown>): Promise<unknown> {
  const [end] = await Promise.allSettled([promise]);
  if (end.status === "fulfilled") throw new Error("nothing failed");
  return end.reason;
}
