// server.ts - both sandboxes in a process of their own, so that making and serving an account is not what is measured.
//
// Started by `startServer` of children.ts with an account's size as its argument. It says where it listens; then every
// message sets the latency, and is answered with what was seen since the message before.

import { bootstrap } from "../bootstrap-attio.ts";
import { largeAccount } from "../sandbox/account.ts";
import { startAttio } from "../sandbox/attio.ts";
import type { AttioSandbox } from "../sandbox/attio.ts";
import type { Exchange, SandboxServer } from "../sandbox/server.ts";
import { sandboxSettings } from "../sandbox/settings.ts";
import { startStripe } from "../sandbox/stripe.ts";
import type { StripeAccount } from "../sandbox/stripe.ts";
import { processIo, readAs } from "../sync.ts";
import { LATENCY, SIZE } from "./children.ts";
import type { Observation, ServerStart } from "./children.ts";

const UNTIL = Date.UTC(2026, 0, 1) / 1000;

/** The fewest requests in which the account can be read: full pages, and one for the lines of each long invoice. */
function leastRequests(account: StripeAccount): number {
  const lists = [account.charges, account.invoices, account.customers, account.subscriptions];
  const pages = lists.map(({ length }) => Math.max(1, Math.ceil(length / 100)));
  const linePages = account.invoices.map(({ lines }) => Math.ceil(Math.max(0, lines.data.length - 10) / 100));
  return [...pages, ...linePages].reduce((sum, count) => sum + count, 0);
}

/** Every other customer is somebody in the CRM. */
function addPeople(attio: AttioSandbox, account: StripeAccount): void {
  attio.addCompany({ name: "Company", domain: "company.example.com" });
  for (const [n, { email }] of account.customers.entries())
    if (n % 2 === 0 && email !== null)
      attio.addPerson({ firstName: "Person", emailAddresses: [email], company: "company.example.com" });
}

/** The most requests in any one second. */
function busiestSecond(exchanges: readonly Exchange[]): number {
  let busiest = 0;
  let first = 0;
  for (const [last, { atMs }] of exchanges.entries()) {
    while ((exchanges[first]?.atMs ?? atMs) <= atMs - 1000) first += 1;
    busiest = Math.max(busiest, last - first + 1);
  }
  return busiest;
}

/** How many requests there were in each second since `startMs`. */
function countsPerSecond(exchanges: readonly Exchange[], startMs: number): number[] {
  const counts: number[] = [];
  for (const { atMs } of exchanges) {
    const second = Math.floor((atMs - startMs) / 1000);
    while (counts.length <= second) counts.push(0);
    counts[second] = (counts[second] ?? 0) + 1;
  }
  return counts;
}

function observe({ log }: SandboxServer, startMs: number): Observation["stripe"] {
  const routes = Map.groupBy(log, ({ route }) => route);
  const byRoute = [...routes.values()];
  return {
    routes: [...routes].map(([route, of]) => ({ route, perSecond: countsPerSecond(of, startMs) })),
    requests: log.length,
    refused: log.filter(({ status }) => status === 429).length,
    busiestSecond: busiestSecond(log),
    busiestRouteSecond: Math.max(0, ...byRoute.map(busiestSecond)),
  };
}

const size = readAs("size", SIZE, JSON.parse(process.argv[2] ?? ""));
const account = largeAccount({ ...size, seed: 1, until: UNTIL });
const stripe = await startStripe(account, { limits: "published" });
const attio = await startAttio({ limits: "published" });
if (size.hasPeople) addPeople(attio, account);
stripe.prepare();

const env = sandboxSettings(stripe, attio);
const silent = (): void => undefined;
if ((await bootstrap({ ...processIo(), args: [], env, out: silent, err: silent })) !== 0)
  throw new Error("the bootstrap failed");

let latencyMs = 0;
for (const service of [stripe, attio])
  service.faultRules.push(() => ({ name: "latency", after: (reply) => reply, slowMs: latencyMs }));
let writesBefore = 0;

process.on("message", (message) => {
  const writes = attio.writes.requests;
  const startMs = Math.min(...[stripe, attio].map(({ log }) => log[0]?.atMs ?? Infinity));
  const seen: Observation = {
    stripe: observe(stripe, startMs),
    attio: observe(attio, startMs),
    writes: writes - writesBefore,
  };
  writesBefore = writes;
  for (const { log } of [stripe, attio]) log.length = 0;
  latencyMs = readAs("message", LATENCY, message).latencyMs;
  process.send?.(seen);
});
process.on("disconnect", () => process.exit());
process.send?.({ env: Object.entries(env), least: leastRequests(account) } satisfies ServerStart);
