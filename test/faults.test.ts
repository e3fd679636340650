// faults.test.ts - whatever fails on the way, the CRM ends as if nothing had, or the run says why it wrote nothing.

import assert from "node:assert/strict";
import { before, describe, test } from "node:test";

import { seedAccount } from "../sandbox/account.ts";
import { attioFaults } from "../sandbox/attio.ts";
import { atRate, script } from "../sandbox/server.ts";
import type { Fault, SandboxServer } from "../sandbox/server.ts";
import { stripeFaults } from "../sandbox/stripe.ts";
import { aNewWorld, payerId, payers, recordOf, whenSeen, writesOf } from "./ground.ts";
import { inScope, refusal } from "./services.ts";
import type { Ends } from "./services.ts";
import { NOW_MS, summaryOf } from "./world.ts";
import type { Run, World } from "./world.ts";

const CHARGES = "GET /v1/charges";
const LINES = "GET /v1/invoices/{id}/lines";
const ASSERT = "PUT /v2/objects/stripe_customers/records";
const PEOPLE = "POST /v2/objects/people/records/query";

/** The fault on every request to the route that is not the check before reading. */
function inject(server: SandboxServer, route: string, fault: Fault): void {
  server.faultRules.push((call) => (call.route === route && call.query.get("limit") !== "1" ? fault : undefined));
}

/** What the CRM holds, but for the instants of writing. */
function crmOf({ attio }: World): string {
  return attio.dump("stripe_customers", { omit: ["last_synced_at"] }) + attio.dump("people");
}

describe("faults that stay, before the first write", () => {
  const faults: [title: string, service: "stripe" | "attio", route: string, fault: Fault, message: RegExp][] = [
    ["a charge's amount as text", "stripe", CHARGES, stripeFaults.wrongType("amount_captured"), /charge ch_\w+: amount_captured is string, expected a whole number/],
    ["a line's amount as text", "stripe", LINES, stripeFaults.wrongType("amount"), /invoice in_\w+ line il_\w+: amount is string, expected a whole number/],
    ["a refused plan on the people", "attio", PEOPLE, attioFaults.billing, /Your plan does not allow this action\..*-> 403 billing_error/],
  ]; // prettier-ignore

  for (const [title, service, route, fault, message] of faults)
    test(`${title} stops the run before its first write`, async (t) => {
      const world = await aNewWorld(t, { account: seedAccount({ customers: 6, seed: 3 }) });
      inject(world[service], route, fault);

      const run = await world.run("sync");

      assert.equal(run.code, 1, run.all);
      assert.match(run.err, message);
      assert.match(run.err, /Nothing was written\.\n$/);
      assert.deepEqual(writesOf(world.attio), []);
      assert.ok(world[service].log.filter((exchange) => exchange.fault !== null).length <= 8);
    });
});

describe("faults that stay, while writing", () => {
  const UNSURE: [title: string, faults: Fault[], said: RegExp][] = [
    ["an answer that does not show the record", [attioFaults.emptyAnswer], /may not have been written\. Unexpected: answer to a write: data is undefined/],
    ["a refusal after a try that may have had its effect", [attioFaults.serverErrorAfterEffect, refusal("missing_value")], /may not have been written\. Attio refused: .*missing_value/],
    ["a refusal after a conflict after such a try", [attioFaults.serverError, refusal("uniqueness_conflict"), refusal("missing_value")], /may not have been written\. Attio refused: .*missing_value/],
    ["a conflict that stays", Array(2).fill(refusal("uniqueness_conflict")), /was not written\. Attio refused: .*uniqueness_conflict/],
    ["an option that is gone, though the record has a person", [refusal("value_not_found"), refusal("value_not_found")], /was not written\. Attio refused: .*value_not_found/],
    ["a plain refusal", [attioFaults.mergeInProgress], /was not written\. Attio refused: This record is currently being merged\..* -> 400 merge_in_progress/],
  ]; // prettier-ignore
  for (const [title, faults, said] of UNSURE)
    test(`${title} is told as what it is, and the next run puts it right`, async (t) => {
      const world = await aNewWorld(t, { account: payers(1) });
      world.attio.addPerson({ emailAddresses: ["payer0@example.com"] });
      world.attio.faultRules.push(script(ASSERT, faults));

      const run = await world.run("sync");

      assert.deepEqual([run.code, summaryOf(run).created, summaryOf(run).failed], [1, 0, 1]);
      assert.match(run.err, new RegExp(`${payerId(0)} ${said.source}`));
      assert.equal((await world.run("sync")).code, 0);
      assert.equal(recordOf(world, payerId(0))["total_revenue"], "10");
    });

  test("ten in a row end the run, whatever mix of reasons that are not theirs, and it says what was written", async (t) => {
    const world = await aNewWorld(t, { account: payers(60) });
    const { serverError, badGateway, emptyAnswer, notJson, reset, billing } = attioFaults;
    const mix = [billing, serverError, badGateway, emptyAnswer, notJson, reset];
    const faultOf = new Map<string, Fault | undefined>();
    world.attio.faultRules.push(({ route, body }) => {
      if (route !== ASSERT) return undefined;
      const record = JSON.stringify(body);
      if (!faultOf.has(record)) faultOf.set(record, faultOf.size < 5 ? undefined : mix[faultOf.size % mix.length]);
      return faultOf.get(record);
    });

    const run = await world.run("sync");

    const { created, failed } = summaryOf(run);
    assert.deepEqual([run.code, created], [1, 5]);
    assert.ok(failed >= 10 && failed <= 10 + 16, `${failed} failed`);
    const told = `\\(.*500 internal_error.*\\): 5 of 60 changes were written, ${55 - failed} were not tried`;
    assert.match(run.err, new RegExp(`10 records in a row failed for reasons that are not theirs ${told}`));
    world.attio.faultRules.length = 0;
    const again = summaryOf(await world.run("sync"));
    assert.equal(again.created + again.unchanged, 60); // some had taken effect
  });

  test("a person deleted between look-up and write costs the record its link only, until the next run", async (t) => {
    const world = await aNewWorld(t, { account: payers(2) });
    const [doomed = ""] = [0, 1].map((n) => world.attio.addPerson({ emailAddresses: [`payer${n}@example.com`] }));
    world.attio.faultRules.push(
      whenSeen(
        ({ route }) => route === ASSERT,
        1,
        () => world.attio.removePerson(doomed),
      ),
    );

    const run = await world.run("sync");

    assert.deepEqual([run.code, summaryOf(run).created], [0, 2], run.all);
    assert.match(run.err, new RegExp(`${payerId(0)} was written without its links`));
    const { total_revenue, person } = recordOf(world, payerId(0));
    assert.deepEqual([total_revenue, person], ["10", null]);
    const again = world.attio.addPerson({ emailAddresses: ["payer0@example.com"] });
    assert.equal((await world.run("sync")).code, 0);
    assert.equal(recordOf(world, payerId(0))["person"], again);
  });

  test("addresses that Attio will not search for are counted, and only their links stay as they are", async (t) => {
    const world = await aNewWorld(t, { account: payers(40) });
    const addresses = Array.from({ length: 40 }, (_, n) => `payer${n}@example.com`);
    for (const address of addresses.slice(0, 20)) world.attio.addPerson({ emailAddresses: [address] });
    await world.run("sync");
    for (const address of addresses.slice(20)) world.attio.addPerson({ emailAddresses: [address] });
    for (const address of addresses.slice(0, 12)) world.attio.unsearchable.add(address);

    const run = await world.run("sync");

    assert.deepEqual([run.code, summaryOf(run).updated, summaryOf(run).unchanged], [0, 20, 20], run.all);
    assert.match(run.err, /Attio would not search for 12 e-mail addresses/);
    assert.ok(world.attio.records("stripe_customers").every(({ person }) => person !== null));
  });

  const WORDS: [ci: string, shown: string, words: string][] = [
    ["true", "no word of Attio's", "name"],
    ["", "Attio's words", '10,00 of payer0@… ["data","values","name"]: PAYER%200 is long ["data","Jane Doe"]: unknown'],
  ];
  for (const [CI, shown, words] of WORDS)
    test(`where CI is "${CI}" a refusal shows status, code, request id, fields and ${shown}`, async (t) => {
      const world = await aNewWorld(t, { account: payers(1), env: { CI } });
      const name = { path: ["data", "values", "name"], message: "PAYER%200 is long" };
      const validation_errors = [name, { path: ["data", "Jane Doe"], message: "unknown" }];
      const text = JSON.stringify({ code: "validation_type", message: "10,00 of payer0@…", validation_errors });
      const headers = { "x-attio-execution-id": "exec-7" };
      inject(world.attio, ASSERT, { name: "quoting", before: { status: 400, headers, text } });

      const { err } = await world.run("sync");

      const place = "[PUT /v2/objects/stripe_customers/records -> 400 validation_type, request exec-7]";
      assert.ok(err.includes(`\n${payerId(0)} was not written. Attio refused: ${words} ${place}\n`), err);
    });
});

describe("soak: faults that pass", () => {
  const { rateLimited, rateLimitedFor, rateLimitedUntil, lockTimeout, conflict, serverError, badRequestRetry } =
    stripeFaults;
  const { badGateway, reset, cutBody, notJson } = stripeFaults;
  const limits = [rateLimited, rateLimitedFor(3), rateLimitedUntil(new Date(NOW_MS)), lockTimeout];
  const ofStripe = [...limits, conflict, serverError, badRequestRetry, badGateway, reset, cutBody, notJson];
  const { mergeInProgress, featureGate, billing, emptyAnswer, emptyAnswerAfterEffect, ...passing } = attioFaults;
  const ofAttio = Object.values(passing);

  const account = seedAccount({ customers: 40, seed: 1 });
  const soakWorld = (ends: Ends): Promise<World> =>
    aNewWorld(ends, { account, hasPeople: true, env: { CREATE_PEOPLE: "1" } });

  let calm = "";
  before(() =>
    inScope(async (ends) => {
      const world = await soakWorld(ends);
      assert.equal((await world.run("sync")).code, 0);
      calm = crmOf(world);
    }),
  );

  for (let seed = 1; seed <= 10; seed += 1)
    test(`with a fifth of all requests failing (seed ${seed}) the CRM ends byte for byte as without`, async (t) => {
      const world = await soakWorld(t);
      world.stripe.faultRules.push(atRate(0.2, seed, ofStripe));
      world.attio.faultRules.push(atRate(0.2, seed + 100, ofAttio));

      let run = await world.run("sync");
      // A person who could not be created costs a warning, not the run: the next one creates them.
      const isWhole = ({ code, err }: Run): boolean => code === 0 && !err.includes("gets no person");
      for (let runs = 1; !isWhole(run) && runs < 4; runs += 1) run = await world.run("sync");

      assert.equal(run.code, 0, run.all);
      for (const { log } of [world.stripe, world.attio]) assert.ok(log.some(({ fault }) => fault !== null));
      assert.equal(crmOf(world), calm);
    });
});
