/**
 * Charging and refunding. The gateway's ledger is the truth, ours follows it; between the two a worker may die or sleep
 * at any point, so each function can begin again from what the two ledgers say.
 */
import { activityInfo } from '@temporalio/activity';
import { chargeKey } from '../contracts/ids.js';
import type { SagaActivities, StepInput } from '../contracts/steps.js';
import {
  beginAttempt,
  endAttempt,
  keepLookUpPlace,
  noteFirstAttempt,
  readAttempts,
} from '../domain/charge-attempts.js';
import { readUnmarkedDecisions } from '../domain/finding-closures.js';
import { claimSpending, returnSpending } from '../domain/brakes.js';
import type { Database } from '../domain/database.js';
import { HoldingLost } from '../domain/holdings.js';
import type { StepOutcome, UndoOutcome } from '../domain/orders.js';
import {
  CHARGE_VERSION_MAX,
  type PaymentDue,
  readPaymentDue,
  recordCharge,
  recordDecline,
  recordNothingToRefund,
  recordRefund,
  shutPayment,
} from '../domain/payments.js';
import { allowRefund } from '../domain/refunds.js';
import type { Run } from '../domain/saga-log.js';
import { deadlineIn } from '../gateways/deadline.js';
import {
  type ChargeOutcome,
  type Deadline,
  GatewayMismatch,
  GatewayUnknown,
  type PaymentGateway,
} from '../gateways/payments.js';
import { ChargingHeld, NeedsOperator, step, undo } from './failures.js';
import { type GivenBack, giveBackCharge, RefundFailed } from './refunds.js';

type Dependencies = { db: Database; gateway: PaymentGateway };

export const createPaymentActivities = (deps: Dependencies) =>
  ({
    chargePayment: step((orderId, run, input) => forOperators(() => chargePayment(deps, orderId, run, input))),
    refundPayment: undo((orderId, run, { word }) => forOperators(() => refundPayment(deps, orderId, run, { word }))),
  }) satisfies Partial<SagaActivities>;

const nextStep = ({ isDisputed }: RefundFailed): string =>
  isDisputed
    ? 'Answer the dispute at the gateway; once it is won, retry; if it is lost, the bank has given the money back: skip'
    : 'Retry to have one more made, or give the money back by hand and skip';

/** What time does not mend. */
async function forOperators<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (err) {
    if (err instanceof GatewayMismatch) throw new NeedsOperator(err.message, err.name);
    if (err instanceof RefundFailed) throw new NeedsOperator(`${err.message}. ${nextStep(err)}`, err.name);
    throw err;
  }
}

/** Of the attempt's limit, so that everything it asks has ended, and its failure is reported, before it is given up. */
const ATTEMPT_SHARE = 0.85;
/** Where no limit is set, as in a test that runs an activity by itself. */
const ATTEMPT_DEFAULT_MS = 10_000;

/** An attempt is given up when its own time is over, and when that of all attempts is; times of one clock, Temporal's. */
function deadlineOfAttempt(): Deadline {
  const {
    startToCloseTimeoutMs: limitMs,
    scheduleToCloseTimeoutMs: budgetMs,
    scheduledTimestampMs: scheduledAt,
    currentAttemptScheduledTimestampMs: beganAt,
  } = activityInfo();
  const leftMs = budgetMs ? budgetMs - (beganAt - scheduledAt) : Number.POSITIVE_INFINITY;
  return deadlineIn(Math.min(limitMs || ATTEMPT_DEFAULT_MS, leftMs) * ATTEMPT_SHARE);
}

async function chargePayment(
  { db, gateway }: Dependencies,
  orderId: string,
  run: Run,
  passing: Pick<StepInput, 'confirm' | 'forward'>,
): Promise<StepOutcome> {
  const deadline = deadlineOfAttempt();
  const due = await readPaymentDue(db, orderId);
  if (due.orderStatus === 'CONFIRMED') return { outcome: 'done', confirmed: true }; // even if it is being cancelled by now
  if (due.unwindingReason !== null) return { outcome: 'refused', reason: due.unwindingReason };
  if (due.lostBefore.length > 0) throw new HoldingLost(orderId, due.lostBefore); // before money moves
  if (due.status === 'CHARGED' || due.status === 'SETTLED_OUTSIDE') return { outcome: 'done' };
  if (due.amount === 0 || run.skippedBy !== undefined) return recordCharge(db, orderId, null, run, passing);

  if (due.chargeVersion > CHARGE_VERSION_MAX)
    throw new Error(`Order ${orderId} is charged as version ${due.chargeVersion}: it takes a newer build`);
  await requireUnheld(db, due);
  const answer = await noted(db, due, run, () =>
    gateway.charge({
      due,
      paymentMethod: due.paymentMethod,
      idempotencyKey: chargeKey(orderId),
      since: due.createdAt,
      lookUp: () => readAttempts(db, orderId),
      deadline,
    }),
  );
  if (answer.outcome === 'declined') {
    // Should it fail, the amount counts until its hour is over.
    if (due.heldBy.includes('spending')) await returnSpending(db, orderId).catch(() => undefined);
    return recordDecline(db, orderId, answer.code, run);
  }

  const recorded = await recordCharge(db, orderId, answer.reference, run, passing);
  // The order began to unwind while we were at the gateway. Its undo may have looked before the money was there.
  if (recorded.outcome === 'refused') await refundPayment({ db, gateway }, orderId, run, { deadline });
  return recorded;
}

/**
 * The first time that an order is held is noted as an attempt that has asked for nothing: whatever an attempt before it may have left
 * arrived around then, and the look-up after a long hold need not read all that others were charged meanwhile.
 * @throws ChargingHeld if an operator holds charges back, or if there is no room in this hour's limit
 */
async function requireUnheld(db: Database, due: PaymentDue): Promise<void> {
  const { orderId, heldBy, amount, currency, wasAttempted, now } = due;
  try {
    if (heldBy.includes('charging')) throw new ChargingHeld('Operators have stopped all charging: see `ops brakes`');
    if (heldBy.includes('spending') && !(await claimSpending(db, { orderId, amount, currency })))
      throw new ChargingHeld(`It would be more than operators let be charged within an hour: see \`ops brakes\``);
  } catch (err) {
    if (!wasAttempted) await noteFirstAttempt(db, orderId, now).catch(() => undefined);
    throw err;
  }
}

/** Keeps when attempts ran that may have left a charge whose answer was lost. One that was answered needs no note. */
async function noted(
  db: Database,
  due: PaymentDue,
  { attempts }: Run,
  attempt: () => Promise<ChargeOutcome>,
): Promise<ChargeOutcome> {
  if (attempts > 1 || due.wasAttempted) {
    const id = await beginAttempt(db, due.orderId);
    try {
      return await attempt();
    } finally {
      await endAttempt(db, id).catch(() => undefined); // it is then taken to have ended with its limit
    }
  }
  try {
    return await attempt();
  } catch (err) {
    await noteFirstAttempt(db, due.orderId, due.now).catch(() => undefined); // then it ran before the next one did
    throw err;
  }
}

/** Also of a payment that was made outside, by an operator's word: what the gateway may have taken besides is given back by it. */
async function refundPayment(
  deps: Dependencies,
  orderId: string,
  run: Run,
  { word, deadline = deadlineOfAttempt() }: { word?: string | undefined; deadline?: Deadline },
): Promise<UndoOutcome> {
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
      return giveBack(deps, await readPaymentDue(db, orderId), run, { word, deadline });
    case 'CHARGED':
      throw new Error(`Bug! The payment of order ${orderId} is still open after it was shut`);
    default:
      throw new Error(`Bug! Unhandled payment status "${status satisfies never}"`);
  }
}

/** Refunds the charge that we know, or whatever the gateway finds under our marks. */
async function giveBack(
  deps: Dependencies,
  due: PaymentDue,
  run: Run,
  { word, deadline }: { word: string | undefined; deadline: Deadline },
): Promise<UndoOutcome> {
  const { db } = deps;
  const { orderId, gatewayReference: known, amount } = due;
  if (due.refundReference !== null) return 'done'; // an operator has vouched for that, too
  // Of an order of nothing too: what was told as charged is told as given back, whoever has vouched for it.
  if (run.skippedBy !== undefined || (amount === 0 && due.status !== 'VOIDED')) {
    await recordRefund(db, orderId, { charge: known, refund: null, gaveBack: amount }, run);
    return 'done';
  }
  const held = known !== null ? [known] : amount === 0 ? [] : await lookUp(deps, due, deadline);
  const refunds: (GivenBack & { charge: string })[] = [];
  let failed: RefundFailed | undefined;
  for (const reference of held) {
    if (word !== undefined) await allowRefund(db, { orderId, reference }, word);
    try {
      refunds.push({ charge: reference, ...(await giveBackCharge(deps, { orderId, reference, deadline })) });
    } catch (err) {
      if (!(err instanceof RefundFailed)) throw err;
      failed ??= err; // which keeps no other charge from going back
    }
  }
  if (failed) throw failed;
  if (due.status === 'SETTLED_OUTSIDE' && amount > 0) throw new NeedsOperator(paidOutside(orderId), 'PaidOutside');
  // Recorded once all are back: should there be two charges, a record of the first must not hide the second.
  const [first] = refunds;
  if (!first) {
    await recordNothingToRefund(db, orderId, run);
    return 'nothing';
  }
  const gaveBack = refunds.reduce((sum, refund) => sum + refund.gaveBack, 0);
  const pending = refunds.some((refund) => refund.pending);
  await recordRefund(db, orderId, { charge: first.charge, refund: first.reference, gaveBack, pending }, run);
  return gaveBack > 0 ? 'done' : 'nothing';
}

/** No machine can give back what the gateway has never had. */
const paidOutside = (orderId: string) =>
  `An operator has vouched that order ${orderId} was paid by other means: give that back by hand, then skip this step`;

async function lookUp({ db, gateway }: Dependencies, due: PaymentDue, deadline: Deadline): Promise<string[]> {
  const { mayRunUntil, ...attempts } = await readAttempts(db, due.orderId);
  const held = await gateway.settleOpenCharges({
    ...attempts,
    due,
    ...(await readUnmarkedDecisions(db, due.orderId)),
    onProgress: (place) => keepLookUpPlace(db, due.orderId, place),
    deadline,
  });
  // What is found is there. What is not found may still be on its way.
  if (held.length === 0 && mayRunUntil !== null)
    throw new GatewayUnknown(`An attempt to charge order ${due.orderId} may still be running`, {
      retryAfterMs: mayRunUntil.getTime() - attempts.dbNow.getTime(),
    });
  return held.map(({ reference }) => reference);
}
