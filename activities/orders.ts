import { activityInfo } from '@temporalio/activity';
import type { SagaActivities } from '../contracts/steps.js';
import type { Database } from '../domain/database.js';
import { beginUnwinding, cancelOrder, confirmOrder } from '../domain/orders.js';
import { step, translated, undo } from './failures.js';

/** Deciding an order: the pivot, the turn to unwinding, and the end of an unwound saga. */
export const createOrderActivities = ({ db }: { db: Database }) =>
  ({
    confirmOrder: step(({ orderId }) => confirmOrder(db, orderId)),
    cancelOrder: undo(({ orderId }) => cancelOrder(db, orderId)),
    beginUnwinding: async ({ orderId, reason, message }) => ({
      ...(await translated(() => beginUnwinding(db, orderId, reason, message))),
      attempt: activityInfo().attempt,
    }),
  }) satisfies Partial<SagaActivities>;
