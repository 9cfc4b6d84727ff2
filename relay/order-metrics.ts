/**
 * What became of orders, counted from what Postgres keeps: at each scrape those that ended, and those whose time was over, since the one
 * before. Facts about the whole service, like the others of metrics.ts: every relay counts the same, from its own first scrape on.
 */
import { Counter, Histogram } from 'prom-client';
import type { Database } from '../domain/database.js';
import {
  countDue,
  countFinal,
  FINAL_WITHIN_S,
  type FinalOrders,
  readFeedEnd,
  SAGA_SECONDS,
} from '../domain/figures.js';
import { observeTraced } from '../runtime/exemplars.js';
import { readTraceparent } from '../runtime/tracing/spans.js';
import { FEED_START, type FeedPlace } from '../domain/outbox.js';

const counter = (name: string, help: string, labelNames: string[]) =>
  new Counter({ name: `order_saga_${name}`, help, labelNames, registers: [] });

const final = counter('orders_final_total', 'Orders that became final since this process began', ['status', 'reason']);
const orders = counter('orders_total', 'Orders that came to their end, by outcome; one that is taken back has two', [
  'outcome',
]);
const amount = counter('orders_amount_minor_total', 'What they were worth, in the currency’s minor unit', [
  'outcome',
  'currency',
]);
const sagaDuration = new Histogram({
  name: 'order_saga_saga_duration_seconds',
  help: 'From the acceptance of an order to its end, by outcome; without orders that are taken back',
  labelNames: ['outcome'],
  buckets: SAGA_SECONDS,
  enableExemplars: true,
  registers: [],
});
const due = counter('orders_due_total', `Orders that were accepted ${FINAL_WITHIN_S} s ago: were they final in time?`, [
  'final',
]);

export const followedOrders = [final, orders, amount, sagaDuration, due];

/** Each costs a series per outcome; the worth of orders in further ones is not shown. */
const CURRENCIES_MAX = 8;

/** Counts from the feed's end at the first scrape on: what was final before is no news. */
export function followFinals(db: Database): () => Promise<void> {
  for (const outcome of ['CONFIRMED', 'CANCELLED']) {
    orders.inc({ outcome }, 0); // a first one must be seen to be an increase
    sagaDuration.zero({ outcome });
  }
  let place: FeedPlace | undefined;
  const currencies = new Set<string>();
  return async () => {
    const end = (await readFeedEnd(db)) ?? FEED_START;
    const from = place ?? end;
    for (const ended of await countFinal(db, from, end)) {
      if (currencies.size < CURRENCIES_MAX) currencies.add(ended.currency);
      add(ended, currencies.has(ended.currency));
    }
    place = end;
  };
}

function add(
  { status: outcome, reason, currency, takenBack, count, seconds, amount: worth, traceparent }: FinalOrders,
  isShown: boolean,
) {
  final.inc({ status: outcome, reason }, count);
  orders.inc({ outcome }, count);
  if (isShown) amount.inc({ outcome, currency }, worth);
  if (takenBack) return;
  // All of them are within one bucket, and so is their mean: buckets, sum and count are as if each had been observed.
  const duration = sagaDuration.labels({ outcome });
  for (let n = 1; n < count; n++) duration.observe(seconds / count);
  observeTraced(sagaDuration, { outcome }, seconds / count, readTraceparent(traceparent)?.traceId);
}

/** After a longer silence of scrapes, orders of before are not made up for: one read must stay a small one. */
const LOOK_BACK_MAX_MS = 600_000;

/** Counts the orders of which the time is over since the last scrape. */
export function followDue(db: Database): () => Promise<void> {
  let seenUntilMs: number | undefined;
  for (const label of ['in_time', 'late']) due.inc({ final: label }, 0);
  return async () => {
    const untilMs = Date.now() - FINAL_WITHIN_S * 1_000;
    const fromMs = Math.max(seenUntilMs ?? untilMs, untilMs - LOOK_BACK_MAX_MS);
    if (fromMs < untilMs) {
      const { inTime, late } = await countDue(db, new Date(fromMs), new Date(untilMs));
      due.inc({ final: 'in_time' }, inTime);
      due.inc({ final: 'late' }, late);
    }
    seenUntilMs = untilMs;
  };
}
