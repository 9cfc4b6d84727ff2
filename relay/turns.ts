/** Turns: what is sent of each order in one round, and what became of it. */
import { type CloudEvent, toCloudEvent } from '../contracts/events.js';
import type { Verdict } from '../domain/parking.js';
import { type Lane, noTrouble, type OwedOrder } from './lanes.js';
import { type Failure, refuseUnsent, type Validate } from './poison.js';
import type { PublishOutcome } from './publishers/publisher.js';

/** An order's turn in a batch: its oldest events, in sequence. */
export type Turn = { lane: Lane; order: OwedOrder; events: CloudEvent[] };
export type Refusal = { turn: Turn; verdict: Verdict };

/** @returns what is due, fresh orders before those in trouble, and the orders whose next event must not be sent at all */
export function takeTurns(
  lanes: Iterable<Lane>,
  eventsMax: number,
  validate?: Validate,
): { turns: Turn[]; refused: Refusal[] } {
  const now = performance.now();
  const due = [...lanes]
    .flatMap((lane) => [...lane.orders.values()].map((order): Turn => ({ lane, order, events: [] })))
    .filter(({ order }) => order.events.length > 0 && order.trouble.nextTryAtMs <= now)
    .sort((a, b) => a.order.trouble.nextTryAtMs - b.order.trouble.nextTryAtMs);
  const turns: Turn[] = [];
  const refused: Refusal[] = [];
  let room = eventsMax;
  for (const turn of due) {
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
