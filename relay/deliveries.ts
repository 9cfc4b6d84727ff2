/**
 * Delivery: at least once, and per order in sequence. One round serves all partitions of a destination that this relay has
 * leased: it reads on, sends what is due, holds orders behind rejected events, works off decided dead letters, and moves the
 * cursors to just before the oldest event that is still owed.
 */
import type { CloudEvent } from '../contracts/events.js';
import { advanceCursors } from '../domain/cursors.js';
import { readingOf, readPartitions } from '../domain/outbox.js';
import { type Delivery, dropBacklog } from './delivery.js';
import { addEvent, countOwed, goesOnFrom, isBefore, openBacklog, servedUpTo } from './backlog.js';
import { closeDelivered, giveUpDiscarded, hold, takeUpDecided } from './dead-letters.js';
import { type PublishFailure, recordFailure } from './hold-policy.js';
import { observe } from './standing.js';
import { refreshCustomers } from './told-customers.js';
import { tracedPublish } from './tracing.js';
import { applyOutcomes, composeBatch, type EntryResult, listFailures } from './batch.js';

/** What one round sends. Bounds, with `SAVE_EVERY_MS`, what a killed relay sends twice. */
export const BATCH_MAX = 500;
/** With so many events that have not failed yet there is enough for a batch: it reads no further. */
const FLOWING_MAX = BATCH_MAX;
/** Bounds, with `TROUBLED_LIMIT`, the memory of one destination: beyond it, it reads on by probes. */
const TROUBLED_MAX = 4 * BATCH_MAX;
/**
 * One event per partition and second, taken or not: unless others get through, an uncertain rejection cannot be told from a
 * transient failure, and nothing would be held any more.
 */
const PROBE_EVERY_MS = 1_000;
const PROBE_EVENTS = 1;
/** Here probes end as well, in times of `TROUBLED_MAX`: next to nothing has got through for an hour. */
const TROUBLED_LIMIT = 5;
/** A relay that is killed or paused delays its partitions by this much. */
export const LEASE_MS = 15_000;
/** The cursors are saved at most this often: under load, one statement for some hundred events. */
const SAVE_EVERY_MS = 1_000;

export type DeliveryCount = { delivered: number; owed: number; held: number; more: boolean };

/** Serves one destination once. @throws what the destination answered, if it looks down, after all that could be done was */
export async function deliverOnce(delivery: Delivery): Promise<DeliveryCount> {
  openLeasedBacklogs(delivery);
  const { backlogs } = delivery;
  if (backlogs.size === 0) return { delivered: 0, owed: 0, held: 0, more: false };
  await giveUpDiscarded(delivery);
  await takeUpDecided(delivery);
  const more = await readOn(delivery);
  const isLeftAlone = performance.now() < delivery.notBeforeMs;
  const sent = isLeftAlone ? { delivered: 0, held: 0, failures: [] } : await sendDue(delivery);
  observe(delivery, sent);
  await closeDelivered(delivery);
  await saveCursors(delivery, delivery.saveEveryMs ?? SAVE_EVERY_MS);
  if (looksDown(delivery, sent)) throw sent.failures[0]?.error;
  const owed = countOwed(backlogs.values());
  const isFull = sent.delivered >= BATCH_MAX; // there was no room to read on, perhaps
  return {
    delivered: sent.delivered,
    owed: owed.flowing + owed.troubled + owed.behindDeadLetters,
    held: sent.held,
    more: more || isFull,
  };
}

/** Opens backlogs for partitions that are leased anew, and forgets those that are not leased any more. */
function openLeasedBacklogs({ backlogs, leases, publisher, owner, outdated }: Delivery): void {
  const leased = leases.leasedOf(publisher.destination).filter((cursor) => !outdated.has(cursor));
  const partitions = new Set(leased.map((cursor) => cursor.partition));
  for (const partition of backlogs.keys()) if (!partitions.has(partition)) backlogs.delete(partition);
  for (const cursor of leased) {
    const backlog = backlogs.get(cursor.partition);
    if (!backlog || !goesOnFrom(backlog, cursor)) backlogs.set(cursor.partition, openBacklog(cursor, owner));
  }
}

/** @returns whether there is more to read */
async function readOn(delivery: Delivery): Promise<boolean> {
  const { db, publisher, backlogs, customersTold } = delivery;
  const limit = howManyToRead(delivery);
  if (limit === 0) return false;
  const places = [...backlogs].map(([partition, { readTo }]) => ({ partition, ...readTo }));
  const events = await readPartitions(db, publisher.destination, places, limit, readingOf(customersTold));
  const counts = new Map<number, number>();
  for (const event of events) {
    const backlog = backlogs.get(event.partition);
    if (backlog) addEvent(backlog, event);
    counts.set(event.partition, (counts.get(event.partition) ?? 0) + 1);
  }
  return limit > PROBE_EVENTS && [...counts.values()].some((count) => count >= limit);
}

/** Per backlog. Orders that fail must not stop the others, and dead letters are bounded where they are taken up. */
function howManyToRead(delivery: Delivery): number {
  const { backlogs, troubledMax = TROUBLED_MAX } = delivery;
  const { flowing, troubled } = countOwed(backlogs.values());
  if (flowing > FLOWING_MAX || troubled >= TROUBLED_LIMIT * troubledMax) return 0;
  if (troubled < troubledMax) return Math.ceil(BATCH_MAX / backlogs.size);
  if (performance.now() - delivery.probedAtMs < PROBE_EVERY_MS) return 0;
  delivery.probedAtMs = performance.now();
  return PROBE_EVENTS;
}

type RoundResult = { delivered: number; held: number; failures: PublishFailure[] };

async function sendDue(delivery: Delivery): Promise<RoundResult> {
  const before = { ...delivery.counts };
  await refreshCustomers(delivery);
  const { entries, unsendable } = composeBatch(delivery.backlogs.values(), BATCH_MAX, delivery);
  const batch = entries.flatMap(({ events }) => events);
  const results = applyOutcomes(entries, batch.length === 0 ? [] : await publishBatch(delivery, batch));
  logDelivered(delivery, results);
  const failed = listFailures(results);
  const delivered = results.reduce((sum, { taken }) => sum + taken, 0);
  delivery.counts = { taken: before.taken + delivered, failed: before.failed + failed.filter((f) => f.isFirst).length };
  if (delivered > 0) delivery.heldInARow = 0;

  let held = 0;
  for (const { entry, reason } of unsendable) held += await hold(delivery, entry, reason);
  for (const { entry, taken, failure, sentAfter } of failed) {
    const reason = recordFailure(entry.stream, failure, {
      before: { ...before, taken: before.taken + taken }, // its own successes say nothing about the others
      now: delivery.counts,
      sentAfter,
      isAlone: entries.length === 1,
      heldInARow: delivery.heldInARow,
      backoffMaxMs: delivery.backoffMaxMs,
    });
    if (reason) held += await hold(delivery, entry, reason);
    else if (failure.outcome === 'unavailable') leaveAlone(delivery, failure.retryAfterMs);
  }
  return { delivered, held, failures: failed.map(({ failure }) => failure) };
}

function logDelivered({ publisher: { destination }, logger }: Delivery, results: EntryResult[]): void {
  for (const { entry, taken } of results) {
    for (const { id, correlationid, subject, type, sequence, traceparent } of entry.events.slice(0, taken)) {
      const traceId = traceparent?.split('-')[1];
      const about = { correlationId: correlationid, orderId: subject, ...(traceId !== undefined && { traceId }) };
      logger.info({ ...about, destination, eventId: id, type, sequence }, 'event delivered');
    }
  }
}

const publishBatch = ({ publisher }: Delivery, batch: CloudEvent[]) =>
  tracedPublish(publisher.destination, batch, () => publisher.publish(batch));

function leaveAlone(delivery: Delivery, retryAfterMs = 0): void {
  const untilMs = performance.now() + Math.min(retryAfterMs, delivery.backoffMaxMs);
  delivery.notBeforeMs = Math.max(delivery.notBeforeMs, untilMs);
}

/** Nothing got through, for more than one order: the loop's backoff is for all of them, and no order's own wait counts. */
function looksDown({ backlogs }: Delivery, { delivered, failures }: RoundResult): boolean {
  if (failures.length === 0 || delivered > 0) return false;
  const inTrouble = [...backlogs.values()]
    .flatMap((backlog) => [...backlog.streams.values()])
    .filter((stream) => stream.trouble.tries > 0);
  if (inTrouble.length <= 1) return false;
  for (const { trouble } of inTrouble) trouble.nextTryAtMs = 0;
  return true;
}

/** Saves how far the destination has been served; all of its partitions in one statement. */
export async function saveCursors(delivery: Delivery, everyMs = 0): Promise<void> {
  const { db, publisher, owner, backlogs } = delivery;
  if (performance.now() - delivery.savedAtMs < everyMs) return;
  const moves = [...backlogs.values()].flatMap((backlog) => {
    const place = servedUpTo(backlog);
    return isBefore(backlog.saved, place) ? [{ backlog, ...backlog.lease, ...place, from: backlog.saved }] : [];
  });
  if (moves.length === 0) return;
  const kept = new Set(await advanceCursors(db, { destination: publisher.destination, owner }, moves));
  for (const { backlog, partition, feedXid, feedPosition } of moves) {
    if (kept.has(partition)) Object.assign(backlog, { saved: { feedXid, feedPosition }, savedAtMs: performance.now() });
    else dropBacklog(delivery, partition);
  }
  delivery.savedAtMs = performance.now();
}
