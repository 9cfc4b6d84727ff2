/** What a publisher must do whatever the broker: the same tests for each, against the real one. */
import { randomUUID } from 'node:crypto';
import { expect } from '@jest/globals';
import { v7 as uuidv7 } from 'uuid';
import { type CloudEvent, toCloudEvent } from '../../../contracts/events.js';
import type { Publisher, PublishOutcome } from '../../../relay/publishers/publisher.js';
import { eventually } from '../../support/conditions.js';

const TYPES = ['order.created', 'inventory.reserved', 'payment.charged', 'order.confirmed'] as const;

/** An order's events, from its first. @param padding characters in the data of each */
export function eventsOf(orderId = uuidv7(), count = 3, padding = 0): CloudEvent[] {
  return Array.from({ length: count }, (_, index) =>
    toCloudEvent({
      orderId,
      sequence: index + 1,
      type: TYPES[index % TYPES.length] ?? 'order.created',
      data: { orderId, note: 'ü€😀', padding: 'x'.repeat(padding) },
      correlationId: randomUUID(),
      traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
      occurredAt: new Date('2026-11-21T09:00:00.123Z'),
    }),
  );
}

/** Events of several orders as an outbox has them: every order's first, every order's second … */
export function manyOrders(orders: number, eventsEach = 3): CloudEvent[] {
  const lists = Array.from({ length: orders }, () => eventsOf(undefined, eventsEach));
  return Array.from({ length: eventsEach }, (_, index) => lists.map((list) => list[index] as CloudEvent)).flat();
}

export const kinds = (outcomes: PublishOutcome[]): string[] => outcomes.map(({ outcome }) => outcome);

/** Small enough that a test can step in between two. */
const BATCH_MAX = 50;

/** As the relay does: what was not taken is sent again, in the order it has, until all is taken. @param onTaken so far */
export async function publishUntilTaken(
  publisher: Publisher,
  events: CloudEvent[],
  { withinMs = 60_000, onTaken = (_count: number) => {} } = {},
): Promise<void> {
  let owed = events;
  await eventually(
    'all events are taken',
    async () => {
      const outcomes = await publisher.publish(owed.slice(0, BATCH_MAX));
      const refused = outcomes.find(({ outcome }) => outcome === 'rejected');
      if (refused) throw new Error(`rejected: ${JSON.stringify(refused)}`);
      owed = owed.filter((_, index) => outcomes[index]?.outcome !== 'taken');
      onTaken(events.length - owed.length);
      return owed.length === 0;
    },
    withinMs,
  );
}

export function expectUnavailable(outcomes: PublishOutcome[], words: RegExp): void {
  expect(kinds(outcomes)[0]).toBe('unavailable');
  expect(kinds(outcomes).filter((kind) => kind === 'taken' || kind === 'rejected')).toEqual([]);
  for (const each of outcomes) if (each.outcome === 'unavailable') expect(each.error.message).toMatch(words);
}
