/**
 * Charging and refunding. The gateway's ledger is the truth, ours follows it; between the two a worker may die or sleep
 * at any point, so each function can begin again from what the two ledgers say.
 */
import { chargeKey, refundKey } from '../contracts/ids.js';
import type { SagaActivities } from '../contracts/steps.js';
import type { Database } from '../domain/database.js';
import type { StepOutcome, UndoOutcome } from '../domain/orders.js';
import {
  type PaymentDue,
  readPaymentDue,
  recordCharge,
  recordDecline,
  recordNothingToRefund,
  recordRefund,
  shutPayment,
} from '../domain/payments.js';
import type { Run } from '../domain/saga-log.js';
import type { PaymentGateway } from '../gateways/payments.js';
import { step, undo } from './failures.js';

type Dependencies = { db: Database; gateway: PaymentGateway };

export const createPaymentActivities = (deps: Dependencies) =>
  ({
    chargePayment: step((orderId, run, { confirm }) => chargePayment(deps, orderId, run, confirm)),
    refundPayment: undo((orderId, run) => refundPayment(deps, orderId, run)),
  }) satisfies Partial<SagaActivities>;

async function chargePayment(
  { db, gateway }: Dependencies,
  orderId: string,
  run: Run,
  confirm = false,
): Promise<StepOutcome> {
  const due = await readPaymentDue(db, orderId);
  if (due.orderStatus === 'CONFIRMED') return { outcome: 'done', confirmed: true }; // even if it is being cancelled by now
  if (due.unwindingReason !== null) return { outcome: 'refused', reason: due.unwindingReason };
  if (due.status === 'CHARGED' || due.status === 'SETTLED_OUTSIDE') return { outcome: 'done' };
  if (due.amount === 0 || run.skippedBy !== undefined) return recordCharge(db, orderId, null, run, { confirm });

  const { amount, currency, paymentMethod, createdAt: since } = due;
  const request = { orderId, amount, currency, paymentMethod, since, idempotencyKey: chargeKey(orderId) };
  const answer = await gateway.charge(request);
  if (answer.outcome === 'declined') return recordDecline(db, orderId, answer.code, run);

  const recorded = await recordCharge(db, orderId, answer.reference, run, { confirm });
  // The order began to unwind while we were at the gateway. Its undo may have looked before the money was there.
  if (recorded.outcome === 'refused') await refundPayment({ db, gateway }, orderId, run);
  return recorded;
}

/** Also of a payment that was settled by hand: what the gateway may have taken besides is given back by it. */
async function refundPayment(deps: Dependencies, orderId: string, run: Run): Promise<UndoOutcome> {
  const { db } = deps;
  const status = await shutPayment(db, orderId);
  switch (status) {
    case 'REFUNDED':
      return 'done';
    case 'DECLINED':
      await recordNothingToRefund(db, orderId, run);
      return 'nothing';
    case 'VOIDED':
    case 'REFUNDING':
    case 'SETTLED_OUTSIDE':
      return giveBack(deps, await readPaymentDue(db, orderId), run);
    case 'CHARGED':
      throw new Error(`Bug! The payment of order ${orderId} is still open after it was shut`);
    default:
      throw new Error(`Bug! Unhandled payment status "${status satisfies never}"`);
  }
}

/** Refunds the charge that we know, or whatever the gateway finds under our reference. */
async function giveBack({ db, gateway }: Dependencies, due: PaymentDue, run: Run): Promise<UndoOutcome> {
  const { orderId, gatewayReference: known, amount } = due;
  if (run.skippedBy !== undefined || (amount === 0 && due.status === 'REFUNDING')) {
    await recordRefund(db, orderId, { charge: known, refund: null }, run);
    return 'done';
  }
  const lookUp = () => (amount === 0 ? [] : gateway.settleOpenCharges(orderId, due.createdAt));
  const held = known === null ? await lookUp() : [{ reference: known }];
  const refunds: { charge: string; refund: string }[] = [];
  for (const { reference } of held) {
    refunds.push({
      charge: reference,
      refund: await gateway.refund(orderId, reference, refundKey(orderId, reference)),
    });
  }
  // Recorded once all are back: should there be two charges, a record of the first must not hide the second.
  const [recorded] = refunds;
  if (recorded) await recordRefund(db, orderId, recorded, run);
  else await recordNothingToRefund(db, orderId, run);
  return recorded ? 'done' : 'nothing';
}
