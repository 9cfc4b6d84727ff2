/**
 * The eraser: carries out erasures, in batches, each of which is a transaction that can be done again. Any number of processes may run
 * it; a lease has one of them do the work. What holds an erasure is looked at again every few seconds, for as long as it takes.
 */
import { randomUUID } from 'node:crypto';
import type { Logger } from 'pino';
import { HELD_ORDERS_MAX, type HeldOrder, type Stall } from '../contracts/erasures.js';
import type { AuditKeys } from '../domain/audit/signatures.js';
import { type IdentityKey, identityKeyOf } from '../domain/customers.js';
import { noteBelated } from '../domain/erasure/belated-notes.js';
import { completeErasure } from '../domain/erasure/completion.js';
import {
  adoptErasures,
  concludeErasure,
  countErased,
  type Erasure,
  listOpenErasures,
  markNoted,
  noteHolds,
  noteStall,
  readErasure,
} from '../domain/erasure/erasures.js';
import { findHolds, type Holds, listPendingRefunds } from '../domain/erasure/holds.js';
import { eraseOrders } from '../domain/erasure/parts.js';
import { entombKeys } from '../domain/erasure/tombstones.js';
import { giveUpLease, takeLease } from '../domain/leases.js';
import type { PaymentLedger } from '../gateways/payments.js';
import type { DatabaseClient } from '../runtime/database.js';
import { startLoop } from '../runtime/loop.js';
import { eraseAuditTrail } from './audit-eraser.js';

const LEASE = 'eraser';
/** Longer than a look and a batch; one that dies delays them by this much. */
const LEASE_MS = 20_000;
/** Erasures that are looked at in one round. */
const LOOKED_AT_MAX = 50;
/** Orders of a transaction: some 50 ms, for which each of them is locked. */
const BATCH_MAX = 100;
/** Charges that are asked of the gateway before the next page of them is read. */
const REFUNDS_MAX = 50;
/** Twice as long as a statement of ours lasts: what was begun before has ended, and what begins now sees what was committed. */
const SETTLE_MS = 10_000;

export type EraserSettings = {
  db: DatabaseClient;
  keys: AuditKeys;
  gateway: Pick<PaymentLedger, 'readRefunds'>;
  /** Those of the orders whose saga waits for an operator, as far as can be told. */
  listParked(orderIds: string[]): Promise<ReadonlySet<string>>;
  /** Writes to the erasure journal, and may be asked twice for the same; undefined = there is none. */
  note?: (note: { kind: 'requested' | 'done'; erasureId: string; customer: string }) => Promise<unknown>;
  everyMs: number;
  settleMs?: number;
  batchMax?: number;
  /** A test has the process die there. */
  pass?: (moment: EraserMoment, erasureId: string) => void;
  logger: Logger;
};

/** Between any two commits, and before each of them: where a death leaves something else behind. */
export const ERASER_MOMENTS = [
  'before-entombing',
  'before-beginning',
  'after-noting',
  'before-batch',
  'before-batch-commit',
  'before-audit-commit',
  'before-completion',
  'before-completion-commit',
  'after-completion',
  'after-noting-the-end',
] as const;
export type EraserMoment = (typeof ERASER_MOMENTS)[number];

export type EraserCounts = { waiting: number; done: number };

/** @returns how to stop it: the batch that is under way is finished first */
export function startEraser(settings: EraserSettings): () => Promise<void> {
  const { db, everyMs, logger } = settings;
  const owner = randomUUID();
  const stopping = new AbortController();
  const loop = startLoop({ name: 'eraser', everyMs, backoffMaxMs: 4 * everyMs, logger }, async () => {
    if (!(await takeLease(db, LEASE, { owner, leaseMs: LEASE_MS }))) return false;
    const { done } = await eraseOnce(settings, stopping.signal, () =>
      takeLease(db, LEASE, { owner, leaseMs: LEASE_MS }),
    );
    if (done > 0) logger.info({ done }, 'customers have been erased');
    return false;
  });
  return async () => {
    stopping.abort();
    await loop.stop();
    await giveUpLease(db, LEASE, owner).catch((err: unknown) => logger.debug({ err }, 'the lease runs out by itself'));
  };
}

/** Takes every open erasure as far as it goes now. One that fails keeps none of the others from its end. */
export async function eraseOnce(
  settings: EraserSettings,
  stopping: AbortSignal = new AbortController().signal,
  keepLease: () => Promise<boolean> = async () => true,
): Promise<EraserCounts> {
  const counts = { waiting: 0, done: 0 };
  const failures: unknown[] = [];
  const keep = (err: unknown): void => void failures.push(err);
  if (settings.note && !stopping.aborted) await noteBelated(settings.db, settings.note).catch(keep);
  await adoptErasures(settings.db);
  const open = await listOpenErasures(settings.db, LOOKED_AT_MAX);
  const identityKey = open.length === 0 ? undefined : await identityKeyOf(settings.db);
  for (const erasure of open) {
    if (stopping.aborted || !identityKey || !(await keepLease())) break;
    try {
      const isDone = await advance({ ...settings, identityKey, stopping, keepLease }, erasure);
      counts[isDone ? 'done' : 'waiting']++;
    } catch (err) {
      failures.push(err);
      await noteStall(settings.db, erasure.id, stallOf(err));
    }
  }
  if (failures.length > 0) throw failures[0];
  return counts;
}

/** By the error's name: what throws them are neighbours of several layers. */
const STALLED_BY: Partial<Record<string, Stall>> = {
  JournalAway: 'erasure-journal',
  JournalSpoilt: 'erasure-journal',
  GatewayUnknown: 'payment-gateway',
  KeyUnavailable: 'key-store',
  NotRecorded: 'audit-key',
};
const stallOf = (err: unknown): Stall => STALLED_BY[err instanceof Error ? err.name : ''] ?? 'other';

type Eraser = EraserSettings & {
  identityKey: IdentityKey;
  stopping: AbortSignal;
  keepLease: () => Promise<boolean>;
};

/** @returns whether it has come to its end */
async function advance(eraser: Eraser, erasure: Erasure): Promise<boolean> {
  const { id, reference, entombedForMs, state, erasedAt } = erasure;
  if (reference === null) throw new Error(`Bug! Erasure ${id} is of nobody, and open`);
  const { db, settleMs = SETTLE_MS, pass } = eraser;
  if (erasedAt !== null) return conclude(eraser, id, reference);
  if (entombedForMs === null) {
    pass?.('before-entombing', id);
    await entombKeys(db, id, reference);
  }
  if (state === 'waiting') {
    const holds = await findAllHolds(eraser, reference);
    // A request that carries one of the keys may have been looked at before there were tombstones.
    const isSettled = entombedForMs !== null && entombedForMs > settleMs;
    if (holds.count === 0 && !isSettled) return false;
    pass?.('before-beginning', id);
    await noteHolds(db, id, holds, eraser.note !== undefined);
    // Also while it waits, for weeks perhaps: a restore must not lose the request.
    await noteRequest(eraser, erasure, reference);
    if (holds.count > 0) return false;
  }
  await noteRequest(eraser, erasure, reference);
  return erase(eraser, id, reference);
}

/** Before anything is destroyed. Whoever has died before it could mark that notes it again. */
async function noteRequest({ db, note, pass }: Eraser, erasure: Erasure, customer: string): Promise<void> {
  if (!note || erasure.isNoted) return;
  await note({ kind: 'requested', erasureId: erasure.id, customer });
  pass?.('after-noting', erasure.id);
  await markNoted(db, erasure.id);
  erasure.isNoted = true;
}

async function erase(eraser: Eraser, id: string, reference: string): Promise<boolean> {
  const { db, keys, identityKey, stopping, settleMs = SETTLE_MS, batchMax = BATCH_MAX, pass, keepLease } = eraser;
  for (;;) {
    if (stopping.aborted || !(await keepLease())) return false;
    pass?.('before-batch', id);
    const last = await db.$transaction(async (tx) => {
      const erasure = await readErasure(tx, id);
      const place = erasure?.passPlace ?? null;
      const batch = await eraseOrders(tx, identityKey, reference, { place, limit: batchMax });
      if (batch.last !== null) await countErased(tx, id, batch.counts, batch.last);
      pass?.('before-batch-commit', id);
      return batch.last;
    });
    if (last === null) break;
  }
  const mayGoOn = async () => !stopping.aborted && (await keepLease());
  const onPage = () => pass?.('before-audit-commit', id);
  if (!(await eraseAuditTrail(db, { id, reference, identityKey }, { mayGoOn, onPage }))) return false;
  pass?.('before-completion', id);
  const completion = await db.$transaction(async (tx) => {
    const erasure = await readErasure(tx, id);
    if (erasure === null || erasure.erasedAt !== null) return 'erased';
    const outcome = await completeErasure(tx, keys, { ...erasure, reference }, settleMs);
    pass?.('before-completion-commit', id);
    return outcome;
  });
  if (completion === 'erased') return conclude(eraser, id, reference);
  // The next round waits for what holds it, or passes over all orders once more.
  await noteHolds(db, id, await findHolds(db, reference));
  return false;
}

async function conclude({ db, note, pass }: Eraser, id: string, customer: string): Promise<boolean> {
  pass?.('after-completion', id);
  await note?.({ kind: 'done', erasureId: id, customer });
  pass?.('after-noting-the-end', id);
  await concludeErasure(db, id);
  return true;
}

/** What Postgres says; and if that is nothing, refunds that the gateway has accepted and not carried out. */
async function findAllHolds(eraser: Eraser, reference: string): Promise<Holds> {
  const holds = await findHolds(eraser.db, reference);
  if (holds.count === 0) return findPendingRefunds(eraser, reference);
  const parked = await eraser
    .listParked(holds.held.map(({ orderId }) => orderId))
    .catch((): ReadonlySet<string> => new Set());
  const held = holds.held.map(
    (one): HeldOrder => (parked.has(one.orderId) ? { orderId: one.orderId, why: 'parked' } : one),
  );
  return { ...holds, held };
}

/** @throws GatewayUnknown if it does not answer: then the erasure waits for that */
async function findPendingRefunds({ db, gateway }: Eraser, reference: string): Promise<Holds> {
  const held: HeldOrder[] = [];
  for (let after: string | undefined; held.length < HELD_ORDERS_MAX; ) {
    const page = await listPendingRefunds(db, reference, REFUNDS_MAX, after);
    for (const { orderId, chargeReference } of page) {
      const refunds = await gateway.readRefunds(chargeReference);
      if (refunds.some(({ status }) => status === 'pending' || status === 'requires_action'))
        held.push({ orderId, why: 'refund-in-hand' });
    }
    after = page.at(-1)?.orderId;
    if (after === undefined) break;
  }
  return { held: held.slice(0, HELD_ORDERS_MAX), count: held.length };
}
