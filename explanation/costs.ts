/**
 * What a choice costs in money, in pieces and for the customer: by itself, and in what follows by itself once it has succeeded. Of an
 * undo something else than of a step: nothing goes on after it.
 */
import { money } from '../contracts/amounts.js';
import type { Money } from '../contracts/orders.js';
import type { GatewayView } from './gateway-view.js';
import { holdsPieces, mayBeCharged } from './holdings.js';
import type { OrderRow } from './order-row.js';
import { isStepName, type Standing } from './situation.js';
import { retryOfCharge, skipOfCharge } from './taken-already.js';

export type Cost = {
  money: string;
  /** The most that is moved by it, or vouched for; null = none, or nobody knows how much. */
  moves: Money | null;
  stock: string;
  customer: string;
  /** What follows by itself once it has succeeded; null = nothing does, or all is said. */
  follows: string | null;
};

export const NONE = 'none';

/** An operator has vouched that it was paid, and nobody that it was given back: no machine can do that. */
export const isPaidOutside = ({ payment, total }: OrderRow): boolean =>
  payment.status === 'SETTLED_OUTSIDE' && payment.refundReference === null && total.amount > 0;

/** How the dispute stands that keeps the gateway from giving back; null = none does. */
export function disputeOf(gateway: GatewayView): { how: 'open' | 'lost' | 'won'; answerBy: string | null } | null {
  const charge = gateway.asked ? gateway.charges.find(({ disputed }) => disputed) : undefined;
  if (charge === undefined) return null;
  const { dispute, answerBy } = charge;
  return { how: dispute === 'won' || dispute === 'lost' ? dispute : 'open', answerBy };
}

/** Of giving the order up, or of going on with that: all of it, since it begins what then goes on by itself. */
export function costOfGivingUp(row: OrderRow, gateway: GatewayView): Cost {
  return {
    money: isPaidOutside(row) ? outsideOf(row, gateway) : heldOf(row, gateway),
    moves: isPaidOutside(row) ? row.total : heldBy(row, gateway),
    stock: holdsPieces(row) ? 'the order’s pieces go back on sale' : NONE,
    customer: 'the order is CANCELLED; who reads it, its customer too, sees your reason',
    follows: null,
  };
}

/** The same in a few words, for what comes by itself. */
export function endsAs(row: OrderRow, gateway: GatewayView): string {
  const { money: moved, stock } = costOfGivingUp(row, gateway);
  return `money: ${moved}; stock: ${stock}`;
}

/** What the gateway holds of it, as far as is known. */
export function heldBy({ payment, total }: OrderRow, gateway: GatewayView): Money | null {
  const amount = gateway.asked ? gateway.holds : payment.status === 'CHARGED' ? total.amount : 0;
  return amount > 0 ? { amount, currency: total.currency } : null;
}

function outsideOf(row: OrderRow, gateway: GatewayView): string {
  const besides = gateway.asked && gateway.holds > 0 ? `${heldOf(row, gateway)}; besides, ` : '';
  return `${besides}${money(row.total)} came by other means, and no machine gives it back: the cancel waits at refundPayment until you have done so by hand, and skip that`;
}

function heldOf(row: OrderRow, gateway: GatewayView): string {
  if (!gateway.asked)
    return row.payment.status === 'CHARGED'
      ? `${money(row.total)} goes back`
      : 'what was taken goes back (not known how much)';
  if (gateway.holds <= 0)
    return mayBeCharged(row) ? 'none is known to have been taken; what is found to have been goes back' : NONE;
  const held = money({ amount: gateway.holds, currency: row.total.currency });
  const dispute = disputeOf(gateway);
  if (dispute === null || dispute.how === 'won') return `${held} goes back`;
  return dispute.how === 'lost'
    ? 'nothing goes back: the dispute is lost, and the customer has the money from the bank'
    : `${held} goes back only if the shop wins the dispute; if the shop loses it, the bank takes it from the shop and gives it to the customer. While it is open, the cancel waits at refundPayment`;
}

const isUndo = (step: string | null): boolean => step !== null && !isStepName(step);

/** What comes after the step, once it is done. */
function afterStep(row: OrderRow, step: string | null): string | null {
  const back = holdsPieces(row)
    ? 'the order’s pieces go back on sale, and the order is CANCELLED'
    : 'the order is CANCELLED';
  switch (step) {
    case 'reserveInventory':
      return `${money(row.total)} is charged, and the order CONFIRMED; or it is CANCELLED if that is declined`;
    case 'chargePayment':
      return 'the order is CONFIRMED, and its pieces are sold';
    case 'confirmOrder':
    case 'cancelOrder':
      return null;
    case 'refundPayment':
      return back;
    default:
      return isUndo(step) ? 'the order is CANCELLED' : 'the order goes on';
  }
}

export function costOfRetry(row: OrderRow, gateway: GatewayView, { step }: Standing): Cost {
  const cost: Cost = { money: NONE, moves: null, stock: NONE, customer: NONE, follows: afterStep(row, step) };
  switch (step) {
    case 'reserveInventory':
      return { ...cost, stock: 'reserves the order’s pieces' };
    case 'chargePayment':
      return { ...cost, ...retryOfCharge(row, gateway) };
    case 'confirmOrder':
      return { ...cost, stock: 'the reserved pieces are sold', customer: 'the order is CONFIRMED' };
    case 'refundPayment':
      return {
        ...cost,
        moves: heldBy(row, gateway),
        money: refundOf(row, gateway),
        customer: refundedTo(row, gateway),
      };
    case 'releaseInventory':
      return { ...cost, stock: holdsPieces(row) ? 'the order’s pieces go back on sale, once' : NONE };
    default:
      return cost;
  }
}

function refundedTo(row: OrderRow, gateway: GatewayView): string {
  const held = heldBy(row, gateway);
  const dispute = disputeOf(gateway);
  return held === null || (dispute !== null && dispute.how !== 'won') ? NONE : `gets ${money(held)} back`;
}

function refundOf(row: OrderRow, gateway: GatewayView): string {
  const held = heldOf(row, gateway);
  const taken =
    heldBy(row, gateway) === null && gateway.asked ? 'nothing goes back: the gateway holds nothing of it' : held;
  if (!isPaidOutside(row)) return taken;
  const back = gateway.asked && gateway.holds > 0 ? `${taken}; ` : '';
  return `${back}NOT the ${money(row.total)} that came by other means`;
}

export function costOfSkip(row: OrderRow, gateway: GatewayView, { step }: Standing): Cost {
  const cost: Cost = { money: NONE, moves: null, stock: NONE, customer: NONE, follows: afterStep(row, step) };
  if (step === 'chargePayment') return { ...cost, ...skipOfCharge(row, gateway) };
  if (step === 'refundPayment') return { ...cost, ...unrefunded(row, gateway) };
  if (step === 'reserveInventory')
    return { ...cost, stock: 'reserves NOTHING: others can buy the pieces unless you have put them aside' };
  return cost;
}

function unrefunded(row: OrderRow, gateway: GatewayView): Pick<Cost, 'money' | 'moves'> {
  if (disputeOf(gateway)?.how === 'lost')
    return { moves: row.total, money: 'gives NOTHING back, and nothing is owed: the bank has given it back' };
  const held = heldBy(row, gateway);
  const owed = isPaidOutside(row)
    ? { amount: row.total.amount + (held?.amount ?? 0), currency: row.total.currency }
    : (held ?? (gateway.asked ? null : row.total));
  return owed === null
    ? { moves: null, money: 'gives NOTHING back; nothing is owed as far as is known: the gateway holds nothing of it' }
    : {
        moves: owed,
        money: `gives NOTHING back: the customer loses ${money(owed)} unless you have given it back yourself${held === null ? '' : `. What the gateway still holds stays there: the reconciler opens a finding (SETTLED_OUTSIDE)`}`,
      };
}
