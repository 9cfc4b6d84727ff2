/**
 * Giving a charge back, for the undo of an order and for the reconciliation: one refund under the key that is next, and
 * what the charge says of it afterwards. It is done if and only if the charge holds nothing any more.
 */
import { refundKey } from '../contracts/ids.js';
import type { Database } from '../domain/database.js';
import { readRefundState, spendRefundKey } from '../domain/refunds.js';
import {
  type Deadline,
  type Gateway,
  GatewayUnknown,
  type PaymentGateway,
  type RefundOutcome,
} from '../gateways/payments.js';

/**
 * No machine makes another refund: so many have failed, or the customer's bank has taken issue with the charge. The message says
 * what is so; what is to be done about it depends on the caller.
 */
export class RefundFailed extends Error {
  override name = 'RefundFailed';
  constructor(
    message: string,
    readonly isDisputed: boolean,
  ) {
    super(message);
  }
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
    const state = await readRefundState(db, { orderId, reference });
    if (!state) throw new Error(`Bug! Order ${orderId} has no payment to give back`);
    const isUsedUp = state.failures >= state.allowed;
    const result = await gateway.refund({
      due: { orderId, installationId: state.installationId },
      chargeReference: reference,
      // An operator may have given it back by hand meanwhile, so it is read all the same.
      idempotencyKey: isUsedUp ? null : refundKey(orderId, reference, state.no),
      ...(deadline && { deadline }),
    });
    if (result.outcome === 'done') return result;
    const failure = result.outcome === 'failed' ? result : undefined;
    if (isUsedUp) throw givenUp(orderId, state.failures, failure);
    const hasFailed = failure !== undefined;
    const isForOperator = failure?.disputed === true;
    await spendRefundKey(db, { orderId, reference }, state.no, {
      hasFailed,
      isListed: failure?.isListed === true,
      isForOperator,
    });
    if (isForOperator || (hasFailed && state.failures + 1 >= state.allowed))
      throw givenUp(orderId, state.failures + 1, failure);
    why = result.why;
  }
  throw new GatewayUnknown(`The refund of order ${orderId} is to be made again: ${why}`);
}

/**
 * Gives a charge back whose order this database has lost, on an operator's word: nothing is on record of it, so the gateway says which
 * keys are spent. The first is the one under which the lost order's own saga would have given it back.
 * @throws as giveBackCharge
 */
export async function giveBackOrphan(
  { gateway, installationId }: { gateway: Pick<Gateway, 'refund' | 'readRefunds'>; installationId: string },
  { orderId, reference, deadline }: { orderId: string; reference: string; deadline: Deadline },
): Promise<GivenBack> {
  const ours = (await gateway.readRefunds(reference)).filter((made) => made.orderId === orderId);
  const failures = ours.filter(({ status }) => status === 'failed' || status === 'canceled').length;
  const result = await gateway.refund({
    due: { orderId, installationId },
    chargeReference: reference,
    idempotencyKey: refundKey(orderId, reference, failures),
    deadline,
  });
  if (result.outcome === 'done') return result;
  if (result.outcome === 'failed') throw givenUp(orderId, failures + 1, result);
  throw new GatewayUnknown(`The refund of order ${orderId} is to be made again: ${result.why}`);
}

function givenUp(
  orderId: string,
  failures: number,
  failure: Extract<RefundOutcome, { outcome: 'failed' }> | undefined,
): RefundFailed {
  const isDisputed = failure?.disputed === true;
  const why = failure === undefined ? '' : ` (${failure.why})`;
  const what = isDisputed
    ? `The charge of order ${orderId} is disputed: its money is not ours to give back${why}`
    : `${failures} refunds of order ${orderId} have failed${why}`;
  return new RefundFailed(what, isDisputed);
}
