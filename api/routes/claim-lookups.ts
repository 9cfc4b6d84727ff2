/**
 * Look-ups of what the gateway's events claim: those that come within a short time share one statement. An event is answered when
 * it has been looked up, not before: the gateway sends one again that was not answered, so none is lost in silence, whether the
 * database or this process goes away. What waits here are requests that are open, whose number is limited (load/shedding).
 */
import type { Database } from '../../domain/database.js';
import { type PaymentClaim, readNews, requestReconciliation } from '../../domain/reconciliation-findings.js';

/** @returns when it has been looked up; rejects if it could not be */
export type LookUpClaim = (eventId: string, claim: PaymentClaim) => Promise<void>;

/** Nothing waits for an event's answer but its sender, which has some connections and waits for seconds. */
const LINGER_MS = 50;
/** Of one statement. */
const BATCH_MAX = 500;

type Waiting = { claim: PaymentClaim; resolve: () => void; reject: (err: unknown) => void };

export function createClaimLookups(db: Database): LookUpClaim {
  const waiting: Waiting[] = [];
  /** By event: one that is repeated meanwhile is looked up once. */
  const underWay = new Map<string, Promise<void>>();
  let isAtWork = false;

  const lookUpOnce = async () => {
    const batch = waiting.splice(0, BATCH_MAX);
    try {
      const orderIds = await readNews(
        db,
        batch.map(({ claim }) => claim),
      );
      if (orderIds.length > 0) await requestReconciliation(db, ...orderIds);
      for (const { resolve } of batch) resolve();
    } catch (err) {
      for (const { reject } of batch) reject(err);
    }
    isAtWork = false;
    schedule();
  };
  const schedule = () => {
    if (isAtWork || waiting.length === 0) return;
    isAtWork = true;
    setTimeout(() => void lookUpOnce(), LINGER_MS);
  };

  return (eventId, claim) => {
    const known = underWay.get(eventId);
    if (known) return known;
    const lookedUp = new Promise<void>((resolve, reject) => waiting.push({ claim, resolve, reject })).finally(() =>
      underWay.delete(eventId),
    );
    underWay.set(eventId, lookedUp);
    schedule();
    return lookedUp;
  };
}
