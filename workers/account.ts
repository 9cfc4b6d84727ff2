/**
 * Looks whether this database is the one that last spoke for the installation on the gateway's account, and speaks for it.
 * Every process that moves money looks; once a minute, the first of them to come writes a new word to the marker.
 */
import { randomUUID } from 'node:crypto';
import type { Logger } from 'pino';
import type { Database } from '../domain/database.js';
import {
  holdAccount,
  keepMarker,
  keepWord,
  moveMarker,
  offerFirstWord,
  offerWord,
  readCluster,
  readStanding,
  readWordAgeMs,
  releaseAccount,
  type Standing,
} from '../domain/installation.js';
import { AccountHeld } from '../gateways/account-guard.js';
import { type AccountMarker, GatewayUnknown, type MarkerText, MarkerUnavailable } from '../gateways/payments.js';
import { startLoop } from '../runtime/loop.js';

/** A copy that is started is held within this time; a look is one request. */
const LOOK_EVERY_MS = 20_000;
/** A backup that is older than this is recognised; younger, it may miss nothing that moved money. */
const SPEAK_EVERY_MS = 60_000;
/**
 * Where the database's server is not the one that wrote the last word: it was restarted, or is a copy of the data directory.
 * If that one is still there, it has written another by now: it is due again after a minute, a look and slow requests.
 */
const SPEAK_ELSEWHERE_AFTER_MS = 3 * SPEAK_EVERY_MS;
/**
 * A process that starts while the marker cannot be read goes on for this long after the word was last written from its very
 * server. Long enough for a deploy amid an outage of that one endpoint; what happens meanwhile can only be an adoption
 * elsewhere, and the operator who adopts has stopped this database first.
 */
const BELIEVED_FOR_MS = 10 * 60_000;

/** `believed`: by our own word of a moment ago, as the marker cannot be read; `unknown`: not even that, and no money moves. */
export type AccountState = 'ours' | 'believed' | 'held' | 'unknown';

export type Account = {
  /** @throws AccountHeld, or what kept the first look from an answer */
  ensureOurs: () => Promise<void>;
  state: () => AccountState;
  stop: () => Promise<void>;
};

type Dependencies = { db: Database; marker: AccountMarker; logger: Logger };
type View = {
  heldBecause: string | null;
  /** Nothing has been seen: until when it counts all the same, by performance.now(). */
  believedUntilMs?: number;
};

export function watchAccount(deps: Dependencies, everyMs = LOOK_EVERY_MS): Account {
  let view: View | undefined;
  let looking: Promise<View> | undefined;
  const look = (): Promise<View> => {
    looking ??= lookOnce(deps)
      .catch(async (err: unknown) => {
        if (!(err instanceof GatewayUnknown) || (await outlasts(deps.db, view))) throw err;
        const believed = await believe(deps, err, view);
        if (believed) return believed;
        view = undefined;
        throw err;
      })
      .then((seen) => {
        view = seen;
        return seen;
      })
      .finally(() => {
        looking = undefined;
      });
    return looking;
  };
  const counts = (): View | undefined =>
    performance.now() < (view?.believedUntilMs ?? Number.POSITIVE_INFINITY) ? view : undefined;
  const loop = startLoop({ name: 'account', everyMs, backoffMaxMs: everyMs, logger: deps.logger }, async () => {
    await look();
    return false;
  });
  return {
    ensureOurs: async () => {
      const { heldBecause } = counts() ?? (await look());
      if (heldBecause !== null) throw new AccountHeld(`No money is moved (${heldBecause}): see \`ops adopt\``);
    },
    state: () => stateOf(counts()),
    stop: loop.stop,
  };
}

function stateOf(view: View | undefined): AccountState {
  if (view === undefined) return 'unknown';
  if (view.heldBecause !== null) return 'held';
  return view.believedUntilMs === undefined ? 'ours' : 'believed';
}

/** What was seen is believed while nothing can be seen, unless another process has seen more since. */
async function outlasts(db: Database, view: View | undefined): Promise<boolean> {
  if (view === undefined || view.believedUntilMs !== undefined) return false;
  return view.heldBecause !== null || (await readStanding(db)).heldSince === null;
}

/** @returns undefined if this database's own word does not vouch for it */
async function believe({ db, logger }: Dependencies, err: Error, before: View | undefined): Promise<View | undefined> {
  const ageMs = await readWordAgeMs(db, await readCluster(db));
  if (ageMs === null || ageMs > BELIEVED_FOR_MS) return undefined;
  const leftMs = BELIEVED_FOR_MS - ageMs;
  if (before?.believedUntilMs === undefined) logger.warn({ err, leftMs }, BELIEVED);
  return { heldBecause: null, believedUntilMs: performance.now() + leftMs };
}

const BELIEVED =
  'the marker on the payment account cannot be read: money moves for a while by the word of a moment ago';

/** @returns how things stand at the account; a database that does not know its word is held from now on */
export async function lookOnce(deps: Dependencies): Promise<View> {
  const { db, logger } = deps;
  try {
    const [before, cluster] = [await readStanding(db), await readCluster(db)];
    const reference = before.marker ?? (await beginMarker(deps, before.id, cluster));
    let why = await whyUnknown(deps, reference, cluster);
    // A word may have been written and noted between our two looks.
    if (why !== undefined) why = await whyUnknown(deps, reference, cluster);
    const now = await readStanding(db);
    if (why !== undefined && now.word === '') return await takeOver(deps, now);
    if (why !== undefined && (await holdAccount(db, why))) logger.fatal({ why }, HELD);
    if (why !== undefined) return { heldBecause: now.heldBecause ?? why };
    // It was another account's key for a while, or the gateway's own trouble: what the marker says is what counts.
    if (now.heldSince !== null && (await releaseAccount(db))) logger.warn('the account knows this database again');
    await speak(deps, now.id, reference);
    return { heldBecause: null };
  } catch (err) {
    if (!(err instanceof MarkerUnavailable)) throw err;
    logger.warn({ err }, 'a restored or copied database cannot be recognised');
    return { heldBecause: (await readStanding(db)).heldBecause }; // what is held already stays so
  }
}

const HELD = 'the payment gateway’s account does not know this database: no money is moved until `ops adopt`';

/** @returns why the account does not know this database, or undefined if the marker says what it knows */
async function whyUnknown(
  { db, marker }: Dependencies,
  reference: string,
  cluster: string | null,
): Promise<string | undefined> {
  const says = await marker.readMarker(reference);
  if (says === null) return 'the account has no marker of this installation: is STRIPE_API_KEY another account’s?';
  const { word, offered, cluster: spokenFrom } = await readStanding(db);
  // Of two databases that know the same word, the one that was there first goes on.
  if (word !== '' && spokenFrom !== null && cluster !== null && spokenFrom !== cluster)
    return 'this database has come from another cluster: was it restored or copied?';
  if (says === word) return undefined;
  if (!offered.includes(says))
    return 'another database has spoken for this installation since: was this one restored or copied?';
  await keepWord(db, says, cluster);
  return undefined;
}

/**
 * The account may have a marker of this installation although this database knows of none: then it was restored from before
 * there was one, and the marker does not say the word offered here.
 * @returns the marker that counts
 */
async function beginMarker(
  { db, marker, logger }: Dependencies,
  installationId: string,
  cluster: string | null,
): Promise<string> {
  const word = await offerFirstWord(db, randomUUID(), cluster);
  if (word !== null) {
    const reference = await establishMarker(marker, { installationId, word });
    if (await keepMarker(db, { marker: reference, word, cluster }))
      logger.info({ installationId, marker: reference }, 'the account’s marker is known');
  }
  const { marker: kept } = await readStanding(db);
  if (kept === null) throw new Error('Bug! A marker that was kept is gone.');
  return kept;
}

/** Of markers that were made side by side the oldest counts, so that all processes agree; to the others no word is ever written. */
async function establishMarker(marker: AccountMarker, says: MarkerText): Promise<string> {
  const found = await marker.findMarker(says.installationId);
  if (found !== null) return found;
  const made = await marker.createMarker(says);
  return (await marker.findMarker(says.installationId)) ?? made;
}

/** After an adoption: the marker says what we say. If it is gone there is another one, which may be another database's by now. */
async function takeOver(deps: Dependencies, { id, marker: known }: Standing): Promise<View> {
  const isThere = known !== null && (await deps.marker.readMarker(known)) !== null;
  const reference = isThere ? known : await establishMarker(deps.marker, { installationId: id, word: randomUUID() });
  if (!isThere) await moveMarker(deps.db, reference);
  await speak(deps, id, reference);
  return { heldBecause: null };
}

/** A process that was paused between noting a word and writing it writes it no more: by then, others have written theirs. */
const SPOKEN_WITHIN_MS = 30_000;
const PAUSE = { everyMs: SPEAK_EVERY_MS, elsewhereMs: SPEAK_ELSEWHERE_AFTER_MS };

async function speak({ db, marker }: Dependencies, installationId: string, reference: string): Promise<void> {
  const word = randomUUID();
  const from = performance.now();
  if (!(await offerWord(db, word, PAUSE)) || performance.now() - from > SPOKEN_WITHIN_MS) return;
  await marker.writeMarker(reference, { installationId, word });
  await keepWord(db, word, await readCluster(db));
}
