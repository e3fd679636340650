// sandbox-attio.test.ts - the Attio sandbox refuses what Attio refuses and answers in Attio's shapes.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { inspect } from "node:util";
import { attioFaults, redirectTo, SANDBOX_ATTIO_DAILY_KEY, SANDBOX_ATTIO_KEY, startAttio } from "../sandbox/attio.ts";
import type { ActorType, AttioOptions, AttioSandbox } from "../sandbox/attio.ts";
import { script } from "../sandbox/server.ts";
import type { Fault } from "../sandbox/server.ts";

// -------------------------------------------------------------- Requests ----

type Json = Readonly<Record<string, unknown>>;
type Sent = readonly [method: string, path: string, body?: unknown, contentType?: string];
/** Answers with status and text, and with what to wait if the service says so. */
type Ask = (sent: Sent, key?: string | null) => Promise<string>;
type Place = { readonly attio: AttioSandbox; readonly ask: Ask };

/** A workspace with the object as the bootstrap leaves it, made without a request. */
async function workspace(ends: { after(end: () => Promise<void>): void }, options?: AttioOptions): Promise<Place> {
  const attio = await startAttio(options);
  ends.after(() => attio.close());
  attio.addObject({ slug: "stripe_customers", singular: "Stripe customer", plural: "Stripe customers" });
  const person = { object: "people", slug: "stripe_customers", isMultiselect: true };
  const specs: readonly Parameters<AttioSandbox["addAttribute"]>[1][] = [
    { slug: "stripe_customer_id", type: "text", isUnique: true },
    { slug: "email", type: "text" },
    { slug: "total_revenue", type: "currency" },
    { slug: "subscription_status", type: "select", options: ["Active", "Past Due"] },
    { slug: "person", type: "record-reference", relationship: person },
    { slug: "first_charge_at", type: "timestamp" },
    { slug: "tags", type: "select", isMultiselect: true, options: ["a", "b", "c"] },
  ];
  for (const spec of specs) attio.addAttribute("stripe_customers", spec);

  const ask: Ask = async ([method, path, body, contentType = "application/json"], key = SANDBOX_ATTIO_KEY) => {
    const headers = new Headers({ "content-type": contentType });
    if (key !== null) headers.set("authorization", `Bearer ${key}`);
    const content = body === undefined ? {} : { body: JSON.stringify(body) };
    try {
      const answer = await fetch(`${attio.url}${path}`, { method, headers, redirect: "manual", ...content });
      const wait = answer.headers.get("retry-after");
      return `${answer.status} ${await answer.text()}${wait === null ? "" : `\nretry-after: ${wait}`}`;
    } catch {
      return "no answer";
    }
  };
  return { attio, ask };
}

const CUSTOMERS = "/v2/objects/stripe_customers";
const ATTRIBUTES = `${CUSTOMERS}/attributes`;
const STATUSES = `${ATTRIBUTES}/subscription_status/options`;
const PEOPLE = "/v2/objects/people";
const BY = "matching_attribute=";
const BY_KEY = `${CUSTOMERS}/records?${BY}stripe_customer_id`;

const patch = (path: string, data: Json): Sent => ["PATCH", path, { data }];
const put = (values: Json, path = BY_KEY): Sent => ["PUT", path, { data: { values } }];
/** An assert of the customer cus_1. */
const customer = (values: Json): Sent => put({ stripe_customer_id: "cus_1", ...values });
const create = (slug: string, values: Json): Sent => ["POST", `/v2/objects/${slug}/records`, { data: { values } }];
const query = (body: Json, slug = "people"): Sent => ["POST", `/v2/objects/${slug}/records/query`, body];
const find = (filter: unknown): Sent => query({ filter });

const NAMES = { api_slug: "payers", singular_noun: "Payer", plural_noun: "Payers" };
const object = (more: Json): Sent => ["POST", "/v2/objects", { data: { ...NAMES, ...more } }];

const FLAGS = { is_required: false, is_unique: false, is_multiselect: false };
const PLAIN = { title: "T", description: null, api_slug: "fresh", ...FLAGS, config: {} };
const attribute = (type: string, more: Json = {}, path = ATTRIBUTES): Sent => {
  return ["POST", path, { data: { ...PLAIN, type, ...more } }];
};
const currency = (default_currency_code: string): Json => {
  return { config: { currency: { default_currency_code, display_type: "symbol" } } };
};
const related = (api_slug: string): Json => ({ object: "people", title: "T", api_slug, is_multiselect: true });
const link = (api_slug: string): Sent => attribute("record-reference", { relationship: related(api_slug) });

// -------------------------------------------------------------- Refusals ----

describe("refused", () => {
  const BODY = /"message":"Body payload validation error\."/;
  const CODES = /"received":"RON","options":\["ARS",.*"TRY"\],.*y_code"\],"message":"Invalid enum.* 'ARS' \| .*'RON'"/;
  const UNIQUE = /"Cannot set attribute as unique\."/;
  const QUERY_PARAMS = /"Query params validation error\."/;
  const NOBODY = { target_object: "people", target_record_id: "a0000000-0000-4000-8000-ffffffffffff" };
  const toObjects = (...allowed_objects: string[]): Json => ({ config: { record_reference: { allowed_objects } } });
  const relationship = related("x");
  const TWO_TARGETS = { relationship, ...toObjects("companies") };

  /** `said` is looked for in the whole answer, which names the place in `path`. */
  type Row = readonly [name: string, sent: Sent, said?: RegExp];
  const oddAttribute = (type: string, more: Json): Row => [`a ${type} with ${inspect(more)}`, attribute(type, more)];
  const oddValue = (slug: string, value: unknown): Row => {
    const path = new RegExp(`"path":\\["data","values","${slug}"`);
    return [`${inspect(value)} for ${slug}`, customer({ [slug]: value }), path];
  };
  const ODD_ATTRIBUTES: readonly (readonly [type: string, mores: readonly Json[]])[] = [
    ["url", [{}]],
    ["status", [{}]],
    ["text", [{ config: undefined }, { description: undefined }, { colour: "red" }, currency("USD"), { relationship }]],
    ["currency", [{}, currency("TWD"), currency("usd"), { ...currency("USD"), is_multiselect: true }]],
    ["record-reference", [toObjects(), { relationship: { ...relationship, a: 1 } }, TWO_TARGETS]],
  ];
  const ODD_VALUES: readonly (readonly [slug: string, odd: readonly unknown[]])[] = [
    ["email", [5, null, [null], ["a", "b"], [{ value: "a", active_until: null }]]],
    ["total_revenue", [null, 1.00001, "12 USD", { currency_value: 1, currency_code: "USD" }]],
    ["first_charge_at", [1767225600, "2026-02-30T00:00:00Z"]],
    ["person", [[7], { ...NOBODY, target_object: "companies" }]],
    ["tags", ["a"]],
  ];
  const REFUSED: Readonly<Record<string, readonly Row[]>> = {
    "404 not_found": [
      ["an unknown object", ["GET", "/v2/objects/x"], /"Object with slug\/ID \\"x\\" not found\."/],
      ["an unknown attribute", ["GET", `${ATTRIBUTES}/x`], /"Attribute with slug\/ID \\"x\\" not found\."/],
      ["an unknown record", ["GET", `${PEOPLE}/records/x`], /"Record with ID \\"x\\" not found\."/],
      ["lists", ["GET", "/v2/lists"]],
    ],
    "409 slug_conflict": [
      ["an object's slug in use", object({ api_slug: "people" }), /ensure your api_slug and names are unique/],
      ["a noun in use, in another case", object({ plural_noun: "stripe CUSTOMER" })],
      ["an attribute's slug in use, though archived", attribute("text", { api_slug: "gone" }), /already exists/],
      ["a reverse slug in use", link("job_title")],
      ["an option twice", ["POST", STATUSES, { data: { title: "Active" } }], /option with the title \\"Active\\"/],
    ],
    "400 system_edit_unauthorized": [["a title of Attio's own", patch(`${ATTRIBUTES}/created_at`, { title: "Made" })]],
    "400 validation_type": [
      ["a body without data", ["POST", "/v2/objects", {}], /"path":\["data"\]/],
      ["a body that is not called JSON", ["POST", "/v2/objects", {}, "text/plain"]],
      ["an object with another key", object({ colour: "red" }), /"path":\["data"\].*'colour'/],
      ["an empty noun", object({ singular_noun: "" }), /"path":\["data","singular_noun"\]/],
      ["a slug with a space", object({ api_slug: "a b" }), /"path":\["data","api_slug"\]/],
      ["a unique select", attribute("select", { is_unique: true }), UNIQUE],
      ["a unique text on people", attribute("text", { is_unique: true }, `${PEOPLE}/attributes`), UNIQUE],
      ["a text on people made unique", patch(`${PEOPLE}/attributes/note`, { is_unique: true }), UNIQUE],
      ["another type later", patch(`${ATTRIBUTES}/email`, { type: "number" })],
      ["another relationship later", patch(`${ATTRIBUTES}/email`, { relationship: null })],
      ["a currency that Attio lacks", attribute("currency", currency("RON")), CODES],
      ...ODD_ATTRIBUTES.flatMap(([type, mores]) => mores.map((more) => oddAttribute(type, more))),
      ...ODD_VALUES.flatMap(([slug, odd]) => odd.map((value) => oddValue(slug, value))),
      ["a limit that is a word", ["GET", `${ATTRIBUTES}?limit=many`], QUERY_PARAMS],
      ["options of a text", ["GET", `${ATTRIBUTES}/email/options`], /"This attribute is not a select attribute\."/],
      ["an address under a reserved domain", create("people", { email_addresses: ["ada@acme.test"] })],
      ["what is no address", create("people", { email_addresses: ["ada"] })],
      ["an assert by nothing", put({}, `${CUSTOMERS}/records`), QUERY_PARAMS],
      ["an unknown key in a query", query({ filters: {} })],
      ["a page of 501", query({ limit: 501 }), /"path":\["limit"\]/],
      ["an unknown direction", query({ sorts: [{ attribute: "created_at", direction: "up" }] })],
    ],
    "400 value_not_found": [
      ["an unknown attribute's value", customer({ week: 1 }), /"Cannot find attribute with slug\/ID \\"week\\"\."/],
      ["an archived attribute's value", customer({ gone: "x" }), /attribute with slug\/ID \\"gone\\"/],
      ["an unknown option's title", customer({ tags: ["z"] }), /select option title \\"z\\"\."\}$/],
      ["an unknown option to bring back", patch(`${STATUSES}/Gone`, { is_archived: true })],
      // The specification's error bodies end with the message: which attribute is meant stands in no field.
      ["nobody's id", customer({ person: NOBODY }), /"message":"Record with ID \\"a0.+ffff\\" not found\."\}$/],
      ["nobody's address", customer({ person: "nobody@acme.com" }), /Found 0 records of \\"people\\"/],
      ["an assert by an unknown attribute", put({}, `${CUSTOMERS}/records?${BY}x`), /No attribute was/],
    ],
    "400 matching_attribute_definition_not_unique": [
      ["an assert by a text", put({}, `${CUSTOMERS}/records?${BY}email`)],
    ],
    "400 missing_value": [["an assert without its key", put({ email: "a" }), /"Required value for attribute with ID/]],
    "400 immutable_value": [
      ["a record's id", customer({ record_id: "x" })],
      ["a record's author", customer({ created_by: "x" })],
    ],
    "400 uniqueness_conflict": [
      ["a key in use", create("stripe_customers", { stripe_customer_id: "cus_0" }), /Conflicting record IDs: a0/],
      ["an address in use, in another case", create("people", { email_addresses: ["ADA@acme.com"] })],
    ],
    "400 invalid_filter_operator": [
      ["an operator that does not exist", find({ job_title: { $ne: "a" } })],
      ["$in on an address", find({ email_addresses: { $in: ["a@acme.com"] } })],
      ["$not_empty on a text", find({ job_title: { $not_empty: true } })],
      ["$nor", find({ $nor: [] })],
    ],
    "400 invalid_filter_field": [
      ["a field that the type lacks", find({ email_addresses: { value: "a" } })],
      ["a reference without a field", find({ company: "x" })],
    ],
    "400 unknown_filter_attribute_slug": [
      ["an unknown attribute", find({ $or: [{ job_title: "a" }, { x: 1 }] }), /"path":\["\$or","1","x"\]/],
      ["an unknown order", query({ sorts: [{ attribute: "x", direction: "asc" }] })],
    ],
    "400 filter_error": [
      ["$not around $or", find({ $not: { $or: [{ job_title: "a" }] } }), /"Error in filter\."/],
      ["a number for a text in a filter", find({ job_title: 5 })],
      ["an empty $or", find({ $or: [] })],
    ],
    "501 not_imitated": [
      ["a checkbox", attribute("checkbox")],
      ["a filter along a path", find({ path: [["people", "name"]], constraints: {} })],
      ["$gt on a time", find({ created_at: { $gt: "2026-01-01T00:00:00Z" } })],
      ["$not", find({ $not: { job_title: "a" } })],
      ["an order by name", query({ sorts: [{ attribute: "name", direction: "asc" }] })],
    ],
  };

  let place: Place;
  before(async () => {
    place = await workspace({ after: () => undefined });
    const { attio } = place;
    attio.addAttribute("people", { slug: "note", type: "text" });
    attio.addAttribute("stripe_customers", { slug: "gone", type: "text" });
    attio.archiveAttribute("stripe_customers", "gone");
    attio.addPerson({ emailAddresses: ["ada@acme.com"] });
    attio.addRecordAsMember("stripe_customers", { stripe_customer_id: "cus_0" });
  });
  after(() => place.attio.close());
  for (const [refusal, rows] of Object.entries(REFUSED))
    for (const [name, sent, said] of rows)
      test(`${name}: ${refusal}`, async () => {
        const [status, code] = refusal.split(" ");

        const answer = await place.ask(sent);

        assert.match(answer, new RegExp(`^${status} {"status_code":${status},"type":"\\w+","code":"${code}",`));
        assert.match(answer, said ?? (code === "validation_type" ? BODY : /./));
        assert.equal(place.attio.writes.changes, 0);
      });
});

// --------------------------------------------------------------- Answers ----

describe("keys", () => {
  const READER = { key: "a_key_that_reads", scopes: ["object_configuration:read", "record_permission:read"] };
  const REVOKED = { ...READER, key: "a_key_that_was_revoked", active: false };
  const DAILY = { key: SANDBOX_ATTIO_DAILY_KEY, scopes: ["object_configuration:read", "record_permission:read-write"] };
  const SELF: Sent = ["GET", "/v2/self"];
  const LIST: Sent = ["GET", ATTRIBUTES];
  const ROWS: readonly (readonly [key: string | null, sent: Sent, said: RegExp])[] = [
    [READER.key, SELF, /^200 \{"active":true,"scope":"object_configuration:read record_permission:read",/],
    ["a_key_nobody_has_seen", SELF, /^200 \{"active":false\}$/],
    [REVOKED.key, SELF, /^200 \{"active":false\}$/],
    ["short", SELF, /^400 .*"missing_value"/],
    [null, SELF, /^400 .*"missing_value"/],
    [null, LIST, /^401 .*"auth_error","code":"unauthorized","message":"The Authorization header was not provided/],
    [REVOKED.key, LIST, /^401 .*"auth_error","code":"unauthorized","message":"The API Key provided could not be/],
    [READER.key, create("people", {}), /^403 .*"auth_error",.* scopes: Read-Write access to the Records scope\."/],
    [READER.key, object({}), /^403 .*Read-Write access to the Object Configuration scope\."/],
    [DAILY.key, customer({}), /^200 /],
    [DAILY.key, attribute("text"), /^403 /],
  ];
  for (const [key, sent, said] of ROWS)
    test(`${sent[0]} ${sent[1]} answers ${said.source.slice(1, 4)} to ${key ?? "no key"}`, async (t) => {
      const { ask } = await workspace(t, { keys: [READER, REVOKED, DAILY] });

      assert.match(await ask(sent, key), said);
    });
});

describe("answered", () => {
  type Step = Sent | ((attio: AttioSandbox) => Sent | void);
  /** The last answer with its status, matched together with a dump of what the workspace then holds. */
  type Row = readonly [title: string, steps: readonly Step[], said: RegExp, options?: AttioOptions];

  const X = { email: "x" };
  const ADA = { person: "ada@acme.com" };
  const EMAIL = `${ATTRIBUTES}/email`;
  const PAST_DUE = `${STATUSES}/Past%20Due`;
  const BACKS: Sent = ["GET", `${PEOPLE}/attributes/backs`];
  const NAME: Sent = ["GET", "/v2/objects/payers/attributes/name"];
  const add: Sent = ["POST", STATUSES, { data: { title: "New" } }];
  const isDue = customer({ subscription_status: "Past Due" });
  const capital = create("people", { email_addresses: ["A+X@My.Acme.com"] });
  const ofAda = put({ email_addresses: ["ada@home.com", "new@a.com"] }, `${PEOPLE}/records?${BY}email_addresses`);
  const all = query({}, "stripe_customers");
  const archived = (path: string, is_archived = true): Sent => patch(path, { is_archived });
  const unique = patch(`${ATTRIBUTES}/stripe_customer_id`, { is_unique: true });
  const required: Step = (attio) => attio.setRequired("stripe_customers", "email", true);
  const idOf = (attio: AttioSandbox, slug: string): string => attio.records(slug)[0]?.recordId ?? "";
  const removed: Step = (attio) => attio.removePerson(idOf(attio, "people"));
  const duplicated: Step = (attio) => {
    attio.setUnique("stripe_customers", "stripe_customer_id", false);
    for (const email of ["a", "b"]) attio.addRecordAsMember("stripe_customers", { stripe_customer_id: "cus_1", email });
  };
  const ONLY_ADA = /^200 (?!.*"web_url".*"web_url").*"ada@/;
  const by = (address: string): Json => ({ email_addresses: { email_address: { $eq: address } } });
  const oldest = (more: Json): Sent => query({ sorts: [{ attribute: "created_at", direction: "asc" }], ...more });
  const atAcme = (asked: (id: string) => unknown): Step => {
    return (attio) => find({ company: { target_record_id: asked(idOf(attio, "companies")) } });
  };
  const edited = (by: ActorType | null): Step => {
    return (attio) => attio.editAs(by, "stripe_customers", idOf(attio, "stripe_customers"), X);
  };

  const ROWS: readonly Row[] = [
    ["people and companies are there", [["GET", "/v2/objects"]], /"people","singular_noun":"Person".*"Company"/],
    ["an object is found once made", [object({}), ["GET", "/v2/objects/payers"]], /"singular_noun":"Payer"/],
    ["a plan limits objects", [object({})], /"quota_exceeded","message":"You have met your/, { objectLimit: 1 }],
    ["a fresh object brings a name", [object({}), NAME], /^200 .*"is_system_attribute":true/],
    ["a fresh object may bring no name", [object({}), NAME], /^404 /, { freshObjectHasName: false }],
    ["a text has both configs", [attribute("text")], /"default_currency_code":null.*"allowed_object_ids":null/],
    ["money has a currency", [attribute("currency", currency("EUR"))], /"default_currency_code":"EUR","display/],
    ["a link names its other side", [link("backs")], /"relationship":\{.*"object_slug":"people",.*"backs"/],
    ["the other side is made", [link("backs"), BACKS], /"is_multiselect":true.*"fresh"/],
    ["attributes come in pages", [["GET", `${ATTRIBUTES}?limit=1&offset=2`]], /^200 .{9}[^[]*"created_at"[^[]*\]/],
    ["an archived attribute is hidden", [archived(EMAIL), ["GET", ATTRIBUTES]], /^200 (?!.*"email")/],
    ["it is shown if asked for", [archived(EMAIL), ["GET", `${ATTRIBUTES}?show_archived=true`]], /^200 .*"email"/],
    ["it is gone from records", [customer(X), archived(EMAIL), customer({})], /^200 (?!.*"email")/],
    ["it comes back", [archived(EMAIL), archived(EMAIL, false), customer(X)], /email=\["x"\]/],
    ["an archived option is hidden", [archived(PAST_DUE), ["GET", STATUSES]], /^200 (?!.*Past Due)/],
    ["an archived option cannot be written", [archived(PAST_DUE), isDue], /^400 .*"value_not_found"/],
    ["an option comes back", [archived(PAST_DUE), archived(PAST_DUE, false), isDue], /status=\["Past Due"\]/],
    ["an option is added at the end", [add, ["GET", STATUSES]], /^200 .*"Past Due".*"New"/],

    ["a value has a time", [customer({})], /"active_from":"2026-.{14}\.\d{9}Z","active_until":null,"created_by/],
    ["a value has an author", [customer({})], /"api-token","id":".{36}"\},"value":"cus_1","attribute_type":"text"/],
    ["money is a number", [customer({ total_revenue: 4.9 })], /"currency_value":4.9,"currency_code":"USD"/],
    ["money may be text", [customer({ total_revenue: 499 })], /"currency_value":"499\.00"/, { currencyAsString: true }],
    ["a select is its option", [isDue], /"option":\{.*"title":"Past Due","is_archived":false\}/],
    ["a reference is an id", [customer(ADA)], /"target_object":"people","target_record_id":"a0[0-9a-f-]{34}"/],
    ["no value is an empty list", [customer({})], /"email":\[\]/],
    ["a name has three parts", [query({})], /"first_name":"Ada","last_name":"Byron","full_name":"Ada Byron"/],
    ["an address is normalised", [capital], /"original_email_address":"A\+X@My\.Acme\.com","email_address":"a\+x@my\./],
    ["it has parts", [capital], /"my\.acme\.com","email_root_domain":"acme\.com","email_local_specifier":"a\+x"/],
    ["example.com is a domain", [create("people", { email_addresses: ["ada@example.com"] })], /^200 /],
    ["a record has a page", [customer({})], /"https:\/\/app\.attio\.com\/sandbox\/custom\/stripe_customers\/record\//],

    ["an assert makes one record", [customer({}), customer(X)], /\ncus_1: email=\["x"\].*\nAda/],
    ["an assert replaces several values", [customer({ tags: ["a", "b"] }), customer({ tags: ["c"] })], /tags=\["c"\]/],
    ["an assert leaves what it does not name", [customer(X), customer({ tags: [] })], /email=\["x"\]/],
    ["an assert adds to what it matches by", [ofAda], /\["ada@acme.com","ada@home.com","new@a.com"\]/],
    ["upper case is another key", [customer({}), put({ stripe_customer_id: "CUS_1" })], /\nCUS_1: .*\ncus_1: /],
    ["a key made unique late keeps duplicates", [duplicated, unique, customer({})], /"multiple_match_results"/],
    ["what is required is asked for", [required, customer({})], /^400 .*"missing_value"/],
    ["a member is an author", [customer({}), edited("workspace-member"), all], /"workspace-member","id":".*:"x"/],
    ["an app is an author", [customer({}), edited("app"), all], /"app","id":"[0-9a-f-]{36}"\},"value":"x"/],
    ["Attio is an author without id", [customer({}), edited("system"), all], /"system","id":null\},"value":"x"/],
    ["a value may have no author", [customer({}), edited(null), all], /"type":null,"id":null\},"value":"x"/],
    ["a value that stays keeps its author", [customer(X), edited("app"), all], /"api-token","id":".{36}"\},.{9}x"/],
    ["a link shows on both sides", [customer(ADA)], /person=\["Ada [^]*\nAda .*stripe_customers=\["cus_1"\]/],
    ["a link is cleared on both sides", [customer(ADA), customer({ person: [] })], /\nAda .*stripe_customers=\[\]/],
    ["a link moves", [customer(ADA), customer({ person: "bob@acme.com" })], /\nAda .*rs=\[\]\nbob.*rs=\["cus_1"\]/],
    ["a person's company has a team", [all], /\nAcme acme\.com: .*team=\["Ada Byron ada@acme/],
    ["a person who is removed leaves no link", [customer(ADA), removed], /person=\[\]/],

    ["a query finds all, the newest first", [query({})], /^200 .*"bob@.*"ada@/],
    ["a query finds the oldest first if asked", [oldest({})], /^200 .*"ada@.*"bob@/],
    ["a query finds a page", [oldest({ limit: 1, offset: 1 })], /^200 (?!.*"ada@).*"bob@/],
    ["an unknown parameter is ignored", [["POST", `${PEOPLE}/records/query?colour=red`, {}]], /^200 /],
    ["a filter finds a text in any case", [find({ job_title: "bOSS" })], ONLY_ADA],
    ["a filter finds a text under its field", [find({ job_title: { value: "Boss" } })], ONLY_ADA],
    ["a filter finds one of several texts", [find({ job_title: { $in: ["None", "Boss"] } })], ONLY_ADA],
    ["a filter with two attributes means both", [find({ job_title: "Boss", ...by("bob@acme.com") })], /^200 .{9}\]\}/],
    ["$and means both", [find({ $and: [{ job_title: "Boss" }, by("bob@acme.com")] })], /^200 .{9}\]\}/],
    ["$or finds each record once", [find({ $or: ["ADA@acme.com", "ada@home.com"].map(by) })], ONLY_ADA],
    ["a reference is found by its id", [atAcme((id) => id)], ONLY_ADA],
    ["a reference is found among several", [atAcme((id) => ({ $in: ["x", id] }))], ONLY_ADA],
    ["an address may not be searched for", [find({ $or: [by("O'dd@acme.com")] })], /^400 .*"filter_error"/],
  ];
  for (const [title, steps, said, options] of ROWS)
    test(title, async (t) => {
      const { attio, ask } = await workspace(t, options);
      attio.addCompany({ name: "Acme", domain: "acme.com" });
      const name = { first_name: "Ada", last_name: "Byron", full_name: "Ada Byron" };
      const ada = { name, email_addresses: ["ada@acme.com", "ada@home.com"], job_title: "Boss", company: "acme.com" };
      attio.addRecordAsMember("people", ada);
      attio.addPerson({ emailAddresses: ["bob@acme.com"] });
      attio.unsearchable.add("o'dd@acme.com");

      let answer = "";
      for (const step of steps) {
        const sent = typeof step === "function" ? step(attio) : step;
        if (sent) answer = await ask(sent);
      }

      const held = ["stripe_customers", "people", "companies"].map((slug) => attio.dump(slug));
      assert.match(`${answer}\n${held.join("")}`, said);
    });
});

describe("written and not", () => {
  const ROWS: readonly (readonly [slug: string, spellings: readonly unknown[], held: string])[] = [
    ["email", ["a", { value: "a" }], "a"],
    ["total_revenue", [12.5, "12.50", { currency_value: 12.5 }], "12.5"],
    ["subscription_status", ["Active", { option: "Active" }], "Active"],
    ["first_charge_at", ["2026-03-01T10:00", { value: "2026-03-01T12:00:00+02:00" }], "2026-03-01T10:00:00.0{9}Z"],
  ];
  for (const [slug, spellings, held] of ROWS)
    test(`${slug} takes each documented spelling, bare and as an array of one, and [] clears it`, async (t) => {
      const { attio, ask } = await workspace(t);

      for (const sent of spellings.flatMap((spelling) => [spelling, [spelling]])) {
        await ask(customer({ [slug]: sent }));
        assert.match(String(attio.records("stripe_customers")[0]?.[slug]), new RegExp(`^${held}$`));
        await ask(customer({ [slug]: [] }));
        assert.equal(attio.records("stripe_customers")[0]?.[slug], null);
      }
    });

  test("the same assert twice changes nothing, and another value is younger than one that stays", async (t) => {
    const { attio, ask } = await workspace(t);
    const first = await ask(customer({ email: "a", total_revenue: 1 }));

    assert.equal(await ask(customer({ email: "a", total_revenue: 1 })), first);
    assert.deepEqual(attio.writes, { requests: 2, changes: 1 });
    const last = await ask(customer({ email: "a", total_revenue: 2 }));
    const from = (slug: string): string => new RegExp(`"${slug}":\\[{"active_from":"(.{30})"`).exec(last)?.[1] ?? "";
    assert.ok(from("total_revenue") > from("email") && first.includes(from("email")));
  });

  test("a hand's edit that Attio would refuse throws and says where", async (t) => {
    const { attio } = await workspace(t);

    assert.throws(() => attio.addRecordAsMember("people", { job_title: 5 }), /validation_type.*job_title/);
  });

  test("the 26th write in a second is refused with an HTTP date, reads go on", async (t) => {
    const { attio, ask } = await workspace(t, { limits: "published" });
    const writes = Array.from({ length: 26 }, (_, n) => ask(put({ stripe_customer_id: `cus_${n}` })));

    const [refused = "", ...others] = (await Promise.all(writes)).filter((answer) => !answer.startsWith("200"));

    assert.deepEqual(others, []);
    assert.match(refused, /^429 .*"rate_limit_exceeded".*\nretry-after: \w{3}, \d\d \w{3} \d{4} [0-9:]{8} GMT$/);
    assert.match(await ask(query({})), /^200 /);
    assert.equal(attio.records("stripe_customers").length, 25);
  });

  const FAULTS: readonly (readonly [fault: Fault, said: RegExp, written: number])[] = [
    [attioFaults.rateLimitSeconds, /^429 .*"rate_limit_exceeded".*\nretry-after: 1$/, 0],
    [attioFaults.rateLimitDate, /^429 .*"rate_limit_exceeded".*\nretry-after: \w{3}, .* GMT$/, 0],
    [attioFaults.concurrentWrite, /^409 .*"concurrent_write_conflict"/, 0],
    [attioFaults.serverError, /^500 .*"internal_error"/, 0],
    [attioFaults.badGateway, /^502 <html>/, 0],
    [attioFaults.unavailable, /^503 Service Unavailable$/, 0],
    [attioFaults.emptyAnswer, /^200 \{\}$/, 0],
    [attioFaults.reset, /^no answer$/, 0],
    [redirectTo("http://127.0.0.1:9/"), /^307 $/, 0],
    [attioFaults.emptyAnswerAfterEffect, /^200 \{\}$/, 1],
    [attioFaults.cutBody, /^no answer$/, 1],
    [attioFaults.notJson, /^200 <html>/, 1],
    [attioFaults.serverErrorAfterEffect, /^500 .*"internal_error"/, 1],
    [attioFaults.resetAfterEffect, /^no answer$/, 1],
  ];
  for (const [fault, said, written] of FAULTS)
    test(`the fault "${fault.name}" hits its route only, and ${written} records are written`, async (t) => {
      const { attio, ask } = await workspace(t);
      attio.faultRules.push(script(`PUT ${CUSTOMERS}/records`, [fault]));

      assert.match(await ask(query({}, "stripe_customers")), /^200 /);
      assert.match(await ask(customer({})), said);
      assert.equal(attio.records("stripe_customers").length, written);
    });

  test("a dump is the same whatever the order of creation, without what is omitted", async (t) => {
    const dumpOf = async (...names: readonly string[]): Promise<string> => {
      const { attio } = await workspace(t);
      for (const name of names) attio.addPerson({ emailAddresses: [`${name}@acme.com`] });
      for (const email of names) attio.addRecordAsMember("stripe_customers", { email, person: `${email}@acme.com` });
      return attio.dump("stripe_customers", { omit: ["tags"] }) + attio.dump("people");
    };

    assert.equal(await dumpOf("ada", "bob"), await dumpOf("bob", "ada"));
    assert.doesNotMatch(await dumpOf("ada"), /tags|a0000000/);
  });
});
