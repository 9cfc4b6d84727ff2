/**
 * The overview: what is wrong now, how orders flow, how the neighbours are. Computed at most once a second in a process, however many look,
 * from what the metrics, `ops doctor` and the lists read as well; and four times a minute when nobody looks, so that it can
 * say since when it is calm of what leaves no mark in Postgres.
 */
import type { Logger } from 'pino';
import type { SagaPolicy } from '../../contracts/saga.js';
import type { Database } from '../../domain/database.js';
import { startLoop } from '../../runtime/loop.js';
import { createSharedReads } from '../../runtime/shared-reads.js';
import type { TemporalLink } from '../../runtime/temporal.js';
import type { StuckSnapshots } from '../../sagas/stuck-snapshots.js';
import type { LedgerPlace } from '../../explanation/gateway-view.js';
import { createCalm } from './calm.js';
import type { Cause } from './cause.js';
import { withFollowing } from './following.js';
import { askGateway, type PostgresFacts, readPostgres, readTemporal, type TemporalFacts } from './facts.js';
import { createHistory } from './history.js';
import type { Neighbour } from './neighbour.js';
import { causesOfNeighbours, neighboursOf, type Sources } from './neighbours.js';
import { createOutages } from './outages.js';
import { catchingUp, causesOfPostgres } from './postgres-causes.js';
import { createRates, type Rates } from './rates.js';
import { createSource, within } from './source.js';

export type Overview = {
  asOf: string;
  /** As of when each source's part is; null = it has never answered this process. */
  sources: { postgres: string | null; temporal: string | null; gateway: string | null };
  calm: { isCalm: boolean; since: string | null };
  causes: Cause[];
  minutes: Rates['minutes'];
  open: { count: number; oldestSeconds: number } | null;
  heldOrders: number | null;
  neighbours: Neighbour[];
  brakes: { brake: string; since: string; by: string; reason: string; message: string | null }[];
  spending: PostgresFacts['spending'];
};

export type OverviewReader = {
  /** The one that is known, if it is younger than a second. */
  read: () => Promise<Overview>;
  stop: () => Promise<void>;
};

const FRESH_MS = 1_000;
const POSTGRES = { restMs: 900, waitMs: 500, limitMs: 5_000 };
/** Listing ten thousand stuck sagas takes Temporal a second or two. */
const TEMPORAL = { restMs: 900, waitMs: 300, limitMs: 20_000 };
/** Six times a minute at most, and only while somebody looks; else four times. */
const GATEWAY = { restMs: 10_000, waitMs: 200, limitMs: 5_000 };
/** Trouble that leaves no mark, and that nobody looks at, is seen if it lasts so long; and it costs as much as a page that is open for a moment. */
const UNWATCHED_EVERY_MS = 15_000;

export type OverviewOptions = {
  db: Database;
  temporal: TemporalLink;
  policy: SagaPolicy;
  stuck: StuckSnapshots;
  /** The gateway's ledger; undefined = this process does not reach it. */
  gatewayPlace: LedgerPlace | undefined;
  /** Of the worker in this process. */
  breaker?: (() => string) | undefined;
  erasuresLateAfterMs: number;
  logger: Logger;
};

export function createOverview(options: OverviewOptions): OverviewReader {
  const { db, temporal, policy, stuck, gatewayPlace, breaker, erasuresLateAfterMs, logger } = options;
  const postgres = createSource({
    ...POSTGRES,
    read: within(POSTGRES.limitMs, () => readPostgres(db, erasuresLateAfterMs)),
  });
  const sagas = createSource({
    ...TEMPORAL,
    read: within(TEMPORAL.limitMs, async () => {
      const client = temporal.client();
      if (!client) throw new Error('Temporal has never answered this process');
      return client.withDeadline(Date.now() + TEMPORAL.limitMs, () => readTemporal(db, client, policy, stuck));
    }),
    atOf: ({ at }: TemporalFacts) => at,
  });
  const gateway = createSource({ ...GATEWAY, read: within(GATEWAY.limitMs, () => askGateway(gatewayPlace)) });
  const countRates = createRates(db);
  const rates = createSource({ ...POSTGRES, read: within(POSTGRES.limitMs, countRates) });
  const noteOutages = createOutages();
  const withHistory = createHistory();
  const calmSince = createCalm(db, logger);

  const compute = async (): Promise<Overview> => {
    const [ofPostgres, ofTemporal, ofGateway, flow] = await Promise.all([postgres(), sagas(), gateway(), rates()]);
    const read: Sources = { postgres: ofPostgres, temporal: ofTemporal, gateway: ofGateway, breaker: breaker?.() };
    const outages = noteOutages(neighboursOf(read));
    const found = [
      ...causesOfNeighbours(read, outages),
      ...(ofTemporal.facts?.causes ?? []),
      ...(ofPostgres.facts ? causesOfPostgres(ofPostgres.facts) : []),
    ];
    if (found.length === 0 && ofPostgres.facts) found.push(...catchingUp(ofPostgres.facts));
    const isKnown = ofPostgres.answers === true && ofTemporal.answers === true;
    // What follows from the gateway is summed up at it once it is known how that is.
    const isWhole = isKnown && ofGateway.answers !== undefined;
    const causes = inOrder(withHistory(withFollowing(found, ofTemporal.facts?.findings), isWhole));
    const iso = (at: Date | undefined) => at?.toISOString() ?? null;
    return {
      asOf: new Date().toISOString(),
      sources: { postgres: iso(ofPostgres.at), temporal: iso(ofTemporal.at), gateway: iso(ofGateway.at) },
      calm: await calmSince(causes, isKnown),
      causes,
      minutes: flow.facts?.minutes ?? [],
      open: openOf(ofPostgres.facts),
      heldOrders: ofTemporal.facts?.held ?? null,
      neighbours: outages.neighbours,
      brakes: (ofPostgres.facts?.brakes ?? []).map(({ brake, since, by, reason, message }) => ({
        ...{ brake, since: since.toISOString(), by, reason, message },
      })),
      spending: ofPostgres.facts?.spending ?? [],
    };
  };
  const shared = createSharedReads<Overview>({ freshMs: () => FRESH_MS, keysMax: 1 });
  const read = () => shared('overview', compute);
  let isFirst = true;
  const loop = startLoop(
    { name: 'the overview', everyMs: UNWATCHED_EVERY_MS, backoffMaxMs: UNWATCHED_EVERY_MS, logger },
    async () => {
      // A process that has just begun has other things to do.
      if (!isFirst) await read();
      isFirst = false;
      return false;
    },
  );
  return { read, stop: loop.stop };
}

const openOf = (facts: PostgresFacts | undefined): Overview['open'] =>
  facts ? { count: facts.open.count, oldestSeconds: facts.open.oldestSeconds } : null;

/** What follows from a cause stands behind it. */
function inOrder(causes: Cause[]): Cause[] {
  const sorted = causes.toSorted(byUrgency);
  return sorted
    .filter(({ follows }) => follows === null)
    .flatMap((root) => [root, ...sorted.filter(({ follows }) => follows === root.id)]);
}

const NEIGHBOURS_FIRST = ['postgres', 'temporal', 'gateway', 'account', 'workers'];
/** What explains the rest comes first, then what needs somebody, then what concerns more. */
function byUrgency(a: Cause, b: Cause): number {
  const rank = ({ kind, severity }: Cause) => (severity === 'warn' ? 2 : NEIGHBOURS_FIRST.includes(kind) ? 0 : 1);
  return rank(a) - rank(b) || (b.count ?? 0) - (a.count ?? 0) || a.id.localeCompare(b.id);
}
