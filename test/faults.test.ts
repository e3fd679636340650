// faults.test.ts - whatever fails on the way, the CRM ends as if nothing had, or the run says why it wrote nothing.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { seedAccount } from "../sandbox/account.ts";
import { attioFaults, redirectTo } from "../sandbox/attio.ts";
import { atRate } from "../sandbox/server.ts";
import type { Fault, SandboxServer } from "../sandbox/server.ts";
import { stripeFaults } from "../sandbox/stripe.ts";
import type { Io } from "../sync.ts";
import { aReadyWorld, inScope, rewriting, scripted } from "./services.ts";
import type { Ends } from "./services.ts";
import { NOW_MS, summaryOf } from "./world.ts";
import type { Run, World } from "./world.ts";

const CHARGES = "GET /v1/charges";
const INVOICES = "GET /v1/invoices";
const LINES = "GET /v1/invoices/{id}/lines";
const RECORDS = "POST /v2/objects/stripe_customers/records/query";
const ASSERT = "PUT /v2/objects/stripe_customers/records";
const PEOPLE = "POST /v2/objects/people/records/query";
const NEW_PERSON = "POST /v2/objects/people/records";

/** What goes away by itself. */
const PASSING_AT_STRIPE: [string, Fault][] = [
  ["a 429 without Retry-After", stripeFaults.rateLimited],
  ["a 429 with Retry-After in seconds", stripeFaults.rateLimitedFor(3)],
  ["a 429 with Retry-After as a date", stripeFaults.rateLimitedUntil(new Date(NOW_MS))],
  ["a 429 of a lock", stripeFaults.lockTimeout],
  ["a 409", stripeFaults.conflict],
  ["a 500", stripeFaults.serverError],
  ["a 400 that asks to try again", stripeFaults.badRequestRetry],
  ["a 502 with HTML", stripeFaults.badGateway],
  ["a reset", stripeFaults.reset],
  ["a cut body", stripeFaults.cutBody],
  ["a 200 that is not JSON", stripeFaults.notJson],
];
const PASSING_AT_ATTIO: [string, Fault][] = [
  ["a 429 with Retry-After in seconds", attioFaults.rateLimitSeconds],
  ["a 429 with zero seconds", attioFaults.rateLimitNow],
  ["a 429 with Retry-After as a date", attioFaults.rateLimitDate],
  ["a 409 of a concurrent write", attioFaults.concurrentWrite],
  ["a 401 for a key that is active", attioFaults.spurious401],
  ["a 500", attioFaults.serverError],
  ["a 500 after the effect", attioFaults.serverErrorAfterEffect],
  ["a 502 with HTML", attioFaults.badGateway],
  ["a 503 with plain text", attioFaults.unavailable],
  ["a reset", attioFaults.reset],
  ["a reset after the effect", attioFaults.resetAfterEffect],
  ["a cut body", attioFaults.cutBody],
  ["a 200 that is not JSON", attioFaults.notJson],
];

/** Six customers, one with a long invoice; people who are missing in the CRM are created. */
async function smallWorld(ends: Ends): Promise<World> {
  return aReadyWorld(ends, { account: seedAccount({ customers: 6, seed: 3 }), env: { CREATE_PEOPLE: "1" } });
}

/** What the CRM holds, but for the instants of writing. */
function crmOf({ attio }: World): string {
  return attio.dump("stripe_customers", { omit: ["last_synced_at"] }) + attio.dump("people");
}

/** The fault on the first request to each route that is not the check before reading, or on all of them. */
function inject(server: SandboxServer, routes: readonly string[], fault: Fault, howOften: "once" | "always"): void {
  const met = new Set<string>();
  server.faultRules.push(({ route, query }) => {
    const isCheck = query.get("limit") === "1";
    if (!routes.includes(route) || isCheck || (howOften === "once" && met.has(route))) return undefined;
    met.add(route);
    return fault;
  });
}

/** The routes that met a fault. */
function routesHit(server: SandboxServer): string[] {
  return [...new Set(server.log.filter(({ fault }) => fault !== null).map(({ route }) => route))].sort();
}

async function crmAfterRun(world: World): Promise<string> {
  const { code, all } = await world.run("sync");
  assert.equal(code, 0, all);
  return crmOf(world);
}

let intact = "";
before(async () => void (intact = await inScope(async (ends) => crmAfterRun(await smallWorld(ends)))));

describe("faults that pass", () => {
  /** The run ends well and the CRM is right, though the first request to each of these routes failed. */
  async function assertUnharmed(ends: Ends, service: "stripe" | "attio", fault: Fault, io: Partial<Io> = {}) {
    const world = await smallWorld(ends);
    const routes = service === "stripe" ? [CHARGES, INVOICES, LINES] : [NEW_PERSON, PEOPLE, RECORDS, ASSERT];
    inject(world[service], routes, fault, "once");

    const run = await world.run("sync", [], io);

    assert.equal(run.code, 0, run.all);
    assert.deepEqual(routesHit(world[service]), routes);
    assert.equal(crmOf(world), intact);
  }

  const slow: Fault = { name: "slow", after: (reply) => reply, slowMs: 1000 };
  for (const [title, fault] of PASSING_AT_STRIPE) {
    test(`${title} on Stripe's lists and lines does no harm`, async (t) => assertUnharmed(t, "stripe", fault));
  }

  for (const [title, fault] of PASSING_AT_ATTIO) {
    test(`${title} on Attio's queries and writes does no harm`, async (t) => assertUnharmed(t, "attio", fault));
  }

  for (const service of ["stripe", "attio"] as const) {
    test(`answers of ${service} that come after the time-out do no harm`, async (t) =>
      assertUnharmed(t, service, slow, { timeoutMs: 800 }));
  }
});

describe("faults that stay, before the first write", () => {
  /** A server that answers every cursor with the object of the cursor, and says that there is more. */
  const repeatedLast = rewriting("a page that repeats its cursor", (page, { query }) => {
    const [first] = Array.isArray(page["data"]) ? page["data"] : [];
    const cursor = query.get("starting_after");
    spare = cursor === null ? (first ?? spare) : spare;
    if (cursor === null && first === undefined) return;
    page["has_more"] = true;
    if (cursor !== null) page["data"] = [{ ...(first ?? spare), id: cursor }];
  });
  let spare: unknown;
  let world: World; // one for all: none of these runs changes anything
  const closings: (() => Promise<void>)[] = [];
  before(async () => void (world = await smallWorld({ after: (close) => void closings.push(close) })));
  after(async () => void (await Promise.all(closings.map((close) => close()))));

  /** The run fails, says so on stderr, and has sent no write. */
  async function assertStopped(service: "stripe" | "attio", route: string, fault: Fault): Promise<Run> {
    for (const server of [world.stripe, world.attio]) server.log.length = server.faultRules.length = 0;
    const { requests } = world.attio.writes;
    inject(world[service], [route], fault, "always");

    const run = await world.run("sync");

    assert.equal(run.code, 1, run.all);
    assert.match(run.err, /Nothing was written\.\n$/);
    assert.equal(world.attio.writes.requests, requests);
    assert.ok(world[service].log.filter((exchange) => exchange.fault !== null).length <= 8);
    return run;
  }

  const ofStripe: [string, Fault, RegExp][] = [
    ["a page that repeats its cursor", repeatedLast, /Unexpected: Stripe repeated \w+ on the page of \S+ that follows/],
    [
      "has_more with an empty page",
      stripeFaults.emptyWithMore,
      /Unexpected: Stripe said has_more with an empty page of/,
    ],
    ["a field of the wrong type", stripeFaults.wrongType("id"), /Unexpected: .*: id is number, expected text/],
    [
      "a 500 that says not to try again",
      stripeFaults.serverErrorFinal,
      /-> 500 api_error, request req_SbxFault00000\]/,
    ],
    ["a 500 six times", stripeFaults.serverError, /-> 500 api_error, request req_SbxFault00000\]/],
    ["a reset six times", stripeFaults.reset, /Stripe gave no answer: .* -> no answer\]/],
  ];
  for (const [title, fault, message] of ofStripe) {
    for (const [kind, route] of [
      ["list", CHARGES],
      ["invoice's lines", LINES],
    ] as const) {
      // prettier-ignore
      test(`${title} in a ${kind} of Stripe's stops the run`, async () => {
        assert.match((await assertStopped("stripe", route, fault)).err, message);
      });
    }
  }

  const money: [string, string, string, RegExp][] = [
    [
      "a charge's amount",
      CHARGES,
      "amount_captured",
      /charge ch_\w+: amount_captured is string, expected a whole number/,
    ],
    ["an invoice's payment", INVOICES, "amount_paid", /invoice in_\w+: amount_paid is string, expected a whole number/],
    ["a line's amount", LINES, "amount", /invoice in_\w+ line il_\w+: amount is string, expected a whole number/],
  ];
  for (const [title, route, field, message] of money) {
    test(`${title} as text is named by object and field, not counted`, async () => {
      assert.match((await assertStopped("stripe", route, stripeFaults.wrongType(field))).err, message);
    });
  }

  const ofAttio: [string, string, Fault, RegExp][] = [
    ["a refused plan on the records", RECORDS, attioFaults.billing, /Your plan does not allow this action\..*-> 403 billing_error/],
    ["a refused plan on the people", PEOPLE, attioFaults.billing, /Your plan does not allow this action\..*-> 403 billing_error/],
    ["a 500 six times on the records", RECORDS, attioFaults.serverError, /-> 500 internal_error/],
    ["a 401 six times on the people", PEOPLE, attioFaults.spurious401, /-> 401 unauthorized/],
  ]; // prettier-ignore
  for (const [title, route, fault, message] of ofAttio) {
    test(`${title} stops the run`, async () => {
      assert.match((await assertStopped("attio", route, fault)).err, message);
    });
  }

  for (const service of ["stripe", "attio"] as const) {
    test(`a redirect by ${service} is refused and the key goes nowhere else`, async (t) => {
      const elsewhere = await scripted(t, []);
      const route = service === "stripe" ? CHARGES : RECORDS;

      const { err } = await assertStopped(service, route, redirectTo(`${elsewhere.url}/v2/anything`));

      assert.match(err, /it redirects elsewhere, where no key may follow/);
      assert.equal(elsewhere.counts.requests, 0);
    });
  }
});

describe("faults that stay, while writing", () => {
  const records = (world: World): number => world.attio.records("stripe_customers").length;

  test("one refused record is named, the others are written, and the next run writes it", async (t) => {
    const world = await smallWorld(t);
    inject(world.attio, [ASSERT], attioFaults.mergeInProgress, "once");

    const run = await world.run("sync");

    assert.equal(run.code, 1);
    const { created, failed } = summaryOf(run);
    assert.deepEqual([failed, records(world)], [1, created]);
    assert.match(
      run.err,
      /cus_\w+ was not written\. .*This record is currently being merged\..*-> 400 merge_in_progress/,
    );
    assert.equal((await world.run("sync")).code, 0);
    assert.equal(crmOf(world), intact);
  });

  test("a person who cannot be created costs no record its amounts, only the link, until the next run", async (t) => {
    const world = await smallWorld(t);
    inject(world.attio, [NEW_PERSON], attioFaults.featureGate, "once");

    const run = await world.run("sync");

    assert.equal(run.code, 0);
    assert.equal(summaryOf(run).failed, 0);
    assert.match(run.err, /cus_\w+ gets no person: none could be created\. Attio refused: .*particle_gate_violation/);
    assert.equal((await world.run("sync")).code, 0);
    assert.equal(crmOf(world), intact);
  });

  for (const fault of [attioFaults.billing, attioFaults.spurious401]) {
    test(`a ${fault.name} on every write ends the run after ten records, and says what was written`, async (t) => {
      const world = await aReadyWorld(t);
      inject(world.attio, [ASSERT], fault, "always");

      const run = await world.run("sync");

      assert.equal(run.code, 1);
      assert.match(run.err, /10 records in a row failed for a reason that is not theirs \(\d+ \w+\): 0 of \d+ changes were written, \d+ were not tried/); // prettier-ignore
      assert.ok(summaryOf(run).failed >= 10);
      assert.equal(records(world), 0);
      world.attio.faultRules.length = 0;
      assert.equal((await world.run("sync")).code, 0);
    });
  }
});

describe("soak", () => {
  const ofStripe = PASSING_AT_STRIPE.map(([, fault]) => fault);
  const ofAttio = PASSING_AT_ATTIO.map(([, fault]) => fault);

  async function soakWorld(ends: Ends): Promise<World> {
    return aReadyWorld(ends, { account: seedAccount({ customers: 40, seed: 1 }), env: { CREATE_PEOPLE: "1" } });
  }

  let calm = "";
  before(async () => void (calm = await inScope(async (ends) => crmAfterRun(await soakWorld(ends)))));

  for (let seed = 1; seed <= 10; seed += 1) {
    test(`with a fifth of all requests failing (seed ${seed}) the CRM ends byte for byte as without`, async (t) => {
      const world = await soakWorld(t);
      world.stripe.faultRules.push(atRate(0.2, seed, ofStripe));
      world.attio.faultRules.push(atRate(0.2, seed + 100, ofAttio));

      let runs = 1;
      for (let run = await world.run("sync"); run.code !== 0; run = await world.run("sync")) {
        runs += 1;
        assert.ok(runs <= 4, run.all);
      }

      assert.ok(world.stripe.log.some(({ fault }) => fault !== null));
      assert.ok(world.attio.log.some(({ fault }) => fault !== null));
      assert.equal(crmOf(world), calm);
      const ids = world.attio.records("stripe_customers").map((record) => record["stripe_customer_id"]);
      assert.equal(new Set(ids).size, ids.length);
    });
  }
});
