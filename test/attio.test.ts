// attio.test.ts - records in and out: what is read is comparable, what is written is what Attio takes.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { TestContext } from "node:test";

import type { AttioOptions, AttioSandbox } from "../sandbox/attio.ts";
import { script } from "../sandbox/server.ts";
import type { Call as Received, Fault } from "../sandbox/server.ts";
import { emptyAccount } from "../sandbox/stripe.ts";
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
import { aNewWorld } from "./ground.ts";
import { aConnection, failureOf, refusal, rewriting, someSettings } from "./services.ts";

const PLACE = { spendSlugs: ["spend_pro", "spend_other"], currency: "usd" };
const RECORDS = "/v2/objects/stripe_customers/records";
const PEOPLE = "/v2/objects/people/records";

/** A workspace with the object and no records. */
async function reach(t: TestContext, options: AttioOptions = {}) {
  const env = { PRODUCT_SLUGS: '{"prod_1":"spend_pro"}' };
  const { attio: sandbox } = await aNewWorld(t, { account: emptyAccount(), attio: options, env });
  return { sandbox, attio: connectAttio(someSettings({ ATTIO_API_BASE: sandbox.url }), aConnection()) };
}

/** Adds a record for each customer id; returns their ids. */
function addRecords(sandbox: AttioSandbox, ...customerIds: string[]): string[] {
  return customerIds.map((id) => sandbox.addRecordAsMember("stripe_customers", { stripe_customer_id: id }));
}

function numbered(count: number): string[] {
  return Array.from({ length: count }, (_, n) => `cus_${n}`);
}

type Asked = { readonly email_addresses: { readonly email_address: { readonly $eq: string } } };
type Body = { readonly data: { readonly values: unknown }; readonly filter: { readonly $or: readonly Asked[] } };

/** What a request wrote, or asked for. */
function bodyOf(call: Received | undefined): Body {
  assert.ok(call, "no such request");
  return call.body as Body;
}

describe("Attio: the records of the CRM", () => {
  for (const [count, offsets] of [
    [1_001, [0, 500, 1_000]],
    [500, [0, 500]],
  ] as const)
    test(`of ${count} records all pages are read, 500 each, oldest first`, async (t) => {
      const { sandbox, attio } = await reach(t);
      addRecords(sandbox, ...numbered(count));

      const { records, duplicates, withoutKey } = await readCrm(attio, PLACE);

      assert.deepEqual([records.size, duplicates.size, withoutKey], [count, 0, 0]);
      const sorts = [{ attribute: "created_at", direction: "asc" }];
      const asked = offsets.map((offset) => ({ sorts, limit: 500, offset }));
      assert.deepEqual(sandbox.log.map(({ body }) => body), asked); // prettier-ignore
    });

  test("a record that comes on two pages is one record, not a duplicate", async (t) => {
    const { sandbox, attio } = await reach(t);
    addRecords(sandbox, ...numbered(502));
    let last: unknown;
    const repeat = rewriting("a page that begins with the last record before it", ({ data }) => {
      if (Array.isArray(data) && last !== undefined) data.unshift(last);
      if (Array.isArray(data)) last = data.at(-1);
    });
    sandbox.faultRules.push(() => repeat);

    const { records, duplicates } = await readCrm(attio, PLACE);

    assert.deepEqual([records.size, duplicates.size], [502, 0]);
  });

  test("a server that answers every offset with the same page is an error, not a loop", async (t) => {
    const { sandbox, attio } = await reach(t);
    addRecords(sandbox, ...numbered(500));
    let page: string | undefined;
    const same: Fault = { name: "the first page", after: (reply) => ({ ...reply, text: (page ??= reply.text) }) };
    sandbox.faultRules.push((_, attempt) => (attempt < 10 ? same : refusal("the_test_ends_the_loop")));

    assert.ok((await failureOf(readCrm(attio, PLACE))) instanceof UnexpectedError);
  });

  test("two records of one customer are duplicates, oldest first, and one without an id is counted", async (t) => {
    const { sandbox, attio } = await reach(t);
    sandbox.setUnique("stripe_customers", "stripe_customer_id", false);
    const ids = addRecords(sandbox, "cus_1", "cus_2", "cus_1", "cus_1");
    sandbox.addRecordAsMember("stripe_customers", { name: "Typed by hand" });

    const { records, duplicates, withoutKey } = await readCrm(attio, PLACE);

    assert.deepEqual([...duplicates], [["cus_1", [ids[0], ids[2], ids[3]]]]);
    assert.deepEqual([[...records.keys()], withoutKey], [["cus_1", "cus_2"], 1]);
  });

  const MONEY: [options: AttioOptions, currency: string, read: (string | undefined)[]][] = [
    [{ currencyAsString: false }, "usd", ["499.00", "12.50", "-0.07", undefined]],
    [{ currencyAsString: true }, "usd", ["499.00", "12.50", "-0.07", undefined]],
    [{ currencyAsString: true }, "jpy", ["499", "12.50", "-0.07", undefined]], // no yen, so that it never equals ours
  ];
  for (const [options, currency, expected] of MONEY)
    test(`money in ${currency} that comes as ${options.currencyAsString ? "text" : "a number"} is read exactly`, async (t) => {
      const { sandbox, attio } = await reach(t, options);
      const money = { total_revenue: 499, spend_pro: 12.5, unallocated_revenue: -0.07 };
      sandbox.addRecordAsMember("stripe_customers", { stripe_customer_id: "cus_1", ...money });

      const values = (await readCrm(attio, { ...PLACE, currency })).records.get("cus_1")?.values;

      const slugs = ["total_revenue", "spend_pro", "unallocated_revenue", "spend_other"];
      assert.deepEqual(slugs.map((slug) => values?.get(slug)), expected); // prettier-ignore
    });

  test("an instant is read in ISO form, a select by its title, a reference by its record", async (t) => {
    const { sandbox, attio } = await reach(t);
    const person = sandbox.addPerson({ emailAddresses: ["jenny@example.com"] });
    const link = [{ target_object: "people", target_record_id: person }];
    const given = { subscription_status: "Past Due", person: link, first_charge_at: "2026-11-21T07:17:00Z" };
    sandbox.addRecordAsMember("stripe_customers", { stripe_customer_id: "cus_1", ...given });

    const { records } = await readCrm(attio, PLACE);

    assert.deepEqual(Object.fromEntries(records.get("cus_1")?.values ?? []), {
      stripe_customer_id: "cus_1",
      first_charge_at: "2026-11-21T07:17:00.000Z",
      subscription_status: "Past Due",
      person,
    });
  });

  for (const [author, others] of [
    ["api-token", []],
    [null, []],
    ["workspace-member", ["name"]],
    ["app", ["name"]],
    ["system", ["name"]],
  ] as const)
    test(`a value whose author is ${author} ${others.length === 0 ? "is ours" : "belongs to others"}`, async (t) => {
      const { sandbox, attio } = await reach(t);
      await assertRecord(attio, new Map([["stripe_customer_id", "cus_1"], ["name", "Jenny"]])); // prettier-ignore
      const recordId = sandbox.records("stripe_customers")[0]?.recordId ?? "";
      sandbox.editAs(author, "stripe_customers", recordId, { name: "Jenny Rosen" });

      const { setByOthers = [] } = (await readCrm(attio, PLACE)).records.get("cus_1") ?? {};

      assert.deepEqual([...setByOthers], others);
    });

  test("an id that differs in case only is another customer's", async (t) => {
    const { sandbox, attio } = await reach(t);
    const [, recordId] = addRecords(sandbox, "cus_a", "cus_A", "cus_b");

    const { records, duplicates } = await readCrm(attio, PLACE, ["cus_A"]);

    assert.deepEqual([records.get("cus_A")?.recordId, records.has("cus_b"), duplicates.size], [recordId, false, 0]);
    assert.deepEqual(bodyOf(sandbox.log[0]).filter, { stripe_customer_id: { $in: ["cus_A"] } });
  });

  const ODD: [values: object | undefined, said: string][] = [
    [undefined, `page of ${RECORDS}/query: data is undefined, expected a list`],
    [{ mrr: [{ currency_value: true }] }, "record rec_1 mrr: currency_value is boolean, expected a number"],
    [{ renews_at: [{ value: "soon" }] }, "record rec_1 renews_at: value is string, expected an instant"],
  ];
  for (const [values, said] of ODD)
    test(`"${said}" is an error, not an empty CRM`, async (t) => {
      const { sandbox, attio } = await reach(t);
      const text = JSON.stringify({ data: values && [{ id: { record_id: "rec_1" }, values }] });
      sandbox.faultRules.push(() => ({ name: "odd", before: { status: 200, text } }));

      assert.equal(String(await failureOf(readCrm(attio, PLACE))), `Error: Unexpected: ${said}`);
    });
});

describe("Attio: attributes", () => {
  test("archived attributes are read too, and only currency ones belong to the sync", async (t) => {
    const { sandbox, attio } = await reach(t);
    for (const slug of ["spend_new", "spend_old"]) sandbox.addAttribute("stripe_customers", { slug, type: "currency" });
    sandbox.addAttribute("stripe_customers", { slug: "spend_note", type: "text" });
    sandbox.archiveAttribute("stripe_customers", "spend_old");
    const settings = someSettings({ PRODUCT_SLUGS: '{"prod_1":"spend_pro","prod_2":"spend_old"}' });

    const { differences, unmappedSlugs } = await inspectObject(attio, settings);

    assert.deepEqual(differences.map(({ slug, fault }) => [slug, fault]), [["spend_old", "archived"]]); // prettier-ignore
    assert.deepEqual(unmappedSlugs, ["spend_new"]);
  });

  test("a list of attributes that may have been cut is an error, not an object that lacks some", async (t) => {
    const { sandbox, attio } = await reach(t);
    for (let n = 0; n < 500; n += 1) sandbox.addAttribute("stripe_customers", { slug: `note_${n}`, type: "text" });

    assert.match(String(await failureOf(inspectObject(attio, someSettings({})))), /lists 500, so there may be more/);
  });
});

describe("Attio: who has an address", () => {
  function addPeople(sandbox: AttioSandbox, count: number): string[] {
    const addresses = Array.from({ length: count }, (_, n) => `payer${n}@example${n}.com`);
    for (const address of addresses) sandbox.addPerson({ emailAddresses: [address] });
    return addresses;
  }

  function asked(call: Received): string[] {
    return bodyOf(call).filter.$or.map((one) => one.email_addresses.email_address.$eq);
  }

  test("a hundred addresses go into a request, each once", async (t) => {
    const { sandbox, attio } = await reach(t);
    const addresses = addPeople(sandbox, 99);

    const people = await lookUpPeople(attio, [...addresses, ...addresses, "nobody@example.com"]);

    assert.equal(people.size, 99);
    assert.deepEqual(sandbox.log.map(asked), [[...addresses, "nobody@example.com"]]);
  });

  test("a person comes with the company, also by the spelling of an address that Attio normalised", async (t) => {
    const { sandbox, attio } = await reach(t);
    const companyId = sandbox.addCompany({ name: "Example", domain: "example.com" });
    const emailAddresses = ["work@example.com", "Jenny+Shop@example.com"];
    const recordId = sandbox.addPerson({ emailAddresses, company: "example.com" });
    const normalised = rewriting("without the part after +", (page) => {
      const text = JSON.stringify(page["data"]);
      page["data"] = JSON.parse(text.replace('"email_address":"jenny+shop@', '"email_address":"jenny@'));
    });
    sandbox.faultRules.push(() => normalised);

    const people = await lookUpPeople(attio, ["jenny+shop@example.com"]);

    assert.deepEqual([...people], [["jenny+shop@example.com", { recordId, companyId }]]);
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

  test("a filter that is too large is halved until Attio takes it", async (t) => {
    const { sandbox, attio } = await reach(t);
    const addresses = addPeople(sandbox, 100);
    sandbox.faultRules.push((call) => (asked(call).length > 30 ? refusal("filter_error") : undefined));
    const found = noPeople();

    await lookUpPeople(attio, addresses, found);

    assert.deepEqual([found.people.size, found.refused], [100, 0]);
    const sizes = sandbox.log.map((call) => asked(call).length);
    assert.deepEqual(sizes, [100, 50, 25, 25, 50, 25, 25]);
  });

  test("where every look-up is refused, that is no address's own fault and ends the run", async (t) => {
    const { sandbox, attio } = await reach(t);
    sandbox.faultRules.push(() => refusal("filter_error"));

    assert.ok((await failureOf(lookUpPeople(attio, addPeople(sandbox, 1_000)))) instanceof ApiError);

    assert.ok(sandbox.log.length < 200, `${sandbox.log.length} requests`);
  });
});

describe("Attio: writing a record", () => {
  test("each value goes out as an array of one, and [] clears", async (t) => {
    const { sandbox, attio } = await reach(t);
    const person = sandbox.addPerson({ emailAddresses: ["jenny@example.com"] });

    const sent: [slug: string, value: string | undefined, onTheWire: unknown[]][] = [
      ["stripe_customer_id", "cus_1", ["cus_1"]],
      ["name", "Jenny", ["Jenny"]],
      ["total_revenue", "1234.50", [{ currency_value: 1234.5 }]],
      ["spend_pro", "-0.07", [{ currency_value: -0.07 }]],
      ["subscription_status", "Active", ["Active"]],
      ["person", person, [{ target_object: "people", target_record_id: person }]],
      ["company", undefined, []],
      ["first_charge_at", "2026-11-21T07:17:00.000Z", ["2026-11-21T07:17:00.000Z"]],
      ["last_charge_at", undefined, []],
    ];

    await assertRecord(attio, new Map(sent.map(([slug, value]) => [slug, value])));

    const [call] = sandbox.log;
    assert.deepEqual([call?.route, String(call?.query)], [`PUT ${RECORDS}`, "matching_attribute=stripe_customer_id"]);
    assert.deepEqual(bodyOf(call).data.values, Object.fromEntries(sent.map(([slug, , wire]) => [slug, wire])));
  });

  test("an amount of 10^12 minor units arrives to the cent", async (t) => {
    const { sandbox, attio } = await reach(t);

    await assertRecord(attio, new Map([["stripe_customer_id", "cus_1"], ["total_revenue", "10000000000.07"]])); // prettier-ignore

    assert.equal(sandbox.records("stripe_customers")[0]?.["total_revenue"], "10000000000.07");
    assert.equal((await readCrm(attio, PLACE)).records.get("cus_1")?.values.get("total_revenue"), "10000000000.07");
  });

  test("a uniqueness_conflict is tried once more", async (t) => {
    const { sandbox, attio } = await reach(t);
    sandbox.faultRules.push(script(`PUT ${RECORDS}`, [refusal("uniqueness_conflict")]));

    assert.equal(await assertRecord(attio, new Map([["stripe_customer_id", "cus_1"]])), true);
  });
});

describe("Attio: creating a person", () => {
  for (const name of ["Jenny van der Rosen", ""])
    test(`a new person has the address, and ${name === "" ? "no name is invented" : "the name"}`, async (t) => {
      const { sandbox, attio } = await reach(t);

      const person = await createPerson(attio, "jenny@example.com", name);

      const [record] = sandbox.records("people");
      assert.deepEqual(person, { recordId: record?.recordId, companyId: undefined, isNew: true });
      const parts = [{ first_name: "Jenny", last_name: "van der Rosen", full_name: name }];
      const expected = { email_addresses: ["jenny@example.com"], ...(name !== "" && { name: parts }) };
      assert.deepEqual(bodyOf(sandbox.log[0]).data.values, expected);
    });

  test("a conflict with nobody who can be found gives no person", async (t) => {
    const { sandbox, attio } = await reach(t);
    sandbox.faultRules.push(script(`POST ${PEOPLE}`, [refusal("uniqueness_conflict")]));

    assert.equal(await createPerson(attio, "jenny@example.com", "Jenny"), undefined);
  });
});
