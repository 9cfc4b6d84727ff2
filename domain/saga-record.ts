/**
 * What Postgres alone knows of a saga: which steps have taken effect and when. Less than Temporal's history says (no
 * attempts, no errors), but it is there when the history is not: before the start, while Temporal is away, after its
 * retention.
 */
import type { EventType, StoredEvent } from '../contracts/events.js';
import type { Order } from '../contracts/orders.js';
import {
  type SagaProgress,
  type SagaState,
  STEPS,
  type StepName,
  type StepProgress,
  type StepStatus,
  type UndoName,
} from '../contracts/saga.js';

const EFFECTS: Partial<Record<EventType, [StepName | UndoName, 'step' | 'undo', StepStatus]>> = {
  'inventory.reserved': ['reserveInventory', 'step', 'completed'],
  'inventory.reservation.failed': ['reserveInventory', 'step', 'refused'],
  'payment.charged': ['chargePayment', 'step', 'completed'],
  'payment.declined': ['chargePayment', 'step', 'refused'],
  'order.confirmed': ['confirmOrder', 'step', 'completed'],
  'payment.refunded': ['refundPayment', 'undo', 'undone'],
  'inventory.released': ['releaseInventory', 'undo', 'undone'],
  'order.cancelled': ['cancelOrder', 'undo', 'undone'],
};

/** @param events all of the order's events, oldest first */
export function sagaFromEvents(order: Order, events: StoredEvent[]): SagaProgress {
  const done: StepProgress[] = [];
  let previousAt: string | null = null;
  for (const event of events) {
    const at = event.occurredAt.toISOString();
    const effect = EFFECTS[event.type];
    if (effect) {
      const [name, kind, status] = effect;
      const lastError =
        status === 'refused' ? ((event.data as { reason?: string }).reason ?? 'PAYMENT_DECLINED') : null;
      done.push({ name, kind, status, attempts: 1, startedAt: previousAt, finishedAt: at, lastError });
    }
    previousAt = at;
  }
  const pending = STEPS.filter((name) => !done.some((step) => step.name === name)).map(
    (name): StepProgress => ({
      name,
      kind: 'step',
      status: 'pending',
      attempts: 0,
      startedAt: null,
      finishedAt: null,
      lastError: null,
    }),
  );
  const steps = [...done.filter((s) => s.kind === 'step'), ...pending, ...done.filter((s) => s.kind === 'undo')];
  const unwinding = steps.some((step) => step.status === 'refused' || step.kind === 'undo');
  return { state: stateOf(order, unwinding ? 'COMPENSATING' : 'RUNNING'), steps };
}

/** The committed order has the last word on its saga's state. @param otherwise the state while the order is pending */
export function stateOf(order: Order, otherwise: SagaState): SagaState {
  switch (order.status) {
    case 'CONFIRMED':
      return 'COMPLETED';
    case 'CANCELLED':
      return 'COMPENSATED';
    case 'PENDING':
      return otherwise;
    default:
      throw new Error(`Bug! Unhandled order status "${order.status satisfies never}"`);
  }
}
