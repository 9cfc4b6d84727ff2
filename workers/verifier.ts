/**
 * The verifier: holds what production does against the invariants, all the time, by what Postgres, the gateway and Temporal say. It only
 * reads. Any number of processes may run it; a lease has one of them do the work, slowly, and show what it has found.
 *
 * What is new is looked at every minute or so, and all of the last day now and then, since a row may be spoilt later. What was found
 * wrong is looked at again every minute as well, so that what was mended does not go on raising an alarm; and while something is wrong
 * all is looked at again and again, since more may be.
 */
import { randomUUID } from 'node:crypto';
import type { Client } from '@temporalio/client';
import type { Logger } from 'pino';
import { keepInvariantFigures } from '../domain/invariant-figures.js';
import { giveUpLease, takeLease } from '../domain/leases.js';
import { beginMark, reachNow } from '../domain/progress-marks.js';
import type { DatabaseClient } from '../runtime/database.js';
import { type Loop, startLoop } from '../runtime/loop.js';
import type { Finding, InvariantName } from '../verification/invariants.js';
import type { Sources } from '../verification/parts/part.js';
import { type PassOptions, VERIFIED, type Verified, verify } from '../verification/pass.js';
import type { GatewayLists } from '../verification/sources/gateway.js';
import {
  countRows,
  hideUnless,
  hideVerification,
  joined,
  showPassed,
  showWrong,
  type Wrong,
  wrongOf,
} from './verification-metrics.js';
import { questionsAbout, without } from './suspects.js';

const LEASE = 'verifier';
/** Longer than a page and the rest after it, the slowest page included: stock, in one snapshot. */
const LEASE_MS = 120_000;
const RENEW_AFTER_MS = 20_000;
/** What has changed within it is looked at the next time. */
const GRACE_MS = 60_000;
/** New is what was accepted since the last round, and so long before: an order without trouble is final by then, and quiet. */
const OVERLAP_MS = 2 * 60_000;
/** After each page it rests for so many times as long as the page took: a fifth of one connection, at most. */
const REST = 4;
/** They read everything that there is, or find what only a restore makes. */
const OF_ALL_ONLY: readonly InvariantName[] = [
  'I2 stock is conserved',
  'I5 sagas are of orders',
  'I7 what was answered is there',
];
const STANDSTILL: InvariantName = 'I14 nothing is stuck unseen';
const NO_LIMIT = { unmarked: Number.POSITIVE_INFINITY, inAll: Number.POSITIVE_INFINITY };
const OF_NEW = VERIFIED.filter((name) => !OF_ALL_ONLY.includes(name));

export type VerifierSettings = Pick<PassOptions, 'openAtMostMs' | 'graceMs'> & {
  rest: number;
  againAfterMs?: number;
  db: DatabaseClient;
  gateway: GatewayLists;
  /** @returns undefined as long as Temporal has never answered */
  client: () => Client | undefined;
  everyMs: number;
  allEveryMs: number;
  spanMs: number;
  pageSize: number;
  logger: Logger;
};
export const VERIFIER_DEFAULTS = { graceMs: GRACE_MS, rest: REST };

type State = {
  owner: string;
  /** Since when it has held the lease without a break; by `performance.now()`. */
  renewedAtMs: number;
  stopping: AbortController;
  /** Since when this process is up, and Temporal answers it: sagas that stood still before have had no time yet to say so. */
  ableSinceMs: number;
  /** What is wrong, as far as is known. */
  wrong: Wrong;
  /** What was wrong at any look since the last pass over all: it may have been amid being mended when it was found to be right. */
  suspects: Wrong;
};

/** @returns how to stop it: the page that is being read is finished first */
export function startVerifier(settings: VerifierSettings): () => Promise<void> {
  const { db, everyMs, allEveryMs, spanMs, logger } = settings;
  const state: State = {
    owner: randomUUID(),
    renewedAtMs: Number.NEGATIVE_INFINITY,
    stopping: new AbortController(),
    ableSinceMs: performance.now(),
    wrong: new Map(),
    suspects: new Map(),
  };
  hideUnless(() => isHeld(state));
  let newSince = Date.now();
  let allDueAtMs = 0;
  const options = { everyMs, backoffMaxMs: 4 * everyMs, logger };
  const ofNew = startLoop({ name: 'verification of what is new', ...options }, async () => {
    if (!(await renew(settings, state))) return false;
    const beganAt = Date.now();
    const verified = await lookAt(settings, state, { since: new Date(newSince - OVERLAP_MS), invariants: OF_NEW });
    if (verified.failures.length === 0) newSince = beganAt;
    await lookAgain(settings, state);
    await finish(settings, state, 'new', verified);
    return false;
  });
  const ofAll = startLoop({ name: 'verification', ...options }, async () => {
    const isDue = performance.now() >= allDueAtMs || isAnyWrong(state.wrong);
    if (!isDue || !(await renew(settings, state))) return false;
    const verified = await lookAt(settings, state, { since: new Date(Date.now() - spanMs) });
    state.suspects = state.wrong;
    allDueAtMs = performance.now() + allEveryMs;
    await finish(settings, state, 'all', verified);
    return false;
  });
  return async () => {
    state.stopping.abort();
    await Promise.all([ofNew, ofAll].map((loop: Loop) => loop.stop()));
    hideVerification();
    await giveUpLease(db, LEASE, state.owner).catch((err: unknown) =>
      logger.debug({ err }, 'the lease runs out by itself'),
    );
  };
}

const isAnyWrong = (wrong: Wrong): boolean => [...wrong.values()].some((says) => says.size > 0);
const isHeld = ({ renewedAtMs }: State): boolean => performance.now() - renewedAtMs < LEASE_MS;

/** What workers and Temporal were away for is theirs: a saga may take all of its time once more when they are back. */
const isAble = ({ ableSinceMs }: State, forMs: number): boolean => performance.now() - ableSinceMs > forMs;

/** @returns whether this process is the one that verifies */
async function renew({ db }: VerifierSettings, state: State): Promise<boolean> {
  const askedAtMs = performance.now();
  const isTaken = await takeLease(db, LEASE, { owner: state.owner, leaseMs: LEASE_MS });
  if (!isTaken) hideVerification();
  else if (!isHeld(state))
    for (const pass of ['new', 'all'] as const) showPassed(pass, await beginMark(db, `verified-${pass}`));
  state.renewedAtMs = isTaken ? askedAtMs : Number.NEGATIVE_INFINITY;
  return isTaken;
}

async function lookAt(
  settings: VerifierSettings,
  state: State,
  which: Pick<PassOptions, 'since' | 'invariants'>,
): Promise<Verified> {
  const onPage = (page: readonly Finding[]) => {
    countRows(page);
    note(state, wrongOf(page));
    if (performance.now() - state.renewedAtMs < RENEW_AFTER_MS) return;
    renew(settings, state).catch((err: unknown) =>
      settings.logger.debug({ err }, 'the lease of the verifier is not renewed'),
    );
  };
  const verified = await verify(sourcesOf(settings), { ...optionsOf(settings, state), onPage, ...which });
  // What there was nothing to look at for is not wrong either.
  note(state, wrongOf(verified.findings));
  if (verified.failures.some(({ invariants }) => invariants.includes(STANDSTILL)))
    state.ableSinceMs = performance.now();
  return verified;
}

function note(state: State, found: Wrong): void {
  state.wrong = joined(state.wrong, found);
  state.suspects = joined(state.suspects, found);
  if (isHeld(state)) showWrong(state.wrong);
}

/** What has been found wrong, by itself. */
async function lookAgain(settings: VerifierSettings, state: State): Promise<void> {
  // What has just changed as well: it may have been mended.
  const options = { ...optionsOf(settings, state), graceMs: 0 };
  for (const { invariants, ids } of questionsAbout(state.suspects)) {
    const { findings, failures } = await verify(sourcesOf(settings), { ...options, invariants, ...(ids && { ids }) });
    // What could not be looked at stays as it was known.
    const failed = new Set(failures.flatMap((one) => one.invariants));
    const answered = invariants.filter((name) => !failed.has(name));
    state.wrong = joined(without(state.wrong, answered, ids && new Set(ids)), wrongOf(findings));
    if (isHeld(state)) showWrong(state.wrong);
  }
}

const sourcesOf = ({ db, gateway, client }: VerifierSettings): Sources => ({
  db,
  gateway,
  temporal: client() ?? { why: AWAY, cause: new Error(AWAY) },
});

const optionsOf = (settings: VerifierSettings, state: State): PassOptions => ({
  graceMs: settings.graceMs,
  openAtMostMs: isAble(state, settings.openAtMostMs.unmarked) ? settings.openAtMostMs : NO_LIMIT,
  pageSize: settings.pageSize,
  rest: settings.rest,
  ...(settings.againAfterMs !== undefined && { againAfterMs: settings.againAfterMs }),
  results: 'listed',
  stopping: state.stopping.signal,
});
const AWAY = 'Temporal has never answered this process';

/** A pass whose process has lost the lease meanwhile says nothing: another one does. */
async function finish(
  { db, logger }: VerifierSettings,
  state: State,
  pass: 'new' | 'all',
  { findings, failures }: Verified,
): Promise<void> {
  for (const { invariants, cause } of failures) logger.warn({ err: cause, invariants }, 'what could not be verified');
  if (!isHeld(state) || state.stopping.signal.aborted) return;
  await keepInvariantFigures(db, new Map([...state.wrong].map(([invariant, says]) => [invariant, says.size])));
  for (const { invariant, violations } of findings)
    if (violations.length > 0)
      logger.error({ invariant, violations: violations.slice(0, LOGGED_MAX) }, 'an invariant is violated');
  if (failures.length > 0) return;
  showPassed(pass, new Date());
  await reachNow(db, `verified-${pass}`);
}
/** The rest is shown by `ops verify`. */
const LOGGED_MAX = 10;
