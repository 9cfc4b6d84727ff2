/** Replacement, as a loop: once references have begun, what is older gets them; and that they are due to begin is said at the start. */
import { randomUUID } from 'node:crypto';
import type { Logger } from 'pino';
import { identityKeyOf } from '../domain/customers.js';
import type { Database } from '../domain/database.js';
import { takeLease } from '../domain/leases.js';
import { readStage } from '../domain/pseudonyms.js';
import { PASS_START, type PassPlace, replaceBatch } from '../domain/replacement.js';
import { startLoop } from '../runtime/loop.js';

/** A batch of orders that all get references takes some 50 ms. */
const BATCH_MAX = 200;
const EVERY_MS = 5_000;
const LEASE_MS = 30_000;

/** @returns how to stop it */
export function startReplacement(db: Database, logger: Logger): () => Promise<void> {
  const owner = randomUUID();
  let place: PassPlace | undefined = PASS_START;
  let [isComplete, isSaid] = [false, false];
  const loop = startLoop({ name: 'replacement', everyMs: EVERY_MS, backoffMaxMs: EVERY_MS, logger }, async () => {
    if (isComplete) return false;
    const stage = await readStage(db);
    isComplete = stage === 'complete';
    if (stage === 'plain' && !isSaid)
      logger.warn(
        'orders hold clients’ ids: once no process of the release before runs, begin references: ops pseudonyms --begin',
      );
    isSaid = true;
    if (stage !== 'begun' || !(await takeLease(db, 'replacement', { owner, leaseMs: LEASE_MS }))) return false;
    const done = await replaceBatch(db, await identityKeyOf(db), place ?? PASS_START, BATCH_MAX);
    if (done.replaced > 0) logger.info({ replaced: done.replaced }, 'clients’ ids have been replaced by references');
    place = done.place;
    return place !== undefined;
  });
  return () => loop.stop();
}
