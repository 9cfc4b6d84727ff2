/**
 * Delivery: at least once, and per order in sequence. One round serves all partitions of a destination that this relay
 * holds: it reads on, sends what is due, parks what is poison, works off decided letters, and moves the cursors to just
 * before the oldest event that is still owed.
 */
import { advanceCursors } from '../domain/cursors.js';
import { readPartitions } from '../domain/outbox.js';
import { type Delivery, dropLane } from './delivery.js';
import { addEvent, countOwed, isBefore, openLane, servedUpTo } from './backlog.js';
import { closeDelivered, giveUpDiscarded, park, takeUpDecided } from './dead-letters.js';
import { type Failure, judge } from './hold-policy.js';
import { seeFailures, settleAll, takeTurns } from './batch.js';

/** What one round sends. Bounds, with `SAVE_EVERY_MS`, what a killed relay sends twice. */
export const BATCH_MAX = 500;
/** With so many events that have not failed yet there is enough for a batch: it reads no further. */
const FLOWING_MAX = BATCH_MAX;
/** Bounds, with `TROUBLED_LIMIT`, the memory of one destination: beyond it, it reads on by probes. */
const TROUBLED_MAX = 4 * BATCH_MAX;
/**
 * One event per partition and second, taken or not: without others that get through there is no telling poison from
 * weather, and nothing would be parked any more.
 */
const PROBE_EVERY_MS = 1_000;
const PROBE_EVENTS = 1;
/** Here probes end as well, in times of `TROUBLED_MAX`: next to nothing has got through for an hour. */
const TROUBLED_LIMIT = 5;
/** A relay that is killed or paused delays its partitions by this much. */
export const LEASE_MS = 15_000;
/** The cursors are saved at most this often: under load, one statement for some hundred events. */
const SAVE_EVERY_MS = 1_000;

export type DeliveryCount = { delivered: number; owed: number; parked: number; more: boolean };

/** Serves one destination once. @throws what the destination answered, if it looks down, after all that could be done was */
export async function deliverOnce(delivery: Delivery): Promise<DeliveryCount> {
  holdLanes(delivery);
  const { lanes } = delivery;
  if (lanes.size === 0) return { delivered: 0, owed: 0, parked: 0, more: false };
  await giveUpDiscarded(delivery);
  await takeUpDecided(delivery);
  const more = await readOn(delivery);
  const isLeftAlone = performance.now() < delivery.notBeforeMs;
  const sent = isLeftAlone ? { delivered: 0, parked: 0, failures: [] } : await sendDue(delivery);
  await closeDelivered(delivery);
  await saveCursors(delivery, delivery.saveEveryMs ?? SAVE_EVERY_MS);
  if (looksDown(delivery, sent)) throw sent.failures[0]?.error;
  const owed = countOwed(lanes.values());
  const isFull = sent.delivered >= BATCH_MAX; // there was no room to read on, perhaps
  return {
    delivered: sent.delivered,
    owed: owed.flowing + owed.troubled + owed.ofLetters,
    parked: sent.parked,
    more: more || isFull,
  };
}

/** Opens lanes for partitions that are held anew, and forgets those that are not held any more. */
function holdLanes({ lanes, share, publisher, owner, outdated }: Delivery): void {
  const held = share.heldOf(publisher.destination).filter((cursor) => !outdated.has(cursor));
  const partitions = new Set(held.map((cursor) => cursor.partition));
  for (const partition of lanes.keys()) if (!partitions.has(partition)) lanes.delete(partition);
  for (const cursor of held) {
    if (lanes.get(cursor.partition)?.lease.epoch !== cursor.epoch) lanes.set(cursor.partition, openLane(cursor, owner));
  }
}

/** @returns whether there is more to read */
async function readOn(delivery: Delivery): Promise<boolean> {
  const { db, publisher, lanes } = delivery;
  const limit = howManyToRead(delivery);
  if (limit === 0) return false;
  const places = [...lanes].map(([partition, { readTo }]) => ({ partition, ...readTo }));
  const events = await readPartitions(db, publisher.destination, places, limit);
  const counts = new Map<number, number>();
  for (const event of events) {
    const lane = lanes.get(event.partition);
    if (lane) addEvent(lane, event);
    counts.set(event.partition, (counts.get(event.partition) ?? 0) + 1);
  }
  return limit > PROBE_EVENTS && [...counts.values()].some((count) => count >= limit);
}

/** Per lane. Orders that fail must not stop the others, and letters are bounded where they are taken up. */
function howManyToRead(delivery: Delivery): number {
  const { lanes, troubledMax = TROUBLED_MAX } = delivery;
  const { flowing, troubled } = countOwed(lanes.values());
  if (flowing > FLOWING_MAX || troubled >= TROUBLED_LIMIT * troubledMax) return 0;
  if (troubled < troubledMax) return Math.ceil(BATCH_MAX / lanes.size);
  if (performance.now() - delivery.probedAtMs < PROBE_EVERY_MS) return 0;
  delivery.probedAtMs = performance.now();
  return PROBE_EVENTS;
}

type Sent = { delivered: number; parked: number; failures: Failure[] };

async function sendDue(delivery: Delivery): Promise<Sent> {
  const before = { ...delivery.counts };
  const { turns, refused } = takeTurns(delivery.lanes.values(), BATCH_MAX, delivery.validate);
  const batch = turns.flatMap(({ events }) => events);
  const results = settleAll(turns, batch.length === 0 ? [] : await delivery.publisher.publish(batch));
  const failed = seeFailures(results);
  const delivered = results.reduce((sum, { taken }) => sum + taken, 0);
  delivery.counts = { taken: before.taken + delivered, failed: before.failed + failed.filter((f) => f.isFirst).length };
  if (delivered > 0) delivery.parkedInARow = 0;

  let parked = 0;
  for (const { turn, verdict } of refused) parked += await park(delivery, turn, verdict);
  for (const { turn, taken, failure, sentAfter } of failed) {
    const verdict = judge(turn.order, failure, {
      before: { ...before, taken: before.taken + taken }, // its own successes say nothing about the others
      now: delivery.counts,
      sentAfter,
      isAlone: turns.length === 1,
      parkedInARow: delivery.parkedInARow,
      backoffMaxMs: delivery.backoffMaxMs,
    });
    if (verdict) parked += await park(delivery, turn, verdict);
    else if (failure.outcome === 'unavailable') leaveAlone(delivery, failure.retryAfterMs);
  }
  return { delivered, parked, failures: failed.map(({ failure }) => failure) };
}

function leaveAlone(delivery: Delivery, retryAfterMs = 0): void {
  const untilMs = performance.now() + Math.min(retryAfterMs, delivery.backoffMaxMs);
  delivery.notBeforeMs = Math.max(delivery.notBeforeMs, untilMs);
}

/** Nothing got through, for more than one order: the loop's backoff is for all of them, and nobody's own wait counts. */
function looksDown({ lanes }: Delivery, { delivered, failures }: Sent): boolean {
  if (failures.length === 0 || delivered > 0) return false;
  const inTrouble = [...lanes.values()].flatMap((lane) => [...lane.orders.values()]).filter((o) => o.trouble.tries > 0);
  if (inTrouble.length <= 1) return false;
  for (const { trouble } of inTrouble) trouble.nextTryAtMs = 0;
  return true;
}

/** Saves how far the destination has been served; all of its partitions in one statement. */
export async function saveCursors(delivery: Delivery, everyMs = 0): Promise<void> {
  const { db, publisher, owner, lanes } = delivery;
  if (performance.now() - delivery.savedAtMs < everyMs) return;
  const moves = [...lanes.values()].flatMap((lane) => {
    const place = servedUpTo(lane);
    return isBefore(lane.saved, place) ? [{ lane, ...lane.lease, ...place }] : [];
  });
  if (moves.length === 0) return;
  const kept = new Set(await advanceCursors(db, { destination: publisher.destination, owner }, moves));
  for (const { lane, partition, feedXid, feedPosition } of moves) {
    if (kept.has(partition)) lane.saved = { feedXid, feedPosition };
    else dropLane(delivery, partition);
  }
  delivery.savedAtMs = performance.now();
}
