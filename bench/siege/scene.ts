/** What an attacker is given: where the service is, its own token and its own orders. Passed to its process as JSON. */

export type Scene = {
  api: string;
  /** Of the process that serves the API. */
  metrics: string;
  /** One customer's, the attacker's; all that a stranger with one token has. */
  token: string;
  /** The attacker's large orders, each cancelled for want of stock. */
  largeIds: string[];
  /** Small ones, confirmed: their streams stay open. */
  confirmedIds: string[];
};

export const ATTACKER = 'cus_attacker';
export const SKU = 'SKU-SIEGE';
/** SKUs without stock: orders of them are large, cost the saga little, and are refused. */
export const LARGE_ORDER_SKUS = Array.from({ length: 100 }, (_, index) => `SKU-SIEGE-NONE-${index}`);
