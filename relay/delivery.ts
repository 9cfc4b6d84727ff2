/** A destination's delivery: what it is made with, and what this process remembers of it between two rounds. */
import type { Logger } from 'pino';
import type { CustomersTold } from '../contracts/events.js';
import type { Database } from '../domain/database.js';
import type { Standing } from '../domain/destinations.js';
import type { DestinationCounts, PartitionBacklog } from './backlog.js';
import type { ValidateEvent } from './hold-policy.js';
import type { Publisher } from './publishers/publisher.js';
import type { PartitionLeases, RenewedCursor } from './partition-leases.js';

export type DeliveryOptions = {
  db: Database;
  publisher: Publisher;
  /** This relay process. */
  owner: string;
  leases: Pick<PartitionLeases, 'leasedOf'>;
  backoffMaxMs: number;
  logger: Logger;
  validate?: ValidateEvent;
  /** What events say of their customer; absent = the client's id. */
  customersTold?: CustomersTold;
  saveEveryMs?: number;
  troubledMax?: number;
};

export type Delivery = DeliveryOptions & {
  backlogs: Map<number, PartitionBacklog>;
  counts: DestinationCounts;
  /** Orders held since the destination took anything. */
  heldInARow: number;
  /** The destination has asked to be left alone until then. */
  notBeforeMs: number;
  savedAtMs: number;
  /** When it last read on although too many events are in trouble. */
  probedAtMs: number;
  /** Leased cursors, as last renewed, that turned out to be out of date: no backlog is opened from them again. */
  outdated: WeakSet<RenewedCursor>;
  /** How the destination stands with this relay, and what of that was noted when. */
  standing: Standing;
  noted: Standing;
  notedAtMs: number;
  /** `notBeforeMs`, as its standing has it. */
  observedNotBeforeMs: number;
};

const UNTRIED: Standing = { takenAt: null, failingSince: null, error: null, leftAloneUntil: null };

export const createDelivery = (options: DeliveryOptions): Delivery => ({
  ...options,
  backlogs: new Map(),
  counts: { taken: 0, failed: 0 },
  heldInARow: 0,
  notBeforeMs: 0,
  savedAtMs: Number.NEGATIVE_INFINITY,
  probedAtMs: Number.NEGATIVE_INFINITY,
  outdated: new WeakSet(),
  standing: { ...UNTRIED },
  noted: { ...UNTRIED },
  notedAtMs: Number.NEGATIVE_INFINITY,
  observedNotBeforeMs: 0,
});

/** Gives a backlog up whose lease seems lost. Only a renewal of the leases can open it again. */
export function dropBacklog({ backlogs, leases, publisher, outdated }: Delivery, partition: number): void {
  backlogs.delete(partition);
  for (const cursor of leases.leasedOf(publisher.destination)) if (cursor.partition === partition) outdated.add(cursor);
}
