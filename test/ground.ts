// ground.ts - what the tests of whole runs stand on: small accounts, the oracle's view of a world, and searches.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { copyFileSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after } from "node:test";
import { SANDBOX_PRODUCT_SLUGS } from "../sandbox/account.ts";
import { SANDBOX_ATTIO_DAILY_KEY, SANDBOX_ATTIO_KEY } from "../sandbox/attio.ts";
import type { PlainRecord, PlainValue } from "../sandbox/attio.ts";
import { aCharge, aCustomer, anInvoice, anInvoiceLine, stripeId } from "../sandbox/objects.ts";
import type { Call, Exchange, FaultRule, SandboxServer } from "../sandbox/server.ts";
import { SANDBOX_STRIPE_KEY, SANDBOX_STRIPE_TEST_KEY, emptyAccount } from "../sandbox/stripe.ts";
import type { StripeDiscount } from "../sandbox/objects.ts";
import type { StripeAccount } from "../sandbox/stripe.ts";
import { isObject } from "../sync.ts";
import { decimalOf, expectedRecords } from "./oracle.ts";
import type { ExpectedRecord, OracleInput } from "./oracle.ts";
import { aWorld, printed } from "./world.ts";
import type { Run, World, WorldOptions } from "./world.ts";

/** A product of the seeded accounts that has an attribute of its own. */
export const PRO = "prod_SbxProMonthly1";
export const SECRET_PATH = "/ping/5d1f-not-to-be-printed";
export const DAY_MS = 86_400_000;

// -------------------------------------------------------------- Accounts ----

/** The id of the n-th payer of `payers`. */
export function payerId(n: number): string {
  return stripeId("cus", n);
}

export function chargeIdOf(n: number): string {
  return stripeId("ch", n);
}

export type PayerSpec = {
  readonly amount?: number;
  readonly email?: string | null;
  readonly name?: string | null;
  readonly product?: string;
  readonly currency?: string;
};

/** Adds one customer who paid one invoice in one charge: n = 0 paid 10.00 usd for Pro, n = 1 paid 20.00 and so on. */
function addPayer(account: StripeAccount, n: number, payer: PayerSpec = {}): void {
  const { amount = 1000 * (n + 1), email = `payer${n}@example.com`, product = PRO, currency = "usd" } = payer;
  const { name = `Payer Number${n}` } = payer;
  const customer = payerId(n);
  const created = Date.UTC(2026, 0, 1 + (n % 200)) / 1000;
  account.customers.push(aCustomer({ id: customer, email, name, created }));
  account.charges.push(aCharge({ id: chargeIdOf(n), amount, customer, created, currency }));
  const lines = [anInvoiceLine({ id: stripeId("il", n), amount, product })];
  account.invoices.push(anInvoice({ id: stripeId("in", n), customer, created, currency, lines }));
}

/** So many payers, all alike but for `specOf`. */
export function payers(count: number, specOf: (n: number) => PayerSpec = () => ({})): StripeAccount {
  const account = emptyAccount();
  for (let n = 0; n < count; n += 1) addPayer(account, n, specOf(n));
  return account;
}

/** Somebody who pays for the first time. */
export function newPayer({ stripe }: World, n: number, payer: PayerSpec = {}): void {
  const account = emptyAccount();
  addPayer(account, n, payer);
  for (const object of [...account.customers, ...account.charges, ...account.invoices]) stripe.put(object);
}

/** The charge, refunded in full as of now. */
export function refund(world: World, n: number): void {
  const charge = world.stripe.account.charges.find(({ id }) => id === chargeIdOf(n));
  assert.ok(charge, `there is no charge of payer ${n}`);
  world.stripe.put({ ...charge, amount_refunded: charge.amount_captured, refunded: true });
}

/** The end of a `describe`, as `aWorld` wants it, for worlds that several tests share. */
export function endOfSuite(): { after(close: () => Promise<void>): void } {
  const closes: (() => Promise<void>)[] = [];
  after(async () => {
    for (const close of closes) await close();
  });
  return { after: (close) => void closes.push(close) };
}

/** A world of payers after its first run. */
export async function aSyncedWorld(
  onEnd: { after(close: () => Promise<void>): void },
  options: WorldOptions,
): Promise<World> {
  const world = await aWorld(onEnd, { hasPeople: false, ...options });
  const { code, all } = await world.run("sync");
  assert.equal(code, 0, all);
  return world;
}

// --------------------------------------------------------------- Records ----

/** A customer's only record. */
export function recordOf(world: World, customerId: string): PlainRecord {
  const found = world.attio.records("stripe_customers").filter((record) => record["stripe_customer_id"] === customerId);
  assert.equal(found.length, 1, `${found.length} records of ${customerId}`);
  const [record] = found;
  assert.ok(record);
  return record;
}

/** The values of some attributes of a record. */
export function pick(record: PlainRecord, slugs: readonly string[]): Record<string, PlainValue | undefined> {
  return Object.fromEntries(slugs.map((slug) => [slug, record[slug]]));
}

export function customerIds(world: World): string[] {
  return world.attio.records("stripe_customers").map((record) => String(record["stripe_customer_id"]));
}

/** What the records of this world must hold, computed independently. */
export function expectedOf(world: World, more: Partial<OracleInput> = {}): Map<string, ExpectedRecord> {
  return expectedRecords(oracleInput(world, more));
}

/** This world as the oracle reads it. */
export function oracleInput(world: World, more: Partial<OracleInput> = {}): OracleInput {
  const { charges, invoices, balanceTransactions, coupons, livemode, ...account } = world.stripe.account;
  const couponOf = ({ source }: StripeDiscount): string => String(source.coupon);
  const customers = account.customers.map((customer) => {
    return { ...customer, discount: customer.discount ? couponOf(customer.discount) : null };
  });
  const subscriptions = account.subscriptions.map(({ items, discounts, ...subscription }) => {
    const data = items.data.map((item) => ({ ...item, discounts: item.discounts.map(couponOf) }));
    return { ...subscription, discounts: discounts.map(couponOf), items: { data, has_more: data.length > 20 } };
  });
  const people = world.attio.records("people").map((person) => ({
    recordId: person.recordId,
    emailAddresses: textsOf(person["email_addresses"]),
    companyRecordId: typeof person["company"] === "string" ? person["company"] : null,
  }));
  return {
    charges,
    invoices,
    customers,
    subscriptions,
    balanceTransactions,
    coupons: new Map(coupons.map((coupon) => [coupon.id, { applies_to: null, ...coupon }])),
    people,
    currency: world.env["CURRENCY"] ?? "usd",
    productSlugs: SANDBOX_PRODUCT_SLUGS,
    livemode,
    t0: Math.floor(world.clock.now() / 1000),
    ...more,
  };
}

function textsOf(value: PlainValue | undefined): string[] {
  return Array.isArray(value) ? value.map(String) : [];
}

/** Fails unless the CRM holds exactly the expected records, every field of each. */
export function assertRecordsEqual(world: World, expected: Map<string, ExpectedRecord>): void {
  const currency = world.env["CURRENCY"] ?? "usd";
  const wanted = [...expected.values()].map((record) => asHeld(record, currency));
  const slugs = Object.keys(wanted[0] ?? {});
  const held = world.attio.records("stripe_customers").map((record) => {
    const instants = slugs.filter((slug) => slug.endsWith("_at")).map((slug) => [slug, instantOf(record[slug])]);
    return { ...pick(record, slugs), ...Object.fromEntries(instants) };
  });
  const byId = (rows: readonly Readonly<Record<string, unknown>>[]) =>
    new Map(rows.map((row) => [String(row["stripe_customer_id"]), row]));
  assert.equal(byId(held).size, held.length, "a customer has two records");
  assert.deepEqual(byId(held), byId(wanted));
}

/** An expected record as the CRM shows it: money as its shortest decimal text. */
export function asHeld(record: ExpectedRecord, currency: string): Record<string, string | null> {
  const { spend, total_revenue, unallocated_revenue, mrr, ...others } = record;
  const amounts = Object.entries({ ...spend, total_revenue, unallocated_revenue, mrr });
  const shown = amounts.map(([slug, amount]) => [slug, amount === null ? null : shortest(amount, currency)]);
  return { ...others, ...Object.fromEntries(shown) };
}

function shortest(amount: bigint, currency: string): string {
  const text = decimalOf(amount, currency);
  return text.includes(".") ? text.replace(/\.?0+$/, "") : text;
}

function instantOf(value: PlainValue | undefined): string | null {
  return typeof value === "string" ? new Date(value).toISOString() : null;
}

/** The sum of an amount over all records, in hundredths. */
export function sumOf(world: World, slug: string): bigint {
  let sum = 0n;
  for (const record of world.attio.records("stripe_customers")) {
    const [whole = "0", decimals = ""] = String(record[slug]).split(".");
    sum += BigInt(whole + decimals.padEnd(2, "0"));
  }
  return sum;
}

// -------------------------------------------------------------- Requests ----

export function isWrite({ method, path }: Pick<Call, "method" | "path">): boolean {
  return method !== "GET" && !path.endsWith("/records/query");
}

export function writesOf({ log }: SandboxServer): Exchange[] {
  return log.filter(isWrite);
}

/** The values that an exchange wrote, by slug: what stood in each array of one, undefined for one that was cleared. */
export function valuesOf(exchange: Pick<Call, "body"> | undefined): Record<string, unknown> {
  const body = isObject(exchange?.body) ? exchange.body["data"] : undefined;
  const values = isObject(body) ? body["values"] : undefined;
  assert.ok(isObject(values), "the request wrote no values");
  return Object.fromEntries(
    Object.entries(values).map(([slug, value]) => [slug, Array.isArray(value) ? value[0] : value]),
  );
}

/** Calls back as the n-th matching request arrives, before the service answers it; every request passes. */
export function whenSeen(isMatch: (call: Call) => boolean, n: number, act: () => void): FaultRule {
  let seen = 0;
  return (call) => {
    if (isMatch(call)) {
      seen += 1;
      if (seen === n) act();
    }
    return undefined;
  };
}

// ---------------------------------------------------------------- Output ----

/** The count behind a label of the report. */
export function countIn(run: Run, label: string): number {
  const match = new RegExp(`^  ${label} +(\\d+)`, "m").exec(run.out);
  assert.ok(match, `the report has no line "${label}":\n${run.out}`);
  return Number(match[1]);
}

/** Fails if anything that any run of this process printed, or that is given, holds a key or the heartbeat's address. */
export function assertNoSecrets(more: readonly string[] = []): void {
  const keys = [SANDBOX_STRIPE_KEY, SANDBOX_STRIPE_TEST_KEY, SANDBOX_ATTIO_KEY, SANDBOX_ATTIO_DAILY_KEY];
  const output = [...printed, ...more];
  assert.ok(output.length > 0, "nothing was printed, so nothing was searched");
  for (const secret of [...keys, SECRET_PATH])
    for (const text of output) assert.equal(text.includes(secret), false, `a secret was printed in:\n${text}`);
}

// ------------------------------------------------------------- Processes ----

export type Child = { readonly process: ChildProcess; readonly ended: Promise<Run> };

/** Copies of the programs, so that none reads the file .env of who runs the tests, and what Node compiled of them. */
const folder = mkdtempSync(join(tmpdir(), "stripe-attio-programs-"));
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
for (const file of ["sync.ts", "bootstrap-attio.ts", "test-one.ts", "package.json"])
  copyFileSync(join(import.meta.dirname, "..", file), join(folder, file));

/** Starts a program as a person does, with these settings only. */
export function start(program: string, args: readonly string[], env: Readonly<Record<string, string>>): Child {
  const child = spawn(process.execPath, [join(folder, program), ...args], {
    env: { ...env, NODE_COMPILE_CACHE: join(folder, "compiled") },
  });
  let out = "";
  let err = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => void (out += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => void (err += text));
  const ended = new Promise<Run>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code) => {
      printed.push(out, err);
      resolve({ code: code ?? -1, out, err, all: out + err });
    });
  });
  return { process: child, ended };
}
