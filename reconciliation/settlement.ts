/**
 * Settlement: does what a charge's classification asks for. First everything is looked at again, since a list is old by the
 * time it is read and sagas go on meanwhile; then the finding is written; then money moves, under the same key as the
 * saga's own refund would; then the finding is closed. Dying in between, or running twice, does no more than running once.
 */
import type { Logger } from 'pino';
import { giveBackCharge, giveBackOrphan, RefundFailed } from '../activities/refunds.js';
import type { Database } from '../domain/database.js';
import { isRefundOrdered } from '../domain/finding-closures.js';
import { NOT_SURPLUS, TOO_MANY } from '../domain/finding-details.js';
import { shutPayment } from '../domain/payments.js';
import {
  type ChargeName,
  closeFinding,
  dropFinding,
  escalateFinding,
  type FindingKind,
  listInHand,
  noteFailure,
  type OrderMoney,
  openFinding,
  readOrdersMoney,
  retractFindings,
  type Subject,
} from '../domain/reconciliation.js';
import { countActedOn } from '../domain/reconciliation-findings.js';
import { noteRefundFailures } from '../domain/refunds.js';
import { deadlineIn } from '../gateways/deadline.js';
import { amountFromGateway } from '../gateways/marks.js';
import { type Gateway, GatewayUnknown, type LedgerCharge } from '../gateways/payments.js';
import { sentenceOf } from '../runtime/errors/facts.js';
import { type Classification, classify, dueOf, takeBack, wentBack } from './classification.js';

/**
 * Charges of one kind that are settled per hour without an operator. A healthy system has next to none of any kind. Many mean
 * that something is wrong which giving money back may make worse; the rest is reported, and goes on in the next hour.
 */
export const ACTIONS_PER_HOUR_MAX = 100;
/** Of one settlement at the gateway: a handful of requests. */
const SETTLE_LIMIT_MS = 20_000;

export type SettlementDependencies = {
  db: Database;
  gateway: Gateway;
  /** By which our charges are marked. */
  installationId: string;
  actionsPerHourMax?: number;
  logger: Logger;
};
export type Outcome = 'agreed' | 'waiting' | 'wake' | 'refunded' | 'cancelled' | 'reported' | 'known';

/** @returns what has become of the charge; `known` = found and dealt with before */
export async function settle(given: SettlementDependencies, named: ChargeName, now: Date): Promise<Outcome> {
  const { charge, classification, order } = await lookAgain(given, named, now);
  const deps = order ? { ...given, logger: given.logger.child({ correlationId: order.correlationId }) } : given;
  const orderId = order?.orderId ?? named.orderId ?? '';
  const subject = {
    reference: named.reference,
    orderId,
    ...(charge ? moneyOf(charge, order) : { amount: 0, currency: '' }),
  };
  const waiting = classification.do === 'nothing' && charge ? await readWaiting(deps, charge, order) : undefined;
  if (classification.do !== 'wait')
    await retractFindings(deps.db, named.reference, waiting ? ['REFUND_WAITS'] : kindsOf(classification));
  switch (classification.do) {
    case 'nothing':
      if (!waiting) await conclude(deps, charge, subject);
      return waiting ? report(deps, 'REFUND_WAITS', { ...subject, amount: waiting.amount }, waiting.detail) : 'agreed';
    case 'wait':
      await openFinding(deps.db, 'UNDECIDED', 'waiting', subject);
      return classification.wake ? 'wake' : 'waiting';
    case 'report':
      return report(deps, classification.kind, subject, classification.detail);
    case 'refund':
      return refund(deps, classification.kind, subject, order);
    case 'call-off':
      return callOff(deps, classification.kind, subject);
    default:
      throw new Error(`Bug! Unhandled classification "${JSON.stringify(classification satisfies never)}"`);
  }
}

/**
 * The charge as it is now, between two looks at its order. Only what both looks agree on counts: a saga may be giving
 * the money back at this moment, and its record comes after the gateway's.
 */
async function lookAgain(deps: SettlementDependencies, named: ChargeName, now: Date) {
  const orderNow = async () => (await readOrdersMoney(deps.db, [named])).get(named.reference);
  const before = await orderNow();
  const charge = await deps.gateway.readCharge(named.reference);
  if (!charge) return { charge, order: before, classification: { do: 'nothing' } satisfies Classification };
  const early = classify(charge, before, now, deps);
  const order = await orderNow();
  const classification = classify(charge, order, now, deps);
  const isSure = early.do === classification.do && kindOf(early) === kindOf(classification);
  if (!isSure) return { charge, order, classification: { do: 'wait', wake: false } satisfies Classification };
  return { charge, order, classification: await orAsOperatorSaid(deps, charge, classification) };
}

/** A charge without marks is given back if an operator has said so, and for as long as it fits its order; so is one without an order. */
async function orAsOperatorSaid(
  { db }: SettlementDependencies,
  charge: LedgerCharge,
  classification: Classification,
): Promise<Classification> {
  const found = kindOf(classification);
  if (found !== 'UNMARKED_CHARGE' && found !== 'ORPHAN_CHARGE') return classification;
  const inHand = await listInHand(db, charge.reference);
  const isSaid = inHand.some(({ kind, action }) => kind === found && action === 'refunding');
  return isSaid ? takeBack(charge, found) : classification;
}

/** A refund that counts as given back, and is not: its customer has to do something first. */
export async function readWaiting(
  { gateway }: Pick<SettlementDependencies, 'gateway'>,
  charge: LedgerCharge,
  order: OrderMoney | undefined,
): Promise<{ amount: number; detail: string } | undefined> {
  if (!order || !wentBack(charge, order)) return undefined;
  const refund = (await gateway.readRefunds(charge.reference)).find(({ status }) => status === 'requires_action');
  if (!refund) return undefined;
  const { amount } = moneyOf({ ...charge, received: refund.amount, refunded: 0 }, order);
  return { amount, detail: `The refund ${refund.reference} ${WAITS}` };
}
const WAITS =
  'waits for its customer: have them do what the gateway asks of them, or cancel it at the gateway, and another is made';

/** What a lost refund is called is found out when it is settled. */
const kindsOf = (classification: Classification): FindingKind[] =>
  'kind' in classification
    ? classification.kind === 'LOST_REFUND'
      ? ['LOST_REFUND', 'REFUND_FAILED']
      : [classification.kind]
    : [];

const kindOf = (classification: Classification): FindingKind | undefined =>
  'kind' in classification ? classification.kind : undefined;

/** What a charge holds, in our minor unit. */
export const moneyOf = ({ received, refunded, currency }: LedgerCharge, order: OrderMoney | undefined) => {
  const held = { amount: received - refunded, currency };
  // Of a charge without an order of ours, the provider's way of counting is as good as any.
  return { amount: order ? amountFromGateway(order.installationId, held) : held.amount, currency };
};

/** Ends the findings in hand about the charge: their end was not recorded, or they are no longer so. */
async function conclude({ db, gateway }: SettlementDependencies, charge: LedgerCharge | null, subject: Subject) {
  const { reference } = subject;
  for (const { kind, action } of await listInHand(db, reference)) {
    if (action === 'refunding' && charge?.state === 'succeeded' && subject.amount === 0) {
      const refunds = await gateway.readRefunds(reference);
      const newest = refunds.find(({ status }) => status === 'succeeded' || status === 'pending');
      await closeFinding(db, kind, 'refunded', subject, newest?.reference ?? null);
    } else if ((action === 'cancelling' || action === 'refunding') && charge?.state === 'over') {
      await closeFinding(db, kind, 'cancelled', subject, null);
    } else {
      await dropFinding(db, kind, reference);
    }
  }
}

/** For an operator. Reported once, and again when there is another amount to it. */
export async function report(
  { db, logger }: Pick<SettlementDependencies, 'db' | 'logger'>,
  kind: FindingKind,
  subject: Subject,
  detail: string,
): Promise<Outcome> {
  const { isNew, action } = await openFinding(db, kind, 'reported', subject, detail);
  if (!isNew || action !== 'reported') return 'known';
  // The mark of somebody else's charge may be any text.
  const orderId = ORDER_ID.test(subject.orderId) ? subject.orderId : undefined;
  logger.error({ kind, orderId, charge: subject.reference }, 'reconciliation: for a human to decide');
  return 'reported';
}

const ORDER_ID = /^[0-9a-f-]{36}$/i;

async function refund(
  deps: SettlementDependencies,
  classifiedAs: FindingKind,
  subject: Subject,
  order: OrderMoney | undefined,
): Promise<Outcome> {
  const { db, logger } = deps;
  const { orderId, reference } = subject;
  if (await isBraked(deps, classifiedAs, reference)) return report(deps, classifiedAs, subject, TOO_MANY);
  if (classifiedAs === 'DOUBLE_CHARGE' && !(await isPaidOtherwise(deps, order)))
    if (!(await isRefundOrdered(db, classifiedAs, reference, NOT_SURPLUS)))
      return handOver(deps, classifiedAs, subject);
  // No charge was recorded, and no undo has looked: the payment is closed to the saga before money moves.
  if (order?.payment === null && order.unwindingReason !== null) await shutPayment(db, orderId);
  const kind = classifiedAs === 'LOST_REFUND' ? await whyHeld(deps, subject) : classifiedAs;
  const { action, isNew, detail } = await openFinding(db, kind, 'refunding', subject);
  if (isNew && kind === 'REFUND_FAILED')
    logger.error({ orderId, charge: reference }, 'reconciliation: a refund has failed');
  if (action === 'reported' && detail === TOO_MANY) await resume(deps, kind, reference);
  else if (action !== 'refunding') return 'known';
  try {
    const made = await attempt(deps, kind, reference, () =>
      kind === 'ORPHAN_CHARGE'
        ? giveBackOrphan(deps, { orderId, reference, deadline: deadlineIn(SETTLE_LIMIT_MS) })
        : giveBackCharge(deps, { orderId, reference, deadline: deadlineIn(SETTLE_LIMIT_MS) }),
    );
    await closeFinding(db, kind, 'refunded', subject, made.reference);
    logger.warn({ kind, orderId, charge: reference, refund: made.reference }, 'reconciliation: money given back');
    return 'refunded';
  } catch (err) {
    if (!(err instanceof RefundFailed)) throw err;
    return escalate(deps, kind, subject, `${err.message}. ${NEXT_STEP}`);
  }
}

const NEXT_STEP = 'Have one more made by `ops reconcile --refund`, or pay by another way and `--close`';

/** @returns whether a refund of ours has failed, or the charge holds money without one; failed ones are kept count of */
async function whyHeld({ db, gateway }: SettlementDependencies, { orderId, reference }: Subject): Promise<FindingKind> {
  const ours = (await gateway.readRefunds(reference)).filter((made) => made.orderId?.toLowerCase() === orderId);
  const failed = ours.filter(({ status }) => status === 'failed' || status === 'canceled').length;
  // The gateway forgets keys, and would make the failed refund again under its old one as if it had never been.
  await noteRefundFailures(db, { orderId, reference }, failed);
  return failed > 0 || ours.some(({ status }) => status === 'requires_action') ? 'REFUND_FAILED' : 'LOST_REFUND';
}

async function escalate(
  { db, logger }: SettlementDependencies,
  kind: FindingKind,
  subject: Subject,
  detail: string,
): Promise<Outcome> {
  const { orderId, reference } = subject;
  if (!(await escalateFinding(db, kind, reference, detail))) return 'known';
  logger.error({ kind, orderId, charge: reference }, `reconciliation: ${detail}`);
  return 'reported';
}

/** Whether the charge on record does hold the order's money; else the "surplus" may be all that the order was paid with. */
async function isPaidOtherwise({ gateway }: SettlementDependencies, order: OrderMoney | undefined): Promise<boolean> {
  if (!order || order.total === 0) return true;
  const recorded = order.gatewayReference === null ? null : await gateway.readCharge(order.gatewayReference);
  return recorded !== null && recorded.received - recorded.refunded >= dueOf(order);
}

/** Reported, also what was in hand: the reconciler would neither go on with it nor say so. */
async function handOver(deps: SettlementDependencies, kind: FindingKind, subject: Subject): Promise<Outcome> {
  const outcome = await report(deps, kind, subject, NOT_SURPLUS);
  return outcome === 'known' ? escalate(deps, kind, subject, NOT_SURPLUS) : outcome;
}

/** What is in hand already does not count against itself. */
async function isBraked(
  { db, actionsPerHourMax = ACTIONS_PER_HOUR_MAX }: SettlementDependencies,
  kind: FindingKind,
  reference: string,
) {
  if ((await listInHand(db, reference)).some((inHand) => inHand.kind === kind)) return false;
  return (await countActedOn(db, kind)) >= actionsPerHourMax;
}

async function resume({ db }: SettlementDependencies, kind: FindingKind, reference: string): Promise<void> {
  await db.reconciliationFinding.updateMany({
    where: { kind, gatewayReference: reference, action: 'reported', detail: TOO_MANY },
    data: { action: kind === 'OPEN_INTENT' ? 'cancelling' : 'refunding', at: new Date(), updatedAt: new Date() },
  });
}

async function callOff(deps: SettlementDependencies, kind: FindingKind, subject: Subject): Promise<Outcome> {
  const { db, gateway, logger } = deps;
  if (await isBraked(deps, kind, subject.reference)) return report(deps, kind, subject, TOO_MANY);
  const { action, detail } = await openFinding(db, kind, 'cancelling', subject);
  if (action === 'reported' && detail === TOO_MANY) await resume(deps, kind, subject.reference);
  else if (action !== 'cancelling') return 'known';
  await attempt(deps, kind, subject.reference, () => gateway.callOff(subject.reference));
  await closeFinding(db, kind, 'cancelled', subject, null);
  logger.info({ kind, orderId: subject.orderId, charge: subject.reference }, 'reconciliation: open charge called off');
  return 'cancelled';
}

/** What the gateway refuses stays in hand with its reason, and is logged when the reason is new. */
async function attempt<T>(
  { db, logger }: SettlementDependencies,
  kind: FindingKind,
  reference: string,
  act: () => Promise<T>,
): Promise<T> {
  try {
    return await act();
  } catch (err) {
    const why = sentenceOf(err);
    const isNews = await noteFailure(db, kind, reference, why);
    if (isNews && err instanceof GatewayUnknown)
      logger.warn({ kind, charge: reference, err: why }, 'reconciliation: cannot settle it yet');
    throw err;
  }
}
