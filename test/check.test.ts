// check.test.ts - what a run finds wrong before it reads: every message as a person sees it, all of them at once.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { TestContext } from "node:test";
import { SANDBOX_ATTIO_DAILY_KEY, SANDBOX_ATTIO_KEY } from "../sandbox/attio.ts";
import { SANDBOX_STRIPE_KEY, STRIPE_PERMISSIONS, emptyAccount } from "../sandbox/stripe.ts";
import type { StripeKey } from "../sandbox/stripe.ts";
import { STATUSES } from "../sync.ts";
import { assertNoSecrets, payers, writesOf } from "./ground.ts";
import { aWorld } from "./world.ts";
import type { Run, World, WorldOptions } from "./world.ts";

const ALL_PERMISSIONS = Object.keys(STRIPE_PERMISSIONS);
const ALL_SCOPES = ["object_configuration:read-write", "record_permission:read-write"];

function aSmallWorld(t: TestContext, options: WorldOptions = {}): Promise<World> {
  return aWorld(t, { account: payers(2), hasPeople: false, ...options });
}

/** A world whose Stripe key has these traits. */
function withKey(t: TestContext, traits: Omit<StripeKey, "key">, options: WorldOptions = {}): Promise<World> {
  return aSmallWorld(t, { stripe: { keys: [{ key: SANDBOX_STRIPE_KEY, ...traits }] }, ...options });
}

/** A world with a second Attio key of these scopes, which the run uses. */
async function withScopes(t: TestContext, scopes: readonly string[], active = true): Promise<World> {
  const keys = [
    { key: SANDBOX_ATTIO_KEY, scopes: ALL_SCOPES },
    { key: SANDBOX_ATTIO_DAILY_KEY, scopes, active },
  ];
  const world = await aSmallWorld(t, { attio: { keys } });
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
    ["that has expired", { expired: true }, /STRIPE_API_KEY has expired\. Create a new one at .+Expired API Key provided.+ -> 401/],
    ["of other IP addresses", { ipBlocked: true }, /limited to IP addresses that are not this machine's.+from your IP.+ -> 403/],
    ["that Stripe does not know", {}, /STRIPE_API_KEY is unknown to Stripe: .+ Invalid API Key provided.+ -> 401/],
  ]; // prettier-ignore
  for (const [name, traits, said] of REFUSED)
    test(`a key ${name} is called that, once, with Stripe's own words and the request id`, async (t) => {
      const world = await withKey(t, traits);
      if (name.includes("know")) world.env["STRIPE_API_KEY"] = "rk_live_51NobodyKnowsThisOne";

      const run = await runToCheck(world);

      const [problem = "", ...others] = problemsIn(run);
      assert.deepEqual(others, []);
      assert.match(problem, said);
      assert.match(problem, /\[GET \/v1\/\w+ -> .+, request req_\w+\]$/);
      assert.doesNotMatch(run.all, /NobodyKnows/);
    });

  const NEEDED = ["rak_charge_read", "rak_customer_read", "rak_invoice_read", "rak_subscription_read"];
  for (const lacking of [...NEEDED.map((slug) => [slug]), NEEDED])
    test(`a key without ${lacking.join(", ")} is told all of it by the dashboard's names`, async (t) => {
      const permissions = ALL_PERMISSIONS.filter((slug) => !lacking.includes(slug));

      const problems = problemsIn(await runToCheck(await withKey(t, { permissions })));

      assert.equal(problems.length, lacking.length);
      for (const slug of lacking) {
        const said = `lacks the permission "${STRIPE_PERMISSIONS[slug]}" (${slug}). Set it to Read`;
        const problem = problems.find((candidate) => candidate.includes(said));
        assert.match(problem ?? said, /Permission denied\..+\[GET \/v1\/\w+ -> 403 .*request req_/);
      }
    });

  test("a key that may read neither products nor balance transactions is good enough where none is needed", async (t) => {
    const permissions = ALL_PERMISSIONS.filter((slug) => !/product|balance/.test(slug));
    const account = payers(2, () => ({ product: "prod_new" }));
    account.charges = account.charges.map((charge) => ({ ...charge, balance_transaction: "txn_1" }));
    const world = await withKey(t, { permissions }, { account });

    const run = await world.run("sync");

    assert.equal(run.code, 0, run.all);
    assert.match(run.out, /^ {2}prod_new +30\.00 usd$/m);
  });

  test("a version that Stripe does not speak is no matter of the key, and Stripe's own words say so", async (t) => {
    const world = await aSmallWorld(t, { stripe: { supportedVersions: ["2031-01-01.future"] }, bootstraps: false });

    const run = await runToCheck(world);

    assert.match(run.err, /Stripe refused: Invalid Stripe API version: \d{4}-\d\d-\d\d\.\w+ \[GET \/v1\/\w+ -> 400/);
  });
});

describe("check: the Attio key", () => {
  for (const key of ["attio_key_that_nobody_knows", "short", SANDBOX_ATTIO_DAILY_KEY])
    test(`a key that is unknown, malformed or revoked (${key.slice(0, 9)}) is called not active`, async (t) => {
      const world = await withScopes(t, ALL_SCOPES, false);
      world.env["ATTIO_API_KEY"] = key;

      const run = await runToCheck(world);

      assert.equal(problemsIn(run).length, 1);
      assert.match(run.err, /ATTIO_API_KEY is not active: revoked, mistyped or deleted\. Create a new one in Attio ›/);
      assert.equal(run.all.includes(key), false);
    });

  const [READS, CONFIGURES, WRITES] = ["record_permission:read", "object_configuration:read", "record_permission:read-write"]; // prettier-ignore
  const SCOPES: readonly (readonly [scopes: readonly string[], args: readonly string[], missing: readonly string[]])[] = [
    [[CONFIGURES], [], [WRITES]],
    [[CONFIGURES, READS], [], [WRITES]],
    [[WRITES], [], [CONFIGURES]],
    [[], [], [CONFIGURES, WRITES]],
    [[CONFIGURES, WRITES], [], []],
    [[CONFIGURES, READS], ["--dry-run"], []],
  ]; // prettier-ignore
  for (const [scopes, args, missing] of SCOPES)
    test(`a ${args.join()} run with ${scopes.join(" and ") || "no scope"} lacks ${missing.join(" and ") || "nothing"}`, async (t) => {
      const world = await withScopes(t, scopes);
      if (missing.length === 0) return assert.equal((await world.run("sync", args)).code, 0);

      const grant = "Grant it in Attio › Workspace settings › Developers.";
      const said = missing.map((scope) => `ATTIO_API_KEY lacks the scope ${scope}. ${grant}`);
      assert.deepEqual(problemsIn(await runToCheck(world, args)), said);
    });
});

describe("check: the object", () => {
  type Spec = Parameters<World["attio"]["addAttribute"]>[1];

  for (const args of [[], ["--dry-run"]])
    test(`a workspace without the object is sent to the bootstrap, ${args.join()}`, async (t) => {
      const run = await runToCheck(await aSmallWorld(t, { bootstraps: false }), args);

      assert.deepEqual(problemsIn(run), ["There is no object stripe_customers in Attio. Next: npm run bootstrap"]);
    });

  test("each attribute that differs is named in a line; the bootstrap says why, and makes the others", async (t) => {
    const link = { object: "companies", slug: "others", isMultiselect: true };
    const wrong: [spec: Spec, line: string, why?: string][] = [
      [{ slug: "stripe_customer_id", type: "text" }, "is not unique", "is the match key but not unique, so a customer could get two records"],
      [{ slug: "total_revenue", type: "number" }, "is of type number, must be currency"],
      [{ slug: "spend_pro", type: "currency", currency: "EUR" }, "is in EUR, but CURRENCY says usd"],
      [{ slug: "person", type: "record-reference", relationship: link }, "does not point to people"],
      [{ slug: "company", type: "record-reference", isMultiselect: true }, "takes several values, must take one"],
    ]; // prettier-ignore
    const world = await aSmallWorld(t, { bootstraps: false, attio: { freshObjectHasName: false } });
    world.attio.addObject({ slug: "stripe_customers", singular: "Stripe customer", plural: "Stripe customers" });
    const select: Spec = { slug: "subscription_status", type: "select", options: STATUSES.slice(1) };
    for (const spec of [select, ...wrong.map(([spec]) => spec)]) world.attio.addAttribute("stripe_customers", spec);

    const run = await runToCheck(world);
    const made = await world.run("bootstrap");

    assert.deepEqual(problemsIn(run), ["Object stripe_customers in Attio; what to do: npm run bootstrap -- --dry-run"]);
    const lines = run.err.match(/(?<=^ {6}).+(?<! is missing)$/gm) ?? [];
    const expected = wrong.map(([{ slug }, line]) => `${slug} ${line}`);
    assert.deepEqual(lines.toSorted(), [...expected, "subscription_status lacks the option Active"].toSorted());
    assert.equal(made.code, 1);
    for (const [{ slug }, line, why = `${line}, and Attio cannot change that: change its slug`] of wrong) {
      assert.match(made.out, new RegExp(`^  ${slug} .+DIFFERS, see below$`, "m"));
      assert.ok(made.err.includes(`The attribute ${slug} ${why}`), made.err);
    }
    assert.match(made.out, /^created +unallocated_revenue$[^]*^created +Active$/m);
  });

  test("CURRENCY other than the object's is said once, remedy first, and the bootstrap makes nothing", async (t) => {
    const world = await aSmallWorld(t);
    Object.assign(world.env, { CURRENCY: "gbp" });
    const said = "Set CURRENCY=usd: CURRENCY is gbp, but the object stripe_customers in Attio is in USD.";

    const problems = problemsIn(await runToCheck(world));
    const made = await world.run("bootstrap", [], { env: { ...world.env, PRODUCT_SLUGS: '{"prod_x":"spend_new"}' } });

    assert.deepEqual(problems, [said]);
    assert.match(made.err, new RegExp(`^${said} Attio cannot change that\\.$`, "m"));
    assert.deepEqual([made.code, made.err.match(/CURRENCY/g)?.length, writesOf(world.attio)], [1, 2, []]);
  });

  test("what is wrong with both keys and the object is in one message", async (t) => {
    const world = await withScopes(t, ["object_configuration:read"]);
    world.env["STRIPE_API_KEY"] = "rk_live_51NobodyKnowsThisOne";
    world.attio.archiveAttribute("stripe_customers", "email");
    world.env["PRODUCT_SLUGS"] = '{"prod_x":"spend_new"}';

    const run = await runToCheck(world);

    assert.match(run.err, /^3 things to put right before a run:$/m);
    assert.match(run.err, /is unknown to Stripe[^]+lacks the scope record_permission[^]+email is archived/);
    assert.match(run.err, /^ {6}spend_new is missing$/m);
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
