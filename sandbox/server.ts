// server.ts - what both sandboxes share: an HTTP server on loopback with a log of every request, latency,
// published rate limits, and faults on demand. It knows nothing of Stripe or Attio.

import { createServer } from "node:http";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { performance } from "node:perf_hooks";

/** One request as a service's handler sees it. `route` is the path with its ids replaced, `GET /v1/invoices/{id}/lines`. */
export type Call = {
  readonly method: string;
  readonly path: string;
  readonly route: string;
  readonly query: URLSearchParams;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  /** The parsed JSON body; undefined where none came, `NOT_JSON` where it could not be parsed. */
  readonly body: unknown;
};

export const NOT_JSON: unique symbol = Symbol("a body that is not JSON");

/**
 * What a handler answers. `text` is sent as it is, so that a page can be joined from prepared pieces.
 * `cut` promises the whole text in the headers, sends half of it and hangs up.
 */
export type Reply = { status: number; headers?: Record<string, string>; text: string; cut?: boolean };

/** A request that was answered, or deliberately not answered (`status` 0: the connection was cut). */
export type Exchange = Call & {
  readonly status: number;
  readonly atMs: number;
  readonly fault: string | null;
};

/**
 * What can go wrong with one request. `before` faults answer in place of the service, which never sees the request;
 * `after` faults let the service do its work first (a write takes effect) and then lose or spoil the answer.
 */
export type Fault =
  | { readonly name: string; readonly before: Reply | "reset"; readonly slowMs?: number }
  | {
      readonly name: string;
      readonly after: (reply: Reply, call: Call) => Reply | "reset";
      readonly slowMs?: number;
    };

/** Decides for each request whether it meets a fault. `attempt` counts the requests to this route from 1. */
export type FaultRule = (call: Call, attempt: number) => Fault | undefined;

export type Limits = {
  /** Requests in any one second over all routes, and over one route; Infinity where unlimited. */
  readonly perSecond: number;
  readonly perRoutePerSecond: number;
  /** Narrows which calls the limits count together, such as Attio's reads and writes. */
  readonly classOf?: (call: Call) => { readonly name: string; readonly perSecond: number };
  /** The service's own 429. `reason` is "global" or "route" or the class's name. */
  readonly refuse: (call: Call, reason: string) => Reply;
};

export type ServerOptions = {
  readonly handle: (call: Call) => Reply;
  readonly routeOf: (method: string, path: string) => string;
  readonly latencyMs?: number;
  /** Up to this much is added to the latency, by a seeded generator. */
  readonly jitterMs?: number;
  readonly limits?: Limits;
  readonly seed?: number;
};

export type SandboxServer = {
  readonly url: string;
  readonly log: Exchange[];
  /** Rules are asked in order, the first fault wins; empty by default. */
  readonly faultRules: FaultRule[];
  readonly counts: { requests: number; refused: number };
  close(): Promise<void>;
};

/** A small seeded generator (mulberry32): the same seed gives the same numbers in [0, 1) on every machine. */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

/** Faults for one route, in the order of its requests: `null` lets a request through, after the last all pass. */
export function script(route: string, faults: readonly (Fault | null)[]): FaultRule {
  return (call, attempt) => (call.route === route ? (faults[attempt - 1] ?? undefined) : undefined);
}

/** Faults at a rate over all routes, picked by a seeded generator. */
export function atRate(rate: number, seed: number, faults: readonly Fault[]): FaultRule {
  const random = seededRandom(seed);
  return () => (random() < rate ? faults[Math.floor(random() * faults.length)] : undefined);
}

/** Refuses what goes beyond the published limits, and counts what it refused. */
function createLimiter(limits: Limits, counts: SandboxServer["counts"]): (call: Call) => Reply | undefined {
  const windows = new Map<string, number[]>();

  /** True once `limit` requests of this key lie in the last second; counts this one otherwise. */
  function isOver(key: string, limit: number): boolean {
    if (limit === Infinity) return false;
    const now = performance.now();
    const recent = (windows.get(key) ?? []).filter((at) => at > now - 1000);
    windows.set(key, recent);
    if (recent.length >= limit) return true;
    recent.push(now);
    return false;
  }

  return (call) => {
    const kind = limits.classOf?.(call);
    let reason: string | undefined;
    if (isOver("global", limits.perSecond)) reason = "global";
    else if (isOver(`route ${call.route}`, limits.perRoutePerSecond)) reason = "route";
    else if (kind !== undefined && isOver(`class ${kind.name}`, kind.perSecond)) reason = kind.name;
    if (reason === undefined) return undefined;
    counts.refused += 1;
    return limits.refuse(call, reason);
  };
}

function send(response: ServerResponse, reply: Reply | "reset"): void {
  if (reply === "reset") {
    response.destroy();
    return;
  }
  const bytes = Buffer.from(reply.text);
  const headers = { "content-type": "application/json", "content-length": bytes.length, ...reply.headers };
  response.writeHead(reply.status, headers);
  if (reply.cut === true) response.write(bytes.subarray(0, bytes.length >> 1), () => response.destroy());
  else response.end(bytes);
}

/** The request as a handler sees it, once its whole body has come. */
async function received(request: IncomingMessage, routeOf: ServerOptions["routeOf"]): Promise<Call> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const url = new URL(request.url ?? "/", "http://127.0.0.1");
  const method = request.method ?? "GET";
  const text = Buffer.concat(chunks).toString("utf8");
  return {
    method,
    path: url.pathname,
    route: routeOf(method, url.pathname),
    query: url.searchParams,
    headers: request.headers,
    body: text === "" ? undefined : parseOr(text),
  };
}

function parseOr(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return NOT_JSON;
  }
}

/** Starts a server on 127.0.0.1 at a free port. */
export async function serve(options: ServerOptions): Promise<SandboxServer> {
  const { latencyMs = 0, jitterMs = 0, limits } = options;
  const random = seededRandom(options.seed ?? 1);
  const attempts = new Map<string, number>();
  const counts = { requests: 0, refused: 0 };
  const refusal = limits === undefined ? undefined : createLimiter(limits, counts);

  /** Limits are counted, and writes take effect, when the request arrives; the answer travels later. */
  function answer(call: Call, response: ServerResponse): void {
    const attempt = (attempts.get(call.route) ?? 0) + 1;
    attempts.set(call.route, attempt);
    counts.requests += 1;
    let fault: Fault | undefined;
    for (const rule of result.faultRules) fault ??= rule(call, attempt);
    let reply = fault !== undefined && "before" in fault ? fault.before : (refusal?.(call) ?? options.handle(call));
    if (fault !== undefined && "after" in fault && reply !== "reset") reply = fault.after({ ...reply }, call);
    const status = reply === "reset" ? 0 : reply.status;
    result.log.push({ ...call, status, atMs: performance.now(), fault: fault?.name ?? null });
    const waitMs = latencyMs + jitterMs * random() + (fault?.slowMs ?? 0);
    if (waitMs > 0) setTimeout(() => send(response, reply), waitMs);
    else send(response, reply);
  }

  const server = createServer((request, response) => {
    received(request, options.routeOf).then(
      (call) => answer(call, response),
      () => response.destroy(),
    );
  });
  server.keepAliveTimeout = 60_000;
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const close = (): Promise<void> =>
    new Promise((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  const url = `http://127.0.0.1:${port}`;
  const result: SandboxServer = { url, log: [], faultRules: [], counts, close };
  return result;
}
