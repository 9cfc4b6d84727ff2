/**
 * Letters, as the relay deals with them: an order is parked behind an event that its destination will not take; once
 * somebody has decided, what has waited is sent in order, and only then does the order flow again. All of it happens
 * between the rounds of the one relay that holds the order's partition.
 */
import { readOrderEvents } from '../domain/outbox.js';
import {
  closeLetter,
  type DecidedLetter,
  findDiscarded,
  listDecided,
  parkAgain,
  parkEvent,
  type Classification,
} from '../domain/held-events.js';
import { type Delivery, dropLane } from './delivery.js';
import { countOwed, type Lane, noTrouble, type OwedOrder, replayOf } from './backlog.js';

/** Taken up at a time. */
const DECIDED_MAX = 100;
/** Events of letters in memory at which no more are taken up: a replay of thousands goes on beside what is fresh. */
const TAKEN_UP_MAX = 500;
/** Events behind one letter that are taken up at a time. An order has some ten in its life. */
const BEHIND_MAX = 1_000;

/** Gives up replays that somebody has discarded meanwhile: what waits behind them is sent at once. */
export async function giveUpDiscarded({ db, lanes }: Delivery): Promise<void> {
  const orders = [...lanes.values()].flatMap((lane) => [...lane.orders.values()]);
  const replayed = orders.flatMap((order) => replayOf(order)?.id ?? []);
  if (replayed.length === 0) return;
  const discarded = await findDiscarded(db, replayed);
  for (const order of orders) {
    if (!order.letter || !discarded.has(order.letter.id)) continue;
    order.letter = { ...order.letter, state: 'DISCARDED' };
    order.events.shift();
    order.trouble = noTrouble();
  }
}

/** Takes the events of decided letters into their lanes. */
export async function takeUpDecided(delivery: Delivery): Promise<void> {
  const { db, publisher, lanes } = delivery;
  let room = TAKEN_UP_MAX - countOwed(lanes.values()).ofLetters;
  if (room <= 0) return;
  const inHand = [...lanes.values()].flatMap((lane) => [...lane.orders.values()].flatMap((o) => o.letter?.id ?? []));
  for (const letter of await listDecided(db, publisher.destination, [...lanes.keys()], inHand, DECIDED_MAX)) {
    if (room <= 0) break;
    const lane = lanes.get(letter.partition);
    if (!lane || lane.orders.get(letter.orderId)?.letter) continue;
    const isDiscarded = letter.state === 'DISCARDED';
    const behind = await readOrderEvents(db, letter.orderId, letter.sequence - 1, BEHIND_MAX);
    const events = behind.filter(({ sequence }) => !letter.discarded.includes(sequence));
    const order: OwedOrder = { orderId: letter.orderId, events, letter, trouble: noTrouble() };
    if (isDiscarded || events[0]?.sequence === letter.sequence) lane.orders.set(letter.orderId, order);
    else await forget(delivery, lane, letter);
    room -= events.length;
  }
}

async function forget({ db }: Delivery, { lease }: Lane, { id }: DecidedLetter): Promise<void> {
  const error = 'the event is not in the outbox any more: it can only be discarded';
  await parkAgain(db, lease, id, { cause: 'invalid', error, attempts: 0 });
}

/** Holds an order at its first owed event. @returns how many were parked: 1, or 0 if the lease was lost */
export async function park(
  delivery: Delivery,
  { lane, order }: { lane: Lane; order: OwedOrder },
  verdict: Classification,
): Promise<number> {
  const { db, publisher, logger } = delivery;
  const { letter, orderId } = order;
  const [event] = order.events;
  if (!event) throw new Error(`Bug! Order ${orderId} has no event to be parked`);
  const replay = replayOf(order);
  const isParked = replay
    ? await parkAgain(db, lane.lease, replay.id, verdict)
    : await parkEvent(db, lane.lease, event, verdict, letter);
  if (!isParked) {
    dropLane(delivery, lane.lease.partition);
    return 0;
  }
  lane.orders.delete(orderId);
  if (!replay && verdict.cause === 'rejected') delivery.parkedInARow++;
  const { sequence, type } = event;
  logger.warn(
    { destination: publisher.destination, orderId, sequence, type, ...verdict },
    'parked in the dead letters',
  );
  return 1;
}

/** Lets orders flow again of which all that had waited has been taken. */
export async function closeDelivered(delivery: Delivery): Promise<void> {
  const { db, lanes } = delivery;
  for (const lane of lanes.values()) {
    for (const { orderId, events, letter } of lane.orders.values()) {
      if (!letter || events.length > 0) continue;
      if (await closeLetter(db, lane.lease, letter)) lane.orders.delete(orderId);
      else dropLane(delivery, lane.lease.partition);
    }
  }
}
