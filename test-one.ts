// test-one.ts - one customer's arithmetic, line by line, to be checked against the Stripe dashboard. Never writes.
//
// It reads what belongs to this customer, applies the same rules as sync.ts, and shows what the CRM holds now beside
// what the next sync would write. Without ATTIO_API_KEY it shows the Stripe side.

import {
  ApiError,
  beyondCharges,
  checkAttio,
  connectAttio,
  connectStripe,
  desiredValues,
  explainCharge,
  explainInvoice,
  explainSubscription,
  formatMinor,
  isObject,
  ledgerOf,
  lookUpPeople,
  planChanges,
  processIo,
  readBooks,
  readCrm,
  request,
  runProgram,
  usageOf,
  writeStepSummary,
} from "./sync.ts";
import type { Found, Io, Service, Settings } from "./sync.ts";

const USAGE = usageOf(
  "node test-one.ts cus_…",
  "Shows one customer's charges, invoices, subscriptions, totals and record, line by line. Reads only.",
  { "--json": "print one JSON object and nothing else on stdout; amounts in minor units" },
  ["npm run test-one -- cus_NffrFeUfNV2Hib", "npm run test-one -- cus_NffrFeUfNV2Hib --json"],
  ["STRIPE_API_KEY", "ATTIO_API_KEY", "CURRENCY", "PRODUCT_SLUGS", "STRIPE_API_BASE", "ATTIO_API_BASE"],
);

/** What is shown: all of one customer, and what the record should hold of it. */
type Run = {
  readonly account: Account;
  readonly settings: Settings;
  readonly desired: ReturnType<typeof desiredValues>;
};
type Account = Awaited<ReturnType<typeof readAccount>>;
type Side = Awaited<ReturnType<typeof readSide>> | undefined;
type Row = { readonly label: string; readonly amount?: string; readonly remark?: string };

/** Shows one customer. Returns the exit code. */
export async function testOne(io: Io): Promise<number> {
  const usage = { ...USAGE, takesCustomer: true, requires: ["STRIPE_API_KEY"] };
  return runProgram(io, usage, async (settings, log, connection) => {
    const account = await readAccount(connectStripe(settings, connection), settings, log.warn).catch(
      undefinedIfMissing,
    );
    if (account === undefined) {
      const what = `Stripe has no customer ${settings.customerId} in ${settings.mode} mode`;
      log.error(`${what}. Check the id, and that STRIPE_API_KEY is of the right account and mode.`);
      return 1;
    }
    const attio = settings.attioKey === "" ? undefined : connectAttio(settings, connection);
    // It only reads, so the scopes of a dry run are enough.
    const check = attio && (await checkAttio(attio, { ...settings, isDryRun: true }).catch(asProblem));
    const problems = check?.problems ?? [];
    const { ledger } = account;
    const spendSlugs = check?.spendSlugs ?? [...new Set([...settings.productSlugs.values(), ...ledger.spend.keys()])];
    const run = { account, settings, desired: desiredValues(ledger, { ...account, spendSlugs, settings }) };
    const isAsked = attio !== undefined && problems.length === 0;
    const side = isAsked ? await readSide(attio, { ...run, spendSlugs, nowMs: io.clock.now() }) : undefined;
    const sections = statement(run, side);
    if (settings.flags.has("--json")) log.line(asJson(run, side));
    else log.tell(...sections.filter(({ rows }) => rows.length > 0));
    if (problems.length > 0) log.error(["Attio could not be asked:", ...problems].join("\n  - "));
    const open = sections.map((section, place) => ({ ...section, place }));
    writeStepSummary(settings.stepSummaryPath, log, { heading: "One customer", lines: [], sections: open });
    return problems.length > 0 ? 1 : 0;
  });
}

function undefinedIfMissing(error: unknown): undefined {
  if (!(error instanceof ApiError) || error.status !== 404) throw error;
}

/** What Attio's side fails with must not hide Stripe's. */
function asProblem(error: unknown): { problems: string[]; spendSlugs?: undefined } {
  if (error instanceof ApiError) return { problems: [error.message] };
  throw error;
}

/** Everything Stripe has of the customer, newest first, and the sums made of it. */
async function readAccount(stripe: Service, settings: Settings, warn: (line: string) => void) {
  const all: Found[] = [];
  const onFound = (one: Found): void => void all.push(one);
  const read = await readBooks(stripe, settings, { customer: settings.customerId, onFound, warn });
  const charges = all.filter((one) => "amount_captured" in one).toSorted(newestFirst);
  const invoices = all.filter((one) => "amount_paid" in one).toSorted(newestFirst);
  const subscriptions = all.filter((one) => "items" in one).toSorted(newestFirst);
  const byIntent = new Map(charges.map((charge) => [charge.payment_intent, charge.id]));
  const payments = invoices.map(async ({ id }) => [id, await readPayers(stripe, id, byIntent)] as const);
  const ledger = ledgerOf(read.books, settings.customerId);
  return { ...read, ledger, charges, invoices, subscriptions, paidBy: new Map(await Promise.all(payments)) };
}

function newestFirst(a: { created: number; id: string }, b: { created: number; id: string }): number {
  return b.created - a.created || (a.id < b.id ? 1 : -1);
}

/** What paid an invoice: newer ones no longer name it, their payments do. A courtesy: "" where that may not be read. */
async function readPayers(stripe: Service, invoice: string, byIntent: ReadonlyMap<unknown, string>): Promise<string> {
  const path = "/v1/invoice_payments";
  const query = { invoice, status: "paid", limit: "100" };
  const found = await request(stripe, { method: "GET", path, query }, ({ data }) => data).catch((error: unknown) => {
    if (error instanceof ApiError) return [];
    throw error;
  });
  const payments: unknown[] = Array.isArray(found) ? found : [];
  const names = payments.map((one) => {
    const payment = isObject(one) && isObject(one["payment"]) ? one["payment"] : {};
    const { type, payment_intent: intent, charge = byIntent.get(intent), payment_record: record } = payment;
    return String(charge ?? intent ?? record ?? type);
  });
  return names.join(", ");
}

/** What the CRM holds of the customer, and what the next sync would do. */
async function readSide(attio: Service, run: Run & { readonly spendSlugs: readonly string[]; readonly nowMs: number }) {
  const { account, settings, desired, spendSlugs } = run;
  const address = desired.get("email") ?? "";
  const [crm, people] = await Promise.all([
    readCrm(attio, { spendSlugs, currency: settings.currency }, [settings.customerId]),
    lookUpPeople(attio, [address]),
  ]);
  const findings = { ...run, ...account, crm, people };
  const [change] = planChanges(findings).changes;
  const record = crm.records.get(settings.customerId);
  return { change, record, person: people.get(address), duplicates: crm.duplicates.get(settings.customerId) ?? [] };
}

function asJson({ account, settings, desired }: Run, side: Side): string {
  const { customers, ledger } = account;
  // Desired amounts have all decimals of their currency.
  const minorOf = (slug: string): number | null => {
    const amount = desired.get(slug);
    return amount === undefined ? null : Number(amount.replace(".", ""));
  };
  const spend = [...desired.keys()].filter((slug) => slug.startsWith("spend_"));
  const dates = ["renews_at", "cancels_at", "payment_failed_at", "first_charge_at", "last_charge_at"];
  const plain = ["subscription_status", ...dates];
  const json = {
    stripe_customer_id: settings.customerId,
    name: customers.get(settings.customerId)?.name ?? null,
    email: desired.get("email") ?? null,
    is_deleted: !customers.has(settings.customerId),
    currency: settings.currency,
    total_revenue_minor: ledger.totalMinor,
    spend_minor: Object.fromEntries(spend.map((slug) => [slug, minorOf(slug)])),
    unallocated_revenue_minor: minorOf("unallocated_revenue"),
    mrr_minor: minorOf("mrr"),
    ...Object.fromEntries(plain.map((slug) => [slug, desired.get(slug) ?? null])),
    person: side?.person?.recordId ?? null,
    company: side?.person?.companyId ?? null,
    crm: side?.record ? { record_id: side.record.recordId, ...Object.fromEntries(side.record.values) } : null,
    next_sync: side === undefined ? null : (side.change?.outcome ?? "no record"),
  };
  return JSON.stringify(json, null, 2);
}

function day(unix: number): string {
  return new Date(unix * 1000).toISOString().slice(0, 10);
}

/** The whole statement: who, charges, invoices, totals, subscriptions, and the record now and next. */
function statement(run: Run, side: Side) {
  const { account, settings, desired } = run;
  const { books, customers, charges, invoices, subscriptions } = account;
  const { currency } = settings;
  const name = customers.get(settings.customerId)?.name;
  const deleted = "deleted in Stripe: the record keeps its revenue, not its name and e-mail";
  const who: Row[] = [
    { label: "name", remark: customers.has(settings.customerId) ? (name ?? "none") : deleted },
    { label: "e-mail", remark: desired.get("email") ?? "none" },
    { label: "dashboard", remark: desired.get("stripe_url") ?? "" },
  ];
  const sums = [...desired].filter(([slug]) => slug.startsWith("spend_"));
  const totals: Row[] = [
    ...sums.map(([label, amount = ""]) => ({ label, amount: `${amount} ${currency}` })),
    {
      label: "unallocated",
      amount: `${desired.get("unallocated_revenue")} ${currency}`,
      remark: "paid without an invoice, less refunds",
    },
    {
      label: "= total revenue",
      amount: `${desired.get("total_revenue")} ${currency}`,
      remark: "what the charges count",
    },
    ...beyondCharges(account.ledger).map(([unit, amount]) => {
      const remark = "collected by invoices beyond all charges: paid some other way";
      return { label: "· beyond charges", amount: `${formatMinor(amount, unit)} ${unit}`, remark };
    }),
  ];
  const asOf = new Date(books.t0 * 1000).toISOString();
  const mrr = desired.get("mrr") ?? "cannot be told";
  return [
    { title: `Customer ${settings.customerId}, as of ${asOf}`, rows: who },
    { title: `Charges: what each counts, in ${currency}`, rows: charges.flatMap((charge) => chargeRows(charge, run)) },
    { title: "Paid invoices, split by line", rows: invoices.flatMap((invoice) => invoiceRows(invoice, run)) },
    { title: "Totals", rows: totals },
    {
      title: `Subscriptions: ${desired.get("subscription_status")}, mrr ${mrr}`,
      rows: subscriptions.flatMap((subscription) => subscriptionRows(subscription, run)),
    },
    { title: "Attio", rows: recordRows(run, side) },
  ];
}

/** A page of the dashboard on a line of its own: it is as wide as what it belongs to. */
function linkRow(page: string, { settings }: Run): Row {
  return { label: `    https://dashboard.stripe.com/${settings.mode === "test" ? "test/" : ""}${page}` };
}

/** What a charge counts, and why; below it its page. */
function chargeRows(charge: Account["charges"][number], run: Run): Row[] {
  const { settings, account } = run;
  const { currency } = settings;
  const { outcome, state, basis, countedMinor, rate, ...own } = explainCharge(charge, account.books.currency);
  const show = (amount: typeof countedMinor, unit = charge.currency): string => `${formatMinor(amount, unit)} ${unit}`;
  const way = `captured ${show(own.capturedMinor)}, refunded ${show(own.refundedMinor)}`;
  const words = state === "captured" ? [way] : [`${state}: not counted`];
  if (charge.amount_captured < charge.amount && state === "captured") words.push(`part captured, ${basis} settled`);
  if (outcome === "set aside") words.push(`not included: not settled in ${currency}`);
  if (rate !== undefined) words.push(`settled ${show(rate.settledMinor, currency)} for ${show(rate.ofMinor)}`);
  if (charge.disputed) words.push("disputed, still counted");
  const amount = show(countedMinor, currency);
  return [{ label: day(charge.created), amount, remark: words.join("; ") }, linkRow(`payments/${charge.id}`, run)];
}

/** What an invoice collected, its page, and each line's share. */
function invoiceRows(invoice: Account["invoices"][number], run: Run): Row[] {
  const { books, paidBy } = run.account;
  const { outcome, collectedMinor, convertedMinor, shares } = explainInvoice(books, invoice);
  const show = (amount: typeof collectedMinor, unit = books.currency): string => `${formatMinor(amount, unit)} ${unit}`;
  const words = [`collected ${show(collectedMinor, invoice.currency)}`];
  if (outcome === "split" && invoice.currency !== books.currency) words.push("at this customer's own rate");
  if (outcome === "nothing") words.push("nothing to split");
  if (outcome === "paid later") words.push("paid since this run began: the next run's");
  if (outcome === "set aside") words.push("not included: no charge tells a rate");
  if ((invoice.amount_paid_off_stripe ?? 0) > 0) words.push("some paid outside Stripe: not split");
  const payers = paidBy.get(invoice.id) ?? "";
  if (payers !== "") words.push(`by ${payers}`);
  const rows = shares.map(({ line, product, slug, shareMinor }): Row => {
    const { description } = invoice.lines.data[line] ?? {};
    return {
      label: "",
      amount: show(shareMinor),
      remark: [`${product} -> ${slug}`, description].filter(Boolean).join("; "),
    };
  });
  const own = { label: day(invoice.created), amount: show(convertedMinor), remark: words.join("; ") };
  return [own, linkRow(`invoices/${invoice.id}`, run), ...rows];
}

/** What a subscription is worth a month, item by item, and why. */
function subscriptionRows(subscription: Account["subscriptions"][number], { account, settings }: Run): Row[] {
  const { coupons, customers } = account;
  const { currency, customerId } = settings;
  const customerDiscount = customers.get(customerId)?.discount ?? null;
  const explained = explainSubscription(subscription, { currency, coupons, customerDiscount });
  const { counts, reason, items, renewsAtUnix, cancelsAtUnix } = explained;
  const { id, status, ended_at, cancellation_details } = subscription;
  const words = [status, counts === "no" ? "" : counts, cancellation_details?.reason ?? ""];
  if (reason !== undefined && counts !== "no") words.push(`mrr cannot be told: ${reason}`);
  if (renewsAtUnix !== undefined) words.push(`renews ${day(renewsAtUnix)}`);
  if (cancelsAtUnix !== undefined) words.push(`ends ${day(cancelsAtUnix)}`);
  if (ended_at !== null) words.push(`ended ${day(ended_at)}`);
  const rows = items.map(({ item, listMinor, mrrMinor, couponIds }): Row => {
    const { unit_amount_decimal: unit, currency: billed, recurring, transform_quantity: packs } = item.price;
    const pack = packs === null ? "" : ` / ${packs.divide_by} rounded ${packs.round}`;
    const { interval = "period", interval_count: count = 1 } = recurring ?? {};
    const every = count === 1 ? `a ${interval}` : `every ${count} ${interval}s`;
    const factor = `${item.quantity ?? 1}${pack} × ${unit ?? "tiers of"} minor units of ${billed} ${every}`;
    const metered = recurring?.usage_type === "metered" ? ["metered: 0"] : [];
    const less = couponIds.map((couponId) => {
      const { percent_off: percent = null, amount_off: amount } = coupons.get(couponId) ?? {};
      return `less coupon ${couponId} (${percent === null ? `${amount} minor units` : `${percent} %`})`;
    });
    const remark = [`${factor} = ${formatMinor(listMinor, currency)} a month`, ...metered, ...less].join("; ");
    return { label: "", amount: `${formatMinor(mrrMinor, currency)} ${currency}`, remark };
  });
  return [{ label: `${id}: ${words.filter(Boolean).join("; ")}` }, ...(counts === "no" ? [] : rows)];
}

/** Each attribute as the CRM holds it and as the next sync would write it. */
function recordRows({ settings, desired }: Run, side: Side): Row[] {
  if (side === undefined)
    return [
      { label: "not asked", remark: settings.attioKey === "" ? "ATTIO_API_KEY is not set" : "see the problems below" },
    ];
  const { change, record, person, duplicates } = side;
  const nobody = desired.get("email") === undefined ? "no address is known" : "nobody has this address";
  const whose = person === null ? "unknown: Attio cannot say whose address this is" : (person?.recordId ?? nobody);
  const rows: Row[] = [{ label: "person found", remark: whose }];
  if (duplicates.length > 0)
    rows.push({ label: "DUPLICATES", remark: `records ${duplicates.join(", ")}: the sync stops until one is left` });
  const stays = `${record?.recordId}: left alone, as Stripe has no charge of this customer`;
  if (change === undefined && record !== undefined) return [...rows, { label: "record", remark: stays }];
  if (change === undefined)
    return [...rows, { label: "no record", remark: "never paid, and has no record: gets none" }];
  rows.push(
    { label: "next sync", remark: change.outcome },
    { label: "record", remark: record?.recordId ?? "none yet" },
  );
  for (const slug of [...desired.keys(), "person", "company", "last_synced_at"]) {
    const now = record?.values.get(slug) ?? "empty";
    const next = change.values.has(slug) ? (change.values.get(slug) ?? "empty") : now;
    const isOthers = record?.setByOthers.has(slug) === true && (slug === "person" || slug === "company");
    const stay = isOthers ? `${now} (set by hand: stays)` : now;
    rows.push({ label: slug, remark: next === now ? stay : `${now} -> ${next}` });
  }
  return rows;
}

if (import.meta.main) process.exitCode = await testOne(processIo(import.meta.dirname));
