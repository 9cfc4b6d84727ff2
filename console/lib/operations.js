/** What views say of operations: one decision on many sagas or dead letters, which the service carries out. */
import { post } from './api.js';
import { count, money } from './format.js';
import { navigate } from './router.js';

/**
 * @typedef {import('../../clients/typescript/openapi.js').components['schemas']} Schemas
 * @typedef {Schemas['Operation']} Operation
 * @typedef {Operation['counts']} Counts
 * @typedef {Operation['amounts'][number]} Amount
 */

/** In the order in which they are shown, each with what it means. */
export const ITEM_STATES = /** @type {const} */ ([
  ['open', 'off', 'not concluded'],
  ['reached', 'good', 'the order, or the letter, says so'],
  ['waits', 'busy', 'accepted; the gateway is still at it'],
  ['already-done', 'good', 'had come to its end before'],
  ['skipped', 'off', 'not tried'],
  ['refused', 'warn', 'nothing has changed'],
  ['failed', 'bad', 'accepted, and it did not help'],
  ['unanswered', 'warn', 'it may still take effect'],
]);

/** @param {string} state @returns {import('./ui.js').Kind} */
export const kindOfItem = (state) => ITEM_STATES.find(([name]) => name === state)?.[1] ?? 'info';

/** @type {Record<Operation['state'], import('./ui.js').Kind>} */
const KINDS = { previewed: 'info', running: 'busy', paused: 'warn', aborted: 'off', finished: 'good' };

/** @param {Operation} operation @returns {import('./ui.js').Kind} */
export function kindOf({ state, pause, counts }) {
  if (pause) return pause.by === null ? 'bad' : 'warn';
  const isMixed = counts.failed + counts.refused + counts.unanswered > 0;
  return state === 'finished' && isMixed ? 'warn' : KINDS[state];
}

/** @param {Operation} operation */
export const stateOf = ({ state, pause }) =>
  pause ? `paused ${pause.by === null ? 'by itself' : `by ${pause.by}`}` : state;

const VERBS = { retry: 'Retry', skip: 'Skip', compensate: 'Compensate', replay: 'Replay', discard: 'Discard' };
/** What it comes to, so that nobody has to know the verbs. */
export const MEANS = {
  retry: 'the step that waits is tried again',
  skip: 'you vouch that the step that waits was done by hand',
  compensate: 'what was done is undone, and the orders are cancelled',
  replay: 'the events are sent again, and then those behind them',
  discard: 'the events are never sent; those behind them follow',
};
/** Those that cannot be taken back. @param {Operation['action']} action */
export const isHarmful = (action) => action === 'skip' || action === 'compensate' || action === 'discard';

/** @param {Operation['action']} action */
export const nounOf = (action) => (action === 'replay' || action === 'discard' ? 'dead letter' : 'saga');

/** @param {Operation['action']} action @param {number} n @returns {string} such as `Retry 14 sagas` */
export const titleOf = (action, n) => `${VERBS[action]} ${count(n, nounOf(action))}`;

/** @param {readonly Amount[]} amounts */
export const atStake = (amounts) => amounts.map(({ amount, currency }) => money(amount, currency)).join(' and ');

/**
 * Freezes a selection, and goes to it: it is started, or left, there.
 * @param {object} asked `{ action, orderIds | sagas | deadLetterIds | deadLetters | items, atMost }`, as POST /admin/operations/preview takes it
 * @returns {Promise<Operation>}
 */
export async function previewOperation(asked) {
  const operation = await post('admin/operations/preview', { body: asked });
  navigate(`/operations/${operation.id}`);
  return operation;
}
