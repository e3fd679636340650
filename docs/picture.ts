// picture.ts - draws the demo's records as the table that Attio shows: docs/records.svg, which the README opens with.
//
// Run: npm run picture. The same records make the same file, byte for byte; a test compares it with the committed one.

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { PlainRecord } from "../sandbox/attio.ts";
import { demoRecords } from "../sandbox/demo.ts";

export const PICTURE_PATH = join(import.meta.dirname, "../docs/records.svg");

type Column = { readonly slug: string; readonly title: string; readonly width: number };

/** What stands before and behind the products' columns; an attribute that no record has a value of is left out. */
const FIRST: readonly Column[] = [
  { slug: "name", title: "Stripe customer", width: 216 },
  { slug: "total_revenue", title: "Total revenue", width: 112 },
];
const LAST: readonly Column[] = [
  { slug: "unallocated_revenue", title: "Unallocated", width: 104 },
  { slug: "mrr", title: "MRR", width: 92 },
  { slug: "subscription_status", title: "Subscription", width: 180 },
  { slug: "renews_at", title: "Renews", width: 96 },
  { slug: "person", title: "Person", width: 76 },
];
const MONEY = /revenue$|^spend_|^mrr$/;
const STATUS_COLOURS: Readonly<Record<string, string>> = {
  Active: "#1a7f4b",
  "Past Due": "#a15c00",
  Paused: "#2f5fd0",
  "Canceled (Voluntary)": "#5f6672",
  "Canceled (Involuntary)": "#b3261e",
};
const ROW = 36;
const INK = "#1d2129";
const PALE = "#7a828f";
const LINE = "#e7e9ee";

function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

/** 1545.06 as $1,545.06. */
function dollars(value: unknown): string {
  const amount = Number(value ?? 0);
  const text = Math.abs(amount).toFixed(2).replace(/\B(?=(\d{3})+\.)/g, ","); // prettier-ignore
  return `${amount < 0 ? "-" : ""}$${text}`;
}

function words(x: number, y: number, text: string, more = ""): string {
  return `<text x="${x}" y="${y}"${more}>${escaped(text)}</text>`;
}

/** One value as Attio shows it; nothing for an empty one. */
function cell({ slug, width }: Column, record: PlainRecord, x: number, y: number): string {
  const value = record[slug];
  if (value === null || value === undefined) return "";
  if (MONEY.test(slug)) return words(x + width - 16, y, dollars(value), ` text-anchor="end"`);
  if (slug === "person") return words(x + 12, y, "↗ linked", ` fill="#2f5fd0"`);
  if (slug === "renews_at") return words(x + 12, y, String(value).slice(0, 10));
  if (slug !== "subscription_status") return words(x + 16, y, String(value), ` font-weight="500"`);
  const colour = STATUS_COLOURS[String(value)] ?? PALE;
  const dot = `<circle cx="${x + 16}" cy="${y - 4.5}" r="3.5" fill="${colour}"/>`;
  return dot + words(x + 26, y, String(value), ` fill="${colour}"`);
}

/** The sum below a column of amounts, as Attio's own last row has it. */
function foot({ slug, width }: Column, records: readonly PlainRecord[], x: number, y: number): string {
  if (slug === "name") return words(x + 16, y, `${records.length} records`, ` fill="${PALE}"`);
  if (!MONEY.test(slug)) return "";
  const cents = records.reduce((sum, record) => sum + Math.round(Number(record[slug] ?? 0) * 100), 0);
  return words(x + width - 16, y, dollars(cents / 100), ` text-anchor="end" fill="${PALE}"`);
}

/** Every product with revenue has its column, so that a row adds up. */
function columnsOf(records: readonly PlainRecord[]): Column[] {
  const slugs = Object.keys(records[0] ?? {}).filter((slug) => slug.startsWith("spend_"));
  const products = slugs.map((slug) => ({ slug, title: slug.replace("spend_", "Spend "), width: 98 }));
  const isShown = ({ slug }: Column): boolean =>
    records.some((record) =>
      slug.startsWith("spend_") ? Number(record[slug]) !== 0 : (record[slug] ?? null) !== null,
    );
  return [...FIRST, ...products, ...LAST].filter(isShown);
}

/** The table as an SVG, in the order given. */
export function drawRecords(records: readonly PlainRecord[]): string {
  const columns = columnsOf(records);
  const width = columns.reduce((sum, column) => sum + column.width, 0);
  const height = ROW * (records.length + 3);
  const baseline = (row: number): number => ROW * row + 23;
  const lines = Array.from({ length: records.length + 2 }, (_, row) => `<path d="M0 ${ROW * (row + 1)}.5H${width}"/>`);
  const cells: string[] = [];
  let x = 0;
  for (const column of columns) {
    const end = MONEY.test(column.slug) ? ` text-anchor="end"` : "";
    const at = x + (end === "" ? (column.slug === "name" ? 16 : 12) : column.width - 16);
    cells.push(words(at, baseline(1), column.title, `${end} fill="${PALE}"`));
    records.forEach((record, row) => cells.push(cell(column, record, x, baseline(row + 2))));
    cells.push(foot(column, records, x, baseline(records.length + 2)));
    x += column.width;
  }
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="-1 -1 ${width + 2} ${height + 2}" role="img">`,
    `<title>The object Stripe customers in Attio, one record per paying customer</title>`,
    `<rect width="${width}" height="${height}" rx="10" fill="#fff" stroke="${LINE}"/>`,
    `<g stroke="${LINE}">${lines.join("")}</g>`,
    `<g font-family="Inter, system-ui, -apple-system, 'Segoe UI', sans-serif" font-size="13" fill="${INK}">`,
    words(16, baseline(0), "Stripe customers", ` font-weight="600" font-size="14"`),
    ...cells.filter(Boolean),
    "</g>\n</svg>\n",
  ].join("\n");
}

if (import.meta.main) writeFileSync(PICTURE_PATH, drawRecords(await demoRecords()));
