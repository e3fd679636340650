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

const CUSTOMERS = 14;

/** Runs the demo. Returns the exit code: 0 if all steps went well and the second sync wrote nothing. */
async function demo(serves: boolean): Promise<number> {
  const account = seedAccount({ customers: CUSTOMERS, seed: 1 });
  const stripe = await startStripe(account);
  const attio = await startAttio();
  fillCrm(attio, seedPeople(account));
  const env = sandboxSettings(stripe, attio);
  if (serves) {
    console.log("Both services are up. In another terminal:\n");
    for (const [name, value] of Object.entries(env)) console.log(`export ${name}='${value}'`);
    console.log("\nnode bootstrap-attio.ts\nnode sync.ts --dry-run\nnode sync.ts");
    console.log(`node test-one.ts ${account.customers[0]?.id}\n\nCtrl-C ends them.`);
    return 0;
  }

  const run = async (title: string, program: (io: Io) => Promise<number>): Promise<{ code: number; last: string }> => {
    console.log(`\n--- ${title}\n`);
    let last = "";
    const out = (text: string): void => {
      last = text.trimEnd();
      process.stdout.write(text);
    };
    const code = await program({ ...processIo(), args: [], env, out, isTerminal: false });
    return { code, last };
  };
  console.log(`A Stripe account with ${CUSTOMERS} customers and an empty Attio workspace, both on this machine.`);
  const first = await run("node bootstrap-attio.ts", bootstrap);
  const second = await run("node sync.ts", main);
  const third = await run("node sync.ts, once more", main);
  console.log("\n--- the records in Attio\n");
  for (const line of tableOf(attio.records("stripe_customers"))) console.log(line);
  await Promise.all([stripe.close(), attio.close()]);
  const isQuiet = third.last.startsWith("done: created=0 updated=0 refreshed=0 ");
  console.log(isQuiet ? "\nThe second run had nothing to write." : "\nThe second run wrote something: a bug.");
  return first.code === 0 && second.code === 0 && third.code === 0 && isQuiet ? 0 : 1;
}

function fillCrm(attio: AttioSandbox, people: ReturnType<typeof seedPeople>): void {
  const domains = new Set(people.map(({ companyDomain }) => companyDomain).filter((domain) => domain !== null));
  for (const domain of domains) attio.addCompany({ name: domain, domain });
  for (const { companyDomain, ...person } of people)
    attio.addPerson({ ...person, ...(companyDomain !== null && { company: companyDomain }) });
}

/** The records as columns, the largest total first; amounts as the CRM would show them. */
function tableOf(records: readonly PlainRecord[]): string[] {
  const money = (value: PlainValue | undefined): string => Number(value ?? 0).toFixed(2);
  const rows = records
    .toSorted((a, b) => Number(b["total_revenue"]) - Number(a["total_revenue"]))
    .map((record) => {
      const spend = Object.keys(record).filter((slug) => slug.startsWith("spend_"));
      const amounts = ["total_revenue", ...spend, "unallocated_revenue"].map((slug) => money(record[slug]));
      const person = record["person"] === null ? "" : "linked";
      return [String(record["name"]), ...amounts, String(record["subscription_status"]), person];
    });
  const slugs = Object.keys(records[0] ?? {}).filter((slug) => slug.startsWith("spend_"));
  const heads = ["name", "total_revenue", ...slugs, "unallocated", "status", "person"];
  const widths = heads.map((head, at) => Math.max(head.length, ...rows.map((row) => row[at]?.length ?? 0)));
  const isMoney = (at: number): boolean => at > 0 && at < heads.length - 2;
  return [heads, ...rows].map((row) =>
    row
      .map((cell, at) => (isMoney(at) ? cell.padStart(widths[at] ?? 0) : cell.padEnd(widths[at] ?? 0)))
      .join("  ")
      .trimEnd(),
  );
}

if (import.meta.main) process.exitCode = await demo(process.argv.includes("--serve"));
