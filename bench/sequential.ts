// sequential.ts - the baseline: the same lists, and the same pages of invoice lines, one page after another.
//
// Prints how many objects and pages it read, as JSON.

import { listOf, readAs, shape, STRIPE_VERSION, text, flag } from "../sync.ts";

const { STRIPE_API_BASE = "", STRIPE_API_KEY = "" } = process.env;
const headers = { authorization: `Bearer ${STRIPE_API_KEY}`, "stripe-version": STRIPE_VERSION };
const LINES = shape({ data: listOf(shape({ id: text })), has_more: flag });
const PAGE = shape({ data: listOf((object) => object), has_more: flag });
const ID = shape({ id: text });
const INVOICE = shape({ id: text, lines: LINES });

let rows = 0;
let pages = 0;

async function readPage(path: string, query: Readonly<Record<string, string>>): Promise<ReturnType<typeof PAGE>> {
  const response = await fetch(`${STRIPE_API_BASE}${path}?${new URLSearchParams(query)}`, { headers });
  if (!response.ok) throw new Error(`${path} was answered with ${response.status}`);
  pages += 1;
  return readAs("page", PAGE, JSON.parse(await response.text()));
}

async function readList(path: string, given: Readonly<Record<string, string>>, after?: string): Promise<void> {
  for (let cursor = after, hasMore = true; hasMore;) {
    const page = await readPage(path, { ...given, limit: "100", ...(cursor && { starting_after: cursor }) });
    hasMore = page.has_more;
    if (hasMore) cursor = readAs("object", ID, page.data.at(-1)).id;
    if (path !== "/v1/invoices") {
      rows += page.data.length;
      continue;
    }
    for (const invoice of page.data.map((object) => readAs("invoice", INVOICE, object))) {
      rows += 1;
      if (invoice.lines.has_more) await readList(`/v1/invoices/${invoice.id}/lines`, {}, invoice.lines.data.at(-1)?.id);
    }
  }
}

await readList("/v1/charges", {});
await readList("/v1/invoices", { status: "paid" });
await readList("/v1/customers", {});
await readList("/v1/subscriptions", { status: "all" });
process.stdout.write(JSON.stringify({ rows, pages }));
