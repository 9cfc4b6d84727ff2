/**
 * Dead letters, as the relay deals with them: an order is held behind an event that its destination does not take. Once an
 * operator has decided, the events that have waited are sent in sequence, and only then are the order's new events sent as
 * they come. All of it happens in the rounds of the one relay that holds the lease of the order's partition.
 */
import type { StoredEvent } from '../contracts/events.js';
import { readingOf, readOrderEvents } from '../domain/outbox.js';
import {
  closeDeadLetter,
  type DecidedDeadLetter,
  findDiscarded,
  listDecided,
  holdAgain,
  holdEvent,
  type HoldReason,
} from '../domain/held-events.js';
import { type Delivery, dropBacklog } from './delivery.js';
import { countOwed, type PartitionBacklog, noTrouble, type OrderStream, replayOf } from './backlog.js';

/** Taken up at a time. */
const DECIDED_MAX = 100;
/** Events behind dead letters in memory at which no more are taken up: a replay of thousands goes on beside fresh events. */
const TAKEN_UP_MAX = 500;
/** Events behind one dead letter that are taken up at a time. An order has some ten in its life. */
const BEHIND_MAX = 1_000;

/** Gives up replays that an operator has discarded meanwhile: what waits behind them is sent at once. */
export async function giveUpDiscarded(delivery: Delivery): Promise<void> {
  const { db, backlogs } = delivery;
  const orders = [...backlogs.values()].flatMap((backlog) => [...backlog.streams.values()]);
  const replayed = orders.flatMap((stream) => replayOf(stream)?.id ?? []);
  if (replayed.length === 0) return;
  const discarded = await findDiscarded(db, replayed);
  for (const stream of orders) {
    if (!stream.deadLetter || !discarded.has(stream.deadLetter.id)) continue;
    const decidedBy = discarded.get(stream.deadLetter.id) ?? null;
    stream.deadLetter = { ...stream.deadLetter, state: 'DISCARDED', decidedBy };
    logDecision(delivery, stream.deadLetter, stream.events.shift());
    stream.trouble = noTrouble();
  }
}

/** Takes the events of decided dead letters into their backlogs. */
export async function takeUpDecided(delivery: Delivery): Promise<void> {
  const { db, publisher, backlogs, customersTold } = delivery;
  let room = TAKEN_UP_MAX - countOwed(backlogs.values()).behindDeadLetters;
  if (room <= 0) return;
  const inHand = [...backlogs.values()].flatMap((backlog) =>
    [...backlog.streams.values()].flatMap((o) => o.deadLetter?.id ?? []),
  );
  for (const deadLetter of await listDecided(db, publisher.destination, [...backlogs.keys()], inHand, DECIDED_MAX)) {
    if (room <= 0) break;
    const backlog = backlogs.get(deadLetter.partition);
    if (!backlog || backlog.streams.get(deadLetter.orderId)?.deadLetter) continue;
    const isDiscarded = deadLetter.state === 'DISCARDED';
    const behind = await readOrderEvents(
      db,
      deadLetter.orderId,
      deadLetter.sequence - 1,
      BEHIND_MAX,
      readingOf(customersTold),
    );
    logDecision(delivery, deadLetter, behind[0]);
    const events = behind.filter(({ sequence }) => !deadLetter.discarded.includes(sequence));
    const stream: OrderStream = { orderId: deadLetter.orderId, events, deadLetter, trouble: noTrouble() };
    if (isDiscarded || events[0]?.sequence === deadLetter.sequence) backlog.streams.set(deadLetter.orderId, stream);
    else await forget(delivery, backlog, deadLetter);
    room -= events.length;
  }
}

/** Once per relay that has it in hand: whoever decided, by API or CLI, has told Postgres alone. */
function logDecision(
  { publisher, logger }: Delivery,
  { orderId, sequence, state, decidedBy: actor }: DecidedDeadLetter,
  event: StoredEvent | undefined,
): void {
  const action = state === 'DISCARDED' ? 'discard' : 'replay';
  const about = { destination: publisher.destination, correlationId: event?.correlationId, orderId, sequence };
  logger.info({ ...about, type: event?.type, actor, action }, 'dead letter: decided by an operator');
}

async function forget({ db }: Delivery, { lease }: PartitionBacklog, { id }: DecidedDeadLetter): Promise<void> {
  const error = 'the event is not in the outbox any more: it can only be discarded';
  await holdAgain(db, lease, id, { cause: 'invalid', error, attempts: 0 });
}

/** Holds an order at its first owed event. @returns how many were held: 1, or 0 if the lease was lost */
export async function hold(
  delivery: Delivery,
  { backlog, stream }: { backlog: PartitionBacklog; stream: OrderStream },
  reason: HoldReason,
): Promise<number> {
  const { db, publisher, logger } = delivery;
  const { deadLetter, orderId } = stream;
  const [event] = stream.events;
  if (!event) throw new Error(`Bug! Order ${orderId} has no event to be held`);
  const replay = replayOf(stream);
  const isHeld = replay
    ? await holdAgain(db, backlog.lease, replay.id, reason)
    : await holdEvent(db, backlog.lease, event, reason, deadLetter);
  if (!isHeld) {
    dropBacklog(delivery, backlog.lease.partition);
    return 0;
  }
  backlog.streams.delete(orderId);
  if (!replay && reason.cause === 'rejected') delivery.heldInARow++;
  const { sequence, type, correlationId } = event;
  logger.warn(
    { destination: publisher.destination, correlationId, orderId, sequence, type, ...reason },
    'held as a dead letter',
  );
  return 1;
}

/** Closes dead letters behind which every event has been taken: their orders are served by the cursor again. */
export async function closeDelivered(delivery: Delivery): Promise<void> {
  const { db, backlogs } = delivery;
  for (const backlog of backlogs.values()) {
    for (const { orderId, events, deadLetter } of backlog.streams.values()) {
      if (!deadLetter || events.length > 0) continue;
      if (await closeDeadLetter(db, backlog.lease, deadLetter)) backlog.streams.delete(orderId);
      else dropBacklog(delivery, backlog.lease.partition);
    }
  }
}
