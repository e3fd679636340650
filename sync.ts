// sync.ts - reads what every customer paid from Stripe and keeps one record per paying customer in Attio.
//
// A run: 1. check both keys and the Attio object   2. read Stripe, as of one instant, and the CRM, at the same time
//        3. plan: compare with what the CRM holds   4. report the total, with the bridge from captured to counted
//        5. brake: stop if the plan looks like an accident   6. apply what changed, largest first   7. sum up in a line
//
// Never: writes to Stripe (it only sends GET), deletes in Attio, adds two currencies, guesses a person, keeps state.
// Run:   node sync.ts [--dry-run] [--update-only] [--force] [--verbose]       (--help lists options and settings)
// Exit:  0 all good · 1 the run or a record failed · 2 wrong usage or settings, nothing was requested
//
// To trust a number, read Shapes to Plan (1,150 lines), which touch no network, clock or environment. To trust that
// nothing was missed, read `readList` (45 lines). To trust it with your keys, read HTTP (356 lines) and `assertRecord`
// (26 lines), the one function that writes records. A section uses only sections above it.

import { appendFileSync, existsSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

// -------------------------------------------------------------- Settings ----
// What a person can set, read once. All faults are reported together; a secret's value never is.

export const VERSION = "1.1.0";

/** Stripe product id → product slug, the attribute its revenue goes to. The PRODUCT_SLUGS setting adds to it. */
const PRODUCT_SLUGS: Readonly<Record<string, string>> = {
  // prod_ABC123: "spend_pro",
};

export const OBJECT = "stripe_customers";
export const FALLBACK_SLUG = "spend_other";
const SLUG_PATTERN = /^spend_[a-z0-9_]+$/;
const LOOPBACK_HOSTS: readonly string[] = ["127.0.0.1", "localhost", "[::1]"];
const DAY_MS = 86_400_000;
const ATTIO_KEYS_PAGE = "Attio › Workspace settings › Developers";

/** Every setting with its default and meaning: what `--help` prints and the README's table says. */
export const SETTINGS: readonly (readonly [name: string, fallback: string, meaning: string])[] = [
  ["STRIPE_API_KEY", "required", "restricted read-only key, rk_live_… (or rk_test_…); a secret"],
  ["ATTIO_API_KEY", "required", "Attio access token; a secret"],
  ["CURRENCY", "usd", "the one currency of the CRM's money attributes"],
  ["PRODUCT_SLUGS", "{}", 'which product goes to which attribute: {"prod_…":"spend_pro"}'],
  ["DRY_RUN", "off", "1 or true: plan and report, write nothing (same as --dry-run)"],
  ["REFRESH_DAYS", "7", "re-stamp an unchanged record after so many days; 0 = on every run"],
  ["CREATE_PEOPLE", "off", "1 or true: create a person for a payer whose address nobody has"],
  ["SHOW_AMOUNTS", "on", "0 or false: no amount and no product name in log and step summary"],
  ["STRIPE_API_BASE", "https://api.stripe.com", "loopback only, for the sandbox"],
  ["ATTIO_API_BASE", "https://api.attio.com", "loopback only, for the sandbox"],
];

type Mode = "live" | "test";
export type Environment = Readonly<Record<string, string | undefined>>;
export type Settings = ReturnType<typeof readSettings>;

/** What a program accepts on its command line, and which keys it cannot do without. */
export type Usage = {
  readonly flags: readonly string[];
  readonly takesCustomer?: boolean;
  readonly requires: readonly string[];
  readonly help: string;
};

/** Wrong usage or settings: nothing was requested, exit 2. */
export class SettingsError extends Error {
  constructor(faults: readonly string[]) {
    const head = `${faults.length} ${faults.length === 1 ? "thing" : "things"} to put right:`;
    super([head, ...faults.map((fault) => `  - ${fault}`), "Nothing was requested."].join("\n"));
  }
}

/**
 * Reads and checks the environment and the command line. An empty value counts as unset: an unset repository variable
 * arrives as one. Throws `SettingsError` with all faults at once.
 */
export function readSettings(env: Environment, args: readonly string[], usage: Usage) {
  const [faults, warnings]: [string[], string[]] = [[], []];
  const value = (name: string): string => (env[name] ?? "").trim();
  const reading = { value, faults, warnings };
  const isGithub = value("GITHUB_ACTIONS") === "true";
  const { flags, customerId } = readArguments(args, usage, faults);
  const [stripeKey, attioKey] = readKeys(reading, usage.requires, isGithub);
  const currency = (value("CURRENCY") || "usd").toLowerCase();
  const refreshDays = value("REFRESH_DAYS") || "7";
  expect(reading, "CURRENCY", /^[a-z]{3}$/.test(currency), "a three-letter code such as eur");
  expect(reading, "REFRESH_DAYS", /^\d{1,4}$/.test(refreshDays), "a whole number of days such as 7");
  const settings = {
    stripeKey,
    attioKey,
    stripeBase: readBase(reading, "STRIPE_API_BASE", "https://api.stripe.com"),
    attioBase: readBase(reading, "ATTIO_API_BASE", "https://api.attio.com"),
    mode: (stripeKey.includes("_live_") ? "live" : "test") satisfies Mode as Mode,
    currency,
    productSlugs: readProductSlugs(value("PRODUCT_SLUGS"), faults),
    refreshMs: Number(refreshDays) * DAY_MS,
    isDryRun: readSwitch(reading, "DRY_RUN", false) || flags.has("--dry-run"),
    isUpdateOnly: flags.has("--update-only"),
    isVerbose: flags.has("--verbose"),
    createsPeople: readSwitch(reading, "CREATE_PEOPLE", false),
    showsAmounts: readSwitch(reading, "SHOW_AMOUNTS", true),
    /** Others may read this log: no single customer's amount, no list of ids. Any value of CI but these means yes. */
    isCi: !["", "0", "false"].includes(value("CI").toLowerCase()),
    commands: commandsOf(isGithub),
    stepSummaryPath: value("GITHUB_STEP_SUMMARY"),
    flags,
    customerId,
    warnings,
  };
  if (faults.length > 0) throw new SettingsError(faults);
  return Object.freeze(settings);
}

/** How a person runs what a message advises, where the message is read. */
function commandsOf(isGithub: boolean) {
  const how = (byHand: string, onGithub: string): string =>
    isGithub ? `Run workflow with ${onGithub}` : `npm ${byHand}`;
  return {
    sync: how("start", '"sync"'),
    dryRun: how("start -- --dry-run", '"sync" and a tick at "Dry run"'),
    force: how("start -- --force", '"sync" and a tick at "Force"'),
    bootstrap: how("run bootstrap", '"bootstrap"'),
    bootstrapDryRun: how("run bootstrap -- --dry-run", '"bootstrap" and a tick at "Dry run"'),
    suggestProducts: how("run bootstrap -- --suggest-products", '"suggest products"'),
    testOne: how("run test-one -- cus_…", "the customer's id in the last field"),
  };
}

/** What reads one setting needs: its value, and where to say what is wrong or odd. */
type Reading = { readonly value: (name: string) => string; readonly faults: string[]; readonly warnings: string[] };

function expect({ value, faults }: Reading, name: string, isRight: boolean, expected: string): void {
  if (!isRight) faults.push(`${name} is ${quoted(value(name))}: expected ${expected}.`);
}

function readSwitch(reading: Reading, name: string, fallback: boolean): boolean {
  const text = reading.value(name).toLowerCase();
  expect(reading, name, ["", "1", "true", "0", "false"].includes(text), "1, true, 0 or false");
  return text === "" ? fallback : text === "1" || text === "true";
}

/** The origin requests go to: the service's own, or one on this machine. */
function readBase(reading: Reading, name: string, origin: string): string {
  const given = reading.value(name);
  const url = URL.canParse(given) ? new URL(given) : undefined;
  const isOrigin = url !== undefined && /^https?:$/.test(url.protocol) && url.href === `${url.origin}/`;
  const isLoopback = isOrigin && LOOPBACK_HOSTS.includes(url.hostname);
  const expected = "loopback, such as http://127.0.0.1:4242, as no other host gets a key";
  expect(reading, name, given === "" || isLoopback, expected);
  if (isLoopback) reading.warnings.push(`${name} is set: requests go to ${url.origin}`);
  return isLoopback ? url.origin : origin;
}

/** Options and the customer's id, which may stand in the address of the customer's page in the dashboard. */
function readArguments(args: readonly string[], usage: Usage, faults: string[]) {
  const words = args.filter((arg) => !arg.startsWith("-")).map((word) => word.trim());
  const flags = new Set(args.filter((arg) => arg.startsWith("-")));
  const known = [...usage.flags, "--help", "--version"].join(", ");
  for (const flag of flags)
    if (!usage.flags.includes(flag)) faults.push(`${quoted(flag)} is not an option. Options: ${known}.`);
  const [word = ""] = words;
  const customerId =
    /^(?:https:\/\/dashboard\.stripe\.com\/\S*\b(cus_\w+)\S*|(cus_\w+))$/.exec(word)?.slice(1).join("") ?? "";
  const given = words.map(quoted).join(" ") || "none";
  if (usage.takesCustomer !== true && words.length > 0) faults.push(`unexpected argument ${given}. See --help.`);
  if (usage.takesCustomer === true && (words.length !== 1 || customerId === ""))
    faults.push(`expected one Stripe customer id such as cus_NffrFeUfNV2Hib, got ${given}.`);
  return { flags, customerId };
}

/** Both keys; what is wrong with them is said without showing them. */
function readKeys({ value, faults, warnings }: Reading, required: readonly string[], isGithub: boolean) {
  const [stripeKey, attioKey] = [value("STRIPE_API_KEY"), value("ATTIO_API_KEY")];
  const place = isGithub ? "Settings › Secrets and variables › Actions › Secrets" : "the file .env beside this program";
  if (stripeKey === "" && required.includes("STRIPE_API_KEY"))
    faults.push(`STRIPE_API_KEY is not set: put a restricted read-only key such as rk_live_… into ${place}.`);
  else if (stripeKey.startsWith("pk_"))
    faults.push("STRIPE_API_KEY is a publishable key (pk_…), which cannot read: expected rk_live_… or rk_test_….");
  else if (stripeKey !== "" && !/^((rk|sk)_(live|test)|rkcs_test)_[A-Za-z0-9_]+$/.test(stripeKey))
    faults.push("STRIPE_API_KEY is no Stripe key (not shown): expected one that starts with rk_live_ or rk_test_.");
  if (stripeKey.startsWith("sk_live_"))
    warnings.push("STRIPE_API_KEY can move money (sk_live_…): a restricted read-only key (rk_live_…) is enough.");
  if (attioKey === "" && required.includes("ATTIO_API_KEY"))
    faults.push(`ATTIO_API_KEY is not set: put an access token (${ATTIO_KEYS_PAGE}) into ${place}.`);
  else if (/^(sk|rk|pk|rkcs)_/.test(attioKey))
    faults.push("ATTIO_API_KEY holds a Stripe key: expected an Attio access token. Were the two swapped?");
  else if (!/^[\x21-\x7e]*$/.test(attioKey))
    faults.push("ATTIO_API_KEY holds a character that no key has (not shown): copy it again.");
  return [stripeKey, attioKey] as const;
}

/** The map in this file with the setting's JSON laid over it. A Map: a product may be named `__proto__`. */
function readProductSlugs(json: string, faults: string[]): ReadonlyMap<string, string> {
  const given = json === "" ? {} : parseJson(json);
  if (given === undefined)
    faults.push(`PRODUCT_SLUGS is not JSON such as {"prod_ABC123":"spend_pro"}${whereJsonBreaks(json)}.`);
  const slugs = new Map<string, string>();
  for (const [productId, slug] of [...Object.entries(PRODUCT_SLUGS), ...Object.entries(given ?? {})]) {
    const said = typeof slug === "string" ? slug : JSON.stringify(slug);
    const what = `PRODUCT_SLUGS gives ${quoted(productId)} the slug ${quoted(said)}`;
    if (productId.startsWith("price_")) faults.push(`${what}: expected a product's id (prod_…), not a price's.`);
    else if (typeof slug === "string" && SLUG_PATTERN.test(slug)) slugs.set(productId, slug);
    else faults.push(`${what}: expected spend_ and then a-z, 0-9 or _.`);
  }
  return slugs;
}

/** Where text stops being a JSON object from text to text, with what stands there; the usual slips by name. */
function whereJsonBreaks(json: string): string {
  const word = String.raw`\s*"(?:[^"\\]|\\.)*"\s*`;
  const pairs = `(?:${word}:${word},)*(?:${word}(?::(?:${word}\\}?)?)?)?`;
  const [sound = ""] = new RegExp(`^\\s*(?:\\{(?:\\s*\\}|${pairs})\\s*)?`).exec(json) ?? [];
  const at = sound.length;
  const curly = /[“”„«»‘’]/.test(json[at] ?? "") ? ', a curly quote, where only " will do' : "";
  const comma = json[at] === "}" && sound.trimEnd().endsWith(",") ? ", after a comma too many" : "";
  const hidden = json.replace(KEY_LIKE, (key) => "•".repeat(key.length));
  const around = quoted(hidden.slice(Math.max(0, at - 20), at + 20));
  return `: it breaks at character ${at + 1}, in ${around}${curly}${comma}`;
}

/**
 * Text from outside, safe to print: one line, no control or direction characters, nothing that GitHub's runner takes
 * for a command (`::error::`, `##[error]`), at most `longest` characters.
 */
export function oneLine(outside: string, longest = 300): string {
  const plain = outside.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu, " ");
  const line = plain.replaceAll("::", ": :").replaceAll("##[", "## [").trimEnd();
  return line.length > longest ? `${line.slice(0, longest)}…` : line;
}

const KEY_LIKE = /\b(sk|rk|pk|rkcs|whsec)_\w+|[\w-]{40,}/g;

/** What a person typed, quoted back; what may be a key by mistake is not. */
function quoted(typed: string): string {
  const isBroken = /\b(sk|rk|pk|rkcs)_(live|test)_/.test(typed) && /[\p{Cc}\p{Cf}]/u.test(typed.trim());
  const hidden = oneLine(typed)
    .replace(KEY_LIKE, "(looks like a key)")
    .replace(/\/\/[^/@]*@/, "//(secret)@");
  return isBroken ? '"(looks like a key)"' : `"${hidden.slice(0, 60)}"`;
}

export type Json = Readonly<Record<string, unknown>>;

export function isObject(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** A JSON object; undefined for anything else. */
function parseJson(body: string): Json | undefined {
  try {
    const value: unknown = JSON.parse(body);
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

// ---------------------------------------------------------------- Shapes ----
// What is read of the services' objects, under their own names. One description is both the type and the guard: a
// field of another type stops the run and names the object and the field.

/** Reads a value or throws `Mismatch`. `wire` is the type on the wire, where it differs from what is read. */
export type Reader<T, Wire = T> = ((value: unknown) => T) & { readonly wire?: Wire };
type ReadBy<R> = R extends (value: unknown) => infer T ? T : never;

/** A belief about a service is false, or a sum of ours does not close: the run stops rather than guess. */
export class UnexpectedError extends Error {
  constructor(message: string) {
    super(`Unexpected: ${message}`);
  }
}

class Mismatch extends Error {
  readonly path: string[] = [];
}

function leaf<T>(expected: string, is: (value: unknown) => value is T): Reader<T> {
  return (value) => {
    if (is(value)) return value;
    throw new Mismatch(`is ${value === null ? "null" : typeof value}, expected ${expected}`);
  };
}

export const text = leaf("text", (value) => typeof value === "string");
export const flag = leaf("true or false", (value) => typeof value === "boolean");
const currencyCode = leaf("a currency", (value): value is string => /^[a-z]{3,5}$/.test(String(value)));
export const int = leaf("a whole number", (value): value is number => Number.isSafeInteger(value));
export const decimal = leaf("a number", (value): value is number => Number.isFinite(value));
const plainDecimal = leaf("a decimal number", (value): value is number | string =>
  /^\d+(\.\d{1,12})?$/.test(String(value)),
);
const decimalOrText = leaf("a number", (value) => typeof value === "number" || typeof value === "string");
const anyList = leaf("a list", (value): value is unknown[] => Array.isArray(value));
const anyObject = leaf("an object", isObject);

/** Null also where the field is absent. */
function maybe<T, W>(read: Reader<T, W>): Reader<T | null, W | null | undefined> {
  return (value) => (value == null ? null : read(value));
}

/** What comes as an id or, expanded, as the object. */
function expandable<T, W>(read: Reader<T, W>): Reader<string | T, string | W> {
  return (value) => (isObject(value) ? read(value) : text(value));
}

/** A list, element by element. */
export function listOf<T, W>(read: Reader<T, W>): Reader<T[], readonly W[]> {
  return (value) => anyList(value).map(read);
}

/** A list; empty where the field is absent, as an attribute without a value is. */
function listOrNone<T, W>(read: Reader<T, W>): Reader<T[], readonly W[] | null | undefined> {
  return (value) => anyList(value ?? []).map(read);
}

export function shape<S extends Readonly<Record<string, Reader<unknown, unknown>>>>(
  fields: S,
): Reader<{ readonly [K in keyof S]: ReadBy<S[K]> }, { readonly [K in keyof S]: S[K]["wire"] }> {
  const readers = Object.entries(fields).map(([key, reader]) => ({ key, reader }));
  return (value) => {
    const object = anyObject(value);
    const read: Record<string, unknown> = {};
    let at = "";
    try {
      for (const { key, reader } of readers) read[(at = key)] = reader(object[key]);
    } catch (error) {
      if (error instanceof Mismatch) error.path.unshift(at);
      throw error;
    }
    return read as { readonly [K in keyof S]: ReadBy<S[K]> };
  };
}

/** Reads an object a service sent. Throws `UnexpectedError`, naming the object by its kind and id, and the field. */
export function readAs<T>(kind: string, reader: Reader<T, unknown>, value: unknown): T {
  try {
    return reader(value);
  } catch (error) {
    if (!(error instanceof Mismatch)) throw error;
    const id = isObject(value) && typeof value["id"] === "string" ? ` ${oneLine(value["id"])}` : "";
    throw new UnexpectedError(`${kind}${id}: ${error.path.join(".") || "it"} ${error.message}`);
  }
}

/** A reference comes as an id or, expanded, as the object; only the id is kept. */
const withId = shape({ id: text });
const reference: Reader<string, string | { readonly id: string }> = (value) =>
  typeof value === "string" ? value : withId(value).id;

const BALANCE_TRANSACTION = shape({ amount: int, currency: currencyCode, exchange_rate: maybe(decimal) });

/** https://docs.stripe.com/api/charges/object - amounts in minor units, `created` in unix seconds, here and below. */
export const CHARGE = shape({
  id: text,
  created: int,
  amount: int,
  amount_captured: int,
  amount_refunded: int,
  balance_transaction: maybe(expandable(BALANCE_TRANSACTION)),
  captured: flag,
  currency: currencyCode,
  customer: maybe(reference),
  disputed: flag,
  payment_intent: maybe(reference),
  refunded: flag,
  status: text,
});

/** https://docs.stripe.com/api/invoice-line-item/object - `price` is where versions before basil had the product. */
export const INVOICE_LINE = shape({
  id: text,
  amount: int,
  description: maybe(text),
  pricing: maybe(shape({ price_details: maybe(shape({ product: reference })) })),
  price: maybe(shape({ product: maybe(reference) })),
});

/** https://docs.stripe.com/api/invoices/object */
export const INVOICE = shape({
  id: text,
  created: int,
  amount_paid: int,
  amount_paid_off_stripe: maybe(int),
  currency: currencyCode,
  customer: maybe(reference),
  lines: shape({ data: listOf(INVOICE_LINE), has_more: flag }),
  status_transitions: shape({ paid_at: maybe(int) }),
});

/** https://docs.stripe.com/api/coupons/object - `applies_to` comes only where it is asked for. */
export const COUPON = shape({
  amount_off: maybe(int),
  applies_to: maybe(shape({ products: listOf(text) })),
  currency: maybe(currencyCode),
  duration: text,
  percent_off: maybe(plainDecimal),
});

/** https://docs.stripe.com/api/discounts/object - only its coupon's id is kept, "" where that is not in the page. */
const EXPANDED = shape({ source: shape({ coupon: maybe(reference) }) });
const coupon: Reader<string, string | (typeof EXPANDED)["wire"]> = (value) =>
  typeof value === "string" ? "" : (EXPANDED(value).source.coupon ?? "");
const [discount, discounts] = [maybe(coupon), listOf(coupon)];

/** https://docs.stripe.com/api/customers/object - a deleted customer is not in the list. */
export const CUSTOMER = shape({ id: text, created: int, discount, email: maybe(text), name: maybe(text) });

/** https://docs.stripe.com/api/subscription_items/object, and their prices. */
const PRICE = shape({
  currency: currencyCode,
  product: reference,
  recurring: maybe(shape({ interval: text, interval_count: int, usage_type: text })),
  transform_quantity: maybe(shape({ divide_by: int, round: text })),
  unit_amount_decimal: maybe(plainDecimal),
});
const ITEM = shape({ current_period_end: int, discounts, price: PRICE, quantity: maybe(int) });

/** https://docs.stripe.com/api/subscriptions/object */
export const SUBSCRIPTION = shape({
  id: text,
  created: int,
  cancel_at: maybe(int),
  cancel_at_period_end: flag,
  cancellation_details: maybe(shape({ reason: maybe(text) })),
  currency: currencyCode,
  customer: reference,
  discounts,
  ended_at: maybe(int),
  items: shape({ data: listOf(ITEM), has_more: flag }),
  pause_collection: maybe(shape({ behavior: text })),
  status: text,
});

export const PRODUCT = shape({ id: text, name: text, active: flag });

export type Charge = ReadBy<typeof CHARGE>;
export type Invoice = ReadBy<typeof INVOICE>;
export type Customer = Omit<ReadBy<typeof CUSTOMER>, "created">;
export type Subscription = ReadBy<typeof SUBSCRIPTION>;
export type Coupon = ReadBy<typeof COUPON>;
type Customers = ReadonlyMap<string, Customer>;
/** By id; undefined, or missing, where one could not be read. */
type Coupons = ReadonlyMap<string, Coupon | undefined>;
type Item = ReadBy<typeof ITEM>;
export type Product = ReadBy<typeof PRODUCT>;

// ----------------------------------------------------------------- Money ----
// Pure. Sums are whole numbers of a currency's minor unit; decimals exist only in what is sent to Attio or shown.

/** Minor units of some currency: cents, for most. Always a safe integer, never -0. */
type Minor = number & { readonly unit: "minor" };

/** Throws `UnexpectedError` where a sum has left the range in which whole numbers are exact. */
export function minor(value: number): Minor {
  if (!Number.isSafeInteger(value)) throw new UnexpectedError("a sum of minor units is too large to be exact");
  return (value + 0) as Minor;
}

const ZERO = minor(0);

export function addMinor(left: Minor, right: Minor): Minor {
  return minor(left + right);
}

export function sumMinor(amounts: Iterable<Minor>): Minor {
  let sum = ZERO;
  for (const amount of amounts) sum = addMinor(sum, amount);
  return sum;
}

// Stripe's own table, not ISO 4217 and not Intl: ISK and UGX are sent times 100, HUF and TWD too.
// https://docs.stripe.com/currencies#zero-decimal
const ZERO_DECIMAL = new Set("bif clp djf gnf jpy kmf krw mga pyg rwf vnd vuv xaf xof xpf".split(" "));
const THREE_DECIMAL = new Set("bhd jod kwd omr tnd".split(" "));

/** How many decimals Stripe's minor unit of this currency stands for. */
function decimalsOf(currency: string): 0 | 2 | 3 {
  if (ZERO_DECIMAL.has(currency)) return 0;
  return THREE_DECIMAL.has(currency) ? 3 : 2;
}

/** Minor units as decimal text in the major unit: 123450 usd → "1234.50", 500 jpy → "500". */
export function formatMinor(amount: Minor, currency: string): string {
  const decimals = decimalsOf(currency);
  const digits = String(Math.abs(amount)).padStart(decimals + 1, "0");
  const major = digits.slice(0, digits.length - decimals);
  return `${amount < 0 ? "-" : ""}${major}${decimals === 0 ? "" : `.${digits.slice(-decimals)}`}`;
}

/** The other way round; undefined for what is no decimal number or finer than the minor unit. */
export function parseMinor(decimalText: string, currency: string): Minor | undefined {
  const match = /^(-?\d+)(?:\.(\d*?)0*)?$/.exec(decimalText);
  const decimals = decimalsOf(currency);
  const fraction = match?.[2] ?? "";
  if (match === null || fraction.length > decimals) return undefined;
  const amount = Number(`${match[1]}${fraction.padEnd(decimals, "0")}`);
  return Number.isSafeInteger(amount) ? minor(amount) : undefined;
}

/** `amount × numerator / denominator`, half rounded up, exact for amounts of any size; none of them negative. */
export function scaleMinor(amount: Minor | bigint, numerator: number | bigint, denominator: number | bigint): Minor {
  const product = BigInt(amount) * BigInt(numerator);
  return minor(Number((2n * product + BigInt(denominator)) / (2n * BigInt(denominator))));
}

/**
 * Splits an amount in proportion to positive weights (largest remainder): floors every share, then hands the units
 * left over, one each, to the largest remainders, ties to the earlier. The shares add up to the amount exactly.
 */
export function splitMinor(amount: Minor, weights: readonly number[]): Minor[] {
  const whole = weights.reduce((sum, weight) => sum + BigInt(weight), 0n);
  const shares: Minor[] = [];
  const remainders: { readonly index: number; readonly of: bigint }[] = [];
  for (const [index, weight] of weights.entries()) {
    const product = BigInt(amount) * BigInt(weight);
    shares.push(minor(Number(product / whole)));
    remainders.push({ index, of: product % whole });
  }
  const left = amount - sumMinor(shares);
  remainders.sort((a, b) => (a.of === b.of ? a.index - b.index : a.of < b.of ? 1 : -1));
  for (const { index } of remainders.slice(0, left)) shares[index] = minor((shares[index] ?? 0) + 1);
  return shares;
}

// ---------------------------------------------------------------- Ledger ----
// Pure: no network, no clock, no settings. The money rules, in the order in which DECISIONS.md explains them. Money
// without a customer (guests) or without a rate (set aside) is counted apart: reported, never dropped, never guessed.

/** Captured for good is not `paid`, which is also true of an authorisation that still waits for its capture. */
function stateOf(charge: Charge): "captured" | "uncaptured" | "pending" | "failed" {
  if (charge.status === "succeeded") return charge.captured ? "captured" : "uncaptured";
  return charge.status === "failed" ? "failed" : "pending";
}

/** The part of an authorisation that was never captured. */
function releasedOf(charge: Charge): number {
  return Math.max(0, charge.amount - charge.amount_captured);
}

/** A partial capture whose `amount_refunded` may hold its released part, or not: it was made before or since basil. */
function isAmbiguous(charge: Charge): boolean {
  const released = releasedOf(charge);
  return stateOf(charge) === "captured" && released > 0 && charge.amount_refunded >= released;
}

/**
 * Which amount of a charge its balance transaction is for. Before API 2025-03-31.basil a partial capture settled what
 * was authorised and took the released part back as a refund; since then it settles what was captured.
 * https://docs.stripe.com/changelog/basil/2025-03-31/remove-refund-from-partial-capture-and-payment-cancellation-flow
 */
function basisOf(charge: Charge): "authorised" | "captured" | "undecided" {
  if (!isAmbiguous(charge)) return "captured";
  const balance = charge.balance_transaction;
  if (!isObject(balance)) return "undecided";
  const rate = balance.currency === charge.currency ? 1 : balance.exchange_rate;
  if (rate === null) return "undecided";
  const distanceTo = (amount: number): number => Math.abs(balance.amount - amount * rate);
  return distanceTo(charge.amount_captured) < distanceTo(charge.amount) ? "captured" : "authorised";
}

/**
 * True of a charge that cannot be counted without its balance transaction, where this has not been asked for. One in
 * another currency is needed although it was refunded in full: it is part of its customer's rate.
 */
export function needsBalance(charge: Charge, currency: string): boolean {
  if (typeof charge.balance_transaction !== "string" || stateOf(charge) !== "captured") return false;
  const isForeign = charge.currency !== currency && charge.customer !== null;
  return isForeign || (isAmbiguous(charge) && !charge.refunded);
}

/**
 * Explains what one charge brought in: the ledger is built from this, and test-one shows it. Amounts are in minor units
 * of the charge's own currency, but for what is settled and counted, which are in the account's.
 */
export function explainCharge(charge: Charge, currency: string) {
  const [state, basis] = [stateOf(charge), basisOf(charge)];
  const capturedMinor = state === "captured" ? minor(charge.amount_captured) : ZERO;
  // What was really given back: between 0 and what was captured.
  const refunded = charge.amount_refunded - (basis === "captured" ? 0 : releasedOf(charge));
  const refundedMinor = charge.refunded ? capturedMinor : minor(Math.min(capturedMinor, Math.max(0, refunded)));
  const netMinor = minor(capturedMinor - refundedMinor);
  // Of another currency counts what Stripe settled in the account's, for so much of the charge; else nothing does.
  const balance = isObject(charge.balance_transaction) ? charge.balance_transaction : undefined;
  const ofMinor = basis === "captured" ? capturedMinor : minor(charge.amount);
  const isHome = charge.currency === currency;
  const isSettled = !isHome && balance?.currency === currency && ofMinor > 0;
  const rate = isSettled ? { settledMinor: minor(balance.amount), ofMinor } : undefined;
  const worth = isHome ? netMinor : rate && scaleMinor(netMinor, rate.settledMinor, ofMinor);
  const explained = { state, basis, capturedMinor, refundedMinor, netMinor, ofMinor, rate, countedMinor: ZERO };
  if (netMinor === 0) return { ...explained, outcome: "nothing" as const };
  if (charge.customer === null) return { ...explained, outcome: "guest" as const };
  if (worth === undefined) return { ...explained, outcome: "set aside" as const };
  return { ...explained, outcome: "counted" as const, countedMinor: worth };
}

type ExplainedCharge = ReturnType<typeof explainCharge>;

/** Why money has no product of its own. */
const NO_PRODUCT = "invoice lines without a product";
const NO_POSITIVE_LINE = "invoices without a positive line";
/** Where no product is mapped, all lines of an invoice go to one attribute, and those beyond the tenth are not read. */
const LINES_NOT_READ = "invoices of more than ten lines, not read";
const NOT_PRODUCTS: ReadonlySet<string> = new Set([NO_PRODUCT, NO_POSITIVE_LINE, LINES_NOT_READ]);

/** An invoice reduced to what its split needs. `weights`: its lines with a positive amount, `line` their place. */
type Bill = {
  readonly customerId: string | null;
  readonly currency: string;
  readonly collectedMinor: Minor;
  readonly weights: readonly { readonly line: number; readonly product: string; readonly amount: number }[];
};

/** Collected through Stripe is what was paid, less what was paid outside. */
function billOf({ customer, currency, amount_paid, amount_paid_off_stripe, lines }: Invoice): Bill {
  const collectedMinor = minor(Math.max(0, amount_paid - (amount_paid_off_stripe ?? 0)));
  const weights = lines.data.flatMap(({ amount, price, pricing }, line) => {
    const product = pricing?.price_details?.product ?? price?.product ?? NO_PRODUCT;
    return amount > 0 ? [{ line, product, amount }] : [];
  });
  const whole = (product: string): Bill["weights"] => [{ line: -1, product, amount: 1 }];
  const split = lines.has_more ? whole(LINES_NOT_READ) : weights.length === 0 ? whole(NO_POSITIVE_LINE) : weights;
  return { customerId: customer, currency, collectedMinor, weights: split };
}

/**
 * Explains one paid invoice, once all charges are in: the ledger is built from this, and test-one shows it. What it
 * collected is in its own currency, what is split and the shares, which add up to that, in the account's.
 */
export function explainInvoice(books: Books, invoice: Invoice) {
  const bill = billOf(invoice);
  return isPaidLater(books, invoice) ? unsplit(bill, "paid later") : explainBill(books, bill);
}

/** Paid at or after T0: the next run's. */
function isPaidLater({ t0 }: Books, { status_transitions: { paid_at } }: Invoice): boolean {
  return (paid_at ?? 0) >= t0;
}

/** `line` is the line's place in the invoice, -1 where it is not split by line. */
type Share = { readonly line: number; readonly product: string; readonly slug: string; readonly shareMinor: Minor };

function unsplit({ collectedMinor }: Bill, outcome: "paid later" | "nothing" | "set aside") {
  return { outcome, collectedMinor, convertedMinor: ZERO, shares: [] as readonly Share[] };
}

function explainBill({ currency, productSlugs, ledgers }: Books, bill: Bill) {
  const { collectedMinor, weights } = bill;
  if (collectedMinor === 0) return unsplit(bill, "nothing");
  const isHome = bill.currency === currency;
  const rate = isHome ? undefined : rateOf(ledgers.get(bill.customerId ?? ""), bill.currency);
  if (!isHome && rate === undefined) return unsplit(bill, "set aside");
  const convertedMinor = rate ? scaleMinor(collectedMinor, rate.settledMinor, rate.ofMinor) : collectedMinor;
  const amounts = splitMinor(convertedMinor, weights.map(({ amount }) => amount)); // prettier-ignore
  const shares = weights.map(({ line, product }, at): Share => {
    return { line, product, slug: productSlugs.get(product) ?? FALLBACK_SLUG, shareMinor: amounts[at] ?? ZERO };
  });
  return { outcome: "split" as const, collectedMinor, convertedMinor, shares };
}

/** The customer's own, of all captured charges in that currency; undefined where one of them has none. */
function rateOf(ledger: Ledger | undefined, currency: string): CurrencySums | undefined {
  const sums = ledger?.currencies.get(currency);
  return sums === undefined || sums.isPartlyUnsettled || sums.ofMinor === 0 ? undefined : sums;
}

/** How many, and how much in minor units. */
type Tally = { count: number; amount: Minor };

/** One customer's sums, in the account's currency. */
export type Ledger = ReturnType<typeof openLedger>;

function openLedger(customerId: string) {
  return {
    customerId,
    /** All charges, failed ones too: says that the customer belongs to this account. */
    charges: 0,
    totalMinor: ZERO,
    /** Unix seconds, infinite where there is none. The first two are of charges that count. */
    firstChargeUnix: Infinity,
    lastChargeUnix: -Infinity,
    lastCapturedUnix: -Infinity,
    lastFailedUnix: -Infinity,
    currencies: new Map<string, CurrencySums>(),
    /** By product slug. */
    spend: new Map<string, Minor>(),
    invoices: noTally(),
  };
}

/** One customer's money in one currency, in its minor units. */
type CurrencySums = ReturnType<typeof openSums>;

function openSums() {
  return {
    capturedMinor: ZERO,
    /** By paid invoices. */
    collectedMinor: ZERO,
    /** The customer's own rate: what Stripe settled for so much of all captured charges, refunded ones too. */
    settledMinor: ZERO,
    ofMinor: ZERO,
    /** Some captured charge was not settled in the account's currency: there is no rate, then. */
    isPartlyUnsettled: false,
  };
}

/**
 * captured − refunded − guests − not included = counted, which in the account's currency is `countedAs`; and what
 * stands beside it. Each with its label, why, and where Stripe's dashboard has the same figure.
 */
const BRIDGE = [
  ["captured", "captured", "", "Payments › Succeeded and Refunded: the captured amounts"],
  ["refunded", "- refunded", "", "Payments › Refunded and Partially refunded: the refunds"],
  ["guests", "- guests", "charges without a customer", ""],
  ["setAside", "- not included", "settled in another currency", ""],
  ["counted", "= counted", "net of refunds, before Stripe's fees", ""],
  ["countedAs", "= settled at", "", "Balances › All activity: gross of these charges, in proportion"],
  ["uncaptured", "· uncaptured", "in no sum", "Payments › Uncaptured and Canceled"],
  ["pending", "· pending", "in no sum until they succeed", "Payments › Pending"],
  ["failed", "· failed", "in no sum", "Payments › Failed"],
  ["disputed", "· disputed", "lost ones too: counted, never subtracted", "Payments › Disputes"],
  ["undecided", "· undecided", "captured in part: what an unreadable balance transaction decides", ""],
  ["paidOutside", "· paid outside", "invoices, in no sum", "Invoices › Paid, marked as paid outside of Stripe"],
  ["noRate", "· no rate", "invoices not included", "Invoices › Paid"],
  ["beyondCharges", "· beyond charges", "customers with more collected than captured", ""],
] as const;
type BridgeKind = (typeof BRIDGE)[number][0];
type BridgeLine = Readonly<Record<BridgeKind, Tally>>;

function noTally(): Tally {
  return { count: 0, amount: ZERO };
}

function openTallies<K extends string>(...kinds: readonly K[]) {
  return Object.fromEntries(kinds.map((kind) => [kind, noTally()])) as Record<K, Tally>;
}

/** All that is summed while reading. Sums, not objects (but for invoices in other currencies): it stays small. */
export type Books = ReturnType<typeof openBooks>;

/** Empty books; `t0` is the instant in unix seconds as of which everything is read. */
export function openBooks({ currency, productSlugs }: Pick<Settings, "currency" | "productSlugs">, t0: number) {
  return {
    currency,
    productSlugs,
    t0,
    ledgers: new Map<string, Ledger>(),
    /** By currency of the charge or invoice. */
    bridge: new Map<string, BridgeLine>(),
    /** What went to `spend_other` unasked, by product id or reason. */
    fallback: new Map<string, Minor>(),
    counts: { charges: 0, invoices: 0, longInvoices: 0, paidLater: 0, subscriptions: 0 },
    /** By another currency that Stripe settled in: what is set aside; and charges in the account's own, for a rate. */
    elsewhere: new Map<string, Record<"setAside" | "home" | "homeSettled", Tally>>(),
    /** Invoices in other currencies, until their customer's rate is known. */
    foreignBills: [] as Bill[],
    /** By customer, the subscription that decides the status, and those that say what the customer pays now. */
    standings: new Map<string, Standing>(),
    running: new Map<string, Subscription[]>(),
    paysNow: new Map<string, PaysNow>(),
    /** A month: list − coupons − paused = net; beside it, of subscriptions, what is scheduled to end, and trials. */
    mrr: openTallies("list", "coupons", "paused", "net", "ending", "trials"),
    /** Why `mrr` cannot be told → of how many customers. */
    untold: new Map<Untold, number>(),
  };
}

/** The value of a key, made at first use. */
function valueAt<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  let value = map.get(key);
  if (value === undefined) map.set(key, (value = make()));
  return value;
}

function addTo(tally: Tally, amount: number, count = 1): void {
  tally.count += count;
  tally.amount = addMinor(tally.amount, minor(amount));
}

function addAt<K>(sums: Map<K, Minor>, key: K, amount: Minor): void {
  sums.set(key, addMinor(sums.get(key) ?? ZERO, amount));
}

function bridgeLine(books: Books, currency: string): BridgeLine {
  return valueAt(books.bridge, currency, () => openTallies(...BRIDGE.map(([kind]) => kind)));
}

export function ledgerOf(books: Books, customerId: string): Ledger {
  return valueAt(books.ledgers, customerId, () => openLedger(customerId));
}

function sumsOf(ledger: Ledger, currency: string): CurrencySums {
  return valueAt(ledger.currencies, currency, openSums);
}

/** Enters one charge: every part of it into the bridge, and what is its customer's into the ledger. */
export function addCharge(books: Books, charge: Charge): void {
  const explained = explainCharge(charge, books.currency);
  const { state, basis, capturedMinor, refundedMinor, netMinor, outcome, countedMinor } = explained;
  const line = bridgeLine(books, charge.currency);
  books.counts.charges += 1;
  if (charge.customer !== null) enterCharge(ledgerOf(books, charge.customer), charge, explained, books.currency);
  if (state !== "captured") return addTo(line[state], charge.amount);
  addTo(line.captured, capturedMinor);
  if (refundedMinor > 0) addTo(line.refunded, refundedMinor);
  if (charge.disputed) addTo(line.disputed, capturedMinor);
  if (basis === "undecided" && !charge.refunded)
    addTo(line.undecided, netMinor - Math.max(0, capturedMinor - charge.amount_refunded));
  noteElsewhere(books, charge, explained);
  if (outcome === "guest") addTo(line.guests, netMinor);
  if (outcome === "set aside") addTo(line.setAside, netMinor);
  if (outcome !== "counted") return;
  addTo(line.counted, netMinor);
  addTo(line.countedAs, countedMinor);
}

function enterCharge(ledger: Ledger, charge: Charge, explained: ExplainedCharge, currency: string): void {
  const { state, rate, capturedMinor, outcome, countedMinor } = explained;
  const { created } = charge;
  ledger.charges += 1;
  if (state === "failed") ledger.lastFailedUnix = Math.max(ledger.lastFailedUnix, created);
  if (state !== "captured") return;
  ledger.lastCapturedUnix = Math.max(ledger.lastCapturedUnix, created);
  const sums = sumsOf(ledger, charge.currency);
  sums.capturedMinor = addMinor(sums.capturedMinor, capturedMinor);
  sums.settledMinor = addMinor(sums.settledMinor, rate?.settledMinor ?? ZERO);
  sums.ofMinor = addMinor(sums.ofMinor, rate?.ofMinor ?? ZERO);
  if (charge.currency !== currency && rate === undefined) sums.isPartlyUnsettled = true;
  if (outcome !== "counted") return;
  ledger.totalMinor = addMinor(ledger.totalMinor, countedMinor);
  ledger.firstChargeUnix = Math.min(ledger.firstChargeUnix, created);
  ledger.lastChargeUnix = Math.max(ledger.lastChargeUnix, created);
}

/** What the CURRENCY setting should be is told by what Stripe settles in. */
function noteElsewhere(books: Books, charge: Charge, { outcome, netMinor, ofMinor }: ExplainedCharge): void {
  const balance = isObject(charge.balance_transaction) ? charge.balance_transaction : undefined;
  const settledIn = balance?.currency ?? charge.currency;
  const isAside = outcome === "set aside";
  if (settledIn === books.currency || !(isAside || charge.currency === books.currency)) return;
  const sums = valueAt(books.elsewhere, settledIn, () => openTallies("setAside", "home", "homeSettled"));
  if (isAside) return addTo(sums.setAside, balance ? scaleMinor(netMinor, balance.amount, ofMinor) : netMinor);
  addTo(sums.home, ofMinor);
  addTo(sums.homeSettled, balance?.amount ?? 0);
}

/** Enters one paid invoice, unless it was paid at or after T0: the next run's. */
export function addInvoice(books: Books, invoice: Invoice): void {
  if (isPaidLater(books, invoice)) return void (books.counts.paidLater += 1);
  const { amount_paid_off_stripe: outside, lines, currency, customer } = invoice;
  const bill = billOf(invoice);
  books.counts.invoices += 1;
  if (lines.has_more || lines.data.length > 10) books.counts.longInvoices += 1;
  if (outside !== null && outside > 0) addTo(bridgeLine(books, currency).paidOutside, outside);
  if (bill.collectedMinor === 0) return;
  if (customer !== null) {
    const sums = sumsOf(ledgerOf(books, customer), currency);
    sums.collectedMinor = addMinor(sums.collectedMinor, bill.collectedMinor);
  }
  if (currency === books.currency) enterBill(books, bill);
  else books.foreignBills.push(bill);
}

function enterBill(books: Books, bill: Bill): void {
  const { outcome, convertedMinor, shares } = explainBill(books, bill);
  if (outcome === "set aside") return addTo(bridgeLine(books, bill.currency).noRate, bill.collectedMinor);
  const ledger = ledgerOf(books, bill.customerId ?? ""); // nobody's: it never gets a record, and is reported
  addTo(ledger.invoices, convertedMinor);
  for (const { product, slug, shareMinor } of shares) {
    addAt(ledger.spend, slug, shareMinor);
    if (!books.productSlugs.has(product)) addAt(books.fallback, product, shareMinor);
  }
}

/** How much more a customer's paid invoices collected than all charges captured, by currency: money of another way. */
export function beyondCharges({ currencies }: Ledger): [currency: string, amount: Minor][] {
  return [...currencies].flatMap(([currency, { capturedMinor, collectedMinor }]): [string, Minor][] =>
    collectedMinor > capturedMinor ? [[currency, minor(collectedMinor - capturedMinor)]] : [],
  );
}

/**
 * Once all charges are in: converts and splits the invoices in other currencies, and adds the bridge up from both ends.
 * Throws `UnexpectedError` if a unit is missing: that would be a bug of ours.
 */
export function closeBooks(books: Books): void {
  for (const bill of books.foreignBills.splice(0)) enterBill(books, bill);
  for (const ledger of books.ledgers.values())
    for (const [currency, amount] of beyondCharges(ledger)) addTo(bridgeLine(books, currency).beyondCharges, amount);

  for (const [currency, line] of books.bridge) {
    const left = line.captured.amount - line.refunded.amount - line.guests.amount - line.setAside.amount;
    if (left !== line.counted.amount) throw notClosed(`in ${currency}`);
  }
  const inLedgers = sumMinor([...books.ledgers.values()].map(({ totalMinor }) => totalMinor));
  const countedAs = sumMinor([...books.bridge.values()].map((line) => line.countedAs.amount));
  if (inLedgers !== countedAs) throw notClosed("between charges and ledgers");
}

function notClosed(where: string): UnexpectedError {
  return new UnexpectedError(`the bridge does not close ${where}: a bug in sync.ts`);
}

/** Lifetime revenue less all product columns: charges without an invoice, less refunds, which no column knows. */
function unallocatedMinor(ledger: Ledger): Minor {
  return minor(ledger.totalMinor - sumMinor(ledger.spend.values()));
}

/**
 * The CURRENCY that would count most of what is set aside, and whether that is more than what is counted: in money, at
 * the rates of the account's own charges; by number where Stripe settles no charge of one currency in the other.
 */
function adviseCurrency(books: Books): { readonly currency: string; readonly isMost: boolean } | undefined {
  const others = [...books.elsewhere].filter(([, { setAside }]) => setAside.count > 0);
  const hasRates = others.every(([, { homeSettled }]) => homeSettled.amount > 0);
  const sized = others.map(([currency, { setAside, home, homeSettled }]) => {
    const amount = hasRates ? scaleMinor(setAside.amount, home.amount, homeSettled.amount) : setAside.count;
    return { currency, amount };
  });
  const [best] = sized.toSorted((x, y) => y.amount - x.amount || (x.currency < y.currency ? -1 : 1));
  if (best === undefined) return undefined;
  const lines = [...books.bridge.values()];
  const counted = lines.reduce((sum, { countedAs }) => sum + (hasRates ? countedAs.amount : countedAs.count), 0);
  return { currency: best.currency, isMost: best.amount > counted };
}

export const STATUSES = [
  "Active",
  "Past Due",
  "Paused",
  "Canceled (Voluntary)",
  "Canceled (Involuntary)",
  "No Subscription",
] as const;
type Status = (typeof STATUSES)[number];

/** Rank 0 is the best; among canceled ones the last to end decides, a voluntary end before an involuntary one. */
type Standing = { readonly rank: number; readonly endedAt: number; readonly status: Status };

function standingOf({ status, cancellation_details: details, ended_at }: Subscription): Standing {
  const among = (...statuses: readonly string[]): boolean => statuses.includes(status);
  if (among("active", "trialing")) return { rank: 0, endedAt: 0, status: "Active" };
  if (among("past_due", "unpaid")) return { rank: 1, endedAt: 0, status: "Past Due" };
  if (among("paused")) return { rank: 2, endedAt: 0, status: "Paused" };
  if (!among("canceled")) return { rank: 5, endedAt: 0, status: "No Subscription" };
  const isInvoluntary = ["payment_failed", "payment_disputed"].includes(details?.reason ?? "");
  const ended = isInvoluntary ? "Canceled (Involuntary)" : "Canceled (Voluntary)";
  return { rank: 3, endedAt: ended_at ?? 0, status: ended };
}

/** Enters one subscription; the best of a customer stays. */
export function addSubscription(books: Books, subscription: Subscription): void {
  books.counts.subscriptions += 1;
  const held = books.standings.get(subscription.customer);
  const found = standingOf(subscription);
  const byName = STATUSES.indexOf(found.status) - STATUSES.indexOf(held?.status ?? found.status);
  if (held === undefined || (found.rank - held.rank || held.endedAt - found.endedAt || byName) < 0)
    books.standings.set(subscription.customer, found);
  if (countsAs(subscription) !== "no") valueAt(books.running, subscription.customer, () => []).push(subscription);
}

/** Why it cannot be told what a subscription is worth; DECISIONS.md says of each when. */
type Untold = "cut" | "interval" | "tiered" | "currency" | "coupon";
const PERIODS_A_YEAR = new Map(Object.entries({ year: 1n, month: 12n, week: 52n, day: 365n }));

/** A decimal number exactly, as a whole number of its 12th decimal: the last that a price may have. */
function exactly(decimalNumber: number | string): bigint {
  const [whole = "", decimals = ""] = String(decimalNumber).split(".");
  return BigInt(whole + decimals.padEnd(12, "0"));
}

/** What a billing period costs before coupons, in 10⁻¹² minor units. https://docs.stripe.com/api/prices/object */
function listPrice({ price, quantity }: Item, billedIn: string, currency: string): bigint | Untold {
  const { recurring, transform_quantity: packs, unit_amount_decimal: unitAmount } = price;
  if (recurring?.usage_type === "metered") return 0n;
  if (!PERIODS_A_YEAR.has(recurring?.interval ?? "")) return "interval";
  if (unitAmount === null) return "tiered";
  const size = BigInt(packs?.divide_by ?? 1);
  const units = (BigInt(quantity ?? 1) + (packs?.round === "up" ? size - 1n : 0n)) / size;
  const list = exactly(unitAmount) * units;
  // A price in another currency than its subscription has a second amount: that one is billed, and not in the page.
  return price.currency !== billedIn || (billedIn !== currency && list > 0n) ? "currency" : list;
}

/** What an amount a billing period, `amount / parts` minor units, is a month. */
function monthlyMinor(amount: bigint, parts: bigint, { price: { recurring } }: Item): Minor {
  const periods = PERIODS_A_YEAR.get(recurring?.interval ?? "") ?? 0n;
  return scaleMinor(amount, periods, parts * 12n * BigInt(recurring?.interval_count ?? 1));
}

/** What a worth depends on beside the subscription. */
type Worth = { currency: string; coupons: Coupons; customerDiscount: string | null };
type PricedItem = { item: Item; listMinor: Minor; left: bigint; couponIds: string[] };
/** What the coupons so far have left of each item's list price, a billing period: `left / parts` minor units. */
type PeriodBill = Worth & { readonly items: PricedItem[]; parts: bigint };

/** Takes a coupon off those of the items that it applies to. Returns why, where that cannot be told. */
function takeOff(bill: PeriodBill, items: readonly PricedItem[], couponId: string): Untold | undefined {
  const coupon = bill.coupons.get(couponId);
  const products = coupon?.applies_to?.products;
  const lowered = items.filter(({ item, left }) => left > 0n && products?.includes(item.price.product) !== false);
  if (lowered.length === 0 || (coupon !== undefined && coupon.duration !== "forever")) return undefined;
  const off = coupon?.percent_off ?? (coupon?.currency === bill.currency ? coupon.amount_off : null);
  if (coupon === undefined || off === null) return "coupon";

  let [whole, taken] = [exactly(100), exactly(off)];
  if (coupon.percent_off === null)
    [whole, taken] = [lowered.reduce((sum, { left }) => sum + left, 0n), BigInt(off) * bill.parts];
  const kept = whole > taken ? whole - taken : 0n;
  for (const one of bill.items) one.left *= lowered.includes(one) ? kept : whole;
  bill.parts *= whole;
  for (const { couponIds } of lowered) couponIds.push(couponId);
  return undefined;
}

/** Whether a subscription is part of `mrr`, would be but for its pause or its trial, or is not. */
function countsAs({ status, pause_collection: pause }: Subscription): "counted" | "paused" | "trial" | "no" {
  if (status === "trialing") return "trial";
  if (status !== "active" && status !== "past_due") return "no";
  return pause === null || pause.behavior === "keep_as_draft" ? "counted" : "paused";
}

/** A subscription's own coupons, else the customer's: an empty list inherits, whatever discounts the items have. */
function sharedCoupons({ discounts }: Subscription, customerDiscount: string | null): string[] {
  // https://docs.stripe.com/api/subscriptions/create#create_subscription-discounts
  return discounts.length > 0 || customerDiscount === null ? discounts : [customerDiscount];
}

/** The coupons that a subscription's worth depends on; "" is one of which the page has the discount's id only. */
function couponIdsOf(subscription: Subscription, customerDiscount: string | null): string[] {
  if (countsAs(subscription) !== "counted") return [];
  const ofItems = subscription.items.data.flatMap(({ discounts }) => discounts);
  return [...ofItems, ...sharedCoupons(subscription, customerDiscount)];
}

/**
 * What a subscription is worth a month, item by item and in all, and when it renews or ends (unix seconds). With a
 * `reason` its worth cannot be told, and the amounts mean nothing.
 */
export function explainSubscription(subscription: Subscription, worth: Worth) {
  const { cancel_at, cancel_at_period_end, currency, items } = subscription;
  const bill: PeriodBill = { ...worth, items: [], parts: exactly(1) };
  let reason: Untold | undefined = items.has_more ? "cut" : undefined;
  for (const item of items.data) {
    const list = listPrice(item, currency, worth.currency);
    const left = typeof list === "string" ? 0n : list;
    if (typeof list === "string") reason ??= list;
    bill.items.push({ item, listMinor: monthlyMinor(left, bill.parts, item), left, couponIds: [] });
  }
  for (const one of bill.items) for (const id of one.item.discounts) reason ??= takeOff(bill, [one], id);
  for (const id of sharedCoupons(subscription, worth.customerDiscount)) reason ??= takeOff(bill, bill.items, id);
  const priced = bill.items.map((one) => ({ ...one, mrrMinor: monthlyMinor(one.left, bill.parts, one.item) }));

  const counts = countsAs(subscription);
  const ends = items.data.map((item) => item.current_period_end).toSorted((a, b) => a - b);
  const endsAtUnix = cancel_at ?? (cancel_at_period_end ? ends.at(-1) : undefined);
  const cancelsAtUnix = counts === "no" ? undefined : endsAtUnix;
  const renewsAtUnix = counts === "no" ? undefined : ends.find((end) => end < (endsAtUnix ?? Infinity));
  const listMinor = sumMinor(priced.map((one) => one.listMinor));
  const netMinor = sumMinor(priced.map((one) => one.mrrMinor));
  return { counts, reason, items: priced, listMinor, netMinor, cancelsAtUnix, renewsAtUnix };
}

/** What a customer pays now: `mrrMinor` is undefined where it cannot be told, a time infinite where there is none. */
type PaysNow = { readonly mrrMinor: Minor | undefined; readonly renewsAtUnix: number; readonly cancelsAtUnix: number };
const PAYS_NOTHING: PaysNow = { mrrMinor: ZERO, renewsAtUnix: Infinity, cancelsAtUnix: Infinity };

/** The coupons to read before the subscriptions can be closed, each once. */
function couponsNeeded({ running }: Books, customers: Customers): string[] {
  const ids = [...running].flatMap(([customerId, subscriptions]) =>
    subscriptions.flatMap((one) => couponIdsOf(one, customers.get(customerId)?.discount ?? null)),
  );
  return [...new Set(ids)].filter((id) => id !== "");
}

/**
 * Once customers and coupons are known: what everybody pays now. Proves that list price − coupons − paused = mrr;
 * customers of whom it cannot be told are in none of the four.
 */
export function closeSubscriptions(books: Books, customers: Customers, coupons: Coupons): void {
  const { mrr, untold, currency, running, paysNow } = books;
  for (const [customerId, subscriptions] of running) {
    const worth = { currency, coupons, customerDiscount: customers.get(customerId)?.discount ?? null };
    const explained = subscriptions.map((one) => explainSubscription(one, worth));
    const reason = explained.find((one) => one.counts === "counted" && one.reason !== undefined)?.reason;
    if (reason !== undefined) untold.set(reason, (untold.get(reason) ?? 0) + 1);
    let mrrMinor = reason === undefined ? ZERO : undefined;
    for (const { counts, reason: own, listMinor, netMinor, cancelsAtUnix } of explained) {
      if (counts === "trial") addTo(mrr.trials, listMinor);
      if (counts === "trial" || own !== undefined || mrrMinor === undefined) continue;
      addTo(mrr.list, listMinor);
      addTo(mrr.coupons, listMinor - netMinor);
      addTo(counts === "paused" ? mrr.paused : mrr.net, netMinor);
      if (counts === "counted") mrrMinor = addMinor(mrrMinor, netMinor);
      if (counts === "counted" && cancelsAtUnix !== undefined) addTo(mrr.ending, netMinor);
    }
    const renewsAtUnix = Math.min(...explained.map((one) => one.renewsAtUnix ?? Infinity));
    const cancelsAtUnix = Math.min(...explained.map((one) => one.cancelsAtUnix ?? Infinity));
    paysNow.set(customerId, { mrrMinor, renewsAtUnix, cancelsAtUnix });
  }
  if (mrr.list.amount - mrr.coupons.amount - mrr.paused.amount !== mrr.net.amount)
    throw notClosed("between list price and mrr");
}

// ------------------------------------------------------------------ Plan ----
// Pure: what a record holds, and how that differs from what the CRM holds. Decides everything, writes nothing. A
// record's values are texts by attribute slug ("12.50", an ISO instant, a record id), so that equal means equal
// whatever the wire format; an empty value has no entry.

type AttributeType = "text" | "currency" | "select" | "timestamp" | "record-reference";

/** One attribute of the object as this program needs it; a reference points to its target. */
export type AttributeSpec = {
  readonly slug: string;
  readonly type: AttributeType;
  readonly title: string;
  readonly description: string;
  readonly isUnique: boolean;
  readonly target: "people" | "companies" | undefined;
};

type Attributes = readonly (readonly [slug: string, type: AttributeType, title: string, description: string])[];
const MATCH_KEY = "stripe_customer_id";
const BEFORE_SPEND: Attributes = [
  [MATCH_KEY, "text", "Stripe customer ID", "The match key, cus_…"],
  ["name", "text", "Name", "The customer's name in Stripe"],
  ["email", "text", "Email", "The customer's e-mail address in Stripe"],
  ["total_revenue", "currency", "Total revenue", "Lifetime revenue: captured less refunded, before Stripe's fees"],
];
const AFTER_SPEND: Attributes = [
  ["unallocated_revenue", "currency", "Unallocated revenue", "Total revenue less all spend attributes"],
  ["subscription_status", "select", "Subscription status", "The best of the customer's Stripe subscriptions"],
  ["mrr", "currency", "MRR", "Monthly value of the subscriptions that count; empty where it cannot be told exactly"],
  ["renews_at", "timestamp", "Renews at", "The next renewal of a subscription"],
  ["cancels_at", "timestamp", "Cancels at", "The next scheduled end of a subscription"],
  ["payment_failed_at", "timestamp", "Payment failed at", "The latest failed charge, if none was captured since"],
  ["person", "record-reference", "Person", "Who has exactly this e-mail address"],
  ["company", "record-reference", "Company", "The linked person's company"],
  ["first_charge_at", "timestamp", "First charge at", "Earliest charge that counts"],
  ["last_charge_at", "timestamp", "Last charge at", "Latest charge that counts"],
  ["last_synced_at", "timestamp", "Last synced at", "When these values were last written"],
  ["stripe_url", "text", "Stripe URL", "The customer in the Stripe dashboard"],
];

/** All attributes of the object, in the order a person reads them. */
export function attributeSpecs(spendSlugs: readonly string[]): AttributeSpec[] {
  const spend = spendSlugs.map((slug): Attributes[number] => {
    const what = slug === FALLBACK_SLUG ? "all other products" : "this product";
    const title = `Spend ${slug.replace("spend_", "").replaceAll("_", " ")}`;
    return [slug, "currency", title, `Collected for ${what}, before refunds`];
  });
  return [...BEFORE_SPEND, ...spend, ...AFTER_SPEND].map(([slug, type, title, description]) => {
    const target = slug === "person" ? "people" : slug === "company" ? "companies" : undefined;
    return { slug, type, title, description, isUnique: slug === MATCH_KEY, target };
  });
}

/** The spend attributes the settings ask for, the fallback last. */
export function slugsOf(productSlugs: ReadonlyMap<string, string>): string[] {
  return [...new Set([...productSlugs.values()].toSorted())]
    .filter((slug) => slug !== FALLBACK_SLUG)
    .concat(FALLBACK_SLUG);
}

/** One record of ours as the CRM holds it; `setByOthers`: the slugs whose value anybody but an access token set. */
export type CrmRecord = {
  readonly recordId: string;
  readonly values: ReadonlyMap<string, string>;
  readonly setByOthers: ReadonlySet<string>;
};

/** Records by customer id; `duplicates` are customer ids with more than one, with all their record ids. */
type Crm = {
  readonly records: Map<string, CrmRecord>;
  readonly duplicates: Map<string, string[]>;
  withoutKey: number;
};

/** In a plan, the record id of a person whom CREATE_PEOPLE is yet to create. */
const NEW_PERSON = "a new person";

/** A person found by address; `companyId` is undefined where the person has no company. */
export type Person = { readonly recordId: string; readonly companyId: string | undefined };

/** Everything that a run found, before it plans. */
export type Findings = {
  readonly settings: Settings;
  readonly books: Books;
  readonly customers: Customers;
  readonly crm: Crm;
  /** By address; null where it is unknown whose it is, no entry where it is nobody's. */
  readonly people: ReadonlyMap<string, Person | null>;
  /** All spend attributes that are written, and those of them that no mapping names. */
  readonly spendSlugs: readonly string[];
  readonly unmappedSlugs: readonly string[];
  /** Names by product id, as far as the key may read them. */
  readonly productNames: ReadonlyMap<string, string>;
  readonly nowMs: number;
  readonly stripeRequests: number;
};

/** What planning needs of it. */
export type PlanInput = Pick<Findings, "settings" | "books" | "customers" | "crm" | "people" | "spendSlugs" | "nowMs">;

/** What is to be done about one customer's record. `left out`: it would be created, but for --update-only. */
type Outcome = "create" | "update" | "refresh" | "unchanged" | "left out";

export type Change = ReturnType<typeof planChange>;
type Plan = ReturnType<typeof planChanges>;

/** The address people are matched by; "" where there is none. */
function addressOf(customer: Customer | undefined): string {
  return (customer?.email ?? "").trim().toLowerCase();
}

/** Whoever paid; and whoever already has a record and any charge here, so that a full refund takes it to 0. */
function getsRecord(ledger: Ledger, record: CrmRecord | undefined): boolean {
  return ledger.totalMinor > 0 || (record !== undefined && ledger.charges > 0);
}

/** Plans all customers, the largest change of revenue first. Throws `UnexpectedError` if the sums do not add up. */
export function planChanges(input: PlanInput) {
  const { records } = input.crm;
  const ledgers = [...input.books.ledgers.values()];
  const recorded = ledgers.filter((ledger) => getsRecord(ledger, records.get(ledger.customerId)));
  const isRecorded = new Set(recorded.map(({ customerId }) => customerId));
  const columns = new Map(input.spendSlugs.map((slug) => [slug, ZERO])); // with `unallocated` they are the total
  for (const ledger of recorded) for (const [slug, amount] of ledger.spend) addAt(columns, slug, amount);
  const withoutRecord = noTally(); // paid invoices of customers that have no record, and of no customer
  for (const { invoices } of ledgers.filter(({ customerId }) => !isRecorded.has(customerId)))
    addTo(withoutRecord, invoices.amount, invoices.count);
  const mrrWithoutRecord = noTally(); // by customers
  for (const [customerId, { mrrMinor = ZERO }] of input.books.paysNow)
    if (mrrMinor > 0 && !isRecorded.has(customerId)) addTo(mrrWithoutRecord, mrrMinor);
  const changes = recorded.map((ledger) => planChange(ledger, input));
  const size = (change: Change): number => Math.abs(change.afterMinor - change.beforeMinor);
  changes.sort((a, b) => size(b) - size(a) || (a.customerId < b.customerId ? -1 : 1));
  const counts = { create: 0, update: 0, refresh: 0, unchanged: 0, "left out": 0 };
  for (const { outcome } of changes) counts[outcome] += 1;

  // What the records of this account add up to now, and will.
  const beforeMinor = sumMinor(changes.map((change) => change.beforeMinor));
  const totalMinor = sumMinor(changes.map(({ afterMinor }) => afterMinor));
  const unallocated = sumMinor(recorded.map(unallocatedMinor));
  if (sumMinor([...columns.values(), unallocated]) !== totalMinor) throw notClosed("between records and columns");
  const inLedgers = sumMinor(ledgers.map((ledger) => ledger.totalMinor));
  if (inLedgers !== totalMinor) throw notClosed("between records and ledgers");
  // Records whose customer has no charge in this account.
  const leftAlone = records.size - changes.filter(({ record }) => record !== undefined).length;
  return { changes, counts, leftAlone, beforeMinor, totalMinor, columns, unallocated, withoutRecord, mrrWithoutRecord };
}

/** Plans one customer's record. */
function planChange(ledger: Ledger, input: PlanInput) {
  const { customerId } = ledger;
  const { settings, nowMs } = input;
  const record = input.crm.records.get(customerId);
  const customer = input.customers.get(customerId);
  const links = desiredLinks(customer, record, input.people);
  const values = new Map<string, string | undefined>();
  for (const [slug, value] of [...desiredValues(ledger, input), ...links])
    if (record?.values.get(slug) !== value) values.set(slug, value);

  const person = links.has("person") ? links.get("person") : record?.values.get("person");
  const isLeftOut = record === undefined && settings.isUpdateOnly;
  const ageMs = nowMs - Date.parse(record?.values.get("last_synced_at") ?? "");
  let outcome: Outcome = values.size > 0 ? "update" : ageMs < settings.refreshMs ? "unchanged" : "refresh";
  if (record === undefined) outcome = isLeftOut ? "left out" : "create";
  if (isLeftOut) values.clear();
  else if (outcome !== "unchanged") values.set(MATCH_KEY, customerId).set("last_synced_at", isoOf(nowMs));
  return {
    outcome,
    customerId,
    /** The attributes to write, undefined to clear one; none for `unchanged` and `left out`. */
    values,
    /** What the CRM holds now; undefined where there is no record. */
    record,
    beforeMinor: revenueOf(record, input.books.currency),
    afterMinor: ledger.totalMinor,
    hasPerson: person !== undefined,
  };
}

function isoOf(ms: number): string {
  return new Date(ms).toISOString();
}

/** An amount that a record holds; 0 where that is no amount. */
function amountOf(value: string | undefined, currency: string): Minor {
  return parseMinor(value ?? "", currency) ?? ZERO;
}

/** What a record says the customer paid. */
function revenueOf(record: CrmRecord | undefined, currency: string): Minor {
  return amountOf(record?.values.get("total_revenue"), currency);
}

/** All that a record should hold but its links; undefined clears. Amounts as decimals, instants in ISO form. */
export function desiredValues(
  ledger: Ledger,
  input: Pick<PlanInput, "books" | "customers" | "spendSlugs" | "settings">,
) {
  const { books, customers, spendSlugs, settings } = input;
  const decimalText = (amount: Minor): string => formatMinor(amount, books.currency);
  const instant = (unix: number): string | undefined => (Number.isFinite(unix) ? isoOf(unix * 1000) : undefined);
  const { customerId } = ledger;
  const customer = customers.get(customerId);
  const address = addressOf(customer);
  const isFailing = ledger.lastFailedUnix > ledger.lastCapturedUnix;
  const paysNow = books.paysNow.get(customerId) ?? PAYS_NOTHING;
  return new Map<string, string | undefined>([
    [MATCH_KEY, customerId],
    ["name", (customer?.name ?? "").trim() || address || customerId],
    ["email", address || undefined],
    ["total_revenue", decimalText(ledger.totalMinor)],
    ...spendSlugs.map((slug) => [slug, decimalText(ledger.spend.get(slug) ?? ZERO)] as const),
    ["unallocated_revenue", decimalText(unallocatedMinor(ledger))],
    ["subscription_status", books.standings.get(customerId)?.status ?? "No Subscription"],
    ["mrr", paysNow.mrrMinor === undefined ? undefined : decimalText(paysNow.mrrMinor)],
    ["renews_at", instant(paysNow.renewsAtUnix)],
    ["cancels_at", instant(paysNow.cancelsAtUnix)],
    ["payment_failed_at", isFailing ? instant(ledger.lastFailedUnix) : undefined],
    ["first_charge_at", instant(ledger.firstChargeUnix)],
    ["last_charge_at", instant(ledger.lastChargeUnix)],
    ["stripe_url", dashboardUrl(settings.mode, `customers/${customerId}`)],
  ]);
}

/** A page of Stripe's dashboard, such as `customers/cus_…`. */
function dashboardUrl(mode: Mode, page: string): string {
  return `https://dashboard.stripe.com/${mode === "test" ? "test/" : ""}${page}`;
}

/**
 * The links the sync may write: none where anybody else chose the person, or where the address is unknown (an old link
 * then stays); no company where anybody else chose it. An address that is nobody's clears what the sync linked.
 */
function desiredLinks(customer: Customer | undefined, record: CrmRecord | undefined, people: Findings["people"]) {
  const links = new Map<string, string | undefined>();
  const address = addressOf(customer);
  const person = people.get(address);
  if (address === "" || person === null || record?.setByOthers.has("person") === true) return links;
  links.set("person", person?.recordId);
  if (record?.setByOthers.has("company") !== true) links.set("company", person?.companyId);
  return links;
}

/**
 * Why a run stops before its first write, by the first accident that a plan looks like, and whether `--force` goes past
 * it. Undefined for a plan that looks like a day's business.
 */
export function findBrake(plan: Plan, { crm, books, settings }: Pick<PlanInput, "crm" | "books" | "settings">) {
  const { dryRun, testOne, force } = settings.commands;
  const records = [...crm.records.values()];
  const paying = records.filter((record) => revenueOf(record, books.currency) > 0).length;
  const own = plan.changes.filter(({ beforeMinor }) => beforeMinor > 0);
  const final = (what: string) => ({ isForceable: false, message: `${what} --force does not help here.` });
  const { mode } = settings;
  const other = mode === "live" ? "test" : "live";
  const urls = records.map(({ values }) => values.get("stripe_url") ?? "").filter(Boolean);
  const inTest = urls.filter((url) => url.startsWith(dashboardUrl("test", ""))).length;
  const ofOther = other === "test" ? inTest : urls.length - inTest;
  const otherMode = `STRIPE_API_KEY is a ${mode} key, but ${ofOther} of ${records.length} records are of ${other} mode`;
  if (ofOther > 0 && ofOther * 2 >= urls.length) return final(`${otherMode}. Use a ${other} key or delete them.`);
  const noCharge = `Stripe has no charge, but ${paying} records have revenue: another account's key?`;
  if (books.counts.charges === 0 && paying > 0) return final(`${noCharge} Use the right one or delete the records.`);

  const strangers = `Only ${own.length} of ${paying} records with revenue belong to this Stripe account`;
  const areStrangers = paying >= 3 && own.length * 5 < paying;
  const fault = areStrangers ? `${strangers}: another account's key?` : (fallOf(own) ?? lossOf(plan, books));
  const look = `To look: ${dryRun}; for one customer: ${testOne}. If it is right: ${force}.`;
  return fault === undefined ? undefined : { isForceable: true, message: `${fault} ${look}` };
}

/** Revenue that falls as on no day of business; `own` are the changes of records that have revenue. */
function fallOf(own: readonly Change[]): string | undefined {
  const toZero = own.filter(({ afterMinor }) => afterMinor === 0).length;
  const before = sumMinor(own.map(({ beforeMinor }) => beforeMinor));
  const fall = before - sumMinor(own.map(({ afterMinor }) => afterMinor));
  const isLarge = fall * 5 > before || (toZero * 5 > own.length && fall * 20 >= before);
  if (own.length < 10 || !isLarge) return undefined;
  const percent = Math.round((100 * fall) / before);
  return `Of ${own.length} records with revenue ${toZero} would fall to 0, and their sum by ${percent} %.`;
}

/** People, addresses or products that go, as they do where a list came back empty or the mapping is gone. */
function lossOf({ changes }: Plan, books: Books): string | undefined {
  const existing = changes.filter(({ record }) => record !== undefined);
  if (existing.length < 10) return undefined;
  const before = ({ record }: Change, slug: string): string | undefined => record?.values.get(slug);
  const after = (change: Change, slug: string): string | undefined =>
    change.values.has(slug) ? change.values.get(slug) : before(change, slug);
  for (const slug of ["person", "email"]) {
    const lost = existing.filter((change) => before(change, slug) !== undefined && after(change, slug) === undefined);
    if (lost.length * 5 > existing.length)
      return `${lost.length} of ${existing.length} records would lose their ${slug}: did a list come back empty?`;
  }
  const slugs = new Set(existing.flatMap(({ record, values }) => [...(record?.values.keys() ?? []), ...values.keys()]));
  const spend = [...slugs].filter((slug) => SLUG_PATTERN.test(slug));
  const holding = (at: typeof before): string[] =>
    spend.filter((slug) => existing.some((change) => amountOf(at(change, slug), books.currency) > 0));
  const [now, then] = [holding(before), holding(after)];
  const isMapped = (slug: string): boolean => slug !== FALLBACK_SLUG;
  if (now.some(isMapped) ? then.some(isMapped) : now.length === 0 || then.length > 0) return undefined;
  const what = now.some(isMapped) ? "No product's attribute" : `Not even ${FALLBACK_SLUG}`;
  return `${what} would hold money any more (now: ${now.join(", ")}): is PRODUCT_SLUGS right?`;
}

// ------------------------------------------------------------------ HTTP ----
// One way for every request: pace, time-out, retries, and errors that say where. Knows no charge and no record.

const TRIES = 6;
const SHORTEST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 30_000;
const TIMEOUT_MS = 60_000;
/** For so long a 429 costs no try: somebody else uses the limit up. After that it is no crowd but a quota. */
const CROWDED_MS = 300_000;

/** Time and chance come in from outside, so that a test can own them. */
export type Clock = {
  /** Milliseconds since 1970: for dates only, as it may be set while a run lasts. */
  readonly now: () => number;
  /** Milliseconds since some instant, by a clock that nobody can set: for every interval. */
  readonly elapsed: () => number;
  /** Rejects with the signal's reason as soon as it is aborted. */
  readonly sleep: (ms: number, signal: AbortSignal) => Promise<void>;
  /** In [0, 1). */
  readonly random: () => number;
};

/** What all services are reached through. */
export type Connection = {
  readonly clock: Clock;
  /** Once aborted, nothing new is sent and nothing retried. */
  readonly stop: AbortSignal;
  readonly onRetry: (line: string) => void;
  readonly timeoutMs: number;
};

/** Requests per second: over the whole service, and in each lane (an endpoint, or reads and writes). */
type Rates = { readonly all: number; readonly lane: (name: string) => number; readonly first?: readonly string[] };

/** Lets one through every 1/rate seconds: there is no bucket to empty, so no burst at the start. */
function openLane(rate: number, rank: number) {
  return { gapMs: 1000 / rate, rank, lastAt: -Infinity, waiting: [] as PromiseWithResolvers<void>[] };
}
type Lane = ReturnType<typeof openLane>;

function opensAt({ lastAt, gapMs }: Lane): number {
  return lastAt + gapMs;
}

/**
 * Gives those in line the turns that are due, by the rank of their lanes; but every lane has a turn a second. Returns
 * when the next is due; Infinity once nobody waits.
 */
function giveTurns(lanes: readonly Lane[], together: Lane, now: number): number {
  const rankOf = ({ lastAt, rank }: Lane): number => (now - lastAt > 1000 ? -1 : rank);
  for (;;) {
    const inLine = lanes.filter(({ waiting }) => waiting.length > 0);
    const due = inLine.filter((one) => opensAt(one) <= now);
    const [next] = due.toSorted((a, b) => rankOf(a) - rankOf(b) || a.lastAt - b.lastAt);
    if (next === undefined || opensAt(together) > now)
      return Math.max(opensAt(together), Math.min(...inLine.map(opensAt)));
    // A timer wakes a little late: less than one gap late keeps the rhythm, so that the rate is the one asked for.
    for (const one of [together, next]) one.lastAt = now - opensAt(one) < one.gapMs ? opensAt(one) : now;
    next.waiting.shift()?.resolve();
  }
}

/**
 * Paces the requests to one service, by the rates of all lanes together and of each: `turn` waits for a request's turn,
 * `pause` holds everybody. Where lanes compete, those named `first` go first, in that order.
 */
export function createPace({ clock, stop }: Pick<Connection, "clock" | "stop">, { all, lane, first = [] }: Rates) {
  const lanes = new Map<string, Lane>();
  const together = openLane(all, 0);
  const laneOf = (name: string): Lane =>
    valueAt(lanes, name, () => openLane(lane(name), [...first, name].indexOf(name)));
  let pausedUntil = 0;
  let alarmAt = Infinity;
  const give = (): number => {
    const now = clock.elapsed();
    return pausedUntil > now ? pausedUntil : giveTurns([...lanes.values()], together, now);
  };

  /** One timer for all who wait, another only for a turn that is due before it: many would cost more than the work. */
  async function serve(): Promise<void> {
    try {
      for (let at = give(); at < alarmAt; at = give()) {
        alarmAt = at;
        await clock.sleep(Math.max(0, at - clock.elapsed()), stop);
        if (alarmAt === at) alarmAt = Infinity;
      }
    } catch (reason) {
      alarmAt = Infinity;
      for (const { waiting } of lanes.values()) for (const turn of waiting.splice(0)) turn.reject(reason);
    }
  }

  return {
    waiting: (name: string): number => laneOf(name).waiting.length,
    pause: (ms: number): void => void (pausedUntil = Math.max(pausedUntil, clock.elapsed() + ms)),
    turn(name: string): Promise<void> {
      const turn = Promise.withResolvers<void>();
      laneOf(name).waiting.push(turn);
      void serve();
      return turn.promise;
    },
  };
}

export type Service = Connection & {
  readonly name: "Stripe" | "Attio";
  readonly base: string;
  readonly headers: Readonly<Record<string, string>>;
  /** False where its words may quote what was sent, and the log has other readers. */
  readonly quotesWords: boolean;
  readonly pace: ReturnType<typeof createPace>;
  readonly stats: { requests: number; retries: number };
  /** Whether a stop cuts off what is in flight too: so while reading. */
  readonly cutsInFlight: boolean;
  /** Asked after a 401: true if the service still calls the key active. Absent where a 401 is always final. */
  readonly isKeyActive?: () => Promise<boolean>;
};

/** A service with its own pace and counts, which tells at most every ten seconds what it tried again. */
function connect(
  connection: Connection,
  own: Pick<Service, "name" | "base" | "headers" | "quotesWords">,
  rates: Rates,
): Service {
  const { clock } = connection;
  let again = 0;
  let quietUntil = 0;
  const onRetry = (latest: string): void => {
    again += 1;
    if (clock.elapsed() < quietUntil) return;
    connection.onRetry(`retry    ${own.name}: ${again} tried again, the latest: ${latest}`);
    again = 0;
    quietUntil = clock.elapsed() + 10_000;
  };
  const pace = createPace(connection, rates);
  return { ...connection, ...own, onRetry, pace, stats: { requests: 0, retries: 0 }, cutsInFlight: true };
}

/** Parameters of a request, by name. */
type Query = Readonly<Record<string, string>>;

export type Call = {
  readonly method: "GET" | "POST" | "PUT" | "PATCH";
  readonly path: string;
  readonly query?: Query;
  readonly body?: Json;
  /** Whose pace it keeps; the path's where left out. */
  readonly lane?: string;
};

/**
 * An attempt that brought nothing. `status` 0: no whole answer came. `json` is the body, where that is a JSON object;
 * where it is not, `why` says what happened. `isUnsure`: this try, or one before, may have had its effect.
 */
type Failure = {
  readonly status: number;
  readonly headers: Headers;
  readonly why: string;
  readonly json: Json | undefined;
  readonly isUnsure: boolean;
};

/** What went wrong in words for a person, who can put it right; only `main` knows what was written by then. */
export class RunError extends Error {}
/** The run was told to stop, by a signal. */
export class StoppedError extends RunError {}

/** A request that failed for good. */
export class ApiError extends RunError {
  /** 0: no answer came. */
  readonly status: number;
  readonly code: string;
  /** The attributes, by slug, that Attio named. */
  readonly fields: readonly string[];
  /** What it would have taken in the place of a value, where it names that. */
  readonly options: readonly string[];
  /** Some try ended without an answer, with 5xx or with a 2xx that is no JSON: a write may have been made. */
  readonly mayHaveTakenEffect: boolean;

  constructor(service: Service, call: Call, { status, headers, json, why, isUnsure }: Failure) {
    const error = (isObject(json?.["error"]) ? json["error"] : json) ?? {};
    const code = oneLine(String(error["code"] ?? error["type"] ?? ""));
    const listed = error["validation_errors"]; // Attio's: each with the path of a field
    const faults = Array.isArray(listed) ? listed.filter(isObject).slice(0, 5) : [];
    const fields = namesIn(faults.map(({ path }) => path));
    const told = faults.map(({ path, message }) => `${JSON.stringify(path)}: ${String(message)}`);
    const words = [error["message"] ?? "no message", ...told].join(" ");
    const detail = why || (service.quotesWords ? oneLine(words) : fields.join(", "));
    const requestId = headers.get("request-id") ?? headers.get("x-attio-execution-id") ?? "";
    const outcome = `${status || "no answer"} ${code}`.trim() + (requestId && `, request ${oneLine(requestId)}`);
    const what = `${service.name} ${status === 0 ? "gave no answer" : "refused"}${detail && `: ${detail}`}`;
    super(`${what} [${call.method} ${call.path} -> ${outcome}]`);
    this.status = status;
    this.code = code;
    this.fields = fields;
    this.options = faults.flatMap(({ options }) =>
      Array.isArray(options) ? options.map((one) => oneLine(String(one))) : [],
    );
    this.mayHaveTakenEffect = isUnsure;
  }

  /** True of what passes by itself: no answer, a crowd, a service that fails. */
  get isOutage(): boolean {
    return this.status === 0 || this.status === 429 || this.status >= 500;
  }
}

/** The names in paths: of `data.values.name` the attribute `name`. What does not look like a name is left out. */
function namesIn(paths: readonly unknown[]): string[] {
  const parts = paths.filter((path) => Array.isArray(path));
  const names = parts.map((path) => (path[0] === "data" && path[1] === "values" ? String(path[2]) : path.join(".")));
  return names.filter((name) => /^[\w.$[\]-]+$/.test(name));
}

/**
 * A body as text. `Response.text()` keeps all chunks until the end: so much memory beside the heap that the collector
 * runs every dozen pages. Here a chunk's memory is given back at once; it is ours alone, by the standard of streams.
 */
async function textOf(response: Response): Promise<string> {
  const decoder = new TextDecoder();
  let body = "";
  const reader = response.body?.getReader();
  for (let chunk = await reader?.read(); chunk?.value !== undefined; chunk = await reader?.read()) {
    body += decoder.decode(chunk.value, { stream: true });
    chunk.value.buffer.transfer(0);
  }
  return body + decoder.decode();
}

/**
 * One attempt. The time-out covers the body too: a connection may stall half-way through a page. `read` is called once,
 * with the answer that counts; what it throws is no failure of the attempt, and never tried again.
 */
async function attempt<T>(service: Service, { method, path, query, body }: Call, read: (json: Json) => T) {
  const timeout = AbortSignal.timeout(service.timeoutMs);
  let response: Response;
  let json: Json | undefined;
  try {
    response = await fetch(`${service.base}${path}${query === undefined ? "" : `?${new URLSearchParams(query)}`}`, {
      method,
      headers: { ...service.headers, ...(body && { "content-type": "application/json" }) },
      body: body === undefined ? null : JSON.stringify(body),
      redirect: "manual",
      signal: service.cutsInFlight ? AbortSignal.any([timeout, service.stop]) : timeout,
    });
    json = parseJson(await textOf(response));
  } catch (error) {
    if (service.cutsInFlight && service.stop.aborted) throw service.stop.reason;
    // undici says "fetch failed" or "terminated"; what happened is in the cause.
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
    // Of a name with several addresses each was tried: the first failure tells what there is to know.
    const first: unknown = cause instanceof AggregateError ? cause.errors[0] : cause;
    const told = first instanceof Error ? first.message || first.name : String(first);
    const why = timeout.aborted ? `none within ${service.timeoutMs} ms` : oneLine(told);
    return { status: 0, headers: new Headers(), why, json, isUnsure: true };
  }
  const { status, headers } = response;
  if (response.ok && json !== undefined) return { value: read(json) };
  const isRedirect = status >= 300 && status < 400;
  const why = isRedirect ? "it redirects elsewhere, where no key may follow." : json ? "" : "the answer is not JSON.";
  return { status, headers, why, json, isUnsure: response.ok || status >= 500 };
}

/**
 * Why a failure deserves another try; undefined when it is final. First match wins, the order is the policy. Every
 * call of this program may be repeated: reads, an assert on a unique key, creations a repeat answers with a conflict.
 */
function retryReason({ status, headers, why, json }: Failure): string | undefined {
  const advice = headers.get("stripe-should-retry");
  if (status === 0) return why;
  if (status === 429) return `429, ${oneLine(headers.get("stripe-rate-limited-reason") ?? "too many requests")}`;
  if (advice === "false" || json?.["code"] === "slug_conflict") return undefined;
  if (status === 409 || status >= 500 || advice === "true") return `status ${status}`;
  return status < 300 ? "an answer that is not JSON" : undefined;
}

/** How long to wait: what `Retry-After` says, in seconds or as a date, else doubling with jitter; 0.5 s to 30 s. */
function retryWaitMs({ headers }: Failure, tries: number, clock: Clock): number {
  const told = headers.get("retry-after") ?? "";
  // A date is measured by the server's own clock, where it shows one. It is exact to the second: hence the jitter.
  const serverNow = Date.parse(headers.get("date") ?? "") || clock.now();
  const toldMs = /^\d+(\.\d+)?$/.test(told) ? Number(told) * 1000 : Date.parse(told) - serverNow;
  const backoffMs = SHORTEST_WAIT_MS * 2 ** (tries - 1) * (0.5 + clock.random());
  const waitMs = Number.isNaN(toldMs) ? backoffMs : toldMs + 100 * clock.random();
  return Math.min(LONGEST_WAIT_MS, Math.max(SHORTEST_WAIT_MS, waitMs));
}

/**
 * Sends one request until it is answered for good, and returns what `read` makes of the answer. Large pages are used up
 * in `read`: a promise that has waited for its turn is old to the collector, and what it resolves to lives until the
 * next full collection. Throws `ApiError`, what `read` throws, or the reason for which the run was stopped.
 */
export async function request<T>(service: Service, call: Call, read: (json: Json) => T): Promise<T> {
  const { clock, pace, stats, stop } = service;
  const patienceEnds = clock.elapsed() + CROWDED_MS;
  let failure: Failure | undefined;
  // Stopped between two tries of a write, all that is known of it is how the last one failed.
  const waitFor = (work: Promise<void>): Promise<void> =>
    work.catch((reason: unknown) => {
      throw service.cutsInFlight || failure === undefined ? reason : new ApiError(service, call, failure);
    });
  for (let failed = 1, tries = 1; ; failed += 1) {
    await waitFor(pace.turn(call.lane ?? call.path));
    stop.throwIfAborted();
    stats.requests += 1;
    const answer = await attempt(service, call, read);
    if ("value" in answer) return answer.value;

    failure = { ...answer, isUnsure: answer.isUnsure || failure?.isUnsure === true };
    let reason = retryReason(failure);
    if (failure.status === 401 && (await service.isKeyActive?.()) === true) reason = "401, though the key is active";
    if (service.cutsInFlight) stop.throwIfAborted();
    const isCrowded = failure.status === 429;
    tries += isCrowded ? 0 : 1;
    const isOver = isCrowded ? clock.elapsed() >= patienceEnds : tries > TRIES;
    if (reason === undefined || isOver || stop.aborted) throw new ApiError(service, call, failure);

    stats.retries += 1;
    const waitMs = retryWaitMs(failure, failed, clock);
    if (isCrowded) pace.pause(waitMs);
    const next = isCrowded ? "again" : `try ${tries} of ${TRIES}`;
    service.onRetry(`${call.method} ${call.path}, ${next} in ${(waitMs / 1000).toFixed(1)} s: ${reason}`);
    await waitFor(clock.sleep(waitMs, stop));
  }
}

type Task = () => Promise<void>;

/**
 * Does tasks in the order they came, at most `workers` at a time; a task may add more. `done` resolves when none is
 * left, or rejects with the first failure.
 */
function createCrew(workers: number, tasks: Iterable<Task> = []) {
  const end = Promise.withResolvers<void>();
  end.promise.catch(() => undefined); // until it is awaited, a failure must not count as unhandled
  const waiting: Task[] = [];
  let busy = 0;
  const work = async (): Promise<void> => {
    busy += 1;
    for (let task = waiting.shift(); task !== undefined; task = waiting.shift()) await task();
    busy -= 1;
    if (busy === 0) end.resolve();
  };
  const add = (task: Task): void => {
    waiting.push(task);
    if (busy < workers) work().catch(end.reject);
  };
  for (const task of tasks) add(task);
  return { add, waiting, done: async (): Promise<void> => (busy === 0 ? undefined : end.promise) };
}

/** A list in slices of at most `size`. */
function* batches<T>(all: readonly T[], size: number): Generator<T[]> {
  for (let start = 0; start < all.length; start += size) yield all.slice(start, start + size);
}

// ---------------------------------------------------------------- Stripe ----
// Read only: there is no way from here to any other verb than GET. Knows pages and windows, no sums.

/** Fixes the shape of every answer, whatever the account's own version: https://docs.stripe.com/upgrades */
export const STRIPE_VERSION = "2026-10-28.endive";
const PAGE = 100;
const LIST_WORKERS = 10;
const LINES_LANE = "/v1/invoices/{id}/lines";

type Permission = { readonly name: string; readonly slug: string };
export type StripeList<T> = {
  readonly path: string;
  readonly kind: string;
  readonly reader: Reader<T, unknown>;
  readonly query?: Query;
  readonly lane?: string;
  /**
   * What comes only where it is asked for: in every page, or once an object needs it. A refusal stops the run if that
   * is vital; else the list is read on without.
   */
  readonly expand?: { readonly fields: readonly string[]; readonly isAlways?: true; readonly isVital?: true };
};

/** A list that every account needs, and its permission by the dashboard's name. */
function listed<T>(kind: string, reader: Reader<T, unknown>, name: string, more: Partial<StripeList<T>> = {}) {
  return { path: `/v1/${kind}s`, kind, reader, permission: { name, slug: `rak_${kind}_read` }, ...more };
}

export const STRIPE_LISTS = {
  charges: listed("charge", CHARGE, "Charges and Refunds", {
    expand: { fields: ["data.balance_transaction"], isVital: true },
  }),
  customers: listed("customer", CUSTOMER, "Customers"),
  invoices: listed("invoice", INVOICE, "Invoices", {
    query: { status: "paid" },
    expand: { fields: ["data.amount_paid_off_stripe"], isAlways: true },
  }),
  subscriptions: listed("subscription", SUBSCRIPTION, "Subscriptions", {
    query: { status: "all" }, // without it the list hides the canceled ones
    expand: { fields: ["data.discounts", "data.items.data.discounts"] },
  }),
};

/** Permissions that only some accounts need. */
export const STRIPE_EXTRAS = {
  products: { name: "Products", slug: "rak_product_read" },
  balances: { name: "Balance transaction sources", slug: "rak_balance_transaction_source_read" },
  coupons: { name: "Coupons", slug: "rak_coupon_read" },
} satisfies Record<string, Permission>;

/**
 * Stripe allows 25 requests/s per endpoint and 100 over a live account, 25 over a test account, all shared with the
 * user's own checkout (https://docs.stripe.com/rate-limits). We stay below.
 */
export function connectStripe(settings: Settings, connection: Connection): Service {
  const headers = { authorization: `Bearer ${settings.stripeKey}`, "stripe-version": STRIPE_VERSION };
  const own = { name: "Stripe", base: settings.stripeBase, headers, quotesWords: true } as const;
  // The longest lists are to be done first: those that wait for them end in time all the same.
  const first = ["/v1/charges", LINES_LANE, "/v1/invoices"];
  return connect(connection, own, { all: settings.mode === "live" ? 50 : 20, lane: () => 20, first });
}

type Page<T> = { readonly objects: readonly T[]; readonly hasMore: boolean };
const PAGE_OF_ANY = shape({ data: anyList, has_more: flag });

/** Reads one page of a list; returns what `take` makes of it. */
export function readPage<T extends { readonly id: string }, R>(
  stripe: Service,
  { path, kind, reader, lane = path, query }: StripeList<T>,
  more: Query,
  take: (page: Page<T>) => R,
): Promise<R> {
  const call: Call = { method: "GET", path, lane, query: { ...query, ...more, limit: String(PAGE) } };
  return request(stripe, call, (json) => {
    const { data, has_more: hasMore } = readAs(`page of ${path}`, PAGE_OF_ANY, json);
    const objects = data.map((object) => readAs(kind, reader, object));
    const cursor = more["starting_after"];
    if (hasMore && objects.length === 0)
      throw new UnexpectedError(`Stripe said has_more with an empty page of ${path} after ${cursor ?? "the start"}`);
    if (objects.some(({ id }) => id === cursor))
      throw new UnexpectedError(`Stripe repeated ${cursor} on the page of ${path} that follows it`);
    return take({ objects, hasMore });
  });
}

/** Reads a list by cursor alone, for what is short or has no `created` filter; `after` is an id to start behind. */
async function readPages<T extends { readonly id: string }>(stripe: Service, list: StripeList<T>, after?: string) {
  const all: T[] = [];
  for (let cursor = after; ; cursor = all.at(-1)?.id) {
    const hasMore = await readPage(stripe, list, cursor === undefined ? {} : { starting_after: cursor }, (page) => {
      all.push(...page.objects);
      return page.hasMore;
    });
    if (!hasMore) return all;
  }
}

/** What is wanted of a list. */
export type Wanted<T> = {
  /** Only what was created before it, in unix seconds. */
  readonly t0: number;
  /** Of one customer; of all where left out. */
  readonly customer?: string;
  /** Says of an object that it needs what the list can expand. */
  readonly isUnclear?: (object: T) => boolean;
  /** Told once if Stripe refuses what the list expands, and it is read without. */
  readonly onRefusal?: (refusal: ApiError) => void;
  /** Before every page: where it returns a promise, the page waits for that. */
  readonly hold?: () => Promise<void> | undefined;
};

const BALANCES_TELL =
  "Some charges are in another currency, or captured in part: only balance transactions tell what became of them";

/**
 * Reads pages like `readPage`, each with what the list can expand if that is needed: the first page with an object that
 * needs it is read again, those that follow ask at once.
 */
function createReader<T extends { readonly id: string }>(stripe: Service, list: StripeList<T>, use: Wanted<T>) {
  const { fields = [], isAlways = false, isVital = false } = list.expand ?? {};
  const expand = Object.fromEntries(fields.map((field, at) => [`expand[${at}]`, field]));
  let expands: boolean | "refused" = isAlways;

  return async function read<R>(query: Query, take: (page: Page<T>) => R): Promise<R> {
    if (expands === true)
      return readPage(stripe, list, { ...query, ...expand }, take).catch(async (error: unknown) => {
        if (!(error instanceof ApiError) || ![400, 403].includes(error.status)) throw error;
        const taken = await readPage(stripe, list, query, take); // if this fails too, it was not the expansion's fault
        if (isVital) throw new RunError(`${BALANCES_TELL}. ${keyProblem(error, STRIPE_EXTRAS.balances)}`);
        if (expands !== "refused") use.onRefusal?.(error);
        expands = "refused";
        return taken;
      });
    const isUnclear = expands === false ? use.isUnclear : undefined;
    const page = await readPage(stripe, list, query, (one) =>
      isUnclear !== undefined && one.objects.some(isUnclear) ? undefined : { taken: take(one) },
    );
    if (page !== undefined) return page.taken;
    expands ||= true;
    return read(query, take);
  };
}

type Listed = { readonly id: string; readonly created: number };

/**
 * What one worker reads, newest first: on from `created` down to `keep`. A page covered `pageSeconds` by its last one,
 * or, so many `guesses` ago, by that of the window it was cut from.
 */
type Window = { keep: number; created: number; pageSeconds: number; guesses: number };

/**
 * Cuts the window with the most left in two, by time: in the middle, but no more than `reach` pages down, twice as many
 * with each guess, since what lies further nobody knows. Returns the older part; undefined where none has six pages.
 */
function cutWidest(windows: Iterable<Window>, reach: number): Window | undefined {
  const pagesLeft = ({ keep, created, pageSeconds, guesses }: Window): number =>
    guesses > 3 ? 0 : keep === 0 ? Infinity : (created - keep) / pageSeconds;
  const [widest] = [...windows].toSorted((a, b) => pagesLeft(b) - pagesLeft(a));
  if (widest === undefined || pagesLeft(widest) < 6) return undefined;
  const { keep, created, pageSeconds, guesses } = widest;
  const middle = keep === 0 ? 0 : (keep + created) / 2;
  const cut = Math.floor(Math.max(middle, created - pageSeconds * reach * 2 ** guesses));
  if (cut <= 0) return undefined;
  widest.keep = cut;
  return { keep, created: cut - 1, pageSeconds, guesses: guesses + 1 };
}

/** Takes those of a page's objects that are the window's own, and moves it on. Returns how many they were. */
function takeOwn<T extends Listed>(window: Window, objects: readonly T[], take: (object: T) => void): number {
  const newest = objects[0]?.created ?? 0;
  let own = 0;
  for (const object of objects) {
    if (object.created > window.created) throw new UnexpectedError(`Stripe did not list newest first at ${object.id}`);
    window.created = object.created;
    if (object.created < window.keep) continue; // another worker's
    take(object);
    own += 1;
  }
  window.pageSeconds = Math.max(1, newest - window.created);
  window.guesses = 0;
  return own;
}

/**
 * Calls `take` once for every object of a list created before `t0`, in no particular order.
 *
 * The list starts as one window of time, half-open and open below, that is read newest first, by cursor. Whenever a
 * worker is free, the window with the most left is cut in two by time: its worker keeps the newer part (it reads on
 * with the same filters and cursor, and stops at the cut), the free one starts on the older part. So the windows
 * partition time, every object belongs to exactly one, and a second that fills many pages is simply paged.
 *
 * A cut costs at most one request more than reading on. Cuts are rationed to 4 and 3 for every 10 pages' worth of
 * objects, so that a list takes no more than 1.3 × its pages + 5 requests, however its objects lie in time; and none is
 * made where requests wait for their turn already.
 */
export async function readList<T extends Listed>(
  stripe: Service,
  list: StripeList<T>,
  use: Wanted<T>,
  take: (object: T) => void,
): Promise<void> {
  const read = createReader(stripe, list, use);
  const crew = createCrew(LIST_WORKERS);
  const open = new Set<Window>();
  let pages = 0;
  let cuts = 0;

  function readWindow(window: Window): void {
    const { keep, created } = window;
    const customer = use.customer && { customer: use.customer };
    const filter = { ...customer, ...(keep > 0 && { "created[gte]": `${keep}` }), "created[lt]": `${created + 1}` };
    open.add(window);
    crew.add(async () => {
      let last: T | undefined;
      do {
        await use.hold?.();
        const after = last && { starting_after: last.id };
        last = await read({ ...filter, ...after }, (page) => takePage(window, page));
      } while (last !== undefined);
    });
  }

  /** Returns the object to read on after; undefined where there is no more. */
  function takePage(window: Window, { objects, hasMore }: Page<T>): T | undefined {
    pages += takeOwn(window, objects, take) / PAGE;
    const isOver = !hasMore || window.created < window.keep;
    if (isOver) open.delete(window);
    const isFree = (): boolean => open.size < LIST_WORKERS && stripe.pace.waiting(list.path) < 3;
    while (isFree() && cuts + 1 <= 4 + 0.3 * pages) {
      const older = cutWidest(open, Math.max(8, pages / 4));
      if (older === undefined) break;
      cuts += 1;
      readWindow(older);
    }
    return isOver ? undefined : objects.at(-1);
  }

  readWindow({ keep: 0, created: use.t0 - 1, pageSeconds: Infinity, guesses: 0 });
  await crew.done();
}

/**
 * Reads paid invoices, with all their lines where `hasLines`. A page embeds the first ten of each invoice
 * (https://docs.stripe.com/api/invoices/object#invoice_object-lines); others are read beside the pages, not between.
 */
export async function readInvoices(
  stripe: Service,
  use: Wanted<Invoice> & { readonly hasLines: boolean },
  take: (invoice: Invoice) => void,
): Promise<void> {
  const crew = createCrew(1 + LIST_WORKERS);
  const takeWhole = (invoice: Invoice): void => {
    if (!use.hasLines || !invoice.lines.has_more) return take(invoice);
    crew.add(async () => {
      const list = { kind: `invoice ${invoice.id} line`, reader: INVOICE_LINE, lane: LINES_LANE };
      const { data } = invoice.lines;
      const more = await readPages(stripe, { ...list, path: `/v1/invoices/${invoice.id}/lines` }, data.at(-1)?.id);
      take({ ...invoice, lines: { data: [...data, ...more], has_more: false } });
    });
  };
  // Lines come more slowly than invoices: a page takes its place behind those that wait, so that they stay few.
  const hold = (): Promise<void> | undefined =>
    crew.waiting.length < PAGE ? undefined : new Promise((begin) => crew.add(async () => begin()));
  crew.add(() => readList(stripe, STRIPE_LISTS.invoices, { ...use, hold }, takeWhole));
  await crew.done();
}

/** Calls `take` for one customer, unless it is deleted. Throws `ApiError` where there never was one. */
async function readCustomer(stripe: Service, id: string, take: (customer: Customer) => void): Promise<void> {
  await request(stripe, { method: "GET", path: `/v1/customers/${id}` }, (found) => {
    if (found["deleted"] !== true) take(readAs("customer", CUSTOMER, found));
  });
}

/** Coupons by id, each once; those that cannot be read are left out, of which `warn` is told. */
async function readCoupons(stripe: Service, ids: readonly string[], warn: (line: string) => void) {
  const coupons = new Map<string, Coupon>();
  const read = async (id: string): Promise<string[]> => {
    const call = { method: "GET", path: `/v1/coupons/${encodeURIComponent(id)}`, lane: "/v1/coupons/{id}" } as const;
    const query = { "expand[]": "applies_to" };
    try {
      await request(stripe, { ...call, query }, (found) => coupons.set(id, readAs("coupon", COUPON, found)));
      return [];
    } catch (error) {
      if (!(error instanceof ApiError) || ![403, 404].includes(error.status)) throw error;
      return [error.status === 403 ? keyProblem(error, STRIPE_EXTRAS.coupons) : error.message];
    }
  };
  const refusals = (await Promise.all(ids.map(read))).flat();
  const count = `${refusals.length} of ${ids.length} coupons`;
  if (refusals.length > 0) warn(`${count} cannot be read: mrr stays empty where it needs one. ${refusals[0]}`);
  return coupons;
}

/** Products by id, a hundred a request; all of them without ids. */
export async function readProducts(stripe: Service, ids?: readonly string[]): Promise<Product[]> {
  const list = { path: "/v1/products", kind: "product", reader: PRODUCT };
  if (ids === undefined) return readPages(stripe, list);
  const pages = [...batches(ids, PAGE)].map((batch) => {
    const query = Object.fromEntries(batch.map((id, at) => [`ids[${at}]`, id]));
    return readPage(stripe, list, query, ({ objects }) => objects);
  });
  return (await Promise.all(pages)).flat();
}

/** One cheap request per permission. Returns what is wrong with the key; throws what is no question of the key. */
async function checkStripe(stripe: Service): Promise<string[]> {
  const checks = Object.values(STRIPE_LISTS).map(async ({ path, permission }) => {
    const refused = (error: unknown) => {
      if (!(error instanceof ApiError) || ![401, 403].includes(error.status)) throw error;
      return [{ error, permission }];
    };
    return request(stripe, { method: "GET", path, query: { limit: "1" } }, () => []).catch(refused);
  });
  const refusals = (await Promise.all(checks)).flat();
  const general = refusals.find(({ error }) => isOfWholeKey(error));
  return (general ? [general] : refusals).map(({ error, permission }) => keyProblem(error, permission));
}

/** True where nothing of this key can be read, whatever its permissions: said once, not for each list. */
function isOfWholeKey({ status, code }: ApiError): boolean {
  return status === 401 || code !== "more_permissions_required";
}

/** A refused key in words that name the page to open and the box to tick. */
export function keyProblem(error: ApiError, { name, slug }: Permission): string {
  const page = "https://dashboard.stripe.com/apikeys";
  const say = (what: string, remedy: string): string => `STRIPE_API_KEY ${what} ${remedy} at ${page}. ${error.message}`;
  if (!isOfWholeKey(error)) return say(`lacks the permission "${name}" (${slug}).`, "Set it to Read");
  if (error.code === "api_key_expired") return say("has expired.", "Create a new one");
  if (error.status === 401) return say("is unknown to Stripe: mistyped, deleted, or of another account.", "Look");
  return say("is limited to IP addresses that are not this machine's, it seems.", "Look");
}

// ----------------------------------------------------------------- Attio ----
// The key, the object beside what it must be, and records in and out. Knows no charge and no Stripe.

const LIST_LIMIT = 500;
const FILTER_BATCH = 100;
const LOOK_UP_WORKERS = 20;
const WRITE_WORKERS = 16;
const SELF = { method: "GET", path: "/v2/self", lane: "read" } as const;

/** Attio allows 100 reads and 25 writes a second per workspace: https://docs.attio.com/rest-api/guides/rate-limiting */
export function connectAttio(settings: Settings, connection: Connection): Service {
  const headers = { authorization: `Bearer ${settings.attioKey}` };
  const own = { name: "Attio", base: settings.attioBase, headers, quotesWords: !settings.isCi } as const;
  const service = connect(connection, own, { all: 60, lane: (name) => (name === "write" ? 20 : 50) });
  // Reported under load: a 401 for a key that works. Attio's own description of the key decides.
  const isKeyActive = (): Promise<boolean> =>
    request(service, SELF, ({ active }) => active === true).catch(() => false);
  return { ...service, isKeyActive };
}

/** For `catch`: what stands in for an answer that was refused, with one of these where there are any. */
export function orIfRefused<T>(instead: T, ...statuses: readonly number[]): (error: unknown) => T {
  return (error) => {
    if (error instanceof ApiError && (statuses.length === 0 || statuses.includes(error.status))) return instead;
    throw error;
  };
}

const KEY = shape({ active: flag, scope: maybe(text), workspace_name: maybe(text) });

/** What the key may do; `problems` say what it lacks of `needed`. A read-write scope implies its read scope. */
export async function readAttioKey(attio: Service, needed: readonly string[]) {
  // A malformed token is answered with 400, a wrong one with 200 and `active: false`.
  const none = { active: false, scope: null, workspace_name: null };
  const reading = request(attio, SELF, (answer) => readAs("Attio key", KEY, answer));
  const { active, scope, workspace_name } = await reading.catch(orIfRefused(none, 400, 401, 403));
  const scopes = (scope ?? "").split(/\s+/);
  const granted = [...scopes, ...scopes.map((name) => name.replace(/:read-write$/, ":read"))];
  const lacking = needed.filter((name) => !granted.includes(name));
  const where = `in ${ATTIO_KEYS_PAGE}.`;
  const dead = `ATTIO_API_KEY is not active: revoked, mistyped or deleted. Create a new one ${where} [GET /v2/self]`;
  const problems = lacking.map((name) => `ATTIO_API_KEY lacks the scope ${name}. Grant it ${where}`);
  return { scopes, workspace: oneLine(workspace_name ?? ""), problems: active ? problems : [dead] };
}

const OBJECT_NAME = shape({ id: shape({ object_id: text }), api_slug: maybe(text) });
const OPTION = shape({ title: text, is_archived: flag });
const CURRENCY_CONFIG = shape({ default_currency_code: maybe(text) });
const LINK_CONFIG = shape({ allowed_object_ids: listOrNone(text) });
const CONFIG = shape({ currency: maybe(CURRENCY_CONFIG), record_reference: maybe(LINK_CONFIG) });
const TRAITS = { is_unique: flag, is_multiselect: flag, is_archived: flag, is_writable: flag };
const ATTRIBUTE = shape({ api_slug: text, type: text, ...TRAITS, config: maybe(CONFIG) });
type Attribute = ReadBy<typeof ATTRIBUTE>;

/** What is wrong with an attribute, in a few words. The bootstrap mends what is missing, archived, or lacks options. */
export type Difference = NonNullable<ReturnType<typeof differenceOf>>;
type Place = {
  readonly currency: string;
  readonly ids: ReadonlyMap<string, string>;
  readonly lacking: readonly string[];
};

/** The first fault of an attribute. `ids` are the workspace's objects, by slug, `lacking` the options to be added. */
function differenceOf(spec: AttributeSpec, attribute: Attribute | undefined, { currency, ids, lacking }: Place) {
  const { slug, type, isUnique, target } = spec;
  if (attribute === undefined) return { slug, target, fault: "missing", words: "is missing", held: "" } as const;
  const { config } = attribute;
  const held = oneLine(config?.currency?.default_currency_code ?? "no currency");
  const allowed = config?.record_reference?.allowed_object_ids ?? [];
  const isElsewhere = target !== undefined && allowed.length > 0 && !allowed.includes(ids.get(target) ?? "");
  const isForeign = type === "currency" && held !== attioCurrency(currency);
  const faults = [
    ["type", attribute.type !== type, `is of type ${oneLine(attribute.type)}, must be ${type}`],
    ["several", attribute.is_multiselect, "takes several values, must take one"],
    ["fixed", !attribute.is_writable, "cannot be written"],
    ["not unique", isUnique && !attribute.is_unique, "is not unique"],
    ["currency", isForeign, `is in ${held}, but CURRENCY says ${currency}`],
    ["target", isElsewhere, `does not point to ${target}`],
    ["archived", attribute.is_archived, "is archived"],
    ["options", type === "select" && lacking.length > 0, `lacks the option ${lacking.join(", ")}`],
  ] as const;
  const found = faults.find(([, isSo]) => isSo);
  return found && { slug, target, fault: found[0], words: found[2], held };
}

/** Attio's name of a currency: ISO 4217 but for Taiwan's. */
export function attioCurrency(currency: string): string {
  return currency === "twd" ? "NTD" : currency.toUpperCase();
}

/** Reads a list of the configuration, which has far fewer elements than a page may have. */
function readWhole<T>(attio: Service, path: string, reader: Reader<T, unknown>, query: Query = {}): Promise<T[]> {
  return request(attio, { method: "GET", path, query, lane: "read" }, (answer) => {
    const { data } = readAs(`list of ${path}`, shape({ data: listOf(reader) }), answer);
    if (data.length >= LIST_LIMIT) throw new UnexpectedError(`${path} lists ${data.length}, so there may be more`);
    return data;
  });
}

/**
 * The object beside what it must be. `spendSlugs` are all that will be written: every currency attribute `spend_*`
 * belongs to the sync; `unmappedSlugs` are those that no mapping names. `options`, by title: true for an archived one.
 */
export async function inspectObject(attio: Service, { productSlugs, currency }: Settings) {
  const path = `/v2/objects/${OBJECT}/attributes`;
  const archived = { show_archived: "true" }; // they still hold their slug
  const noneIfAbsent = orIfRefused([], 400, 404); // what is missing shows in the comparison
  const [objects, attributes, titles] = await Promise.all([
    readWhole(attio, "/v2/objects", OBJECT_NAME),
    readWhole(attio, path, ATTRIBUTE, { ...archived, limit: String(LIST_LIMIT) }).catch(noneIfAbsent),
    readWhole(attio, `${path}/subscription_status/options`, OPTION, archived).catch(noneIfAbsent),
  ]);
  const mapped = slugsOf(productSlugs);
  const money = attributes.filter(({ type, is_archived }) => type === "currency" && !is_archived);
  const spend = money.map(({ api_slug }) => api_slug).filter((slug) => SLUG_PATTERN.test(slug));
  const unmappedSlugs = spend.filter((slug) => !mapped.includes(slug)).toSorted();
  const spendSlugs = [...mapped, ...unmappedSlugs];
  const specs = attributeSpecs(spendSlugs);
  const ids = new Map(objects.map(({ id, api_slug }) => [api_slug ?? "", id.object_id]));
  const bySlug = new Map(attributes.map((attribute) => [attribute.api_slug, attribute]));
  const options = new Map(titles.map(({ title, is_archived }) => [title, is_archived]));
  const takesOptions = (bySlug.get("subscription_status")?.type ?? "select") === "select";
  const lacking = STATUSES.filter((title) => takesOptions && options.get(title) !== false);
  const place = { currency, ids, lacking };
  const differences = specs.flatMap((spec) => differenceOf(spec, bySlug.get(spec.slug), place) ?? []);
  // Where the whole object is in another currency than CURRENCY says, that is said once for all its amounts.
  const total = differences.find(({ slug, fault }) => slug === "total_revenue" && fault === "currency")?.held;
  const setting = total === "NTD" ? "twd" : total?.toLowerCase();
  const words = `Set CURRENCY=${setting}: CURRENCY is ${currency}, but the object ${OBJECT} in Attio is in ${total}.`;
  const remedy = total === undefined ? undefined : words;
  return { hasObject: ids.has(OBJECT), specs, spendSlugs, unmappedSlugs, differences, remedy, options, lacking };
}

/** Key, scopes, object, attributes with types, match key, currencies, options: everything that is wrong, at once. */
export async function checkAttio(attio: Service, settings: Settings) {
  const records = settings.isDryRun ? "record_permission:read" : "record_permission:read-write";
  const found = inspectObject(attio, settings);
  found.catch(() => undefined); // a key that may not look is named by what follows
  const { workspace, scopes, problems } = await readAttioKey(attio, ["object_configuration:read", records]);
  if (!scopes.some((scope) => scope.startsWith("object_configuration:")))
    return { problems, workspace, spendSlugs: slugsOf(settings.productSlugs), unmappedSlugs: [] };
  const { hasObject, spendSlugs, unmappedSlugs, differences, remedy } = await found;
  const listed = differences.filter(({ fault }) => remedy === undefined || fault !== "currency");
  const wrong = listed.map(({ slug, words }) => `${slug} ${words}`);
  const head = `Object ${OBJECT} in Attio; what to do: ${settings.commands.bootstrapDryRun}`;
  if (!hasObject) problems.push(`There is no object ${OBJECT} in Attio. Next: ${settings.commands.bootstrap}`);
  else if (wrong.length > 0) problems.push([head, ...wrong].join("\n      "));
  if (remedy !== undefined) problems.push(remedy);
  return { problems, workspace, spendSlugs, unmappedSlugs };
}

const RECORD = shape({ id: shape({ record_id: text }), values: anyObject });
type AttioRecord = ReadBy<typeof RECORD>;
const WRITTEN = shape({ data: shape({ id: shape({ record_id: text }) }) });
const ACTOR = shape({ created_by_actor: maybe(shape({ type: maybe(text) })) });
const VALUES = {
  text: shape({ value: maybe(text) }),
  select: shape({ option: shape({ title: text }) }),
  timestamp: shape({ value: leaf("an instant", (value): value is string => !Number.isNaN(Date.parse(String(value)))) }),
  currency: shape({ currency_value: decimalOrText }),
  reference: shape({ target_record_id: text }),
};
const ADDRESS = shape({ email_address: maybe(text), original_email_address: maybe(text) });

/** Calls `take` once for each record that a filter lets through, oldest first: new ones land at the end. */
async function queryRecords(attio: Service, object: string, filter: Json, take: (one: AttioRecord) => void) {
  const path = `/v2/objects/${object}/records/query`;
  const seen = new Set<string>();
  for (let offset = 0, isLast = false; !isLast; offset += LIST_LIMIT) {
    const body = { ...filter, sorts: [{ attribute: "created_at", direction: "asc" }], limit: LIST_LIMIT, offset };
    isLast = await request(attio, { method: "POST", path, lane: "read", body }, (json) => {
      const page = readAs(`page of ${path}`, shape({ data: listOf(RECORD) }), json).data;
      const unseen = page.filter(({ id }) => !seen.has(id.record_id));
      unseen.forEach(take);
      for (const { id } of unseen) seen.add(id.record_id);
      if (unseen.length > 0 || page.length < LIST_LIMIT) return page.length < LIST_LIMIT;
      throw new UnexpectedError(`Attio repeated a page of ${path} at offset ${offset}`);
    });
  }
}

const noCrm = (): Crm => ({ records: new Map(), duplicates: new Map(), withoutKey: 0 });
type CrmPlace = { readonly spendSlugs: readonly string[]; readonly currency: string };

/** Reads the object's records into `crm`: all of them, or those of some customers. */
export async function readCrm(attio: Service, place: CrmPlace, customerIds?: readonly string[], crm = noCrm()) {
  const specs = attributeSpecs(place.spendSlugs);
  const take = (read: AttioRecord): void => {
    const record = comparableRecord(read, specs, place.currency);
    const { recordId, values } = record;
    const key = values.get(MATCH_KEY);
    const other = crm.records.get(key ?? "");
    if (key === undefined) crm.withoutKey += 1;
    else if (other === undefined) crm.records.set(key, record);
    else if (other.recordId !== recordId) valueAt(crm.duplicates, key, () => [other.recordId]).push(recordId);
  };
  const some = [...batches(customerIds ?? [], FILTER_BATCH)].map((ids) => ({ filter: { [MATCH_KEY]: { $in: ids } } }));
  const filters = customerIds === undefined ? [{}] : some;
  await Promise.all(filters.map((filter) => queryRecords(attio, OBJECT, filter, take)));
  return crm;
}

/** A record's values as text, and who set them; an attribute without a value has no entry. */
function comparableRecord(read: AttioRecord, specs: readonly AttributeSpec[], currency: string): CrmRecord {
  const recordId = read.id.record_id;
  const values = new Map<string, string>();
  const setByOthers = new Set<string>();
  for (const spec of specs) {
    const kind = `record ${recordId} ${spec.slug}`;
    const [value] = readAs(kind, listOrNone(anyObject), read.values[spec.slug]);
    if (value === undefined) continue;
    const written = readAs(kind, (wire) => canonical(spec, wire, currency), value);
    if (written !== "") values.set(spec.slug, written);
    const author = readAs(kind, ACTOR, value).created_by_actor?.type ?? "api-token";
    if (author !== "api-token") setByOthers.add(spec.slug);
  }
  return { recordId, values, setByOthers };
}

/** One value as text that can be compared: "12.50" however Attio writes 12.5, an instant in ISO form, id or title. */
function canonical({ type }: AttributeSpec, value: unknown, currency: string): string {
  if (type === "text") return VALUES.text(value).value ?? "";
  if (type === "select") return VALUES.select(value).option.title;
  if (type === "record-reference") return VALUES.reference(value).target_record_id;
  if (type === "timestamp") return new Date(VALUES.timestamp(value).value).toISOString();
  // Attio sends a number, its documentation shows text. What is finer than the minor unit never equals ours.
  const amountText = String(VALUES.currency(value).currency_value);
  const amount = parseMinor(amountText, currency);
  return amount === undefined ? amountText : formatMinor(amount, currency);
}

/** A value as Attio's published schema has it, an array of one; `[]` clears. The attribute has the currency. */
function encode({ type, target }: AttributeSpec, value: string | undefined): unknown[] {
  if (value === undefined) return [];
  if (type === "currency") return [{ currency_value: Number(value) }];
  return [target === undefined ? value : { target_object: target, target_record_id: value }];
}

/** Writes one record; every write of a run goes through here. Returns its id, as only an answer that shows it has. */
function writeRecord(attio: Service, place: Omit<Call, "body" | "lane">, values: Json): Promise<string> {
  const read = (answer: Json): string => readAs("answer to a write", WRITTEN, answer).data.id.record_id;
  return request(attio, { ...place, lane: "write", body: { data: { values } } }, read);
}

/**
 * Writes a customer's record, found or created by its id; attributes that are not among `values` stay as they are.
 * Returns false where that took leaving out its links, as one leads to a record that is gone.
 * https://docs.attio.com/rest-api/endpoint-reference/records/assert-a-record
 */
export async function assertRecord(attio: Service, values: ReadonlyMap<string, string | undefined>): Promise<boolean> {
  const spend = [...values.keys()].filter((slug) => SLUG_PATTERN.test(slug));
  const given = attributeSpecs(spend).filter(({ slug }) => values.has(slug));
  const assert = (specs: readonly AttributeSpec[]): Promise<string> => {
    const place = { path: `/v2/objects/${OBJECT}/records`, query: { matching_attribute: MATCH_KEY } };
    const encoded = specs.map((spec) => [spec.slug, encode(spec, values.get(spec.slug))]);
    return writeRecord(attio, { method: "PUT", ...place }, Object.fromEntries(encoded));
  };
  try {
    await assert(given);
    return true;
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    // What was not found stands in no field of the answer: if all is well without the links, it was one of theirs.
    const isLinked = given.some(({ slug, target }) => target !== undefined && values.get(slug) !== undefined);
    const mayLackLink = error.code === "value_not_found" && isLinked;
    // A conflict: another run created the record between our reading and our write. Now it is there to be found.
    if (!mayLackLink && error.code !== "uniqueness_conflict") throw error;
    await assert(mayLackLink ? given.filter(({ target }) => target === undefined) : given).catch((later: unknown) => {
      if (later instanceof StoppedError) throw error; // all that is known is how the first one ended
      if (later instanceof ApiError && error.mayHaveTakenEffect) Object.assign(later, { mayHaveTakenEffect: true });
      throw later;
    });
    return !mayLackLink;
  }
}

/**
 * Who has which address. No entry: nobody. Null: unknown, as two people claim it or Attio would not search for it
 * (`refused` of them; `answered` look-ups worked). What is unknown changes no link.
 */
export const noPeople = () => ({ people: new Map<string, Person | null>(), refused: 0, answered: 0 });

/** Looks up who has each address (exact, trimmed, lower-cased), a hundred a request. Throws if all are refused. */
export async function lookUpPeople(attio: Service, addresses: Iterable<string>, found = noPeople()) {
  const wanted = new Set([...addresses].filter((address) => /^[^\s@]+@[^\s@]+$/.test(address)));
  const take = (person: AttioRecord): void => takePerson(person, wanted, found.people);
  let refusal: ApiError | undefined;
  const lookUp = async (batch: readonly string[]): Promise<void> => {
    const $or = batch.map((address) => ({ email_addresses: { email_address: { $eq: address } } }));
    try {
      await queryRecords(attio, "people", { filter: { $or } }, take);
      found.answered += 1;
    } catch (error) {
      if (!(error instanceof ApiError) || error.status !== 400) throw error;
      // A filter's size has an undocumented limit, and one odd address must not hide the others: halve, until so many
      // were refused that it is no matter of theirs.
      const half = batch.length >> 1;
      if (half > 0 && found.refused <= (found.answered === 0 ? 10 : 100))
        return lookUp(batch.slice(0, half)).then(() => lookUp(batch.slice(half)));
      for (const address of batch) found.people.set(address, null);
      found.refused += batch.length;
      refusal = error;
    }
  };
  const tasks = [...batches([...wanted], FILTER_BATCH)].map((batch) => () => lookUp(batch));
  await createCrew(LOOK_UP_WORKERS, tasks).done();
  if (refusal !== undefined && found.answered === 0 && found.refused > 10) throw refusal;
  return found.people;
}

/** Enters a person under each of the wanted addresses; null where another has it too. */
function takePerson(person: AttioRecord, wanted: Set<string>, people: Map<string, Person | null>): void {
  const { values } = person;
  const recordId = person.id.record_id;
  const [company] = readAs(`person ${recordId} company`, listOrNone(VALUES.reference), values["company"]);
  const held = readAs(`person ${recordId} email_addresses`, listOrNone(ADDRESS), values["email_addresses"]);
  const spellings = held.flatMap((address) => [address.email_address, address.original_email_address]);
  for (const address of spellings.map((spelling) => (spelling ?? "").trim().toLowerCase())) {
    if (!wanted.has(address)) continue;
    const other = people.get(address);
    const isClaimedTwice = other === null || (other !== undefined && other.recordId !== recordId);
    people.set(address, isClaimedTwice ? null : { recordId, companyId: company?.target_record_id });
  }
}

/**
 * Creates a person with an address nobody has: never an upsert, which could overwrite a name. If somebody just did
 * the same, that person is returned; undefined if the conflict is with a person who cannot be found.
 */
export async function createPerson(attio: Service, address: string, name: string) {
  const [first = "", ...others] = name.split(/\s+/);
  const fullName = [{ first_name: first, last_name: others.join(" "), full_name: name }];
  const values = { email_addresses: [address], ...(name !== "" && { name: fullName }) };
  try {
    const recordId = await writeRecord(attio, { method: "POST", path: "/v2/objects/people/records" }, values);
    return { recordId, companyId: undefined, isNew: true };
  } catch (error) {
    if (!(error instanceof ApiError) || error.code !== "uniqueness_conflict") throw error;
    const person = (await lookUpPeople(attio, [address])).get(address);
    return person ? { ...person, isNew: false } : undefined;
  }
}

// ---------------------------------------------------------------- Report ----
// Words only, no decisions: sections of rows, told in the log and in the step summary. They hold ids, counts and
// account-wide totals: no name, no address, and no single customer's amount where others may read them (CI). With
// SHOW_AMOUNTS=0 they hold no amount at all, and no product's name, which may be a customer's.

const WIDTH = 100;
const SAMPLE = 20;

/** A line of the report; it is left out where it counts 0. */
export type Row = Readonly<{ label: string; count?: number; amount?: string; remark?: string }>;
/** The step summary opens the sections that have a place, in that order, and folds the others. */
type Section = Readonly<{ title: string; rows: readonly Row[]; place?: number }>;

function plural(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`;
}

/** "" where amounts are not to be shown. */
function shownAmount(amount: Minor, { books, settings }: Findings, currency = books.currency): string {
  return settings.showsAmounts ? `${formatMinor(amount, currency)} ${currency}` : "";
}

/** How much more the records hold after some changes. */
function shownMove(changes: readonly Change[], currency: string): string {
  const moved = sumMinor(changes.map(({ beforeMinor, afterMinor }) => minor(afterMinor - beforeMinor)));
  return `${moved > 0 ? "+" : ""}${formatMinor(moved, currency)}`;
}

/**
 * All that a run tells before anything is written: what was read, the bridge, the plan, what a person may want to mend;
 * and the `changes` that a dry run lists.
 */
export function reportOf(findings: Findings, plan: Plan) {
  const { books, crm, customers, settings, stripeRequests } = findings;
  const { charges, invoices, longInvoices, subscriptions, paidLater } = books.counts;
  const monthly = stripeRequests * 30;
  const read: Row[] = [
    { label: "charges", count: charges, remark: `created before ${isoOf(books.t0 * 1000)}, as all below` },
    { label: "paid invoices", count: invoices, remark: `${longInvoices} with more than ten lines` },
    { label: "customers", count: customers.size },
    { label: "subscriptions", count: subscriptions, remark: "(of every status)" },
    { label: "records", count: crm.records.size + crm.withoutKey, remark: `in Attio, object ${OBJECT}` },
    { label: "paid later", count: paidLater, remark: "invoices paid since this run began: the next run's" },
    // https://docs.stripe.com/rate-limits
    { label: "reads a month", count: monthly > 10_000 ? monthly : 0, remark: "10000, or 500 a transaction, are free" },
  ];
  const sections: Section[] = [
    { title: "Read", rows: read },
    ...bridgeSections(findings),
    { title: `Revenue by product, in ${books.currency}`, rows: revenueRows(findings, plan), place: 2 },
    { title: `What they pay now, a month, in ${books.currency}`, rows: mrrRows(findings, plan) },
    { title: "Plan", rows: planRows(findings, plan), place: 3 },
    { title: "What changes", rows: newsRows(findings, plan), place: 1 },
    { title: `In ${FALLBACK_SLUG}`, rows: fallbackRows(findings) },
  ];
  const payers = plural(plan.changes.filter(({ afterMinor }) => afterMinor > 0).length, "customer");
  const move = `${shownMove(plan.changes, books.currency)} since the last run`;
  const change = crm.records.size === 0 ? "no record before" : move;
  const total = `total revenue ${shownAmount(plan.totalMinor, findings)} of ${payers}, ${change}`;
  const kept = sections.map((section) => ({ ...section, rows: section.rows.filter(({ count }) => count !== 0) }));
  return {
    /** What a founder looks for. */
    headline: settings.showsAmounts ? total : `total revenue of ${payers}`,
    sections: kept.filter(({ rows }) => rows.length > 0),
    changes: changeSection(findings, plan),
    warnings: warningsOf(findings),
  };
}

/** From captured to counted: the account's currency term by term; the others so as well, or in a line each. */
function bridgeSections(findings: Findings): Section[] {
  const { currency: home, bridge } = findings.books;
  const { isVerbose } = findings.settings;
  const lines = [...bridge].toSorted(([a], [b]) => Number(b === home) - Number(a === home) || (a < b ? -1 : 1));
  const full = lines.filter(([currency]) => currency === home || isVerbose);
  const terms = full.map(([currency, line]): Section => {
    const own = BRIDGE.filter(([kind]) => kind !== "countedAs" || currency !== home);
    const rows = own.map(([kind, label, why, where]): Row => {
      const remark = [why, isVerbose ? where : ""].filter(Boolean).join("; ");
      return { ...tallyRow(label, line[kind], findings, kind === "countedAs" ? home : currency), remark };
    });
    return { title: `Charges in ${currency}`, rows };
  });
  const others = lines.slice(full.length).map(([currency, line]): Row => {
    const way = BRIDGE.slice(0, 5).map(([kind, label]) => tallyRow(label, line[kind], findings, currency));
    const words = way.filter(({ count }) => count > 0).map(({ label, count, amount }) => `${label} ${amount || count}`);
    const { amount } = tallyRow("", line.countedAs, findings);
    return { label: currency, count: line.captured.count, amount, remark: words.join(" ") };
  });
  return [...terms, { title: "Charges in other currencies, counted as Stripe settled them", rows: others }];
}

/** Where others read it, the sum of one would be one customer's amount. */
function tallyRow(label: string, { count, amount: sum }: Tally, findings: Findings, currency?: string) {
  const isOnes = findings.settings.isCi && count === 1;
  return { label, count, amount: isOnes ? "" : shownAmount(sum, findings, currency) };
}

/** What the total consists of, with bars: no pie could show a part below 0. */
function revenueRows(findings: Findings, { columns, unallocated, totalMinor, withoutRecord }: Plan): Row[] {
  const unmapped = findings.unmappedSlugs.map((slug) => [slug, "no mapping names it any more"] as const);
  const remarks = new Map([...unmapped, ["unallocated", "paid without an invoice, less refunds"]]);
  const parts = [...columns, ["unallocated", unallocated] as const];
  const largest = Math.max(1, ...parts.map(([, amount]) => Math.abs(amount)));
  const rows = parts.map(([label, amount]): Row => {
    const bar = (amount < 0 ? "░" : "█").repeat(Math.ceil((20 * Math.abs(amount)) / largest));
    return { label, amount: shownAmount(amount, findings), remark: `${bar} ${remarks.get(label) ?? ""}`.trim() };
  });
  rows.push({ label: "= total revenue", amount: shownAmount(totalMinor, findings) });
  const shown = findings.settings.showsAmounts ? rows : unmapped.map(([label, remark]) => ({ label, remark }));
  return [...shown, { ...tallyRow("· no record", withoutRecord, findings), remark: "paid invoices" }];
}

function mrrRows(findings: Findings, { mrrWithoutRecord }: Plan): Row[] {
  const { mrr, untold, running } = findings.books;
  const terms = { "list price": mrr.list, "- coupons": mrr.coupons, "- paused": mrr.paused, "= mrr": mrr.net };
  const way = Object.entries(terms).map(([label, { amount }]) => ({ label, amount: shownAmount(amount, findings) }));
  return [
    ...(findings.settings.showsAmounts && running.size > 0 ? way : []),
    tallyRow("· scheduled to end", mrr.ending, findings),
    { ...tallyRow("· trials", mrr.trials, findings), remark: "at list price" },
    ...[...untold].map(([why, count]) => ({ label: `· cannot be told: ${why}`, count, remark: "customers" })),
    tallyRow("· no record", mrrWithoutRecord, findings),
  ];
}

function planRows({ settings, crm, people }: Findings, { changes, counts, leftAlone, totalMinor }: Plan): Row[] {
  const newPeople = [...people.values()].filter((person) => person?.recordId === NEW_PERSON).length;
  const alone = changes.filter(({ afterMinor, hasPerson }) => afterMinor > 0 && !hasPerson);
  alone.sort((a, b) => b.afterMinor - a.afterMinor);
  const share = (100 * sumMinor(alone.map(({ afterMinor }) => afterMinor))) / totalMinor;
  const isShown = settings.showsAmounts && !(settings.isCi && alone.length === 1);
  const amount = isShown ? `${share.toFixed(1)} % of revenue` : "";
  return [
    { label: "create", count: counts.create },
    { label: "update", count: counts.update },
    { label: "refresh", count: counts.refresh, remark: "equal, last written over REFRESH_DAYS ago" },
    { label: "unchanged", count: counts.unchanged },
    { label: "left out", count: counts["left out"], remark: "not created because of --update-only" },
    { label: "left alone", count: leftAlone, remark: "records without a charge in this Stripe account" },
    { label: "without a key", count: crm.withoutKey, remark: "records without a stripe_customer_id, left alone" },
    { label: "people to create", count: newPeople, remark: "for payers whose address nobody has" },
    { label: "payers without a person", count: alone.length, amount, remark: idsOf(alone, settings) },
  ];
}

/** A few ids where only the person who started the run reads them. */
function idsOf(changes: readonly Change[], { isCi, isVerbose }: Settings): string {
  const shown = changes.slice(0, isVerbose ? SAMPLE : 3).map(({ customerId }) => customerId);
  const more = changes.length - shown.length;
  return isCi ? "" : `${shown.join(", ")}${more > 0 ? ` +${more} more` : ""}`;
}

/** What happened since the last run: the amounts add up to the headline's difference. */
function newsRows({ settings, books: { currency } }: Findings, { changes }: Plan): Row[] {
  const news = (label: string, those: readonly Change[], details = "", isMoney = true): Row => {
    // Where others read it, the sum of one customer would be this customer's amount.
    const isShown = isMoney && settings.showsAmounts && !(settings.isCi && those.length === 1);
    const largest = isShown && those.length > 5 ? `3 largest: ${shownMove(those.slice(0, 3), currency)}` : "";
    const remark = [details, largest, idsOf(those, settings)].filter(Boolean).join("; ");
    return { label, count: those.length, amount: isShown ? shownMove(those, currency) : "", remark };
  };
  const unknown = changes.filter(({ record }) => record === undefined);
  const known = changes.filter(({ record }) => record !== undefined);
  const more = known.filter(({ beforeMinor, afterMinor }) => afterMinor > beforeMinor);
  const less = known.filter(({ beforeMinor, afterMinor }) => afterMinor < beforeMinor);
  const toZero = less.filter(({ afterMinor }) => afterMinor === 0).length;
  const moved = known.filter(({ values }) => values.has("subscription_status"));
  const byStatus = Map.groupBy(moved, ({ values }) => values.get("subscription_status"));
  const statuses = [...byStatus].map(([status, those]) => `${those.length} ${status}`).join(", ");
  return [
    news("new payers", unknown),
    news("paid more", more),
    news("refunded", less, toZero > 0 ? `${toZero} to 0` : ""),
    news("changes of status", moved, statuses, false),
  ];
}

/** What went to `spend_other` unasked, by product or reason, the largest first: as much of it as is shown. */
function fallbackOf({ fallback }: Books): [id: string, amount: Minor][] {
  return [...fallback].toSorted((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1)).slice(0, SAMPLE);
}

function fallbackRows(findings: Findings): Row[] {
  const { books, productNames, settings } = findings;
  const rows = fallbackOf(books).map(([label, sum]): Row => {
    return { label, amount: shownAmount(sum, findings), remark: productNames.get(label) ?? "" };
  });
  const hint = { label: `suggest products: ${settings.commands.suggestProducts}` };
  const isMappable = rows.some(({ label }) => !NOT_PRODUCTS.has(label));
  const others = { label: "and others", count: books.fallback.size - rows.length };
  return isMappable ? [...rows, others, hint] : rows;
}

/** What must not be overlooked, each in a sentence. */
function warningsOf(findings: Findings): string[] {
  const { books } = findings;
  const told = (kind: BridgeKind, what: string): string => {
    const held = [...books.bridge].filter(([, line]) => line[kind].count > 0);
    const count = held.reduce((sum, [, line]) => sum + line[kind].count, 0);
    const sums = held.map(([currency, line]) => shownAmount(line[kind].amount, findings, currency) || currency);
    return count === 0 ? "" : `${plural(count, what)} (${sums.join(", ")})`;
  };
  const [aside, bills, guests] = [told("setAside", "charge"), told("noRate", "paid invoice"), told("guests", "charge")];
  const [home, better] = [books.currency, adviseCurrency(books)?.currency];
  const isNobodys = guests !== "" && told("counted", "charge") === "";
  return [
    aside && `Not included: ${aside}, not settled in ${home}. Most of that would count with CURRENCY=${better}.`,
    bills && `Not included: ${bills}, as no charge of their customers tells a rate.`,
    isNobodys ? `Nobody gets a record: all ${guests} are without a customer. Let your checkout create customers.` : "",
  ].filter(Boolean);
}

/** What a dry run shows of its changes: ids and attributes; by hand also the revenue. */
function changeSection({ settings, books }: Findings, plan: Plan): Section {
  const writes = plan.changes.filter(({ values }) => values.size > 0);
  const rows = writes.slice(0, SAMPLE).map(({ outcome, customerId, values, record, afterMinor }): Row => {
    const revenue = `${record?.values.get("total_revenue") ?? "none"} -> ${formatMinor(afterMinor, books.currency)}`;
    const slugs = [...values.keys()].filter((slug) => slug !== MATCH_KEY && slug !== "last_synced_at");
    const remark = record === undefined ? "all attributes" : slugs.join(", ");
    const amount = settings.showsAmounts && !settings.isCi ? revenue : "";
    return { label: `${outcome.padEnd(7)} ${customerId}`, amount, remark };
  });
  return { title: `Changes, largest first${writes.length > SAMPLE ? `: ${SAMPLE} of ${writes.length}` : ""}`, rows };
}

function cellsOf({ label, count, amount = "", remark = "" }: Row) {
  return [oneLine(label, Infinity), String(count ?? ""), oneLine(amount, Infinity), oneLine(remark, Infinity)] as const;
}

/** A section as lines of text, in columns; a remark that is too long for its line goes on below. */
function logLines({ title, rows }: Section): string[] {
  const cells = rows.map(cellsOf);
  const inColumns = cells.filter((row) => row.slice(1).some(Boolean)); // a label alone may be longer
  const width = (at: 0 | 1 | 2): number => inColumns.reduce((most, row) => Math.max(most, row[at].length), 0);
  const [first, second, third] = [width(0), width(1), width(2)];
  const lines = cells.flatMap(([label, count, amount, remark]) => {
    const columns = [label.padEnd(first), count.padStart(second), amount.padStart(third)].filter(Boolean);
    const start = `  ${[...columns, ""].join("  ")}`;
    const parts = remark.match(new RegExp(`.{1,${Math.max(30, WIDTH - start.length)}}(?: |$)|\\S+`, "g")) ?? [""];
    return parts.map((part, at) => `${at === 0 ? start : " ".repeat(start.length)}${part}`.trimEnd());
  });
  return [oneLine(title, Infinity), ...lines, ""];
}

/** Text for Markdown: nothing in it can end a table cell, start a tag, a link or a mention. */
function markdown(cell: string): string {
  return oneLine(cell, Infinity)
    .trim()
    .replace(/[\\`*_{}[\]<>#|~@&:]|(?<=www)\./g, (mark) => `&#${mark.codePointAt(0)};`);
}

function markdownOf({ title, rows, place }: Section): string {
  const cells = rows.map(cellsOf);
  const used = ([0, 1, 2, 3] as const).filter((at) => at === 0 || cells.some((row) => row[at] !== ""));
  const line = (row: ReturnType<typeof cellsOf>): string => `| ${used.map((at) => markdown(row[at])).join(" | ")} |`;
  const rule = `|${used.map((at) => (at === 1 || at === 2 ? "---:" : "---")).join("|")}|`;
  const table = [line(["", "Count", "Amount", ""]), rule, ...cells.map(line)].join("\n");
  if (place !== undefined) return `### ${markdown(title)}\n\n${table}`;
  return `<details><summary>${markdown(title)}</summary>\n\n${table}\n\n</details>`;
}

/** What a program tells in GitHub's step summary beside its problems; `lines` are Markdown. */
type Told = Readonly<{ heading: string; lines: readonly string[]; sections: readonly Section[] }>;
type Problem = Readonly<{ kind: "error" | "warning"; line: string }>;

/** Headline, problems, the sections that have a place, then the others, folded. */
export function stepSummary(problems: readonly Problem[], { heading, lines, sections }: Told): string {
  const attention = problems.some(({ kind }) => kind === "error") ? ": needs attention" : "";
  const quote = ({ kind, line }: Problem): string => `> **${kind}** ${line.split("\n").map(markdown).join("  \n> ")}`;
  const more = problems.length > 50 ? [`> and ${problems.length - 50} more, in the log`] : [];
  const blocks = sections.toSorted((a, b) => (a.place ?? 9) - (b.place ?? 9)).map(markdownOf);
  const quoted = [...problems.slice(0, 50).map(quote), ...more];
  return `${[`## ${markdown(heading)}${attention}`, ...lines, ...quoted, ...blocks].join("\n\n")}\n`;
}

// ------------------------------------------------------------------ Main ----
// The order of a run. Only this section knows everything; only `processIo` touches the process.

/** What a program accepts, and the screen behind `--help`, which looks the same for all. */
export function usageOf(
  program: string,
  purpose: string,
  options: Readonly<Record<string, string>>,
  examples: readonly string[],
  settings: readonly string[] = SETTINGS.map(([name]) => name),
) {
  const flags = Object.keys(options);
  const two = ([left, right]: readonly [string, string]): string => `  ${left.padEnd(20)}${right}`;
  const listed = SETTINGS.filter(([name]) => settings.includes(name));
  const help = [
    `usage: ${[program, ...flags.map((flag) => `[${flag}]`)].join(" ")}\n\n${purpose}\n\noptions:`,
    ...Object.entries({ ...options, "--help": "show this", "--version": "show the version" }).map(two),
    "\nsettings (environment variables, or lines of the file .env beside the program), with their defaults:",
    ...listed.map(([name, fallback, meaning]) => two([name, `${meaning} (${fallback})`])),
    "\nexamples:",
    ...examples.map((example) => `  ${example}`),
    "\nexit codes: 0 all good, 1 the run or a record failed, 2 wrong usage or settings (nothing was requested)\n",
  ].join("\n");
  return { flags, help };
}

const USAGE: Usage = {
  requires: ["STRIPE_API_KEY", "ATTIO_API_KEY"],
  ...usageOf(
    "node sync.ts",
    "Reads what every customer paid from Stripe and keeps one record per paying customer in Attio.",
    {
      "--dry-run": "everything but the writes: report, plan, up to 20 changes",
      "--update-only": "write to records that exist, create none",
      "--force": "go on where a brake that can be passed stopped the run",
      "--verbose": "report every id, currency and remark",
    },
    ["npm start -- --dry-run", "npm start", "CURRENCY=eur npm start -- --update-only"],
  ),
};

export type Log = ReturnType<typeof createLog>;

/** Prints lines; a key never passes. Problems are also GitHub annotations, and kept for the step summary. */
function createLog({ env, out, err, isTerminal, every }: Io) {
  const problems: Problem[] = [];
  const secrets = [env["STRIPE_API_KEY"], env["ATTIO_API_KEY"]].map((key = "") => key.trim()).filter(Boolean);
  let isDrawn = false;
  let endTimer = (): void => undefined;
  const safe = (text: string): string =>
    secrets.reduce((result, secret) => result.replaceAll(secret, "(secret)"), text);
  const erase = (): void => {
    if (isDrawn) out("\r\u001b[2K");
    isDrawn = false;
  };
  const print = (text: string, write = out): void => {
    erase();
    write(`${safe(text)}\n`);
  };
  const problem = (kind: Problem["kind"], line: string): void => {
    problems.push({ kind, line: safe(line) });
    print(line, err);
    // `%` and line ends would end the annotation, or start another command.
    const escaped = safe(line).replaceAll("%", "%25").replaceAll("\r", "%0D").replaceAll("\n", "%0A");
    if (env["GITHUB_ACTIONS"] === "true") print(`::${kind} title=stripe-attio-sync::${escaped}`, err);
  };
  return {
    problems,
    /** How many records were written by now: what the last sentence of a failure is about. */
    written: 0,
    line: (line: string): void => print(line),
    tell: (...sections: readonly Section[]): void => sections.flatMap(logLines).forEach((line) => print(line)),
    note: (line: string): void => print(line, err),
    warn: (line: string): void => problem("warning", line),
    error: (line: string): void => problem("error", line),
    /** Shows how far a step is, over one line on a terminal, else every 10 s; until `endProgress`. */
    follow(describe: () => string): void {
      endTimer = every(isTerminal ? 200 : 10_000, () => {
        print(describe(), (line) => out(isTerminal ? line.trimEnd() : line));
        isDrawn = isTerminal;
      });
    },
    endProgress: (): void => (endTimer(), erase()),
  };
}

/** Runs a program: `--help`, settings, and failures that end in a sentence. `body` returns the exit code. */
export async function runProgram(
  io: Io,
  usage: Usage,
  body: (settings: Settings, log: Log, connection: Connection) => Promise<number>,
): Promise<number> {
  const screens = { "--help": usage.help, "-h": usage.help, "--version": `stripe-attio-sync ${VERSION}\n` };
  const screen = Object.entries(screens).find(([flag]) => io.args.includes(flag))?.[1];
  if (screen !== undefined) {
    io.out(screen);
    return 0;
  }
  const log = createLog(io);
  const end = new AbortController();
  const stop = AbortSignal.any([io.stop, end.signal]);
  try {
    const settings = readSettings(io.env, io.args, usage);
    settings.warnings.forEach(log.warn);
    return await body(settings, log, { clock: io.clock, stop, onRetry: log.note, timeoutMs: io.timeoutMs });
  } catch (error) {
    log.error(failureText(error, log.written));
    writeStepSummary(io.env["GITHUB_STEP_SUMMARY"] ?? "", log, { heading: "Stripe to Attio", lines: [], sections: [] });
    return error instanceof SettingsError ? 2 : 1;
  } finally {
    end.abort(); // nobody goes on reading, or speaks up, after the end
    log.endProgress();
  }
}

/** What failed, what to do about it, and what was written before. */
function failureText(error: unknown, written: number): string {
  if (error instanceof SettingsError) return error.message;
  const isTold = error instanceof RunError || error instanceof UnexpectedError;
  const bug = `A bug in this program, please report it: ${error instanceof Error ? error.stack : String(error)}`;
  const later = error instanceof ApiError && error.isOutage ? " Run it again later." : "";
  const count = `${plural(written, "record was", "records were")} written. A re-run is safe.`;
  return `${isTold ? error.message : bug}${later}\n${written === 0 ? "Nothing was written." : count}`;
}

/** Adds to the page of the run on GitHub; its failure fails nothing. */
export function writeStepSummary(path: string, log: Log, told: Told): void {
  try {
    if (path !== "") appendFileSync(path, stepSummary(log.problems, told));
  } catch (error) {
    log.warn(`The step summary could not be written: ${oneLine(String(error))}`);
  }
}

/** Anything of which the books are made. */
export type Found = Charge | Invoice | Customer | Subscription;
/** What is read of Stripe by now. */
type SoFar = { readonly books: Books; readonly customers: Customers };
/** Of whom to read, everybody where no customer is named; and who is told of each object, and of the last customer. */
type Whose = {
  readonly customer?: string;
  readonly onFound: (object: Found) => void;
  readonly onCustomers?: (read: SoFar) => Promise<void>;
  readonly warn: (line: string) => void;
};

/** Reads what Stripe has as of now, of everybody or of one customer, into books, and closes them. */
export async function readBooks(stripe: Service, settings: Settings, { customer, onFound, ...tell }: Whose) {
  const scope = { t0: Math.floor(stripe.clock.now() / 1000), ...(customer !== undefined && { customer }) };
  const books = openBooks(settings, scope.t0);
  const customers = new Map<string, Customer>();
  const soFar = { books, customers };
  const found = <T extends Found>(enter: (books: Books, object: T) => void) => (object: T): void => {
    enter(books, object);
    onFound(object);
  }; // prettier-ignore
  const foundCustomer = found((_, one: Customer) => void customers.set(one.id, one));
  const ofCharges = { ...scope, isUnclear: (charge: Charge) => needsBalance(charge, books.currency) };
  const onRefusal = ({ message }: ApiError): void =>
    tell.warn(`Stripe does not tell what was paid outside of it: such money counts as collected. ${message}`);
  const ofInvoices = { ...scope, onRefusal, hasLines: customer !== undefined || settings.productSlugs.size > 0 };
  const ofSubscriptions = { ...scope, isUnclear: (one: Subscription) => couponIdsOf(one, null).includes("") };
  if (customer !== undefined) await readCustomer(stripe, customer, foundCustomer);
  await Promise.all([
    readList(stripe, STRIPE_LISTS.charges, ofCharges, found(addCharge)),
    readInvoices(stripe, ofInvoices, found(addInvoice)),
    readList(stripe, STRIPE_LISTS.subscriptions, ofSubscriptions, found(addSubscription)),
    customer === undefined &&
      readList(stripe, STRIPE_LISTS.customers, scope, foundCustomer).then(() => tell.onCustomers?.(soFar)),
  ]);
  closeBooks(books);
  const coupons = await readCoupons(stripe, couponsNeeded(books, customers), tell.warn);
  closeSubscriptions(books, customers, coupons);
  return { ...soFar, coupons };
}

/** What a plan must not be made of: one customer with two records, or a currency that most of the money is not in. */
function refuseToPlan(books: Books, { duplicates, records }: Crm): void {
  const listed = [...duplicates].map(([customerId, ids]) => `\n  - ${oneLine(customerId)}: records ${ids.join(", ")}`);
  const count = plural(duplicates.size, "customer");
  const remedy = "Delete all but one of each there, whichever, then run again.";
  if (duplicates.size > 0)
    throw new RunError(`${count} with more than one record in Attio:${listed.slice(0, SAMPLE).join("")}\n${remedy}`);
  const advice = adviseCurrency(books);
  if (advice?.isMost !== true || records.size > 0) return;
  const most = `More of this account's revenue is settled in ${advice.currency} than in ${books.currency}.`;
  throw new RunError(`${most} Set CURRENCY=${advice.currency}, and make the object in it.`);
}

/** The names that the report shows; none where the key may not read products, which is no fault. */
async function readProductNames(stripe: Service, books: Books, { showsAmounts }: Settings) {
  const ids = fallbackOf(books).flatMap(([id]) => (showsAmounts && !NOT_PRODUCTS.has(id) ? [id] : []));
  const products = await readProducts(stripe, ids).catch((error: unknown) => {
    if (error instanceof ApiError) return [];
    throw error;
  });
  return new Map(products.map(({ id, name }) => [id, oneLine(name)]));
}

/** What came of a plan: how many records, and what else the last line says. */
type Done = Readonly<Record<"created" | "updated" | "refreshed" | "unchanged" | "failed", number>>;
type Applied = Readonly<{ done: Done; isGood: boolean; notes: readonly string[] }>;

/** Writes what the plan says, largest change first. A record's refusal is named and does not stop the others. */
async function applyPlan(attio: Service, plan: Plan, log: Log): Promise<Applied> {
  const done = { created: 0, updated: 0, refreshed: 0, unchanged: plan.counts.unchanged, failed: 0 };
  const writes = plan.changes.filter(({ values }) => values.size > 0);
  log.follow(() => `writing  ${log.written} of ${writes.length} records written`);
  const write = async ({ customerId, outcome, values }: Change): Promise<void> => {
    const isWhole = await assertRecord(attio, values);
    const without = `${oneLine(customerId)} was written without its links: one was deleted meanwhile.`;
    if (!isWhole) log.warn(`${without} The next run looks again.`);
    done[outcome === "create" ? "created" : outcome === "update" ? "updated" : "refreshed"] += 1;
    log.written += 1;
  };
  const ending = await writeEach(attio, writes, write, ({ customerId }, error) => {
    const isUnsure = error instanceof ApiError ? error.mayHaveTakenEffect : error instanceof UnexpectedError;
    const [id, why] = [oneLine(customerId), error.message];
    log.error(isUnsure ? `${id} may not have been written. ${why}` : `${id} was not written. ${why}`);
    done.failed += 1;
  });
  log.endProgress();
  const rest = `${writes.length - log.written - done.failed} were not tried. A re-run is safe and writes the rest.`;
  if (ending !== "") log.error(`${ending}: ${log.written} of ${writes.length} changes were written, ${rest}`);
  return { done, isGood: done.failed === 0 && ending === "", notes: [] };
}

/**
 * Calls `write` for each, sixteen at a time, and `fail` for what was refused. Returns why it ended before the last: it
 * was stopped, or ten in a row failed for reasons that are not theirs, whatever mix of them. "" where it did not.
 */
async function writeEach<T>(
  attio: Service,
  all: readonly T[],
  write: (one: T) => Promise<void>,
  fail: (one: T, error: Error) => void,
): Promise<string> {
  let reasons: string[] = [];
  const isOver = (): boolean => reasons.length >= 10;
  const work = async (one: T): Promise<void> => {
    if (isOver() || attio.stop.aborted) return;
    const error: unknown = await write(one).catch((thrown: unknown) => thrown);
    if (error instanceof StoppedError) return;
    if (error instanceof Error) fail(one, error);
    const reason = outsideReason(error);
    if (!isOver()) reasons = reason === "" ? [] : [...reasons, reason];
  };
  const tasks = all.map((one) => () => work(one));
  await createCrew(WRITE_WORKERS, tasks).done();
  if (!isOver()) return attio.stop.aborted ? String(attio.stop.reason.message) : "";
  return `10 records in a row failed for reasons that are not theirs (${[...new Set(reasons)].join(", ")})`;
}

/** Why other records would fail as well; "" where the failure, if it is one, is the record's own. */
function outsideReason(error: unknown): string {
  if (error instanceof UnexpectedError) return "an answer that does not show the record";
  if (!(error instanceof ApiError)) return "";
  const { status, code } = error;
  const isOwn = status >= 400 && status < 500 && ![401, 403, 429].includes(status);
  if (isOwn && !/quota|billing|particle_gate/.test(code)) return "";
  return status === 0 ? "no answer" : `${status} ${code || "without JSON"}`;
}

/** Somebody to create, with the first customer who asks for it; customers who share an address share the person. */
type Newcomer = { readonly address: string; readonly name: string; readonly customerId: string };

/** With CREATE_PEOPLE: the payers whose address nobody has, but for records whose person anybody else chose. */
function findNewcomers({ settings, books, customers, crm, people }: Findings): Newcomer[] {
  const newcomers = new Map<string, Newcomer>();
  for (const { customerId, totalMinor } of settings.createsPeople ? books.ledgers.values() : []) {
    const customer = customers.get(customerId);
    const address = addressOf(customer);
    const record = crm.records.get(customerId);
    const isWritten = totalMinor > 0 && !(record === undefined && settings.isUpdateOnly);
    const isChosen = record?.setByOthers.has("person") === true;
    const isKnown = people.has(address) && people.get(address)?.recordId !== NEW_PERSON;
    if (!isWritten || isChosen || isKnown || !/^[^\s@]+@[^\s@]+\.[^\s@]+$/.test(address)) continue;
    const name = newcomers.get(address)?.name || (customer?.name ?? "").trim();
    newcomers.set(address, { address, name, customerId });
  }
  return [...newcomers.values()];
}

/** Creates them. Returns the people with them, an address that is refused staying nobody's, and how many are new. */
async function createPeople(attio: Service, newcomers: Newcomer[], known: Findings["people"], log: Log) {
  const people = new Map([...known].filter(([, person]) => person?.recordId !== NEW_PERSON));
  let created = 0;
  log.follow(() => `writing  ${created} of ${newcomers.length} people created`);
  const create = async ({ address, name }: Newcomer): Promise<void> => {
    const person = await createPerson(attio, address, name);
    if (person !== undefined) people.set(address, person);
    if (person?.isNew === true) created += 1;
  };
  const ending = await writeEach(attio, newcomers, create, ({ customerId }, error) => {
    const isUnsure = error instanceof ApiError && error.mayHaveTakenEffect;
    const what = isUnsure ? "one may have been created, and is linked tomorrow" : "none could be created";
    log.warn(`${oneLine(customerId)} gets no person: ${what}. ${error.message}`);
  });
  log.endProgress();
  if (ending !== "") log.warn(`${ending}: ${created} of ${newcomers.length} people were created.`);
  return { people, created };
}

/** What every step of a run works with. */
type Job = Readonly<{ settings: Settings; log: Log; io: Io; stripe: Service; attio: Service; startedAt: number }>;

/** Step 1. Throws with everything that is wrong, at once: where neither service can be reached, both are named. */
async function check({ settings, log, stripe, attio }: Job) {
  const checks = [checkStripe(stripe), checkAttio(attio, settings)] as const;
  const ends = await Promise.allSettled(checks);
  const reasons: unknown[] = ends.map((end) => end.status === "rejected" && end.reason);
  const outages = reasons.filter((reason) => reason instanceof ApiError).filter(({ isOutage }) => isOutage);
  const said = outages.map(({ message }) => message).join("\n");
  if (outages.length === 2) throw new RunError(`${said}\nBoth are out of reach. Run it again later.`);
  const [ofStripe, { problems, workspace, ...place }] = await Promise.all(checks);
  const wrong = [...ofStripe, ...problems];
  if (wrong.length > 0)
    throw new RunError([`${plural(wrong.length, "thing")} to put right before a run:`, ...wrong].join("\n  - "));
  const mode = `Stripe in ${settings.mode} mode`;
  log.line(`check: both keys work, ${mode}, Attio workspace "${workspace}", version ${VERSION}\n`);
  return place;
}

/** Step 2: all that both services have, as of one instant. */
async function readServices(run: Job, place: Awaited<ReturnType<typeof check>>): Promise<Findings> {
  const { settings, log, stripe, io } = run;
  const { books, customers, crm, found, productNames } = await readAll(run, place.spendSlugs);
  refuseToPlan(books, crm);
  log.endProgress();
  const { people, refused } = found;
  const odd = plural(refused, "e-mail address", "e-mail addresses");
  if (refused > 0) log.warn(`Attio would not search for ${odd}: links of those customers stay as they are.`);
  const [stripeRequests, nowMs] = [stripe.stats.requests, io.clock.now()];
  const findings = { settings, books, customers, crm, people, productNames, ...place, stripeRequests, nowMs };
  const newcomers = findNewcomers(findings);
  const planned = newcomers.map(({ address }) => [address, { recordId: NEW_PERSON, companyId: undefined }] as const);
  return { ...findings, people: new Map([...people, ...planned]) };
}

/**
 * Reads both services. Who the payers are is asked once customers and records are known, while charges are still being
 * read; at the end, of those who came since. Each address once.
 */
async function readAll({ settings, log, io, stripe, attio }: Job, spendSlugs: readonly string[]) {
  const found = noPeople();
  const asked = new Set<string>();
  const startedAt = io.clock.elapsed();
  let rows = 0;
  log.follow(() => {
    const rate = (1000 * rows) / Math.max(1, io.clock.elapsed() - startedAt);
    return `reading  ${rows} rows from Stripe, ${rate.toFixed(0)} rows/s`;
  });
  const place = { spendSlugs, currency: settings.currency };
  const crmRead = readCrm(attio, place);
  const ask = async ({ books, customers }: SoFar): Promise<void> => {
    const { records } = await crmRead;
    const payers = [...books.ledgers.values()].filter((one) => getsRecord(one, records.get(one.customerId)));
    const addresses = new Set(payers.map(({ customerId }) => addressOf(customers.get(customerId)))).difference(asked);
    for (const address of addresses) asked.add(address);
    await lookUpPeople(attio, addresses, found);
  };
  const onFound = (): void => void (rows += 1);
  const reading = readBooks(stripe, settings, { onFound, onCustomers: ask, warn: log.warn });
  const [{ books, customers }, crm] = await Promise.all([reading, crmRead]);
  // A record deleted in Attio while its pages were read moves others past the reader: look again before creating.
  const unseen = [...books.ledgers.values()].filter((one) => one.totalMinor > 0 && !crm.records.has(one.customerId));
  const again = readCrm(attio, place, crm.records.size > 0 ? unseen.map(({ customerId }) => customerId) : [], crm);
  const names = readProductNames(stripe, books, settings);
  const [productNames] = await Promise.all([names, again, ask({ books, customers })]);
  return { books, customers, crm, found, productNames };
}

/** Step 3. */
function report({ settings, log }: Job, findings: Findings, plan: Plan): void {
  const { headline, sections, changes, warnings } = reportOf(findings, plan);
  log.line(`${headline}\n`);
  log.tell(...sections, ...(settings.isDryRun && changes.rows.length > 0 ? [changes] : []));
  warnings.forEach(log.warn);
}

/** Step 5. Says why the run stops before its first write, or why it goes on all the same. */
function isBraked({ settings, log }: Job, findings: Findings, plan: Plan): boolean {
  const brake = findBrake(plan, findings);
  if (brake === undefined) return false;
  const isForced = brake.isForceable && settings.flags.has("--force");
  if (isForced) log.warn(`Going on because of --force. ${brake.message}`);
  else log.error(`Stopped before the first write. ${brake.message}\nNothing was written.`);
  return !isForced;
}

/** Step 6: first the people that are to be created, then the records. A signal now lets what is in flight end. */
async function apply({ attio, io, log }: Job, findings: Findings, plan: Plan): Promise<Applied> {
  const writing = { ...attio, stop: io.stop, cutsInFlight: false };
  const newcomers = findNewcomers(findings);
  if (newcomers.length === 0) return applyPlan(writing, plan, log);
  const { people, created } = await createPeople(writing, newcomers, findings.people, log);
  const applied = await applyPlan(writing, planChanges({ ...findings, people }), log);
  return { ...applied, notes: created === 0 ? [] : [`${plural(created, "person", "people")} created`] };
}

/** What is said of a plan that is not applied: by a dry run what a live one would do, by a braked one that none was. */
function applyNothing({ counts }: Plan, { isDryRun }: Settings, isStopped: boolean): Applied {
  const { create, update, refresh, unchanged } = isStopped ? { ...counts, create: 0, update: 0, refresh: 0 } : counts;
  const done = { created: create, updated: update, refreshed: refresh, unchanged, failed: 0 };
  return { done, isGood: !isStopped, notes: isDryRun ? ["dry run: nothing was written"] : [] };
}

/** Step 7. The step summary has all that `--verbose` would say. */
function sumUp({ settings, log, io, ...run }: Job, findings: Findings, plan: Plan, { done, notes }: Applied): void {
  const services = [run.stripe, run.attio];
  const retries = services.reduce((sum, { stats }) => sum + stats.retries, 0);
  const facts = [
    `${((io.clock.elapsed() - run.startedAt) / 1000).toFixed(1)} s`,
    ...services.map(({ name, stats }) => `${name.toLowerCase()} ${plural(stats.requests, "request")}`),
    plural(retries, "retry", "retries"),
    ...(settings.isUpdateOnly ? [`${plan.counts["left out"]} left out by --update-only`] : []),
    ...notes,
  ];
  const counts = Object.entries(done).map(([outcome, count]) => `${outcome}=${count}`);
  const lastLine = `done: ${counts.join(" ")} (${facts.join(", ")})`;
  const { headline, sections } = reportOf({ ...findings, settings: { ...settings, isVerbose: true } }, plan);
  const heading = settings.isDryRun ? "Stripe to Attio, dry run" : "Stripe to Attio";
  const lines = [`**${headline}**`, `\`${lastLine}\``];
  writeStepSummary(settings.stepSummaryPath, log, { heading, lines, sections });
  log.line(headline);
  log.line(lastLine);
}

/** One run, in the seven steps of the header. Returns the exit code. */
export async function main(io: Io): Promise<number> {
  return runProgram(io, USAGE, async (settings, log, connection) => {
    if (settings.isDryRun) log.line("dry run: nothing will be written");
    const services = { stripe: connectStripe(settings, connection), attio: connectAttio(settings, connection) };
    const run = { settings, log, io, ...services, startedAt: io.clock.elapsed() };
    const place = await check(run);
    const findings = await readServices(run, place);
    const plan = planChanges(findings);
    report(run, findings, plan);
    const isStopped = isBraked(run, findings, plan);
    const isApplied = !isStopped && !settings.isDryRun;
    const applied = isApplied ? await apply(run, findings, plan) : applyNothing(plan, settings, isStopped);
    sumUp(run, findings, plan, applied);
    return applied.isGood ? 0 : 1;
  });
}

/** Where a program's lines go, and where it runs. */
export type Io = ReturnType<typeof processIo>;

/** The process as a program sees it, with the settings in the file `.env` of a directory, if one is named. */
export function processIo(directory?: string) {
  const envFile = directory === undefined ? "" : join(directory, ".env");
  try {
    if (existsSync(envFile)) process.loadEnvFile(envFile); // what is set already wins
  } catch (error) {
    process.stderr.write(`${envFile} could not be read: ${oneLine(String(error))}\n`);
  }
  const args: readonly string[] = process.argv.slice(2);
  const stop = new AbortController();
  // A reader that is gone (`| head`) is no reason to end a run half-way.
  for (const stream of [process.stdout, process.stderr]) stream.on("error", () => undefined);
  for (const signal of ["SIGINT", "SIGTERM"] as const)
    process.once(signal, () => stop.abort(new StoppedError(`Stopped by ${signal}`)));
  return {
    args,
    env: process.env,
    clock: {
      now: () => Date.now(),
      elapsed: () => performance.now(),
      random: () => Math.random(),
      sleep: async (ms: number, signal: AbortSignal) => {
        await sleep(ms, undefined, { signal }).catch(() => undefined);
        signal.throwIfAborted();
      },
    },
    /** Aborted by SIGTERM or SIGINT. */
    stop: stop.signal,
    out: (text: string): void => void process.stdout.write(text),
    err: (text: string): void => void process.stderr.write(text),
    /** A person watches: a line may be drawn over. */
    isTerminal: process.stdout.isTTY === true && process.env["TERM"] !== "dumb",
    /** Calls back every so many ms until the returned function is called. */
    every: (ms: number, callback: () => void) => {
      const timer = setInterval(callback, ms);
      return () => clearInterval(timer);
    },
    timeoutMs: TIMEOUT_MS,
  };
}

// Older ones know no `import.meta.main`, or warn of types: they would run nothing, and exit 0.
const [major = 0, minorVersion = 0] = process.versions.node.split(".").map(Number);
if (major < 24 || (major === 24 && minorVersion < 12)) {
  const advice = "After npm ci, npm start brings its own.";
  process.stderr.write(`Node ${process.versions.node} is too old: 24.12 is needed. ${advice}\n`);
  process.exit(2);
}

if (import.meta.main) process.exitCode = await main(processIo(import.meta.dirname));
