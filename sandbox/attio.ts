// attio.ts - a stateful Attio REST API v2 on 127.0.0.1, a peer for the tests and the demo.
//
// It keeps objects, attributes, select options and records in memory, follows Attio's published specification and
// documentation (docs.attio.com), and refuses what Attio would refuse, with Attio's status, code and words where they
// are known. Ids and the clock are counters: the same requests give the same answers.
//
// Imitated: /self, objects, attributes, options, two-way relationships, records (create, assert, query, read),
// uniqueness, scopes, the rate limits of 100 reads and 25 writes a second, every type of value that the sync writes,
// and of queries what it asks: `$eq` and `$in` on text, addresses and references, `$or` and `$and` of these, and the
// order of creation.
//
// Not imitated: lists, notes, tasks, views, search, merging, statuses, default values, changing an object, an
// attribute's slug or its config, changing or deleting a record by its id, any other filter or sort that Attio takes,
// `filter_view_id`, `target_record_reference`, and the types checkbox, date, rating, actor-reference, location and
// phone-number: all of these answer 404 or 501. Nor is there enrichment (a new person gets no company by their
// address), the score limit on queries (its header says 0), or the public suffix list (a root domain is the last two
// labels).
//
// Stricter than what is documented: `null` clears nothing whatever the type (`[]` does), a name is written in its
// three parts, a domain without scheme and path, a reference as an id, a bare address or a bare domain, unknown keys
// are refused in every body, a body needs the JSON content type, slugs are snake case, a page of attributes ends at
// 500, and a query without `sorts` answers newest first, so that nobody relies on an order that Attio does not promise.
//
// Nothing here was checked against the real service by us; it rests on its documents, as of 2026-11, and on what
// others recorded.

import { serve } from "./server.ts";
import type { Call, Fault, Limits, Reply, SandboxServer } from "./server.ts";

// ------------------------------------------------------------ Vocabulary ----
// What Attio's documentation lists by name.

/** A key that may configure objects and write records: what the bootstrap and the sync need together. */
export const SANDBOX_ATTIO_KEY = "sandbox_attio_key_that_configures_and_writes";

/** A key with the scopes of the daily run only. */
export const SANDBOX_ATTIO_DAILY_KEY = "sandbox_attio_key_of_the_daily_run";

const DEFAULT_KEYS: readonly AttioKey[] = [
  { key: SANDBOX_ATTIO_KEY, scopes: ["object_configuration:read-write", "record_permission:read-write"] },
  { key: SANDBOX_ATTIO_DAILY_KEY, scopes: ["object_configuration:read", "record_permission:read-write"] },
];

type AttributeType =
  | "text"
  | "number"
  | "currency"
  | "timestamp"
  | "select"
  | "record-reference"
  | "actor-reference"
  | "domain"
  | "email-address"
  | "personal-name";

/** Types that Attio has and this sandbox does not make. Not among them: statuses, which objects cannot have. */
const OTHER_TYPES = ["checkbox", "date", "rating", "actor-reference", "location", "phone-number"];

/** The specification's list, and the three codes added to it in 2026. Taiwan's is NTD, not TWD. */
const CURRENCY_CODES = (
  "ARS AUD BRL BGN CAD CLP CNY COP CZK DKK EUR HKD HUF ISK INR ILS JPY KES KRW MYR MXN NTD NZD NGN NOK XPF " +
  "PEN PHP PLN GBP RWF SAR SGD ZAR SEK CHF THB AED UYU USD FJD IDR TRY"
).split(" ");
const DISPLAY_TYPES = ["code", "name", "narrowSymbol", "symbol"];

const WORKSPACE_ID = "00000000-0000-4000-8000-000000000001";
const WORKSPACE_SLUG = "sandbox";
const MEMBER_ID = "00000000-0000-4000-8000-000000000002";
const MAX_LIMIT = 500;

// ---------------------------------------------------------------- Shapes ----

export type AttioKey = {
  readonly key: string;
  readonly scopes: readonly string[];
  /** False for a key that was revoked. */
  readonly active?: boolean;
};

export type AttioOptions = {
  readonly keys?: readonly AttioKey[];
  /** `published`: 100 reads and 25 writes a second, as documented; `none` by default. */
  readonly limits?: "published" | "none";
  /** How many custom objects the plan allows; unlimited by default. */
  readonly objectLimit?: number;
  /** Whether a new custom object brings a writable text `name`; true by default. */
  readonly freshObjectHasName?: boolean;
  /** Answer `currency_value` as text, "499.00", as Attio's documentation shows, instead of as a number. */
  readonly currencyAsString?: boolean;
};

/** Who can set a value: https://docs.attio.com/docs/actors, and `app` from the specification. */
export type ActorType = "api-token" | "workspace-member" | "system" | "app";

/** The specification lets both parts be null; a system actor's id always is. */
type Actor = { readonly type: ActorType | null; readonly id: string | null };

/** What is stored of one value. `key` is its canonical text: two values are equal if their keys are. */
type Incoming = { readonly key: string; readonly original: string | null };
type Value = Incoming & { readonly activeFrom: string; readonly actor: Actor };

type SelectOption = { readonly id: string; title: string; is_archived: boolean };

/** What Attio's answers show as it is has Attio's names. */
type Attribute = {
  readonly id: string;
  readonly object: ObjectType;
  readonly options: SelectOption[];
  readonly currency: { readonly default_currency_code: string; readonly display_type: string } | null;
  /** The objects that a reference may point to; null for all. */
  allowed: readonly ObjectType[] | null;
  /** The other side of a two-way relationship. */
  reverse: Attribute | null;
  /** Records by lower-cased key, built when first looked up and kept from then on. */
  index: Map<string, Set<StoredRecord>> | null;
  readonly api_slug: string;
  readonly type: AttributeType;
  readonly is_system_attribute: boolean;
  readonly is_writable: boolean;
  readonly is_multiselect: boolean;
  readonly created_at: string;
  title: string;
  description: string | null;
  is_required: boolean;
  is_unique: boolean;
  is_archived: boolean;
};

type StoredRecord = {
  readonly id: string;
  readonly object: ObjectType;
  readonly order: number;
  readonly createdAt: string;
  readonly values: Map<Attribute, readonly Value[]>;
};

type ObjectType = {
  readonly id: string;
  readonly isCustom: boolean;
  readonly attributes: Attribute[];
  readonly records: Set<StoredRecord>;
  readonly api_slug: string;
  readonly singular_noun: string;
  readonly plural_noun: string;
  readonly created_at: string;
};

type World = {
  readonly options: AttioOptions;
  readonly keys: readonly AttioKey[];
  readonly objects: ObjectType[];
  readonly recordsById: Map<string, StoredRecord>;
  readonly writes: { requests: number; changes: number };
  readonly unsearchable: Set<string>;
  clockMs: number;
  lastId: number;
  /** Changes by anybody; `writes` counts those of requests. */
  changes: number;
};

type Json = { readonly [key: string]: unknown };
type Path = readonly (string | number)[];

/** A value without its envelope: money as exact decimal text ("4.9"), a reference as a record id. */
export type PlainValue = string | number | null | readonly (string | number)[];

/** One record, by slug; `null` where there is no value, an array where the attribute holds several. */
export type PlainRecord = { readonly recordId: string; readonly [slug: string]: PlainValue };

export type AttributeSpec = {
  readonly slug: string;
  readonly type: AttributeType;
  readonly isUnique?: boolean;
  readonly isMultiselect?: boolean;
  /** The code of a currency attribute; USD where none is given. */
  readonly currency?: string;
  readonly relationship?: { readonly object: string; readonly slug: string; readonly isMultiselect: boolean };
  /** The titles of a select attribute's options. */
  readonly options?: readonly string[];
};

export type AttioSandbox = SandboxServer & {
  /** Requests that reached a write route, whatever the answer, and those of them that changed something. */
  readonly writes: { readonly requests: number; readonly changes: number };
  /** Addresses, in lower case, that no filter may name. Which ones Attio refuses is not documented. */
  readonly unsearchable: Set<string>;
  /** Every record of an object as a plain row, oldest first. */
  records(objectSlug: string): PlainRecord[];
  /**
   * All current values of an object as text, one record a line, without anything that depends on ids or on the
   * order of creation: a reference shows the unique values and the name of the other record.
   */
  dump(objectSlug: string, how?: { readonly omit?: readonly string[] }): string;
  addPerson(person: {
    readonly firstName?: string;
    readonly lastName?: string;
    readonly emailAddresses: readonly string[];
    /** The domain of a company that exists. */
    readonly company?: string;
  }): string;
  addCompany(company: { readonly name: string; readonly domain: string }): string;
  removePerson(recordId: string): void;
  /** Values set without a request: what is given replaces what was there. `null` leaves no author. */
  editAs(author: ActorType | null, objectSlug: string, recordId: string, values: Json): void;
  /** A workspace member edits values by hand. */
  editAsMember(objectSlug: string, recordId: string, values: Json): void;
  addRecordAsMember(objectSlug: string, values: Json): string;
  addObject(object: { readonly slug: string; readonly singular: string; readonly plural: string }): void;
  addAttribute(objectSlug: string, attribute: AttributeSpec): void;
  archiveAttribute(objectSlug: string, slug: string): void;
  setUnique(objectSlug: string, slug: string, isUnique: boolean): void;
  setRequired(objectSlug: string, slug: string, isRequired: boolean): void;
};

// -------------------------------------------------------------- Refusals ----
// Attio's error bodies. Thrown before anything is changed, turned into a reply at the end.

class Refusal extends Error {
  readonly status: number;
  readonly code: string;
  readonly said: string;
  readonly detail: Json;

  /** What a test sees of a refused `addPerson` names the place; what a request gets keeps Attio's words. */
  constructor(status: number, code: string, said: string, detail: Json = {}) {
    super(`${said} ${JSON.stringify({ code, ...detail })}`);
    this.status = status;
    this.code = code;
    this.said = said;
    this.detail = detail;
  }
}

function errorType(status: number): string {
  if (status === 401 || status === 403) return "auth_error";
  if (status === 429) return "rate_limit_error";
  return status >= 500 ? "api_error" : "invalid_request_error";
}

function errorText(status: number, code: string, message: string, detail: Json = {}): string {
  return JSON.stringify({ status_code: status, type: errorType(status), code, message, ...detail });
}

/** What does not fit, with the path to it. All of Attio's validation errors that others recorded are those of zod 3. */
function invalid(path: Path, message: string, code = "invalid_type", more: Json = {}): Refusal {
  const fault = { ...more, code, path, message };
  return new Refusal(400, "validation_type", "Body payload validation error.", { validation_errors: [fault] });
}

function invalidEnum(path: Path, received: string, allowed: readonly string[]): Refusal {
  const message = `Invalid enum value. Expected ${allowed.map((one) => `'${one}'`).join(" | ")}, received '${received}'`;
  return invalid(path, message, "invalid_enum_value", { received, options: allowed });
}

function invalidQuery(name: string, message: string): Refusal {
  const detail = { validation_errors: [{ code: "invalid_type", path: [name], message }] };
  return new Refusal(400, "validation_type", "Query params validation error.", detail);
}

function filterError(path: Path, message = "Error in filter.", code = "filter_error"): Refusal {
  return new Refusal(400, code, message, { path: path.map(String) });
}

function notImitated(what: string): Refusal {
  return new Refusal(501, "not_imitated", `This sandbox does not imitate ${what}.`);
}

function optionNotFound(title: string): Refusal {
  return new Refusal(400, "value_not_found", `Cannot find select attribute with select option title "${title}".`);
}

function missingValue({ id }: Attribute): Refusal {
  return new Refusal(400, "missing_value", `Required value for attribute with ID "${id}" was not provided.`);
}

// ---------------------------------------------------------------- Bodies ----
// One way to read what is sent: a reader takes a value and the path to it, and refuses what does not fit.

type Reader<T> = (raw: unknown, path: Path) => T;

function isJson(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function anything(raw: unknown, path: Path): unknown {
  if (raw === undefined) throw invalid(path, "Required");
  return raw;
}

function text(raw: unknown, path: Path): string {
  if (typeof raw !== "string") throw invalid(path, "Expected string");
  return raw;
}

function filled(raw: unknown, path: Path): string {
  if (raw === "") throw invalid(path, "Expected a string that is not empty", "too_small");
  return text(raw, path);
}

function snakeCase(raw: unknown, path: Path): string {
  if (!/^[a-z][a-z0-9_]*$/.test(text(raw, path))) throw invalid(path, "Expected snake case", "invalid_string");
  return text(raw, path);
}

function flag(raw: unknown, path: Path): boolean {
  if (typeof raw !== "boolean") throw invalid(path, "Expected boolean");
  return raw;
}

function wholeNumber(min: number, max: number): Reader<number> {
  return (raw, path) => {
    if (typeof raw === "number" && Number.isInteger(raw) && raw >= min && raw <= max) return raw;
    throw invalid(path, `Expected a whole number from ${min} to ${max}`, "invalid_number");
  };
}

function oneOf(allowed: readonly string[]): Reader<string> {
  return (raw, path) => {
    const received = text(raw, path);
    if (!allowed.includes(received)) throw invalidEnum(path, received, allowed);
    return received;
  };
}

function listOf<T>(read: Reader<T>): Reader<T[]> {
  return (raw, path) => {
    if (!Array.isArray(raw)) throw invalid(path, "Expected array");
    return raw.map((one, position) => read(one, [...path, position]));
  };
}

function optional<T>(read: Reader<T>): Reader<T | undefined> {
  return (raw, path) => (raw === undefined ? undefined : read(raw, path));
}

function nullable<T>(read: Reader<T>): Reader<T | null> {
  return (raw, path) => (raw === null ? null : read(raw, path));
}

/** A key that Attio takes and this sandbox does not. */
function unimitated(what: string): Reader<undefined> {
  return (raw) => {
    if (raw !== undefined && raw !== null) throw notImitated(what);
  };
}

type Shape<S extends Readonly<Record<string, Reader<unknown>>>> = { readonly [K in keyof S]: ReturnType<S[K]> };

/** An object with these keys and no other; a key that is absent is absent from what is read. */
function shape<S extends Readonly<Record<string, Reader<unknown>>>>(readers: S): Reader<Shape<S>> {
  return (raw, path) => {
    if (!isJson(raw)) throw invalid(path, raw === undefined ? "Required" : "Expected object");
    const unknown = Object.keys(raw).find((name) => !Object.hasOwn(readers, name));
    if (unknown !== undefined) {
      throw invalid(path, `Unrecognized key(s) in object: '${unknown}'`, "unrecognized_keys");
    }
    const read = Object.entries(readers).map(([name, reader]) => [name, reader(raw[name], [...path, name])] as const);
    return Object.fromEntries(read.filter(([, value]) => value !== undefined)) as Shape<S>;
  };
}

function dataOf<T>(call: Call, read: Reader<T>): T {
  return shape({ data: read })(call.body, []).data;
}

// ------------------------------------------------------- Ids and the clock ----

function nextId(world: World): string {
  world.lastId += 1;
  return `a0000000-0000-4000-8000-${world.lastId.toString(16).padStart(12, "0")}`;
}

/** Attio's timestamps have nine decimals. */
function tick(world: World): string {
  world.clockMs += 1;
  return nanoseconds(new Date(world.clockMs).toISOString());
}

function nanoseconds(iso: string): string {
  return iso.replace(/(\.\d{3})Z$/, "$1000000Z");
}

// ---------------------------------------------------------------- Values ----
// From what is written to a canonical key, and from the key to what is read.

/** Where a value is written or searched for. */
type Place = { readonly world: World; readonly attribute: Attribute; readonly path: Path };

/** The shortest decimal text: "4.9" for 4.90. */
function decimalKey(raw: unknown, { path }: Place): string {
  const parts = /^(-?)0*(\d+)(?:\.(\d{1,4}))?$/.exec(typeof raw === "number" ? String(raw) : text(raw, path));
  if (parts === null) throw invalid(path, "Expected a decimal with a max of 4 decimal places");
  const decimals = (parts[3] ?? "").replace(/0+$/, "");
  const absolute = `${parts[2]}${decimals === "" ? "" : `.${decimals}`}`;
  return absolute === "0" ? "0" : `${parts[1]}${absolute}`;
}

/** Money as the documentation shows it, "499.00". */
function asDocumented(decimal: string): string {
  return /\.\d\d/.test(decimal) ? decimal : Number(decimal).toFixed(2);
}

/** An instant in UTC. UTC is assumed where no zone is given, as documented. */
function instantKey(raw: unknown, { path }: Place): string {
  const parts = /^(\d{4}-\d\d-\d\d)T\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:\d\d)?$/.exec(text(raw, path));
  const [written = "", day = ""] = parts ?? [];
  const at = new Date(parts?.[4] === undefined ? `${written}Z` : written);
  // The 30th of February would become the 2nd of March.
  const isDay = new Date(day).toJSON()?.startsWith(day) === true;
  if (!isDay || Number.isNaN(at.getTime())) throw invalid(path, "Invalid timestamp", "invalid_date");
  return nanoseconds(at.toISOString());
}

// Reported by a user: addresses and domains under reserved top-level domains are refused, example.com is not.
const RESERVED_DOMAINS = ["example", "test", "invalid", "localhost"];

function domainKey(raw: unknown, { path }: Place): string {
  const domain = text(raw, path).toLowerCase();
  const labels = domain.split(".");
  const isWellFormed = labels.length > 1 && labels.every((label) => /^[^\s@/]+$/.test(label));
  if (isWellFormed && !RESERVED_DOMAINS.includes(labels.at(-1) ?? "")) return domain;
  throw invalid(path, "Invalid domain", "invalid_string");
}

function emailKey(raw: unknown, place: Place): string {
  const parts = /^([^\s@]+)@([^\s@]+)$/.exec(text(raw, place.path));
  if (parts === null) throw invalid(place.path, "Invalid email", "invalid_string");
  return `${parts[1]?.toLowerCase()}@${domainKey(parts[2], place)}`;
}

function renderEmail({ key, original }: Value): Json {
  const [local = "", domain = ""] = key.split("@");
  return {
    original_email_address: original,
    email_address: key,
    email_domain: domain,
    email_root_domain: rootDomain(domain),
    email_local_specifier: local,
  };
}

function rootDomain(domain: string): string {
  return domain.split(".").slice(-2).join(".");
}

const NAME_SEPARATOR = "\u0000";

const FULL_NAME = shape({ first_name: text, last_name: text, full_name: text });

function nameKey(raw: unknown, { path }: Place): string {
  return Object.values(FULL_NAME(raw, path)).join(NAME_SEPARATOR);
}

function renderName({ key }: Value): Json {
  const [first_name, last_name, full_name] = key.split(NAME_SEPARATOR);
  return { first_name, last_name, full_name };
}

function optionKey(raw: unknown, { attribute, path }: Place): string {
  const title = text(raw, path);
  const option = attribute.options.find((known) => !known.is_archived && (known.title === title || known.id === title));
  if (option !== undefined) return option.id;
  throw optionNotFound(title);
}

const REFERENCE = shape({
  target_object: text,
  target_record_id: text,
  target_record_reference: unimitated("target_record_reference"),
});

/** What a bare text means where only one object is allowed: an address for people, a domain for companies. */
const IDENTITIES: Readonly<Record<string, string>> = { people: "email_addresses", companies: "domains" };

function referenceKey(raw: unknown, place: Place): string {
  if (typeof raw === "string") return bareReferenceKey(raw, place);
  const { world, attribute, path } = place;
  const { target_object, target_record_id: id } = REFERENCE(raw, path);
  const target = findObject(world, target_object);
  if (attribute.allowed !== null && !attribute.allowed.includes(target)) {
    throw invalid([...path, "target_object"], `Records of "${target.api_slug}" are not allowed here`);
  }
  if (world.recordsById.get(id)?.object === target) return id;
  // The specification's words for a record that is not there; as with all of this code, no path names the attribute.
  throw new Refusal(400, "value_not_found", `Record with ID "${id}" not found.`);
}

function bareReferenceKey(raw: string, { world, attribute: { allowed }, path }: Place): string {
  const only = allowed?.length === 1 ? allowed[0] : undefined;
  const name = only && IDENTITIES[only.api_slug];
  if (only === undefined || name === undefined) throw invalid(path, "Expected object");
  const attribute = findWritable(only, name);
  const found = holdersOf(attribute, TYPES[attribute.type].keyOf(raw, { world, attribute, path }));
  if (found[0] !== undefined && found.length === 1) return found[0].id;
  const message = `Found ${found.length} records of "${only.api_slug}" by "${name}", expected one.`;
  throw new Refusal(400, found.length === 0 ? "value_not_found" : "multiple_match_results", message);
}

type Kind = {
  /** The keys of a value that a filter may name; the first is meant where none is named. */
  readonly fields: readonly [string, ...string[]];
  readonly operators: readonly string[];
  readonly mayBeUnique?: true;
  readonly mayBeMultiselect?: true;
  /** Filters can ask for the first of the fields, which is the key. */
  readonly isSearchable?: true;
  readonly keyOf: (raw: unknown, place: Place) => string;
  /** What is particular to the type in a value that is read. */
  readonly render: (value: Value, attribute: Attribute, world: World) => Json;
};

const TEXT_OPERATORS = ["$eq", "$contains", "$starts_with", "$ends_with"];
const ORDER_OPERATORS = ["$eq", "$lt", "$lte", "$gt", "$gte"];

/** After the pages under docs.attio.com/docs/attribute-types. */
const TYPES: Readonly<Record<AttributeType, Kind>> = {
  text: {
    fields: ["value"],
    operators: [...TEXT_OPERATORS, "$in"],
    mayBeUnique: true,
    isSearchable: true,
    keyOf: (raw, { path }) => text(raw, path),
    render: ({ key }) => ({ value: key }),
  },
  number: {
    fields: ["value"],
    operators: ORDER_OPERATORS,
    mayBeUnique: true,
    keyOf: decimalKey,
    render: ({ key }) => ({ value: Number(key) }),
  },
  currency: {
    fields: ["currency_value"],
    operators: ORDER_OPERATORS,
    // No currency_code: the code is the attribute's, and an object with another key is refused.
    keyOf: decimalKey,
    render: ({ key }, { currency }, { options }) => ({
      currency_value: options.currencyAsString === true ? asDocumented(key) : Number(key),
      currency_code: currency?.default_currency_code,
    }),
  },
  timestamp: {
    fields: ["value"],
    operators: ORDER_OPERATORS,
    keyOf: instantKey,
    render: ({ key }) => ({ value: key }),
  },
  select: {
    fields: ["option"],
    operators: ["$eq"],
    mayBeMultiselect: true,
    keyOf: optionKey,
    render({ key }, attribute) {
      const option = attribute.options.find(({ id }) => id === key);
      return { option: option && renderOption(attribute, option) };
    },
  },
  "record-reference": {
    fields: ["target_record_id", "target_object"],
    operators: ["$eq", "$in"],
    mayBeMultiselect: true,
    isSearchable: true,
    keyOf: referenceKey,
    render: ({ key }, _, { recordsById }) => ({
      target_object: recordsById.get(key)?.object.api_slug,
      target_record_id: key,
    }),
  },
  "actor-reference": {
    fields: ["referenced_actor_type", "referenced_actor_id"],
    operators: ["$eq"],
    keyOf: (raw, { path }) => text(raw, path),
    render: ({ actor }) => ({ referenced_actor_type: actor.type, referenced_actor_id: actor.id }),
  },
  domain: {
    fields: ["domain", "root_domain"],
    operators: [...TEXT_OPERATORS, "$not_empty"],
    mayBeUnique: true,
    mayBeMultiselect: true,
    keyOf: domainKey,
    render: ({ key }) => ({ domain: key, root_domain: rootDomain(key) }),
  },
  "email-address": {
    fields: ["email_address", "original_email_address", "email_domain", "email_root_domain", "email_local_specifier"],
    operators: TEXT_OPERATORS,
    mayBeUnique: true,
    mayBeMultiselect: true,
    isSearchable: true,
    keyOf: emailKey,
    render: renderEmail,
  },
  "personal-name": {
    fields: ["full_name", "first_name", "last_name"],
    operators: [...TEXT_OPERATORS, "$not_empty"],
    keyOf: nameKey,
    render: renderName,
  },
};

/** Most types take a bare value or an object with one key, `{ "value": … }`. */
function parseValue(raw: unknown, place: Place): Incoming {
  if (raw === null) throw invalid(place.path, "Expected a value, received null");
  const { fields, keyOf } = TYPES[place.attribute.type];
  const isWrapped = isJson(raw) && Object.keys(raw).join() === fields[0];
  const bare = isWrapped ? raw[fields[0]] : raw;
  return { key: keyOf(bare, place), original: typeof bare === "string" ? bare : null };
}

function renderRecord(world: World, record: StoredRecord): Json {
  const values: Record<string, unknown> = {};
  for (const attribute of record.object.attributes) {
    if (attribute.is_archived) continue;
    values[attribute.api_slug] = valuesOf(record, attribute).map((value) => ({
      active_from: value.activeFrom,
      active_until: null,
      created_by_actor: value.actor,
      ...TYPES[attribute.type].render(value, attribute, world),
      attribute_type: attribute.type,
    }));
  }
  const { api_slug: slug, id: object_id } = record.object;
  const place = slug === "people" ? "person" : slug === "companies" ? "company" : `custom/${slug}/record`;
  return {
    id: { workspace_id: WORKSPACE_ID, object_id, record_id: record.id },
    created_at: record.createdAt,
    web_url: `https://app.attio.com/${WORKSPACE_SLUG}/${place}/${record.id}`,
    values,
  };
}

// ----------------------------------------------------------------- Store ----
// Everything is checked before anything is changed.

function findObject(world: World, name: string): ObjectType {
  const object = world.objects.find((known) => known.api_slug === name || known.id === name);
  if (object === undefined) throw new Refusal(404, "not_found", `Object with slug/ID "${name}" not found.`);
  return object;
}

function attributeNamed(object: ObjectType, name: string): Attribute | undefined {
  return object.attributes.find((known) => known.api_slug === name || known.id === name);
}

function findAttribute(object: ObjectType, name: string): Attribute {
  const attribute = attributeNamed(object, name);
  if (attribute === undefined) throw new Refusal(404, "not_found", `Attribute with slug/ID "${name}" not found.`);
  return attribute;
}

function findWritable(object: ObjectType, name: string): Attribute {
  const attribute = attributeNamed(object, name);
  if (attribute?.is_archived === false) return attribute;
  throw new Refusal(400, "value_not_found", `Cannot find attribute with slug/ID "${name}".`);
}

function findRecord(world: World, object: ObjectType, id: string): StoredRecord {
  const record = world.recordsById.get(id);
  if (record?.object === object) return record;
  throw new Refusal(404, "not_found", `Record with ID "${id}" not found.`);
}

function valuesOf(record: StoredRecord, attribute: Attribute): readonly Value[] {
  return record.values.get(attribute) ?? [];
}

/** The records that hold this key in any case, for filters; builds the index when first asked. */
function lookUp(attribute: Attribute, key: string): ReadonlySet<StoredRecord> {
  if (attribute.index === null) {
    attribute.index = new Map();
    for (const record of attribute.object.records) addToIndex(attribute, record, valuesOf(record, attribute));
  }
  return attribute.index.get(key.toLowerCase()) ?? new Set();
}

function addToIndex(attribute: Attribute, record: StoredRecord, values: readonly Value[]): void {
  for (const { key } of values) {
    const records = attribute.index?.get(key.toLowerCase());
    if (records === undefined) attribute.index?.set(key.toLowerCase(), new Set([record]));
    else records.add(record);
  }
}

function removeFromIndex(attribute: Attribute, record: StoredRecord, values: readonly Value[]): void {
  for (const { key } of values) attribute.index?.get(key.toLowerCase())?.delete(record);
}

/** The records that hold exactly this key. Unique text is case-sensitive, unlike equality in filters. */
function holdersOf(attribute: Attribute, key: string): StoredRecord[] {
  return [...lookUp(attribute, key)].filter((record) => valuesOf(record, attribute).some((held) => held.key === key));
}

function put(record: StoredRecord, attribute: Attribute, values: readonly Value[]): void {
  removeFromIndex(attribute, record, valuesOf(record, attribute));
  record.values.set(attribute, values);
  addToIndex(attribute, record, values);
}

/** Takes the reference to `id` out of one side of a relationship; the other side is the caller's. */
function drop(record: StoredRecord | undefined, attribute: Attribute, id: string): void {
  if (record === undefined) return;
  const kept = valuesOf(record, attribute).filter((value) => value.key !== id);
  put(record, attribute, kept);
}

/** Replaces the values of one attribute. A value that was there already keeps its time and its author. */
function assign(world: World, record: StoredRecord, { attribute, incoming }: Change, stamp: Stamp): boolean {
  const before = valuesOf(record, attribute);
  const held = new Map(before.map((value) => [value.key, value]));
  const after = incoming.map((value) => held.get(value.key) ?? { ...value, ...stamp });
  const added = after.filter(({ key }) => !held.has(key));
  if (added.length === 0 && after.length === before.length) return false;

  put(record, attribute, after);
  const { reverse } = attribute;
  if (reverse === null) return true;
  const removed = before.filter(({ key }) => !after.some((value) => value.key === key));
  for (const { key } of removed) drop(world.recordsById.get(key), reverse, record.id);
  for (const { key } of added) {
    const other = world.recordsById.get(key);
    if (other === undefined) continue;
    const others = valuesOf(other, reverse);
    // Where the other side holds one, what it held is let go on both.
    if (!reverse.is_multiselect) for (const held of others) drop(world.recordsById.get(held.key), attribute, other.id);
    const kept = reverse.is_multiselect ? others : [];
    put(other, reverse, [...kept, { key: record.id, original: null, ...stamp }]);
  }
  return true;
}

type Change = { readonly attribute: Attribute; readonly incoming: readonly Incoming[] };
type Stamp = { readonly activeFrom: string; readonly actor: Actor };

/** The `values` of a body, each attribute known and writable, each value of its type. */
function parseValues(world: World, object: ObjectType, values: unknown): Change[] {
  const path = ["data", "values"];
  if (!isJson(values)) throw invalid(path, "Expected object");
  return Object.entries(values).map(([name, raw]) => {
    const attribute = findWritable(object, name);
    if (!attribute.is_writable) {
      throw new Refusal(400, "immutable_value", `Attribute with slug "${attribute.api_slug}" is not writable.`);
    }
    const at = [...path, name];
    const isList = Array.isArray(raw);
    if (!isList && attribute.is_multiselect) throw invalid(at, "Expected array");
    const list: readonly unknown[] = isList ? raw : [raw];
    if (list.length > 1 && !attribute.is_multiselect) {
      throw invalid(at, "Array must contain at most 1 element(s)", "too_big");
    }
    const incoming = new Map<string, Incoming>();
    for (const [position, one] of list.entries()) {
      const value = parseValue(one, { world, attribute, path: isList ? [...at, position] : at });
      incoming.set(value.key, value);
    }
    return { attribute, incoming: [...incoming.values()] };
  });
}

/** Only values that the record does not hold yet are checked: uniqueness "does not apply retroactively". */
function checkUnique(change: Change, record: StoredRecord | null): void {
  const { attribute, incoming } = change;
  if (!attribute.is_unique) return;
  for (const { key } of incoming) {
    if (record !== null && valuesOf(record, attribute).some((held) => held.key === key)) continue;
    const others = holdersOf(attribute, key);
    if (others.length === 0) continue;
    const message =
      `A value provided for attribute with slug "${attribute.api_slug}" conflicts with one already in the system. ` +
      `Conflicting record IDs: ${others.map(({ id }) => id).join(", ")}`;
    throw new Refusal(400, "uniqueness_conflict", message);
  }
}

function checkRequired(attribute: Attribute, incoming: readonly Incoming[]): void {
  if (attribute.is_required && incoming.length === 0) throw missingValue(attribute);
}

function createRecord(world: World, object: ObjectType, changes: readonly Change[], actor: Actor): StoredRecord {
  for (const attribute of object.attributes) {
    if (attribute.is_archived) continue;
    checkRequired(attribute, changes.find((change) => change.attribute === attribute)?.incoming ?? []);
  }
  for (const change of changes) checkUnique(change, null);

  const createdAt = tick(world);
  const stamp = { activeFrom: createdAt, actor };
  const record: StoredRecord = { id: nextId(world), object, order: world.lastId, createdAt, values: new Map() };
  world.recordsById.set(record.id, record);
  object.records.add(record);
  const system: Readonly<Record<string, string>> = { record_id: record.id, created_at: createdAt, created_by: "" };
  for (const attribute of object.attributes) {
    const key = attribute.is_writable ? undefined : system[attribute.api_slug];
    if (key !== undefined) put(record, attribute, [{ key, original: null, ...stamp }]);
  }
  for (const change of changes) assign(world, record, change, stamp);
  world.changes += 1;
  return record;
}

function updateRecord(world: World, record: StoredRecord, changes: readonly Change[], actor: Actor): void {
  for (const change of changes) {
    checkRequired(change.attribute, change.incoming);
    checkUnique(change, record);
  }

  const stamp = { activeFrom: tick(world), actor };
  const changed = changes.filter((change) => assign(world, record, change, stamp));
  if (changed.length > 0) world.changes += 1;
}

/** Removes a record and every reference to it. */
function removeRecord(world: World, record: StoredRecord): void {
  for (const attribute of world.objects.flatMap(({ attributes }) => attributes)) {
    if (attribute.type !== "record-reference") continue;
    for (const holder of [...lookUp(attribute, record.id)]) drop(holder, attribute, record.id);
  }
  for (const attribute of record.values.keys()) put(record, attribute, []);
  record.object.records.delete(record);
  world.recordsById.delete(record.id);
  world.changes += 1;
}

// --------------------------------------------------------------- Filters ----
// Every condition that is imitated names whole keys, so that an index finds the records that meet it.

type Scope = { readonly world: World; readonly object: ObjectType; readonly path: Path };

/** The records that a filter lets through: those that meet each of its entries. */
function filtered(scope: Scope, filter: unknown): ReadonlySet<StoredRecord> {
  const { world, object } = scope;
  if (!isJson(filter)) throw filterError(scope.path);
  if ("path" in filter) throw notImitated("filters along a path");
  let found: ReadonlySet<StoredRecord> = object.records;
  for (const [name, operand] of Object.entries(filter)) {
    const path = [...scope.path, name];
    const met = name.startsWith("$")
      ? combined({ ...scope, path }, name, operand)
      : meeting({ world, attribute: filterAttribute(object, name, path), path }, operand);
    found = found.intersection(met);
  }
  return found;
}

function combined(scope: Scope, operator: string, operand: unknown): ReadonlySet<StoredRecord> {
  const { path } = scope;
  if (operator === "$not") {
    // Observed by others in 2026-10: `$not` around `$or` is refused.
    if (isJson(operand) && "$or" in operand) throw filterError(path);
    throw notImitated("$not");
  }
  if (operator !== "$and" && operator !== "$or") throw invalidOperator(path, operator);
  if (!Array.isArray(operand) || operand.length === 0) throw filterError(path);
  const sets = operand.map((part, position) => filtered({ ...scope, path: [...path, position] }, part));
  if (operator === "$or") return new Set(sets.flatMap((set) => [...set]));
  return sets.reduce((met, set) => met.intersection(set));
}

function filterAttribute(object: ObjectType, name: string, path: Path): Attribute {
  const attribute = attributeNamed(object, name);
  if (attribute?.is_archived === false) return attribute;
  throw filterError(path, `Unknown attribute slug: ${name}.`, "unknown_filter_attribute_slug");
}

function invalidOperator(path: Path, operator: string): Refusal {
  return filterError(path, `Invalid operator: ${operator}.`, "invalid_filter_operator");
}

/** A condition in any of its spellings: a bare value, operators, or operators under a field of the value. */
function meeting(place: Place, condition: unknown, field?: string): ReadonlySet<StoredRecord> {
  const { attribute, path } = place;
  if (!isJson(condition)) return holding(place, field, "$eq", condition);
  const [entry, ...others] = Object.entries(condition);
  if (entry === undefined) throw filterError(path);
  if (others.length > 0) throw notImitated("conditions of several parts");
  const [name, operand] = entry;
  const inner = { ...place, path: [...path, name] };
  if (name.startsWith("$")) return holding(inner, field, name, operand);
  if (field === undefined && TYPES[attribute.type].fields.includes(name)) return meeting(inner, operand, name);
  const message = `Invalid field "${name}" for attribute "${attribute.api_slug}".`;
  throw filterError(inner.path, message, "invalid_filter_field");
}

/** The records of which one value has a key that is asked for, in any case. */
function holding(place: Place, named: string | undefined, operator: string, operand: unknown): Set<StoredRecord> {
  const { world, attribute, path } = place;
  const { fields, operators, isSearchable } = TYPES[attribute.type];
  // Documented for references with the field named only.
  if (named === undefined && attribute.type === "record-reference") {
    throw filterError(path, "A field must be named here.", "invalid_filter_field");
  }
  if (!operators.includes(operator)) throw invalidOperator(path, operator);
  const isImitated = isSearchable === true && (named ?? fields[0]) === fields[0];
  if (!isImitated || !["$eq", "$in"].includes(operator)) {
    throw notImitated(`${operator} on ${named ?? "a value"} of type ${attribute.type}`);
  }
  const wanted = operator === "$in" ? operand : [operand];
  if (!Array.isArray(wanted)) throw filterError(path);
  return new Set(
    wanted.flatMap((key: unknown) => {
      if (typeof key !== "string" || world.unsearchable.has(key.toLowerCase())) throw filterError(path);
      return [...lookUp(attribute, key)];
    }),
  );
}

// --------------------------------------------------------- Configuration ----

function renderObject({ id, api_slug, singular_noun, plural_noun, created_at }: ObjectType): Json {
  return { id: { workspace_id: WORKSPACE_ID, object_id: id }, api_slug, singular_noun, plural_noun, created_at };
}

function attributeId({ id, object }: Attribute): Json {
  return { workspace_id: WORKSPACE_ID, object_id: object.id, attribute_id: id };
}

function renderAttribute(attribute: Attribute): Json {
  const { id: _, object, options, index, currency, allowed, reverse, ...plain } = attribute;
  const relationship = reverse && {
    id: attributeId(reverse),
    object_slug: reverse.object.api_slug,
    title: reverse.title,
    api_slug: reverse.api_slug,
    is_multiselect: reverse.is_multiselect,
  };
  return {
    id: attributeId(attribute),
    ...plain,
    is_default_value_enabled: false,
    default_value: null,
    relationship,
    config: {
      currency: currency ?? { default_currency_code: null, display_type: null },
      record_reference: { allowed_object_ids: allowed?.map(({ id }) => id) ?? null },
    },
  };
}

function renderOption(attribute: Attribute, { id, title, is_archived }: SelectOption): Json {
  return { id: { ...attributeId(attribute), option_id: id }, title, is_archived };
}

type Draft = Pick<Attribute, "api_slug" | "title" | "type"> & Partial<Omit<Attribute, "id" | "object" | "created_at">>;

function addAttribute(world: World, object: ObjectType, draft: Draft): Attribute {
  const attribute: Attribute = {
    id: nextId(world),
    object,
    description: null,
    is_system_attribute: false,
    is_writable: true,
    is_required: false,
    is_unique: false,
    is_multiselect: false,
    is_archived: false,
    currency: null,
    allowed: null,
    reverse: null,
    index: null,
    options: [],
    created_at: tick(world),
    ...draft,
  };
  object.attributes.push(attribute);
  return attribute;
}

function relate(left: Attribute, right: Attribute): void {
  left.reverse = right;
  right.reverse = left;
}

type Names = Pick<ObjectType, "api_slug" | "singular_noun" | "plural_noun">;

const READ_ONLY = { is_writable: false };
const RECORD_ID: Draft = { api_slug: "record_id", title: "Record ID", type: "text", is_unique: true, ...READ_ONLY };
const CREATION: readonly Draft[] = [
  { api_slug: "created_at", title: "Created at", type: "timestamp", ...READ_ONLY },
  { api_slug: "created_by", title: "Created by", type: "actor-reference", ...READ_ONLY },
];
const NAME: Draft = { api_slug: "name", title: "Name", type: "text" };
const MANY = { is_multiselect: true };

/** People and companies as every workspace has them, without what Attio fills in by itself. */
const PEOPLE: readonly Draft[] = [
  { ...NAME, type: "personal-name" },
  { api_slug: "email_addresses", title: "Email addresses", type: "email-address", is_unique: true, ...MANY },
  { api_slug: "company", title: "Company", type: "record-reference" },
  { api_slug: "job_title", title: "Job title", type: "text" },
];
const COMPANIES: readonly Draft[] = [
  { api_slug: "domains", title: "Domains", type: "domain", is_unique: true, ...MANY },
  NAME,
  { api_slug: "team", title: "Team", type: "record-reference", ...MANY },
];

function addObject(world: World, names: Names, attributes: readonly Draft[], isCustom: boolean): ObjectType {
  const id = nextId(world);
  const object = { ...names, id, isCustom, created_at: tick(world), attributes: [], records: new Set<StoredRecord>() };
  world.objects.push(object);
  for (const draft of [RECORD_ID, ...attributes, ...CREATION]) {
    addAttribute(world, object, { ...draft, is_system_attribute: true });
  }
  return object;
}

function addStandardObjects(world: World): void {
  const names = { api_slug: "people", singular_noun: "Person", plural_noun: "People" };
  const people = addObject(world, names, PEOPLE, false);
  const others = { api_slug: "companies", singular_noun: "Company", plural_noun: "Companies" };
  const companies = addObject(world, others, COMPANIES, false);
  const [company, team] = [findAttribute(people, "company"), findAttribute(companies, "team")];
  company.allowed = [companies];
  team.allowed = [people];
  relate(company, team);
}

function addCustomObject(world: World, names: Names): ObjectType {
  return addObject(world, names, world.options.freshObjectHasName === false ? [] : [NAME], true);
}

const OBJECT = shape({ api_slug: snakeCase, singular_noun: filled, plural_noun: filled });

function createObject({ world, call }: Request): Json {
  const names = dataOf(call, OBJECT);
  const nounsOf = ({ singular_noun, plural_noun }: Names): string[] =>
    [singular_noun, plural_noun].map((noun) => noun.toLowerCase());
  const isTaken = ({ api_slug }: Names): boolean => api_slug === names.api_slug;
  const taken = new Set(world.objects.flatMap(nounsOf));
  if (world.objects.some(isTaken) || nounsOf(names).some((noun) => taken.has(noun))) {
    const message = "Failed to create object. Please ensure your api_slug and names are unique.";
    throw new Refusal(409, "slug_conflict", message);
  }
  if (world.objects.filter(({ isCustom }) => isCustom).length >= (world.options.objectLimit ?? Infinity)) {
    const message = "You have met your plan's object limit. Please upgrade your plan to create more objects.";
    throw new Refusal(400, "quota_exceeded", message);
  }

  world.changes += 1;
  return renderObject(addCustomObject(world, names));
}

function listAttributes(request: Request): Json[] {
  const { query } = request.call;
  const shown = objectOf(request).attributes.filter(isShownTo(request));
  return pageOf(shown, numberIn(query, "offset"), numberIn(query, "limit")).map(renderAttribute);
}

function isShownTo({ call }: Request): (known: { readonly is_archived: boolean }) => boolean {
  return ({ is_archived }) => !is_archived || call.query.get("show_archived") === "true";
}

function numberIn(query: URLSearchParams, name: string): number | undefined {
  const sent = query.get(name);
  if (sent !== null && !/^\d+$/.test(sent)) throw invalidQuery(name, "Expected a whole number");
  return sent === null ? undefined : Number(sent);
}

function pageOf<T>(all: readonly T[], offset = 0, limit = MAX_LIMIT): T[] {
  return all.slice(offset, offset + limit);
}

function checkFreeSlug(object: ObjectType, wanted: string): void {
  // An archived attribute still holds its slug.
  if (!object.attributes.some(({ api_slug }) => api_slug === wanted)) return;
  const message =
    "An attribute with the same API slug already exists on this object. Please choose a different API slug.";
  throw new Refusal(409, "slug_conflict", message);
}

function checkMayBeUnique(object: ObjectType, type: AttributeType): void {
  if (object.isCustom && TYPES[type].mayBeUnique === true) return;
  throw new Refusal(400, "validation_type", "Cannot set attribute as unique.");
}

function creatableType(raw: unknown, path: Path): AttributeType {
  const type = text(raw, path);
  if (OTHER_TYPES.includes(type)) throw notImitated(`attributes of type ${type}`);
  if (!isAttributeType(type) || type === "personal-name") throw invalidEnum(path, type, Object.keys(TYPES));
  return type;
}

function isAttributeType(type: string): type is AttributeType {
  return Object.hasOwn(TYPES, type);
}

const RELATIONSHIP = shape({ object: filled, title: filled, api_slug: snakeCase, is_multiselect: flag });

const ATTRIBUTE = shape({
  title: filled,
  description: nullable(text),
  api_slug: snakeCase,
  type: creatableType,
  is_required: flag,
  is_unique: flag,
  is_multiselect: flag,
  config: anything,
  default_value: unimitated("default values"),
  relationship: optional(nullable(RELATIONSHIP)),
});

const CURRENCY = shape({ default_currency_code: oneOf(CURRENCY_CODES), display_type: oneOf(DISPLAY_TYPES) });
const CURRENCY_CONFIG = shape({ currency: CURRENCY });
const REFERENCE_CONFIG = shape({ record_reference: optional(shape({ allowed_objects: listOf(text) })) });
const NO_CONFIG = shape({});

/** The part of `config` that fits the type; any other is refused. */
function configOf(world: World, type: AttributeType, config: unknown): Pick<Draft, "currency" | "allowed"> {
  const path = ["data", "config"];
  if (type === "currency") return CURRENCY_CONFIG(config, path);
  if (type !== "record-reference") return NO_CONFIG(config, path);
  const names = REFERENCE_CONFIG(config, path).record_reference?.allowed_objects;
  if (names?.length === 0) throw invalid([...path, "record_reference", "allowed_objects"], "Expected an object");
  return { allowed: names?.map((name) => findObject(world, name)) ?? null };
}

function createAttribute(request: Request): Json {
  const { world, call } = request;
  const object = objectOf(request);
  const { config, relationship, default_value: _, ...plain } = dataOf(call, ATTRIBUTE);
  const { type, is_multiselect, is_unique, api_slug } = plain;
  if (is_multiselect && TYPES[type].mayBeMultiselect !== true)
    throw invalid(["data", "is_multiselect"], "Expected false");
  if (is_unique) checkMayBeUnique(object, type);
  const configured = configOf(world, type, config);
  const target = relationship && findObject(world, relationship.object);
  if (target && type !== "record-reference") {
    throw invalid(["data", "relationship"], "Only record-reference attributes have a relationship");
  }
  if (target && (configured.allowed ?? [target]).some((allowed) => allowed !== target)) {
    throw invalid(["data", "config", "record_reference"], "Expected the object of the relationship only");
  }
  checkFreeSlug(object, api_slug);
  if (target && relationship) checkFreeSlug(target, relationship.api_slug);

  const attribute = addAttribute(world, object, { ...plain, ...configured, ...(target && { allowed: [target] }) });
  if (target && relationship) {
    const { object: _name, ...reverse } = relationship;
    relate(attribute, addAttribute(world, target, { ...reverse, type, allowed: [object] }));
  }
  world.changes += 1;
  return renderAttribute(attribute);
}

const ATTRIBUTE_CHANGE = shape({
  title: optional(filled),
  description: optional(nullable(text)),
  is_required: optional(flag),
  is_unique: optional(flag),
  is_archived: optional(flag),
  api_slug: unimitated("changing an attribute's slug"),
  config: unimitated("changing an attribute's config"),
  default_value: unimitated("default values"),
});

function updateAttribute(request: Request): Json {
  const attribute = attributeOf(request);
  const change = dataOf(request.call, ATTRIBUTE_CHANGE);
  if (attribute.is_system_attribute) {
    throw new Refusal(400, "system_edit_unauthorized", "Cannot update a System attribute.");
  }
  if (change.is_unique === true) checkMayBeUnique(attribute.object, attribute.type);

  Object.assign(attribute, change);
  request.world.changes += 1;
  return renderAttribute(attribute);
}

function selectOf(request: Request): Attribute {
  const attribute = attributeOf(request);
  if (attribute.type === "select") return attribute;
  throw new Refusal(400, "validation_type", "This attribute is not a select attribute.");
}

function listOptions(request: Request): Json[] {
  const attribute = selectOf(request);
  return attribute.options.filter(isShownTo(request)).map((option) => renderOption(attribute, option));
}

function createOption(request: Request): Json {
  const { world, call } = request;
  const attribute = selectOf(request);
  const { title } = dataOf(call, shape({ title: filled }));
  if (attribute.options.some((option) => option.title === title)) {
    const message = `There is already another select option with the title "${title}".`;
    throw new Refusal(409, "slug_conflict", message);
  }

  const option = { id: nextId(world), title, is_archived: false };
  attribute.options.push(option);
  world.changes += 1;
  return renderOption(attribute, option);
}

const OPTION_CHANGE = shape({ is_archived: flag, title: unimitated("changing an option's title") });

function updateOption(request: Request): Json {
  const attribute = selectOf(request);
  const name = request.param("option");
  const change = dataOf(request.call, OPTION_CHANGE);
  const option = attribute.options.find(({ id, title }) => id === name || title === name);
  if (option === undefined) throw optionNotFound(name);

  Object.assign(option, change);
  request.world.changes += 1;
  return renderOption(attribute, option);
}

// --------------------------------------------------------------- Records ----

const SORT = shape({
  attribute: text,
  direction: oneOf(["asc", "desc"]),
  field: unimitated("sorting by a field"),
  path: unimitated("sorting along a path"),
});

const QUERY = shape({
  filter: optional(anything),
  filter_view_id: unimitated("filter_view_id"),
  sorts: optional(listOf(SORT)),
  limit: optional(wholeNumber(1, MAX_LIMIT)),
  offset: optional(wholeNumber(0, Number.MAX_SAFE_INTEGER)),
});

function queryRecords(request: Request): Json[] {
  const { world, call } = request;
  const object = objectOf(request);
  const { filter = {}, sorts = [], offset, limit } = QUERY(call.body, []);
  for (const [position, { attribute }] of sorts.entries()) {
    const { api_slug } = filterAttribute(object, attribute, ["sorts", position]);
    if (api_slug !== "created_at") throw notImitated(`sorting by ${api_slug}`);
  }

  const found = [...filtered({ world, object, path: [] }, filter)];
  const sign = sorts[0]?.direction === "asc" ? 1 : -1;
  found.sort((left, right) => sign * (left.order - right.order));
  return pageOf(found, offset, limit).map((record) => renderRecord(world, record));
}

function changesOf(request: Request): Change[] {
  return parseValues(request.world, objectOf(request), dataOf(request.call, shape({ values: anything })).values);
}

function postRecord(request: Request): Json {
  const { world, actor } = request;
  return renderRecord(world, createRecord(world, objectOf(request), changesOf(request), actor));
}

function assertRecord(request: Request): Json {
  const { world, call, actor } = request;
  const object = objectOf(request);
  const name = call.query.get("matching_attribute");
  if (name === null || name === "") throw invalidQuery("matching_attribute", "Required");
  const matching = attributeNamed(object, name);
  if (matching === undefined || matching.is_archived) {
    const message = `No attribute was found for matching_attribute slug/ID "${name}".`;
    throw new Refusal(400, "value_not_found", message);
  }
  if (!matching.is_unique) {
    const message = "The matching attribute specified is not a unique attribute.";
    throw new Refusal(400, "matching_attribute_definition_not_unique", message);
  }
  const changes = changesOf(request);
  const keys = changes.find((change) => change.attribute === matching)?.incoming ?? [];
  if (keys.length === 0) throw missingValue(matching);
  const matches = new Set(keys.flatMap(({ key }) => holdersOf(matching, key)));
  const [match] = matches;
  if (match === undefined) return renderRecord(world, createRecord(world, object, changes, actor));
  if (matches.size > 1) {
    const ids = [...matches].map((record) => record.id).join(", ");
    throw new Refusal(400, "multiple_match_results", `More than one record matches "${matching.api_slug}": ${ids}`);
  }

  // By the matching attribute values are added, never removed; any other becomes what was sent.
  const held = valuesOf(match, matching);
  const fresh = keys.filter(({ key }) => !held.some((known) => known.key === key));
  const added = { attribute: matching, incoming: [...held, ...fresh] };
  updateRecord(world, match, [...changes.filter(({ attribute }) => attribute !== matching), added], actor);
  return renderRecord(world, match);
}

// ---------------------------------------------------------------- Routes ----

type Request = {
  readonly world: World;
  readonly call: Call;
  readonly actor: Actor;
  readonly param: (name: string) => string;
};

function objectOf({ world, param }: Request): ObjectType {
  return findObject(world, param("object"));
}

function attributeOf(request: Request): Attribute {
  return findAttribute(objectOf(request), request.param("attribute"));
}

function getRecord(request: Request): Json {
  return renderRecord(request.world, findRecord(request.world, objectOf(request), request.param("record")));
}

type Route = {
  readonly pattern: RegExp;
  readonly scopes: readonly string[];
  readonly run: (request: Request) => unknown;
};

function route(template: string, scopes: readonly string[], run: Route["run"]): Route {
  return { pattern: new RegExp(`^${template.replace(/\{(\w+)\}/g, "(?<$1>[^/]+)")}$`), scopes, run };
}

const READ_CONFIGURATION = ["object_configuration:read"];
const CONFIGURE = ["object_configuration:read-write"];
const READ_RECORDS = ["record_permission:read", "object_configuration:read"];
const WRITE_RECORDS = ["record_permission:read-write", "object_configuration:read"];

const ATTRIBUTES = "/v2/objects/{object}/attributes";
const OPTIONS = `${ATTRIBUTES}/{attribute}/options`;
const RECORDS = "/v2/objects/{object}/records";

const ROUTES: readonly Route[] = [
  route("GET /v2/objects", READ_CONFIGURATION, ({ world }) => world.objects.map(renderObject)),
  route("POST /v2/objects", CONFIGURE, createObject),
  route("GET /v2/objects/{object}", READ_CONFIGURATION, (request) => renderObject(objectOf(request))),
  route(`GET ${ATTRIBUTES}`, READ_CONFIGURATION, listAttributes),
  route(`POST ${ATTRIBUTES}`, CONFIGURE, createAttribute),
  route(`GET ${ATTRIBUTES}/{attribute}`, READ_CONFIGURATION, (request) => renderAttribute(attributeOf(request))),
  route(`PATCH ${ATTRIBUTES}/{attribute}`, CONFIGURE, updateAttribute),
  route(`GET ${OPTIONS}`, READ_CONFIGURATION, listOptions),
  route(`POST ${OPTIONS}`, CONFIGURE, createOption),
  route(`PATCH ${OPTIONS}/{option}`, CONFIGURE, updateOption),
  route(`POST ${RECORDS}/query`, READ_RECORDS, queryRecords),
  route(`POST ${RECORDS}`, WRITE_RECORDS, postRecord),
  route(`PUT ${RECORDS}`, WRITE_RECORDS, assertRecord),
  route(`GET ${RECORDS}/{record}`, READ_RECORDS, getRecord),
];

function isQuery(call: Call): boolean {
  return call.method === "POST" && call.path.endsWith("/records/query");
}

function isRead(call: Call): boolean {
  return call.method === "GET" || isQuery(call);
}

/** The method and path with ids replaced; slugs stay, so that a fault can be aimed at one object. */
function routeOf(method: string, path: string): string {
  return `${method} ${path.replace(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, "{id}")}`;
}

const KEY_NOT_FOUND = "The API Key provided could not be found. Please check that you are using the correct API Key.";

/** The key of a request, if it is known and active. */
function keyOf(world: World, call: Call): AttioKey | undefined {
  const header = call.headers["authorization"];
  return world.keys.find(({ key, active }) => active !== false && `Bearer ${key}` === header);
}

function authenticate(world: World, call: Call): AttioKey {
  if (call.headers["authorization"] === undefined) {
    throw new Refusal(401, "unauthorized", "The Authorization header was not provided. Please provide an API Key.");
  }
  const key = keyOf(world, call);
  if (key === undefined) throw new Refusal(401, "unauthorized", KEY_NOT_FOUND);
  return key;
}

function checkScopes(key: AttioKey, scopes: readonly string[]): void {
  const missing = scopes.filter((scope) => !key.scopes.includes(scope) && !key.scopes.includes(`${scope}-write`));
  if (missing.length === 0) return;
  const titles = missing.map((scope) => {
    const area = scope.startsWith("record_permission") ? "Records" : "Object Configuration";
    return `${scope.endsWith("-write") ? "Read-Write" : "Read"} access to the ${area} scope`;
  });
  const message =
    "The API Key provided is not authorized to perform the requested action. " +
    `This request requires scopes: ${titles.join(", ")}.`;
  throw new Refusal(403, "unauthorized", message);
}

/** `/v2/self` needs no scope, is not wrapped in `data`, and answers 200 to a key that it does not know. */
function identify(world: World, call: Call): string {
  if (!/^Bearer \S{8,}$/.test(String(call.headers["authorization"]))) {
    throw new Refusal(400, "missing_value", "Required value for the Authorization header was not provided.");
  }
  const key = keyOf(world, call);
  if (key === undefined) return JSON.stringify({ active: false });
  const client = "00000000-0000-4000-8000-000000000003";
  return JSON.stringify({
    active: true,
    scope: key.scopes.join(" "),
    client_id: client,
    token_type: "Bearer",
    exp: null,
    iat: 1767225600,
    sub: WORKSPACE_ID,
    aud: client,
    iss: "attio.com",
    authorized_by_workspace_member_id: MEMBER_ID,
    workspace_id: WORKSPACE_ID,
    workspace_name: "Sandbox",
    workspace_slug: WORKSPACE_SLUG,
    workspace_logo_url: null,
  });
}

function answer(world: World, call: Call): Reply {
  const asked = `${call.method} ${call.path}`;
  if (asked === "GET /v2/self") return { status: 200, text: identify(world, call) };
  const key = authenticate(world, call);
  for (const { pattern, scopes, run } of ROUTES) {
    const match = pattern.exec(asked);
    if (match === null) continue;
    checkScopes(key, scopes);
    if (!isRead(call)) world.writes.requests += 1;
    if (call.body !== undefined && !String(call.headers["content-type"]).startsWith("application/json")) {
      throw invalid([], "Expected the content type application/json");
    }
    const changesBefore = world.changes;
    const param = (name: string): string => decodeURIComponent(match.groups?.[name] ?? "");
    const data = run({ world, call, actor: actorOf("api-token"), param });
    if (world.changes > changesBefore) world.writes.changes += 1;
    const headers: Record<string, string> = isQuery(call) ? { "x-attio-record-query-score": "0" } : {};
    return { status: 200, headers, text: JSON.stringify({ data }) };
  }
  throw new Refusal(404, "not_found", `Could not find endpoint "${asked}".`);
}

function handle(world: World, call: Call): Reply {
  const id = { "x-attio-execution-id": nextId(world) };
  try {
    const reply = answer(world, call);
    return { ...reply, headers: { ...reply.headers, ...id } };
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    const { status, code, said, detail } = error;
    return { status, headers: id, text: errorText(status, code, said, detail) };
  }
}

// ----------------------------------------------------- Limits and faults ----

const RATE_LIMIT_TEXT = errorText(429, "rate_limit_exceeded", "Rate limit exceeded, please try again later");

/** The start of the next second, as Attio's `Retry-After` says it: an HTTP date. */
function nextSecond(): string {
  return new Date(Math.ceil((Date.now() + 1) / 1000) * 1000).toUTCString();
}

/** The headers are read when the answer is sent: a date must lie ahead then. */
function tooMany(retryAfter: () => string): Reply {
  return {
    status: 429,
    get headers(): Record<string, string> {
      return { "retry-after": retryAfter() };
    },
    text: RATE_LIMIT_TEXT,
  };
}

const PUBLISHED_LIMITS: Limits = {
  perSecond: Infinity,
  perRoutePerSecond: Infinity,
  classOf: (call) => (isRead(call) ? { name: "reads", perSecond: 100 } : { name: "writes", perSecond: 25 }),
  refuse: () => tooMany(nextSecond),
};

function refusing(status: number, code: string, message: string): Fault {
  return { name: `${status} ${code}`, before: { status, text: errorText(status, code, message) } };
}

const RACE = "The record was modified by another request while this write was being validated. Please try again.";
const SERVER_ERROR: Reply = { status: 500, text: errorText(500, "internal_error", "An unexpected error occurred.") };
const EMPTY: Reply = { status: 200, text: "{}" };

function page(status: number, type: string, text: string): Reply {
  return { status, headers: { "content-type": type }, text };
}

/** What goes wrong with Attio in long runs, by name; rules in `faultRules` pick from these. */
export const attioFaults = {
  rateLimitSeconds: { name: "429 with seconds", before: tooMany(() => "1") },
  rateLimitNow: { name: "429 with zero seconds", before: tooMany(() => "0") },
  rateLimitDate: { name: "429 with an HTTP date", before: tooMany(nextSecond) },
  concurrentWrite: refusing(409, "concurrent_write_conflict", RACE),
  mergeInProgress: refusing(400, "merge_in_progress", "This record is currently being merged."),
  featureGate: refusing(400, "particle_gate_violation", "This feature is not available on your plan."),
  billing: refusing(403, "billing_error", "Your plan does not allow this action."),
  spurious401: refusing(401, "unauthorized", KEY_NOT_FOUND),
  serverError: { name: "500", before: SERVER_ERROR },
  badGateway: { name: "502 with HTML", before: page(502, "text/html", "<html><h1>502 Bad Gateway</h1></html>") },
  unavailable: { name: "503 with plain text", before: page(503, "text/plain", "Service Unavailable") },
  /** 200 with `{}` from something on the way: the service saw nothing, or, below, has done its work. */
  emptyAnswer: { name: "200 with {}", before: EMPTY },
  reset: { name: "reset", before: "reset" },
  // From here on the service has done its work; the answer is lost, halved or another's.
  emptyAnswerAfterEffect: { name: "200 with {} after the effect", after: () => EMPTY },
  cutBody: { name: "cut body", after: (reply) => ({ ...reply, cut: true }) },
  notJson: { name: "200 that is not JSON", after: () => page(200, "text/html", "<html>One moment…</html>") },
  serverErrorAfterEffect: { name: "500 after the effect", after: () => SERVER_ERROR },
  resetAfterEffect: { name: "reset after the effect", after: () => "reset" },
} as const satisfies Readonly<Record<string, Fault>>;

/** An answer that sends the caller, with its key, elsewhere. */
export function redirectTo(location: string): Fault {
  return { name: "redirect", before: { status: 307, headers: { location }, text: "" } };
}

// ----------------------------------------------------------- The sandbox ----

function plainValue(attribute: Attribute, { key }: Value): string | number {
  if (attribute.type === "number") return Number(key);
  if (attribute.type === "select") return attribute.options.find((option) => option.id === key)?.title ?? "";
  return attribute.type === "personal-name" ? (key.split(NAME_SEPARATOR)[2] ?? "") : key;
}

/** The attributes that somebody can fill in, with what the record holds in each. */
function cellsOf(record: StoredRecord): { readonly attribute: Attribute; readonly values: readonly Value[] }[] {
  return record.object.attributes
    .filter(({ is_writable, is_archived }) => is_writable && !is_archived)
    .map((attribute) => ({ attribute, values: valuesOf(record, attribute) }));
}

function plainRecord(record: StoredRecord): PlainRecord {
  const cells = cellsOf(record).map(({ attribute, values }) => {
    const plain = values.map((value) => plainValue(attribute, value));
    return [attribute.api_slug, attribute.is_multiselect ? plain : (plain[0] ?? null)] as const;
  });
  return { ...Object.fromEntries(cells), recordId: record.id };
}

/** What people tell an object's records apart by: the values of unique attributes and the name. */
function labelOf(record: StoredRecord | undefined): string {
  if (record === undefined) return "";
  const named = cellsOf(record).filter(({ attribute }) => attribute.is_unique || attribute.api_slug === "name");
  const labels = named.flatMap(({ attribute, values }) => values.map((value) => plainValue(attribute, value)));
  return labels.sort().join(" ");
}

function dumpRecord(world: World, record: StoredRecord, omit: readonly string[]): string {
  const cells = cellsOf(record)
    .filter(({ attribute }) => !omit.includes(attribute.api_slug))
    .map(({ attribute, values }) => {
      const isReference = attribute.type === "record-reference";
      const shown = values.map((value) =>
        isReference ? labelOf(world.recordsById.get(value.key)) : plainValue(attribute, value),
      );
      return `${attribute.api_slug}=${JSON.stringify(shown.sort())}`;
    });
  return `${labelOf(record)}: ${cells.sort().join(" ")}\n`;
}

function addBySpec(world: World, object: ObjectType, spec: AttributeSpec): void {
  const { slug: api_slug, type, relationship } = spec;
  const attribute = addAttribute(world, object, {
    api_slug,
    title: api_slug,
    type,
    options: (spec.options ?? []).map((option) => ({ id: nextId(world), title: option, is_archived: false })),
    is_unique: spec.isUnique ?? false,
    is_multiselect: spec.isMultiselect ?? false,
    currency: type === "currency" ? { default_currency_code: spec.currency ?? "USD", display_type: "symbol" } : null,
  });
  if (relationship === undefined) return;
  const { slug, isMultiselect: is_multiselect } = relationship;
  const target = findObject(world, relationship.object);
  attribute.allowed = [target];
  const back = addAttribute(world, target, { api_slug: slug, title: slug, type, is_multiselect, allowed: [object] });
  relate(attribute, back);
}

const ACTOR_IDS: Readonly<Record<ActorType, string | null>> = {
  "api-token": "00000000-0000-4000-8000-000000000099",
  "workspace-member": MEMBER_ID,
  system: null,
  app: "00000000-0000-4000-8000-000000000098",
};

function actorOf(type: ActorType | null): Actor {
  return { type, id: type === null ? null : ACTOR_IDS[type] };
}

/** What tests and the demo do to the workspace without the API, as its members would. */
function workshop(world: World): Omit<AttioSandbox, keyof SandboxServer | "writes" | "unsearchable"> {
  function addRecordAsMember(objectSlug: string, values: Json): string {
    const object = findObject(world, objectSlug);
    return createRecord(world, object, parseValues(world, object, values), actorOf("workspace-member")).id;
  }
  function editAs(author: ActorType | null, objectSlug: string, recordId: string, values: Json): void {
    const object = findObject(world, objectSlug);
    const changes = parseValues(world, object, values);
    updateRecord(world, findRecord(world, object, recordId), changes, actorOf(author));
  }
  function mark(objectSlug: string, slug: string, flags: Partial<Attribute>): void {
    Object.assign(findAttribute(findObject(world, objectSlug), slug), flags);
  }
  return {
    records: (objectSlug) => [...findObject(world, objectSlug).records].map(plainRecord),
    dump(objectSlug, how = {}) {
      const object = findObject(world, objectSlug);
      const lines = [...object.records].map((record) => dumpRecord(world, record, how.omit ?? []));
      return lines.sort().join("");
    },
    addPerson({ firstName = "", lastName = "", emailAddresses, company }) {
      const full_name = `${firstName} ${lastName}`.trim();
      const name = full_name === "" ? [] : [{ first_name: firstName, last_name: lastName, full_name }];
      const employer = company === undefined ? {} : { company: [company] };
      return addRecordAsMember("people", { name, email_addresses: emailAddresses, ...employer });
    },
    addCompany: ({ name, domain }) => addRecordAsMember("companies", { name, domains: [domain] }),
    removePerson(recordId) {
      removeRecord(world, findRecord(world, findObject(world, "people"), recordId));
    },
    editAs,
    editAsMember: (objectSlug, recordId, values) => editAs("workspace-member", objectSlug, recordId, values),
    addRecordAsMember,
    addObject({ slug, singular, plural }) {
      addCustomObject(world, { api_slug: slug, singular_noun: singular, plural_noun: plural });
    },
    addAttribute: (objectSlug, attribute) => addBySpec(world, findObject(world, objectSlug), attribute),
    archiveAttribute: (objectSlug, slug) => mark(objectSlug, slug, { is_archived: true }),
    setUnique: (objectSlug, slug, isUnique) => mark(objectSlug, slug, { is_unique: isUnique }),
    setRequired: (objectSlug, slug, isRequired) => mark(objectSlug, slug, { is_required: isRequired }),
  };
}

/** Starts an Attio workspace with people and companies, both empty, on 127.0.0.1. */
export async function startAttio(options: AttioOptions = {}): Promise<AttioSandbox> {
  const world: World = {
    options,
    keys: options.keys ?? DEFAULT_KEYS,
    objects: [],
    recordsById: new Map(),
    writes: { requests: 0, changes: 0 },
    unsearchable: new Set(),
    clockMs: Date.UTC(2026, 0, 1),
    lastId: 0,
    changes: 0,
  };
  addStandardObjects(world);
  const server = await serve({
    handle: (call) => handle(world, call),
    routeOf,
    ...(options.limits === "published" ? { limits: PUBLISHED_LIMITS } : {}),
  });
  const { writes, unsearchable } = world;
  return Object.assign(server, { writes, unsearchable }, workshop(world));
}
