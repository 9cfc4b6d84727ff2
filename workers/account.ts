/**
 * Looks whether this database is the one that last spoke for the installation on the gateway's account, and speaks for it.
 * Every process that moves money looks; a word a minute is told by whichever comes first.
 */
import { randomUUID } from 'node:crypto';
import type { Logger } from 'pino';
import type { Database } from '../domain/database.js';
import {
  holdAccount,
  keepMarker,
  keepWord,
  offerWord,
  readCluster,
  readStanding,
  releaseAccount,
  type Standing,
} from '../domain/installation.js';
import { AccountHeld } from '../gateways/account-guard.js';
import { type AccountMarker, MarkerUnavailable } from '../gateways/payments.js';
import { startLoop } from '../runtime/loop.js';

/** A copy that somebody starts is held within this time; a look is one request. */
const LOOK_EVERY_MS = 20_000;
/** A backup that is older than this is recognised; younger, it may miss nothing that moved money. */
const SPEAK_EVERY_MS = 60_000;

export type Account = {
  /** @throws AccountHeld, or what kept the first look from an answer */
  ensureOurs: () => Promise<void>;
  stop: () => Promise<void>;
};

type Dependencies = { db: Database; marker: AccountMarker; logger: Logger };
type View = { heldBecause: string | null };

export function watchAccount(deps: Dependencies, everyMs = LOOK_EVERY_MS): Account {
  let view: View | undefined;
  let looking: Promise<View> | undefined;
  const look = (): Promise<View> => {
    looking ??= lookOnce(deps)
      .then((seen) => {
        view = seen;
        return seen;
      })
      .finally(() => {
        looking = undefined;
      });
    return looking;
  };
  const loop = startLoop({ name: 'account', everyMs, backoffMaxMs: everyMs, logger: deps.logger }, async () => {
    await look();
    return false;
  });
  return {
    ensureOurs: async () => {
      const { heldBecause } = view ?? (await look());
      if (heldBecause !== null) throw new AccountHeld(`No money is moved (${heldBecause}): see \`ops adopt\``);
    },
    stop: loop.stop,
  };
}

/** @returns how things stand at the account; a database that does not know its word is held from now on */
export async function lookOnce(deps: Dependencies): Promise<View> {
  const { db, logger } = deps;
  try {
    const [before, cluster] = [await readStanding(db), await readCluster(db)];
    if (before.marker === null) return await beginMarker(deps, before.id, cluster);
    let why = await stranger(deps, before.marker, cluster);
    // A word may have been told and noted between our two looks.
    if (why !== undefined) why = await stranger(deps, before.marker, cluster);
    const now = await readStanding(db);
    if (why !== undefined && now.word === '') return await takeOver(deps, now, cluster);
    if (why !== undefined && (await holdAccount(db, why))) logger.fatal({ why }, HELD);
    if (why !== undefined) return { heldBecause: now.heldBecause ?? why };
    // It was another account's key for a while, or the gateway's own trouble: what the marker says is what counts.
    if (now.heldSince !== null && (await releaseAccount(db))) logger.warn('the account knows this database again');
    await speak(deps, now);
    return { heldBecause: null };
  } catch (err) {
    if (!(err instanceof MarkerUnavailable)) throw err;
    logger.warn({ err: err.message }, 'a restored or copied database cannot be recognised');
    return { heldBecause: (await readStanding(db)).heldBecause }; // what is held already stays so
  }
}

const HELD = 'the payment gateway’s account does not know this database: no money is moved until `ops adopt`';

/** @returns what is wrong, or undefined if the marker says what this database knows */
async function stranger(
  { db, marker }: Dependencies,
  reference: string,
  cluster: string | null,
): Promise<string | undefined> {
  const says = await marker.readMarker(reference);
  if (says === null) return 'the account has no marker of this installation: is STRIPE_API_KEY another account’s?';
  const { word, offered, cluster: spokenFrom } = await readStanding(db);
  // Of two that know the same word, the one that was there first goes on.
  if (word !== '' && spokenFrom !== null && cluster !== null && spokenFrom !== cluster)
    return 'this database has come from another cluster: was it restored or copied?';
  if (says === word) return undefined;
  if (!offered.includes(says))
    return 'another database has spoken for this installation since: was this one restored or copied?';
  await keepWord(db, says, cluster);
  return undefined;
}

async function beginMarker(
  { db, marker, logger }: Dependencies,
  installationId: string,
  cluster: string | null,
): Promise<View> {
  const word = randomUUID();
  const reference = await marker.createMarker(installationId, word);
  if (await keepMarker(db, { marker: reference, word, cluster }))
    logger.info({ installationId, marker: reference }, 'marked the account');
  return { heldBecause: null };
}

/** After an adoption: the marker says what we say, or there is a new one. */
async function takeOver(
  deps: Dependencies,
  { id, marker: reference }: Standing,
  cluster: string | null,
): Promise<View> {
  if (reference === null || (await deps.marker.readMarker(reference)) === null) return beginMarker(deps, id, cluster);
  await tell(deps, reference);
  return { heldBecause: null };
}

async function speak(deps: Dependencies, { marker: reference }: Standing): Promise<void> {
  if (reference !== null) await tell(deps, reference);
}

/** Whoever sleeps between noting a word and telling it tells it no more: by then, others have told theirs. */
const TOLD_WITHIN_MS = 30_000;

async function tell({ db, marker }: Dependencies, reference: string): Promise<void> {
  const word = randomUUID();
  const from = performance.now();
  if (!(await offerWord(db, word, SPEAK_EVERY_MS)) || performance.now() - from > TOLD_WITHIN_MS) return;
  await marker.writeMarker(reference, word);
  await keepWord(db, word, await readCluster(db));
}
