// bootstrap.test.ts - the object made from nothing, healed half-way, and what cannot be mended, named.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import type { TestContext } from "node:test";
import { SANDBOX_ATTIO_DAILY_KEY, SANDBOX_ATTIO_KEY, attioFaults } from "../sandbox/attio.ts";
import type { AttioOptions } from "../sandbox/attio.ts";
import { aBalanceTransaction, aProduct } from "../sandbox/objects.ts";
import type { Call, Fault } from "../sandbox/server.ts";
import { SANDBOX_STRIPE_KEY, STRIPE_PERMISSIONS, emptyAccount } from "../sandbox/stripe.ts";
import type { StripeAccount } from "../sandbox/stripe.ts";
import { STATUSES, isObject } from "../sync.ts";
import { assertNoSecrets, isWrite, payers, writesOf } from "./ground.ts";
import { aSummaryFile, aWorld } from "./world.ts";
import type { Run, World, WorldOptions } from "./world.ts";

const ATTRIBUTES =
  "cancels_at company email first_charge_at last_charge_at last_synced_at mrr name payment_failed_at person renews_at " +
  "spend_other spend_pro stripe_customer_id stripe_url subscription_status total_revenue unallocated_revenue";
/** The object itself, its 18 attributes, the other sides of 2 links, and 6 options. */
const ALL = 27;

/** A workspace in which nothing was made yet, and a Stripe account of two payers. */
function anEmptyWorld(t: TestContext, attio: AttioOptions = {}, env: Record<string, string> = {}): Promise<World> {
  const settings = { PRODUCT_SLUGS: '{"prod_SbxProMonthly1":"spend_pro"}', ...env };
  return aWorld(t, { account: payers(2), hasPeople: false, bootstraps: false, attio, env: settings });
}

const SHOWN = ["api_slug", "type", "is_unique", "is_multiselect"] as const;
type Listed = Readonly<Record<(typeof SHOWN)[number] | "title" | "relationship", unknown>>;

/** Asks Attio as a person would look at the settings, past the program. */
async function ask(world: World, path: string, method = "GET", values?: unknown): Promise<Listed[]> {
  const answer = await fetch(`${world.attio.url}/v2/objects/${path}`, {
    method,
    headers: { authorization: `Bearer ${SANDBOX_ATTIO_KEY}`, "content-type": "application/json" },
    ...(values !== undefined && { body: JSON.stringify({ data: values }) }),
  });
  assert.equal(answer.status, 200);
  const { data } = (await answer.json()) as { data: Listed[] };
  return data;
}

/** Everything that the bootstrap makes, in words. */
async function layoutOf(world: World): Promise<string[]> {
  const paths = ["stripe_customers", "people", "companies"].map((object) => `${object}/attributes`);
  const attributes = (await Promise.all(paths.map((path) => ask(world, path)))).flat();
  const options = await ask(world, "stripe_customers/attributes/subscription_status/options");
  const told = attributes.map((one) => [...SHOWN.map((name) => one[name]), one.relationship !== null].join(" "));
  return [...told, ...options.map(({ title }) => String(title))].toSorted();
}

/** Runs the bootstrap and proves that it ended with this code, and told a fault in words: without a stack trace. */
async function runTo(code: number, world: World, args: readonly string[] = []): Promise<Run> {
  const run = await world.run("bootstrap", args);
  assert.equal(run.code, code, run.all);
  assert.doesNotMatch(run.all, /\n {4}at |A bug in this program/);
  return run;
}

/** A workspace that a first run has made whole, with only the requests of what comes. */
async function aMadeWorld(t: TestContext, env: Record<string, string> = {}): Promise<World> {
  const world = await anEmptyWorld(t, {}, env);
  await runTo(0, world);
  world.attio.log.length = 0;
  return world;
}

describe("bootstrap: from nothing", () => {
  for (const freshObjectHasName of [true, false])
    test(`a workspace gets the whole object, whether a new one brings a name or not (${freshObjectHasName})`, async (t) => {
      const world = await anEmptyWorld(t, { freshObjectHasName });

      const run = await runTo(0, world);

      assert.match(run.out, new RegExp(`^${ALL} to create, the object stripe_customers among them$`, "m"));
      assert.equal(run.out.match(/^created /gm)?.length, ALL, run.out);
      const slugs = (await ask(world, "stripe_customers/attributes")).map(({ api_slug }) => api_slug);
      for (const slug of ATTRIBUTES.split(" ")) assert.equal(slugs.filter((known) => known === slug).length, 1, slug);
      const options = await ask(world, "stripe_customers/attributes/subscription_status/options");
      assert.deepEqual(options.map(({ title }) => title), [...STATUSES]); // prettier-ignore
      assert.equal((await world.run("sync")).code, 0);
    });

  test("the match key is unique, both links are two-way, and a second run finds 0 to create and writes nothing", async (t) => {
    const world = await aMadeWorld(t);

    const run = await runTo(0, world);

    assert.match(run.out, /^0 to create$/m);
    assert.deepEqual(writesOf(world.attio), []);
    const layout = await layoutOf(world);
    assert.ok(layout.includes("stripe_customer_id text true false false"));
    assert.equal(layout.filter((line) => line === "stripe_customers record-reference false true true").length, 2);
  });

  test("a dry run creates nothing, says so, and counts what the live run then creates", async (t) => {
    const world = await anEmptyWorld(t);

    const dry = await runTo(0, world, ["--dry-run"]);

    assert.match(dry.out, /^dry run: nothing will be created\n/);
    assert.match(dry.out, /dry run: nothing was created\n$/);
    assert.match(dry.out, new RegExp(`^${ALL} to create`, "m"));
    for (const object of ["people", "companies"])
      assert.match(dry.out, new RegExp(`^  stripe_customers on ${object} +record-reference +to create$`, "m"));
    assert.deepEqual(writesOf(world.attio), []);
  });

  test("a new product adds one attribute, in CURRENCY", async (t) => {
    const world = await aMadeWorld(t, { CURRENCY: "gbp" });
    world.env["PRODUCT_SLUGS"] = '{"prod_SbxProMonthly1":"spend_pro","prod_b":"spend_team"}';

    const run = await runTo(0, world);

    assert.match(run.out, /^1 to create\ncreated +spend_team$/m);
    assert.match(run.out, /^ {2}spend_team +currency, GBP +to create$/m);
    assert.equal(writesOf(world.attio).length, 1);
  });
});

describe("bootstrap: healing", () => {
  /** The fault that belongs to the n-th request, or the n-th write. */
  function faultAt(world: World, isCounted: (call: Call) => boolean, choose: (n: number) => Fault | undefined): void {
    let seen = 0;
    world.attio.faultRules.push((call) => (isCounted(call) ? choose((seen += 1)) : undefined));
  }

  test("a run cut at any request is completed by the next run", async (t) => {
    const layout = await layoutOf(await aMadeWorld(t));

    // Where a run asks no n-th time, it is whole at once.
    for (let n = 1, isCut = true; isCut; n += 1) {
      const world = await anEmptyWorld(t);
      const gone = (seen: number) => (seen > n ? attioFaults.reset : attioFaults.resetAfterEffect);
      faultAt(world, () => true, (seen) => (seen < n ? undefined : gone(seen))); // prettier-ignore
      isCut = (await world.run("bootstrap")).code === 1;
      assert.ok(isCut || n > ALL, `${n}`);
      world.attio.faultRules.length = 0;

      await runTo(0, world);

      assert.deepEqual(await layoutOf(world), layout, `cut at ${n}`);
      assert.match((await runTo(0, world)).out, /^0 to create$/m);
    }
  });

  test("writes whose answers are lost are sent again, and what they find there is no failure", async (t) => {
    const world = await anEmptyWorld(t);
    faultAt(world, isWrite, (n) => (n % 2 === 1 ? attioFaults.resetAfterEffect : undefined));

    await runTo(0, world);

    assert.deepEqual(await layoutOf(world), await layoutOf(await aMadeWorld(t)));
  });

  test("a run that was cut says how far it came and that it can be run again", async (t) => {
    const world = await anEmptyWorld(t);
    faultAt(world, isWrite, (n) => (n > 4 ? attioFaults.reset : undefined));

    const run = await runTo(1, world);

    const made = "object stripe_customers, total_revenue, stripe_customer_id, email";
    assert.ok(run.err.includes(`\nWas created: ${made}. To go on from there: npm run bootstrap\n`), run.err);
  });

  for (const slug of ["email", "subscription_status"])
    test(`an archived ${slug} and an archived option are restored`, async (t) => {
      const world = await aMadeWorld(t);
      const layout = await layoutOf(world);
      const option = `stripe_customers/attributes/subscription_status/options/${encodeURIComponent("Canceled (Voluntary)")}`;
      await ask(world, option, "PATCH", { is_archived: true });
      world.attio.archiveAttribute("stripe_customers", slug);

      const run = await runTo(0, world);

      assert.match(run.out, new RegExp(`^2 to create\\nrestored +${slug}\\nrestored +Canceled \\(Voluntary\\)$`, "m"));
      assert.deepEqual(await layoutOf(world), layout);
    });
});

describe("bootstrap: what it cannot mend", () => {
  type Sandbox = World["attio"];
  const IN_THE_WAY: [name: string, prepare: (attio: Sandbox) => unknown, options: AttioOptions, said: RegExp, made: RegExp][] = [
    ["the plan's object limit", () => undefined, { objectLimit: 0 }, /plan allows no further object.+You have met your plan's object limit/, /stripe/],
    ["another object with our nouns", (attio) => attio.addObject({ slug: "clients", singular: "Stripe customer", plural: "Clients" }), {}, /Another object is called "Stripe customer" or "Stripe customers": rename it.+\nWas created: nothing\./, /stripe/],
    ["another attribute on people where the link's other side belongs", (attio) => attio.addAttribute("people", { slug: "stripe_customers", type: "text" }), {}, /The link person needs an attribute stripe_customers on people/, /person$/],
  ]; // prettier-ignore
  for (const [name, prepare, options, said, made] of IN_THE_WAY)
    test(`${name} is named with what to do`, async (t) => {
      const world = await anEmptyWorld(t, options);
      prepare(world.attio);

      const run = await runTo(1, world);

      assert.match(run.err, said);
      assert.doesNotMatch(run.out, new RegExp(`^created +${made.source}`, "m"));
    });

  for (const env of [{}, { CI: "true" }])
    test(`a currency that Attio does not have is CURRENCY's fault, before anything stands half made (${JSON.stringify(env)})`, async (t) => {
      const world = await anEmptyWorld(t, {}, { CURRENCY: "ron", ...env });

      const run = await runTo(1, world);

      assert.match(run.err, /^CURRENCY=ron is at fault: Attio has no such currency\. It has ARS, AUD, .*, TRY\./m);
      assert.match(run.err, /^Was created: object stripe_customers\./m);
      assert.equal(world.attio.writes.changes, 1);
    });

  test("a key without the scope to configure is told which one it lacks, but may make a dry run", async (t) => {
    const world = await anEmptyWorld(t, {}, { ATTIO_API_KEY: SANDBOX_ATTIO_DAILY_KEY });

    const run = await runTo(1, world);

    assert.match(run.err, /ATTIO_API_KEY lacks the scope object_configuration:read-write[^]+Nothing was written\./);
    await runTo(0, world, ["--dry-run"]);
    assert.deepEqual(writesOf(world.attio), []);
  });
});

describe("bootstrap: the currency", () => {
  /** Sells in usd and eur; two of three charges are settled in eur, whatever they were paid in. */
  function inEuro(): StripeAccount {
    const account = payers(3, (n) => ({ currency: n === 1 ? "eur" : "usd" }));
    const settlements = account.charges.map(({ id, amount }, n) =>
      aBalanceTransaction({ id: `txn_${n}`, amount, source: id, currency: n === 0 ? "usd" : "eur" }),
    );
    const charges = account.charges.map((charge, n) => ({ ...charge, balance_transaction: `txn_${n}` }));
    return { ...account, charges, balanceTransactions: settlements };
  }
  const permissions = Object.keys(STRIPE_PERMISSIONS).filter((slug) => !slug.startsWith("rak_balance"));
  const SETTLED: [title: string, options: WorldOptions, code: number, said: RegExp][] = [
    ["without CURRENCY an account that is mostly settled in euro stops with the setting to make", {}, 1, /newest 3 charges Stripe settled 2 in eur, 1 in usd; CURRENCY is usd\. .*CURRENCY=eur\n[^]*Nothing was written\./],
    ["a key that may not read settlements goes by what customers paid, and says so", { stripe: { keys: [{ key: SANDBOX_STRIPE_KEY, permissions }] } }, 0, /may not read\) customers paid 2 in usd, 1 in eur; CURRENCY is usd\.\n/],
    ["with CURRENCY set on purpose the object is made, with a warning", { env: { CURRENCY: "usd" } }, 0, /Probably right: CURRENCY=eur/],
  ]; // prettier-ignore
  for (const [title, options, code, said] of SETTLED)
    test(title, async (t) => {
      const world = await aWorld(t, { account: inEuro(), hasPeople: false, bootstraps: false, ...options });

      const run = await world.run("bootstrap");

      assert.equal(run.code, code, run.all);
      assert.match(run.all, said);
      assert.equal(writesOf(world.attio).length > 0, code === 0);
    });

  test("without a Stripe key, or with one that Stripe refuses, the object is made all the same", async (t) => {
    for (const STRIPE_API_KEY of ["", "rk_live_51NobodyKnowsThisOne"])
      await runTo(0, await anEmptyWorld(t, {}, { STRIPE_API_KEY }));
  });
});

describe("bootstrap: --suggest-products", () => {
  const NAMES = ["Pro plan (yearly)", "プロプラン", "Café | `x` \u001b[31m::error::", "スタータープラン", "Équipe", "Team", "TEAM!", "Other"]; // prettier-ignore
  const account = emptyAccount({ products: NAMES.map((name, n) => aProduct({ id: `prod_${n}A`, name })) });

  /** The run, and the mapping that it proposes on its last line. */
  async function suggest(t: TestContext, env: Record<string, string>, products = account) {
    const options = { hasPeople: false, bootstraps: false, env: { ATTIO_API_KEY: "", ...env } };
    const world = await aWorld(t, { account: products, ...options });
    const run = await runTo(0, world, ["--suggest-products"]);
    const mapping: unknown = JSON.parse(run.out.trimEnd().split("\n").at(-1) ?? "");
    assert.ok(isObject(mapping));
    return { world, run, mapping };
  }

  test("each product gets a slug of its own that PRODUCT_SLUGS takes, without any Attio key", async (t) => {
    const { world, run, mapping } = await suggest(t, {});

    assert.equal(world.attio.log.length, 0);
    const slugs = "pro_plan_yearly prod_1a cafe_x_31m_error prod_3a equipe prod_5a prod_6a prod_7a".split(" ");
    assert.deepEqual(mapping, Object.fromEntries(slugs.map((slug, n) => [`prod_${n}A`, `spend_${slug}`])));
    assert.doesNotMatch(run.all, /\u001b|^::/m);
    Object.assign(world.env, { PRODUCT_SLUGS: JSON.stringify(mapping), ATTIO_API_KEY: SANDBOX_ATTIO_KEY });
    await runTo(0, world);
  });

  test("ids that differ in case only, or are long and alike, still get slugs that differ", async (t) => {
    const ids = ["prod_a", "prod_A", `prod_${"x".repeat(60)}1`, `prod_${"x".repeat(60)}2`];
    const alike = emptyAccount({ products: ids.map((id) => aProduct({ id, name: "日本語" })) });

    const slugs = Object.values((await suggest(t, {}, alike)).mapping).map(String);

    assert.equal(new Set(slugs).size, 4);
    for (const slug of slugs) assert.match(slug, /^spend_[a-z0-9_]+$/);
  });

  test("the step summary holds the table and the mapping in a block to copy", async (t) => {
    const GITHUB_STEP_SUMMARY = aSummaryFile(t);

    const { mapping } = await suggest(t, { GITHUB_STEP_SUMMARY });

    const summary = readFileSync(GITHUB_STEP_SUMMARY, "utf8");
    assert.match(summary, /^## 8 products in Stripe$/m);
    assert.match(summary, /^\| prod&#95;4A \|.* Équipe \|$/m);
    assert.ok(summary.includes(`PRODUCT_SLUGS:\n\n\`\`\`json\n${JSON.stringify(mapping)}\n\`\`\``), summary);
  });

  test("where amounts are not shown no product's name is, nor a slug made from one", async (t) => {
    const { run, mapping } = await suggest(t, { SHOW_AMOUNTS: "0" });

    assert.doesNotMatch(run.all, /pro.?plan|cafe|Café|quipe|team/i);
    assert.equal(mapping["prod_4A"], "spend_prod_4a");
    assert.match(run.out, /with SHOW_AMOUNTS=0 ids stand in their place/);
  });

  test("a key that may not read products is told the permission by the dashboard's name", async (t) => {
    const stripe = { keys: [{ key: SANDBOX_STRIPE_KEY, permissions: ["rak_charge_read"] }] };
    const world = await aWorld(t, { account, hasPeople: false, bootstraps: false, stripe });

    const run = await runTo(1, world, ["--suggest-products"]);

    assert.match(run.err, /lacks the permission "Products" \(rak_product_read\)/);
  });

  test("no run of this file printed a key", () => {
    assertNoSecrets();
  });
});
