/** The lanes of a timeline that tell what left the service: the order's events, and what each destination has been sent of them. */
import type { DeadLetterState } from '../../contracts/dead-letters.js';
import type { DeliveryStanding } from '../../domain/destinations.js';
import type { OrderRow } from '../order-row.js';
import { type Entry, type EntryStatus, moment } from './entries.js';

export type Letter = {
  id: string;
  destination: string;
  sequence: number;
  type: string;
  cause: string;
  error: string;
  attempts: number;
  state: DeadLetterState;
  decidedBy: string | null;
  reason: string | null;
  parkedAt: string;
  /** null = its order is held by it still. */
  closedAt: string | null;
};

export const eventEntries = ({ events }: OrderRow): Entry[] =>
  events.map(({ sequence, type, at }) => ({
    ...{ ...moment(at), lane: 'events', kind: 'event', status: 'done', source: 'event' },
    what: `${sequence} ${type}`,
    sequences: [sequence],
  }));

const DELIVERIES = { lane: 'deliveries', source: 'relay' } as const;

export function deliveryEntries(row: OrderRow, standings: DeliveryStanding[], letters: Letter[]): Entry[] {
  return [
    ...standings.flatMap((standing) =>
      ofDestination(
        standing,
        letters.filter(({ destination }) => destination === standing.destination),
      ),
    ),
    ...letters.map(ofLetter),
    ...row.log
      .filter(({ step }) => step === 'dead-letter')
      .map(
        ({ at, outcome, actor, detail }): Entry => ({
          ...{ ...moment(at), lane: 'deliveries', kind: 'decision', status: 'decided', source: 'log' },
          what: `dead letter: ${outcome}`,
          ...(actor !== null && { by: actor }),
          ...(detail !== null && { reason: detail }),
        }),
      ),
  ];
}

/** When each was taken nobody keeps: it was after the event, and before the next look. */
function ofDestination({ destination, passed, waiting, ...at }: DeliveryStanding, letters: Letter[]): Entry[] {
  const open = letters.filter(({ closedAt }) => closedAt === null);
  const heldFrom = Math.min(...open.map(({ sequence }) => sequence));
  const lettered = new Set(letters.map(({ sequence }) => sequence));
  const delivered = passed.filter((sequence) => sequence < heldFrom && !lettered.has(sequence));
  const behind = passed.filter((sequence) => sequence > heldFrom && !lettered.has(sequence));
  const entries: Entry[] = [];
  const of = (sequences: number[], what: string) => ({
    ...{ ...DELIVERIES, kind: 'delivery' as const, destination, sequences },
    what: `${destination}: ${eventsOf(sequences)} ${what}`,
  });
  if (delivered.length > 0 && at.passedAfter !== null)
    entries.push({ ...of(delivered, 'delivered'), ...moment(at.passedAfter.toISOString()), status: 'delivered' });
  const since = open[0]?.parkedAt ?? null;
  if (behind.length > 0)
    entries.push({ ...of(behind, 'behind a dead letter'), at: since, until: null, status: 'waiting' });
  if (waiting.length > 0 && at.waitingSince !== null)
    entries.push({
      ...of(waiting, 'not delivered yet'),
      ...{ at: at.waitingSince.toISOString(), until: null, status: 'waiting' },
    });
  return entries;
}

const STATES: Record<DeadLetterState, { status: EntryStatus; says: string }> = {
  PARKED: { status: 'dead', says: 'is held: a dead letter waits for a decision' },
  REPLAYING: { status: 'retrying', says: 'is being sent again' },
  DELIVERED: { status: 'delivered', says: 'was a dead letter, and is delivered' },
  DISCARDED: { status: 'discarded', says: 'was a dead letter, and is never sent' },
};

function ofLetter(letter: Letter): Entry {
  const { id, destination, sequence, type, cause, error, attempts, state, parkedAt, closedAt, decidedBy, reason } =
    letter;
  const { status, says } = STATES[state];
  return {
    ...{ ...DELIVERIES, kind: 'delivery', status, at: parkedAt, until: closedAt, destination, sequences: [sequence] },
    what: `${destination}: event ${sequence} (${type}) ${says}`,
    attempts: { first: 1, last: attempts, times: attempts },
    error: { failure: cause, message: error },
    ...(decidedBy !== null && { by: decidedBy }),
    ...(reason !== null && { reason }),
    deadLetterId: id,
  };
}

function eventsOf(sequences: number[]): string {
  const [first, last] = [sequences[0], sequences.at(-1)];
  if (sequences.length === 1) return `event ${first}`;
  const isWhole = Number(last) - Number(first) === sequences.length - 1;
  return isWhole ? `events ${first} to ${last}` : `events ${sequences.join(', ')}`;
}
