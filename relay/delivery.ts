/** A destination's delivery: what it is made with, and what this process remembers of it between two rounds. */
import type { Logger } from 'pino';
import type { Database } from '../domain/database.js';
import type { Counts, Lane } from './lanes.js';
import type { Validate } from './poison.js';
import type { Publisher } from './publishers/publisher.js';
import type { Share } from './share.js';

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
};

export type Delivery = DeliveryOptions & {
  lanes: Map<number, Lane>;
  counts: Counts;
  /** Orders parked since the destination took anything. */
  parkedInARow: number;
  /** The destination has asked to be left alone until then. */
  notBeforeMs: number;
  savedAtMs: number;
};

export const createDelivery = (options: DeliveryOptions): Delivery => ({
  ...options,
  lanes: new Map(),
  counts: { taken: 0, failed: 0 },
  parkedInARow: 0,
  notBeforeMs: 0,
  savedAtMs: Number.NEGATIVE_INFINITY,
});
