/** For destinations that take one event at a time: orders side by side, each order's events one after another. */
import pLimit from 'p-limit';
import type { CloudEvent } from '../../contracts/events.js';
import { isError } from '../../runtime/errors/facts.js';
import type { PublishOutcome } from './publisher.js';

/**
 * What is begun of one batch. A slow destination would else be sent for minutes what was read before, of a customer who has been
 * erased meanwhile; and nothing of a batch is noted before its end. The rest is in the next one.
 */
const BEGIN_LIMIT_MS = 5_000;

/**
 * An order stops at its first event that is not taken. All stop once as many events as go side by side have found the
 * destination unavailable, and none got through in between: the rest would only meet the same failure.
 * @param send        sends one event; what it throws counts as unavailable
 * @param parallelMax events in flight at a time
 */
export async function publishOneByOne(
  events: readonly CloudEvent[],
  send: (event: CloudEvent) => Promise<PublishOutcome>,
  parallelMax: number,
): Promise<PublishOutcome[]> {
  const limit = pLimit(parallelMax);
  const outcomes = events.map((): PublishOutcome => ({ outcome: 'not-sent' }));
  let unavailableInARow = 0;
  const untilMs = performance.now() + BEGIN_LIMIT_MS;
  const sendOrder = async (places: number[]) => {
    for (const place of places) {
      if (unavailableInARow >= parallelMax || performance.now() > untilMs) return;
      const outcome = await send(events[place] as CloudEvent).catch(asUnavailable);
      outcomes[place] = outcome;
      unavailableInARow = outcome.outcome === 'unavailable' ? unavailableInARow + 1 : 0;
      if (outcome.outcome !== 'taken') return;
    }
  };
  await Promise.all([...placesByOrder(events).values()].map((places) => limit(sendOrder, places)));
  return outcomes;
}

const asUnavailable = (err: unknown): PublishOutcome => ({
  outcome: 'unavailable',
  error: isError(err) ? err : new Error('the destination failed', { cause: err }),
});

function placesByOrder(events: readonly CloudEvent[]): Map<string, number[]> {
  const orders = new Map<string, number[]>();
  events.forEach(({ subject }, place) => {
    const places = orders.get(subject);
    if (places) places.push(place);
    else orders.set(subject, [place]);
  });
  return orders;
}
