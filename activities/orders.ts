import { activityInfo } from '@temporalio/activity';
import type { SagaActivities } from '../contracts/steps.js';
import type { Database } from '../domain/database.js';
import { confirmOrder, finishOrder } from '../domain/confirmation.js';
import { beginUnwinding, cancelOrder } from '../domain/orders.js';
import { recordDecision } from '../domain/saga-log.js';
import { step, translated, undo } from './failures.js';

/** Deciding an order: the pivot, the beginning of its unwinding, and the end of an unwound saga. */
export const createOrderActivities = ({ db }: { db: Database }) =>
  ({
    confirmOrder: step((orderId, run, { forward = false }) => confirmOrder(db, orderId, run, { forward })),
    finishOrder: ({ orderId }) => translated(() => finishOrder(db, orderId)),
    cancelOrder: undo((orderId, run, { left }) => cancelOrder(db, orderId, run, left)),
    beginUnwinding: async ({ orderId, ...why }) => ({
      ...(await translated(() => beginUnwinding(db, orderId, why))),
      attempt: activityInfo().attempt,
    }),
    recordDecision: (decision) => translated(() => recordDecision(db, decision)),
  }) satisfies Partial<SagaActivities>;
