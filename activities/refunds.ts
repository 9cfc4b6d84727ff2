/**
 * Giving a charge back, for whoever undoes an order and for whoever reconciles: one refund under the key that is next, and
 * what the charge says of it afterwards. It is done if and only if the charge holds nothing any more.
 */
import { refundKey } from '../contracts/ids.js';
import type { Database } from '../domain/database.js';
import { readRefundState, spendRefundKey } from '../domain/refunds.js';
import { type Deadline, GatewayUnknown, type PaymentGateway, type RefundOutcome } from '../gateways/payments.js';

/** No machine makes another refund: this many have failed, or the customer's bank has taken issue with the charge. */
export class RefundFailed extends Error {
  override name = 'RefundFailed';
}

export type GivenBack = Omit<Extract<RefundOutcome, { outcome: 'done' }>, 'outcome'>;

/** A key that is spent is followed by the next one at once; that one's trouble is the next call's. */
const KEYS_PER_CALL_MAX = 2;

/**
 * @throws GatewayUnknown if it is not done yet and will be tried again, RefundFailed if it takes an operator's word
 */
export async function giveBackCharge(
  { db, gateway }: { db: Database; gateway: Pick<PaymentGateway, 'refund'> },
  { orderId, reference, deadline }: { orderId: string; reference: string; deadline?: Deadline },
): Promise<GivenBack> {
  let why = '';
  for (let keys = 0; keys < KEYS_PER_CALL_MAX; keys++) {
    const state = await readRefundState(db, orderId);
    if (!state) throw new Error(`Bug! Order ${orderId} has no payment to give back`);
    if (state.failures >= state.allowed) throw new RefundFailed(toldTooOften(orderId, state.failures));
    const result = await gateway.refund({
      due: { orderId, installationId: state.installationId },
      chargeReference: reference,
      idempotencyKey: refundKey(orderId, reference, state.no),
      ...(deadline && { deadline }),
    });
    if (result.outcome === 'done') return result;
    const failure = result.outcome === 'failed' ? result : undefined;
    const hasFailed = failure !== undefined;
    const isDisputed = failure?.disputed === true;
    const isListed = failure?.isListed === true;
    await spendRefundKey(db, orderId, state.no, { hasFailed, isListed, isForOperator: isDisputed });
    if (isDisputed) throw new RefundFailed(disputed(orderId, result.why));
    if (hasFailed && state.failures + 1 >= state.allowed)
      throw new RefundFailed(toldTooOften(orderId, state.failures + 1, result.why));
    why = result.why;
  }
  throw new GatewayUnknown(`The refund of order ${orderId} is to be made anew: ${why}`);
}

const disputed = (orderId: string, why: string) =>
  `The charge of order ${orderId} is disputed: its money is not ours to give back (${why})`;
const toldTooOften = (orderId: string, failures: number, why?: string) =>
  `${failures} refunds of order ${orderId} have failed${why === undefined ? '' : ` (${why})`}: retry to have one more made, or give the money back by hand and skip`;
