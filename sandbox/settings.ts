// settings.ts - the settings with which a program talks to the two sandboxes instead of the real services.

import { SANDBOX_PRODUCT_SLUGS } from "./account.ts";
import { SANDBOX_ATTIO_KEY } from "./attio.ts";
import { SANDBOX_STRIPE_KEY } from "./stripe.ts";

type Listening = { readonly url: string };

/** The environment of a program: keys, base addresses, and the mapping of the seeded accounts' products. */
export function sandboxSettings(stripe: Listening, attio: Listening): Record<string, string> {
  return {
    STRIPE_API_KEY: SANDBOX_STRIPE_KEY,
    ATTIO_API_KEY: SANDBOX_ATTIO_KEY,
    STRIPE_API_BASE: stripe.url,
    ATTIO_API_BASE: attio.url,
    PRODUCT_SLUGS: JSON.stringify(SANDBOX_PRODUCT_SLUGS),
  };
}
