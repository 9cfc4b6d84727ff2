import type { SagaActivities } from '../contracts/steps.js';
import type { Database } from '../domain/database.js';
import { releaseInventory, reserveInventory } from '../domain/inventory.js';
import { step, undo } from './failures.js';

/** Holding stock for an order, and giving it back. */
export const createInventoryActivities = ({ db }: { db: Database }) =>
  ({
    reserveInventory: step((orderId, run) => reserveInventory(db, orderId, run)),
    releaseInventory: undo((orderId, run) => releaseInventory(db, orderId, run)),
  }) satisfies Partial<SagaActivities>;
