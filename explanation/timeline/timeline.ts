/**
 * One order as a picture: one list of what happened and what is awaited. It is read from what explaining the order reads, and says
 * nothing that that would not; the explanation comes with it. What has happened is on record in Postgres and at the gateway, so that the
 * list is the same when Temporal has forgotten the saga. Bounded: of each kind the newest hundred, with a count of those before.
 */
import type { DeadLetterState } from '../../contracts/dead-letters.js';
import type { Money } from '../../contracts/orders.js';
import type { Database } from '../../domain/database.js';
import { readDeliveriesOf } from '../../domain/destinations.js';
import { listStepFailures } from '../../domain/step-failures.js';
import { explain, type Explanation, type ExplanationSources, readFacts } from '../explain.js';
import { PERIODS } from '../periods.js';
import { isFinal } from '../situation.js';
import { type Entry, inOrder, type Lane } from './entries.js';
import { deliveryEntries, eventEntries, type Letter } from './of-deliveries.js';
import { moneyEntries } from './of-money.js';
import { awaitedEntries, sagaEntries } from './of-saga.js';

export type Missing = { source: 'saga' | 'gateway'; why: string; lacks: string };

export type Timeline = {
  orderId: string;
  /** When it was looked. */
  at: string;
  total: Money;
  createdAt: string;
  /** Nothing happens any more by itself. */
  isFinal: boolean;
  /** `runId` null = Temporal knows no such saga, or does not answer. */
  saga: { workflowId: string | null; runId: string | null };
  /** Of the request that placed it (W3C's), if that was traced. */
  traceparent: string | null;
  entries: Entry[];
  /** Entries that are not there, by lane. */
  omitted: { lane: Lane; count: number; why: string }[];
  /** What did not answer, and what the list lacks for it. */
  missing: Missing[];
  explanation: Explanation;
};

/** Of a kind; the newest. */
const ENTRIES_MAX = 100;

/** @returns null if there is no such order */
export async function readTimeline(sources: ExplanationSources, id: string): Promise<Timeline | null> {
  const [facts, failures, deliveries, letters, logged] = await Promise.all([
    readFacts(sources, id),
    listStepFailures(sources.db, id),
    readDeliveriesOf(sources.db, id),
    readLetters(sources.db, id),
    sources.db.sagaLogEntry.count({ where: { orderId: id } }),
  ]);
  if (facts === null) return null;
  const { row, saga, gateway } = facts;
  const omitted: Timeline['omitted'] = [];
  const bounded = (lane: Lane, entries: Entry[]): Entry[] => {
    const over = entries.length - ENTRIES_MAX;
    if (over <= 0) return entries;
    omitted.push({ lane, count: over, why: `the newest ${ENTRIES_MAX} are shown` });
    return inOrder(entries).slice(over);
  };
  const older = (lane: Lane, count: number, why: string) => {
    if (count > 0) omitted.push({ lane, count, why });
  };
  const money = bounded('money', moneyEntries(row, gateway, sources.periods ?? PERIODS));
  const delivered = bounded('deliveries', deliveryEntries(row, deliveries, letters));
  older('saga', logged - row.log.length, 'older entries of the log');
  older('events', row.eventCount - row.events.length, 'older ones, or removed by retention');
  const entries = [...sagaEntries(row, failures), ...awaitedEntries(sources, facts), ...eventEntries(row)];
  return {
    orderId: row.id,
    at: new Date().toISOString(),
    total: row.total,
    createdAt: row.createdAt,
    isFinal: isFinal(row),
    saga: {
      workflowId: saga.asked ? saga.workflowId : null,
      runId: saga.asked && saga.known ? saga.runId : null,
    },
    traceparent: row.traceparent,
    entries: inOrder([...entries, ...money, ...delivered]),
    omitted,
    missing: missingOf(facts),
    explanation: explain(sources, facts),
  };
}

function missingOf({ row, saga, gateway }: NonNullable<Awaited<ReturnType<typeof readFacts>>>): Missing[] {
  const missing: Missing[] = [];
  if (!saga.asked)
    missing.push({
      source: 'saga',
      why: saga.why,
      lacks: isFinal(row) ? 'the link to its run' : 'what is being tried, what it waits for, and until when',
    });
  if (!gateway.asked)
    missing.push({
      source: 'gateway',
      why: gateway.why,
      lacks: 'what the gateway holds: the money’s lane is what was recorded here',
    });
  return missing;
}

/** Those that are decided as well. */
async function readLetters(db: Database, orderId: string): Promise<Letter[]> {
  const letters = await db.deadLetter.findMany({ where: { orderId }, orderBy: { id: 'desc' }, take: ENTRIES_MAX });
  return letters.toReversed().map(({ id, state, parkedAt, closedAt, ...letter }) => ({
    ...letter,
    id: `${id}`,
    state: state as DeadLetterState,
    parkedAt: parkedAt.toISOString(),
    closedAt: closedAt?.toISOString() ?? null,
  }));
}
