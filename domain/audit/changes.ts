/** Operators' changes of what is in Postgres, as acts: the change, and the values that it had before and has after. */
import type { DeadLetterDecision } from '../../contracts/dead-letters.js';
import { type Acceptance, acceptOrder, type OrderToAccept } from '../acceptance.js';
import type { BrakeName } from '../../contracts/brakes.js';
import { type Brake, type Engaging, engageBrake, lockBrake, releaseBrake } from '../brakes.js';
import type { Database } from '../database.js';
import { decideDeadLetter } from '../dead-letters.js';
import { closeReported, type FindingClosure, refundReported } from '../finding-closures.js';
import type { KeyClaim } from '../kept-claims.js';
import { adoptAccount, readStanding, type Standing } from '../installation.js';
import { adjustStock, type ExpectedSku, lockSku, putSku, type Sku } from '../inventory.js';
import { type RequestedCancellation, requestCancellation, type Unwinding } from '../orders.js';
import type { Change, Values } from './acts.js';

type SkuEntry = Parameters<typeof putSku>[2];
export const entryOfSku = (
  sku: string,
  entry: SkuEntry,
  expected: ExpectedSku = 'anything',
): Change<Sku | null, Sku | null> => ({
  before: (tx) => lockSku(tx, sku),
  change: (tx) => putSku(tx, sku, entry, expected),
  effect: (after, before) => after && { resource: sku, status: 200, before: valuesOf(before), after: valuesOf(after) },
});
/**
 * Of no effect where fewer pieces are available than are to be removed.
 * @param keep is told of it in the same transaction
 */
export const adjustmentOfStock = (
  sku: string,
  { by, reason }: { by: number; reason: string },
  keep: (tx: Database, after: Sku) => Promise<void> = async () => undefined,
): Change<Sku | null, Sku | null> => ({
  before: (tx) => lockSku(tx, sku),
  change: async (tx) => {
    const after = await adjustStock(tx, sku, by);
    if (after) await keep(tx, after);
    return after;
  },
  effect: (after, before) =>
    after && { resource: sku, reason, before: valuesOf(before), after: { ...valuesOf(after), by } },
});
const valuesOf = (sku: Sku | null): Values | null => sku && { ...sku };

/** @param outside see acceptOrder */
export const placing = (
  toAccept: OrderToAccept,
  claim: (KeyClaim & { response: string }) | undefined,
  outside: Database,
): Change<Acceptance> => ({
  before: async () => null,
  change: (tx) => acceptOrder(tx, toAccept, claim, outside),
  effect: ({ outcome }) => {
    const { id, status, total } = toAccept.order;
    return outcome === 'accepted' ? { resource: id, status: 201, before: null, after: { status, total } } : null;
  },
});

/**
 * Of no effect on an order that was cancelled, or is being cancelled, before.
 * @param said the message itself, for the audit trail
 */
export const cancellation = (
  orderId: string,
  why: Unwinding,
  said: string | null,
): Change<RequestedCancellation, Values | null> => ({
  before: (tx) =>
    lockRow(tx.$queryRaw`
    SELECT status, unwinding_reason AS "unwindingReason" FROM orders WHERE id = ${orderId}::uuid FOR UPDATE`),
  change: (tx) => requestCancellation(tx, orderId, why),
  effect: ({ outcome, reason }, before) => {
    if (before?.['unwindingReason'] !== null) return null;
    const after = { status: before['status'], unwindingReason: reason, outcome };
    return { resource: orderId, reason: said, status: 202, before, after };
  },
});

export const decisionOnDeadLetter = (id: string, decision: DeadLetterDecision): Change<boolean, Values | null> => ({
  before: (tx) =>
    lockRow(tx.$queryRaw`
    SELECT destination, order_id AS "orderId", sequence, state FROM dead_letters WHERE id = ${id}::bigint FOR UPDATE`),
  change: (tx) => decideDeadLetter(tx, id, decision),
  effect: (isDecided, before) => {
    if (!isDecided) return null;
    const after = { ...before, state: decision.action === 'replay' ? 'REPLAYING' : 'DISCARDED' };
    return { resource: id, reason: decision.reason ?? null, before, after };
  },
});

export const closureOfFinding = (id: string, closure: FindingClosure): Change<boolean, Values | null> => ({
  before: (tx) => lockFinding(tx, id),
  change: (tx) => closeReported(tx, id, closure),
  effect: (isClosed, before) =>
    isClosed ? { resource: id, reason: closure.reason, before, after: { ...before, action: closure.as } } : null,
});

export const refundOfFinding = (id: string, signature: Omit<FindingClosure, 'as'>): Change<boolean, Values | null> => ({
  before: (tx) => lockFinding(tx, id),
  change: (tx) => refundReported(tx, id, signature),
  effect: (isTaken, before) =>
    isTaken ? { resource: id, reason: signature.reason, before, after: { ...before, action: 'refunding' } } : null,
});

const lockFinding = (tx: Database, id: string) =>
  lockRow(tx.$queryRaw`
    SELECT kind, gateway_reference AS charge, order_id AS "orderId", amount::float8 AS amount, currency, action
    FROM reconciliation_findings WHERE id = ${id}::bigint FOR UPDATE`);

export const adoption = (signature: { operator: string; reason: string }): Change<boolean, Standing> => ({
  before: (tx) => readStanding(tx),
  change: (tx) => adoptAccount(tx, signature),
  effect: (isAdopted, { id, heldSince, heldBecause }) =>
    isAdopted
      ? {
          resource: id,
          reason: signature.reason,
          before: { heldSince: heldSince?.toISOString() ?? null, heldBecause },
          after: { heldSince: null, heldBecause: null },
        }
      : null,
});

export const brakeEngaged = (engaging: Engaging): Change<Brake, Brake | null> => ({
  before: (tx) => lockBrake(tx, engaging.brake),
  change: (tx) => engageBrake(tx, engaging),
  effect: (after, before) => ({
    resource: engaging.brake,
    reason: engaging.reason,
    status: 200,
    before: valuesOfBrake(before),
    after: valuesOfBrake(after),
  }),
});

/** Of no effect on one that is not engaged. */
export const brakeReleased = (word: {
  brake: BrakeName;
  operator: string;
  reason: string;
}): Change<boolean, Brake | null> => ({
  before: (tx) => lockBrake(tx, word.brake),
  change: (tx) => releaseBrake(tx, word),
  effect: (isReleased, before) =>
    isReleased
      ? {
          resource: word.brake,
          reason: word.reason,
          status: 200,
          before: valuesOfBrake(before),
          after: { engaged: false },
        }
      : null,
});

function valuesOfBrake(brake: Brake | null): Values {
  if (brake === null) return { engaged: false };
  const { since, message, retryAfterS, limits } = brake;
  return { engaged: true, since: since.toISOString(), message, retryAfterS, limits };
}

async function lockRow(rows: Promise<Values[]>): Promise<Values | null> {
  return (await rows)[0] ?? null;
}
