// check.test.ts - what a run finds wrong before it reads: every message as a person sees it, all of them at once.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { TestContext } from "node:test";
import { SANDBOX_ATTIO_DAILY_KEY, SANDBOX_ATTIO_KEY } from "../sandbox/attio.ts";
import type { AttioOptions } from "../sandbox/attio.ts";
import { aBalanceTransaction, aCharge } from "../sandbox/objects.ts";
import { SANDBOX_STRIPE_KEY, SANDBOX_STRIPE_TEST_KEY, STRIPE_PERMISSIONS, emptyAccount } from "../sandbox/stripe.ts";
import type { StripeKey } from "../sandbox/stripe.ts";
import { STATUSES } from "../sync.ts";
import { assertNoSecrets, chargeIdOf, payers, writesOf } from "./ground.ts";
import { aWorld, summaryOf } from "./world.ts";
import type { Run, World, WorldOptions } from "./world.ts";

const ALL_PERMISSIONS = Object.keys(STRIPE_PERMISSIONS);
const ALL_SCOPES = ["object_configuration:read-write", "record_permission:read-write"];

function aSmallWorld(t: TestContext, options: WorldOptions = {}): Promise<World> {
  return aWorld(t, { account: payers(2), hasPeople: false, ...options });
}

/** A world whose Stripe key has these traits. */
function withKey(t: TestContext, traits: Omit<StripeKey, "key">): Promise<World> {
  return aSmallWorld(t, { stripe: { keys: [{ key: SANDBOX_STRIPE_KEY, ...traits }] } });
}

function withPermissions(t: TestContext, isGranted: (slug: string) => boolean): Promise<World> {
  return withKey(t, { permissions: ALL_PERMISSIONS.filter(isGranted) });
}

/** A world with a second Attio key of these scopes, which the run uses. */
async function withScopes(t: TestContext, scopes: readonly string[], more: AttioOptions = {}): Promise<World> {
  const keys = [
    { key: SANDBOX_ATTIO_KEY, scopes: ALL_SCOPES },
    { key: SANDBOX_ATTIO_DAILY_KEY, scopes },
  ];
  const world = await aSmallWorld(t, { attio: { keys, ...more } });
  world.env["ATTIO_API_KEY"] = SANDBOX_ATTIO_DAILY_KEY;
  return world;
}

/** Runs the sync and proves that it stopped at the check: exit 1, nothing read, nothing written, no summary. */
async function runToCheck(world: World, args: readonly string[] = []): Promise<Run> {
  world.stripe.log.length = 0;
  world.attio.log.length = 0;
  const run = await world.run("sync", args);
  assert.equal(run.code, 1, run.all);
  for (const { query, path } of world.stripe.log) assert.equal(query.get("limit"), "1", `${path} was read`);
  assert.deepEqual(world.attio.log.filter(({ path }) => path.endsWith("/query")).map(({ path }) => path), []); // prettier-ignore
  assert.deepEqual(writesOf(world.attio), []);
  assert.match(run.err, /Nothing was written\.\n$/);
  assert.doesNotMatch(run.all, /done:|total revenue|\n {4}at /);
  return run;
}

/** The problems that a message lists, one a line. */
function problemsIn({ err }: Run): string[] {
  return [...err.matchAll(/^ {2}- (.+)$/gm)].map(([, problem]) => problem ?? "");
}

describe("check: the Stripe key", () => {
  const REFUSED: readonly (readonly [name: string, traits: Omit<StripeKey, "key">, said: RegExp])[] = [
    [
      "an expired key",
      { expired: true },
      /STRIPE_API_KEY has expired\. Create a new one at .+Expired API Key provided/,
    ],
    ["a key of other IP addresses", { ipBlocked: true }, /limited to IP addresses that are not this machine's.+from your IP/], // prettier-ignore
  ];
  for (const [name, traits, said] of REFUSED)
    test(`${name} is called that, once, with Stripe's own words`, async (t) => {
      const run = await runToCheck(await withKey(t, traits));

      assert.equal(problemsIn(run).length, 1, run.err);
      assert.match(run.err, said);
    });

  test("a key that Stripe does not know is called unknown, once, with Stripe's own words", async (t) => {
    const world = await aSmallWorld(t);
    world.env["STRIPE_API_KEY"] = "rk_live_51NobodyKnowsThisOne";

    const run = await runToCheck(world);

    assert.equal(problemsIn(run).length, 1, run.err);
    assert.match(run.err, /STRIPE_API_KEY is unknown to Stripe: .+ Invalid API Key provided/);
    assert.doesNotMatch(run.all, /NobodyKnows/);
  });

  for (const [name, traits, status] of [
    ["an expired key", { expired: true }, 401],
    ["a key of other IP addresses", { ipBlocked: true }, 403],
    ["a key without permissions", { permissions: [] }, 403],
  ] as const)
    test(`the message on ${name} holds status and request id`, async (t) => {
      const run = await runToCheck(await withKey(t, traits));

      assert.match(problemsIn(run)[0] ?? "", new RegExp(`\\[GET /v1/\\w+ -> ${status}.*, request req_\\w+\\]`));
    });

  for (const slug of ["rak_charge_read", "rak_customer_read", "rak_invoice_read", "rak_subscription_read"])
    test(`a key without ${slug} is told so by the dashboard's name of it`, async (t) => {
      const run = await runToCheck(await withPermissions(t, (granted) => granted !== slug));

      const [problem, ...others] = problemsIn(run);
      assert.deepEqual(others, []);
      assert.ok(
        problem?.includes(`lacks the permission "${STRIPE_PERMISSIONS[slug]}" (${slug}). Set it to Read`),
        run.err,
      );
      assert.match(problem ?? "", /Permission denied\..+\[GET \/v1\/\w+ -> 403 .*request req_/);
    });

  test("a key without any permission is told all four at once", async (t) => {
    const run = await runToCheck(await withKey(t, { permissions: [] }));

    assert.match(run.err, /^4 things to put right before a run:$/m);
    assert.equal(problemsIn(run).length, 4);
  });

  test("a key that may not read products is good enough, and the report goes without their names", async (t) => {
    const account = payers(2, () => ({ product: "prod_new" }));
    const permissions = ALL_PERMISSIONS.filter((slug) => slug !== "rak_product_read");
    const stripe = { keys: [{ key: SANDBOX_STRIPE_KEY, permissions }] };
    const world = await aWorld(t, { account, stripe, hasPeople: false });

    const run = await world.run("sync");

    assert.equal(run.code, 0, run.all);
    assert.match(run.out, /^ {2}prod_new +30\.00 usd$/m);
  });

  test("a key that may not read balance transactions is good enough where no charge needs one", async (t) => {
    const world = await withPermissions(t, (slug) => !slug.startsWith("rak_balance"));

    assert.equal((await world.run("sync")).code, 0);
  });

  test("where a charge needs its balance transaction, the missing permission stops the run before it writes", async (t) => {
    const world = await withPermissions(t, (slug) => !slug.startsWith("rak_balance"));
    const [charge] = world.stripe.account.charges;
    world.stripe.put(aBalanceTransaction({ id: "txn_1", amount: 1100, source: chargeIdOf(0) }));
    world.stripe.put(aCharge({ ...charge, currency: "eur", balance_transaction: "txn_1" }));

    const run = await world.run("sync");

    assert.equal(run.code, 1);
    assert.match(run.err, /lacks the permission "Balance transaction sources" \(rak_balance_transaction_source_read\)/);
    assert.match(run.err, /Nothing was written\.\n$/);
    assert.deepEqual(world.attio.records("stripe_customers"), []);
  });

  test("a version that Stripe does not speak is no matter of the key, and Stripe's own words say so", async (t) => {
    const world = await aSmallWorld(t, { stripe: { supportedVersions: ["2031-01-01.future"] }, bootstraps: false });

    const run = await runToCheck(world);

    assert.match(run.err, /Stripe refused: Invalid Stripe API version: \d{4}-\d\d-\d\d\.\w+ \[GET \/v1\/\w+ -> 400/);
  });
});

describe("check: the Attio key", () => {
  for (const [name, key] of [
    ["an unknown key", "attio_key_that_nobody_knows"],
    ["a malformed key", "short"],
  ] as const)
    test(`${name} is called not active`, async (t) => {
      const world = await aSmallWorld(t);
      world.env["ATTIO_API_KEY"] = key;

      const run = await runToCheck(world);

      assert.deepEqual(problemsIn(run).length, 1);
      assert.match(run.err, /ATTIO_API_KEY is not active: revoked, mistyped or deleted\. Create a new one in Attio ›/);
      assert.equal(run.all.includes(key), false);
    });

  test("a revoked key, which Attio answers with 200 and active: false, is called not active", async (t) => {
    const keys = [
      { key: SANDBOX_ATTIO_KEY, scopes: ALL_SCOPES },
      { key: SANDBOX_ATTIO_DAILY_KEY, scopes: ALL_SCOPES, active: false },
    ];
    const world = await aSmallWorld(t, { attio: { keys } });
    world.env["ATTIO_API_KEY"] = SANDBOX_ATTIO_DAILY_KEY;

    assert.match((await runToCheck(world)).err, /ATTIO_API_KEY is not active/);
  });

  const LACKING: readonly (readonly [scopes: readonly string[], missing: readonly string[]])[] = [
    [["object_configuration:read"], ["record_permission:read-write"]],
    [["object_configuration:read", "record_permission:read"], ["record_permission:read-write"]],
    [["record_permission:read-write"], ["object_configuration:read"]],
    [[], ["object_configuration:read", "record_permission:read-write"]],
  ];
  for (const [scopes, missing] of LACKING)
    test(`a key with ${scopes.join(" and ") || "no scope"} is told that it lacks ${missing.join(" and ")}`, async (t) => {
      const run = await runToCheck(await withScopes(t, scopes));

      const said = missing.map((scope) => `ATTIO_API_KEY lacks the scope ${scope}. Grant it in Attio ›`);
      const problems = problemsIn(run);
      assert.equal(problems.length, said.length, run.err);
      for (const [at, sentence] of said.entries()) assert.ok(problems[at]?.startsWith(sentence), run.err);
    });

  test("the scopes of the daily run are enough", async (t) => {
    const world = await withScopes(t, ["object_configuration:read", "record_permission:read-write"]);

    assert.equal((await world.run("sync")).code, 0);
  });

  test("a dry run needs no scope to write", async (t) => {
    const world = await withScopes(t, ["object_configuration:read", "record_permission:read"]);

    assert.equal((await world.run("sync", ["--dry-run"])).code, 0);
  });
});

describe("check: the object", () => {
  type Spec = Parameters<World["attio"]["addAttribute"]>[1];
  const SEE = "Object stripe_customers in Attio; what to do: npm run bootstrap -- --dry-run";

  /** The lines on attributes below the problem that says where to read on. */
  function wrongIn(run: Run): string[] {
    assert.deepEqual(problemsIn(run), [SEE]);
    return [...run.err.matchAll(/^ {6}(.+)$/gm)].map(([, line]) => line ?? "");
  }

  test("a workspace without the object is sent to the bootstrap", async (t) => {
    const run = await runToCheck(await aSmallWorld(t, { bootstraps: false }));

    assert.deepEqual(problemsIn(run), ["There is no object stripe_customers in Attio. Next: npm run bootstrap"]);
  });

  const WRONG: readonly (readonly [name: string, spec: Spec, said: string])[] = [
    ["another type", { slug: "total_revenue", type: "number" }, "total_revenue is of type number, must be currency"],
    ["several values", { slug: "subscription_status", type: "select", isMultiselect: true }, "subscription_status takes several values, must take one"],
    ["no uniqueness", { slug: "stripe_customer_id", type: "text" }, "stripe_customer_id is not unique"],
    ["another currency", { slug: "spend_pro", type: "currency", currency: "EUR" }, "spend_pro is in EUR, but CURRENCY says usd"],
    ["another target", { slug: "person", type: "record-reference", allowedObjects: ["companies"] }, "person does not point to people"],
    ["few options", { slug: "subscription_status", type: "select", options: STATUSES.slice(1) }, "subscription_status lacks the option Active"],
  ]; // prettier-ignore
  for (const [name, spec, said] of WRONG)
    test(`an attribute with ${name} is named in a line, with where to read what to do`, async (t) => {
      const world = await aWorld(t, { account: payers(2), bootstraps: false, attio: { freshObjectHasName: false } });
      world.attio.addObject({ slug: "stripe_customers", singular: "Stripe customer", plural: "Stripe customers" });
      world.attio.addAttribute("stripe_customers", spec);
      if (name !== "few options") await world.run("bootstrap");

      const lines = wrongIn(await runToCheck(world));

      assert.ok(lines.includes(said), lines.join("\n"));
      if (name !== "few options") assert.equal(lines.length, 1);
    });

  test("what is archived and what is missing is named, one line each", async (t) => {
    const world = await aSmallWorld(t);
    world.attio.archiveAttribute("stripe_customers", "last_charge_at");
    world.env["PRODUCT_SLUGS"] = '{"prod_x":"spend_new"}';

    const run = await runToCheck(world);

    assert.deepEqual(wrongIn(run), ["spend_new is missing", "last_charge_at is archived"]);
  });

  test("CURRENCY other than the object's is said once, with the remedy first", async (t) => {
    const world = await aSmallWorld(t);
    world.env["CURRENCY"] = "gbp";

    assert.deepEqual(problemsIn(await runToCheck(world)), [
      "Set CURRENCY=usd: CURRENCY is gbp, but the object stripe_customers in Attio is in USD.",
    ]);
  });
});

describe("check: several faults", () => {
  test("what is wrong with both keys and the object is in one message", async (t) => {
    const permissions = ALL_PERMISSIONS.filter((slug) => slug !== "rak_invoice_read");
    const world = await aSmallWorld(t, { stripe: { keys: [{ key: SANDBOX_STRIPE_KEY, permissions }] } });
    world.attio.archiveAttribute("stripe_customers", "email");
    world.attio.setUnique("stripe_customers", "stripe_customer_id", false);
    world.env["PRODUCT_SLUGS"] = '{"prod_x":"spend_new"}';

    const run = await runToCheck(world);

    assert.match(run.err, /^2 things to put right before a run:$/m);
    for (const part of ["Invoices", "stripe_customer_id is not unique", "email is archived", "spend_new is missing"])
      assert.ok(run.err.includes(part), `${part} in:\n${run.err}`);
  });

  test("a refused Stripe key does not hide that the Attio key lacks a scope", async (t) => {
    const world = await withScopes(t, ["object_configuration:read"]);
    world.env["STRIPE_API_KEY"] = "rk_live_51NobodyKnowsThisOne";

    assert.equal(problemsIn(await runToCheck(world)).length, 2);
  });

  test("a dry run stops at the check like a live one", async (t) => {
    const run = await runToCheck(await aSmallWorld(t, { bootstraps: false }), ["--dry-run"]);

    assert.match(run.out, /^dry run: nothing will be written\n/);
  });
});

describe("check: live and test mode", () => {
  test("a test key on records of live mode is said plainly, and nothing is written", async (t) => {
    const world = await aSmallWorld(t);
    await world.run("sync");
    world.env["STRIPE_API_KEY"] = SANDBOX_STRIPE_TEST_KEY;
    world.attio.log.length = 0;

    const run = await world.run("sync");

    assert.equal(run.code, 1);
    assert.match(run.err, /STRIPE_API_KEY is a test key, but 2 of 2 records in Attio are of live mode/);
    assert.deepEqual(writesOf(world.attio), []);
  });

  test("a live key on records of test mode is said plainly, and nothing is written", async (t) => {
    const account = { ...payers(2), livemode: false };
    const world = await aWorld(t, { account, hasPeople: false, env: { STRIPE_API_KEY: SANDBOX_STRIPE_TEST_KEY } });
    assert.equal(summaryOf(await world.run("sync")).created, 2);
    world.env["STRIPE_API_KEY"] = SANDBOX_STRIPE_KEY;
    world.attio.log.length = 0;

    const run = await world.run("sync");

    assert.equal(run.code, 1);
    assert.match(run.err, /STRIPE_API_KEY is a live key, but 2 of 2 records in Attio are of test mode.+rk_test_…/);
    assert.deepEqual(writesOf(world.attio), []);
  });

  test("an empty account with an empty CRM is no fault", async (t) => {
    const run = await (await aWorld(t, { account: emptyAccount() })).run("sync");

    assert.equal(run.code, 0, run.all);
    assert.match(run.out, /\ndone: created=0 updated=0 refreshed=0 unchanged=0 failed=0 /);
  });

  test("no run of this file printed a key", () => {
    assertNoSecrets();
  });
});
