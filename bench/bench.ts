// bench.ts - how fast and how small: the whole program against both sandboxes, each side in a process of its own.
//
// Run: npm run bench             under twenty minutes; writes its tables to docs/bench.md
//      npm run bench -- --quick  the same on small accounts, in about a minute, printed only; too small for some targets
//
// The sandboxes keep the published limits: 100 requests/s over a Stripe account, 25 over each endpoint, 100 reads and 25
// writes/s in Attio. "N ms" is what each answer of either service takes. Nothing is timed against a target to fail:
// the exit code is 0 unless something breaks.

import { writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";

import { format } from "prettier";

import { int, readAs, shape } from "../sync.ts";
import { measure, startServer } from "./children.ts";
import type { Measured, Observation, Server, Size } from "./children.ts";

const isQuick = process.argv.includes("--quick");
const LISTED = 2.1; // objects of all four lists per charge, in these accounts

/** An account of so many charges, with 0.8 invoices and 0.1 subscriptions a charge and a fifth as many customers. */
function sizeOf(charges: number, more: Partial<Size> = {}): Size {
  return {
    charges,
    invoices: charges * 0.8,
    customers: charges * 0.2,
    subscriptions: charges * 0.1,
    partialCaptureShare: 0,
    longInvoiceShare: 0,
    discountShare: 0,
    hasPeople: false,
    ...more,
  };
}

// --------------------------------------------------------------- Results ----

const results: { what: string; figure: string; target: string; isMet: boolean }[] = [];

/** One line of the table; `isMet` compares the figure with the target in words. */
function result(what: string, figure: string, target = "", isMet = true): void {
  results.push({ what, figure, target, isMet });
  process.stderr.write(`${what}: ${figure}${target === "" ? "" : ` (${target}: ${isMet ? "yes" : "NO"})`}\n`);
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  return [head, head.map(() => "---"), ...rows].map((cells) => `| ${cells.join(" | ")} |\n`).join("");
}

const one = (figure: number): string => figure.toFixed(1);
const percent = (share: number): string => `${(100 * share).toFixed(2)} %`;

// ------------------------------------------------------------------ Runs ----

/** One run of the sync, with what the services saw of it. */
type Run = Measured & { readonly seen: Observation };

async function sync(server: Server, latencyMs: number, args: readonly string[] = []): Promise<Run> {
  await server.setLatency(latencyMs);
  const measured = await measure("../sync.ts", args, server.env);
  return { ...measured, seen: await server.setLatency(0) };
}

const SEQUENTIAL = shape({ rows: int, pages: int });
type Sequential = Measured & ReturnType<typeof SEQUENTIAL>;

async function readSequentially(server: Server, latencyMs: number): Promise<Sequential> {
  await server.setLatency(latencyMs);
  const measured = await measure("sequential.ts", [], server.env);
  await server.setLatency(0);
  return { ...measured, ...readAs("baseline", SEQUENTIAL, JSON.parse(measured.out)) };
}

async function withServer<T>(size: Size, body: (server: Server) => Promise<T>): Promise<T> {
  const server = await startServer(size);
  try {
    return await body(server);
  } finally {
    server.stop();
  }
}

const all: Run[] = [];

function thousands(count: number): string {
  return count >= 1000 ? `${count / 1000}k` : String(count);
}

// ------------------------------------------------------------- Scenarios ----

/** A whole dry run, both checks and the CRM included, against Stripe's lists alone, one page after another. */
async function compareWithSequential(): Promise<void> {
  const charges = isQuick ? 5000 : 20_000;
  await withServer(sizeOf(charges), async (server) => {
    const targets = [[120, 4.5], [350, 11.5]] as const; // prettier-ignore
    for (const [latencyMs, least] of isQuick ? targets.slice(0, 1) : targets) {
      const baseline = await readSequentially(server, latencyMs);
      const run = await sync(server, latencyMs, ["--dry-run"]);
      all.push(run);
      const ratio = baseline.seconds / run.seconds;
      const where = `${thousands(charges)} charges, ${latencyMs} ms`;
      result(`${where}: one page after another`, `${one(baseline.seconds)} s`);
      const target = isQuick ? "" : `${least} × as fast`; // from 300 pages up
      result(`${where}: whole dry run`, `${one(run.seconds)} s, ${one(ratio)} ×`, target, ratio >= least);
      result(`${where}: rows/s`, (baseline.rows / run.seconds).toFixed(0));
      const { requests } = run.seen.stripe;
      const most = 1.4 * server.least + 40;
      const figure = `${requests} for ${server.least} pages`;
      result(`${where}: Stripe requests`, figure, "1.4 × the least + 40", requests <= most);
    }
  });
}

/** A first day, then a day on which nothing happened. */
async function writeAndRest(charges: number, latencyMs: number): Promise<{ first: Run; quiet: Run }> {
  const size = sizeOf(charges, { longInvoiceShare: 0.005, hasPeople: true });
  return withServer(size, async (server) => {
    const first = await sync(server, latencyMs);
    const quiet = await sync(server, latencyMs);
    all.push(first, quiet);
    const rate = first.seen.writes / first.seconds;
    const where = `${thousands(size.customers)} customers, ${latencyMs} ms`;
    const figure = `${one(rate)} records/s over ${one(first.seconds)} s`;
    if (charges >= 10_000) result(`First day, ${where}: writes`, figure, "16 records/s", rate >= 16);
    else result(`First day, ${where}: writes`, figure);
    const { writes, attio, stripe } = quiet.seen;
    result(`Quiet day, ${where}: writes`, String(writes), "0", writes === 0);
    const most = Math.floor(size.customers / 500) + Math.ceil(size.customers / 100) + 13;
    const target = "one per 500 records and per 100 addresses, and a dozen";
    result(`Quiet day, ${where}: Attio reads`, String(attio.requests), target, attio.requests <= most);
    result(`Quiet day, ${where}: time`, `${one(quiet.seconds)} s, ${stripe.requests} Stripe requests`);
    return { first, quiet };
  });
}

/** What discounts cost: their pages of subscriptions once more, from the first of them on, and each coupon once. */
async function compareDiscounts(): Promise<void> {
  const charges = isQuick ? 1000 : 10_000;
  for (const discountShare of [0, 0.3])
    await withServer(sizeOf(charges, { discountShare }), async (server) => {
      const run = await sync(server, 120, ["--dry-run"]);
      all.push(run);
      const where = `${thousands(charges / 10)} subscriptions, ${100 * discountShare} % with a discount, 120 ms`;
      result(`${where}: Stripe requests`, `${run.seen.stripe.requests} for ${server.least} pages`);
    });
}

/** Ten times the history of the same customers must not take more memory. */
async function measureMemory(): Promise<void> {
  const customers = 1000;
  const histories = [
    ["", 10_000, 0],
    ["", 100_000, 0],
    [", 25 % partial captures", 100_000, 0.25],
  ] as const;
  for (const [what, charges, partialCaptureShare] of isQuick ? histories.slice(0, 1) : histories)
    await withServer(sizeOf(charges, { customers, subscriptions: 500, partialCaptureShare }), async (server) => {
      const run = await sync(server, 40, ["--dry-run"]);
      all.push(run);
      const where = `${thousands(charges)} charges of 1k customers${what}`;
      result(`${where}: peak memory`, `${run.peakMb.toFixed(0)} MB`, "under 300 MB", run.peakMb < 300);
    });
}

/**
 * What charges cost beyond JSON.parse, by what 90k more of them cost: starting and warming up are not counted. The
 * CPU time of one run is not quite the next one's: hence three, of which the middle one counts.
 */
async function measureCpu(): Promise<void> {
  const [syncs, baselines] = [[], []] as [Run[][], Sequential[][]];
  for (const charges of [10_000, 100_000])
    await withServer(sizeOf(charges, { invoices: 0, customers: 1000, subscriptions: 0 }), async (server) => {
      const [ours, theirs] = [[], []] as [Run[], Sequential[]];
      for (let time = 0; time < 3; time += 1) {
        ours.push(await sync(server, 40, ["--dry-run"]));
        // 45 ms keep a reader that asks one page after another below the limit of an endpoint.
        theirs.push(await readSequentially(server, 45));
      }
      syncs.push(ours);
      baselines.push(theirs);
    });
  all.push(...syncs.flat());
  const beyond = (run: Measured | undefined): number => (run === undefined ? NaN : run.cpuSeconds - run.parseSeconds);
  const per100k = ([small, large]: readonly Measured[][]): number[] =>
    ascending((large ?? []).map((run, time) => (beyond(run) - beyond(small?.[time])) / 0.9));
  const where = "100k charges of 1k customers, nothing else";
  const cpu = ascending((syncs[1] ?? []).map(({ cpuSeconds }) => cpuSeconds));
  const parsing = ascending((syncs[1] ?? []).map(({ parseSeconds }) => parseSeconds));
  result(`${where}: CPU, three runs`, `${range(cpu)} s, of which JSON.parse ${range(parsing)} s`);
  const mine = per100k(syncs);
  const middle = mine[1] ?? NaN;
  result("CPU beyond JSON.parse, per 100k charges more", `${range(mine)} s`, "under 3 s", middle < 3);
  result("The same of the baseline, which only fetches and parses", `${range(per100k(baselines))} s`);
}

function ascending(figures: readonly number[]): number[] {
  return figures.toSorted((a, b) => a - b);
}

/** Three figures as the middle one, with the least and the most. */
function range([least = NaN, middle = NaN, most = NaN]: readonly number[]): string {
  return `${one(middle)} (${one(least)} to ${one(most)})`;
}

/** The big account at 350 ms, and one of a tenth. */
async function readBig(): Promise<void> {
  const runs: Run[] = [];
  const sizes = isQuick ? [500, 5000] : [10_000, 100_000];
  for (const charges of sizes)
    await withServer(sizeOf(charges), async (server) => {
      const run = await sync(server, 350, ["--dry-run"]);
      all.push(run);
      runs.push(run);
      if (charges !== sizes[1]) return;
      const where = `${thousands(charges)} charges, 350 ms`;
      result(`${where}: whole dry run`, `${one(run.seconds)} s`, "58 s", run.seconds <= 58);
      result(`${where}: rows/s`, ((charges * LISTED) / run.seconds).toFixed(0));
      const { requests } = run.seen.stripe;
      const figure = `${requests} for ${server.least} pages`;
      result(`${where}: Stripe requests`, figure, "1.4 × the least + 40", requests <= 1.4 * server.least + 40);
      result(`${where}: CPU`, `${one(run.cpuSeconds)} s, of which JSON.parse ${one(run.parseSeconds)} s`);
      result(`${where}: peak memory`, `${run.peakMb.toFixed(0)} MB`);
      showSeconds(run.seen);
    });
  grow(`Dry run, 350 ms, ${sizes.map(thousands).join(" → ")} charges`, runs);
}

/** Requests a second by list, as the services saw them: seconds of a row one by one at first, then five at a time. */
const seconds: { head: string[]; rows: string[][] } = { head: [], rows: [] };

function showSeconds({ stripe, attio }: Observation): void {
  const routes = [...stripe.routes, ...attio.routes].filter(({ perSecond }) => sum(perSecond) >= 10);
  const last = Math.max(...routes.map(({ perSecond }) => perSecond.length));
  const starts = Array.from({ length: last }, (_, second) => second).filter((second) => second < 5 || second % 5 === 0);
  seconds.head = ["Requests a second", ...starts.map((start) => String(start + 1)), "all"];
  for (const { route, perSecond } of routes) {
    const rates = starts.map((start, n) => perSecond.slice(start, starts[n + 1]));
    const shown = rates.map((rate) => (rate.length === 0 ? "" : (sum(rate) / rate.length).toFixed(0)));
    seconds.rows.push([`\`${route}\``, ...shown, String(sum(perSecond))]);
  }
}

function sum(figures: readonly number[]): number {
  return figures.reduce((total, figure) => total + figure, 0);
}

const growth: string[][] = [];

function grow(what: string, [small, large]: readonly Run[]): void {
  if (small === undefined || large === undefined) return;
  const row = (name: string, of: (run: Run) => number, show: (figure: number) => string): void => {
    const [before, after] = [of(small), of(large)];
    growth.push([what, name, show(before), show(after), `${one(after / before)} ×`]);
  };
  const seconds = (figure: number): string => `${one(figure)} s`;
  row("time", (run) => run.seconds, seconds);
  row("CPU", (run) => run.cpuSeconds, seconds);
  row(
    "peak memory",
    (run) => run.peakMb,
    (figure) => `${figure.toFixed(0)} MB`,
  );
  row("Stripe requests", (run) => run.seen.stripe.requests, String);
  row("Attio requests", (run) => run.seen.attio.requests, String);
}

// ------------------------------------------------------------------ Main ----

await compareWithSequential();
const small = await writeAndRest(1000, 40);
if (!isQuick) {
  const large = await writeAndRest(10_000, 40);
  await writeAndRest(10_000, 500);
  grow("First day, 40 ms, 200 → 2k customers", [small.first, large.first]);
  grow("Quiet day, 40 ms, 200 → 2k customers", [small.quiet, large.quiet]);
}
await compareDiscounts();
await measureMemory();
if (!isQuick) await measureCpu();
await readBig();

const seen = all.flatMap((run) => [run.seen.stripe, run.seen.attio]);
const refused = seen.reduce((sum, service) => sum + service.refused, 0);
const requests = seen.reduce((sum, service) => sum + service.requests, 0);
result("All runs: requests answered 429", percent(refused / requests), "under 2 %", refused / requests < 0.02);
const busiest = Math.max(...all.map((run) => run.seen.stripe.busiestSecond));
result("All runs: most Stripe requests in any one second", String(busiest), "100 are allowed", busiest <= 100);
const busiestRoute = Math.max(...all.map((run) => run.seen.stripe.busiestRouteSecond));
result("All runs: most to one endpoint", String(busiestRoute), "25 are allowed", busiestRoute <= 25);

const rows = results.map(({ what, figure, target, isMet }) => [
  what,
  figure,
  target,
  target === "" ? "" : isMet ? "yes" : "**no**",
]);
const today = new Date().toISOString().slice(0, 10);
const text = `# Benchmark

Measured on ${today} by \`npm run bench\` on ${availableParallelism()} cores, both services on the same machine with the
published limits. "120 ms" is what every answer takes; what must hold is what this program set itself.

${table(["What", "Measured", "Must hold", "Does"], rows)}
## The largest account, second by second

From each of these seconds to the next.

${table(seconds.head, seconds.rows)}
## Ten times larger

${table(["", "", "Before", "After", "Growth"], growth)}`;
const page = await format(text, { parser: "markdown", printWidth: 120 });
process.stdout.write(page);
if (!isQuick) writeFileSync(new URL("../docs/bench.md", import.meta.url), page);
