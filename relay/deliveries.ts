/**
 * Delivery: at least once, and per order in sequence. A batch is read at the destination's cursor; orders are served side
 * by side, each order's events one after the other; then the cursor moves to just before the first event that is still
 * owed. What was taken beyond it is remembered, so that one slow order does not have the others sent twice.
 */
import { toCloudEvent } from '../contracts/events.js';
import { eventId } from '../contracts/ids.js';
import { advanceCursor, leaseCursor } from '../domain/cursors.js';
import type { Database } from '../domain/database.js';
import { type FeedEvent, type FeedPlace, readFeed } from '../domain/outbox.js';
import type { Publisher } from './publishers/publisher.js';

/** Bounds the memory of one destination, and what a killed relay sends twice. */
export const BATCH_MAX = 500;
/** A relay that is killed or paused delays its destinations by this much; renewed while a batch is being served. */
export const LEASE_MS = 15_000;

export type Delivery = {
  db: Database;
  publisher: Publisher;
  /** This relay process, for the lease. */
  owner: string;
  leaseMs: number;
  /** Events beyond the cursor that the destination has taken already. */
  taken: Set<string>;
};

export type DeliveryCount = { delivered: number; owed: number; more: boolean };

/** Serves one destination once. @throws what the destination answered, after everything that could be served was */
export async function deliverOnce(delivery: Delivery): Promise<DeliveryCount> {
  const { db, publisher, owner, leaseMs, taken } = delivery;
  const lease = { destination: publisher.destination, owner, leaseMs };
  const cursor = await leaseCursor(db, lease);
  if (!cursor) return { delivered: 0, owed: 0, more: false };
  const batch = await readFeed(db, cursor, BATCH_MAX);
  forgetAllBut(batch, taken);
  if (batch.length === 0) return { delivered: 0, owed: 0, more: false };

  // A slow destination may take longer for a batch than a lease lasts.
  // Failing to renew is not losing: the next renewal, or the move of the cursor, tells.
  const renewing = setInterval(() => void leaseCursor(db, lease).catch(() => undefined), leaseMs / 3);
  const errors = await publish(publisher, batch, taken).finally(() => clearInterval(renewing));
  const place = lastServed(batch, taken);
  if (place && (await advanceCursor(db, lease, place))) {
    for (const event of batch) if (isUpTo(event, place)) taken.delete(idOf(event));
  }
  const owed = batch.filter((event) => !taken.has(idOf(event)) && !(place && isUpTo(event, place))).length;
  if (errors.length > 0) throw errors[0];
  return { delivered: batch.length - owed, owed, more: batch.length === BATCH_MAX };
}

/** What was taken lies in the batch at the cursor, or before the cursor by now. */
function forgetAllBut(batch: FeedEvent[], taken: Set<string>): void {
  const ids = new Set(batch.map(idOf));
  for (const id of taken) if (!ids.has(id)) taken.delete(id);
}

/** @returns what kept events from being taken */
async function publish(publisher: Publisher, batch: FeedEvent[], taken: Set<string>): Promise<Error[]> {
  const events = batch.filter((event) => !taken.has(idOf(event)));
  const outcomes = await publisher.publish(events.map(toCloudEvent));
  const errors: Error[] = [];
  outcomes.forEach((result, i) => {
    if (result.outcome === 'taken') taken.add(idOf(events[i] as FeedEvent));
    else if (result.outcome !== 'not-sent') errors.push(result.error);
  });
  return errors;
}

/** @returns the place of the last event before the first one still owed, or undefined if the very first is owed */
function lastServed(batch: FeedEvent[], taken: Set<string>): FeedPlace | undefined {
  const firstOwed = batch.findIndex((event) => !taken.has(idOf(event)));
  return batch[firstOwed === -1 ? batch.length - 1 : firstOwed - 1];
}

const idOf = (event: FeedEvent): string => eventId(event.orderId, event.sequence);

const isUpTo = (event: FeedPlace, place: FeedPlace): boolean =>
  event.feedXid < place.feedXid || (event.feedXid === place.feedXid && event.feedPosition <= place.feedPosition);
