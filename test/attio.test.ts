// attio.test.ts - records in and out: what is read is comparable, what is written is what Attio takes.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { TestContext } from "node:test";

import { attioFaults, startAttio } from "../sandbox/attio.ts";
import type { AttioOptions, AttioSandbox } from "../sandbox/attio.ts";
import { script } from "../sandbox/server.ts";
import type { Call as Received, Fault } from "../sandbox/server.ts";
import {
  ApiError,
  UnexpectedError,
  assertRecord,
  connectAttio,
  createPerson,
  inspectObject,
  lookUpPeople,
  noPeople,
  readCrm,
} from "../sync.ts";
import type { Service } from "../sync.ts";
import { aConnection, addObject, failureOf, rewriting, someSettings } from "./services.ts";

const SLUGS = ["spend_pro", "spend_other"];
const RECORDS = "/v2/objects/stripe_customers/records";
const PEOPLE = "/v2/objects/people/records";

type Reached = { readonly sandbox: AttioSandbox; readonly attio: Service };

/** A workspace with the object and no records. */
async function reach(t: TestContext, options: AttioOptions = {}): Promise<Reached> {
  const sandbox = await startAttio(options);
  t.after(() => sandbox.close());
  addObject(sandbox, { prod_1: "spend_pro" });
  return { sandbox, attio: connectAttio(someSettings({ ATTIO_API_BASE: sandbox.url }), aConnection()) };
}

function addRecord(sandbox: AttioSandbox, values: Readonly<Record<string, unknown>>): string {
  return sandbox.addRecordAsMember("stripe_customers", values);
}

/** A field of a request's body, by a path with dots. */
function inBody({ body }: Received, path: string): unknown {
  let value: unknown = body;
  for (const key of path.split("."))
    value =
      typeof value === "object" && value !== null ? Object.getOwnPropertyDescriptor(value, key)?.value : undefined;
  return value;
}

/** This fault on each request to the route for which it says so. */
function onCalls(sandbox: AttioSandbox, route: string, choose: (call: Received) => Fault | undefined): void {
  sandbox.faultRules.push((call) => (call.route === route ? choose(call) : undefined));
}

function refusal(code: string): Fault {
  const text = JSON.stringify({ status_code: 400, type: "invalid_request_error", code, message: "Not like this." });
  return { name: code, before: { status: 400, text } };
}

describe("Attio: the records of the CRM", () => {
  test("all pages are read, 500 records each, oldest first", async (t) => {
    const { sandbox, attio } = await reach(t);
    for (let n = 0; n < 1_001; n += 1) addRecord(sandbox, { stripe_customer_id: `cus_${n}` });

    const { records, duplicates, withoutKey } = await readCrm(attio, { spendSlugs: SLUGS, currency: "usd" });

    assert.deepEqual([records.size, duplicates.size, withoutKey], [1_001, 0, 0]);
    const sorts = [{ attribute: "created_at", direction: "asc" }];
    assert.deepEqual(
      sandbox.log.map(({ body }) => body),
      [0, 500, 1_000].map((offset) => ({ sorts, limit: 500, offset })),
    );
  });

  test("exactly 500 records are not taken for all there are", async (t) => {
    const { sandbox, attio } = await reach(t);
    for (let n = 0; n < 500; n += 1) addRecord(sandbox, { stripe_customer_id: `cus_${n}` });

    assert.equal((await readCrm(attio, { spendSlugs: SLUGS, currency: "usd" })).records.size, 500);

    assert.equal(sandbox.log.length, 2);
  });

  test("a record that comes on two pages is one record, not a duplicate", async (t) => {
    const { sandbox, attio } = await reach(t);
    for (let n = 0; n < 502; n += 1) addRecord(sandbox, { stripe_customer_id: `cus_${n}` });
    const firstPage: unknown[] = [];
    const keep = rewriting("seen", ({ data }) => void (Array.isArray(data) && firstPage.push(...data)));
    const repeat = rewriting("a page that begins with the last record before it", (page) => {
      if (Array.isArray(page["data"])) page["data"] = [firstPage.at(-1), ...page["data"]];
    });
    sandbox.faultRules.push(script(`POST ${RECORDS}/query`, [keep, repeat]));

    const { records, duplicates } = await readCrm(attio, { spendSlugs: SLUGS, currency: "usd" });

    assert.deepEqual([records.size, duplicates.size], [502, 0]);
  });

  test("a server that answers every offset with the same page is an error, not a loop", async (t) => {
    const { sandbox, attio } = await reach(t);
    for (let n = 0; n < 500; n += 1) addRecord(sandbox, { stripe_customer_id: `cus_${n}` });
    let page: string | undefined;
    const same: Fault = { name: "the first page", after: (reply) => ({ ...reply, text: (page ??= reply.text) }) };
    sandbox.faultRules.push((_, attempt) => (attempt < 10 ? same : refusal("the_test_ends_the_loop")));

    assert.ok((await failureOf(readCrm(attio, { spendSlugs: SLUGS, currency: "usd" }))) instanceof UnexpectedError);
  });

  test("an answer without a list is an error, not an empty CRM", async (t) => {
    const { sandbox, attio } = await reach(t);
    addRecord(sandbox, { stripe_customer_id: "cus_1" });
    sandbox.faultRules.push(
      script(`POST ${RECORDS}/query`, [rewriting("no data", (body) => void delete body["data"])]),
    );

    const error = await failureOf(readCrm(attio, { spendSlugs: SLUGS, currency: "usd" }));

    assert.equal(String(error), `Error: Unexpected: page of ${RECORDS}/query: data is undefined, expected a list`);
  });

  test("two records of one customer are duplicates, named with all their ids, oldest first", async (t) => {
    const { sandbox, attio } = await reach(t);
    sandbox.setUnique("stripe_customers", "stripe_customer_id", false);
    const ids = ["cus_1", "cus_2", "cus_1", "cus_1"].map((id) => addRecord(sandbox, { stripe_customer_id: id }));

    const { records, duplicates } = await readCrm(attio, { spendSlugs: SLUGS, currency: "usd" });

    assert.deepEqual([...duplicates], [["cus_1", [ids[0], ids[2], ids[3]]]]);
    assert.deepEqual([...records.keys()], ["cus_1", "cus_2"]);
  });

  test("a record without a customer id is counted and left alone", async (t) => {
    const { sandbox, attio } = await reach(t);
    addRecord(sandbox, { name: "Typed by hand" });
    addRecord(sandbox, { stripe_customer_id: "cus_1" });

    const { records, withoutKey } = await readCrm(attio, { spendSlugs: SLUGS, currency: "usd" });

    assert.deepEqual([[...records.keys()], withoutKey], [["cus_1"], 1]);
  });

  for (const currencyAsString of [false, true]) {
    test(`money that comes as ${currencyAsString ? "text" : "a number"} is read to the cent`, async (t) => {
      const { sandbox, attio } = await reach(t, { currencyAsString });
      addRecord(sandbox, {
        stripe_customer_id: "cus_1",
        total_revenue: 499,
        spend_pro: 12.5,
        unallocated_revenue: -0.07,
      });

      const row = (await readCrm(attio, { spendSlugs: SLUGS, currency: "usd" })).records.get("cus_1")?.values;

      const read = ["total_revenue", "spend_pro", "unallocated_revenue", "spend_other"].map((slug) => row?.get(slug));
      assert.deepEqual(read, ["499.00", "12.50", "-0.07", undefined]);
    });
  }

  test("money in a currency without decimals has none", async (t) => {
    const { sandbox, attio } = await reach(t, { currencyAsString: true });
    addRecord(sandbox, { stripe_customer_id: "cus_1", total_revenue: 500 });

    assert.equal(
      (await readCrm(attio, { spendSlugs: SLUGS, currency: "jpy" })).records.get("cus_1")?.values.get("total_revenue"),
      "500",
    );
  });

  test("an instant with nine digits after the second equals the same instant with three", async (t) => {
    const { sandbox, attio } = await reach(t);
    addRecord(sandbox, { stripe_customer_id: "cus_1", first_charge_at: "2026-11-21T07:17:00Z" });
    let sent = "";
    const look = rewriting("seen", (body) => void (sent = JSON.stringify(body)));
    sandbox.faultRules.push(script(`POST ${RECORDS}/query`, [look]));

    const { records } = await readCrm(attio, { spendSlugs: SLUGS, currency: "usd" });

    assert.match(sent, /"2026-11-21T07:17:00\.000000000Z"/);
    assert.equal(records.get("cus_1")?.values.get("first_charge_at"), "2026-11-21T07:17:00.000Z");
  });

  test("a select is read by its title, a reference by its record, and nothing where there is no value", async (t) => {
    const { sandbox, attio } = await reach(t);
    const person = sandbox.addPerson({ emailAddresses: ["jenny@example.com"] });
    const values = { subscription_status: "Past Due", person: [{ target_object: "people", target_record_id: person }] };
    addRecord(sandbox, { stripe_customer_id: "cus_1", ...values });

    const row = (await readCrm(attio, { spendSlugs: SLUGS, currency: "usd" })).records.get("cus_1")?.values;

    assert.deepEqual(Object.fromEntries(row ?? []), {
      stripe_customer_id: "cus_1",
      subscription_status: "Past Due",
      person,
    });
  });

  const AUTHORS: [author: string, actor: unknown, isAnother: boolean][] = [
    ["an access token", { type: "api-token", id: "1" }, false],
    ["a member", { type: "workspace-member", id: "2" }, true],
    ["an app", { type: "app", id: "3" }, true],
    ["an automation", { type: "system", id: null }, true],
    ["nobody who is named", { type: null, id: null }, false],
  ];
  for (const [author, actor, isAnother] of AUTHORS)
    test(`a person set by ${author} ${isAnother ? "belongs to others" : "is the sync's own"}`, async (t) => {
      const { sandbox, attio } = await reach(t);
      addRecord(sandbox, { stripe_customer_id: "cus_1" });
      const person = [{ target_object: "people", target_record_id: "p", created_by_actor: actor }];
      const authored = rewriting("a person", (page) => {
        const [record] = Array.isArray(page["data"]) ? page["data"] : [];
        record.values.stripe_customer_id[0].created_by_actor = { type: "api-token", id: "1" };
        record.values.person = person;
      });
      sandbox.faultRules.push(script(`POST ${RECORDS}/query`, [authored]));

      const { records } = await readCrm(attio, { spendSlugs: SLUGS, currency: "usd" });

      assert.deepEqual([...(records.get("cus_1")?.setByOthers ?? [])], isAnother ? ["person"] : []);
    });

  test("reading one customer's record leaves out an id that differs in case only", async (t) => {
    const { sandbox, attio } = await reach(t);
    for (const id of ["cus_a", "cus_A", "cus_b"]) addRecord(sandbox, { stripe_customer_id: id });

    const { records } = await readCrm(attio, { spendSlugs: SLUGS, currency: "usd" }, ["cus_A"]);

    assert.deepEqual([...records.keys()], ["cus_A"]);
    assert.deepEqual(inBody(sandbox.log[0] ?? fail(), "filter"), { stripe_customer_id: { $in: ["cus_A"] } });
  });

  test("a value of the wrong type is an error that names record, attribute and field", async (t) => {
    const { sandbox, attio } = await reach(t);
    const recordId = addRecord(sandbox, { stripe_customer_id: "cus_1" });
    const spoiled = rewriting("money as true", (page) => {
      page["data"] = [{ id: { record_id: recordId }, values: { total_revenue: [{ currency_value: true }] } }];
    });
    sandbox.faultRules.push(script(`POST ${RECORDS}/query`, [spoiled]));

    const error = await failureOf(readCrm(attio, { spendSlugs: SLUGS, currency: "usd" }));

    assert.equal(
      String(error),
      `Error: Unexpected: record ${recordId} total_revenue: currency_value is boolean, expected a number`,
    );
  });
});

function fail(): never {
  throw new Error("no such request");
}

describe("Attio: attributes", () => {
  const LISTED = "GET /v2/objects/stripe_customers/attributes";

  test("all pages of attributes are read, archived ones too", async (t) => {
    const { sandbox, attio } = await reach(t);
    for (let n = 0; n < 600; n += 1) sandbox.addAttribute("stripe_customers", { slug: `note_${n}`, type: "text" });
    for (const slug of ["spend_new", "spend_old"]) sandbox.addAttribute("stripe_customers", { slug, type: "currency" });
    sandbox.archiveAttribute("stripe_customers", "spend_old");
    const settings = someSettings({ PRODUCT_SLUGS: '{"prod_1":"spend_pro","prod_2":"spend_old"}' });

    const { differences, unmappedSlugs } = await inspectObject(attio, settings);

    assert.deepEqual(differences.map(({ slug, fault }) => [slug, fault]), [["spend_old", "archived"]]); // prettier-ignore
    assert.deepEqual(unmappedSlugs, ["spend_new"]);
    const pages = sandbox.log.filter(({ route }) => route === LISTED);
    assert.deepEqual(pages.map(({ query }) => query.get("offset")), ["0", "500"]); // prettier-ignore
  });

  test("a list of attributes that ignores the offset is read twice, not for ever", async (t) => {
    const { sandbox, attio } = await reach(t);
    for (let n = 0; n < 500; n += 1) sandbox.addAttribute("stripe_customers", { slug: `note_${n}`, type: "text" });
    let page: string | undefined;
    const same: Fault = { name: "the first page", after: (reply) => ({ ...reply, text: (page ??= reply.text) }) };
    onCalls(sandbox, LISTED, () => same);

    await inspectObject(attio, someSettings({}));

    assert.equal(sandbox.log.filter(({ route }) => route === LISTED).length, 2);
  });
});

describe("Attio: who has an address", () => {
  const ROUTE = `POST ${PEOPLE}/query`;

  function addPeople(sandbox: AttioSandbox, count: number): string[] {
    const addresses = Array.from({ length: count }, (_, n) => `payer${n}@example${n}.com`);
    for (const address of addresses) sandbox.addPerson({ emailAddresses: [address] });
    return addresses;
  }

  function asked(call: Received): string[] {
    const filters = inBody(call, "filter.$or");
    assert.ok(Array.isArray(filters));
    return filters.map((filter) => filter.email_addresses.email_address.$eq);
  }

  test("a hundred addresses go into a request, each once", async (t) => {
    const { sandbox, attio } = await reach(t);
    const addresses = addPeople(sandbox, 250);

    const people = await lookUpPeople(attio, [...addresses, ...addresses, "nobody@example.com"]);

    assert.equal(people.size, 250);
    assert.deepEqual(sandbox.log.map((call) => asked(call).length).sort(), [100, 100, 51]); // prettier-ignore
  });

  test("a person comes with the company, and an address that nobody has with nothing", async (t) => {
    const { sandbox, attio } = await reach(t);
    const company = sandbox.addCompany({ name: "Example", domain: "example.com" });
    const person = sandbox.addPerson({ emailAddresses: ["jenny@example.com"], company: "example.com" });

    const people = await lookUpPeople(attio, ["jenny@example.com", "nobody@example.com"]);

    assert.deepEqual([...people], [["jenny@example.com", { recordId: person, companyId: company }]]);
  });

  test("an address that Attio holds with capitals is found", async (t) => {
    const { sandbox, attio } = await reach(t);
    const recordId = sandbox.addPerson({ emailAddresses: ["Work@Example.com", "Jenny.Rosen@Example.com"] });

    const people = await lookUpPeople(attio, ["jenny.rosen@example.com"]);

    assert.deepEqual([...people], [["jenny.rosen@example.com", { recordId, companyId: undefined }]]);
  });

  test("an address that Attio normalised is found by its original spelling", async (t) => {
    const { sandbox, attio } = await reach(t);
    const recordId = sandbox.addPerson({ emailAddresses: ["jenny+shop@example.com"] });
    const normalised = rewriting("without the part after +", (page) => {
      const text = JSON.stringify(page["data"]);
      page["data"] = JSON.parse(text.replace('"email_address":"jenny+shop@', '"email_address":"jenny@'));
    });
    onCalls(sandbox, ROUTE, () => normalised);

    const people = await lookUpPeople(attio, ["jenny+shop@example.com"]);

    assert.deepEqual([...people], [["jenny+shop@example.com", { recordId, companyId: undefined }]]);
  });

  test("an address that two people claim belongs to neither", async (t) => {
    const { sandbox, attio } = await reach(t);
    sandbox.setUnique("people", "email_addresses", false);
    for (let n = 0; n < 3; n += 1) sandbox.addPerson({ emailAddresses: ["shared@example.com", `own${n}@example.com`] });

    const people = await lookUpPeople(attio, ["shared@example.com", "own1@example.com"]);

    assert.equal(people.get("shared@example.com"), null);
    assert.equal(typeof people.get("own1@example.com")?.recordId, "string");
  });

  test("what is no address is not searched for", async (t) => {
    const { sandbox, attio } = await reach(t);

    assert.equal((await lookUpPeople(attio, ["", "jenny", "a b@example.com", "a@b@c", "@"])).size, 0);

    assert.equal(sandbox.log.length, 0);
  });

  for (const count of [1, 12])
    test(`${count} that Attio will not search for stay unknown, are counted, and hide no other`, async (t) => {
      const { sandbox, attio } = await reach(t);
      const addresses = addPeople(sandbox, 100);
      const odd = addresses.slice(0, count);
      for (const address of odd) sandbox.unsearchable.add(address);
      const found = noPeople();

      const people = await lookUpPeople(attio, addresses, found);

      assert.deepEqual(odd.map((address) => people.get(address)), Array(count).fill(null)); // prettier-ignore
      assert.equal([...people.values()].filter((person) => person !== null).length, 100 - count);
      assert.equal(found.refused, count);
    });

  test("a filter that is too large is halved until Attio takes it", async (t) => {
    const { sandbox, attio } = await reach(t);
    const addresses = addPeople(sandbox, 100);
    onCalls(sandbox, ROUTE, (call) => (asked(call).length > 30 ? refusal("filter_error") : undefined));

    const people = await lookUpPeople(attio, addresses);

    assert.equal([...people.values()].filter((person) => person !== null).length, 100);
    assert.deepEqual(sandbox.log.map((call) => asked(call).length), [100, 50, 25, 25, 50, 25, 25]); // prettier-ignore
  });

  test("where every look-up is refused, that is no address's own fault and ends the run", async (t) => {
    const { sandbox, attio } = await reach(t);
    onCalls(sandbox, ROUTE, () => refusal("filter_error"));

    const error = await failureOf(lookUpPeople(attio, addPeople(sandbox, 1_000)));

    assert.ok(error instanceof ApiError);
    assert.ok(sandbox.log.length < 200, `${sandbox.log.length} requests`);
  });
});

describe("Attio: writing a record", () => {
  test("each value goes out as an array of one, and [] clears", async (t) => {
    const { sandbox, attio } = await reach(t);
    const person = sandbox.addPerson({ emailAddresses: ["jenny@example.com"] });

    await assertRecord(
      attio,
      new Map([
        ["stripe_customer_id", "cus_1"],
        ["name", "Jenny"],
        ["total_revenue", "1234.50"],
        ["spend_pro", "-0.07"],
        ["subscription_status", "Active"],
        ["person", person],
        ["company", undefined],
        ["first_charge_at", "2026-11-21T07:17:00.000Z"],
        ["last_charge_at", undefined],
      ]),
    );

    const [call] = sandbox.log;
    assert.deepEqual([call?.method, call?.path, String(call?.query)], ["PUT", RECORDS, "matching_attribute=stripe_customer_id"]); // prettier-ignore
    assert.deepEqual(inBody(call ?? fail(), "data.values"), {
      stripe_customer_id: ["cus_1"],
      name: ["Jenny"],
      total_revenue: [{ currency_value: 1234.5 }],
      spend_pro: [{ currency_value: -0.07 }],
      subscription_status: ["Active"],
      person: [{ target_object: "people", target_record_id: person }],
      company: [],
      first_charge_at: ["2026-11-21T07:17:00.000Z"],
      last_charge_at: [],
    });
  });

  test("a second assert changes the same record, clears what it clears, and leaves what it does not name", async (t) => {
    const { sandbox, attio } = await reach(t);
    const created = [["name", "Jenny"], ["email", "j@example.com"], ["last_charge_at", "2026-11-21T07:17:00.000Z"]] as const; // prettier-ignore
    await assertRecord(attio, new Map([["stripe_customer_id", "cus_1"], ...created]));

    await assertRecord(attio, new Map([["stripe_customer_id", "cus_1"], ["last_charge_at", undefined], ["total_revenue", "0.00"]])); // prettier-ignore

    const [record, ...others] = sandbox.records("stripe_customers");
    assert.equal(others.length, 0);
    const { name, email, last_charge_at, total_revenue } = record ?? fail();
    assert.deepEqual([name, email, last_charge_at, total_revenue], ["Jenny", "j@example.com", null, "0"]);
  });

  test("an amount of 10^12 minor units arrives to the cent", async (t) => {
    const { sandbox, attio } = await reach(t);

    await assertRecord(attio, new Map([["stripe_customer_id", "cus_1"], ["total_revenue", "10000000000.07"]])); // prettier-ignore

    assert.equal(sandbox.records("stripe_customers")[0]?.["total_revenue"], "10000000000.07");
    assert.equal(
      (await readCrm(attio, { spendSlugs: SLUGS, currency: "usd" })).records.get("cus_1")?.values.get("total_revenue"),
      "10000000000.07",
    );
  });

  const values = new Map([["stripe_customer_id", "cus_1"]]);

  test("a uniqueness_conflict is tried once more", async (t) => {
    const { sandbox, attio } = await reach(t);
    sandbox.faultRules.push(script(`PUT ${RECORDS}`, [refusal("uniqueness_conflict")]));

    await assertRecord(attio, values);

    assert.equal(sandbox.records("stripe_customers").length, 1);
    assert.equal(sandbox.log.length, 2);
  });

  test("a uniqueness_conflict that stays is the record's failure", async (t) => {
    const { sandbox, attio } = await reach(t);
    sandbox.faultRules.push(script(`PUT ${RECORDS}`, Array(9).fill(refusal("uniqueness_conflict"))));

    const error = await failureOf(assertRecord(attio, values));

    assert.ok(error instanceof ApiError);
    assert.deepEqual([error.code, sandbox.log.length], ["uniqueness_conflict", 2]);
  });

  test("any other refusal is final", async (t) => {
    const { sandbox, attio } = await reach(t);
    sandbox.faultRules.push(script(`PUT ${RECORDS}`, [attioFaults.mergeInProgress]));

    const error = await failureOf(assertRecord(attio, values));

    assert.ok(error instanceof ApiError);
    assert.deepEqual([error.code, sandbox.log.length], ["merge_in_progress", 1]);
  });
});

describe("Attio: creating a person", () => {
  test("a new person has the address and the name", async (t) => {
    const { sandbox, attio } = await reach(t);

    const person = await createPerson(attio, "jenny@example.com", "Jenny van der Rosen");

    const [record] = sandbox.records("people");
    assert.deepEqual(person, { recordId: record?.recordId, companyId: undefined, isNew: true });
    assert.deepEqual(inBody(sandbox.log[0] ?? fail(), "data.values"), {
      email_addresses: ["jenny@example.com"],
      name: [{ first_name: "Jenny", last_name: "van der Rosen", full_name: "Jenny van der Rosen" }],
    });
  });

  test("without a name none is invented", async (t) => {
    const { sandbox, attio } = await reach(t);

    await createPerson(attio, "jenny@example.com", "");

    assert.deepEqual(inBody(sandbox.log[0] ?? fail(), "data.values"), { email_addresses: ["jenny@example.com"] });
  });

  test("somebody who has the address by now is found, with the company, and not overwritten", async (t) => {
    const { sandbox, attio } = await reach(t);
    const companyId = sandbox.addCompany({ name: "Example", domain: "example.com" });
    const recordId = sandbox.addPerson({
      firstName: "Jenny",
      emailAddresses: ["Jenny@example.com"],
      company: "example.com",
    });
    const before = sandbox.dump("people");

    const person = await createPerson(attio, "jenny@example.com", "Somebody Else");

    assert.deepEqual(person, { recordId, companyId, isNew: false });

    assert.equal(sandbox.dump("people"), before);
  });

  test("a conflict with nobody who can be found gives no person", async (t) => {
    const { sandbox, attio } = await reach(t);
    sandbox.faultRules.push(script(`POST ${PEOPLE}`, [refusal("uniqueness_conflict")]));

    assert.equal(await createPerson(attio, "jenny@example.com", "Jenny"), undefined);
  });

  test("a person whose creation took effect before the answer was lost is not created twice", async (t) => {
    const { sandbox, attio } = await reach(t);
    sandbox.faultRules.push(script(`POST ${PEOPLE}`, [attioFaults.resetAfterEffect]));

    const person = await createPerson(attio, "jenny@example.com", "Jenny");

    const people = sandbox.records("people");
    assert.deepEqual([people.length, person?.recordId], [1, people[0]?.recordId]);
  });
});
