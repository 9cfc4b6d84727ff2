/** What the first screen is made of, as each source says it: Postgres, Temporal, the payment gateway. Nothing here judges. */
import type { Client } from '@temporalio/client';
import { HELD_QUERY, type SagaPolicy } from '../../contracts/saga.js';
import { readBrakes, readSpending } from '../../domain/brakes.js';
import { readBacklog } from '../../domain/cursors.js';
import type { Database } from '../../domain/database.js';
import { countDeadLetters } from '../../domain/dead-letters.js';
import { readDestinations } from '../../domain/destinations.js';
import { countOpenErasures } from '../../domain/erasure/erasures.js';
import { readFeedHeldSeconds, readUnstarted } from '../../domain/figures.js';
import { readInvariantFigures, readVerificationStall } from '../../domain/invariant-figures.js';
import { readStanding } from '../../domain/installation.js';
import { countUnended } from '../../domain/operations/listing.js';
import {
  countRecentDeadLetters,
  listFindingsOf,
  readDeliverySigns,
  readInHand,
  readRefusal,
  readSigns,
  sumFindings,
} from '../../domain/neighbour-signs.js';
import { countLastErrors, type LastError } from '../../domain/step-failures.js';
import type { StuckSaga } from '../../domain/stuck-sagas.js';
import { readPollers } from '../../sagas/pollers.js';
import type { StuckSnapshots } from '../../sagas/stuck-snapshots.js';
import type { LedgerPlace } from '../../explanation/gateway-view.js';
import { RECENT_MS } from './cause.js';
import { isKeyRefused } from '../../explanation/refused-key.js';
import { statusOf } from './gateway-words.js';
import { causesOfSagas, findingsOfSagas } from './saga-causes.js';

export async function readPostgres(db: Database, erasuresLateAfterMs: number) {
  const [open, unstarted, feedHeldSeconds, backlog, destinations, moved, letters, recentLetters] = await Promise.all([
    readInHand(db),
    readUnstarted(db),
    readFeedHeldSeconds(db),
    readBacklog(db),
    readDestinations(db),
    readDeliverySigns(db),
    countDeadLetters(db),
    countRecentDeadLetters(db, RECENT_MS),
  ]);
  const [findings, erasures, brakes, spending, account, signs, refusal] = await Promise.all([
    sumFindings(db, RECENT_MS),
    countOpenErasures(db, erasuresLateAfterMs),
    readBrakes(db),
    readSpending(db),
    readStanding(db),
    readSigns(db),
    readRefusal(db),
  ]);
  const [invariants, verificationStalledSince, operations] = await Promise.all([
    readInvariantFigures(db),
    readVerificationStall(db),
    countUnended(db),
  ]);
  return {
    ...{ invariants, verificationStalledSince, operations },
    ...{ open, unstarted, feedHeldSeconds, backlog, destinations, moved, letters, recentLetters },
    ...{ findings, erasures, brakes, spending, account, signs, refusal },
  };
}
export type PostgresFacts = Awaited<ReturnType<typeof readPostgres>>;

const ERRORS_OF_MAX = 500;

/** So old may be what somebody else in this process has read of the stuck sagas: then it is not read once more. */
const STUCK_FRESH_MS = 2_000;

/** Of the youngest, since they know what is answered now; of all it would be a lot to read each second. */
const youngestOf = (sagas: StuckSaga[]): string[] => sagas.slice(-ERRORS_OF_MAX).map(({ orderId }) => orderId);

export const lastErrorsOf = (db: Database, sagas: StuckSaga[]): Promise<LastError[]> =>
  countLastErrors(db, youngestOf(sagas));

/** Stuck sagas may be ten thousand: they are grouped at once. A list that long is kept at hand, and some seconds old. */
export async function readTemporal(db: Database, client: Client, policy: SagaPolicy, snapshots: StuckSnapshots) {
  const [stuck, pollers, held] = await Promise.all([
    snapshots.read('NEEDS_ATTENTION', false, STUCK_FRESH_MS),
    readPollers(client),
    client.workflow.count(HELD_QUERY),
  ]);
  const asked = youngestOf(stuck.sagas);
  const [errors, findings] = await Promise.all([countLastErrors(db, asked), listFindingsOf(db, asked)]);
  return {
    causes: causesOfSagas(stuck.sagas, policy, errors),
    findings: findingsOfSagas(findings, stuck.sagas),
    /** There are more than can be listed. */
    more: stuck.more,
    pollers: { workflow: pollers.workflow.length, activity: pollers.activity.length },
    lastAskedSeconds: pollers.lastAskedSeconds,
    held: held.count,
    /** When the stuck sagas were read, which is the oldest of this. */
    at: stuck.at,
  };
}
export type TemporalFacts = Awaited<ReturnType<typeof readTemporal>>;

/** No charge has this reference: asking for it costs the gateway nothing, and an answer says that it is there. */
const NO_CHARGE = 'pi_probe';

/** `refuses`: our key. `fails`: it answers so to whatever is asked. */
export type GatewayFacts =
  | { asked: true; where: string; refuses: string | null; fails?: string }
  | { asked: false; why: string };

/** @throws what the gateway, or the network, has answered instead */
export async function askGateway(place: LedgerPlace | undefined): Promise<GatewayFacts> {
  if (place === undefined || place.where === undefined)
    return { asked: false, why: place?.why ?? 'this process does not reach the payment gateway' };
  try {
    await place.ledger.readCharge(NO_CHARGE);
    return { asked: true, where: place.where, refuses: null };
  } catch (err) {
    const refuses = (err as Error).message;
    if (isKeyRefused(refuses)) return { asked: true, where: place.where, refuses };
    const fails = statusOf(refuses);
    if (fails !== undefined) return { asked: true, where: place.where, refuses: null, fails };
    throw err;
  }
}
