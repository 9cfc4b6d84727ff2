import type { SagaActivities } from '../contracts/steps.js';
import type { Database } from '../domain/database.js';
import { releaseInventory, reserveInventory } from '../domain/inventory.js';
import { step, undo } from './failures.js';

/** Holding stock for an order, and giving it back. */
export const createInventoryActivities = ({ db }: { db: Database }) =>
  ({
    reserveInventory: step(({ orderId }) => reserveInventory(db, orderId)),
    releaseInventory: undo(({ orderId }) => releaseInventory(db, orderId)),
  }) satisfies Partial<SagaActivities>;
