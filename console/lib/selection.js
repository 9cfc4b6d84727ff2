/**
 * What was chosen in one view to be decided on in another. It stays in this page's memory under a short key, and the key goes into the
 * address (`#/operations?selection=<key>`): ids by the thousand fit into no address, and they are nobody else's to have. A page that was
 * loaded anew does not know it any more, and says so.
 */
import { hrefOf } from './router.js';

/**
 * @typedef {object} Chosen
 * @property {object} selector as POST /admin/operations/preview takes it: `{ orderIds }`, `{ sagas }`, `{ deadLetterIds }` or `{ deadLetters }`
 * @property {number} count of how many things, as far as the view knew: the preview says how many there are
 * @property {string} noun `saga`
 * @property {string} about in words: `chosen one by one`, `parked at chargePayment by GatewayUnknown`
 * @property {readonly { amount: number, currency: string }[]} [atStake]
 */

/** As the API calls no step, and no failure: a filter that leaves one out means any. */
export const NONE = 'none';

/** A filter for the sagas of one cause, and no others. @param {{ step?: string | null, failure?: string | null }} of */
export const ofCause = ({ step, failure }) => ({ step: step ?? NONE, failure: failure ?? NONE });

/** A selection may be ten thousand ids; the oldest goes first. */
const KEPT_MAX = 10;
/** @type {Map<string, Chosen>} */
const kept = new Map();
let made = 0;

/** @param {Chosen} chosen @returns {string} its key */
export function keepSelection(chosen) {
  const [oldest] = kept.keys();
  if (oldest !== undefined && kept.size >= KEPT_MAX) kept.delete(oldest);
  const key = `${++made}`;
  kept.set(key, chosen);
  return key;
}

/** @param {string | null | undefined} key @returns {Chosen | undefined} undefined = it was of a page that is gone */
export const findSelection = (key) => (key ? kept.get(key) : undefined);

/**
 * Keeps the selection, and says where its preview is.
 * @param {Chosen} chosen
 * @param {string} [action] such as `retry`
 */
export const operationHref = (chosen, action) => hrefOf('/operations', { selection: keepSelection(chosen), action });
