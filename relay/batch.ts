/** A batch: what is sent of each order in one round, and what became of it. */
import { type CloudEvent, type CustomersTold, toCloudEvent } from '../contracts/events.js';
import type { HoldReason } from '../domain/held-events.js';
import { type PartitionBacklog, noTrouble, type OrderStream } from './backlog.js';
import { type PublishFailure, findUnsendable, type SentAfter, type ValidateEvent } from './hold-policy.js';
import type { PublishOutcome } from './publishers/publisher.js';

/** An order's entry in a batch: its oldest events, in sequence. */
export type BatchEntry = { backlog: PartitionBacklog; stream: OrderStream; events: CloudEvent[] };
export type UnsendableEntry = { entry: BatchEntry; reason: HoldReason };

/**
 * So many orders in trouble before each fresh one. First, because a destination that takes only so much at a time would else
 * fail the same ones again and again; a few, because a destination that fails sixteen in a row is left alone.
 */
const TROUBLED_FIRST = 4;

/** @returns what is due, and the orders whose next event must not be sent at all */
export function composeBatch(
  backlogs: Iterable<PartitionBacklog>,
  eventsMax: number,
  { validate, customersTold }: { validate?: ValidateEvent; customersTold?: CustomersTold } = {},
): { entries: BatchEntry[]; unsendable: UnsendableEntry[] } {
  const now = performance.now();
  const due = [...backlogs]
    .flatMap((backlog) => [...backlog.streams.values()].map((stream): BatchEntry => ({ backlog, stream, events: [] })))
    .filter(({ stream }) => stream.events.length > 0 && stream.trouble.nextTryAtMs <= now);
  const entries: BatchEntry[] = [];
  const unsendable: UnsendableEntry[] = [];
  let room = eventsMax;
  for (const entry of interleaved(due)) {
    for (const stored of entry.stream.events.slice(0, room)) {
      const event = toCloudEvent(stored, customersTold);
      const reason = findUnsendable(event, validate);
      if (reason && entry.events.length === 0) unsendable.push({ entry, reason });
      if (reason) break; // what comes before it is sent first
      entry.events.push(event);
    }
    if (entry.events.length > 0) entries.push(entry);
    room -= entry.events.length;
    if (room <= 0) break;
  }
  return { entries, unsendable };
}

/**
 * Those in trouble with the fresh ones in between; whichever are more come last. Among the former the highest fault score comes
 * first, so that it is decided soon: if all scores rose alike, hundreds of orders would be held only together.
 */
function* interleaved(due: BatchEntry[]): Generator<BatchEntry> {
  const troubled = due
    .filter(({ stream }) => stream.trouble.tries > 0)
    .sort(
      ({ stream: { trouble: a } }, { stream: { trouble: b } }) =>
        b.faultScore - a.faultScore || a.nextTryAtMs - b.nextTryAtMs,
    );
  let from = 0;
  for (const fresh of due.filter(({ stream }) => stream.trouble.tries === 0)) {
    yield* troubled.slice(from, from + TROUBLED_FIRST);
    from += TROUBLED_FIRST;
    yield fresh;
  }
  yield* troubled.slice(from);
}

export type EntryResult = { entry: BatchEntry; taken: number; failure?: PublishFailure };

/** Strikes off what was taken. @param outcomes of all entries' events, one after the other */
export function applyOutcomes(entries: BatchEntry[], outcomes: PublishOutcome[]): EntryResult[] {
  let from = 0;
  return entries.map((entry) => {
    const own = outcomes.slice(from, from + entry.events.length);
    from += entry.events.length;
    return applyOwnOutcomes(entry, own);
  });
}

function applyOwnOutcomes(entry: BatchEntry, outcomes: PublishOutcome[]): EntryResult {
  const { backlog, stream } = entry;
  const firstOpen = outcomes.findIndex(({ outcome }) => outcome !== 'taken');
  const taken = firstOpen === -1 ? outcomes.length : firstOpen;
  if (taken > 0) {
    stream.events.splice(0, taken);
    stream.trouble = noTrouble();
    if (stream.events.length === 0 && !stream.deadLetter) backlog.streams.delete(stream.orderId);
  }
  const next = outcomes[taken];
  return next && 'error' in next ? { entry, taken, failure: next } : { entry, taken };
}

/** `isFirst` = the event has not failed before. */
export type EntryFailure = {
  entry: BatchEntry;
  taken: number;
  failure: PublishFailure;
  isFirst: boolean;
  sentAfter: SentAfter;
};

/** To be called before `recordFailure` changes the counts of tries. */
export function listFailures(results: EntryResult[]): EntryFailure[] {
  const failures: EntryFailure[] = [];
  const after: SentAfter = { taken: 0, failedFirst: 0 };
  for (const { entry, taken, failure } of results.toReversed()) {
    const isFirst = failure !== undefined && entry.stream.trouble.tries === 0;
    if (failure) failures.push({ entry, taken, failure, isFirst, sentAfter: { ...after } });
    if (taken > 0) after.taken++;
    if (isFirst) after.failedFirst++;
  }
  return failures.reverse();
}
