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
  recordRefund,
  shutPayment,
} from '../domain/payments.js';
import type { PaymentGateway } from '../gateways/payments.js';
import { step, undo } from './failures.js';

type Dependencies = { db: Database; gateway: PaymentGateway };

export const createPaymentActivities = (deps: Dependencies) =>
  ({
    chargePayment: step(({ orderId }) => chargePayment(deps, orderId)),
    refundPayment: undo(({ orderId }) => refundPayment(deps, orderId)),
  }) satisfies Partial<SagaActivities>;

async function chargePayment({ db, gateway }: Dependencies, orderId: string): Promise<StepOutcome> {
  const due = await readPaymentDue(db, orderId);
  if (due.unwindingReason !== null) return { outcome: 'refused', reason: due.unwindingReason };
  if (due.status === 'CHARGED') return { outcome: 'done' };
  if (due.amount === 0) return recordCharge(db, orderId, null);

  const { amount, currency, paymentMethod, createdAt: since } = due;
  const answer = await gateway.charge({
    orderId,
    amount,
    currency,
    paymentMethod,
    since,
    idempotencyKey: chargeKey(orderId),
  });
  if (answer.outcome === 'declined') return recordDecline(db, orderId, answer.code);

  const recorded = await recordCharge(db, orderId, answer.reference);
  // The order began to unwind while we were at the gateway. Its undo may have looked before the money was there.
  if (recorded.outcome === 'refused') await refundPayment({ db, gateway }, orderId);
  return recorded;
}

async function refundPayment({ db, gateway }: Dependencies, orderId: string): Promise<UndoOutcome> {
  const status = await shutPayment(db, orderId);
  switch (status) {
    case 'DECLINED':
    case 'REFUNDED':
      return status === 'REFUNDED' ? 'done' : 'nothing';
    case 'VOIDED':
    case 'REFUNDING':
      return giveBack({ db, gateway }, await readPaymentDue(db, orderId));
    case 'CHARGED':
      throw new Error(`Bug! The payment of order ${orderId} is still open after it was shut`);
    default:
      throw new Error(`Bug! Unhandled payment status "${status satisfies never}"`);
  }
}

/** Refunds the charge that we know, or whatever the gateway finds under our reference. */
async function giveBack({ db, gateway }: Dependencies, due: PaymentDue): Promise<UndoOutcome> {
  const { orderId, gatewayReference: known, amount } = due;
  if (amount === 0) {
    if (due.status === 'VOIDED') return 'nothing';
    await recordRefund(db, orderId, { charge: null, refund: null });
    return 'done';
  }
  const held = known === null ? await gateway.settleOpenCharges(orderId, due.createdAt) : [{ reference: known }];
  for (const { reference } of held) {
    const refund = await gateway.refund(orderId, reference, refundKey(orderId, reference));
    await recordRefund(db, orderId, { charge: reference, refund });
  }
  return held.length > 0 ? 'done' : 'nothing';
}
