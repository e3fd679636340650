// http.test.ts - request() and what paces it: every rung of the retry ladder on a real server, waits on the test's clock.

import assert from "node:assert/strict";
import dns from "node:dns";
import { describe, test } from "node:test";

import fc from "fast-check";

import { attioFaults, startAttio } from "../sandbox/attio.ts";
import { script, seededRandom } from "../sandbox/server.ts";
import type { Reply } from "../sandbox/server.ts";
import { ApiError, StoppedError, connectAttio, connectStripe, createPace, request } from "../sync.ts";
import type { Call } from "../sync.ts";
import { aConnection, aService, byHand, eventClock, failureOf, heldClock, recordingClock } from "./services.ts";
import { scripted, someSettings } from "./services.ts";
import type { Ends, EventClock } from "./services.ts";

const CHARGES: Call = { method: "GET", path: "/v1/charges" };
const TRIED_AGAIN = { is: "done" };

function reply(status: number, text: string, headers: Record<string, string> = {}): Reply {
  return { status, text, headers };
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
  for (const [title, answer] of transient) {
    test(`${title} is tried again after half a second or more`, async (t) => {
      const server = await scripted(t, [answer]);
      const clock = recordingClock(() => 0);
      const service = aService(server.url, { clock });

      assert.deepEqual(await request(service, CHARGES), TRIED_AGAIN);

      assert.deepEqual(clock.waits, [500]);
      assert.deepEqual(service.stats, { requests: 2, retries: 1, throttled: title.startsWith("a 429") ? 1 : 0 });
    });
  }

  const final: [string, Reply][] = [
    ["a 400", reply(400, '{"error":{"message":"no"}}')],
    ["a 401 of Stripe's", reply(401, '{"error":{"message":"no"}}')],
    ["a 403", reply(403, '{"error":{"message":"no"}}')],
    ["a 404", reply(404, '{"error":{"message":"no"}}')],
    ["a 409 slug_conflict, which is an answer,", reply(409, '{"code":"slug_conflict","message":"taken"}')],
    ["a 409 with Stripe-Should-Retry: false", reply(409, "{}", { "stripe-should-retry": "false" })],
    ["a 500 with Stripe-Should-Retry: false", reply(500, "{}", { "stripe-should-retry": "false" })],
  ];
  for (const [title, answer] of final) {
    test(`${title} is final`, async (t) => {
      const server = await scripted(t, [answer]);

      const error = await failureOf(request(aService(server.url), CHARGES));

      assert.ok(error instanceof ApiError);
      assert.equal(error.status, answer.status);
      assert.equal(server.counts.requests, 1);
    });
  }

  test("a server that never answers is given up after the time-out and tried again", async (t) => {
    const server = await byHand(t, (attempt, response) => {
      if (attempt > 1) response.end('{"is":"done"}');
    });
    const service = aService(server.url, { timeoutMs: 800 });

    assert.deepEqual(await request(service, CHARGES), TRIED_AGAIN);

    assert.deepEqual(service.notes, ["GET /v1/charges, try 2 of 6 in 0.5 s: none within 800 ms"]);
  });

  test("a body that stalls half-way is given up after the same time-out and tried again", async (t) => {
    const server = await byHand(t, (attempt, response) => {
      if (attempt > 1) return void response.end('{"is":"done"}');
      response.writeHead(200, { "content-length": "1000" });
      response.write('{"data":[');
    });
    const service = aService(server.url, { timeoutMs: 800 });

    assert.deepEqual(await request(service, CHARGES), TRIED_AGAIN);

    assert.deepEqual(service.notes, ["GET /v1/charges, try 2 of 6 in 0.5 s: none within 800 ms"]);
  });

  test("a long body is read whole, also where a chunk ends within a character", async (t) => {
    const sent = { name: "東京💶é".repeat(100_000) };
    const server = await scripted(t, [reply(200, JSON.stringify(sent))]);

    assert.deepEqual(await request(aService(server.url), CHARGES), sent);
  });

  test("a server that is not there is tried six times and named", async (t) => {
    const server = await scripted(t, []);
    await server.close();

    const error = await failureOf(request(aService(server.url), CHARGES));

    assert.ok(error instanceof ApiError);
    assert.match(
      error.message,
      /^Stripe gave no answer: connect ECONNREFUSED 127.0.0.1:\d+ \[GET \/v1\/charges -> no answer\]$/,
    );
  });
});

describe("HTTP: a crowd", () => {
  const crowded = reply(429, "{}", { "retry-after": "20" });

  test("a 429 costs no try: after twelve of them a reset still has its six", async (t) => {
    const server = await scripted(t, [...Array<Reply>(12).fill(crowded), ...Array<"reset">(5).fill("reset")]);

    assert.deepEqual(await request(aService(server.url), CHARGES), TRIED_AGAIN);

    assert.equal(server.counts.requests, 18);
  });

  test("a 429 that does not end in five minutes is final", async (t) => {
    const server = await scripted(t, Array<Reply>(99).fill(crowded));
    const clock = recordingClock(() => 0);

    const error = await failureOf(request(aService(server.url, { clock }), CHARGES));

    assert.ok(error instanceof ApiError);
    assert.equal(error.status, 429);
    assert.equal(server.counts.requests, 16);
  });
});

describe("HTTP: how long it waits", () => {
  test("the waits double, with six tries in all", async (t) => {
    const server = await scripted(t, Array<"reset">(9).fill("reset"));
    const clock = recordingClock(() => 0.5);

    await failureOf(request(aService(server.url, { clock }), CHARGES));

    assert.deepEqual(clock.waits, [500, 1_000, 2_000, 4_000, 8_000]);
    assert.equal(server.counts.requests, 6);
  });

  test("chance spreads a wait from half to one and a half of it, and never below half a second", async (t) => {
    const answers = Array<"reset">(5).fill("reset");
    const low = recordingClock(() => 0);
    const high = recordingClock(() => 1 - 2 ** -53);

    for (const clock of [low, high]) await request(aService((await scripted(t, answers)).url, { clock }), CHARGES);

    assert.deepEqual(low.waits, [500, 500, 1_000, 2_000, 4_000]);
    assert.deepEqual(high.waits.map(Math.round), [750, 1_500, 3_000, 6_000, 12_000]);
  });

  const serverTime = "Sat, 21 Nov 2026 11:00:00 GMT";
  const told: [string, Record<string, string>, number][] = [
    ["in seconds", { "retry-after": "7" }, 7_050],
    ["of zero seconds, raised to half a second", { "retry-after": "0" }, 500],
    ["of an hour, cut to 30 s", { "retry-after": "3600" }, 30_000],
    ["as a date, by the server's clock", { "retry-after": "Sat, 21 Nov 2026 11:00:09 GMT", date: serverTime }, 9_050],
    ["as a date that has passed", { "retry-after": "Sat, 21 Nov 2026 10:59:00 GMT", date: serverTime }, 500],
    ["that is neither, ignored for the usual wait", { "retry-after": "soon" }, 500],
  ];
  for (const [title, headers, expected] of told) {
    for (const status of [429, 503]) {
      test(`a ${status} is tried again after a Retry-After ${title}`, async (t) => {
        const server = await scripted(t, [reply(status, "{}", headers)]);
        const clock = recordingClock(() => 0.5);

        await request(aService(server.url, { clock }), CHARGES);

        assert.deepEqual(clock.waits, [expected]);
      });
    }
  }

  test("a Retry-After date from a server that shows no time is measured by our clock", async (t) => {
    const server = await byHand(t, (attempt, response) => {
      response.sendDate = false;
      if (attempt > 1) return void response.end('{"is":"done"}');
      response.writeHead(429, { "retry-after": "Sat, 21 Nov 2026 07:17:12 GMT" }).end("{}"); // 12 s after NOW_MS
    });
    const clock = recordingClock(() => 0.5);

    await request(aService(server.url, { clock }), CHARGES);

    assert.deepEqual(clock.waits, [12_050]);
  });

  test("a 429 holds every other request to the service for as long", async (t) => {
    const server = await scripted(t, [reply(429, "{}", { "retry-after": "5" })]);
    const clock = heldClock();
    const service = aService(server.url, { clock });
    const throttled = request(service, CHARGES);
    await clock.slept(1);

    const other = request(service, { method: "GET", path: "/v1/customers" });
    await Promise.race([clock.slept(2), other]);

    assert.deepEqual(clock.waits, [5_050, 5_050]);
    assert.equal(server.counts.requests, 1);
    clock.wakeAll();
    assert.deepEqual(await Promise.all([throttled, other]), [TRIED_AGAIN, TRIED_AGAIN]);
  });

  test("a 500 holds nobody else", async (t) => {
    const server = await scripted(t, [reply(500, "{}")]);
    const clock = heldClock();
    const service = aService(server.url, { clock });
    const failed = request(service, CHARGES);
    await clock.slept(1);

    assert.deepEqual(await request(service, { method: "GET", path: "/v1/customers" }), TRIED_AGAIN);

    clock.wakeAll();
    await failed;
    assert.deepEqual(clock.waits, [500]);
  });
});

describe("HTTP: what a failure says", () => {
  test("after six tries the error has method, path, status, code and request id", async (t) => {
    const text = '{"error":{"type":"api_error","code":"lock_timeout","message":"Try\\u001b[31m later"}}';
    const server = await scripted(t, Array<Reply>(6).fill(reply(500, text, { "request-id": "req_123" })));

    const error = await failureOf(request(aService(server.url), CHARGES));

    assert.ok(error instanceof ApiError);
    assert.equal(
      error.message,
      "Stripe refused: Try [31m later [GET /v1/charges -> 500 lock_timeout, request req_123]",
    );
    assert.deepEqual([error.status, error.code], [500, "lock_timeout"]);
    assert.equal(server.counts.requests, 6);
  });

  test("a refusal of Attio's names each field with its fault and the execution id", async (t) => {
    const fault = { code: "invalid_type", path: ["data", "values", "name"], message: "Expected text" };
    const body = { status_code: 400, code: "validation_type", message: "Body error.", validation_errors: [fault] };
    const server = await scripted(t, [reply(400, JSON.stringify(body), { "x-attio-execution-id": "ab12" })]);

    const error = await failureOf(request(aService(server.url, { name: "Attio" }), { method: "PUT", path: "/v2/x" }));

    assert.ok(error instanceof ApiError);
    assert.equal(
      error.message,
      'Attio refused: Body error. ["data","values","name"]: Expected text [PUT /v2/x -> 400 validation_type, request ab12]',
    );
  });

  test("where its words may not be quoted, a refusal has the fields it named, and status, code and request id", async (t) => {
    const faults = [
      { path: ["data", "values", "name"], message: "Got ACME%20Corp" },
      { path: ["data", "Jane Doe"], message: "unknown" },
    ];
    const body = { code: "validation_type", message: "Acme Corp is no name.", validation_errors: faults };
    const server = await scripted(t, [reply(400, JSON.stringify(body), { "x-attio-execution-id": "ab12" })]);
    const service = aService(server.url, { name: "Attio", quotesWords: false });

    const error = await failureOf(request(service, { method: "PUT", path: "/v2/x" }));

    assert.ok(error instanceof ApiError);
    assert.equal(error.message, "Attio refused: name [PUT /v2/x -> 400 validation_type, request ab12]");
    assert.deepEqual(error.fields, ["name"]);
  });

  test("of a host with several addresses, none of which answers, the first one's failure is told", async (t) => {
    const server = await scripted(t, []);
    await server.close();
    const both = [{ address: "127.0.0.1", family: 4 }, { address: "::1", family: 6 }]; // prettier-ignore
    t.mock.method(dns, "lookup", (_: string, __: object, answer: (...found: unknown[]) => void) => answer(null, both));

    const error = await failureOf(request(aService(server.url.replace("127.0.0.1", "two.example")), CHARGES));

    assert.match(String(error), /Stripe gave no answer: connect ECONNREFUSED 127\.0\.0\.1:\d+ \[/);
  });

  test("a parameter that Stripe named is a field", async (t) => {
    const body = { error: { code: "parameter_unknown", param: "expand[]", message: "No such thing." } };
    const server = await scripted(t, [reply(400, JSON.stringify(body))]);

    const error = await failureOf(request(aService(server.url), CHARGES));

    assert.ok(error instanceof ApiError);
    assert.deepEqual(error.fields, ["expand[]"]);
  });

  const doubts: [string, (Reply | "reset")[], boolean][] = [
    ["a 400 at once", [reply(400, "{}")], false],
    ["a 429 and then a 400", [reply(429, "{}"), reply(400, "{}")], false],
    ["a reset and then a 400", ["reset", reply(400, "{}")], true],
    ["a 500 and then a 400", [reply(500, "{}"), reply(400, "{}")], true],
    ["a 200 that is no JSON and then a 400", [reply(200, "<html>"), reply(400, "{}")], true],
    ["resets only", Array<"reset">(6).fill("reset"), true],
  ];
  for (const [title, answers, expected] of doubts)
    test(`${title} ${expected ? "may" : "cannot"} have had an effect`, async (t) => {
      const server = await scripted(t, answers);

      const error = await failureOf(request(aService(server.url), { method: "PUT", path: "/v2/x", body: {} }));

      assert.ok(error instanceof ApiError);
      assert.equal(error.mayHaveTakenEffect, expected);
    });

  test("a failure never shows the query, the body or the key", async (t) => {
    const server = await scripted(t, [reply(404, "gone")]);
    const call: Call = { method: "POST", path: "/v2/x", query: { q: "secret_query" }, body: { b: "secret_body" } };

    const error = await failureOf(request(aService(server.url), call));

    assert.equal(String(error), "Error: Stripe refused: the answer is not JSON. [POST /v2/x -> 404]");
  });

  test("every wait is told with the request, the next try, the wait and the reason", async (t) => {
    const limited = reply(429, "{}", { "retry-after": "3", "stripe-rate-limited-reason": "endpoint-rate" });
    const server = await scripted(t, [limited, reply(503, "")]);
    const service = aService(server.url);

    await request(service, CHARGES);

    assert.deepEqual(service.notes, [
      "GET /v1/charges, again in 3.0 s: 429, endpoint-rate",
      "GET /v1/charges, try 2 of 6 in 1.0 s: status 503",
    ]);
  });

  test("what is tried again is summed up: one line at once, then one every ten seconds, each with how many", async (t) => {
    const server = await scripted(t, Array<Reply>(12).fill(reply(429, "{}", { "retry-after": "3" })));
    const lines: string[] = [];
    const onRetry = (line: string): void => void lines.push(line);
    const stripe = connectStripe(
      someSettings({ STRIPE_API_BASE: server.url }),
      aConnection({ onRetry, clock: recordingClock(() => 0) }),
    );

    await request(stripe, CHARGES);

    const latest = "tried again, the latest: GET /v1/charges, again in 3.0 s: 429, too many requests";
    const counts = ["1", "4", "4"]; // twelve waits of 3 s: after 0, 12 and 24 s
    assert.deepEqual(lines, counts.map((count) => `retry    Stripe: ${count} ${latest}`)); // prettier-ignore
  });
});

describe("HTTP: where a key may go", () => {
  for (const status of [301, 302, 303, 307, 308]) {
    test(`a ${status} is refused and the other server sees nothing`, async (t) => {
      const elsewhere = await scripted(t, []);
      const server = await scripted(t, [reply(status, "", { location: `${elsewhere.url}/v1/charges` })]);

      const error = await failureOf(request(aService(server.url), CHARGES));

      assert.ok(error instanceof ApiError);
      assert.match(error.message, /^Stripe refused: it redirects elsewhere, where no key may follow\./);
      assert.equal(server.counts.requests, 1);
      assert.equal(elsewhere.counts.requests, 0);
    });
  }

  test("a redirect to the same server is refused as well", async (t) => {
    const server = await scripted(t, [reply(302, "", { location: "/v1/charges" })]);

    assert.ok((await failureOf(request(aService(server.url), CHARGES))) instanceof ApiError);

    assert.equal(server.counts.requests, 1);
  });
});

describe("HTTP: Attio's 401", () => {
  const QUERY = "POST /v2/objects/people/records/query";
  const people: Call = { method: "POST", path: "/v2/objects/people/records/query", body: {}, lane: "read" };

  test("a 401 is tried again while /v2/self says that the key is active", async (t) => {
    const sandbox = await startAttio();
    t.after(() => sandbox.close());
    sandbox.faultRules.push(script(QUERY, [attioFaults.spurious401, attioFaults.spurious401]));
    const attio = connectAttio(someSettings({ ATTIO_API_BASE: sandbox.url }), aConnection());

    assert.deepEqual(await request(attio, people), { data: [] });

    assert.deepEqual(
      sandbox.log.map(({ method, path, status }) => `${method} ${path} ${status}`),
      [`${QUERY} 401`, "GET /v2/self 200", `${QUERY} 401`, "GET /v2/self 200", `${QUERY} 200`],
    );
  });

  test("a 401 is final once /v2/self says that the key is not active", async (t) => {
    const sandbox = await startAttio({ keys: [] });
    t.after(() => sandbox.close());
    const attio = connectAttio(someSettings({ ATTIO_API_BASE: sandbox.url }), aConnection());

    const error = await failureOf(request(attio, people));

    assert.ok(error instanceof ApiError);
    assert.deepEqual([error.status, error.code], [401, "unauthorized"]);
    assert.deepEqual(
      sandbox.log.map(({ path }) => path),
      ["/v2/objects/people/records/query", "/v2/self"],
    );
  });

  test("a 401 that stays is given up after six tries", async (t) => {
    const sandbox = await startAttio();
    t.after(() => sandbox.close());
    sandbox.faultRules.push(script(QUERY, Array(9).fill(attioFaults.spurious401)));
    const attio = connectAttio(someSettings({ ATTIO_API_BASE: sandbox.url }), aConnection());

    const error = await failureOf(request(attio, people));

    assert.ok(error instanceof ApiError);
    assert.equal(error.status, 401);
    assert.equal(sandbox.log.filter(({ route }) => route === QUERY).length, 6);
  });
});

describe("HTTP: told to stop", () => {
  const settled = (answer: string) => new Promise((resolve) => setTimeout(resolve, 200, answer));
  const reason = new StoppedError("Stopped by SIGTERM");

  test("a wait for the next try ends at once", async (t) => {
    const server = await scripted(t, ["reset"]);
    const stop = new AbortController();
    const clock = heldClock();
    const tried = failureOf(request(aService(server.url, { clock, stop: stop.signal }), CHARGES));
    await clock.slept(1);

    stop.abort(reason);

    assert.equal(await tried, reason);
    assert.equal(server.counts.requests, 1);
  });

  test("a wait for its turn ends at once", async (t) => {
    const server = await scripted(t, []);
    const stop = new AbortController();
    const clock = heldClock();
    const service = aService(server.url, { clock, stop: stop.signal });
    service.pace.pause(60_000);
    const waiting = failureOf(request(service, CHARGES));
    await clock.slept(1);

    stop.abort(reason);

    assert.equal(await waiting, reason);
    assert.equal(server.counts.requests, 0);
  });

  test("whoever asks for a turn after that is told so too, also where others had waited", async () => {
    const stop = new AbortController();
    const pace = createPace({ clock: heldClock(), stop: stop.signal }, { all: 1, lane: () => 1 });
    await pace.turn("a");
    const waiting = failureOf(pace.turn("a"));

    stop.abort(reason);

    assert.equal(await waiting, reason);
    assert.equal(await Promise.race([failureOf(pace.turn("a")), settled("no answer")]), reason);
  });

  test("nothing new is sent", async (t) => {
    const server = await scripted(t, []);

    assert.equal(await failureOf(request(aService(server.url, { stop: AbortSignal.abort(reason) }), CHARGES)), reason);

    assert.equal(server.counts.requests, 0);
  });

  /** Sends a request that the server answers with this status, but only once the run was told to stop. */
  async function stopsInFlight(ends: Ends, status: number, cutsInFlight: boolean) {
    const stop = new AbortController();
    const server = await byHand(ends, (_, response) => {
      stop.abort(reason);
      response.writeHead(status).end('{"is":"done"}');
    });
    const service = aService(server.url, { stop: stop.signal, cutsInFlight });
    return { server, answer: request(service, { method: "PUT", path: "/v2/x", body: {} }) };
  }

  test("what is in flight is cut off while reading", async (t) => {
    const { answer } = await stopsInFlight(t, 200, true);

    assert.equal(await failureOf(answer), reason);
  });

  test("what is in flight is let to its end while writing", async (t) => {
    const { answer } = await stopsInFlight(t, 200, false);

    assert.deepEqual(await answer, TRIED_AGAIN);
  });

  test("a write that fails in flight is not tried again", async (t) => {
    const { answer, server } = await stopsInFlight(t, 500, false);

    assert.ok((await failureOf(answer)) instanceof ApiError);
    assert.equal(server.received.length, 1);
  });
});

describe("HTTP: the pace", () => {
  type Arrival = { readonly at: number; readonly lane: string };
  type Pace = ReturnType<typeof createPace>;
  const stop = new AbortController().signal;
  const aPace = (clock: EventClock, rates: Parameters<typeof createPace>[1]): Pace =>
    createPace({ clock, stop }, rates);

  /** When each arrival was let through, in order of passing. */
  async function passings(clock: EventClock, pace: Pace, arrivals: readonly Arrival[]) {
    const passed: Arrival[] = [];
    for (const { at, lane } of arrivals)
      clock.at(at, () => void pace.turn(lane).then(() => passed.push({ at: clock.now(), lane })));
    await clock.run();
    return passed;
  }

  function crowd(count: number, lane: string, at = 0): Arrival[] {
    return Array.from({ length: count }, () => ({ at, lane }));
  }

  test("a crowd passes one by one at even distances, without a burst at the start", async () => {
    const clock = eventClock();
    const pace = aPace(clock, { all: 50, lane: () => 20 });

    const passed = await passings(clock, pace, crowd(5, "/v1/charges"));

    assert.deepEqual(
      passed.map(({ at }) => at),
      [0, 50, 100, 150, 200],
    );
  });

  test("lanes go beside each other, under the rate of the whole service", async () => {
    const clock = eventClock();
    const pace = aPace(clock, { all: 40, lane: () => 20 });

    const passed = await passings(clock, pace, [...crowd(3, "a"), ...crowd(3, "b")]);

    assert.deepEqual(
      passed.map(({ at, lane }) => `${lane} ${at}`),
      ["a 0", "b 25", "a 50", "b 75", "a 100", "b 125"],
    );
  });

  const competitions: [string, number, number[]][] = [
    ["the first has its own rate, the second too, the others share the rest", 50, [80, 80, 20, 20]],
    ["the first has all, but for one a second that each of the others has", 20, [68, 4, 4, 4]],
  ];
  for (const [title, all, expected] of competitions)
    test(`of four lanes at 20/s under ${all}/s ${title}`, async () => {
      const clock = eventClock();
      const pace = aPace(clock, { all, lane: () => 20, first: ["a", "b"] });
      const lanes = ["d", "c", "b", "a"];

      const passed = await passings(clock, pace, lanes.flatMap((lane) => crowd(100, lane))); // prettier-ignore

      const inTime = passed.filter(({ at }) => at < 4_000);
      const counts = lanes.toReversed().map((name) => inTime.filter(({ lane }) => lane === name).length);
      assert.ok(counts.every((count, n) => Math.abs(count - (expected[n] ?? 0)) <= 2), String(counts)); // prettier-ignore
    });

  test("a lane may have a rate of its own", async () => {
    const clock = eventClock();
    const pace = aPace(clock, { all: 1_000, lane: (name) => (name === "write" ? 10 : 40) });

    const passed = await passings(clock, pace, [...crowd(3, "write"), ...crowd(3, "read", 1)]);

    assert.deepEqual(
      passed.map(({ at, lane }) => `${lane} ${at}`),
      ["write 0", "read 1", "read 26", "read 51", "write 100", "write 200"],
    );
  });

  test("a pause holds all lanes, and afterwards they go on evenly", async () => {
    const clock = eventClock();
    const pace = aPace(clock, { all: 100, lane: () => 20 });
    clock.at(60, () => pace.pause(1_000));

    const passed = await passings(clock, pace, [...crowd(4, "a"), ...crowd(3, "b", 500)]);

    assert.deepEqual(
      passed.map(({ at }) => at),
      [0, 50, 1_060, 1_070, 1_110, 1_120, 1_160],
    );
  });

  test("a wall clock that is set back by an hour meanwhile keeps nobody waiting", async () => {
    const clock = eventClock();
    let now = 7_200_000;
    const pace = aPace({ ...clock, now: () => now }, { all: 100, lane: () => 20 });
    clock.at(60, () => void (now -= 3_600_000));

    const passed = await passings(clock, pace, crowd(4, "a"));

    assert.deepEqual(
      passed.map(({ at }) => at),
      [0, 50, 100, 150],
    );
  });

  test("a shorter pause does not end a longer one", async () => {
    const clock = eventClock();
    const pace = aPace(clock, { all: 100, lane: () => 100 });
    pace.pause(3_000);
    pace.pause(10);

    assert.deepEqual(await passings(clock, pace, crowd(1, "a")), [{ at: 3_000, lane: "a" }]);
  });

  test("timers that wake late do not lower the rate", async () => {
    const clock = eventClock(() => 9);
    const pace = aPace(clock, { all: 1_000, lane: () => 20 });

    const passed = await passings(clock, pace, crowd(101, "a"));

    assert.equal(passed.at(-1)?.at, 5_009);
  });

  test("an idle time saves nothing up", async () => {
    const clock = eventClock();
    const pace = aPace(clock, { all: 1_000, lane: () => 20 });

    const passed = await passings(clock, pace, [...crowd(1, "a"), ...crowd(4, "a", 60_000)]);

    assert.deepEqual(
      passed.map(({ at }) => at),
      [0, 60_000, 60_050, 60_100, 60_150],
    );
  });

  /** The most that lie in any half-open second. */
  function mostInASecond(times: readonly number[]): number {
    return Math.max(0, ...times.map((from) => times.filter((at) => at >= from && at < from + 1_000).length));
  }

  // A timer may wake late, and the gate then keeps its rhythm: so two may come closer than the rate, and a second that
  // begins with the late one holds one more. Never two more: nothing is saved up.
  test("whenever requests arrive, no second sees more of them than the rate and one", async () => {
    const arrival = fc.record({ at: fc.integer({ min: 0, max: 4_000 }), lane: fc.constantFrom("a", "b", "c") });
    const law = fc.asyncProperty(
      fc.array(arrival, { maxLength: 120 }),
      fc.integer({ min: 1, max: 25 }),
      fc.integer({ min: 1, max: 60 }),
      fc.integer({ min: 0, max: 100 }),
      async (arrivals, lane, all, lateness) => {
        const random = seededRandom(lane);
        const clock = eventClock(() => lateness * random());
        const passed = await passings(clock, aPace(clock, { all, lane: () => lane }), arrivals);

        assert.equal(passed.length, arrivals.length);
        assert.ok(mostInASecond(passed.map(({ at }) => at)) <= all + 1);
        for (const name of ["a", "b", "c"]) {
          const times = passed.filter((one) => one.lane === name).map(({ at }) => at);
          assert.ok(mostInASecond(times) <= lane + 1, `${mostInASecond(times)} in a second at a rate of ${lane}`);
        }
      },
    );

    await fc.assert(law, { seed: 1, numRuns: 60, endOnFailure: true });
  });
});
