// mrr-oracle.ts - what a subscription is worth a month, computed a second time and in another manner.
//
// It shares no line with the program. Where that multiplies what is left by a factor, this works out what each coupon
// takes from each item and subtracts it; every step is a ratio of whole numbers in lowest terms. Amounts are minor
// units; null stands for what cannot be told.

export type Item = {
  readonly quantity?: number | null;
  readonly discounts: readonly string[]; // ids of coupons
  readonly price: {
    readonly currency: string;
    readonly product: string;
    readonly recurring: { interval: string; interval_count: number; usage_type: string } | null;
    readonly transform_quantity: { divide_by: number; round: string } | null;
    readonly unit_amount_decimal: string | number | null;
  };
};

type Subscription = {
  readonly currency: string;
  readonly discounts: readonly string[]; // ids of coupons
  readonly items: { readonly data: readonly Item[]; readonly has_more: boolean };
};

export type Coupon = {
  readonly amount_off: number | null;
  readonly applies_to: { readonly products: readonly string[] } | null;
  readonly currency: string | null;
  readonly duration: string;
  readonly percent_off: number | string | null;
};

export type Ratio = { readonly top: bigint; readonly bottom: bigint };

function commonDivisor(one: bigint, other: bigint): bigint {
  return other === 0n ? one : commonDivisor(other, one % other);
}

export function ratio(top: bigint | number, bottom: bigint | number = 1n): Ratio {
  const [over, under] = [BigInt(top), BigInt(bottom)];
  const divisor = commonDivisor(under, over < 0n ? -over : over);
  return { top: over / divisor, bottom: under / divisor };
}

export const multiply = (one: Ratio, other: Ratio): Ratio => ratio(one.top * other.top, one.bottom * other.bottom);
const divide = (one: Ratio, other: Ratio): Ratio => ratio(one.top * other.bottom, one.bottom * other.top);
const add = (one: Ratio, other: Ratio): Ratio =>
  ratio(one.top * other.bottom + other.top * one.bottom, one.bottom * other.bottom);
export const subtract = (one: Ratio, other: Ratio): Ratio => add(one, ratio(-other.top, other.bottom));
export const isLess = (one: Ratio, other: Ratio): boolean => subtract(one, other).top < 0n;
const NOTHING = ratio(0);

/** The nearest whole number, the greater of two: the floor of a half more. */
export function nearest(amount: Ratio): bigint {
  const { top, bottom } = add(amount, ratio(1, 2));
  return top / bottom;
}

/** All its digits, and for each behind the point a tenth. */
export function fromDecimal(written: number | string): Ratio {
  const text = String(written);
  const places = text.includes(".") ? text.length - 1 - text.indexOf(".") : 0;
  return ratio(BigInt(text.replace(".", "")), 10n ** BigInt(places));
}

const MONTHS: Readonly<Record<string, Ratio>> = { day: ratio(12, 365), week: ratio(12, 52), year: ratio(12) };

function billedUnits({ quantity, price: { transform_quantity: packs } }: Item): bigint {
  const units = BigInt(quantity ?? 1);
  if (packs === null) return units;
  const size = BigInt(packs.divide_by);
  return units / size + (packs.round === "up" && units % size > 0n ? 1n : 0n);
}

/** What one billing period costs before coupons. */
function periodPrice(item: Item, billedIn: string, currency: string): Ratio | null {
  const { price } = item;
  if (price.recurring?.usage_type === "metered") return NOTHING;
  if (price.unit_amount_decimal === null || price.currency !== billedIn || price.recurring === null) return null;
  const cost = multiply(fromDecimal(price.unit_amount_decimal), ratio(billedUnits(item)));
  return cost.top > 0n && billedIn !== currency ? null : cost;
}

function monthly(amount: Ratio, { price: { recurring } }: Item): bigint {
  const months = multiply(MONTHS[recurring?.interval ?? ""] ?? ratio(1), ratio(recurring?.interval_count ?? 1));
  return nearest(divide(amount, months));
}

/** List price and `mrr` of a subscription that counts, whatever its status says. */
export function worthOf(
  { currency: billedIn, discounts, items }: Subscription,
  currency: string,
  coupons: ReadonlyMap<string, Coupon | undefined>,
  customersCoupon: string | null,
): { list: bigint; mrr: bigint } | null {
  const prices = items.data.map((item) => periodPrice(item, billedIn, currency));
  const left = prices.flatMap((price) => price ?? []);
  if (items.has_more || left.length < prices.length) return null;
  const list = [...left];
  const rounds = items.data.flatMap(({ discounts: ids }, at) => ids.map((id) => ({ id, among: [at] })));
  const shared = discounts.length === 0 && customersCoupon !== null ? [customersCoupon] : discounts;
  rounds.push(...shared.map((id) => ({ id, among: [...left.keys()] })));
  for (const { id, among } of rounds) {
    const coupon = coupons.get(id);
    const products = coupon?.applies_to?.products ?? items.data.map(({ price }) => price.product);
    const hit = among.filter((at) => left[at]?.top !== 0n && products.includes(items.data[at]?.price.product ?? ""));
    if (hit.length === 0 || (coupon !== undefined && coupon.duration !== "forever")) continue;
    const whole = hit.map((at) => left[at] ?? NOTHING).reduce(add);
    if (coupon === undefined || (coupon.percent_off === null && coupon.currency !== currency)) return null;
    const amountOff = ratio(coupon.amount_off ?? 0);
    let off = isLess(whole, amountOff) ? whole : amountOff;
    if (coupon.percent_off !== null) off = divide(multiply(whole, fromDecimal(coupon.percent_off)), ratio(100));
    for (const at of hit) {
      const before = left[at] ?? NOTHING;
      left[at] = subtract(before, divide(multiply(off, before), whole));
    }
  }
  const sum = (amounts: readonly Ratio[]): bigint =>
    items.data.reduce((whole, item, at) => whole + monthly(amounts[at] ?? NOTHING, item), 0n);
  return { list: sum(list), mrr: sum(left) };
}
