/** What a worker shows. Each has a circuit breaker of its own, and its own view of the gateway's account. */
import type { Logger } from 'pino';
import { Counter, Gauge, Histogram } from 'prom-client';
import type { Database } from '../domain/database.js';
import { countUnservedPartitions } from '../domain/figures.js';
import type { BreakerState } from '../gateways/breaker.js';
import { createCachedRead } from '../runtime/cached-read.js';
import { onScrape, show } from '../runtime/metrics.js';
import type { AccountState } from './account.js';
import { verificationMetrics } from './verification-metrics.js';

const counter = (name: string, help: string, labelNames: string[]) =>
  new Counter({ name: `order_saga_${name}`, help, labelNames, registers: [] });
const histogram = (name: string, help: string, labelNames: string[], buckets: number[]) =>
  new Histogram({ name: `order_saga_${name}`, help, labelNames, buckets, enableExemplars: true, registers: [] });
const gauge = (name: string, help: string, labelNames: string[] = []) =>
  new Gauge({ name: `order_saga_${name}`, help, labelNames, registers: [] });

export const stepDuration = histogram(
  'step_duration_seconds',
  'Attempts at steps and undos, however they ended',
  ['step'],
  [0.05, 0.2, 1, 5],
);
export const stepRetries = counter(
  'step_retries_total',
  'Attempts at steps that failed, and are followed by another or by an operator’s decision',
  ['step', 'cause'],
);
export const stepRefusals = counter('step_refusals_total', 'Steps that said no for good', ['step', 'reason']);
export const undos = counter('undos_total', 'Undos (compensations) by what there was to take back', [
  'step',
  'outcome',
]);
export const undoFailures = counter('undo_failures_total', 'Attempts at undos that failed', ['step', 'cause']);
export const gatewayRequests = counter('gateway_requests_total', 'Calls to the payment gateway by outcome', [
  'call',
  'outcome',
]);
export const gatewayDuration = histogram(
  'gateway_request_duration_seconds',
  'Calls to the payment gateway, answered or not',
  ['call'],
  [0.1, 0.5, 2],
);
const breaker = gauge(
  'payment_breaker_state',
  '1 for the state that the circuit to the payment gateway is in, else 0',
  ['state'],
);
const account = gauge(
  'payment_account_state',
  '1 for how this database stands with the payment account, else 0: money moves if ours or believed',
  ['state'],
);
const unserved = gauge(
  'relay_partitions_unserved',
  'Shares of the orders whose events no relay delivers, as this worker reads it from the relays’ leases',
);

export const operationItems = counter('operation_items_total', 'Items of operations, by what has come of them', [
  'state',
]);

export const workerMetrics = [
  ...[stepDuration, stepRetries, stepRefusals, undos, undoFailures, gatewayRequests, gatewayDuration],
  ...[breaker, account, unserved, operationItems],
  ...verificationMetrics,
];

const BREAKER_STATES = ['closed', 'half-open', 'open'] as const satisfies BreakerState[];
const ACCOUNT_STATES = ['ours', 'believed', 'held', 'unknown'] as const satisfies AccountState[];
const UNSERVED_EVERY_MS = 15_000;
const UNSERVED_LIMIT_MS = 3_000;

/**
 * @param breakerState how the circuit to the payment gateway stands now
 * @param accountState whether money may move, as far as this process knows
 */
export function exposeWorker({
  db,
  breakerState,
  accountState,
  logger,
}: {
  db: Database;
  breakerState: () => BreakerState;
  accountState: () => AccountState;
  logger: Logger;
}): void {
  show(workerMetrics.filter((metric) => metric !== unserved));
  onScrape(async () => {
    showState(breaker, BREAKER_STATES, breakerState());
    showState(account, ACCOUNT_STATES, accountState());
  });
  let isShown = false; // until Postgres has answered, a 0 would be a claim
  onScrape(
    createCachedRead({
      freshMs: UNSERVED_EVERY_MS,
      limitMs: UNSERVED_LIMIT_MS,
      read: async () => {
        unserved.set(await countUnservedPartitions(db));
        if (!isShown) show([unserved]);
        isShown = true;
      },
      otherwise: (err) => logger.debug({ err }, 'the relays’ leases cannot be read for metrics'),
    }),
  );
}

function showState<S extends string>(of: Gauge, states: readonly S[], now: S): void {
  for (const state of states) of.set({ state }, now === state ? 1 : 0);
}
