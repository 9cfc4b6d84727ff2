/** A destination's delivery: what it is made with, and what this process remembers of it between two rounds. */
import type { Logger } from 'pino';
import type { LeasedCursor } from '../domain/cursors.js';
import type { Database } from '../domain/database.js';
import type { Counts, Lane } from './backlog.js';
import type { Validate } from './hold-policy.js';
import type { Publisher } from './publishers/publisher.js';
import type { Share } from './partition-leases.js';

export type DeliveryOptions = {
  db: Database;
  publisher: Publisher;
  /** This relay process. */
  owner: string;
  share: Pick<Share, 'heldOf'>;
  backoffMaxMs: number;
  logger: Logger;
  validate?: Validate;
  saveEveryMs?: number;
  troubledMax?: number;
};

export type Delivery = DeliveryOptions & {
  lanes: Map<number, Lane>;
  counts: Counts;
  /** Orders parked since the destination took anything. */
  parkedInARow: number;
  /** The destination has asked to be left alone until then. */
  notBeforeMs: number;
  savedAtMs: number;
  /** When it last read on although too many events are in trouble. */
  probedAtMs: number;
  /** The share's copies of cursors that turned out to be out of date: no lane is opened from them again. */
  outdated: WeakSet<LeasedCursor>;
};

export const createDelivery = (options: DeliveryOptions): Delivery => ({
  ...options,
  lanes: new Map(),
  counts: { taken: 0, failed: 0 },
  parkedInARow: 0,
  notBeforeMs: 0,
  savedAtMs: Number.NEGATIVE_INFINITY,
  probedAtMs: Number.NEGATIVE_INFINITY,
  outdated: new WeakSet(),
});

/** Gives a lane up whose lease seems lost. Only a renewal of the share can open it again. */
export function dropLane({ lanes, share, publisher, outdated }: Delivery, partition: number): void {
  lanes.delete(partition);
  for (const cursor of share.heldOf(publisher.destination)) if (cursor.partition === partition) outdated.add(cursor);
}
