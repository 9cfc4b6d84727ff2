/** Orders that are not final: one is at work for each, and none stands still without anybody being told; and no saga is nobody's. */
import { cancelOrderSagaId, orderSagaId } from '../../contracts/ids.js';
import type { LedgerSaga, LedgerStanding, Ledgers } from '../ledgers.js';
import { type Check, each, idOf } from '../look.js';

/** An order that waits for its start is at work, too: whoever accepted it, or the sweep, starts it. */
export const atWork: Check = (ledgers) =>
  ledgers.standings &&
  ledgers.sagas && {
    rows: ledgers.standings.length,
    violations: each(ledgers.standings, idOf, (order) => {
      if (order.isFinal || !order.isStarted) return undefined;
      const saga = sagaOf(order, ledgers);
      return (
        saga?.status !== 'RUNNING' &&
        `${order.id} is open, and no saga works for it: ${saga?.status ?? 'there is none'}`
      );
    }),
  };

/** Beyond its budget a saga says that it needs someone, or that it is on its way back; beyond its deadline, that it needs someone. */
export const seen: Check = (ledgers) => {
  const limits = ledgers.openAtMostMs;
  if (!limits || !ledgers.standings || !ledgers.sagas) return undefined;
  return {
    rows: ledgers.standings.length,
    violations: each(ledgers.standings, idOf, (order) => {
      if (order.isFinal) return undefined;
      const saga = sagaOf(order, ledgers);
      if (saga?.status !== 'RUNNING' || saga.state === 'NEEDS_ATTENTION') return undefined;
      const atMostMs = saga.state === 'COMPENSATING' || order.isTakenBack ? limits.inAll : limits.unmarked;
      return order.openForMs > atMostMs && `${order.id} is open beyond its time, and nothing says so`;
    }),
  };
};

export const ofOrders: Check = ({ claimed }) =>
  claimed && {
    rows: claimed.workflowIds.length,
    violations: each(
      claimed.unknown,
      (workflowId) => workflowId,
      (workflowId) => `${workflowId} is the saga of no order`,
    ),
  };

const sagaOf = ({ id, isTakenBack }: LedgerStanding, { sagas }: Ledgers): LedgerSaga | undefined =>
  sagas?.find(({ workflowId }) => workflowId === (isTakenBack ? cancelOrderSagaId(id) : orderSagaId(id)));
