/** What a choice costs in money, in pieces and for the customer. Of an undo something else than of a step: nothing goes on after it. */
import { money } from '../contracts/amounts.js';
import type { Money } from '../contracts/orders.js';
import type { GatewayView } from './gateway-view.js';
import type { OrderRow } from './order-row.js';
import { isStepName, type Standing } from './situation.js';

export type Cost = {
  money: string;
  /** The most that is moved by it, or vouched for; null = none, or nobody knows how much. */
  moves: Money | null;
  stock: string;
  customer: string;
};

export const NONE = 'none';

/** An operator has vouched that it was paid, and nobody that it was given back: no machine can do that. */
export const isPaidOutside = ({ payment, total }: OrderRow): boolean =>
  payment.status === 'SETTLED_OUTSIDE' && payment.refundReference === null && total.amount > 0;

const holdsPieces = ({ reservations }: OrderRow): boolean =>
  reservations.some(({ state }) => state === 'RESERVED' || state === 'SOLD');

/** Of giving the order up, or of going on with that. */
export function costOfGivingUp(row: OrderRow, gateway: GatewayView): Cost {
  return {
    money: isPaidOutside(row) ? outsideOf(row, gateway) : heldOf(row, gateway),
    moves: isPaidOutside(row) ? row.total : heldBy(row, gateway),
    stock: holdsPieces(row) ? 'the order’s pieces go back on sale' : NONE,
    customer: 'the order is cancelled; every reader sees the reason',
  };
}

function heldBy({ payment, total }: OrderRow, gateway: GatewayView): Money | null {
  const amount = gateway.asked ? gateway.holds : payment.status === 'CHARGED' ? total.amount : 0;
  return amount > 0 ? { amount, currency: total.currency } : null;
}

function outsideOf(row: OrderRow, gateway: GatewayView): string {
  const besides = gateway.asked && gateway.holds > 0 ? `${heldOf(row, gateway)}; besides, ` : '';
  return `${besides}${money(row.total)} came by other means; give it back by hand; the cancel waits at refundPayment until you have and skip it`;
}

function heldOf(row: OrderRow, gateway: GatewayView): string {
  if (!gateway.asked)
    return row.payment.status === 'CHARGED'
      ? `${money(row.total)} goes back`
      : 'what was taken goes back (not known how much)';
  if (gateway.holds <= 0) return NONE;
  const back = `${money({ amount: gateway.holds, currency: row.total.currency })} goes back`;
  const charge = gateway.charges.find(({ disputed }) => disputed);
  if (charge === undefined || charge.dispute === 'won') return back;
  return charge.dispute === 'lost'
    ? 'nothing goes back: the dispute is lost, and the bank has paid'
    : `${back} if the dispute is won; nothing while it is open, or if it is lost: then the bank has paid`;
}

const customerOf = (row: OrderRow, step: string | null): string =>
  row.state.unwindingReason !== null || isUndo(step) ? 'the order is then cancelled' : 'the order goes on';

const isUndo = (step: string | null): boolean => step !== null && !isStepName(step);

export function costOfRetry(row: OrderRow, gateway: GatewayView, { step }: Standing): Cost {
  const cost: Cost = { money: NONE, moves: null, stock: NONE, customer: customerOf(row, step) };
  switch (step) {
    case 'reserveInventory':
      return { ...cost, stock: 'reserves the order’s pieces' };
    case 'chargePayment':
      return {
        ...cost,
        moves: row.total,
        money: `takes ${money(row.total)}, once, whatever was tried before (one key)`,
      };
    case 'refundPayment':
      return { ...cost, moves: heldBy(row, gateway), money: refundOf(row, gateway) };
    case 'releaseInventory':
      return { ...cost, stock: holdsPieces(row) ? 'the order’s pieces go back on sale, once' : NONE };
    default:
      return cost;
  }
}

function refundOf(row: OrderRow, gateway: GatewayView): string {
  const held = heldOf(row, gateway);
  const taken = held === NONE ? 'nothing goes back: the gateway holds nothing of it' : held;
  if (!isPaidOutside(row)) return taken;
  const back = gateway.asked && gateway.holds > 0 ? `${taken}; ` : '';
  return `${back}not ${money(row.total)} that came by other means: give it back by hand, then skip`;
}

export function costOfSkip(row: OrderRow, { step }: Standing): Cost {
  const customer = customerOf(row, step);
  return {
    money:
      step === 'chargePayment'
        ? `nothing is charged: ${money(row.total)} must have come by another way`
        : step === 'refundPayment'
          ? `nothing is given back: what is owed of ${money(row.total)} must have been already`
          : NONE,
    moves: step === 'chargePayment' || step === 'refundPayment' ? row.total : null,
    stock: /Inventory/.test(step ?? '') ? 'nothing is moved: you vouch for the pieces' : NONE,
    customer: customer === 'the order goes on' ? `${customer} as if the step had succeeded` : customer,
  };
}
