/** Ends: an order has exactly one, and its saga says the same. */
import { cancelOrderSagaId, orderIdOf, orderSagaId } from '../../contracts/ids.js';
import type { LedgerOrder, LedgerSaga, Ledgers } from '../ledgers.js';
import { type Check, each, idOf } from '../look.js';

export const oneEnd: Check = (ledgers) => ({
  rows: ledgers.orders.length,
  violations: each(ledgers.orders, idOf, (order) => endOf(order, ledgers)),
});

export const sagas: Check = (ledgers) =>
  ledgers.sagas && {
    rows: ledgers.sagas.length,
    violations: [
      ...each(ledgers.sagas, ({ workflowId }) => orderIdOf(workflowId), sagaTrouble),
      ...each(ledgers.orders, idOf, (order) => sagaOf(order, ledgers)),
    ],
  };

function endOf(order: LedgerOrder, ledgers: Ledgers): (string | false)[] {
  const isClosedRight = (order.status === 'CANCELLED') === (order.reason !== null);
  if (order.areEventsGone) return [!isClosedRight && `${order.id} is ${order.status} for ${order.reason}`];
  const types = ledgers.events.filter(({ orderId }) => orderId === order.id).map(({ type }) => type);
  const count = (type: string) => types.filter((t) => t === type).length;
  return [
    order.status === 'PENDING' && `${order.id} is not final`,
    !isClosedRight && `${order.id} is ${order.status} for ${order.reason}`,
    count('order.confirmed') > 1 && `${order.id} was confirmed twice`,
    count('order.cancelled') !== (order.status === 'CANCELLED' ? 1 : 0) &&
      `${order.id} is ${order.status}, cancelled ${count('order.cancelled')} times`,
    order.status === 'CONFIRMED' &&
      count('order.confirmed') !== 1 &&
      `${order.id} is CONFIRMED and has no event that says so`,
  ];
}

const sagaTrouble = ({ workflowId, status }: LedgerSaga) => status !== 'COMPLETED' && `${workflowId} is ${status}`;

function sagaOf({ id, status }: LedgerOrder, { sagas: all = [] }: Ledgers): string | undefined {
  const resultOf = (workflowId: string) => all.find((saga) => saga.workflowId === workflowId)?.result?.status;
  const [first, takenBack] = [resultOf(orderSagaId(id)), resultOf(cancelOrderSagaId(id))];
  if (first === undefined && takenBack === undefined) return `${id} has no saga that has come to its end`;
  return (takenBack ?? first) === status ? undefined : `${id} is ${status}, its saga says ${takenBack ?? first}`;
}
