/** Which section of the runbook is about what: by the anchors of docs/runbook.md, as later/runbook.js shows it and a test knows them. */
import { hrefOf } from './router.js';

const DATABASE = 'the-database-is-read-only';
const UNSTARTED = 'orders-stay-pending-and-no-saga-runs';
const ACCOUNT = 'the-account-does-not-know-this-database';
const BRAKES = 'operators-hold-something-back';
const FROZEN = 'workers-are-frozen';
const STILL = 'a-saga-does-not-move';

/** By the kind of a cause of the first screen. */
const OF_KIND = {
  postgres: DATABASE,
  temporal: UNSTARTED,
  gateway: 'the-circuit-to-the-gateway-is-open',
  account: ACCOUNT,
  workers: 'a-process-is-missing',
  sagas: 'a-saga-needs-attention',
  'unstarted-orders': UNSTARTED,
  destination: 'a-destination-is-down-or-events-do-not-arrive-at-it',
  feed: 'a-destination-is-down-or-events-do-not-arrive-at-it',
  'dead-letters': 'poisoned-events-dead-letters',
  findings: 'the-reconciler-reports-a-finding',
  erasures: 'an-erasure-does-not-come-to-its-end',
  invariant: 'an-invariant-is-violated',
  verification: 'an-invariant-is-violated',
  operation: 'an-operation-has-paused-by-itself',
  'catching-up': UNSTARTED,
  brake: BRAKES,
};
/** Of sagas, by their failure; of findings, by their kind. @type {Record<string, string>} */
const OF_FAILURE = {
  NO_POLLERS: FROZEN,
  WORKFLOW_TASK_FAILING: STILL,
  ACTIVITY_PAUSED: STILL,
  OPEN_TOO_LONG: STILL,
  NOT_STARTED: UNSTARTED,
  NO_SAGA: UNSTARTED,
  ChargingHeld: BRAKES,
  AccountHeld: ACCOUNT,
  ACCOUNT_HELD: ACCOUNT,
  DatabaseUnavailable: DATABASE,
  RefundFailed: 'an-order-is-cancelled-and-its-charge-is-disputed',
};

/** All that are led to: a test holds them against the runbook. */
export const SECTIONS = [...new Set([...Object.values(OF_KIND), ...Object.values(OF_FAILURE)])];

/** @param {{ kind: keyof typeof OF_KIND, of?: { failure?: string, kind?: string } }} cause @returns {string} where to read on */
export const runbookOf = ({ kind, of = {} }) =>
  hrefOf(`/runbook/${OF_FAILURE[of.failure ?? of.kind ?? ''] ?? OF_KIND[kind]}`);
