/** Dead letters: an event that a destination rejects is held with its order's later events, and no other order waits for it. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import type { CloudEvent } from '../../contracts/events.js';
import { readBacklog } from '../../domain/cursors.js';
import { countDeadLetters, decideDeadLetter, listDeadLetters, readDeadLetters } from '../../domain/dead-letters.js';
import { releaseInventory } from '../../domain/inventory.js';
import { beginUnwinding, cancelOrder } from '../../domain/orders.js';
import { deliverOnce } from '../../relay/deliveries.js';
import { EVENT_MAX_BYTES, HELD_IN_A_ROW_MAX } from '../../relay/hold-policy.js';
import { eventually } from '../support/conditions.js';
import { createTestDatabase, feedShowsAll, stock, type TestDatabase } from '../support/database.js';
import { keepLog } from '../support/log.js';
import { type Receiver, startReceiver } from '../support/receiver.js';
import { webhookTo } from '../support/relay.js';
import { beginAtTheEnd, deliverAll, someOrders, startTestRelay, type TestRelay } from './relays.js';

let t: TestDatabase;
let receiver: Receiver;
beforeAll(async () => {
  t = await createTestDatabase();
  await stock(t.db, 'A', 1_000_000);
});
beforeEach(async () => {
  await t.db.deadLetter.deleteMany();
  await beginAtTheEnd(t);
  receiver = await startReceiver();
});
afterEach(() => receiver.stop());
afterAll(() => t.drop());

const startOne = (options = {}) => startTestRelay(t, webhookTo(receiver), { backoffMaxMs: 40, ...options });
const answer = (isRejected: (event: CloudEvent) => boolean, status: number) => {
  receiver.answer = (event) => (isRejected(event) ? status : 204);
};
const is = (id: string, sequence: number) => (event: CloudEvent) => event.subject === id && event.sequence === sequence;
const deadLetters = () => listDeadLetters(t.db, {}, 1_000);
const read = async (id: string) => (await readDeadLetters(t.db, [id]))[0];
const decide = (id: string, action: 'replay' | 'discard', reason?: string) =>
  decideDeadLetter(t.db, id, { action, operator: 'op-7', ...(reason !== undefined && { reason }) });

/** Two more events, the third and the fourth. */
async function unwind(id: string): Promise<void> {
  await beginUnwinding(t.db, id, { reason: 'OPERATOR' });
  await releaseInventory(t.db, id);
  await cancelOrder(t.db, id);
  await feedShowsAll(t.db);
}

/** Rounds until the condition holds, as the loop would make them. */
const roundsUntil = (relay: TestRelay, what: string, condition: () => Promise<boolean> | boolean) =>
  eventually(
    what,
    async () => {
      await deliverOnce(relay).catch(() => undefined);
      return condition();
    },
    40_000, // each round takes what it takes on this machine
  );

/** An order whose second event is rejected and held. */
async function holdOne(relay: TestRelay, status = 422) {
  const [id = '', ...others] = await someOrders(t, 10);
  answer(is(id, 2), status);
  await roundsUntil(relay, 'it is held', async () => (await deadLetters()).length === 1);
  const [deadLetter] = await deadLetters();
  if (!deadLetter) throw new Error('there is no dead letter');
  return { id, others, deadLetter };
}

describe('an event that its destination rejects', () => {
  test('is held after three tries with the later events of its order, and no other order waits', async () => {
    const relay = await startOne();
    const { id, others, deadLetter } = await holdOne(relay);
    for (const other of others) expect(receiver.sequences(other)).toEqual([1, 2]);
    expect(receiver.sequences(id)).toEqual([1]);
    expect(deadLetter).toMatchObject({
      destination: 'webhook',
      orderId: id,
      sequence: 2,
      type: 'inventory.reserved',
      cause: 'rejected',
      error: 'the webhook receiver answered 422',
      attempts: 3,
      state: 'PARKED',
      behind: 0,
    });
    receiver.answer = () => 204;
    await unwind(id);
    await deliverAll(relay);
    expect(receiver.sequences(id)).toEqual([1]);
    expect(await deadLetters()).toMatchObject([{ behind: 2 }]);
    expect(await countDeadLetters(t.db)).toEqual([
      { destination: 'webhook', cause: 'rejected', state: 'PARKED', count: 1, oldest: deadLetter.parkedAt },
    ]);
    expect(await readBacklog(t.db)).toEqual([{ destination: 'webhook', events: 0, oldestAt: null }]);
  });

  test('stays held for a relay that starts afresh, and is replayed by it in order', async () => {
    const first = await startOne();
    const { id, deadLetter } = await holdOne(first);
    await first.release();
    receiver.answer = () => 204;
    await unwind(id);
    const second = await startOne();
    await deliverAll(second);
    expect(receiver.sequences(id)).toEqual([1]);

    expect(await decide(deadLetter.id, 'replay')).toBe(true);
    expect(await decide(deadLetter.id, 'replay')).toBe(false);
    await roundsUntil(second, 'it is closed', async () => (await deadLetters()).length === 0);
    expect(receiver.sequences(id)).toEqual([1, 2, 3, 4]);
    expect(await read(deadLetter.id)).toMatchObject({ state: 'DELIVERED', decidedBy: 'op-7', behind: 0 });
    const logged = await t.db.sagaLogEntry.findMany({ where: { orderId: id, step: 'dead-letter' } });
    expect(logged).toMatchObject([{ outcome: 'replay', actor: 'op-7', detail: 'webhook, event 2' }]);
  });

  test('is held again by a replay at the first rejection, and the next replay still keeps the order', async () => {
    const { logger, lines } = keepLog();
    const relay = await startOne({ logger });
    const { id, deadLetter } = await holdOne(relay);
    await unwind(id);
    receiver.answer = (event) => (is(id, 2)(event) ? 400 : 204);
    await decide(deadLetter.id, 'replay');
    await roundsUntil(relay, 'held again', async () => (await read(deadLetter.id))?.state === 'PARKED');
    expect(await deadLetters()).toMatchObject([
      { id: deadLetter.id, attempts: 4, error: 'the webhook receiver answered 400', behind: 2 },
    ]);
    expect(receiver.sequences(id)).toEqual([1]);

    // The second event is mended by now; the third is what is wrong: a dead letter of its own.
    answer(is(id, 3), 422);
    await decide(deadLetter.id, 'replay');
    await roundsUntil(relay, 'the third is held', async () => (await deadLetters())[0]?.sequence === 3);
    expect(await read(deadLetter.id)).toMatchObject({ state: 'DELIVERED' });
    expect(receiver.sequences(id)).toEqual([1, 2]);
    receiver.answer = () => 204;
    const [third] = await deadLetters();
    await decide(third?.id ?? '', 'replay');
    await roundsUntil(relay, 'all is delivered', () => receiver.sequences(id).length === 4);
    expect(receiver.sequences(id)).toEqual([1, 2, 3, 4]);
    // Its story has each act, once, and what came of it.
    const { correlationId } = await t.db.order.findUniqueOrThrow({ where: { id } });
    const told = lines.filter((line) => line['correlationId'] === correlationId);
    const replayed = 'dead letter: decided by an operator op-7 replay';
    const held = 'held as a dead letter';
    const delivered = 'event delivered';
    expect(told.map(({ msg, actor, action }) => [msg, actor, action].filter(Boolean).join(' '))).toEqual([
      ...[delivered, held, replayed, held, replayed, delivered, held, replayed, delivered, delivered],
    ]);
  });

  test('whose replay finds the destination down waits for it, and is not held again', async () => {
    const relay = await startOne();
    const { id, deadLetter } = await holdOne(relay);
    await receiver.stop();
    await decide(deadLetter.id, 'replay');
    for (let round = 0; round < 30; round++) await deliverOnce(relay).catch(() => undefined);
    expect(await deadLetters()).toMatchObject([{ state: 'REPLAYING', attempts: 3 }]);
    receiver.answer = () => 204;
    await receiver.start();
    await roundsUntil(relay, 'it is delivered', () => receiver.sequences(id).length === 2);
  });

  test('that is discarded is never sent, with the reason kept, and the later ones follow in order', async () => {
    const { logger, lines } = keepLog();
    const relay = await startOne({ logger });
    const { id, deadLetter } = await holdOne(relay);
    receiver.answer = () => 204;
    expect(await decide(deadLetter.id, 'discard', 'the consumer has it from a file, ticket 12')).toBe(true);
    expect(await decide(deadLetter.id, 'replay')).toBe(false);
    await unwind(id);
    await roundsUntil(relay, 'the last arrives', () => receiver.sequences(id).includes(4));
    expect(receiver.sequences(id)).toEqual([1, 3, 4]);
    await roundsUntil(relay, 'closed', async () => (await t.db.deadLetter.count({ where: { closedAt: null } })) === 0);
    expect(await read(deadLetter.id)).toMatchObject({
      state: 'DISCARDED',
      decidedBy: 'op-7',
      reason: 'the consumer has it from a file, ticket 12',
    });
    const told = { orderId: id, sequence: 2, actor: 'op-7', action: 'discard' };
    expect(lines.filter(({ actor }) => actor !== undefined)).toEqual([expect.objectContaining(told)]);
    const logged = await t.db.sagaLogEntry.findMany({ where: { orderId: id, step: 'dead-letter' } });
    expect(logged).toMatchObject([
      { outcome: 'discard', detail: 'webhook, event 2: the consumer has it from a file, ticket 12' },
    ]);
  });

  test.each([
    { status: 204, state: 'DELIVERED', sent: [1, 2, 3, 4] },
    { status: 422, state: 'DISCARDED', sent: [1, 3, 4] },
  ])('that is discarded while its replay is being answered $status ends as $state', async ({ status, state, sent }) => {
    const { logger, lines } = keepLog();
    const relay = await startOne({ logger });
    const { id, deadLetter } = await holdOne(relay);
    await unwind(id);
    answer(is(id, 2), status);
    receiver.whenAsked = async (event) => {
      if (is(id, 2)(event)) await decide(deadLetter.id, 'discard', 'by hand');
    };
    await decide(deadLetter.id, 'replay');
    await roundsUntil(relay, 'closed', async () => (await t.db.deadLetter.count({ where: { closedAt: null } })) === 0);
    expect(await read(deadLetter.id)).toMatchObject({ state, reason: 'by hand' });
    expect(receiver.sequences(id)).toEqual(sent);
    const acts = lines.flatMap(({ action }) => action ?? []);
    expect(acts).toEqual(state === 'DISCARDED' ? ['replay', 'discard'] : ['replay']);
  });

  test('that is discarded holds its order no longer when the next one is rejected, too', async () => {
    const relay = await startOne();
    const { id, deadLetter } = await holdOne(relay);
    await unwind(id);
    answer(is(id, 3), 422);
    await decide(deadLetter.id, 'discard', 'not wanted');
    await roundsUntil(relay, 'the third is held', async () => (await deadLetters())[0]?.sequence === 3);
    expect(await read(deadLetter.id)).toMatchObject({ state: 'DISCARDED', reason: 'not wanted' });
    expect(receiver.sequences(id)).toEqual([1]);
  });
});

describe('holding', () => {
  test('takes an event that fails time and again while others get through', async () => {
    const relay = await startOne();
    const [id = ''] = await someOrders(t, 1);
    answer(is(id, 2), 500);
    await roundsUntil(relay, 'the first of it arrives', () => receiver.sequences(id).length === 1);
    for (let round = 0; round < 10; round++) await deliverOnce(relay).catch(() => undefined);
    expect(await deadLetters()).toEqual([]); // no other order has got through
    for (let wave = 0; (await deadLetters()).length === 0 && wave < 30; wave++) {
      const others = await someOrders(t, 4);
      await roundsUntil(relay, 'others arrive', () => others.every((other) => receiver.sequences(other).length === 2));
      await roundsUntil(relay, 'it was tried', () => true);
    }
    expect(await deadLetters()).toMatchObject([
      { orderId: id, cause: 'unavailable-for-this-event', error: 'the webhook receiver answered 500' },
    ]);
  });

  test('takes no more than a few when a destination rejects whatever it is sent: that is its fault, or our set-up', async () => {
    const orders = await someOrders(t, HELD_IN_A_ROW_MAX + 30);
    receiver.answer = () => 400;
    const relay = await startOne();
    await roundsUntil(relay, 'some are held', async () => (await deadLetters()).length >= HELD_IN_A_ROW_MAX);
    for (let round = 0; round < 30; round++) await deliverOnce(relay).catch(() => undefined);
    expect(await deadLetters()).toHaveLength(HELD_IN_A_ROW_MAX);
    receiver.answer = () => 204;
    const held = new Set((await deadLetters()).map(({ orderId }) => orderId));
    const rest = orders.filter((id) => !held.has(id));
    await roundsUntil(relay, 'the rest arrives', () => rest.every((id) => receiver.sequences(id).length === 2));
    for (const { id } of await deadLetters()) await decide(id, 'replay');
    await roundsUntil(relay, 'all arrive', () => orders.every((id) => receiver.sequences(id).length === 2));
    for (const id of orders) expect(receiver.sequences(id)).toEqual([1, 2]);
  });

  test('takes an event that its schema, or its size, forbids, before it is sent', async () => {
    const [invalid = '', large = '', fine = ''] = await someOrders(t, 3);
    await t.db.event.update({
      where: { orderId_sequence: { orderId: large, sequence: 2 } },
      data: { data: { items: ['x'.repeat(EVENT_MAX_BYTES)] } },
    });
    const relay = await startOne({
      validate: (event: CloudEvent) => (is(invalid, 2)(event) ? '/items: is missing' : undefined),
    });
    await roundsUntil(relay, 'both are held', async () => (await deadLetters()).length === 2);
    expect((await deadLetters()).map(({ orderId, cause, error }) => ({ orderId, cause, error }))).toEqual(
      expect.arrayContaining([
        { orderId: invalid, cause: 'invalid', error: '/items: is missing' },
        {
          orderId: large,
          cause: 'too-large',
          error: expect.stringMatching(/^the event has 26\d+ bytes, at most 262144/),
        },
      ]),
    );
    expect(receiver.sequences(fine)).toEqual([1, 2]);
    for (const id of [invalid, large]) expect(receiver.sequences(id)).toEqual([1]);
  });

  test('by a relay that has lost its lease does not happen', async () => {
    const [id = ''] = await someOrders(t, 1);
    const sleeper = await startOne();
    receiver.answer = () => 422;
    await deliverOnce(sleeper);
    await t.db.relayCursor.updateMany({ data: { leaseOwner: 'another', leaseEpoch: 99 } });
    for (let round = 0; round < 20; round++) await deliverOnce(sleeper).catch(() => undefined);
    await eventually('it has tried long enough', async () => {
      await deliverOnce(sleeper).catch(() => undefined);
      return receiver.asked >= 3;
    });
    expect(await deadLetters()).toEqual([]);
    expect(receiver.sequences(id)).toEqual([]);
  });
});
