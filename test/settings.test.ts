// settings.test.ts - what a person can set, and every way to set it wrong.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { CHARGE, SETTINGS, SettingsError, readAs } from "../sync.ts";
import type { Environment, Usage } from "../sync.ts";
import { settingsOf } from "./samples.ts";

/** The message for settings that are wrong. */
function faultOf(env: Environment, args: readonly string[] = [], usage: Partial<Usage> = {}): string {
  try {
    settingsOf(env, args, usage);
  } catch (error) {
    assert.ok(error instanceof SettingsError, String(error));
    return error.message;
  }
  throw new Error(`accepted: ${JSON.stringify(env)} ${args.join(" ")}`);
}

const SECRET = "4242hush4242";

/** Each wrong setting with what its message must say: the name, and an example of what is right. */
const WRONG: readonly (readonly [env: Environment, said: readonly string[]])[] = [
  [{ STRIPE_API_KEY: "" }, ["STRIPE_API_KEY is not set", "rk_live_", "into the file .env beside this program"]],
  [{ STRIPE_API_KEY: "", GITHUB_ACTIONS: "true" }, ["STRIPE_API_KEY is not set", "Actions › Secrets"]],
  [{ ATTIO_API_KEY: "" }, ["ATTIO_API_KEY is not set", "Workspace settings", "into the file .env"]],
  [{ STRIPE_API_KEY: `pk_live_${SECRET}` }, ["STRIPE_API_KEY is a publishable key", "rk_live_"]],
  [{ STRIPE_API_KEY: `whsec_${SECRET}` }, ["STRIPE_API_KEY is no Stripe key", "rk_live_"]],
  [{ STRIPE_API_KEY: `rkcs_live_${SECRET}` }, ["STRIPE_API_KEY is no Stripe key", "rk_live_"]],
  [{ STRIPE_API_KEY: `rk_live_${SECRET}\nx` }, ["STRIPE_API_KEY is no Stripe key", "rk_live_"]],
  [{ STRIPE_API_KEY: `"rk_live_${SECRET}"` }, ["STRIPE_API_KEY is no Stripe key", "rk_live_"]],
  [{ ATTIO_API_KEY: `rk_live_${SECRET}` }, ["ATTIO_API_KEY holds a Stripe key", "swapped"]],
  [{ ATTIO_API_KEY: `${SECRET}\u200b` }, ["ATTIO_API_KEY holds a character", "copy it again"]],
  [{ CURRENCY: "euro" }, ['CURRENCY is "euro"', "such as eur"]],
  [{ CURRENCY: "us1" }, ['CURRENCY is "us1"', "such as eur"]],
  [{ PRODUCT_SLUGS: "prod_1=spend_pro" }, ["PRODUCT_SLUGS is not JSON", '{"prod_ABC123":"spend_pro"}']],
  [{ PRODUCT_SLUGS: '{"prod_1":"spend_a",}' }, ["at character 21,", '"spend_a",}', "after a comma too many"]],
  [{ PRODUCT_SLUGS: '{"prod_1":"spend_a" "prod_2":"spend_b"}' }, ["at character 21,", '"spend_a" "prod_2"']],
  [{ PRODUCT_SLUGS: "{}, x" }, ["at character 3,"]],
  [{ PRODUCT_SLUGS: '{"prod_1": “spend_a”}' }, ["at character 12,", "“spend_a”", "a curly quote"]],
  [{ PRODUCT_SLUGS: `{"prod_1":"rk_live_${SECRET}${"x".repeat(30)}" "a":"b"}` }, ["at character", "•••"]],
  [{ PRODUCT_SLUGS: `{"prod_1":"rk_live_${SECRET}"}` }, ['"prod_1"', "looks like a key", "expected spend_"]],
  [{ PRODUCT_SLUGS: '{"price_1":"spend_a"}' }, ['"price_1"', "expected a product's id (prod_…), not a price's"]],
  [{ PRODUCT_SLUGS: '["spend_pro"]' }, ["PRODUCT_SLUGS is not JSON", '{"prod_ABC123":"spend_pro"}']],
  [{ PRODUCT_SLUGS: '{"prod_1":"spend_a"' }, ["at character 20,"]],
  [{ PRODUCT_SLUGS: '{"prod_1":"total_revenue"}' }, ['"prod_1"', '"total_revenue"', "expected spend_"]],
  [{ PRODUCT_SLUGS: '{"prod_1":"spend_Pro"}' }, ['"prod_1"', '"spend_Pro"', "expected spend_"]],
  [{ PRODUCT_SLUGS: '{"prod_1":"spend_"}' }, ['"prod_1"', '"spend_"', "expected spend_"]],
  [{ PRODUCT_SLUGS: '{"prod_1":"spend_pro\\n"}' }, ['"prod_1"', "expected spend_"]],
  [{ PRODUCT_SLUGS: '{"prod_1":"__proto__"}' }, ['"prod_1"', '"__proto__"', "expected spend_"]],
  [{ PRODUCT_SLUGS: '{"__proto__":{"x":"spend_pro"}}' }, ['"__proto__"', "expected spend_"]],
  [{ PRODUCT_SLUGS: '{"prod_1":["spend_pro"]}' }, ['"prod_1"', "expected spend_"]],
  [{ CREATE_PEOPLE: "on" }, ['CREATE_PEOPLE is "on"', "1, true, 0 or false"]],
  [{ REFRESH_DAYS: "-1" }, ['REFRESH_DAYS is "-1"', "such as 7"]],
  [{ REFRESH_DAYS: "1.5" }, ['REFRESH_DAYS is "1.5"', "such as 7"]],
];

describe("a wrong setting", () => {
  for (const [env, said] of WRONG)
    it(`such as ${JSON.stringify(env)} is named with what is right, and no secret is shown`, () => {
      const message = faultOf(env);
      assert.match(message, /^1 thing to put right:\n  - .+\nNothing was requested\.$/);
      for (const part of said) assert.ok(message.includes(part), `${part} is missing in:\n${message}`);
      assert.ok(!message.includes(SECRET), message);
    });

  it("does not hide another: all are named in one message, with their number", () => {
    const env = {
      STRIPE_API_KEY: `pk_live_${SECRET}`,
      ATTIO_API_KEY: `sk_live_${SECRET}`,
      CURRENCY: "euro",
      PRODUCT_SLUGS: '{"prod_1":"pro","prod_2":"team","prod_3":"spend_right"}',
      DRY_RUN: "yes",
      REFRESH_DAYS: "x",
      CREATE_PEOPLE: "2",
      SHOW_AMOUNTS: "off",
      STRIPE_API_BASE: "https://api.stripe.com",
      ATTIO_API_BASE: "https://evil.example",
    };
    const message = faultOf(env, ["--dryrun", "cus_1"]);
    assert.match(message, /^13 things to put right:\n(  - .+\n){13}Nothing was requested\.$/);
    for (const name of [...Object.keys(env), "prod_1", "prod_2", "--dryrun", "cus_1"])
      assert.ok(message.includes(name), `${name} is missing in:\n${message}`);
    assert.ok(!message.includes(SECRET), message);
  });

  it("is one line, however long and whatever characters its value has", () => {
    const message = faultOf({ CURRENCY: `e\u001b[31mu\r\n::error::\u202e${"x ".repeat(5000)}` });
    assert.match(message, /^1 thing .+\n  - CURRENCY is "\P{C}{1,60}": expected .+\nNothing was requested\.$/u);
  });
});

describe("keys", () => {
  it("are taken in every form that Stripe gives out, with their mode", () => {
    const keys = { rk_live_1: "live", rk_test_1: "test", sk_live_1: "live", sk_test_1: "test", rkcs_test_1: "test" };
    for (const [key, mode] of Object.entries(keys)) {
      const settings = settingsOf({ STRIPE_API_KEY: ` ${key}\n` });
      assert.deepEqual([settings.stripeKey, settings.mode], [key, mode]);
    }
  });

  it("that can move money draw a warning, which does not show them", () => {
    const { warnings } = settingsOf({ STRIPE_API_KEY: `sk_live_${SECRET}` });
    assert.equal(warnings.length, 1);
    assert.match(warnings[0] ?? "", /^STRIPE_API_KEY can move money \(sk_live_…\).+rk_live_…/);
    assert.ok(!warnings.join().includes(SECRET));
    for (const key of ["rk_live_1", "sk_test_1"]) assert.deepEqual(settingsOf({ STRIPE_API_KEY: key }).warnings, []);
  });

  it("are required only by a program that needs them, but never taken wrong", () => {
    const usage = { requires: ["STRIPE_API_KEY"] };
    assert.equal(settingsOf({ ATTIO_API_KEY: "" }, [], usage).attioKey, "");
    assert.match(faultOf({ ATTIO_API_KEY: "rk_live_1" }, [], usage), /ATTIO_API_KEY holds a Stripe key/);
    assert.match(faultOf({ STRIPE_API_KEY: "pk_live_1" }, [], { requires: [] }), /publishable/);
  });

  it("given as an argument or an unknown option by mistake are not shown", () => {
    for (const args of [[`rk_live_${SECRET}`], [`--stripe-key=rk_live_${SECRET}`]])
      assert.ok(!faultOf({}, args).includes(SECRET), args.join());
  });
});

describe("an empty setting", () => {
  it("counts as unset", () => {
    const [, , ...ours] = SETTINGS.map(([name]) => name); // but the two keys
    const names = [...ours, "GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY", "CI"];
    for (const empty of ["", " \n"])
      assert.deepEqual(settingsOf(Object.fromEntries(names.map((name) => [name, empty]))), settingsOf());
  });

  it("has the default that the table of settings gives", () => {
    const { currency, productSlugs, isDryRun, refreshMs, createsPeople, showsAmounts, ...others } = settingsOf();
    assert.deepEqual([currency, productSlugs.size, refreshMs], ["usd", 0, 7 * 86_400_000]);
    assert.deepEqual([isDryRun, createsPeople, showsAmounts], [false, false, true]);
    assert.deepEqual([others.stripeBase, others.attioBase], ["https://api.stripe.com", "https://api.attio.com"]);
    assert.deepEqual(others.warnings, []);
  });
});

describe("a switch", () => {
  it("is on with 1 or true and off with 0 or false, in any case", () => {
    const switches = (value: string): boolean[] => {
      const settings = settingsOf({ DRY_RUN: value, CREATE_PEOPLE: value, SHOW_AMOUNTS: value });
      return [settings.isDryRun, settings.createsPeople, settings.showsAmounts];
    };
    for (const on of ["1", "true", "TRUE", " True "]) assert.deepEqual(switches(on), [true, true, true], on);
    for (const off of ["0", "false", "FALSE"]) assert.deepEqual(switches(off), [false, false, false], off);
  });

  it("for a dry run may be the option or the setting, and neither turns the other off", () => {
    assert.equal(settingsOf({}, ["--dry-run"]).isDryRun, true);
    assert.equal(settingsOf({ DRY_RUN: "0" }, ["--dry-run"]).isDryRun, true);
    assert.equal(settingsOf({ DRY_RUN: "true" }).isDryRun, true);
  });
});

describe("the command line", () => {
  it("refuses an option that does not exist instead of ignoring it", () => {
    for (const typo of ["--dryrun", "--dry_run", "-n", "--dry-run=true", "--Force", "--"]) {
      const message = faultOf({}, [typo]);
      assert.ok(message.includes(`"${typo}" is not an option`), message);
      assert.ok(message.includes("--dry-run, --update-only, --force, --verbose, --help, --version"), message);
      assert.ok(!message.includes("setting"), message);
    }
  });

  it("refuses an argument where none is taken", () => {
    assert.match(faultOf({}, ["now"]), /unexpected argument "now"/);
  });

  it("takes exactly one customer id where one is needed", () => {
    const usage = { takesCustomer: true };
    assert.equal(settingsOf({}, ["cus_NffrFeUfNV2Hib"], usage).customerId, "cus_NffrFeUfNV2Hib");
    for (const page of ["customers/cus_1", "acct_1/test/customers/cus_1?tab=x#y", "test/customers/cus_1/"])
      assert.equal(settingsOf({}, [`https://dashboard.stripe.com/${page}`], usage).customerId, "cus_1");
    const others = ["https://evil.example/cus_1", "ch_1", "cus_../charges", "cus_1?x=1", "cus_"].map((word) => [word]);
    for (const args of [[], ["cus_1", "cus_2"], ...others])
      assert.match(faultOf({}, args, usage), /expected one Stripe customer id such as cus_/, args.join());
  });
});

describe("the base addresses", () => {
  it("accept loopback, and say so", () => {
    for (const url of ["http://127.0.0.1:4242", "http://localhost:1", "https://localhost", "http://[::1]:8080/"]) {
      const settings = settingsOf({ STRIPE_API_BASE: url, ATTIO_API_BASE: url });
      assert.deepEqual([settings.stripeBase, settings.attioBase], [new URL(url).origin, new URL(url).origin]);
      assert.match(settings.warnings.join("\n"), /^STRIPE_API_BASE .+\nATTIO_API_BASE .+$/);
    }
  });

  const ELSEWHERE = `
    https://api.stripe.com https://api.stripe.com.evil.example http://127.0.0.1.evil.example http://127.0.0.2
    http://0.0.0.0 http://localhost.evil.example http://localhost. http://evil.example#127.0.0.1
    http://evil.example/127.0.0.1 http://user@127.0.0.1 http://user:word@localhost:1 http://127.0.0.1@evil.example
    http://localhost:1/path http://localhost:1/?x http://localhost:1/#x http://[::ffff:127.0.0.1] http://10.0.0.1
    ftp://127.0.0.1 file://localhost/ localhost:4242 127.0.0.1 //127.0.0.1
  `;
  for (const url of ELSEWHERE.trim().split(/\s+/))
    it(`refuse ${url}`, () => {
      for (const name of ["STRIPE_API_BASE", "ATTIO_API_BASE"])
        assert.match(faultOf({ [name]: url }), new RegExp(`  - ${name} is .+: expected loopback, such as http://127`));
    });
});

describe("PRODUCT_SLUGS", () => {
  it("may give several products one slug, and a product any id", () => {
    const json = '{"prod_1":"spend_pro","prod_2":"spend_pro","__proto__":"spend_team","constructor":"spend_a_1"}';
    const { productSlugs } = settingsOf({ PRODUCT_SLUGS: json });
    const [names, slugs] = [[...productSlugs.keys()], [...productSlugs.values()]];
    assert.deepEqual(names, ["prod_1", "prod_2", "__proto__", "constructor"]);
    assert.deepEqual(slugs, ["spend_pro", "spend_pro", "spend_team", "spend_a_1"]);
    assert.equal(settingsOf({ PRODUCT_SLUGS: "{}" }).productSlugs.get("constructor"), undefined);
  });
});

describe("the commands that messages name", () => {
  it("are npm's by hand, and the workflow's choices on GitHub", () => {
    assert.equal(settingsOf().commands.bootstrapDryRun, "npm run bootstrap -- --dry-run");
    assert.match(settingsOf({ GITHUB_ACTIONS: "true" }).commands.bootstrap, /^Run workflow with "bootstrap"$/);
  });
});

describe("text from outside", () => {
  it("is cut at 300 characters where a message quotes it", () => {
    const message = /charge x{300}…: created is undefined/;
    assert.throws(() => readAs("charge", CHARGE, { id: "x".repeat(301) }), message);
  });
});
