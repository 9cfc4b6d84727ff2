/** Orders side by side, each order's events one after another: the next one leaves when the one before it was taken. */
import pLimit from 'p-limit';
import type { CloudEvent } from '../../contracts/events.js';
import type { PublishOutcome } from './publisher.js';

/**
 * @param send        never throws; what it says of an event decides whether its order goes on
 * @param parallelMax orders at a time
 * @returns one outcome per event, in the order given
 */
export async function publishOneByOne(
  events: readonly CloudEvent[],
  send: (event: CloudEvent) => Promise<Exclude<PublishOutcome, { outcome: 'not-sent' }>>,
  parallelMax: number,
): Promise<PublishOutcome[]> {
  const limit = pLimit(parallelMax);
  const outcomes = events.map((): PublishOutcome => ({ outcome: 'not-sent' }));
  const orders = new Map<string, number[]>();
  events.forEach((event, index) => {
    const indexes = orders.get(event.subject);
    if (indexes) indexes.push(index);
    else orders.set(event.subject, [index]);
  });
  const serve = async (indexes: number[]) => {
    for (const index of indexes) {
      const outcome = await send(events[index] as CloudEvent);
      outcomes[index] = outcome;
      if (outcome.outcome !== 'taken') return;
    }
  };
  await Promise.all([...orders.values()].map((indexes) => limit(serve, indexes)));
  return outcomes;
}
