/**
 * What the relay shows. Deliveries and removals are this process's own: sum them. All else are facts about the whole service,
 * asked of Postgres and Temporal at a scrape: every relay says the same, so take the maximum over them.
 */
import type { Client } from '@temporalio/client';
import type { Logger } from 'pino';
import { Counter, Gauge, Histogram } from 'prom-client';
import { STALLS } from '../contracts/erasures.js';
import { BRAKES, CHARGING_HELD } from '../contracts/brakes.js';
import { readBrakes, readSpending } from '../domain/brakes.js';
import { readBacklog } from '../domain/cursors.js';
import type { Database } from '../domain/database.js';
import { countDeadLetters } from '../domain/dead-letters.js';
import { countOpenErasures } from '../domain/erasure/erasures.js';
import { countFindings, readFeedHeldSeconds, readOpenOrders, readUnstarted } from '../domain/figures.js';
import { createCachedRead } from '../runtime/cached-read.js';
import { countUnended } from '../domain/operations/listing.js';
import { onScrape, show } from '../runtime/metrics.js';
import { readLeftBehind } from '../sagas/builds.js';
import { readPollers } from '../sagas/pollers.js';
import { findStuck, type SagaTimeLimits } from '../sagas/stuck.js';
import { followDue, followFinals, followedOrders } from './order-metrics.js';
import type { Publisher } from './publishers/publisher.js';

/** However often metrics are scraped. */
const DATABASE_EVERY_MS = 5_000;
/** A list of stuck sagas costs Temporal a page per hundred of them. */
const TEMPORAL_EVERY_MS = 15_000;
const TEMPORAL_LIMIT_MS = 5_000;
/** A scrape has this long at most, whichever source does not answer: Prometheus gives it 10 s. */
const SCRAPE_LIMIT_MS = 3_000;

const counter = (name: string, help: string, labelNames: string[]) =>
  new Counter({ name: `order_saga_${name}`, help, labelNames, registers: [] });
const gauge = (name: string, help: string, labelNames: string[] = []) =>
  new Gauge({ name: `order_saga_${name}`, help, labelNames, registers: [] });

const deliveries = counter('deliveries_total', 'Events offered to a destination, by what became of them', [
  'destination',
  'outcome',
]);
export const textsSealed = counter(
  'texts_sealed_total',
  'Texts of before there was encryption that this process has sealed: clients’ ids of customers, what was said of orders',
  ['what'],
);
export const sealingOpen = gauge(
  'sealing_open',
  '1 while there may be texts of before there was encryption that this process has not found sealed yet (ops keys seal)',
);
export const removed = counter('retention_removed_total', 'What retention has removed', ['what']);

const up = gauge('facts_up', '1 if the source of the facts has answered, else 0 and its facts are its last answer', [
  'source',
]);
const publishDuration = new Histogram({
  name: 'order_saga_publish_duration_seconds',
  help: 'Batches of events until a destination has answered for all of them',
  labelNames: ['destination'],
  buckets: [0.05, 0.2, 1, 5],
  registers: [],
});
const openOrders = gauge('open_orders', 'Orders that are neither confirmed nor cancelled; 1,000 at most');
const openOrdersAge = gauge('oldest_open_order_age_seconds', 'Age of the oldest of them');
const unstarted = gauge('unstarted_orders', 'Accepted orders whose saga nobody has seen running');
const unstartedAge = gauge('unstarted_orders_oldest_seconds', 'Age of the oldest of them');
const backlog = gauge('outbox_backlog_events', 'Events that a destination has not taken', ['destination']);
const lag = gauge('outbox_lag_seconds', 'Age of the oldest of them', ['destination']);
const deadLetters = gauge('dead_letters_open', 'Events that a destination would not take and nobody has decided', [
  'destination',
  'cause',
]);
const feedHeld = gauge('feed_held_seconds', 'For how long an open transaction has held the feed back');
const brakes = gauge('brake_engaged', '1 while operators hold back what this brake is about, else 0', ['brake']);
const spending = gauge(
  'spending_limit_used',
  'Charged within the last hour, as a share of the limit; of currencies with a limit',
  ['currency'],
);
const operations = gauge(
  'operations_open',
  'Operations, one decision on many sagas or letters, that have not come to their end',
  ['state'],
);
const findings = gauge('reconciliation_findings', 'Differences of the two ledgers that are not settled', [
  'kind',
  'action',
]);
const erasures = gauge('erasures_open', 'Customers who are to be erased, and are not yet', ['state']);
const erasuresLate = gauge(
  'erasures_late',
  'Those of them whose deadline (ERASURE_DEADLINE) is nearer than ERASURE_ALERT_BEFORE, or over',
);
const erasuresStalled = gauge(
  'erasures_stalled',
  'Those of them that cannot go on because a neighbour of the workers does not do its part: erasure-journal, payment-gateway, key-store, audit-key, other',
  ['cause'],
);
const attention = gauge('sagas_needing_attention', 'Sagas that will not end without someone', ['step', 'failure']);
const parked = gauge(
  'sagas_parked',
  'Those of them that say so themselves: their step, or undo, has failed too long; what a brake holds has not',
  ['step'],
);
const leftBehind = gauge('sagas_without_workers', 'Open sagas of a build that no worker runs', ['build']);
const pollers = gauge('pollers', 'Workers that have asked Temporal for tasks within 70 s, by the kind of task', [
  'kind',
]);

export const auditIntact = gauge('audit_chain_intact', '1 if the audit trail is what was signed and anchored, else 0');
export const auditChecked = gauge('audit_checked_timestamp_seconds', 'When that was last looked at');
export const auditAnchored = gauge(
  'audit_anchored_timestamp_seconds',
  'When the newest entry was last seen to be anchored outside the database',
);
const auditMetrics = [auditIntact, auditChecked, auditAnchored];
/** Once it is known: until then a 1 would be a claim. */
export const showAudit = (): void => show(auditMetrics);

const ofPostgres = [
  ...[openOrders, openOrdersAge, unstarted, unstartedAge],
  ...[backlog, lag, deadLetters, feedHeld, findings, erasures, erasuresLate, erasuresStalled],
  ...[brakes, spending, operations],
];
const ofTemporal = [attention, parked, pollers, leftBehind];
const ofThisProcess = [deliveries, publishDuration, removed, textsSealed, sealingOpen, up];
export const relayMetrics = [
  ...[...ofThisProcess, ...followedOrders],
  ...[...ofPostgres, ...ofTemporal, ...auditMetrics],
];

/** @returns the same publisher, counted */
export const countDeliveries = (publisher: Publisher): Publisher => ({
  ...publisher,
  publish: async (events) => {
    const { destination } = publisher;
    const began = performance.now();
    const outcomes = await publisher.publish(events);
    publishDuration.observe({ destination }, (performance.now() - began) / 1_000);
    for (const { outcome } of outcomes) deliveries.inc({ destination, outcome });
    return outcomes;
  },
});

/** Registers the facts with this process's metrics, once. */
export function exposeFacts({
  db,
  destinations,
  client,
  timeLimits,
  erasuresLateAfterMs,
  logger,
}: {
  db: Database;
  /** Of this relay: the backlog of a destination that no relay serves any more is not shown. */
  destinations: string[];
  client: () => Client | undefined;
  timeLimits: SagaTimeLimits;
  erasuresLateAfterMs: number;
  logger: Logger;
}) {
  show([...ofThisProcess, ...followedOrders]);
  const finals = followFinals(db);
  const due = followDue(db);
  const askPostgres = async () => {
    const [open, orders, backlogs, deadLetterGroups, heldSeconds, found, engaged, limits, toErase, unended] =
      await Promise.all([
        readOpenOrders(db),
        readUnstarted(db),
        readBacklog(db),
        countDeadLetters(db),
        readFeedHeldSeconds(db),
        countFindings(db),
        readBrakes(db),
        readSpending(db),
        countOpenErasures(db, erasuresLateAfterMs),
        countUnended(db),
        finals(),
        due(),
      ]);
    openOrders.set(open.count);
    openOrdersAge.set(open.oldestSeconds);
    unstarted.set(orders.count);
    unstartedAge.set(orders.oldestSeconds);
    feedHeld.set(heldSeconds);
    for (const brake of BRAKES) brakes.set({ brake }, engaged.some((one) => one.brake === brake) ? 1 : 0);
    for (const state of ['waiting', 'erasing'] as const) erasures.set({ state }, toErase[state]);
    erasuresLate.set(toErase.late);
    for (const cause of STALLS) erasuresStalled.set({ cause }, toErase.stalled[cause] ?? 0);
    for (const [state, count] of Object.entries(unended)) operations.set({ state }, count);
    for (const each of [backlog, lag, deadLetters, findings, spending]) each.reset(); // what is no longer there
    for (const { destination, events, oldestAt } of backlogs.filter((b) => destinations.includes(b.destination))) {
      backlog.set({ destination }, events);
      lag.set({ destination }, oldestAt === null ? 0 : Math.max(0, Date.now() - oldestAt.getTime()) / 1_000);
    }
    for (const { destination, cause, count } of deadLetterGroups) deadLetters.inc({ destination, cause }, count);
    for (const { currency, spent, most } of limits) spending.set({ currency }, most === 0 ? 1 : spent / most);
    for (const { kind, action, count } of found) findings.set({ kind, action }, count);
  };
  const askTemporal = async () => {
    const temporal = client();
    if (!temporal) throw new Error('Temporal has never answered');
    const [{ sagas }, polling, behind] = await temporal.withDeadline(Date.now() + TEMPORAL_LIMIT_MS, () =>
      Promise.all([findStuck(db, temporal, timeLimits), readPollers(temporal), readLeftBehind(temporal)]),
    );
    attention.reset();
    parked.reset();
    for (const { step, failure, state } of sagas) {
      attention.inc({ step: step ?? '', failure: failure ?? '' });
      if (state === 'NEEDS_ATTENTION' && failure !== CHARGING_HELD) parked.inc({ step: step ?? '' });
    }
    leftBehind.reset();
    for (const { build, sagas: count } of behind) leftBehind.set({ build }, count);
    for (const kind of ['workflow', 'activity'] as const) pollers.set({ kind }, polling[kind].length);
  };
  onScrape(source({ name: 'database', everyMs: DATABASE_EVERY_MS, ask: askPostgres, gauges: ofPostgres, logger }));
  onScrape(source({ name: 'temporal', everyMs: TEMPORAL_EVERY_MS, ask: askTemporal, gauges: ofTemporal, logger }));
}

type Source = { name: string; everyMs: number; ask: () => Promise<void>; gauges: Gauge[]; logger: Logger };

/**
 * Facts are shown from the first answer on: until then a 0 would be a claim. A source that has fallen silent leaves its last
 * answer standing, so that no alarm ends only because its source is silent; `facts_up` says that it is old.
 */
function source({ name, everyMs, ask, gauges, logger }: Source): () => Promise<void> {
  let isShown = false;
  return createCachedRead({
    freshMs: everyMs,
    limitMs: SCRAPE_LIMIT_MS,
    read: async () => {
      await ask();
      if (!isShown) show(gauges);
      isShown = true;
      up.set({ source: name }, 1);
    },
    otherwise: (err) => {
      logger.debug({ err }, `${name} gives no facts for metrics`);
      up.set({ source: name }, 0);
    },
  });
}
