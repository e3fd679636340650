// http.test.ts - request() and what paces it: every rung of the retry ladder on a real server, waits on the test's clock.

import assert from "node:assert/strict";
import dns from "node:dns";
import { describe, test } from "node:test";

import fc from "fast-check";

import { attioFaults, startAttio } from "../sandbox/attio.ts";
import type { AttioOptions } from "../sandbox/attio.ts";
import { script, seededRandom } from "../sandbox/server.ts";
import type { Reply } from "../sandbox/server.ts";
import { ApiError, StoppedError, connectAttio, connectStripe, createPace, request } from "../sync.ts";
import type { Call, Json, Service } from "../sync.ts";
import { aConnection, aService, byHand, eventClock, failureOf, heldClock, recordingClock } from "./services.ts";
import { scripted, someSettings } from "./services.ts";
import type { Ends } from "./services.ts";

const CHARGES: Call = { method: "GET", path: "/v1/charges" };
const PUT: Call = { method: "PUT", path: "/v2/x", body: {} };
const DONE = { is: "done" };

function reply(status: number, text: string, headers: Record<string, string> = {}): Reply {
  return { status, text, headers };
}

function times<T>(count: number, answer: T): T[] {
  return Array<T>(count).fill(answer);
}

/** A request whose answer is taken as it comes. */
function ask(service: Service, call: Call): Promise<Json> {
  return request(service, call, (json) => json);
}

type Sent = { readonly call?: Call; readonly random?: number } & Partial<Service>;

/** What came of a request to a server that answers so, the waits between its tries, and what was told of them. */
async function send(ends: Ends, answers: readonly (Reply | "reset")[], { call, random = 0.5, ...own }: Sent = {}) {
  const server = await scripted(ends, answers);
  const clock = recordingClock(() => random);
  const service = aService(server.url, { clock, ...own });
  const outcome: unknown = await ask(service, call ?? CHARGES).catch((error: unknown) => error);
  return { outcome, waits: clock.waits, requests: server.counts.requests, service };
}

/** The error of a request that fails for good, and how often it was tried. */
async function refusal(ends: Ends, answers: readonly (Reply | "reset")[], own?: Sent) {
  const { outcome, requests } = await send(ends, answers, own);
  assert.ok(outcome instanceof ApiError, String(outcome));
  return { error: outcome, requests };
}

describe("HTTP: what is tried again", () => {
  const transient: [string, Reply | "reset"][] = [
    ["a 429", reply(429, '{"error":{"code":"rate_limit"}}')],
    ["a 429 with Stripe-Should-Retry: false", reply(429, "{}", { "stripe-should-retry": "false" })],
    ["a 409", reply(409, '{"error":{"code":"lock_timeout"}}')],
    ["a 500", reply(500, '{"error":{"type":"api_error"}}')],
    ["a 502 with HTML", reply(502, "<h1>Bad Gateway</h1>", { "content-type": "text/html" })],
    ["a 503 with nothing", reply(503, "")],
    ["a 200 that is not JSON", reply(200, "<title>Captive portal</title>", { "content-type": "text/html" })],
    ["a 200 whose JSON is no object", reply(200, "[]")],
    ["a 200 without a body", reply(200, "")],
    ["a body cut half-way", { ...reply(200, '{"data":[1,2,3,4]}'), cut: true }],
    ["a reset", "reset"],
    ["a 400 with Stripe-Should-Retry: true", reply(400, "{}", { "stripe-should-retry": "true" })],
  ];
  for (const [title, answer] of transient)
    test(`${title} is tried again after half a second or more`, async (t) => {
      const { outcome, waits, service } = await send(t, [answer], { random: 0 });

      assert.deepEqual([outcome, waits, service.stats], [DONE, [500], { requests: 2, retries: 1 }]);
    });

  const final: [string, Reply][] = [
    ["a 400", reply(400, '{"error":{"message":"no"}}')],
    ["a 401 of Stripe's", reply(401, '{"error":{"message":"no"}}')],
    ["a 403", reply(403, '{"error":{"message":"no"}}')],
    ["a 404", reply(404, '{"error":{"message":"no"}}')],
    ["a 409 slug_conflict, which is an answer,", reply(409, '{"code":"slug_conflict","message":"taken"}')],
    ["a 409 with Stripe-Should-Retry: false", reply(409, "{}", { "stripe-should-retry": "false" })],
    ["a 500 with Stripe-Should-Retry: false", reply(500, "{}", { "stripe-should-retry": "false" })],
  ];
  for (const [title, answer] of final)
    test(`${title} is final`, async (t) => {
      const { error, requests } = await refusal(t, [answer]);

      assert.deepEqual([error.status, requests], [answer.status, 1]);
    });

  for (const [title, isBegun] of [
    ["a server that never answers", false],
    ["a body that stalls half-way", true],
  ] as const)
    // prettier-ignore
    test(`${title} is given up after the time-out and tried again`, async (t) => {
      const server = await byHand(t, (attempt, response) => {
        if (attempt > 1) return void response.end('{"is":"done"}');
        if (isBegun) response.writeHead(200, { "content-length": "1000" }).write('{"data":[');
      });
      const service = aService(server.url, { timeoutMs: 800 });

      assert.deepEqual(await ask(service, CHARGES), DONE);

      assert.deepEqual(service.notes, ["GET /v1/charges, try 2 of 6 in 0.5 s: none within 800 ms"]);
    });

  test("a long body is read whole, also where a chunk ends within a character", async (t) => {
    const sent = { name: "東京💶é".repeat(100_000) };

    assert.deepEqual((await send(t, [reply(200, JSON.stringify(sent))])).outcome, sent);
  });

  const crowded = reply(429, "{}", { "retry-after": "20" });

  test("a 429 costs no try: after twelve of them a reset still has its six", async (t) => {
    const { outcome, requests } = await send(t, [...times(12, crowded), ...times(5, "reset" as const)]);

    assert.deepEqual([outcome, requests], [DONE, 18]);
  });

  test("a 429 that does not end in five minutes is final", async (t) => {
    const { error, requests } = await refusal(t, times(99, crowded), { random: 0 });

    assert.deepEqual([error.status, requests], [429, 16]);
  });
});

describe("HTTP: how long it waits", () => {
  const spread: [string, number, number[]][] = [
    ["double, with six tries in all", 0.5, [500, 1_000, 2_000, 4_000, 8_000]],
    ["are halved by chance, but never below half a second", 0, [500, 500, 1_000, 2_000, 4_000]],
    ["are one and a half of that at most", 1 - 2 ** -53, [750, 1_500, 3_000, 6_000, 12_000]],
  ];
  for (const [title, random, expected] of spread)
    test(`the waits ${title}`, async (t) => {
      const { waits, requests } = await send(t, times(9, "reset" as const), { random });

      assert.deepEqual([waits.map(Math.round), requests], [expected, 6]);
    });

  const serverTime = "Sat, 21 Nov 2026 11:00:00 GMT";
  const told: [string, Record<string, string>, number][] = [
    ["in seconds", { "retry-after": "7" }, 7_050],
    ["of zero seconds, raised to half a second", { "retry-after": "0" }, 500],
    ["of an hour, cut to 30 s", { "retry-after": "3600" }, 30_000],
    ["as a date, by the server's clock", { "retry-after": "Sat, 21 Nov 2026 11:00:09 GMT", date: serverTime }, 9_050],
    ["as a date that has passed", { "retry-after": "Sat, 21 Nov 2026 10:59:00 GMT", date: serverTime }, 500],
    ["as a date, by our clock if it shows none", { "retry-after": "Sat, 21 Nov 2026 07:17:12 GMT", date: "" }, 12_050],
    ["that is neither, ignored for the usual wait", { "retry-after": "soon" }, 500],
  ];
  for (const [title, headers, expected] of told)
    for (const status of [429, 503])
      test(`a ${status} is tried again after a Retry-After ${title}`, async (t) => {
        assert.deepEqual((await send(t, [reply(status, "{}", headers)])).waits, [expected]);
      });

  const others: [string, Reply, number[]][] = [
    ["a 429 holds every other request to the service for as long", reply(429, "{}", { "retry-after": "5" }), [5_050, 5_050]], // prettier-ignore
    ["a 500 holds nobody else", reply(500, "{}"), [500]],
  ];
  for (const [title, answer, expected] of others)
    test(title, async (t) => {
      const server = await scripted(t, [answer]);
      const clock = heldClock();
      const service = aService(server.url, { clock });
      const failed = ask(service, CHARGES);
      await clock.slept(1);

      const other = ask(service, { method: "GET", path: "/v1/customers" });
      await Promise.race([clock.slept(2), other]);

      assert.deepEqual([clock.waits, server.counts.requests], [expected, 3 - expected.length]);
      clock.wakeAll();
      assert.deepEqual(await Promise.all([failed, other]), [DONE, DONE]);
    });
});

describe("HTTP: what a failure says", () => {
  const secret: Call = { method: "POST", path: "/v2/x", query: { q: "secret_query" }, body: { b: "secret_body" } };
  const failing = '{"error":{"type":"api_error","code":"lock_timeout","message":"Try\\u001b[31m later"}}';
  const failed = "Try [31m later [GET /v1/charges -> 500 lock_timeout, request req_123]";
  const said: [string, Call, Reply, string][] = [
    ["method, path, status, code and request id", CHARGES, reply(500, failing, { "request-id": "req_123" }), failed],
    ["neither query nor body nor key", secret, reply(404, "gone"), "the answer is not JSON. [POST /v2/x -> 404]"],
  ];
  for (const [title, call, answer, message] of said)
    test(`it has ${title}`, async (t) => {
      assert.equal((await refusal(t, times(6, answer), { call })).error.message, `Stripe refused: ${message}`);
    });

  test("a server that is not there is tried six times and named; of several addresses the first", async (t) => {
    const server = await scripted(t, []);
    await server.close();
    const both = [{ address: "127.0.0.1", family: 4 }, { address: "::1", family: 6 }]; // prettier-ignore
    t.mock.method(dns, "lookup", (_: string, __: object, answer: (...found: unknown[]) => void) => answer(null, both));

    for (const url of [server.url, server.url.replace("127.0.0.1", "two.example")]) {
      const service = aService(url);
      const error = await failureOf(ask(service, CHARGES));

      assert.ok(error instanceof ApiError);
      assert.match(error.message, /^Stripe gave no answer: connect ECONNREFUSED 127.0.0.1:\d+ \[GET \/v1\/charges -> no answer\]$/); // prettier-ignore
      assert.equal(service.stats.requests, 6);
    }
  });

  const doubts: [string, (Reply | "reset")[], boolean][] = [
    ["a 400 at once", [reply(400, "{}")], false],
    ["a 429 and then a 400", [reply(429, "{}"), reply(400, "{}")], false],
    ["a reset and then a 400", ["reset", reply(400, "{}")], true],
    ["a 500 and then a 400", [reply(500, "{}"), reply(400, "{}")], true],
    ["a 200 that is no JSON and then a 400", [reply(200, "<html>"), reply(400, "{}")], true],
    ["resets only", times(6, "reset" as const), true],
  ];
  for (const [title, answers, expected] of doubts)
    test(`${title} ${expected ? "may" : "cannot"} have had an effect`, async (t) => {
      assert.equal((await refusal(t, answers, { call: PUT })).error.mayHaveTakenEffect, expected);
    });

  test("every wait is told with the request, the next try, the wait and the reason", async (t) => {
    const limited = reply(429, "{}", { "retry-after": "3", "stripe-rate-limited-reason": "endpoint-rate" });

    assert.deepEqual((await send(t, [limited, reply(503, "")])).service.notes, [
      "GET /v1/charges, again in 3.0 s: 429, endpoint-rate",
      "GET /v1/charges, try 2 of 6 in 1.0 s: status 503",
    ]);
  });

  test("what is tried again is summed up: one line at once, then one every ten seconds, each with how many", async (t) => {
    const server = await scripted(t, times(12, reply(429, "{}", { "retry-after": "3" })));
    const lines: string[] = [];
    const onRetry = (line: string): void => void lines.push(line);
    const connection = aConnection({ onRetry, clock: recordingClock(() => 0) });

    await ask(connectStripe(someSettings({ STRIPE_API_BASE: server.url }), connection), CHARGES);

    const latest = "tried again, the latest: GET /v1/charges, again in 3.0 s: 429, too many requests";
    const counts = ["1", "4", "4"]; // twelve waits of 3 s: after 0, 12 and 24 s
    assert.deepEqual(lines, counts.map((count) => `retry    Stripe: ${count} ${latest}`)); // prettier-ignore
  });
});

describe("HTTP: where a key may go", () => {
  for (const status of [301, 302, 303, 307, 308])
    test(`a ${status} is refused and the other server sees nothing`, async (t) => {
      const elsewhere = await scripted(t, []);
      for (const origin of [elsewhere.url, ""]) {
        const { error, requests } = await refusal(t, [reply(status, "", { location: `${origin}/v1/charges` })]);

        assert.match(error.message, /^Stripe refused: it redirects elsewhere, where no key may follow\./);
        assert.equal(requests, 1);
      }
      assert.equal(elsewhere.counts.requests, 0);
    });
});

describe("HTTP: Attio's 401", () => {
  const path = "/v2/objects/people/records/query";
  const QUERY = `POST ${path}`;

  const refused = [`${QUERY} 401`, "GET /v2/self 200"];
  const cases: [title: string, options: AttioOptions, refusals: number, seen: string[]][] = [
    ["is tried again while /v2/self says that the key is active", {}, 2, [...refused, ...refused, `${QUERY} 200`]],
    ["is final once /v2/self says that the key is not active", { keys: [] }, 0, refused],
    ["that stays is given up after six tries", {}, 9, times(6, refused).flat()],
  ];
  for (const [title, options, refusals, seen] of cases)
    test(`a 401 ${title}`, async (t) => {
      const sandbox = await startAttio(options);
      t.after(() => sandbox.close());
      sandbox.faultRules.push(script(QUERY, times(refusals, attioFaults.spurious401)));
      const attio = connectAttio(someSettings({ ATTIO_API_BASE: sandbox.url }), aConnection());
      const call: Call = { method: "POST", path, body: {}, lane: "read" };

      const outcome: unknown = await ask(attio, call).catch((error: unknown) => error);

      const expected = seen.includes(`${QUERY} 200`) ? { data: [] } : "unauthorized";
      assert.deepEqual(outcome instanceof ApiError ? outcome.code : outcome, expected);
      const log = sandbox.log.map(({ route, status }) => `${route} ${status}`);
      assert.deepEqual(log, seen);
    });
});

describe("HTTP: told to stop", () => {
  const reason = new StoppedError("Stopped by SIGTERM");

  const waits: [string, "reset"[], (service: Service) => void, number][] = [
    ["a wait for the next try", ["reset"], () => undefined, 1],
    ["a wait for its turn", [], ({ pace }) => pace.pause(60_000), 0],
  ];
  for (const [title, answers, prepare, sent] of waits)
    test(`${title} ends at once`, async (t) => {
      const server = await scripted(t, answers);
      const stop = new AbortController();
      const clock = heldClock();
      const service = aService(server.url, { clock, stop: stop.signal });
      prepare(service);
      const waiting = failureOf(ask(service, CHARGES));
      await clock.slept(1);

      stop.abort(reason);

      assert.equal(await waiting, reason);
      assert.equal(server.counts.requests, sent);
    });

  test("whoever asks for a turn after that is told so too, also where others had waited", async () => {
    const stop = new AbortController();
    const pace = createPace({ clock: heldClock(), stop: stop.signal }, { all: 1, lane: () => 1 });
    await pace.turn("a");
    const waiting = failureOf(pace.turn("a"));

    stop.abort(reason);

    assert.equal(await waiting, reason);
    const unanswered = new Promise((resolve) => setTimeout(resolve, 200, "no answer"));
    assert.equal(await Promise.race([failureOf(pace.turn("a")), unanswered]), reason);
  });

  test("nothing new is sent", async (t) => {
    const { outcome, requests } = await send(t, [], { stop: AbortSignal.abort(reason) });

    assert.deepEqual([outcome, requests], [reason, 0]);
  });

  const inFlight: [string, number, boolean, (outcome: unknown) => boolean][] = [
    ["what is in flight is cut off while reading", 200, true, (outcome) => outcome === reason],
    ["what is in flight is let to its end while writing", 200, false, (outcome) => JSON.stringify(outcome) === '{"is":"done"}'], // prettier-ignore
    ["a write that fails in flight is not tried again", 500, false, (outcome) => outcome instanceof ApiError],
  ];
  for (const [title, status, cutsInFlight, isExpected] of inFlight)
    test(title, async (t) => {
      const stop = new AbortController();
      const server = await byHand(t, (_, response) => {
        stop.abort(reason);
        response.writeHead(status).end('{"is":"done"}');
      });
      const service = aService(server.url, { stop: stop.signal, cutsInFlight });

      const outcome: unknown = await ask(service, PUT).catch((error: unknown) => error);

      assert.ok(isExpected(outcome), String(outcome));
      assert.equal(server.counts.requests, 1);
    });
});

describe("HTTP: the pace", () => {
  type Arrival = { readonly at: number; readonly lane: string };
  type Rates = Parameters<typeof createPace>[1];
  type Meanwhile = { readonly lateness?: () => number; readonly pause?: [at: number, ms: number] };
  const stop = new AbortController().signal;

  /** When each arrival was let through, in order of passing; the wall clock is set back by an hour meanwhile. */
  async function passings(rates: Rates, arrivals: readonly Arrival[], { lateness, pause }: Meanwhile = {}) {
    const clock = eventClock(lateness);
    const now = (): number => clock.elapsed() + (clock.elapsed() < 60 ? 7_200_000 : 3_600_000);
    const pace = createPace({ clock: { ...clock, now }, stop }, rates);
    const passed: Arrival[] = [];
    if (pause !== undefined) clock.at(pause[0], () => (pace.pause(pause[1]), pace.pause(10)));
    for (const { at, lane } of arrivals)
      clock.at(at, () => void pace.turn(lane).then(() => passed.push({ at: clock.elapsed(), lane })));
    await clock.run();
    return passed;
  }

  function crowd(count: number, lane: string, at = 0): Arrival[] {
    return Array.from({ length: count }, () => ({ at, lane }));
  }

  const twenty = (): number => 20;
  const cases: [string, Rates, Arrival[], string, Meanwhile?][] = [
    ["a crowd passes one by one at even distances, without a burst at the start, though the wall clock is set back",
      { all: 50, lane: twenty }, crowd(5, "a"), "a 0, a 50, a 100, a 150, a 200"],
    ["lanes go beside each other, under the rate of the whole service",
      { all: 40, lane: twenty }, [...crowd(3, "a"), ...crowd(3, "b")], "a 0, b 25, a 50, b 75, a 100, b 125"],
    ["a lane may have a rate of its own",
      { all: 1_000, lane: (name) => (name === "write" ? 10 : 40) }, [...crowd(3, "write"), ...crowd(3, "read", 1)],
      "write 0, read 1, read 26, read 51, write 100, write 200"],
    ["who comes while others wait goes at once, where its lane is free",
      { all: 100, lane: (name) => (name === "slow" ? 1 : 100) }, [...crowd(2, "slow"), ...crowd(2, "b", 500)],
      "slow 0, b 500, b 510, slow 1000"],
    ["a pause holds all lanes, a shorter one does not end it, and afterwards they go on evenly",
      { all: 100, lane: twenty }, [...crowd(4, "a"), ...crowd(3, "b", 500)],
      "a 0, a 50, b 1060, a 1070, b 1110, a 1120, b 1160", { pause: [60, 1_000] }],
    ["an idle time saves nothing up",
      { all: 1_000, lane: twenty }, [...crowd(1, "a"), ...crowd(4, "a", 60_000)],
      "a 0, a 60000, a 60050, a 60100, a 60150"],
  ]; // prettier-ignore
  for (const [title, rates, arrivals, expected, meanwhile] of cases)
    test(title, async () => {
      const passed = await passings(rates, arrivals, meanwhile);

      assert.equal(passed.map(({ at, lane }) => `${lane} ${at}`).join(", "), expected);
    });

  const competitions: [string, number, number[]][] = [
    ["the first has its own rate, the second too, the others share the rest", 50, [80, 80, 20, 20]],
    ["the first has all, but for one a second that each of the others has", 20, [68, 4, 4, 4]],
  ];
  for (const [title, all, expected] of competitions)
    test(`of four lanes at 20/s under ${all}/s ${title}`, async () => {
      const lanes = ["d", "c", "b", "a"];

      const passed = await passings({ all, lane: twenty, first: ["a", "b"] }, lanes.flatMap((lane) => crowd(100, lane))); // prettier-ignore

      const inTime = passed.filter(({ at }) => at < 4_000);
      const counts = lanes.toReversed().map((name) => inTime.filter(({ lane }) => lane === name).length);
      assert.ok(counts.every((count, n) => Math.abs(count - (expected[n] ?? 0)) <= 2), String(counts)); // prettier-ignore
    });

  test("no sleep is shorter than nothing, though time passes between two looks at the clock", async () => {
    const waits: number[] = [];
    let nowMs = 0;
    const sleep = async (ms: number): Promise<void> => void waits.push(ms);
    const clock = { now: () => nowMs, elapsed: () => (nowMs += 30), random: () => 0.5, sleep };
    const pace = createPace({ clock, stop }, { all: 50, lane: twenty });

    await Promise.all(["a", "a", "a"].map(pace.turn));

    assert.ok(waits.length > 0 && waits.every((ms) => ms >= 0), String(waits));
  });

  test("timers that wake late do not lower the rate", async () => {
    const passed = await passings({ all: 20, lane: twenty }, crowd(101, "a"), { lateness: () => 9 });

    assert.equal(passed.at(-1)?.at, 5_009);
  });

  /** The most that lie in any half-open second. */
  function mostInASecond(at: readonly number[]): number {
    return Math.max(0, ...at.map((from) => at.filter((one) => one >= from && one < from + 1_000).length));
  }

  // A timer may wake late, and the pace then keeps its rhythm: so two may come closer than the rate, and a second that
  // begins with the late one holds one more. Never two more: nothing is saved up.
  test("whenever requests arrive, no second sees more of them than the rate and one", async () => {
    const arrival = fc.record({ at: fc.integer({ min: 0, max: 4_000 }), lane: fc.constantFrom("a", "b", "c") });
    const law = fc.asyncProperty(
      fc.array(arrival, { maxLength: 120 }),
      fc.integer({ min: 1, max: 25 }),
      fc.integer({ min: 1, max: 60 }),
      fc.integer({ min: 0, max: 100 }),
      async (arrivals, lane, all, late) => {
        const random = seededRandom(lane);
        const passed = await passings({ all, lane: () => lane }, arrivals, { lateness: () => late * random() });

        assert.equal(passed.length, arrivals.length);
        assert.ok(mostInASecond(passed.map(({ at }) => at)) <= all + 1);
        for (const ofLane of Map.groupBy(passed, (one) => one.lane).values())
          assert.ok(mostInASecond(ofLane.map(({ at }) => at)) <= lane + 1);
      },
    );

    await fc.assert(law, { seed: 1, numRuns: 60, endOnFailure: true });
  });
});
