// sandbox-attio.test.ts - the Attio sandbox refuses what Attio refuses and answers in Attio's shapes.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { TestContext } from "node:test";
import { attioFaults, redirectTo, SANDBOX_ATTIO_DAILY_KEY, SANDBOX_ATTIO_KEY, startAttio } from "../sandbox/attio.ts";
import type { AttioOptions, AttioSandbox } from "../sandbox/attio.ts";
import { script } from "../sandbox/server.ts";
import type { Fault } from "../sandbox/server.ts";

// --------------------------------------------------------------- Helpers ----

type Answer = { readonly status: number; readonly headers: Headers; readonly text: string; readonly json: unknown };

type Ask = (method: string, path: string, body?: unknown, key?: string | null) => Promise<Answer>;

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** What lies at a path inside a parsed answer. */
function at(value: unknown, ...path: readonly (string | number)[]): unknown {
  let found = value;
  for (const part of path) {
    if (typeof found !== "object" || found === null) return undefined;
    found = new Map(Object.entries(found)).get(String(part));
  }
  return found;
}

function texts(value: unknown, ...path: readonly string[]): string[] {
  assert.ok(Array.isArray(value));
  return value.map((one) => String(at(one, ...path)));
}

function asking(sandbox: AttioSandbox): Ask {
  return async (method, path, body, key = SANDBOX_ATTIO_KEY) => {
    const headers = new Headers();
    if (key !== null) headers.set("authorization", `Bearer ${key}`);
    if (body !== undefined) headers.set("content-type", "application/json");
    const content = body === undefined ? {} : { body: JSON.stringify(body) };
    const response = await fetch(`${sandbox.url}${path}`, { method, headers, redirect: "manual", ...content });
    const text = await response.text();
    return { status: response.status, headers: response.headers, text, json: parsed(text) };
  };
}

/** A sandbox of its own for one test. */
async function fresh(context: TestContext, options?: AttioOptions): Promise<{ attio: AttioSandbox; ask: Ask }> {
  const attio = await startAttio(options);
  context.after(() => attio.close());
  return { attio, ask: asking(attio) };
}

const CUSTOMERS = "/v2/objects/stripe_customers";
const ASSERT = `${CUSTOMERS}/records?matching_attribute=stripe_customer_id`;
const CODES = { default_currency_code: "USD", display_type: "symbol" };

/** The object as the bootstrap leaves it, made without the API. */
async function prepared(context: TestContext, options?: AttioOptions): Promise<{ attio: AttioSandbox; ask: Ask }> {
  const { attio, ask } = await fresh(context, options);
  attio.addObject({ slug: "stripe_customers", singular: "Stripe customer", plural: "Stripe customers" });
  const add = (slug: string, spec: Omit<Parameters<AttioSandbox["addAttribute"]>[1], "slug">): void =>
    attio.addAttribute("stripe_customers", { slug, ...spec });
  add("stripe_customer_id", { type: "text", isUnique: true });
  add("email", { type: "text" });
  add("total_revenue", { type: "currency" });
  add("subscription_status", { type: "select", options: ["Active", "Past Due"] });
  const person = { object: "people", slug: "stripe_customers", isMultiselect: true };
  add("person", { type: "record-reference", relationship: person });
  add("first_charge_at", { type: "timestamp" });
  add("tags", { type: "select", isMultiselect: true, options: ["a", "b", "c"] });
  return { attio, ask };
}

function attribute(slug: string, type: string, more: Record<string, unknown> = {}): unknown {
  const flags = { is_required: false, is_unique: false, is_multiselect: false };
  return { data: { title: slug, description: null, api_slug: slug, type, ...flags, config: {}, ...more } };
}

function values(content: Record<string, unknown>): unknown {
  return { data: { values: content } };
}

function assertRefused(answer: Answer, status: number, code: string, message?: RegExp): void {
  assert.equal(answer.status, status, answer.text);
  assert.equal(at(answer.json, "status_code"), status);
  assert.equal(at(answer.json, "code"), code, answer.text);
  if (message !== undefined) assert.match(String(at(answer.json, "message")), message);
}

// ------------------------------------------------------------------ Keys ----

describe("keys and scopes", () => {
  test("/self answers unwrapped, with the scopes in one text", async (context) => {
    const { ask } = await fresh(context);

    const self = await ask("GET", "/v2/self");

    assert.equal(self.status, 200);
    assert.equal(at(self.json, "active"), true);
    assert.equal(at(self.json, "scope"), "object_configuration:read-write record_permission:read-write");
    assert.equal(at(self.json, "workspace_slug"), "sandbox");
  });

  test("/self answers 200 with active false to a wrong key and to a revoked one", async (context) => {
    const revoked = { key: "a_key_that_was_revoked", scopes: ["record_permission:read"], active: false };
    const { ask } = await fresh(context, { keys: [revoked] });

    for (const key of ["a_key_nobody_has_seen", "a_key_that_was_revoked"]) {
      const self = await ask("GET", "/v2/self", undefined, key);
      assert.equal(self.status, 200);
      assert.deepEqual(self.json, { active: false });
    }
  });

  test("/self refuses a missing and a malformed key with missing_value", async (context) => {
    const { ask } = await fresh(context);

    assertRefused(await ask("GET", "/v2/self", undefined, null), 400, "missing_value");
    assertRefused(await ask("GET", "/v2/self", undefined, "short"), 400, "missing_value");
  });

  test("any other route answers 401 to a key that it does not know and to no key", async (context) => {
    const { ask } = await fresh(context);

    const unknown = await ask("GET", "/v2/objects", undefined, "a_key_nobody_has_seen");
    assertRefused(unknown, 401, "unauthorized", /could not be found/);
    assert.equal(at(unknown.json, "type"), "auth_error");
    const none = await ask("GET", "/v2/objects", undefined, null);
    assertRefused(none, 401, "unauthorized", /Authorization header was not provided/);
  });

  test("a missing scope is refused with 403 and named", async (context) => {
    const keys = [{ key: "a_key_that_only_reads", scopes: ["object_configuration:read", "record_permission:read"] }];
    const { ask } = await fresh(context, { keys });
    const asReader = (method: string, path: string, body: unknown): Promise<Answer> =>
      ask(method, path, body, "a_key_that_only_reads");

    const write = await asReader("POST", "/v2/objects/people/records", values({}));
    assertRefused(write, 403, "unauthorized", /Read-Write access to the Records scope\.$/);
    assert.equal(at(write.json, "type"), "auth_error");
    const configure = await asReader("POST", "/v2/objects", {});
    assertRefused(configure, 403, "unauthorized", /Read-Write access to the Object Configuration scope/);
    assert.equal((await asReader("POST", "/v2/objects/people/records/query", {})).status, 200);
  });

  test("the daily key reads the configuration and writes records, but makes no attribute", async (context) => {
    const { ask } = await prepared(context);
    const daily = SANDBOX_ATTIO_DAILY_KEY;

    assert.equal((await ask("GET", `${CUSTOMERS}/attributes`, undefined, daily)).status, 200);
    assert.equal((await ask("PUT", ASSERT, values({ stripe_customer_id: "cus_1" }), daily)).status, 200);
    assertRefused(await ask("POST", `${CUSTOMERS}/attributes`, attribute("x", "text"), daily), 403, "unauthorized");
  });
});

// --------------------------------------------------------- Configuration ----

describe("objects", () => {
  const object = { api_slug: "stripe_customers", singular_noun: "Stripe customer", plural_noun: "Stripe customers" };

  test("an unknown object answers 404 with its name, a created one is found by slug and by id", async (context) => {
    const { ask } = await fresh(context);

    const missing = await ask("GET", CUSTOMERS);
    assertRefused(missing, 404, "not_found", /^Object with slug\/ID "stripe_customers" not found\.$/);
    const created = await ask("POST", "/v2/objects", { data: object });
    assert.equal(created.status, 200);
    const id = String(at(created.json, "data", "id", "object_id"));
    for (const name of ["stripe_customers", id]) {
      assert.deepEqual((await ask("GET", `/v2/objects/${name}`)).json, created.json);
    }
  });

  test("the list of objects holds people and companies with ids, slugs and nouns", async (context) => {
    const { ask } = await fresh(context);

    const list = at((await ask("GET", "/v2/objects")).json, "data");

    assert.deepEqual(texts(list, "api_slug"), ["people", "companies"]);
    assert.deepEqual(texts(list, "singular_noun"), ["Person", "Company"]);
    assert.match(texts(list, "id", "object_id").join(), /^[0-9a-f-]{36},[0-9a-f-]{36}$/);
  });

  test("a slug or a noun in use, in any case, conflicts with 409", async (context) => {
    const { ask } = await fresh(context);
    await ask("POST", "/v2/objects", { data: object });

    const again = await ask("POST", "/v2/objects", { data: object });
    assertRefused(again, 409, "slug_conflict", /ensure your api_slug and names are unique/);
    const noun = { api_slug: "others", singular_noun: "stripe CUSTOMER", plural_noun: "Others" };
    assertRefused(await ask("POST", "/v2/objects", { data: noun }), 409, "slug_conflict");
  });

  test("the plan's object limit answers quota_exceeded", async (context) => {
    const { ask } = await fresh(context, { objectLimit: 0 });

    const refused = await ask("POST", "/v2/objects", { data: object });

    assertRefused(refused, 400, "quota_exceeded", /^You have met your plan's object limit\./);
  });

  test("a fresh object brings record_id, created_at, created_by and, unless switched off, a name", async (context) => {
    const slugs = async (options: AttioOptions): Promise<string[]> => {
      const { ask } = await fresh(context, options);
      await ask("POST", "/v2/objects", { data: object });
      return texts(at((await ask("GET", `${CUSTOMERS}/attributes`)).json, "data"), "api_slug");
    };

    assert.deepEqual(await slugs({}), ["record_id", "name", "created_at", "created_by"]);
    assert.deepEqual(await slugs({ freshObjectHasName: false }), ["record_id", "created_at", "created_by"]);
  });

  test("a body without data, with another key, or with an empty noun is refused with the path", async (context) => {
    const { ask } = await fresh(context);
    const bodies: readonly [unknown, readonly string[]][] = [
      [{}, ["data"]],
      [{ data: { ...object, colour: "red" } }, ["data"]],
      [{ data: { ...object, singular_noun: "" } }, ["data", "singular_noun"]],
      [{ data: { ...object, api_slug: "Stripe Customers" } }, ["data", "api_slug"]],
    ];

    for (const [body, path] of bodies) {
      const refused = await ask("POST", "/v2/objects", body);
      assertRefused(refused, 400, "validation_type", /^Body payload validation error\.$/);
      assert.deepEqual(at(refused.json, "validation_errors", 0, "path"), path);
    }
  });

  test("lists and other unknown endpoints answer 404", async (context) => {
    const { attio, ask } = await fresh(context);

    assertRefused(await ask("GET", "/v2/lists"), 404, "not_found");
    assertRefused(await ask("POST", "/v2/objects/records/search", {}), 404, "not_found");

    assert.deepEqual(
      attio.log.map((exchange) => `${exchange.route} ${exchange.status}`),
      ["GET /v2/lists 404", "POST /v2/objects/records/search 404"],
    );
  });
});

describe("attributes", () => {
  const PATH = `${CUSTOMERS}/attributes`;

  test("a created attribute reads back with both parts of config", async (context) => {
    const { ask } = await prepared(context);

    const created = await ask("POST", PATH, attribute("spend_pro", "currency", { config: { currency: CODES } }));

    assert.equal(created.status, 200);
    assert.equal(at(created.json, "data", "type"), "currency");
    assert.equal(at(created.json, "data", "is_system_attribute"), false);
    assert.deepEqual(at(created.json, "data", "config"), {
      currency: CODES,
      record_reference: { allowed_object_ids: null },
    });
    assert.deepEqual((await ask("GET", `${PATH}/spend_pro`)).json, created.json);
  });

  const REFUSED: readonly [string, string, Record<string, unknown>][] = [
    ["config left out", "text", { config: undefined }],
    ["description left out", "text", { description: undefined }],
    ["a key that does not exist", "text", { colour: "red" }],
    ["a type that does not exist", "url", {}],
    ["a status on an object", "status", {}],
    ["a currency without its config", "currency", {}],
    [
      "the code TWD, which Attio calls NTD",
      "currency",
      { config: { currency: { ...CODES, default_currency_code: "TWD" } } },
    ],
    ["a lower-case code", "currency", { config: { currency: { ...CODES, default_currency_code: "usd" } } }],
    ["a multiselect currency", "currency", { is_multiselect: true, config: { currency: CODES } }],
    ["a currency's config on a text", "text", { config: { currency: CODES } }],
    ["a unique select", "select", { is_unique: true }],
    ["no allowed object", "record-reference", { config: { record_reference: { allowed_objects: [] } } }],
    ["a relationship on a text", "text", { relationship: relationship("people", "x") }],
    ["a relationship with another key", "record-reference", { relationship: { ...relationship("people", "x"), a: 1 } }],
    [
      "a relationship with another object than the allowed one",
      "record-reference",
      {
        relationship: relationship("people", "x"),
        config: { record_reference: { allowed_objects: ["companies"] } },
      },
    ],
  ];
  for (const [name, type, more] of REFUSED) {
    test(`an attribute is refused for ${name}`, async (context) => {
      const { attio, ask } = await prepared(context);

      const refused = await ask("POST", PATH, attribute("fresh", type, more));

      assertRefused(refused, 400, "validation_type");
      assert.equal(attio.writes.changes, 0);
    });
  }

  test("a currency that Attio has not is refused with the codes that it has", async (context) => {
    const { ask } = await prepared(context);
    const currency = { ...CODES, default_currency_code: "RON" };

    const refused = await ask("POST", PATH, attribute("spend_pro", "currency", { config: { currency } }));

    assertRefused(refused, 400, "validation_type", /^Body payload validation error\.$/);
    const fault = at(refused.json, "validation_errors", 0);
    assert.equal(at(fault, "code"), "invalid_enum_value");
    assert.deepEqual(at(fault, "path"), ["data", "config", "currency", "default_currency_code"]);
    assert.match(String(at(fault, "message")), /^Invalid enum value\. Expected 'ARS' \| 'AUD' .*, received 'RON'$/);
    assert.equal(at(fault, "received"), "RON");
    assert.ok(texts(at(fault, "options")).length === 43);
  });

  test("people and companies take no custom unique attribute", async (context) => {
    const { ask } = await fresh(context);
    const path = "/v2/objects/people/attributes";

    const refused = await ask("POST", path, attribute("stripe_id", "text", { is_unique: true }));
    assertRefused(refused, 400, "validation_type", /^Cannot set attribute as unique\.$/);
    assert.equal((await ask("POST", path, attribute("stripe_id", "text"))).status, 200);
    const later = await ask("PATCH", `${path}/stripe_id`, { data: { is_unique: true } });
    assertRefused(later, 400, "validation_type", /^Cannot set attribute as unique\.$/);
  });

  test("an archived attribute is hidden from the list, still holds its slug, and can be brought back", async (context) => {
    const { attio, ask } = await prepared(context);
    attio.archiveAttribute("stripe_customers", "email");
    const listed = async (query: string): Promise<boolean> =>
      texts(at((await ask("GET", `${PATH}?${query}`)).json, "data"), "api_slug").includes("email");

    assert.equal(await listed("limit=500"), false);
    assert.equal(await listed("show_archived=true"), true);
    assertRefused(await ask("POST", PATH, attribute("email", "text")), 409, "slug_conflict", /already exists/);
    assert.equal(at((await ask("GET", `${PATH}/email`)).json, "data", "is_archived"), true);
    assert.equal((await ask("PATCH", `${PATH}/email`, { data: { is_archived: false } })).status, 200);
    assert.equal(await listed("limit=500"), true);
  });

  test("type, is_multiselect and relationship cannot be changed", async (context) => {
    const { ask } = await prepared(context);

    for (const change of [{ type: "number" }, { is_multiselect: true }, { relationship: null }]) {
      assertRefused(await ask("PATCH", `${PATH}/email`, { data: change }), 400, "validation_type");
    }
  });

  test("a system attribute cannot be edited", async (context) => {
    const { ask } = await prepared(context);

    const refused = await ask("PATCH", `${PATH}/created_at`, { data: { title: "Made" } });

    assertRefused(refused, 400, "system_edit_unauthorized", /^Cannot update a System attribute\.$/);
  });

  test("the list pages by limit and offset", async (context) => {
    const { ask } = await prepared(context);
    const page = async (query: string): Promise<string[]> =>
      texts(at((await ask("GET", `${PATH}?${query}`)).json, "data"), "api_slug");
    const all = await page("");

    assert.equal(all.length, 11);
    assert.deepEqual([...(await page("limit=6")), ...(await page("limit=6&offset=6"))], all);
    assertRefused(await ask("GET", `${PATH}?limit=many`), 400, "validation_type", /^Query params/);
  });

  test("a relationship makes the reverse attribute, and each side names the other", async (context) => {
    const { ask } = await prepared(context);
    const people = (await ask("GET", "/v2/objects/people")).json;

    const made = await ask(
      "POST",
      PATH,
      attribute("payer", "record-reference", { relationship: relationship("people", "payments") }),
    );

    const reverse = await ask("GET", "/v2/objects/people/attributes/payments");
    assert.equal(at(reverse.json, "data", "is_multiselect"), true);
    assert.equal(at(reverse.json, "data", "relationship", "api_slug"), "payer");
    assert.equal(at(reverse.json, "data", "relationship", "object_slug"), "stripe_customers");
    assert.equal(at(made.json, "data", "relationship", "api_slug"), "payments");
    assert.deepEqual(at(made.json, "data", "relationship", "id"), at(reverse.json, "data", "id"));
    assert.deepEqual(at(made.json, "data", "config", "record_reference", "allowed_object_ids"), [
      at(people, "data", "id", "object_id"),
    ]);
  });

  test("a reverse slug in use conflicts, and neither side is made", async (context) => {
    const { ask } = await prepared(context);
    const body = attribute("payer", "record-reference", { relationship: relationship("people", "job_title") });

    assertRefused(await ask("POST", PATH, body), 409, "slug_conflict");

    assertRefused(await ask("GET", `${PATH}/payer`), 404, "not_found", /^Attribute with slug\/ID "payer"/);
  });

  test("an option is added once, conflicts the second time, and exists on selects only", async (context) => {
    const { ask } = await prepared(context);
    const options = `${PATH}/subscription_status/options`;

    assert.equal((await ask("POST", options, { data: { title: "Paused" } })).status, 200);
    const again = await ask("POST", options, { data: { title: "Paused" } });
    assertRefused(again, 409, "slug_conflict", /^There is already another select option with the title "Paused"/);
    const list = at((await ask("GET", options)).json, "data");
    assert.deepEqual(texts(list, "title"), ["Active", "Past Due", "Paused"]);
    const text = await ask("POST", `${PATH}/email/options`, { data: { title: "Paused" } });
    assertRefused(text, 400, "validation_type", /^This attribute is not a select attribute\.$/);
  });

  test("an archived option is hidden and cannot be written until it is brought back", async (context) => {
    const { ask } = await prepared(context);
    const option = `${PATH}/subscription_status/options/Past%20Due`;
    const record = values({ stripe_customer_id: "cus_1", subscription_status: "Past Due" });

    await ask("PATCH", option, { data: { is_archived: true } });
    assertRefused(await ask("PUT", ASSERT, record), 400, "value_not_found");
    const shown = await ask("GET", `${PATH}/subscription_status/options?show_archived=true`);
    assert.deepEqual(texts(at(shown.json, "data"), "is_archived"), ["false", "true"]);
    await ask("PATCH", option, { data: { is_archived: false } });
    assert.equal((await ask("PUT", ASSERT, record)).status, 200);
  });
});

function relationship(object: string, api_slug: string): Record<string, unknown> {
  return { object, title: api_slug, api_slug, is_multiselect: true };
}

// ---------------------------------------------------------------- Values ----

describe("values", () => {
  test("each type reads back in its documented shape", async (context) => {
    const { attio, ask } = await prepared(context);
    const ada = attio.addPerson({ emailAddresses: ["ada@acme.com"] });

    const answer = await ask(
      "PUT",
      ASSERT,
      values({
        stripe_customer_id: "cus_1",
        total_revenue: "1234.50",
        subscription_status: "Active",
        person: [{ target_object: "people", target_record_id: ada }],
        first_charge_at: "2026-03-01T10:00:00Z",
      }),
    );

    const read = at(answer.json, "data", "values");
    const envelope = at(read, "stripe_customer_id", 0);
    const activeFrom = String(at(envelope, "active_from"));
    assert.match(activeFrom, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z$/);
    assert.deepEqual(envelope, {
      active_from: activeFrom,
      active_until: null,
      created_by_actor: { type: "api-token", id: at(envelope, "created_by_actor", "id") },
      value: "cus_1",
      attribute_type: "text",
    });
    assert.equal(at(read, "total_revenue", 0, "currency_value"), 1234.5);
    assert.equal(at(read, "total_revenue", 0, "currency_code"), "USD");
    assert.equal(at(read, "subscription_status", 0, "option", "title"), "Active");
    assert.equal(at(read, "subscription_status", 0, "option", "is_archived"), false);
    assert.equal(at(read, "person", 0, "target_object"), "people");
    assert.equal(at(read, "person", 0, "target_record_id"), ada);
    assert.equal(at(read, "first_charge_at", 0, "value"), "2026-03-01T10:00:00.000000000Z");
    assert.deepEqual(at(read, "email"), []);
    assert.match(String(at(answer.json, "data", "web_url")), /\/custom\/stripe_customers\/record\/[0-9a-f-]{36}$/);
  });

  test("a currency reads as text where the option says so", async (context) => {
    const { ask } = await prepared(context, { currencyAsString: true });

    const answer = await ask("PUT", ASSERT, values({ stripe_customer_id: "cus_1", total_revenue: 499 }));

    assert.equal(at(answer.json, "data", "values", "total_revenue", 0, "currency_value"), "499.00");
  });

  test("an address is normalised, and what was typed is kept beside it", async (context) => {
    const { ask } = await fresh(context);

    const answer = await ask("POST", "/v2/objects/people/records", values({ email_addresses: ["Ada+X@App.Acme.com"] }));

    const address = at(answer.json, "data", "values", "email_addresses", 0);
    assert.equal(at(address, "email_address"), "ada+x@app.acme.com");
    assert.equal(at(address, "original_email_address"), "Ada+X@App.Acme.com");
    assert.equal(at(address, "email_domain"), "app.acme.com");
    assert.equal(at(address, "email_root_domain"), "acme.com");
    assert.equal(at(address, "email_local_specifier"), "ada+x");
  });

  test("timestamps in other zones become UTC", async (context) => {
    const { attio, ask } = await prepared(context);

    await ask("PUT", ASSERT, values({ stripe_customer_id: "cus_1", first_charge_at: "2026-01-02T13:00:00+02:00" }));

    assert.equal(attio.records("stripe_customers")[0]?.["first_charge_at"], "2026-01-02T11:00:00.000000000Z");
  });

  const SPELLINGS: readonly [string, readonly unknown[], unknown][] = [
    ["email", ["a", { value: "a" }], "a"],
    ["total_revenue", [12.5, "12.50", { currency_value: 12.5 }], "12.5"],
    ["subscription_status", ["Active", { option: "Active" }], "Active"],
    ["first_charge_at", ["2026-03-01T10:00:00Z", { value: "2026-03-01T10:00" }], "2026-03-01T10:00:00.000000000Z"],
  ];
  for (const [slug, spellings, held] of SPELLINGS) {
    test(`${slug} takes a value in each documented spelling, bare and as an array of one`, async (context) => {
      const { attio, ask } = await prepared(context);

      for (const sent of spellings.flatMap((spelling) => [spelling, [spelling]])) {
        await ask("PUT", ASSERT, values({ stripe_customer_id: "cus_1", [slug]: [] }));
        const answer = await ask("PUT", ASSERT, values({ stripe_customer_id: ["cus_1"], [slug]: sent }));
        assert.equal(answer.status, 200, answer.text);
        assert.equal(attio.records("stripe_customers")[0]?.[slug], held);
      }
    });
  }

  test("a reference takes an id or an address, bare and as an array of one", async (context) => {
    const { attio, ask } = await prepared(context);
    const target_record_id = attio.addPerson({ emailAddresses: ["ada@acme.com"] });
    const spellings = [{ target_object: "people", target_record_id }, "ada@acme.com"];

    for (const person of spellings.flatMap((spelling) => [spelling, [spelling]])) {
      await ask("PUT", ASSERT, values({ stripe_customer_id: "cus_1", person: [] }));
      await ask("PUT", ASSERT, values({ stripe_customer_id: "cus_1", person }));
      assert.equal(attio.records("stripe_customers")[0]?.["person"], target_record_id);
    }
  });

  const BAD_VALUES: readonly [string, Record<string, unknown>][] = [
    ["a number for a text", { email: 5 }],
    ["null for a text", { email: null }],
    ["two values for one", { email: ["a", "b"] }],
    ["null for a currency", { total_revenue: null }],
    ["five decimals", { total_revenue: 1.00001 }],
    ["a currency that is no number", { total_revenue: "12 USD" }],
    ["a currency code", { total_revenue: { currency_value: 1, currency_code: "USD" } }],
    ["a date that does not exist", { first_charge_at: "2026-02-30T00:00:00Z" }],
    ["unix seconds", { first_charge_at: 1767225600 }],
    ["a value that was read, with its envelope", { email: [{ value: "a", active_until: null }] }],
    ["a bare value for a multiselect", { tags: "a" }],
    ["a reference that is a number", { person: [7] }],
    ["a reference to an object that is not allowed", { person: { target_object: "companies", target_record_id: "x" } }],
  ];
  for (const [name, content] of BAD_VALUES) {
    test(`a record is refused for ${name}, and nothing is written`, async (context) => {
      const { attio, ask } = await prepared(context);

      const refused = await ask("PUT", ASSERT, values({ stripe_customer_id: "cus_1", ...content }));

      assertRefused(refused, 400, "validation_type", /^Body payload validation error\.$/);
      const path = at(refused.json, "validation_errors", 0, "path");
      assert.deepEqual(Array.isArray(path) && path.slice(0, 3), ["data", "values", Object.keys(content)[0]]);
      assert.deepEqual(attio.records("stripe_customers"), []);
      assert.deepEqual(attio.writes, { requests: 1, changes: 0 });
    });
  }

  const NOT_FOUND: readonly [string, Record<string, unknown>, RegExp][] = [
    ["an unknown attribute", { week: 1 }, /^Cannot find attribute with slug\/ID "week"\.$/],
    ["an unknown option", { subscription_status: "Gone" }, /select option title "Gone"\.$/],
    [
      "a person who does not exist",
      { person: { target_object: "people", target_record_id: "a0000000-0000-4000-8000-ffffffffffff" } },
      /^Record with ID "a0000000-0000-4000-8000-ffffffffffff" not found\.$/,
    ],
    ["an address that nobody has", { person: "nobody@acme.com" }, /Found 0 records of "people"/],
  ];
  for (const [name, content, message] of NOT_FOUND) {
    test(`a record is refused with value_not_found for ${name}`, async (context) => {
      const { ask } = await prepared(context);

      const refused = await ask("PUT", ASSERT, values({ stripe_customer_id: "cus_1", ...content }));

      assertRefused(refused, 400, "value_not_found", message);
      // The specification's error bodies have these four keys: which attribute is meant stands in no field.
      assert.deepEqual(Object.keys(Object(refused.json)), ["status_code", "type", "code", "message"]);
    });
  }

  test("system attributes cannot be written", async (context) => {
    const { ask } = await prepared(context);

    for (const slug of ["record_id", "created_at", "created_by"]) {
      const refused = await ask("PUT", ASSERT, values({ stripe_customer_id: "cus_1", [slug]: "x" }));
      assertRefused(refused, 400, "immutable_value");
    }
  });

  test("addresses under reserved top-level domains are refused, example.com is not", async (context) => {
    const { ask } = await fresh(context);
    const create = (address: string): Promise<Answer> =>
      ask("POST", "/v2/objects/people/records", values({ email_addresses: [address] }));

    assertRefused(await create("ada@acme.test"), 400, "validation_type");
    assertRefused(await create("not an address"), 400, "validation_type");
    assert.equal((await create("ada@example.com")).status, 200);
  });

  test("an attribute that is named by its id is found", async (context) => {
    const { attio, ask } = await prepared(context);
    const email = (await ask("GET", `${CUSTOMERS}/attributes/email`)).json;
    const id = String(at(email, "data", "id", "attribute_id"));

    await ask("PUT", ASSERT, values({ stripe_customer_id: "cus_1", [id]: "ada@acme.com" }));

    assert.equal(attio.records("stripe_customers")[0]?.["email"], "ada@acme.com");
  });
});

// --------------------------------------------------------------- Records ----

describe("records", () => {
  test("the same assert twice gives one record and leaves time and author of its values", async (context) => {
    const { attio, ask } = await prepared(context);
    const body = values({ stripe_customer_id: "cus_1", total_revenue: 5, first_charge_at: "2026-01-01T00:00:00Z" });

    const first = await ask("PUT", ASSERT, body);
    const second = await ask("PUT", ASSERT, body);

    assert.deepEqual(second.json, first.json);
    assert.equal(attio.records("stripe_customers").length, 1);
    assert.deepEqual(attio.writes, { requests: 2, changes: 1 });
  });

  test("a value that changes gets a new time, the others and the attributes left out keep theirs", async (context) => {
    const { ask } = await prepared(context);
    const first = await ask(
      "PUT",
      ASSERT,
      values({ stripe_customer_id: "cus_1", email: "a@acme.com", total_revenue: 5 }),
    );

    const second = await ask("PUT", ASSERT, values({ stripe_customer_id: "cus_1", total_revenue: 6 }));

    const from = (answer: Answer, slug: string): unknown => at(answer.json, "data", "values", slug, 0, "active_from");
    assert.notEqual(from(second, "total_revenue"), from(first, "total_revenue"));
    assert.equal(from(second, "stripe_customer_id"), from(first, "stripe_customer_id"));
    assert.equal(from(second, "email"), from(first, "email"));
  });

  test("an empty array clears a value", async (context) => {
    const { attio, ask } = await prepared(context);
    await ask("PUT", ASSERT, values({ stripe_customer_id: "cus_1", email: "a@acme.com", total_revenue: 5 }));

    await ask("PUT", ASSERT, values({ stripe_customer_id: "cus_1", email: [], total_revenue: [] }));

    const [row] = attio.records("stripe_customers");
    assert.equal(row?.["email"], null);
    assert.equal(row?.["total_revenue"], null);
  });

  test("an assert needs a matching attribute that exists, is unique, and is among the values", async (context) => {
    const { ask } = await prepared(context);
    const by = (query: string, content: Record<string, unknown>): Promise<Answer> =>
      ask("PUT", `${CUSTOMERS}/records${query}`, values(content));

    assertRefused(await by("", { email: "a" }), 400, "validation_type", /^Query params validation error\.$/);
    const unknown = await by("?matching_attribute=nope", { email: "a" });
    assertRefused(unknown, 400, "value_not_found", /^No attribute was found for matching_attribute slug\/ID "nope"/);
    const loose = await by("?matching_attribute=email", { email: "a" });
    assertRefused(loose, 400, "matching_attribute_definition_not_unique", /is not a unique attribute/);
    assertRefused(await by("?matching_attribute=stripe_customer_id", { email: "a" }), 400, "missing_value");
  });

  test("unique text tells upper from lower case, a filter does not", async (context) => {
    const { attio, ask } = await prepared(context);
    await ask("PUT", ASSERT, values({ stripe_customer_id: "cus_a" }));
    await ask("PUT", ASSERT, values({ stripe_customer_id: "cus_A" }));

    const found = await ask("POST", `${CUSTOMERS}/records/query`, { filter: { stripe_customer_id: "CUS_a" } });

    assert.equal(attio.records("stripe_customers").length, 2);
    assert.equal(texts(at(found.json, "data")).length, 2);
  });

  test("a second record with a unique value is refused, and the first one is named", async (context) => {
    const { attio, ask } = await prepared(context);
    await ask("PUT", ASSERT, values({ stripe_customer_id: "cus_1" }));
    const id = attio.records("stripe_customers")[0]?.recordId;

    const refused = await ask("POST", `${CUSTOMERS}/records`, values({ stripe_customer_id: "cus_1" }));

    assertRefused(refused, 400, "uniqueness_conflict", new RegExp(`Conflicting record IDs: ${id}$`));
    attio.addPerson({ emailAddresses: ["ada@acme.com"] });
    const sameAddress = values({ email_addresses: ["ADA@acme.com"] });
    assertRefused(await ask("POST", "/v2/objects/people/records", sameAddress), 400, "uniqueness_conflict");
  });

  test("a key made unique late keeps its duplicates, and an assert by it finds more than one", async (context) => {
    const { attio, ask } = await prepared(context);
    attio.setUnique("stripe_customers", "stripe_customer_id", false);
    attio.addRecordAsMember("stripe_customers", { stripe_customer_id: "cus_1" });
    attio.addRecordAsMember("stripe_customers", { stripe_customer_id: "cus_1" });

    const body = { data: { is_unique: true } };
    assert.equal((await ask("PATCH", `${CUSTOMERS}/attributes/stripe_customer_id`, body)).status, 200);

    assertRefused(await ask("PUT", ASSERT, values({ stripe_customer_id: "cus_1" })), 400, "multiple_match_results");
  });

  test("an assert replaces a multiselect, and a value that stays keeps its time", async (context) => {
    const { attio, ask } = await prepared(context);

    await ask("PUT", ASSERT, values({ stripe_customer_id: "cus_1", tags: ["a", "b"] }));
    const answer = await ask("PUT", ASSERT, values({ stripe_customer_id: "cus_1", tags: ["c", "a"] }));

    assert.deepEqual(attio.records("stripe_customers")[0]?.["tags"], ["c", "a"]);
    const [added = "", kept = ""] = texts(at(answer.json, "data", "values", "tags"), "active_from");
    assert.ok(added > kept);
  });

  test("an assert by a multiselect attribute adds to it and takes nothing away", async (context) => {
    const { attio, ask } = await fresh(context);
    attio.addPerson({ emailAddresses: ["ada@acme.com", "ada@home.com"] });

    const path = "/v2/objects/people/records?matching_attribute=email_addresses";
    await ask("PUT", path, values({ email_addresses: ["ada@home.com", "ada@new.com"] }));

    const addresses = attio.records("people")[0]?.["email_addresses"];
    assert.deepEqual(addresses, ["ada@acme.com", "ada@home.com", "ada@new.com"]);
  });

  test("a field that was made required is asked for", async (context) => {
    const { attio, ask } = await prepared(context);
    attio.setRequired("stripe_customers", "email", true);

    const refused = await ask("PUT", ASSERT, values({ stripe_customer_id: "cus_1" }));

    assertRefused(refused, 400, "missing_value", /^Required value for attribute with ID ".+" was not provided\.$/);
  });

  test("an archived attribute is gone from values, both ways", async (context) => {
    const { attio, ask } = await prepared(context);
    await ask("PUT", ASSERT, values({ stripe_customer_id: "cus_1", email: "a@acme.com" }));
    attio.archiveAttribute("stripe_customers", "email");

    const refused = await ask("PUT", ASSERT, values({ stripe_customer_id: "cus_1", email: "b@acme.com" }));
    assertRefused(refused, 400, "value_not_found", /"email"/);
    const read = await ask("PUT", ASSERT, values({ stripe_customer_id: "cus_1" }));
    assert.equal(at(read.json, "data", "values", "email"), undefined);
  });

  test("a record is read by its id and gone once it is removed, references to it too", async (context) => {
    const { attio, ask } = await prepared(context);
    const ada = attio.addPerson({ emailAddresses: ["ada@acme.com"] });
    const id = attio.addRecordAsMember("stripe_customers", { stripe_customer_id: "cus_1", person: "ada@acme.com" });

    assert.equal(at((await ask("GET", `${CUSTOMERS}/records/${id}`)).json, "data", "id", "record_id"), id);
    attio.removePerson(ada);
    assertRefused(await ask("GET", `/v2/objects/people/records/${ada}`), 404, "not_found", /^Record with ID/);
    assert.equal(attio.records("stripe_customers")[0]?.["person"], null);
  });

  test("what a member edits by hand carries the member as its author, what was there already does not", async (context) => {
    const { attio, ask } = await prepared(context);
    attio.addPerson({ emailAddresses: ["ada@acme.com"] });
    await ask("PUT", ASSERT, values({ stripe_customer_id: "cus_1", email: "ada@acme.com" }));
    const id = attio.records("stripe_customers")[0]?.recordId ?? "";

    attio.editAsMember("stripe_customers", id, { person: "ada@acme.com", email: "ada@acme.com" });

    const read = at((await ask("GET", `${CUSTOMERS}/records/${id}`)).json, "data", "values");
    assert.equal(at(read, "person", 0, "created_by_actor", "type"), "workspace-member");
    assert.equal(at(read, "email", 0, "created_by_actor", "type"), "api-token");
    assert.deepEqual(attio.writes, { requests: 1, changes: 1 });
  });
});

describe("authors", () => {
  const AUTHORS: readonly [string, Parameters<AttioSandbox["editAs"]>[0], unknown, RegExp][] = [
    ["a member", "workspace-member", "workspace-member", /^[0-9a-f-]{36}$/],
    ["an app", "app", "app", /^[0-9a-f-]{36}$/],
    ["Attio itself, which has no id", "system", "system", /^null$/],
    ["nobody, as the schema allows", null, null, /^null$/],
    ["an access token", "api-token", "api-token", /^[0-9a-f-]{36}$/],
  ];
  for (const [name, author, type, id] of AUTHORS) {
    test(`a value can be set by ${name}`, async (context) => {
      const { attio, ask } = await prepared(context);
      const recordId = attio.addRecordAsMember("stripe_customers", { stripe_customer_id: "cus_1" });

      attio.editAs(author, "stripe_customers", recordId, { email: "a@acme.com" });

      const read = at((await ask("GET", `${CUSTOMERS}/records/${recordId}`)).json, "data", "values");
      assert.equal(at(read, "email", 0, "created_by_actor", "type"), type);
      assert.match(String(at(read, "email", 0, "created_by_actor", "id")), id);
      assert.equal(at(read, "stripe_customer_id", 0, "created_by_actor", "type"), "workspace-member");
    });
  }
});

describe("two-way relationships", () => {
  const REFERENCE = (id: string): unknown => [{ target_object: "people", target_record_id: id }];

  test("a link shows on both sides, moves on both sides, and is cleared on both sides", async (context) => {
    const { attio, ask } = await prepared(context);
    const ada = attio.addPerson({ emailAddresses: ["ada@acme.com"] });
    const bob = attio.addPerson({ emailAddresses: ["bob@acme.com"] });
    const links = (): unknown[] => attio.records("people").map((row) => row["stripe_customers"]);

    await ask("PUT", ASSERT, values({ stripe_customer_id: "cus_1", person: REFERENCE(ada) }));
    await ask("PUT", ASSERT, values({ stripe_customer_id: "cus_2", person: REFERENCE(ada) }));
    const [one, two] = attio.records("stripe_customers").map((row) => row.recordId);
    assert.deepEqual(links(), [[one, two], []]);

    await ask("PUT", ASSERT, values({ stripe_customer_id: "cus_1", person: REFERENCE(bob) }));
    assert.deepEqual(links(), [[two], [one]]);

    await ask("PUT", ASSERT, values({ stripe_customer_id: "cus_2", person: [] }));
    assert.deepEqual(links(), [[], [one]]);
  });

  test("a link written on the side that holds many takes the record from whom it belonged to", async (context) => {
    const { attio } = await prepared(context);
    const ada = attio.addPerson({ emailAddresses: ["ada@acme.com"] });
    const bob = attio.addPerson({ emailAddresses: ["bob@acme.com"] });
    const id = attio.addRecordAsMember("stripe_customers", { stripe_customer_id: "cus_1", person: REFERENCE(ada) });

    attio.editAsMember("people", bob, {
      stripe_customers: [{ target_object: "stripe_customers", target_record_id: id }],
    });

    assert.equal(attio.records("stripe_customers")[0]?.["person"], bob);
    assert.deepEqual(
      attio.records("people").map((row) => row["stripe_customers"]),
      [[], [id]],
    );
  });

  test("a person's company and the company's team are one relationship", async (context) => {
    const { attio } = await fresh(context);
    const acme = attio.addCompany({ name: "Acme", domain: "acme.com" });
    const ada = attio.addPerson({ firstName: "Ada", emailAddresses: ["ada@acme.com"], company: "acme.com" });

    assert.equal(attio.records("people")[0]?.["company"], acme);
    assert.deepEqual(attio.records("companies")[0]?.["team"], [ada]);
    attio.removePerson(ada);
    assert.deepEqual(attio.records("companies")[0]?.["team"], []);
  });
});

// --------------------------------------------------------------- Queries ----

describe("queries", () => {
  /** Three people, and three records of which two belong to Ada. */
  async function seeded(context: TestContext): Promise<(body: unknown, object?: string) => Promise<Answer>> {
    const { attio, ask } = await prepared(context);
    attio.addCompany({ name: "Acme", domain: "acme.com" });
    attio.addPerson({
      firstName: "Ada",
      lastName: "Byron",
      emailAddresses: ["ada@acme.com", "ada@home.com"],
      company: "acme.com",
    });
    attio.addPerson({ firstName: "Bob", lastName: "Abel", emailAddresses: ["bob@home.com"] });
    attio.addPerson({ emailAddresses: ["eve@acme.com"] });
    const day = (number: number): string => `2026-01-0${number}T00:00:00Z`;
    const rows = [
      {
        stripe_customer_id: "cus_1",
        total_revenue: 10,
        person: "ada@acme.com",
        subscription_status: "Active",
        first_charge_at: day(1),
      },
      { stripe_customer_id: "cus_2", total_revenue: 2, person: "ada@acme.com", first_charge_at: day(2) },
      { stripe_customer_id: "cus_3", email: "X@acme.com", subscription_status: "Past Due", first_charge_at: day(3) },
    ];
    for (const row of rows) attio.addRecordAsMember("stripe_customers", row);
    return (body, object = "stripe_customers") => ask("POST", `/v2/objects/${object}/records/query`, body);
  }

  const RECORDS: readonly [string, unknown, string][] = [
    ["a text in shorthand", { stripe_customer_id: "cus_2" }, "cus_2"],
    ["a text in another case", { email: { $eq: "x@ACME.com" } }, "cus_3"],
    ["the verbose form", { stripe_customer_id: { value: { $eq: "cus_2" } } }, "cus_2"],
    ["$in on a text", { stripe_customer_id: { $in: ["cus_3", "cus_1", "cus_9"] } }, "cus_1 cus_3"],
    ["several attributes as one and", { stripe_customer_id: "cus_3", email: "x@acme.com" }, "cus_3"],
    ["$or", { $or: [{ stripe_customer_id: "cus_1" }, { email: "x@acme.com" }] }, "cus_1 cus_3"],
    ["$and", { $and: [{ stripe_customer_id: "cus_1" }, { email: "x@acme.com" }] }, ""],
    ["no filter", {}, "cus_1 cus_2 cus_3"],
  ];
  for (const [name, filter, expected] of RECORDS) {
    test(`a filter finds records by ${name}`, async (context) => {
      const query = await seeded(context);

      const found = await query({ filter, sorts: [{ attribute: "created_at", direction: "asc" }] });

      assert.equal(found.status, 200, found.text);
      const ids = Array.from(texts(at(found.json, "data"), "values"), (_, row) =>
        at(found.json, "data", row, "values", "stripe_customer_id", 0, "value"),
      );
      assert.equal(ids.join(" "), expected);
    });
  }

  test("a reference is found by its record id, with $eq and $in, but not in shorthand", async (context) => {
    const query = await seeded(context);
    const people = await query({ filter: { email_addresses: "ada@home.com" } }, "people");
    const ada = at(people.json, "data", 0, "id", "record_id");
    const count = async (filter: unknown): Promise<number> => texts(at((await query({ filter })).json, "data")).length;

    assert.equal(await count({ person: { target_record_id: ada } }), 2);
    assert.equal(await count({ person: { target_record_id: { $in: [ada] } } }), 2);
    assertRefused(await query({ filter: { person: ada } }), 400, "invalid_filter_field");
  });

  test("people are found by any of their addresses in any case, each person once", async (context) => {
    const query = await seeded(context);
    const terms = ["ADA@acme.com", "ada@home.com", "eve@acme.com", "nobody@acme.com"];

    const found = await query(
      { filter: { $or: terms.map((one) => ({ email_addresses: { email_address: one } })) } },
      "people",
    );

    assert.equal(texts(at(found.json, "data")).length, 2);
    assert.equal(found.headers.get("x-attio-record-query-score"), "0");
  });

  const REFUSED: readonly [string, unknown, string][] = [
    ["an operator that does not exist", { email: { $ne: "a" } }, "invalid_filter_operator"],
    ["$in on an e-mail address", { email_addresses: { $in: ["a@acme.com"] } }, "invalid_filter_operator"],
    ["$not_empty on a text", { job_title: { $not_empty: true } }, "invalid_filter_operator"],
    ["a field that the type lacks", { email_addresses: { value: "a" } }, "invalid_filter_field"],
    ["an unknown logical operator", { $nor: [] }, "invalid_filter_operator"],
    ["$not around $or", { $not: { $or: [{ job_title: "a" }] } }, "filter_error"],
    ["a number for a text", { job_title: 5 }, "filter_error"],
    ["an empty $or", { $or: [] }, "filter_error"],
  ];
  for (const [name, filter, code] of REFUSED) {
    test(`a filter is refused for ${name}`, async (context) => {
      const { attio, ask } = await fresh(context);
      attio.addAttribute("people", { slug: "email", type: "text" });

      assertRefused(await ask("POST", "/v2/objects/people/records/query", { filter }), 400, code);
    });
  }

  test("an address that Attio will not search for is refused in any filter that names it", async (context) => {
    const { attio, ask } = await fresh(context);
    attio.addPerson({ emailAddresses: ["o'dd@acme.com"] });
    attio.unsearchable.add("o'dd@acme.com");
    const query = (...addresses: readonly string[]): Promise<Answer> => {
      const $or = addresses.map((address) => ({ email_addresses: { email_address: { $eq: address } } }));
      return ask("POST", "/v2/objects/people/records/query", { filter: { $or } });
    };

    assertRefused(await query("ada@acme.com", "O'dd@acme.com"), 400, "filter_error", /^Error in filter\.$/);
    assert.equal((await query("ada@acme.com")).status, 200);
  });

  test("an unknown attribute in a filter is refused with the path to it", async (context) => {
    const { ask } = await fresh(context);
    const filter = { $or: [{ job_title: "a" }, { email: "a" }] };

    const refused = await ask("POST", "/v2/objects/people/records/query", { filter });

    assertRefused(refused, 400, "unknown_filter_attribute_slug", /^Unknown attribute slug: email\.$/);
    assert.deepEqual(at(refused.json, "path"), ["$or", "1", "email"]);
  });

  test("an unknown key, a limit over 500 and an unknown direction are refused, an unknown parameter is not", async (context) => {
    const { ask } = await fresh(context);
    const path = "/v2/objects/people/records/query";

    assertRefused(await ask("POST", path, { filters: {} }), 400, "validation_type");
    assertRefused(await ask("POST", path, { limit: 501 }), 400, "validation_type");
    assertRefused(await ask("POST", path, { sorts: [{ attribute: "name", direction: "up" }] }), 400, "validation_type");
    assert.equal((await ask("POST", `${path}?colour=red`, { limit: 500 })).status, 200);
  });

  test("GET on the query route answers 404", async (context) => {
    const { ask } = await fresh(context);

    assertRefused(await ask("GET", "/v2/objects/people/records/query"), 404, "not_found");
  });

  test("records come newest first, or by the time of creation if asked", async (context) => {
    const query = await seeded(context);
    const order = async (sorts: unknown): Promise<string> => {
      const found = at((await query({ sorts }, "people")).json, "data");
      assert.ok(Array.isArray(found));
      return found.map((_, row) => at(found, row, "values", "email_addresses", 0, "email_local_specifier")).join(" ");
    };

    assert.equal(await order([{ attribute: "created_at", direction: "asc" }]), "ada bob eve");
    assert.equal(await order([{ attribute: "created_at", direction: "desc" }]), "eve bob ada");
    assert.equal(await order([]), "eve bob ada");
  });

  test("limit and offset page through all records once", async (context) => {
    const { attio, ask } = await prepared(context);
    for (let number = 1; number <= 7; number += 1) {
      attio.addRecordAsMember("stripe_customers", { stripe_customer_id: `cus_${number}` });
    }
    const page = async (offset: number): Promise<string[]> => {
      const sorts = [{ attribute: "created_at", direction: "asc" }];
      const found = await ask("POST", `${CUSTOMERS}/records/query`, { sorts, limit: 3, offset });
      return texts(at(found.json, "data"), "id", "record_id");
    };

    const seen = [...(await page(0)), ...(await page(3)), ...(await page(6))];

    assert.deepEqual(
      seen,
      attio.records("stripe_customers").map((row) => row.recordId),
    );
  });
});

// ------------------------------------------------------ Limits and faults ----

describe("limits and faults", () => {
  test("the 26th write in a second is refused with an HTTP date, reads go on", async (context) => {
    const { attio, ask } = await prepared(context, { limits: "published" });
    const writes = Array.from({ length: 26 }, (_, number) =>
      ask("PUT", ASSERT, values({ stripe_customer_id: `cus_${number}` })),
    );

    const answers = await Promise.all(writes);

    const refused = answers.filter((answer) => answer.status === 429);
    assert.equal(refused.length, 1);
    const [first] = refused;
    assert.ok(first !== undefined);
    assertRefused(first, 429, "rate_limit_exceeded", /^Rate limit exceeded, please try again later$/);
    assert.match(first.headers.get("retry-after") ?? "", /^\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT$/);
    assert.equal((await ask("POST", `${CUSTOMERS}/records/query`, {})).status, 200);
    assert.equal(attio.records("stripe_customers").length, 25);
  });

  test("faults before the service leave the workspace as it was", async (context) => {
    const { attio, ask } = await prepared(context);
    const faults: readonly [Fault, number][] = [
      [attioFaults.rateLimitSeconds, 429],
      [attioFaults.rateLimitDate, 429],
      [attioFaults.concurrentWrite, 409],
      [attioFaults.mergeInProgress, 400],
      [attioFaults.spurious401, 401],
      [attioFaults.serverError, 500],
      [attioFaults.badGateway, 502],
      [attioFaults.unavailable, 503],
      [redirectTo("http://127.0.0.1:9/"), 307],
    ];
    attio.faultRules.push(
      script(
        `PUT ${CUSTOMERS}/records`,
        faults.map(([fault]) => fault),
      ),
    );

    for (const [, status] of faults) {
      assert.equal((await ask("PUT", ASSERT, values({ stripe_customer_id: "cus_1" }))).status, status);
    }
    assert.deepEqual(attio.records("stripe_customers"), []);
    assert.equal((await ask("PUT", ASSERT, values({ stripe_customer_id: "cus_1" }))).status, 200);
  });

  test("faults after the effect lose the answer, not the record", async (context) => {
    const { attio, ask } = await prepared(context);
    const faults = [
      attioFaults.serverErrorAfterEffect,
      attioFaults.resetAfterEffect,
      attioFaults.cutBody,
      attioFaults.notJson,
    ];
    attio.faultRules.push(script(`PUT ${CUSTOMERS}/records`, faults));
    const put = (id: string): Promise<Answer> => ask("PUT", ASSERT, values({ stripe_customer_id: id }));

    assert.equal((await put("cus_1")).status, 500);
    await assert.rejects(put("cus_2"));
    await assert.rejects(put("cus_3"));
    assert.equal((await put("cus_4")).json, undefined);

    assert.equal(attio.records("stripe_customers").length, 4);
  });

  test("an empty object instead of an answer says nothing of what was written", async (context) => {
    const { attio, ask } = await prepared(context);
    const faults = [attioFaults.emptyAnswer, attioFaults.emptyAnswerAfterEffect];
    attio.faultRules.push(script(`PUT ${CUSTOMERS}/records`, faults));

    for (const [id, written] of [
      ["cus_1", 0],
      ["cus_2", 1],
    ] as const) {
      const answer = await ask("PUT", ASSERT, values({ stripe_customer_id: id }));
      assert.deepEqual([answer.status, answer.json], [200, {}]);
      assert.equal(attio.records("stripe_customers").length, written);
    }
  });

  test("a fault is aimed at one object, as routes keep slugs and lose ids", async (context) => {
    const { attio, ask } = await prepared(context);
    const id = attio.addRecordAsMember("stripe_customers", { stripe_customer_id: "cus_1" });
    attio.faultRules.push(script("POST /v2/objects/people/records/query", [attioFaults.reset]));

    await assert.rejects(ask("POST", "/v2/objects/people/records/query", {}));
    await ask("GET", `${CUSTOMERS}/records/${id}`);

    const routes = attio.log.map((exchange) => exchange.route);
    assert.deepEqual(routes, ["POST /v2/objects/people/records/query", `GET ${CUSTOMERS}/records/{id}`]);
  });
});

// ------------------------------------------------------------------ Dump ----

describe("dump", () => {
  test("is the same text whatever the order of creation, and names people by their address", async (context) => {
    const people = ["ada@acme.com", "bob@acme.com"];
    const dumpOf = async (order: readonly string[]): Promise<string> => {
      const { attio } = await prepared(context);
      for (const address of order) attio.addPerson({ emailAddresses: [address] });
      attio.addPerson({ emailAddresses: order.map((address) => address.replace("acme", "home")) });
      for (const address of order) {
        attio.addRecordAsMember("stripe_customers", { stripe_customer_id: `of ${address}`, person: address });
      }
      return `${attio.dump("stripe_customers", { omit: ["tags"] })}${attio.dump("people")}`;
    };

    const text = await dumpOf(people);

    assert.equal(await dumpOf(people.toReversed()), text);
    assert.match(text, /^of ada@acme\.com: email=\[\] first_charge_at=\[\] name=\[\] person=\["ada@acme\.com"\]/);
    assert.doesNotMatch(text, /a0000000|tags/);
  });

  test("shows a changed cent and a changed link", async (context) => {
    const { attio } = await prepared(context);
    attio.addPerson({ emailAddresses: ["ada@acme.com"] });
    const id = attio.addRecordAsMember("stripe_customers", { stripe_customer_id: "cus_1", total_revenue: 10.01 });
    const before = attio.dump("stripe_customers");

    attio.editAsMember("stripe_customers", id, { total_revenue: 10.02 });
    const cent = attio.dump("stripe_customers");
    attio.editAsMember("stripe_customers", id, { person: "ada@acme.com" });

    assert.equal(new Set([before, cent, attio.dump("stripe_customers")]).size, 3);
  });

  test("a hand's edit that Attio would refuse throws and says where", async (context) => {
    const { attio } = await prepared(context);

    assert.throws(
      () => attio.addRecordAsMember("stripe_customers", { total_revenue: "much" }),
      /validation_type.*total_revenue/,
    );
  });
});
