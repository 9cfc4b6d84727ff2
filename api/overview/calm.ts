/**
 * Since when it is calm, from what has happened: most trouble leaves in Postgres when it ended. A neighbour that was away leaves nothing there; of
 * that it is noted when somebody last saw it, by whichever process.
 */
import type { Logger } from 'pino';
import type { Database } from '../../domain/database.js';
import { readTroubleEnd } from '../../domain/neighbour-signs.js';
import { reachNow, readMark } from '../../domain/progress-marks.js';
import type { Cause, CauseKind } from './cause.js';

/** Whose end Postgres tells by itself. Of sagas it does so only of those that had parked. */
const LEAVE_THEIR_END: ReadonlySet<CauseKind> = new Set(['dead-letters', 'findings', 'brake', 'account']);

/** How often it is noted, while something is wrong, that it is; and how old what is known of the end of trouble may be. */
const LOOK_EVERY_MS = 20_000;

export type Calm = { isCalm: boolean; since: string | null };

/** @returns what tells, of each look, whether it is calm. `isKnown`: Postgres and Temporal have answered it */
export function createCalm(
  db: Database,
  logger: Logger,
): (causes: readonly Cause[], isKnown: boolean) => Promise<Calm> {
  let ended: Date | null = null;
  let seenAt: Date | null = null;
  let lookedAtMs = Number.NEGATIVE_INFINITY;
  let wasCalm = false;
  /** Whether the trouble of the last looks was such as leaves no end in Postgres. */
  let wasUnmarked = false;
  const look = async () => {
    ended = latest(await readTroubleEnd(db), await readMark(db, 'trouble-seen'));
  };
  return async (causes, isKnown) => {
    const isCalm = causes.length === 0 && isKnown;
    const isUnmarked = causes.some(({ kind }) => !LEAVE_THEIR_END.has(kind));
    const isOver = isCalm && !wasCalm;
    // It went on after the last look at it, until now at most; and now Postgres may take again what it did not while it lasted.
    const hasEndedNow = isOver && wasUnmarked;
    if (isUnmarked || hasEndedNow) seenAt = new Date();
    const isDue = performance.now() - lookedAtMs > LOOK_EVERY_MS;
    wasCalm = isCalm;
    wasUnmarked = isUnmarked || (wasUnmarked && !isCalm);
    if (isDue || isOver) {
      const mark = () => reachNow(db, 'trouble-seen');
      const looking = isUnmarked ? mark() : hasEndedNow ? mark().then(look) : isCalm ? look() : undefined;
      if (looking) lookedAtMs = performance.now();
      await looking?.catch((err: unknown) =>
        logger.warn({ err }, 'the end of the last trouble cannot be read, or noted'),
      );
    }
    return { isCalm, since: isCalm ? (latest(ended, seenAt)?.toISOString() ?? null) : null };
  };
}

const latest = (a: Date | null, b: Date | null): Date | null => (a && b ? (a > b ? a : b) : (a ?? b));
