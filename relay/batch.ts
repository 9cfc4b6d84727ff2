/** Turns: what is sent of each order in one round, and what became of it. */
import { type CloudEvent, toCloudEvent } from '../contracts/events.js';
import type { Classification } from '../domain/held-events.js';
import { type Lane, noTrouble, type OwedOrder } from './backlog.js';
import { type Failure, refuseUnsent, type SentAfter, type Validate } from './hold-policy.js';
import type { PublishOutcome } from './publishers/publisher.js';

/** An order's turn in a batch: its oldest events, in sequence. */
export type Turn = { lane: Lane; order: OwedOrder; events: CloudEvent[] };
export type Refusal = { turn: Turn; verdict: Classification };

/**
 * So many orders in trouble before each fresh one. First, because a destination that takes only so much at a time would else
 * fail the same ones again and again; a few, because a destination that fails sixteen in a row is left alone.
 */
const TROUBLED_FIRST = 4;

/** @returns what is due, and the orders whose next event must not be sent at all */
export function takeTurns(
  lanes: Iterable<Lane>,
  eventsMax: number,
  validate?: Validate,
): { turns: Turn[]; refused: Refusal[] } {
  const now = performance.now();
  const due = [...lanes]
    .flatMap((lane) => [...lane.orders.values()].map((order): Turn => ({ lane, order, events: [] })))
    .filter(({ order }) => order.events.length > 0 && order.trouble.nextTryAtMs <= now);
  const turns: Turn[] = [];
  const refused: Refusal[] = [];
  let room = eventsMax;
  for (const turn of inTurn(due)) {
    for (const stored of turn.order.events.slice(0, room)) {
      const event = toCloudEvent(stored);
      const verdict = refuseUnsent(event, validate);
      if (verdict && turn.events.length === 0) refused.push({ turn, verdict });
      if (verdict) break; // what comes before it is sent first
      turn.events.push(event);
    }
    if (turn.events.length > 0) turns.push(turn);
    room -= turn.events.length;
    if (room <= 0) break;
  }
  return { turns, refused };
}

/**
 * Those in trouble with the fresh ones in between; whichever are more come last. First those that are most in doubt, so that
 * it is settled soon: were all to gain on it alike, hundreds of them would be parked only together.
 */
function* inTurn(due: Turn[]): Generator<Turn> {
  const troubled = due
    .filter(({ order }) => order.trouble.tries > 0)
    .sort(({ order: { trouble: a } }, { order: { trouble: b } }) => b.doubt - a.doubt || a.nextTryAtMs - b.nextTryAtMs);
  let from = 0;
  for (const fresh of due.filter(({ order }) => order.trouble.tries === 0)) {
    yield* troubled.slice(from, from + TROUBLED_FIRST);
    from += TROUBLED_FIRST;
    yield fresh;
  }
  yield* troubled.slice(from);
}

export type Settled = { turn: Turn; taken: number; failure?: Failure };

/** Strikes off what was taken. @param outcomes of all turns' events, one after the other */
export function settleAll(turns: Turn[], outcomes: PublishOutcome[]): Settled[] {
  let from = 0;
  return turns.map((turn) => {
    const own = outcomes.slice(from, from + turn.events.length);
    from += turn.events.length;
    return settle(turn, own);
  });
}

function settle(turn: Turn, outcomes: PublishOutcome[]): Settled {
  const { lane, order } = turn;
  const firstOpen = outcomes.findIndex(({ outcome }) => outcome !== 'taken');
  const taken = firstOpen === -1 ? outcomes.length : firstOpen;
  if (taken > 0) {
    order.events.splice(0, taken);
    order.trouble = noTrouble();
    if (order.events.length === 0 && !order.letter) lane.orders.delete(order.orderId);
  }
  const next = outcomes[taken];
  return next && 'error' in next ? { turn, taken, failure: next } : { turn, taken };
}

/** `isFirst` = the event has not failed before. */
export type SeenFailure = { turn: Turn; taken: number; failure: Failure; isFirst: boolean; sentAfter: SentAfter };

/** To be called before the failures are judged. */
export function seeFailures(settled: Settled[]): SeenFailure[] {
  const seen: SeenFailure[] = [];
  const after: SentAfter = { taken: 0, failedFirst: 0 };
  for (const { turn, taken, failure } of settled.toReversed()) {
    const isFirst = failure !== undefined && turn.order.trouble.tries === 0;
    if (failure) seen.push({ turn, taken, failure, isFirst, sentAfter: { ...after } });
    if (taken > 0) after.taken++;
    if (isFirst) after.failedFirst++;
  }
  return seen.reverse();
}
