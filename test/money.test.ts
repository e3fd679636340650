// money.test.ts - minor units: splitting, scaling, and decimal text and back.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { addMinor, formatMinor, minor, parseMinor, scaleMinor, splitMinor, sumMinor } from "../sync.ts";
import { holds } from "./samples.ts";

const amounts = fc.oneof(fc.nat(100), fc.nat(10 ** 12)).map(minor);
const weight = fc.oneof(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 10 ** 12 }));
const weights = fc.array(weight, { minLength: 1, maxLength: 240 });

describe("a split", () => {
  it("adds up to the whole: each share rounded down, and a unit more for the largest remainders", () => {
    holds(fc.tuple(amounts, weights), ([amount, lines]) => {
      const whole = lines.reduce((sum, weight) => sum + BigInt(weight), 0n);
      const shares = splitMinor(amount, lines);
      assert.deepEqual([shares.length, sumMinor(shares)], [lines.length, amount]);
      const remaindersOf = (more: bigint) =>
        lines.flatMap((weight, at) => {
          const exact = BigInt(amount) * BigInt(weight);
          return BigInt(shares[at] ?? 0) === exact / whole + more ? [exact % whole] : [];
        });
      const [down, up] = [remaindersOf(0n), remaindersOf(1n)];
      assert.equal(down.length + up.length, lines.length);
      for (const least of up) assert.ok(down.every((remainder) => remainder <= least));
    });
  });

  const SPLITS: readonly (readonly [amount: number, weights: readonly number[], shares: readonly number[]])[] = [
    [100, [1, 1, 1], [34, 33, 33]],
    [101, [1, 1, 1], [34, 34, 33]],
    [10, [1, 4, 5, 11], [1, 2, 2, 5]],
    [2, [1, 3], [1, 1]],
    [2, [3, 1], [2, 0]],
    [0, [5, 5], [0, 0]],
    [1, [1, 10 ** 12], [0, 1]],
    // products of amount and weight beyond the whole numbers of a double
    [999_999_999_993, [999_999_999_952, 655_838_521_767, 4], [603_923_623_485, 396_076_376_506, 2]],
    [999_999_999_995, [999_999_999_997, 242_486_349_967, 7], [804_837_815_736, 195_162_184_254, 5]],
  ];
  it("gives the units left over to the largest remainders, ties to the earlier line", () => {
    for (const [amount, lines, shares] of SPLITS) assert.deepEqual(splitMinor(minor(amount), lines), shares);
  });
});

describe("scaling", () => {
  it("rounds half up, exactly", () => {
    holds(fc.tuple(amounts, amounts, fc.integer({ min: 1, max: 10 ** 12 })), ([amount, numerator, denominator]) => {
      const exact = (BigInt(amount) * BigInt(numerator) * 2n + BigInt(denominator)) / (2n * BigInt(denominator));
      if (exact <= BigInt(Number.MAX_SAFE_INTEGER))
        assert.equal(BigInt(scaleMinor(amount, numerator, denominator)), exact);
      else assert.throws(() => scaleMinor(amount, numerator, denominator), /too large to be exact/);
    });
  });

  it("turns exactly a half into one more, and anything less into nothing", () => {
    for (const [half, up] of [[1, 1], [3, 2]] as const) assert.equal(scaleMinor(minor(half), 1, 2), up); // prettier-ignore
    assert.equal(scaleMinor(minor(1), 499, 1000), 0);
  });
});

describe("decimal text", () => {
  // https://docs.stripe.com/currencies
  const TWO =
    "usd aed afn all amd ang aoa ars aud awg azn bam bbd bdt bgn bmd bnd bob brl bsd bwp byn bzd cad cdf chf cny cop " +
    "crc cve czk dkk dop dzd egp etb eur fjd fkp gbp gel gip gmd gtq gyd hkd hnl htg huf idr ils inr isk jmd kes kgs " +
    "khr kyd kzt lak lbp lkr lrd lsl mad mdl mkd mmk mnt mop mur mvr mwk mxn myr mzn nad ngn nio nok npr nzd pab pen " +
    "pgk php pkr pln qar ron rsd rub sar sbd scr sek sgd shp sle sos srd std szl thb tjs top try ttd twd tzs uah ugx " +
    "uyu uzs wst xcd yer zar zmw";
  const NONE = "bif clp djf gnf jpy kmf krw mga pyg rwf vnd vuv xaf xof xpf";
  const THREE = "bhd jod kwd omr tnd";
  const SCALES = new Map(
    Object.entries({ "1000": NONE, "10.00": TWO, "1.000": THREE }).flatMap(([written, currencies]) =>
      currencies.split(" ").map((currency) => [currency, written] as const),
    ),
  );

  it("has the decimals of Stripe's own table", () => {
    for (const [currency, written] of SCALES) assert.equal(formatMinor(minor(1000), currency), written, currency);
  });

  it("comes back as the same amount, in every currency", () => {
    const any = fc.integer({ min: -(10 ** 12), max: 10 ** 12 }).map(minor);
    holds(fc.tuple(any, fc.constantFrom(...SCALES.keys())), ([amount, currency]) => {
      assert.equal(parseMinor(formatMinor(amount, currency), currency), amount);
    });
  });

  const WRITTEN: readonly (readonly [number, string, string])[] = [
    [123_450, "usd", "1234.50"],
    [-5, "usd", "-0.05"],
    [0, "usd", "0.00"],
    [-500, "jpy", "-500"],
    [1230, "kwd", "1.230"],
    [-7, "bhd", "-0.007"],
    [50_000, "isk", "500.00"],
    [999_999_999_999, "usd", "9999999999.99"],
  ];
  for (const [amount, currency, decimalText] of WRITTEN)
    it(`of ${amount} minor units of ${currency} is ${decimalText}`, () => {
      assert.equal(formatMinor(minor(amount), currency), decimalText);
      assert.equal(parseMinor(decimalText, currency), amount);
    });

  it("is read in whatever length it is written", () => {
    for (const written of ["12.5", "12.50", "12.50000000"]) assert.equal(parseMinor(written, "usd"), 1250);
    for (const written of ["12", "12.", "12.000"]) assert.equal(parseMinor(written, "jpy"), 12);
    assert.equal(parseMinor("-0.00", "usd"), 0);
  });

  it("that is no amount, or finer than the minor unit, is not rounded but refused", () => {
    for (const written of ["", "abc", "1e21", "NaN", "1,5", " 1", "--1", ".5", "12.505", "12.5001"])
      assert.equal(parseMinor(written, "usd"), undefined, written);
    assert.equal(parseMinor("12.5", "jpy"), undefined);
    assert.equal(parseMinor("9".repeat(17), "jpy"), undefined);
  });
});

describe("a sum", () => {
  it("that leaves the exact whole numbers throws instead of losing a unit", () => {
    const most = minor(Number.MAX_SAFE_INTEGER);
    assert.throws(() => addMinor(most, minor(1)), /a sum of minor units is too large to be exact/);
    assert.throws(() => sumMinor([most, most]), /too large/);
    for (const value of [0.5, NaN, Infinity, 2 ** 53]) assert.throws(() => minor(value), /too large/);
    assert.equal(addMinor(most, minor(0)), most);
  });

  it("is never a negative zero, which would print as one", () => {
    assert.ok(Object.is(minor(-0), 0));
    assert.ok(Object.is(addMinor(minor(5), minor(-5)), 0));
    assert.equal(sumMinor([]), 0);
  });
});
