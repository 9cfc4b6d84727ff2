/**
 * The guard of the audit trail: notes its newest entry outside the database within seconds, and verifies every minute that what
 * was signed is still there. It seals audited calls by the day and removes old ones. The anchor does not move over a cut or a
 * replaced end: what was there when all was well is what an auditor needs.
 */
import type { Logger } from 'pino';
import { findFlawInActs } from '../domain/audit/act-verification.js';
import { beginChain } from '../domain/audit/acts.js';
import { findFlawInCalls } from '../domain/audit/call-verification.js';
import { purgeCalls, sealDay, sealTrail } from '../domain/audit/calls.js';
import { type Flaw, type Place, VERIFICATION_START } from '../domain/audit/flaws.js';
import type { AuditKeys } from '../domain/audit/signatures.js';
import { findFlawInTrail } from '../domain/audit/trail-verification.js';
import { type Anchor, findFlawAtEnd, readAnchor } from '../domain/audit/verification.js';
import type { Database } from '../domain/database.js';
import { readAnchorFile, writeAnchorFile } from '../runtime/audit-files.js';
import { startLoop } from '../runtime/loop.js';
import { auditAnchored, auditChecked, auditIntact, removed, showAudit } from './metrics.js';

/** So that an entry is anchored within 10 s, also if one look fails. */
const ANCHOR_EVERY_MS = 3_000;
const VERIFY_EVERY_MS = 60_000;
const TELL_LIMIT_MS = 3_000;
/**
 * Entries of each table that are verified in a minute, some 0.2 s of work: acts are few, and all of them are looked at each time;
 * calls of months take hours to come round.
 */
const PART_MAX = 10_000;

export type AuditGuard = {
  db: Database;
  keys: AuditKeys;
  /** undefined = the log is the only anchor. */
  anchorFile?: string | undefined;
  /** Is sent each anchor by POST, as JSON. */
  anchorUrl?: string | undefined;
  callsRetentionMs: number;
  logger: Logger;
};

/** What a guard remembers between two looks. */
export type GuardState = {
  /** undefined = nothing is anchored yet. */
  anchor: Anchor | undefined;
  place: Place;
  /** The chain has a first entry, and one that is signed with the key, if there is one. */
  isBegun?: true;
  /** The anchor that `anchorUrl` has taken last. */
  told?: Anchor;
  /** Found by this round of the verification, or by the one before. */
  flaw: Flaw | null;
};

/** @returns how to stop it */
export function startAuditGuard(
  guard: AuditGuard,
  { anchorEveryMs = ANCHOR_EVERY_MS, verifyEveryMs = VERIFY_EVERY_MS } = {},
): () => Promise<void> {
  const { logger } = guard;
  const state = openState(guard);
  const anchoring = startLoop(
    { name: 'audit anchor', everyMs: anchorEveryMs, backoffMaxMs: 2 * anchorEveryMs, logger },
    async () => {
      await anchorOnce(guard, state);
      return false;
    },
  );
  const verifying = startLoop(
    { name: 'audit verification', everyMs: verifyEveryMs, backoffMaxMs: verifyEveryMs, logger },
    async () => {
      await keepOnce(guard);
      await verifyOnce(guard, state);
      return false;
    },
  );
  return async () => {
    await Promise.all([anchoring.stop(), verifying.stop()]);
  };
}

export const openState = ({ anchorFile }: Pick<AuditGuard, 'anchorFile'>): GuardState => ({
  anchor: anchorFile === undefined ? undefined : readAnchorFile(anchorFile),
  place: structuredClone(VERIFICATION_START),
  flaw: null,
});

/** Moves the anchor to the newest entry, if what was anchored is there and what has come since was signed. */
export async function anchorOnce(guard: AuditGuard, state: GuardState): Promise<void> {
  const { db, keys, anchorFile, logger } = guard;
  const was = state.anchor;
  let now = await readAnchor(db);
  if (isSame(was, now) && state.isBegun) return tell(guard, state, now);
  const lost = was && (await findFlawAtEnd(db, was));
  if (lost) return report(guard, state, lost);
  if (!state.isBegun && (await beginChain(db, keys))) now = await readAnchor(db);
  state.isBegun = true;
  const place = { after: was?.id ?? 0, hash: was?.hash ?? null, atMs: 0, isKeyed: false };
  const { flaw } = await findFlawInActs(db, keys, place, Number.POSITIVE_INFINITY);
  if (flaw) return report(guard, state, flaw);
  if (!was && now.id > 1)
    logger.warn({ auditId: now.id }, 'the audit trail had no anchor: it is anchored from here on');
  if (anchorFile !== undefined) writeAnchorFile(anchorFile, { ...now, at: new Date().toISOString() });
  state.anchor = now;
  if (was?.id !== now.id) logger.info({ auditId: now.id, auditHash: now.hash }, 'the audit trail is anchored');
  await tell(guard, state, now);
}

const isSame = (a: Anchor | undefined, b: Anchor): boolean =>
  a?.id === b.id && a.hash === b.hash && a.calls === b.calls && a.callsHash === b.callsHash;

/** Tells it to whoever keeps it elsewhere, until that has taken it. */
async function tell({ anchorUrl }: AuditGuard, state: GuardState, anchor: Anchor): Promise<void> {
  if (anchorUrl !== undefined && !isSame(state.told, anchor)) {
    const response = await fetch(anchorUrl, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ ...anchor, at: new Date().toISOString() }),
      redirect: 'error',
      signal: AbortSignal.timeout(TELL_LIMIT_MS),
    });
    await response.body?.cancel();
    if (!response.ok) throw new Error(`AUDIT_ANCHOR_URL answers ${response.status}`);
    state.told = anchor;
  }
  auditAnchored.setToCurrentTime();
}

/** Looks at a part of each table. A flaw stands until a whole round has found none. */
export async function verifyOnce(guard: AuditGuard, state: GuardState, partMax = PART_MAX): Promise<void> {
  const { db, keys } = guard;
  const { place } = state;
  const acts = await findFlawInActs(db, keys, place.acts, partMax);
  const calls = await findFlawInCalls(db, keys, place.calls, partMax);
  const trail = await findFlawInTrail(db, place.trail, partMax);
  const end = state.anchor ? await findFlawAtEnd(db, state.anchor) : null;
  const flaw = acts.flaw ?? (end?.table === 'acts' ? end : null) ?? calls.flaw ?? end ?? trail.flaw;
  auditChecked.setToCurrentTime();
  if (acts.isAtEnd || acts.flaw) place.acts = structuredClone(VERIFICATION_START.acts);
  if (calls.isAtEnd || calls.flaw) place.calls = structuredClone(VERIFICATION_START.calls);
  if (trail.isAtEnd || trail.flaw) place.trail = structuredClone(VERIFICATION_START.trail);
  if (flaw) return report(guard, state, flaw);
  // Of the table in which it was, all has been looked at since.
  const part = state.flaw && { acts, calls, trail }[state.flaw.table];
  if (part && !part.isAtEnd) return;
  state.flaw = null;
  auditIntact.set(1);
  showAudit();
}

function report({ logger }: AuditGuard, state: GuardState, flaw: Flaw): void {
  auditIntact.set(0);
  showAudit();
  const { table, id, what, detail } = flaw;
  const isNew = state.flaw?.table !== table || state.flaw.id !== id || state.flaw.what !== what;
  if (isNew) logger.error({ table, id, what, detail }, 'the audit trail is not what was signed');
  state.flaw = flaw;
}

/** Seals what is due, and removes what is old. Several guards may do so: what one has done the others do not find. */
export async function keepOnce({ db, keys, callsRetentionMs, logger }: AuditGuard): Promise<void> {
  while (await sealDay(db, keys));
  await sealTrail(db, keys);
  for (let calls = 0; ; ) {
    calls = await purgeCalls(db, keys, callsRetentionMs);
    if (calls === 0) break;
    removed.inc({ what: 'audited-call' }, calls);
    logger.info({ calls }, 'retention has removed audited calls');
  }
}
