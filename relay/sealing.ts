/** Sealing of what stood plain before there was encryption, as a loop, in a process that has the keys (domain/sealing/passes). */
import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { Database } from '../domain/database.js';
import { giveUpLease, takeLease } from '../domain/leases.js';
import { clientIdOf } from '../domain/sealing/of-customers.js';
import { messageOf } from '../domain/sealing/of-orders.js';
import {
  advancePass,
  mayClientIdsBeSealed,
  nextPass,
  type Pass,
  type PassName,
  type PlainText,
  readPage,
  replaceTexts,
} from '../domain/sealing/passes.js';
import type { Sealing } from '../domain/sealing/port.js';
import { startLoop } from '../runtime/loop.js';
import { sealingOpen, textsSealed } from './metrics.js';

/** One batch of plain texts takes some 50 ms, and of texts that are sealed already 5. */
const BATCH_MAX = 1_000;
const LOOK_EVERY_MS = 10_000;
const LEASE = 'sealing';
const LEASE_MS = 30_000;
/** Of the time that a batch has taken: orders come first. */
const REST_SHARE = 2;

const PLACES: Record<PassName, (text: PlainText) => Parameters<Sealing['seal']>[1]> = {
  customers: ({ id }) => clientIdOf(id),
  orders: ({ id, held }) => messageOf(id, held),
};

/** One batch of the pass that is due. @returns undefined if none is. @throws KeyUnavailable: nothing was done, and it is repeated */
export async function sealOnce(
  db: Database,
  sealing: Sealing,
  batchMax = BATCH_MAX,
): Promise<{ what: PassName; sealed: number } | undefined> {
  const pass = await nextPass(db);
  if (!pass) return undefined;
  return { what: pass.name, sealed: await sealBatch(db, sealing, pass, batchMax) };
}

async function sealBatch(db: Database, sealing: Sealing, pass: Pass, batchMax: number): Promise<number> {
  const { last, looked, plain } = await readPage(db, pass, batchMax);
  const texts = await Promise.all(
    plain.map(async (text) => {
      const place = PLACES[pass.name](text);
      return { id: text.id, text: text.text, sealed: await sealing.seal(await sealing.open(text.text, place), place) };
    }),
  );
  const replaced = texts.length === 0 ? 0 : await replaceTexts(db, pass.name, texts);
  await advancePass(db, pass, { place: last, looked, sealed: replaced });
  return replaced;
}

/** @returns how to stop it; undefined where nothing is sealed */
export function startSealing(db: Database, logger: Logger): (() => Promise<void>) | undefined {
  const { sealing } = db;
  if (!sealing?.isOn) return undefined;
  const owner = randomUUID();
  const stopping = new AbortController();
  let isSaid = false;
  const loop = startLoop({ name: LEASE, everyMs: LOOK_EVERY_MS, backoffMaxMs: LOOK_EVERY_MS, logger }, async () => {
    const may = await mayClientIdsBeSealed(db);
    if (!may && !isSaid) logger.warn(DUE);
    isSaid = true;
    if (!may || !(await takeLease(db, LEASE, { owner, leaseMs: LEASE_MS }))) return false;
    const beganAt = performance.now();
    const done = await sealOnce(db, sealing);
    sealingOpen.set(done ? 1 : 0);
    if (!done) return false;
    if (done.sealed > 0) {
      textsSealed.inc({ what: done.what }, done.sealed);
      logger.info(done, 'texts of before there was encryption have been sealed');
    }
    const restMs = REST_SHARE * (performance.now() - beganAt);
    await pause(restMs, undefined, { signal: stopping.signal }).catch(() => undefined);
    return true;
  });
  return async () => {
    stopping.abort();
    await loop.stop();
    await giveUpLease(db, LEASE, owner).catch((err: unknown) => logger.debug({ err }, 'the lease runs out by itself'));
  };
}
const DUE =
  'clients’ ids are stored as they are, though KEY_ENCRYPTION is on: once every process has it, and none of the release before runs: ops keys seal --begin';
