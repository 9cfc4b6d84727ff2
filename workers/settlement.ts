/**
 * Settlement: carries out a verdict about one charge. First everything is looked at again, since a list is old by the
 * time it is read and sagas go on meanwhile; then the finding is written; then money moves, under the same key as the
 * saga's own refund would; then the finding is closed. Dying in between, or running twice, does no more than running once.
 */
import type { Logger } from 'pino';
import { refundKey } from '../contracts/ids.js';
import type { Database } from '../domain/database.js';
import {
  closeFinding,
  dropFinding,
  escalateFinding,
  type FindingKind,
  listInHand,
  noteFailure,
  openFinding,
  readOrdersMoney,
  type Subject,
} from '../domain/reconciliation.js';
import { countOrphanRefunds } from '../domain/reconciliation-findings.js';
import { GatewayUnknown, type LedgerCharge, type PaymentGateway, type PaymentLedger } from '../gateways/payments.js';
import { judge, type Verdict } from './verdicts.js';

/**
 * Orphans refunded per hour without a human. A healthy system has none. Many mean that this is not the database that made
 * these charges: a backup, an empty one, another environment's key; giving all that money back would be the disaster.
 */
export const ORPHAN_REFUNDS_PER_HOUR_MAX = 20;

export type SettlementDependencies = {
  db: Database;
  gateway: PaymentGateway & PaymentLedger;
  logger: Logger;
};
export type Outcome = 'agreed' | 'waiting' | 'wake' | 'refunded' | 'cancelled' | 'reported' | 'known';

type ChargeName = Pick<LedgerCharge, 'reference'> & { orderId: string };

/** @returns what has become of the charge; `known` = found and dealt with before */
export async function settle(deps: SettlementDependencies, named: ChargeName, now: Date): Promise<Outcome> {
  const { charge, verdict } = await lookAgain(deps, named, now);
  const subject = { ...named, ...(charge ? moneyOf(charge) : { amount: 0, currency: '' }) };
  switch (verdict.do) {
    case 'nothing':
      await conclude(deps, charge, subject);
      return 'agreed';
    case 'wait':
      await openFinding(deps.db, 'UNDECIDED', 'waiting', subject);
      return verdict.wake ? 'wake' : 'waiting';
    case 'report':
      return report(deps, verdict.kind, subject, verdict.detail);
    case 'refund':
      return refund(deps, verdict.kind, subject);
    case 'call-off':
      return callOff(deps, verdict.kind, subject);
    default:
      throw new Error(`Bug! Unhandled verdict "${JSON.stringify(verdict satisfies never)}"`);
  }
}

/**
 * The charge as it is now, between two looks at its order. Only what both looks support is a verdict: a saga may be giving
 * the money back at this moment, and its record comes after the gateway's.
 */
async function lookAgain({ db, gateway }: SettlementDependencies, { reference, orderId }: ChargeName, now: Date) {
  const orderNow = async () => (await readOrdersMoney(db, [orderId])).get(orderId.toLowerCase());
  const before = await orderNow();
  const charge = await gateway.readCharge(reference);
  if (!charge) return { charge, verdict: { do: 'nothing' } satisfies Verdict };
  const early = judge(charge, before, now);
  const verdict = judge(charge, await orderNow(), now);
  const isSure = early.do === verdict.do && kindOf(early) === kindOf(verdict);
  return { charge, verdict: isSure ? verdict : ({ do: 'wait', wake: false } satisfies Verdict) };
}

const kindOf = (verdict: Verdict): FindingKind | undefined => ('kind' in verdict ? verdict.kind : undefined);

export const moneyOf = ({ received, refunded, currency }: LedgerCharge) => ({ amount: received - refunded, currency });

/** Whatever was begun about the charge: its end was not kept, or it is no longer called for. */
async function conclude({ db, gateway }: SettlementDependencies, charge: LedgerCharge | null, subject: Subject) {
  const { reference, orderId } = subject;
  for (const { kind, action } of await listInHand(db, reference)) {
    if (action === 'refunding' && charge?.state === 'succeeded' && subject.amount === 0) {
      // Under the key of then, the gateway answers with the refund of then.
      const made = await gateway.refund(orderId, reference, refundKey(orderId, reference));
      await closeFinding(db, kind, 'refunded', subject, made);
    } else if (action === 'cancelling' && charge?.state === 'over') {
      await closeFinding(db, kind, 'cancelled', subject, null);
    } else {
      await dropFinding(db, kind, reference);
    }
  }
}

/** For a human. Said once. */
export async function report(
  { db, logger }: Pick<SettlementDependencies, 'db' | 'logger'>,
  kind: FindingKind,
  subject: Subject,
  detail: string,
): Promise<Outcome> {
  const { isNew } = await openFinding(db, kind, 'reported', subject, detail);
  if (!isNew) return 'known';
  logger.error({ kind, orderId: subject.orderId, charge: subject.reference }, 'reconciliation: for a human to decide');
  return 'reported';
}

async function refund(deps: SettlementDependencies, kind: FindingKind, subject: Subject): Promise<Outcome> {
  const { db, gateway, logger } = deps;
  const { orderId, reference } = subject;
  const isBraked = kind === 'ORPHAN_CHARGE' && (await countOrphanRefunds(db)) >= ORPHAN_REFUNDS_PER_HOUR_MAX;
  if (isBraked) return report(deps, kind, subject, TOO_MANY_ORPHANS);
  if (kind === 'DOUBLE_CHARGE' && !(await isPaidOtherwise(deps, orderId)))
    return report(deps, kind, subject, NOT_SURPLUS);
  const { action } = await openFinding(db, kind, 'refunding', subject);
  if (action === 'refunded') return escalate(deps, kind, subject);
  if (action !== 'refunding') return 'known';
  const made = await attempt(deps, kind, reference, () =>
    gateway.refund(orderId, reference, refundKey(orderId, reference)),
  );
  // Once lost, it may be lost again: the gateway repeats its first answer to the same key, whatever its ledger says.
  const after = kind === 'LOST_REFUND' ? await gateway.readCharge(reference) : null;
  if (after && moneyOf(after).amount > 0) return escalate(deps, kind, subject);
  await closeFinding(db, kind, 'refunded', subject, made);
  logger.warn({ kind, orderId, charge: reference, refund: made }, 'reconciliation: money given back');
  return 'refunded';
}

async function escalate({ db, logger }: SettlementDependencies, kind: FindingKind, subject: Subject): Promise<Outcome> {
  const { orderId, reference } = subject;
  const detail = 'The gateway says that it is refunded, and holds the money all the same';
  if (!(await escalateFinding(db, kind, reference, detail))) return 'known';
  logger.error({ kind, orderId, charge: reference }, `reconciliation: ${detail}`);
  return 'reported';
}

/** Whether the charge on record does hold the order's money; else the "surplus" may be all that the order was paid with. */
async function isPaidOtherwise({ db, gateway }: SettlementDependencies, orderId: string): Promise<boolean> {
  const order = (await readOrdersMoney(db, [orderId])).get(orderId.toLowerCase());
  if (!order || order.total === 0) return true;
  const recorded = order.gatewayReference === null ? null : await gateway.readCharge(order.gatewayReference);
  return recorded !== null && moneyOf(recorded).amount >= order.total;
}
const NOT_SURPLUS = 'The order has another charge on record, but the gateway does not hold its money';

const TOO_MANY_ORPHANS =
  'too many charges without an order for a machine to refund: is this the database that made them?';

async function callOff(deps: SettlementDependencies, kind: FindingKind, subject: Subject): Promise<Outcome> {
  const { db, gateway, logger } = deps;
  const { action } = await openFinding(db, kind, 'cancelling', subject);
  if (action !== 'cancelling') return 'known';
  await attempt(deps, kind, subject.reference, () => gateway.callOff(subject.reference));
  await closeFinding(db, kind, 'cancelled', subject, null);
  logger.info({ kind, orderId: subject.orderId, charge: subject.reference }, 'reconciliation: open charge called off');
  return 'cancelled';
}

/** What the gateway refuses stays in hand with its reason, and is told when the reason is new. */
async function attempt<T>(
  { db, logger }: SettlementDependencies,
  kind: FindingKind,
  reference: string,
  act: () => Promise<T>,
): Promise<T> {
  try {
    return await act();
  } catch (err) {
    const why = err instanceof Error ? err.message : String(err);
    const isNews = await noteFailure(db, kind, reference, why);
    if (isNews && err instanceof GatewayUnknown)
      logger.warn({ kind, charge: reference, err: why }, 'reconciliation: cannot settle it yet');
    throw err;
  }
}
