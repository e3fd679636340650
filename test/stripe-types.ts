// stripe-types.ts - proves with Stripe's own types, while types are checked, that what sync.ts reads exists, and that
// what the sandbox sends is complete. Nothing runs here: each proof lists the fields that no longer fit, as paths, and
// does not compile unless there are none: `Type '"charge.amount_captured"' does not satisfy the constraint 'never'`.

import type Stripe from "stripe";
import type * as Sandbox from "../sandbox/objects.ts";
import type {
  CHARGE,
  COUPON,
  CUSTOMER,
  INVOICE,
  INVOICE_LINE,
  PRODUCT,
  Reader,
  STRIPE_VERSION,
  SUBSCRIPTION,
} from "../sync.ts";

/** What a reader expects on the wire. */
type WireOf<R> = R extends Reader<infer _Read, infer Wire> ? Wire : never;

/** The paths at which Stripe's type does not fit ours; each member of a union must fit. */
type Misfit<Ours, Theirs, Path extends string> = Theirs extends null | undefined
  ? null extends Ours
    ? never
    : `${Path} may be absent`
  : Theirs extends string | number | boolean
    ? Theirs extends Ours
      ? never
      : Path
    : Theirs extends readonly (infer Element)[]
      ? ListMisfit<Extract<Ours, readonly unknown[]>, Element, Path>
      : ObjectMisfit<Extract<Ours, object>, Theirs, Path>;

type ListMisfit<Ours, Element, Path extends string> = [Ours] extends [never]
  ? Path
  : Ours extends readonly (infer Expected)[]
    ? Misfit<Expected, Element, `${Path}[]`>
    : Path;

type ObjectMisfit<Ours, Theirs, Path extends string> = [Ours] extends [never]
  ? Path
  : {
      [Field in keyof Ours & string]: Field extends keyof Theirs
        ? Misfit<Ours[Field], Theirs[Field], `${Path}.${Field}`>
        : `${Path}.${Field}`;
    }[keyof Ours & string];

type Proof<Misfits extends never> = Misfits;

/** A charge's balance transaction, expanded. */
type Balance = Exclude<WireOf<typeof CHARGE>["balance_transaction"], string | null | undefined>;

/** A discount, expanded; an id of a coupon that is not. */
type Discount = Exclude<WireOf<typeof CUSTOMER>["discount"], string | null | undefined>;

/** Stripe's own client makes an object of its own of a decimal number, which is text on the wire. */
type DecimalText = "subscription.items.data[].price.unit_amount_decimal";

/** Where versions before basil had the product; today's types no longer know it. */
type Legacy = "line.price" | "invoice.lines.data[].price";

export type Proofs = [
  Proof<Misfit<WireOf<typeof CHARGE>, Stripe.Charge, "charge">>,
  Proof<Misfit<Balance, Stripe.BalanceTransaction, "balance">>,
  Proof<Exclude<Misfit<WireOf<typeof INVOICE>, Stripe.Invoice, "invoice">, Legacy>>,
  Proof<Exclude<Misfit<WireOf<typeof INVOICE_LINE>, Stripe.InvoiceLineItem, "line">, Legacy>>,
  Proof<Misfit<WireOf<typeof CUSTOMER>, Stripe.Customer, "customer">>,
  Proof<Exclude<Misfit<WireOf<typeof SUBSCRIPTION>, Stripe.Subscription, "subscription">, DecimalText>>,
  Proof<Misfit<WireOf<typeof COUPON>, Stripe.Coupon, "coupon">>,
  Proof<Misfit<Discount, Stripe.Discount, "discount">>,
  Proof<Misfit<WireOf<typeof PRODUCT>, Stripe.Product, "product">>,
];

/** The types are those of the version that every request asks for. */
export type SameVersion = Proof<Exclude<Stripe.LatestApiVersion, typeof STRIPE_VERSION>>;

/** Types as they may become one day. */
type Changed<Type, Fields> = Omit<Type, keyof Fields> & Fields;
type ChargeWith<Fields> = Misfit<WireOf<typeof CHARGE>, Changed<Stripe.Charge, Fields>, "charge">;
type LineWithText = Changed<Stripe.InvoiceLineItem, { amount: string }>;
type InvoiceWith<Fields> = Misfit<WireOf<typeof INVOICE>, Changed<Stripe.Invoice, Fields>, "invoice">;

/** A proof that proves everything would prove nothing: each of these must fail. */
export type Counterproofs = [
  // @ts-expect-error a field is gone
  Proof<Misfit<WireOf<typeof CHARGE>, Omit<Stripe.Charge, "amount_captured">, "charge">>,
  // @ts-expect-error a number became text
  Proof<ChargeWith<{ amount: string }>>,
  // @ts-expect-error a field may be null
  Proof<ChargeWith<{ captured: boolean | null }>>,
  // @ts-expect-error a field may be absent
  Proof<ChargeWith<{ created?: number }>>,
  // @ts-expect-error what comes expanded has no id
  Proof<ChargeWith<{ customer: { name: string } }>>,
  // @ts-expect-error the elements of a list differ
  Proof<Exclude<InvoiceWith<{ lines: { data: LineWithText[]; has_more: boolean } }>, Legacy>>,
];

/** The fields that are always there. */
type Required<Type> = { [Field in keyof Type]-?: object extends Pick<Type, Field> ? never : Field }[keyof Type];
type Missing<Ours, Theirs> = Exclude<Required<Theirs>, Required<Ours>>;

type Card = NonNullable<NonNullable<Sandbox.StripeCharge["payment_method_details"]>["card"]>;
type EndBehavior = NonNullable<Sandbox.StripeSubscription["trial_settings"]>["end_behavior"];
type Tax = NonNullable<Sandbox.StripeInvoice["total_taxes"]>[number];
type Discounted = NonNullable<Sandbox.StripeInvoice["total_discount_amounts"]>[number];

/** Every object that the sandbox builds has every field that Stripe requires; of parts of them, those once forgotten. */
export type Complete = [
  Proof<Missing<Sandbox.StripeBalanceTransaction, Stripe.BalanceTransaction>>,
  Proof<Missing<Sandbox.StripeCharge, Stripe.Charge>>,
  Proof<Missing<Card, Stripe.Charge.PaymentMethodDetails.Card>>,
  Proof<Missing<Sandbox.StripeCoupon, Stripe.Coupon>>,
  Proof<Missing<Sandbox.StripeCustomer, Stripe.Customer>>,
  Proof<Missing<Sandbox.StripeDiscount, Stripe.Discount>>,
  Proof<Missing<Sandbox.StripeInvoice, Stripe.Invoice>>,
  Proof<Missing<Tax, Stripe.Invoice.TotalTax>>,
  Proof<Missing<Discounted, Stripe.Invoice.TotalDiscountAmount>>,
  Proof<Missing<Sandbox.StripeInvoiceLine, Stripe.InvoiceLineItem>>,
  Proof<Missing<Sandbox.StripeInvoicePayment, Stripe.InvoicePayment>>,
  Proof<Missing<Sandbox.StripePrice, Stripe.Price>>,
  Proof<Missing<Sandbox.StripeProduct, Stripe.Product>>,
  Proof<Missing<Sandbox.StripeSubscription, Stripe.Subscription>>,
  Proof<Missing<Sandbox.StripeSubscription["cancellation_details"], Stripe.Subscription.CancellationDetails>>,
  Proof<Missing<EndBehavior, Stripe.Subscription.TrialSettings.EndBehavior>>,
  Proof<Missing<Sandbox.StripeSubscriptionItem, Stripe.SubscriptionItem>>,
  // @ts-expect-error a field is gone
  Proof<Missing<Omit<Sandbox.StripeCharge, "outcome">, Stripe.Charge>>,
  // @ts-expect-error a field may be absent
  Proof<Missing<Partial<Card>, Stripe.Charge.PaymentMethodDetails.Card>>,
];
