/** When an act on the step that an order stands at is the right one: what tells it from the others. */
import { money } from '../contracts/amounts.js';
import { disputeOf, heldBy, isPaidOutside } from './costs.js';
import { deadlineOf } from './deadline.js';
import { isGivenUp } from './given-up.js';
import type { OrderFacts } from './order-facts.js';
import { clock, isUnknownFailure } from './plain-words.js';
import { takenAlready } from './taken-already.js';

/** A retry that can only fail again. */
export const isInVain = ({ row, gateway, standing }: OrderFacts): boolean =>
  standing.step === 'refundPayment' && (isPaidOutside(row) || disputeOf(gateway)?.how === 'lost');

export function useOfRetry({ row, saga, gateway, standing }: OrderFacts): string {
  const { step, situation } = standing;
  if (step === 'refundPayment') {
    const held = heldBy(row, gateway);
    if (isPaidOutside(row))
      return held === null
        ? 'never here: it will fail again, since no machine can give this money back'
        : `only for the ${money(held)} at the gateway: it will fail again for what came by other means`;
    const dispute = disputeOf(gateway);
    if (dispute?.how === 'lost') return 'never here: it will fail again, since the bank has given the money back';
    if (dispute?.how === 'open') return 'the shop has won the dispute: until then it will fail again';
    if (dispute?.how === 'won') return 'now: the dispute is won, and a refund is possible again';
  }
  if (situation === 'undo-failing' && saga.asked && saga.known && isGivenUp(saga.marked.failure))
    return 'you have seen at the gateway that refunds work again: it has one more made, and nothing else does';
  if (situation === 'paused') return 'whoever paused it agrees that it goes on';
  const deadline = deadlineOf(saga);
  const before =
    situation === 'parked' && deadline !== null && row.state.unwindingReason === null
      ? `, before ${clock(deadline)}`
      : '';
  if (situation === 'parked' && saga.asked && saga.known && isUnknownFailure(saga.marked.failure))
    return `once without mending, since that does no harm; again when the cause is mended${before}`;
  return situation === 'parked' || situation === 'undo-failing'
    ? `you have mended what the last error says${before}`
    : 'you have mended what the last error says, and will not wait for the next try';
}

export function useOfSkip({ row, gateway, standing }: OrderFacts): string {
  const taken = takenAlready(row, gateway);
  if (standing.step === 'chargePayment' && taken !== null)
    return `hardly ever here, since the ${taken} at the gateway are \`retry\`’s to record: only if the customer has paid by another way, too, and you refund those by hand`;
  if (standing.step === 'chargePayment')
    return `you have seen that the customer has paid ${money(row.total)} by another way`;
  if (standing.step === 'reserveInventory') return 'you have put the pieces aside by hand';
  if (disputeOf(gateway)?.how === 'lost') return 'now: the dispute is lost, and there is nothing more to give back';
  const held = heldBy(row, gateway);
  if (isPaidOutside(row)) return `you have given ${money(row.total)} back yourself, by the way it came`;
  return held === null
    ? 'you are sure that nothing was taken, and cannot mend what the last error says'
    : `only after you have given ${money(held)} back yourself, outside the gateway (what went back at the gateway, \`retry\` finds)`;
}
