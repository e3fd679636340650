// demo.ts - the whole job without an account or a key: both services on loopback, bootstrap, sync, sync again, and the
// records as a table. With --serve the two services stay up, so that every command of the README can be tried.

import { bootstrap } from "../bootstrap-attio.ts";
import { main, processIo } from "../sync.ts";
import type { Io } from "../sync.ts";
import { seedAccount, seedPeople } from "./account.ts";
import { startAttio } from "./attio.ts";
import type { AttioSandbox, PlainRecord, PlainValue } from "./attio.ts";
import { sandboxSettings } from "./settings.ts";
import { startStripe } from "./stripe.ts";
import type { StripeSandbox } from "./stripe.ts";

const CUSTOMERS = 14;

type Services = { readonly stripe: StripeSandbox; readonly attio: AttioSandbox };
type Run = { readonly code: number; readonly last: string };

/** Starts a Stripe account with customers of every kind, and an Attio that knows most of them as people. */
async function startBoth(): Promise<Services> {
  const account = seedAccount({ customers: CUSTOMERS, seed: 1 });
  const [stripe, attio] = await Promise.all([startStripe(account), startAttio()]);
  const people = seedPeople(account);
  const domains = new Set(people.map(({ companyDomain }) => companyDomain).filter((domain) => domain !== null));
  for (const domain of domains) attio.addCompany({ name: domain, domain });
  for (const { companyDomain, ...person } of people)
    attio.addPerson({ ...person, ...(companyDomain !== null && { company: companyDomain }) });
  return { stripe, attio };
}

/** Runs a program against both services, with nothing of this process but its clock. */
async function runIn(
  { stripe, attio }: Services,
  program: (io: Io) => Promise<number>,
  print: Pick<Io, "out" | "err">,
): Promise<Run> {
  let last = "";
  const out = (text: string): void => {
    last = text.trimEnd();
    print.out(text);
  };
  const env = sandboxSettings(stripe, attio);
  const code = await program({ ...processIo(), ...print, args: [], env, out, isTerminal: false });
  return { code, last };
}

/** The records as the demo's first sync leaves them, the largest total first; nothing is printed. */
export async function demoRecords(): Promise<readonly PlainRecord[]> {
  const services = await startBoth();
  try {
    let printed = "";
    const keep = (text: string): void => void (printed += text);
    for (const program of [bootstrap, main]) {
      const { code } = await runIn(services, program, { out: keep, err: keep });
      if (code !== 0) throw new Error(`The demo failed:\n${printed}`);
    }
    return byRevenue(services.attio.records("stripe_customers"));
  } finally {
    await Promise.all([services.stripe.close(), services.attio.close()]);
  }
}

/** Runs the demo. Returns the exit code: 0 if all steps went well and the second sync wrote nothing. */
async function demo(): Promise<number> {
  const { out, err } = processIo();
  const services = await startBoth();
  console.log(`A Stripe account with ${CUSTOMERS} customers and an empty Attio workspace, both on this machine.`);
  const step = (title: string, program: (io: Io) => Promise<number>): Promise<Run> => {
    console.log(`\n--- ${title}\n`);
    return runIn(services, program, { out, err });
  };
  const first = await step("npm run bootstrap", bootstrap);
  const second = await step("npm start", main);
  const third = await step("npm start, once more", main);
  console.log("\n--- the records in Attio\n");
  for (const line of tableOf(services.attio.records("stripe_customers"))) console.log(line);
  await Promise.all([services.stripe.close(), services.attio.close()]);
  const isQuiet = third.last.startsWith("done: created=0 updated=0 refreshed=0 ");
  console.log(isQuiet ? "\nThe second run had nothing to write." : "\nThe second run wrote something: a bug.");
  return first.code === 0 && second.code === 0 && third.code === 0 && isQuiet ? 0 : 1;
}

/** Starts both services and says how to use them. They stay up until the process is ended. */
async function serveBoth(): Promise<void> {
  const { stripe, attio } = await startBoth();
  console.log("Both services are up. In another terminal, in this directory, first these settings; what is exported");
  console.log("wins over what a file .env says:\n");
  for (const [name, value] of Object.entries(sandboxSettings(stripe, attio))) console.log(`export ${name}='${value}'`);
  console.log("\nThen, for example:\n\nnpm run bootstrap\nnpm start -- --dry-run\nnpm start");
  console.log(`npm run test-one -- ${stripe.account.customers[0]?.id}\n\nCtrl-C ends them.`);
}

function byRevenue(records: readonly PlainRecord[]): PlainRecord[] {
  return records.toSorted((a, b) => Number(b["total_revenue"]) - Number(a["total_revenue"]));
}

/** The records as columns, the largest total first; amounts as the CRM would show them. */
function tableOf(records: readonly PlainRecord[]): string[] {
  const money = (value: PlainValue | undefined): string => (value == null ? "" : Number(value).toFixed(2));
  const day = (value: PlainValue | undefined): string => String(value ?? "").slice(0, 10);
  const spend = Object.keys(records[0] ?? {}).filter((slug) => slug.startsWith("spend_"));
  const amounts = ["total_revenue", ...spend, "unallocated_revenue", "mrr"];
  const dates = ["renews_at", "cancels_at", "payment_failed_at"];
  const rows = byRevenue(records).map((record) => [
    String(record["name"]),
    ...amounts.map((slug) => money(record[slug])),
    ...dates.map((slug) => day(record[slug])),
    String(record["subscription_status"]),
    record["person"] === null ? "" : "linked",
  ]);
  const heads = ["name", ...amounts, ...dates, "status", "person"].map((head) => head.replace(/_revenue$/, ""));
  const widths = heads.map((head, at) => Math.max(head.length, ...rows.map((row) => row[at]?.length ?? 0)));
  const isMoney = (at: number): boolean => at > 0 && at <= amounts.length;
  const fitted = (cell: string, at: number): string =>
    isMoney(at) ? cell.padStart(widths[at] ?? 0) : cell.padEnd(widths[at] ?? 0);
  return [heads, ...rows].map((row) => row.map(fitted).join("  ").trimEnd());
}

if (import.meta.main) {
  if (process.argv.includes("--serve")) await serveBoth();
  else process.exitCode = await demo();
}
