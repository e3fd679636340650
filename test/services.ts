// services.ts - what the tests of single sections stand on: servers scripted by the request, clocks that belong to the
// test, and connections to them or to a sandbox.

import { createServer } from "node:http";
import type { IncomingHttpHeaders, ServerResponse } from "node:http";

import { serve } from "../sandbox/server.ts";
import type { Call as Received, Fault, Reply, SandboxServer } from "../sandbox/server.ts";
import { SANDBOX_PRODUCT_SLUGS } from "../sandbox/account.ts";
import { SANDBOX_ATTIO_KEY } from "../sandbox/attio.ts";
import type { AttioSandbox } from "../sandbox/attio.ts";
import { SANDBOX_STRIPE_KEY } from "../sandbox/stripe.ts";
import { OBJECT, STATUSES, attributeSpecs, createPace, readSettings, slugsOf } from "../sync.ts";
import type { Clock, Connection, Environment, Service, Settings } from "../sync.ts";
import { aWorld, virtualClock } from "./world.ts";
import type { World, WorldOptions } from "./world.ts";

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

export type RecordingClock = Clock & {
  /** Every sleep asked for, in milliseconds. */
  readonly waits: number[];
};

/** A clock on which sleeping takes no time and is written down. */
export function recordingClock(random: () => number = () => 0.5): RecordingClock {
  const clock = virtualClock();
  const waits: number[] = [];
  return { ...clock, random, waits, sleep: (ms, signal) => (waits.push(ms), clock.sleep(ms, signal)) };
}

export type HeldClock = RecordingClock & {
  /** Resolves once so many sleeps were begun, over all time. */
  slept(count: number): Promise<void>;
  /** Lets the longest sleep pass, and with it all others. */
  wakeAll(): void;
};

/** A clock on which nobody wakes until the test says so, or the signal of the sleep. */
export function heldClock(): HeldClock {
  const waits: number[] = [];
  const sleepers = new Set<{ readonly until: number; readonly wake: () => void }>();
  let watchers: { readonly count: number; readonly tell: () => void }[] = [];
  let nowMs = 0;
  return {
    waits,
    now: () => nowMs,
    elapsed: () => nowMs,
    random: () => 0.5,
    sleep: (ms, signal) =>
      new Promise((wake, reject) => {
        if (signal.aborted) return reject(signal.reason);
        const sleeper = { until: nowMs + ms, wake };
        sleepers.add(sleeper);
        signal.addEventListener("abort", () => (sleepers.delete(sleeper), reject(signal.reason)));
        waits.push(ms);
        for (const { count, tell } of watchers) if (count <= waits.length) tell();
      }),
    slept: (count) =>
      new Promise((tell) => {
        watchers = [...watchers, { count, tell }];
        if (count <= waits.length) tell();
      }),
    wakeAll() {
      for (const { until } of sleepers) nowMs = Math.max(nowMs, until);
      for (const { wake } of sleepers) wake();
      sleepers.clear();
    },
  };
}

export type EventClock = Clock & {
  /** Does something at an instant. */
  at(ms: number, act: () => void): void;
  /** Lets time pass, from event to event, until nobody sleeps any more. */
  run(): Promise<void>;
};

/** A discrete-event clock from 0: every sleep ends at exactly its instant, plus the timer's `latenessMs`. */
export function eventClock(latenessMs: () => number = () => 0): EventClock {
  const events: { readonly at: number; readonly act: () => void }[] = [];
  let nowMs = 0;
  return {
    now: () => nowMs,
    elapsed: () => nowMs,
    random: () => 0.5,
    sleep: (ms) => new Promise((act) => events.push({ at: nowMs + ms + latenessMs(), act })),
    at: (ms, act) => void events.push({ at: ms, act }),
    async run() {
      for (;;) {
        await new Promise((resolve) => setImmediate(resolve)); // whoever was woken acts first
        const next = events.reduce<(typeof events)[number] | undefined>(
          (first, event) => (first === undefined || event.at < first.at ? event : first),
          undefined,
        );
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

export type HandServer = { readonly url: string; readonly received: { readonly headers: IncomingHttpHeaders }[] };

/** A server that a test answers by hand, which may be never: `answer` gets each request's number, from 1. */
export async function byHand(
  ends: Ends,
  answer: (attempt: number, response: ServerResponse) => void,
): Promise<HandServer> {
  const received: { headers: IncomingHttpHeaders }[] = [];
  const server = createServer((request, response) => {
    received.push({ headers: request.headers });
    answer(received.length, response);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  ends.after(
    () => new Promise((resolve) => (server.close(() => resolve()), server.closeAllConnections())), // prettier-ignore
  );
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the server has no port");
  return { url: `http://127.0.0.1:${address.port}`, received };
}

/** Rewrites the JSON of one answer, such as a page; the service has done its work. */
export function rewriting(name: string, rewrite: (body: Record<string, unknown>, call: Received) => void): Fault {
  return {
    name,
    after(reply, call) {
      const body: unknown = JSON.parse(reply.text);
      if (typeof body !== "object" || body === null) return reply;
      const copy: Record<string, unknown> = { ...body };
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

/** Makes the object as the bootstrap would, without a request. */
export function addObject(attio: AttioSandbox, productSlugs: Readonly<Record<string, string>>): void {
  attio.addObject({ slug: OBJECT, singular: "Stripe customer", plural: "Stripe customers" }); // brings a name
  const reverse = { slug: OBJECT, isMultiselect: true };
  for (const { slug, type, isUnique, target } of attributeSpecs(slugsOf(new Map(Object.entries(productSlugs)))))
    if (slug !== "name")
      attio.addAttribute(OBJECT, {
        slug,
        type,
        isUnique: isUnique === true,
        ...(type === "select" && { options: STATUSES }),
        ...(target !== undefined && { relationship: { object: target, ...reverse } }),
      });
}

/** Both services as `aWorld` starts them, with the object in place. */
export async function aReadyWorld(ends: Ends, options: WorldOptions = {}): Promise<World> {
  const world = await aWorld(ends, { ...options, bootstraps: false });
  addObject(world.attio, SANDBOX_PRODUCT_SLUGS);
  return world;
}

// ----------------------------------------------------------- Connections ----

/** A service without a pace of its own, so that every wait on its clock is a retry's. */
export function aService(base: string, overrides: Partial<Service> = {}): Service & { readonly notes: string[] } {
  const notes: string[] = [];
  const clock = overrides.clock ?? recordingClock();
  const stop = overrides.stop ?? new AbortController().signal;
  return {
    name: "Stripe",
    base,
    headers: { authorization: `Bearer ${SANDBOX_STRIPE_KEY}` },
    quotesWords: true,
    clock,
    pace: createPace({ clock, stop }, { all: Infinity, lane: () => Infinity }),
    timeoutMs: 5_000,
    stats: { requests: 0, retries: 0 },
    stop,
    cutsInFlight: true,
    onRetry: (line) => void notes.push(line),
    notes,
    ...overrides,
  };
}

export function aConnection(overrides: Partial<Connection> = {}): Connection {
  return {
    clock: virtualClock(),
    stop: new AbortController().signal,
    onRetry: () => undefined,
    timeoutMs: 5_000,
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
  return promise.then(
    () => {
      throw new Error("nothing failed");
    },
    (error: unknown) => error,
  );
}
