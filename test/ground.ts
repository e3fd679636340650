// ground.ts - what the tests of whole runs stand on: small accounts, the oracle's view of a world, and searches.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { copyFileSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after } from "node:test";
import { SANDBOX_PRODUCT_SLUGS } from "../sandbox/account.ts";
import { SANDBOX_ATTIO_DAILY_KEY, SANDBOX_ATTIO_KEY } from "../sandbox/attio.ts";
import type { PlainRecord, PlainValue } from "../sandbox/attio.ts";
import { aCharge, aCustomer, anInvoice, anInvoiceLine, stripeId } from "../sandbox/objects.ts";
import type { Call, Exchange, FaultRule, SandboxServer } from "../sandbox/server.ts";
import type { StripeDiscount } from "../sandbox/objects.ts";
import { SANDBOX_STRIPE_KEY, SANDBOX_STRIPE_TEST_KEY, emptyAccount, startStripe } from "../sandbox/stripe.ts";
import type { StripeAccount } from "../sandbox/stripe.ts";
import { connectStripe, readBooks } from "../sync.ts";
import { decimalOf, expectedRecords } from "./oracle.ts";
import type { ExpectedRecord, OracleInput } from "./oracle.ts";
import { aConnection, someSettings } from "./services.ts";
import type { Ends } from "./services.ts";
import { aWorld, printed } from "./world.ts";
import type { Run, World, WorldOptions } from "./world.ts";

/** A product of the seeded accounts that has an attribute of its own. */
export const PRO = "prod_SbxProMonthly1";

// -------------------------------------------------------------- Accounts ----

/** The id of the n-th payer of `payers`. */
export const payerId = (n: number): string => stripeId("cus", n);
export const chargeIdOf = (n: number): string => stripeId("ch", n);

type PayerSpec = {
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
  const charge = world.stripe.account.charges.find(({ id }) => id === chargeIdOf(n)) ?? assert.fail(`no payer ${n}`);
  world.stripe.put({ ...charge, amount_refunded: charge.amount_captured, refunded: true });
}

/** The end of a `describe`, as `aWorld` wants it, for worlds that several tests share. */
export function endOfSuite(): Ends {
  const closes: (() => Promise<void>)[] = [];
  after(async () => {
    for (const close of closes) await close();
  });
  return { after: (close) => void closes.push(close) };
}

/** A world before its first run, in a CRM without people; what either service was asked by now is forgotten. */
export async function aNewWorld(onEnd: Ends, options: WorldOptions): Promise<World> {
  const world = await aWorld(onEnd, { hasPeople: false, ...options });
  for (const { log } of [world.stripe, world.attio]) log.length = 0;
  return world;
}

/** The same after its first run. */
export async function aSyncedWorld(onEnd: Ends, options: WorldOptions): Promise<World> {
  const world = await aNewWorld(onEnd, options);
  const { code, all } = await world.run("sync");
  assert.equal(code, 0, all);
  for (const { log } of [world.stripe, world.attio]) log.length = 0;
  return world;
}

// --------------------------------------------------------------- Records ----

/** A customer's only record. */
export function recordOf(world: World, customerId: string): PlainRecord {
  const found = world.attio.records("stripe_customers").filter((record) => record["stripe_customer_id"] === customerId);
  assert.equal(found.length, 1, `${found.length} records of ${customerId}`);
  return found[0] ?? assert.fail();
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
export function oracleInput({ stripe, attio, env, clock }: World, more: Partial<OracleInput> = {}): OracleInput {
  const couponOf = ({ source }: StripeDiscount): string => String(source.coupon);
  return {
    ...stripe.account,
    customers: stripe.account.customers.map((customer) => {
      return { ...customer, discount: customer.discount ? couponOf(customer.discount) : null };
    }),
    subscriptions: stripe.account.subscriptions.map(({ items, discounts, ...subscription }) => {
      const data = items.data.map((item) => ({ ...item, discounts: item.discounts.map(couponOf) }));
      return { ...subscription, discounts: discounts.map(couponOf), items: { data, has_more: data.length > 20 } };
    }),
    coupons: new Map(stripe.account.coupons.map((coupon) => [coupon.id, { applies_to: null, ...coupon }])),
    people: attio.records("people").map(({ recordId, email_addresses: addresses, company }) => ({
      recordId,
      emailAddresses: Array.isArray(addresses) ? addresses.map(String) : [],
      companyRecordId: typeof company === "string" ? company : null,
    })),
    currency: env["CURRENCY"] ?? "usd",
    productSlugs: SANDBOX_PRODUCT_SLUGS,
    t0: Math.floor(clock.now() / 1000),
    ...more,
  };
}

/** Fails unless the CRM holds exactly the expected records, every field of each. */
export function assertRecordsEqual(world: World, expected: Map<string, ExpectedRecord>): void {
  const wanted = new Map([...expected].map(([id, record]) => [id, asHeld(record, world.env["CURRENCY"] ?? "usd")]));
  const records = world.attio.records("stripe_customers");
  const held = new Map(
    records.map((record) => {
      const id = String(record["stripe_customer_id"]);
      const shown = Object.keys(wanted.get(id) ?? {}).map((slug) => [slug, asShown(slug, record[slug])]);
      return [id, Object.fromEntries(shown)];
    }),
  );
  assert.equal(held.size, records.length, "a customer has two records");
  assert.deepEqual(held, wanted);
}

function asShown(slug: string, value: PlainValue | undefined): PlainValue | undefined {
  return slug.endsWith("_at") && typeof value === "string" ? new Date(value).toISOString() : value;
}

/** An expected record as the CRM shows it: money as its shortest decimal text. */
function asHeld(record: ExpectedRecord, currency: string): Record<string, string | null> {
  const { spend, total_revenue, unallocated_revenue, mrr, ...others } = record;
  const amounts = Object.entries({ ...spend, total_revenue, unallocated_revenue, mrr });
  const shortest = (text: string): string => (text.includes(".") ? text.replace(/\.?0+$/, "") : text);
  const shown = amounts.map(([slug, amount]) => [slug, amount === null ? null : shortest(decimalOf(amount, currency))]);
  return { ...others, ...Object.fromEntries(shown) };
}

// --------------------------------------------------- Requests and output ----

/** What Stripe is asked for to make the books of an account. */
export async function askedOf(onEnd: Ends, account: Partial<StripeAccount>): Promise<readonly Exchange[]> {
  const { url, log, close } = await startStripe(emptyAccount(account));
  onEnd.after(close);
  const settings = someSettings({ STRIPE_API_BASE: url });
  const silent = { onFound: () => undefined, warn: () => undefined };
  await readBooks(connectStripe(settings, aConnection()), settings, silent);
  return log;
}

export function isWrite({ method, path }: Pick<Call, "method" | "path">): boolean {
  return method !== "GET" && !path.endsWith("/records/query");
}

export function writesOf({ log }: SandboxServer): Exchange[] {
  return log.filter(isWrite);
}

/** Calls back as the n-th matching request arrives, before the service answers it; every request passes. */
export function whenSeen(isMatch: (call: Call) => boolean, n: number, act: () => void): FaultRule {
  let seen = 0;
  return (call) => {
    if (isMatch(call) && (seen += 1) === n) act();
    return undefined;
  };
}

/** Fails if anything that any run of this process printed, holds a key. */
export function assertNoSecrets(): void {
  const keys = [SANDBOX_STRIPE_KEY, SANDBOX_STRIPE_TEST_KEY, SANDBOX_ATTIO_KEY, SANDBOX_ATTIO_DAILY_KEY];
  assert.ok(printed.length > 0, "nothing was printed, so nothing was searched");
  for (const key of keys)
    for (const text of printed) assert.equal(text.includes(key), false, `a key was printed in:\n${text}`);
}

// ------------------------------------------------------------- Processes ----

/** Copies of the programs, so that none reads the file .env of who runs the tests, and what Node compiled of them. */
const folder = mkdtempSync(join(tmpdir(), "stripe-attio-programs-"));
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
for (const file of ["sync.ts", "bootstrap-attio.ts", "test-one.ts", "package.json"])
  copyFileSync(join(import.meta.dirname, "..", file), join(folder, file));

/** Starts a program as a person does, with these settings only. */
export function start(program: string, args: readonly string[], env: Readonly<Record<string, string>>) {
  const NODE_COMPILE_CACHE = join(folder, "compiled");
  const child = spawn(process.execPath, [join(folder, program), ...args], { env: { ...env, NODE_COMPILE_CACHE } });
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
