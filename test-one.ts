// test-one.ts - one customer's arithmetic, line by line, to be checked against the Stripe dashboard. Never writes.
//
// It reads what belongs to this customer, applies the same rules as sync.ts, and shows what the CRM holds now beside
// what the next sync would write. Without ATTIO_API_KEY it shows the Stripe side.

import {
  ApiError,
  CUSTOMER,
  FALLBACK_SLUG,
  addCharge,
  addInvoice,
  addSubscription,
  addressOf,
  attributeSpecs,
  checkAttio,
  closeBooks,
  explainCharge,
  explainInvoice,
  connectAttio,
  connectStripe,
  desiredValues,
  formatMinor,
  getsRecord,
  helpText,
  ledgerOf,
  logLines,
  lookUpPeople,
  maybe,
  minor,
  needsBalance,
  openBooks,
  planChange,
  processIo,
  readAs,
  STRIPE_LISTS,
  readCrm,
  readPages,
  readInvoices,
  readList,
  request,
  runProgram,
  shape,
  slugsOf,
  statusOf,
  text,
  unallocatedMinor,
} from "./sync.ts";
import type {
  Books,
  Change,
  Charge,
  Crm,
  Customer,
  Invoice,
  Io,
  Ledger,
  Person,
  Row,
  Section,
  Service,
  Settings,
  Subscription,
} from "./sync.ts";

const HELP = helpText(
  "node test-one.ts cus_… [--json]",
  "Shows one customer's charges, invoices, totals and record, line by line. Reads only.",
  [["--json", "print one JSON object and nothing else on stdout; amounts in minor units"]],
  ["node test-one.ts cus_NffrFeUfNV2Hib", "node test-one.ts cus_NffrFeUfNV2Hib --json"],
  ["STRIPE_API_KEY", "ATTIO_API_KEY", "CURRENCY", "PRODUCT_SLUGS", "STRIPE_API_BASE", "ATTIO_API_BASE"],
);

/** Everything Stripe has of one customer, and the sums made of it. */
type Account = {
  readonly customer: Customer;
  readonly isDeleted: boolean;
  readonly charges: readonly Charge[];
  readonly invoices: readonly Invoice[];
  /** By invoice id: what paid it, as Stripe names it. */
  readonly paidBy: ReadonlyMap<string, string>;
  readonly subscriptions: readonly Subscription[];
  readonly books: Books;
  readonly ledger: Ledger;
};

/** What the CRM holds of the customer, and what the next sync would do. */
type CrmSide = {
  readonly crm: Crm;
  readonly person: Person | null | undefined;
  readonly change: Change | undefined;
};

/** One run. Returns the exit code. */
export async function testOne(io: Io): Promise<number> {
  const usage = { flags: ["--json"], takesCustomer: true, requires: ["STRIPE_API_KEY"], help: HELP };
  return runProgram(io, usage, async (settings, log, connection) => {
    const stripe = connectStripe(settings, connection);
    const t0 = Math.floor(io.clock.now() / 1000);
    const account = await readAccount(stripe, settings, t0);
    if (account === undefined) {
      log.error(
        `Stripe has no customer ${settings.customerId} in ${settings.mode} mode. Check the id, and that STRIPE_API_KEY is of the right account and mode.`,
      );
      return 1;
    }
    const attio = settings.attioKey === "" ? undefined : connectAttio(settings, connection);
    // It only reads, so the scopes of a dry run are enough.
    const check = attio && (await checkAttio(attio, { ...settings, isDryRun: true }).catch(asProblem));
    const spendSlugs = check?.spendSlugs ?? slugsOf(settings.productSlugs);
    const problems = check?.problems ?? [];
    const side =
      attio && problems.length === 0
        ? await readCrmSide(attio, { account, settings, spendSlugs, nowMs: io.clock.now() })
        : undefined;
    if (settings.flags.has("--json")) log.line(asJson(account, side, { settings, spendSlugs }));
    else logLines(statement(account, side, { settings, spendSlugs, t0 })).forEach(log.line);
    if (problems.length > 0) log.error(["Attio could not be asked:", ...problems].join("\n  - "));
    return problems.length > 0 ? 1 : 0;
  });
}

/** What Attio's side fails with must not hide Stripe's. */
function asProblem(error: unknown): { problems: string[]; spendSlugs?: undefined } {
  if (error instanceof ApiError) return { problems: [error.message] };
  throw error;
}

async function readAccount(stripe: Service, settings: Settings, t0: number): Promise<Account | undefined> {
  const { customerId, currency } = settings;
  const found = await request(stripe, { method: "GET", path: `/v1/customers/${customerId}` }).catch(
    (error: unknown) => {
      if (error instanceof ApiError && error.status === 404) return undefined;
      throw error;
    },
  );
  if (found === undefined) return undefined;
  const isDeleted = found["deleted"] === true;
  const customer = isDeleted
    ? { id: customerId, discount: null, email: null, name: null }
    : readAs("customer", CUSTOMER, found);
  const charges: Charge[] = [];
  const invoices: Invoice[] = [];
  const subscriptions: Subscription[] = [];
  const scope = { customer: customerId, t0 };
  await Promise.all([
    readList(
      stripe,
      STRIPE_LISTS.charges,
      { ...scope, isUnclear: (charge) => needsBalance(charge, currency) },
      (charge) => void charges.push(charge),
    ),
    readInvoices(stripe, { ...scope, hasLines: true }, (invoice) => void invoices.push(invoice)),
    readList(stripe, STRIPE_LISTS.subscriptions, scope, (subscription) => void subscriptions.push(subscription)),
  ]);
  const newestFirst = (a: { created: number; id: string }, b: { created: number; id: string }): number =>
    b.created - a.created || (a.id < b.id ? 1 : -1);
  for (const list of [charges, invoices, subscriptions]) list.sort(newestFirst);
  const books = openBooks(settings, t0);
  for (const charge of charges) addCharge(books, charge);
  for (const invoice of invoices) addInvoice(books, invoice);
  for (const subscription of subscriptions) addSubscription(books, subscription);
  closeBooks(books);
  const paidBy = await readPayments(stripe, invoices, charges);
  return { customer, isDeleted, charges, invoices, paidBy, subscriptions, books, ledger: ledgerOf(books, customerId) };
}

const PAYMENT = shape({
  id: text,
  payment: shape({ type: text, payment_intent: maybe(text), charge: maybe(text), payment_record: maybe(text) }),
});

/** Which charge paid an invoice: newer invoices no longer name it, their payments do. */
async function readPayments(
  stripe: Service,
  invoices: readonly Invoice[],
  charges: readonly Charge[],
): Promise<Map<string, string>> {
  const byIntent = new Map(charges.map((charge) => [charge.payment_intent, charge.id]));
  const read = invoices.map(async ({ id }): Promise<[string, string]> => {
    const query = { invoice: id, status: "paid" };
    const payments = await readPages(stripe, {
      path: "/v1/invoice_payments",
      kind: "invoice payment",
      reader: PAYMENT,
      query,
    });
    const names = payments.map(({ payment }) => {
      const intent = payment.payment_intent;
      return (
        payment.charge ??
        (intent === null ? undefined : (byIntent.get(intent) ?? intent)) ??
        payment.payment_record ??
        payment.type
      );
    });
    return [id, names.join(", ")];
  });
  return new Map(await Promise.all(read));
}

async function readCrmSide(
  attio: Service,
  run: { account: Account; settings: Settings; spendSlugs: readonly string[]; nowMs: number },
): Promise<CrmSide> {
  const { account, settings, spendSlugs, nowMs } = run;
  const { customer, ledger, books } = account;
  const address = addressOf(customer);
  const [crm, people] = await Promise.all([
    readCrm(attio, { spendSlugs, currency: settings.currency }, [customer.id]),
    lookUpPeople(attio, [address]),
  ]);
  const record = crm.records.get(customer.id);
  const customers = new Map([[customer.id, customer]]);
  const input = { books, customers, crm, people, spendSlugs, settings, nowMs };
  const change = getsRecord(ledger, record) ? planChange(ledger, input) : undefined;
  return { crm, person: people.get(address), change };
}

function asJson(
  { customer, isDeleted, books, ledger }: Account,
  side: CrmSide | undefined,
  { settings, spendSlugs }: { settings: Settings; spendSlugs: readonly string[] },
): string {
  const instant = (unix: number): string | null => (Number.isFinite(unix) ? new Date(unix * 1000).toISOString() : null);
  const record = side?.crm.records.get(customer.id);
  return JSON.stringify(
    {
      stripe_customer_id: customer.id,
      name: customer.name,
      email: addressOf(customer) || null,
      is_deleted: isDeleted,
      currency: settings.currency,
      total_revenue_minor: ledger.totalMinor,
      spend_minor: Object.fromEntries(spendSlugs.map((slug) => [slug, ledger.spend.get(slug) ?? 0])),
      unallocated_revenue_minor: unallocatedMinor(ledger),
      subscription_status: statusOf(books, customer.id),
      first_charge_at: instant(ledger.firstChargeUnix),
      last_charge_at: instant(ledger.lastChargeUnix),
      person: side?.person?.recordId ?? null,
      company: side?.person?.companyId ?? null,
      crm: record === undefined ? null : { record_id: record.recordId, ...Object.fromEntries(record.values) },
      next_sync: side === undefined ? null : (side.change?.outcome ?? "no record"),
    },
    null,
    2,
  );
}

function day(unix: number): string {
  return new Date(unix * 1000).toISOString().slice(0, 10);
}

/** The whole statement: who, charges, invoices, sums, subscriptions, and the record now and next. */
function statement(
  account: Account,
  side: CrmSide | undefined,
  run: { settings: Settings; spendSlugs: readonly string[]; t0: number },
): Section[] {
  const { customer, charges, invoices, books, ledger, subscriptions } = account;
  const { currency } = run.settings;
  const dashboard = `https://dashboard.stripe.com/${run.settings.mode === "test" ? "test/" : ""}`;
  const show = (amount: number, unit = currency): string => `${formatMinor(minor(amount), unit)} ${unit}`;
  const who: Row[] = [
    [
      "name",
      "",
      "",
      account.isDeleted
        ? "deleted in Stripe: the record keeps its revenue, not its name and e-mail"
        : (customer.name ?? "none"),
    ],
    ["e-mail", "", "", addressOf(customer) || "none"],
    ["dashboard", "", "", `${dashboard}customers/${customer.id}`],
  ];
  const spend = run.spendSlugs.map((slug): Row => {
    const remark = slug === FALLBACK_SLUG ? "no other product slug" : "";
    return [`- ${slug}`, "", show(ledger.spend.get(slug) ?? 0), remark];
  });
  const totals: Row[] = [
    [
      "total revenue",
      String(charges.filter((charge) => explainCharge(charge, currency).outcome === "counted").length),
      show(ledger.totalMinor),
      "the nets above",
    ],
    ...spend,
    ["= unallocated", "", show(unallocatedMinor(ledger)), "paid without an invoice, less refunds"],
  ];
  const standings = subscriptions.map(({ id, status, ended_at, cancellation_details }): Row => {
    const end = ended_at === null ? "" : `, ended ${day(ended_at)}`;
    return [id, "", status, `${cancellation_details?.reason ?? ""}${end}`.replace(/^, /, "")];
  });
  return [
    { title: `Customer ${customer.id}, as of ${new Date(run.t0 * 1000).toISOString()}`, rows: who },
    { title: "Charges: what each brought in", rows: charges.map((charge) => chargeRow(charge, currency, dashboard)) },
    {
      title: "Paid invoices, split by line",
      rows: invoices.flatMap((invoice) => invoiceRows(invoice, account, dashboard)),
    },
    { title: "Totals", rows: totals },
    { title: `Subscription status: ${statusOf(books, customer.id)}`, rows: standings },
    { title: "Attio", rows: recordRows(account, side, run) },
  ];
}

/** One charge with captured, refunded, net, and a few words on what is special about it. */
function chargeRow(charge: Charge, currency: string, dashboard: string): Row {
  const show = (amount: number, unit = charge.currency): string => `${formatMinor(minor(amount), unit)} ${unit}`;
  const { state, basis, capturedMinor, refundedMinor, netMinor, rate, outcome, countedMinor } = explainCharge(
    charge,
    currency,
  );
  const words: string[] = [];
  if (state !== "captured") words.push(`${state}: not counted`);
  else {
    words.push(`captured ${show(capturedMinor)}, refunded ${show(refundedMinor)}`);
    if (charge.refunded) words.push("refunded in full");
    if (charge.amount_captured < charge.amount) words.push(`${show(charge.amount)} authorised, settled: ${basis}`);
    if (charge.disputed) words.push("disputed: still counted");
    if (outcome === "set aside") words.push(`not settled in ${currency}: not included`);
    if (rate !== undefined)
      words.push(
        `counts as ${show(countedMinor, currency)} (Stripe settled ${show(rate.settledMinor, currency)} for ${show(rate.ofMinor)})`,
      );
  }
  words.push(`${dashboard}payments/${charge.id}`);
  return [charge.id, day(charge.created), `net ${show(netMinor)}`, words.join("; ")];
}

/** One invoice: what was collected, and each line's share of it. */
function invoiceRows(invoice: Invoice, { books, paidBy }: Account, dashboard: string): Row[] {
  const show = (amount: number, unit = invoice.currency): string => `${formatMinor(minor(amount), unit)} ${unit}`;
  const { outcome, collectedMinor, convertedMinor, shares } = explainInvoice(books, invoice);
  const words = [`paid ${show(invoice.amount_paid)}`, outcome === "split" ? "" : outcome];
  if (paidBy.get(invoice.id)) words.push(`by ${paidBy.get(invoice.id)}`);
  if (invoice.currency !== books.currency && outcome === "split")
    words.push(`${show(convertedMinor, books.currency)} at this customer's own rate`);
  const all = [...words, `${dashboard}invoices/${invoice.id}`].filter(Boolean);
  const rows = shares.map(({ line, product, slug, shareMinor }): Row => {
    const { description } = invoice.lines.data[line] ?? {};
    return [
      "",
      "",
      show(shareMinor, books.currency),
      [`${product} -> ${slug}`, description].filter(Boolean).join("; "),
    ];
  });
  return [[invoice.id, day(invoice.created), `collected ${show(collectedMinor)}`, all.join("; ")], ...rows];
}

/** Each attribute as the CRM holds it and as the next sync would write it. */
function recordRows(
  { customer, books, ledger }: Account,
  side: CrmSide | undefined,
  { settings, spendSlugs }: { settings: Settings; spendSlugs: readonly string[] },
): Row[] {
  if (side === undefined)
    return [["not asked", "", "", settings.attioKey === "" ? "ATTIO_API_KEY is not set" : "see the problems below"]];
  const { change, crm, person } = side;
  const duplicates = crm.duplicates.get(customer.id) ?? [];
  const rows: Row[] = [
    [
      "person",
      "",
      "",
      person === null
        ? "unknown: Attio cannot say whose address this is"
        : (person?.recordId ?? (addressOf(customer) === "" ? "no address is known" : "nobody has this address")),
    ],
  ];
  if (duplicates.length > 0)
    rows.push(["DUPLICATES", "", "", `records ${duplicates.join(", ")}: the sync stops until one is left`]);
  const record = crm.records.get(customer.id);
  if (change === undefined && record !== undefined)
    return [...rows, ["record", "", "", `${record.recordId}: left alone, as Stripe has no charge of this customer`]];
  if (change === undefined) return [...rows, ["no record", "", "", "never paid, and has no record: gets none"]];
  rows.push(["next sync", "", "", change.outcome], ["record", "", "", record?.recordId ?? "none yet"]);
  const desired = desiredValues(ledger, { books, customers: new Map([[customer.id, customer]]), spendSlugs, settings });
  for (const { slug } of attributeSpecs(spendSlugs)) {
    const now = record?.values.get(slug) ?? "empty";
    const next = change.values.has(slug)
      ? (change.values.get(slug) ?? "empty")
      : record === undefined
        ? (desired.get(slug) ?? "empty")
        : now;
    const byHand =
      record?.setByOthers.has(slug) === true && (slug === "person" || slug === "company")
        ? " (set by hand: stays)"
        : "";
    rows.push([slug, "", "", next === now ? `${now}${byHand}` : `${now} -> ${next}`]);
  }
  return rows;
}

if (import.meta.main) process.exitCode = await testOne(processIo(import.meta.dirname));
