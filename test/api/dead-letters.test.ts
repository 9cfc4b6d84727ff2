/** Dead letters over HTTP, carried out by a relay that really runs, against a receiver that really refuses. */
import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import type { DeadLetter } from '../../contracts/dead-letters.js';
import { reserveInventory } from '../../domain/inventory.js';
import { recordCharge } from '../../domain/payments.js';
import { expectProblem, startTestApi, type TestApi } from '../support/api.js';
import { eventually } from '../support/conditions.js';
import { accept, stock } from '../support/database.js';
import { type Receiver, startReceiver } from '../support/receiver.js';
import { runRelay } from '../support/relay.js';

let api: TestApi;
let receiver: Receiver;
let stopRelay: () => Promise<void>;
/** Orders whose second event the receiver refuses. */
const poisoned = new Set<string>();
/** Orders that it has no time for. */
const down = new Set<string>();

const startIt = () => runRelay({ db: api.db, url: api.databaseUrl }, receiver);
beforeAll(async () => {
  api = await startTestApi();
  await stock(api.db, 'A', 1_000_000);
  receiver = await startReceiver();
  receiver.answer = ({ subject, sequence }) =>
    down.has(subject) ? 503 : poisoned.has(subject) && sequence === 2 ? 422 : 204;
});
beforeEach(() => {
  stopRelay = startIt();
});
afterEach(async () => {
  await stopRelay();
  poisoned.clear();
  down.clear();
  await api.db.deadLetter.deleteMany();
});
afterAll(async () => {
  await api.stop();
  await receiver.stop();
});

type List = { deadLetters: DeadLetter[]; groups: { cause: string; count: number }[]; next: string | null };
type Results = { results: { id: string; outcome: string; state: string; error: string | null }[] };
const list = async (query = '') => (await api.get<List>(`/admin/dead-letters${query}`)).body;
const replay = (id: string, body?: object) => api.send<DeadLetter>('POST', `/admin/dead-letters/${id}/replay`, body);
const discard = (id: string, body: object) => api.send<DeadLetter>('POST', `/admin/dead-letters/${id}/discard`, body);
const replayMany = (body: object, headers = {}) =>
  api.send<Results>('POST', '/admin/dead-letters/replay', body, headers);

/** @returns the dead letters of as many orders, oldest first */
async function park(count: number): Promise<DeadLetter[]> {
  const orders = await Promise.all(Array.from({ length: count }, () => accept(api.db, { A: 1 })));
  for (const { id } of orders) poisoned.add(id);
  await Promise.all(orders.map(({ id }) => reserveInventory(api.db, id)));
  const { deadLetters } = await eventually('all are parked', async () => {
    const body = await list();
    return body.deadLetters.length === count && body;
  });
  return deadLetters;
}
const only = async () => (await park(1))[0] as DeadLetter;

describe('the list', () => {
  test('shows each dead letter, why, since when, and how much waits behind it, in pages and in groups', async () => {
    const parked = await park(3);
    expect(parked[0]).toEqual({
      id: expect.stringMatching(/^\d+$/),
      destination: 'webhook',
      orderId: expect.any(String),
      sequence: 2,
      type: 'inventory.reserved',
      cause: 'rejected',
      error: 'the webhook receiver answered 422',
      attempts: 3,
      state: 'PARKED',
      behind: 0,
      parkedAt: expect.any(String),
      updatedAt: expect.any(String),
      sku: null,
      decidedBy: null,
      reason: null,
    });
    const first = await list('?limit=2');
    expect(first.deadLetters.map(({ id }) => id)).toEqual(parked.slice(0, 2).map(({ id }) => id));
    expect(first.groups).toMatchObject([{ destination: 'webhook', cause: 'rejected', state: 'PARKED', count: 3 }]);
    const second = await list(`?limit=2&cursor=${first.next}`);
    expect(second).toMatchObject({ deadLetters: [{ id: parked[2]?.id }], next: null });
    expect((await list('?cause=invalid')).deadLetters).toEqual([]);
    expect((await list('?destination=kafka')).deadLetters).toEqual([]);
    expect((await list('?type=inventory.reserved&cause=rejected&destination=webhook')).deadLetters).toHaveLength(3);
    expect((await list('?state=DELIVERED')).deadLetters).toEqual([]);
    expectProblem(await api.get('/admin/dead-letters?state=LOST'), 400, 'invalid-request', ['querystring/state']);
    expectProblem(await api.get('/admin/dead-letters?cursor=x'), 400, 'invalid-request', ['querystring/cursor']);
  });
});

describe('a replay', () => {
  test('of a mended event answers that it is delivered, and may be repeated', async () => {
    const { id, orderId } = await only();
    poisoned.clear();
    const answer = await replay(id);
    expect(answer).toMatchObject({ status: 200, body: { id, state: 'DELIVERED', decidedBy: 'anonymous' } });
    expect(receiver.sequences(orderId)).toEqual([1, 2]);
    expect(await replay(id, {})).toMatchObject({ status: 200, body: { state: 'DELIVERED' } });
    expect(receiver.received.filter((event) => event.subject === orderId)).toHaveLength(2);
    expect(await list()).toEqual({ deadLetters: [], groups: [], next: null });
    expect((await list('?state=DELIVERED')).deadLetters).toMatchObject([{ id }]);
  });

  test('of one that is still refused answers that it is held again, with one more try', async () => {
    const { id } = await only();
    const answer = await replay(id, { operator: 'op-7', reason: 'looks mended' });
    expect(answer).toMatchObject({
      status: 200,
      body: { state: 'PARKED', attempts: 4, decidedBy: 'op-7', reason: 'looks mended' },
    });
  });

  test('asked for many times at once is carried out once', async () => {
    const { id, orderId } = await only();
    poisoned.clear();
    const answers = await Promise.all(Array.from({ length: 10 }, () => replay(id)));
    expect(answers.map(({ status, body }) => [status, body.state])).toEqual(answers.map(() => [200, 'DELIVERED']));
    expect(receiver.received.filter((event) => event.subject === orderId && event.sequence === 2)).toHaveLength(1);
    expect(await api.db.sagaLogEntry.count({ where: { orderId, step: 'dead-letter' } })).toBe(1);
  });

  test('that no relay carries out just now answers 202, and is carried out when one runs', async () => {
    const { id, orderId } = await only();
    poisoned.clear();
    await stopRelay();
    expect(await replay(id)).toMatchObject({ status: 202, body: { state: 'REPLAYING' } });
    stopRelay = startIt();
    await eventually('it is delivered', () => receiver.sequences(orderId).length === 2);
  });

  test('of nothing, or with what it does not know, is refused', async () => {
    expectProblem(await replay('999999'), 404, 'not-found');
    expectProblem(await replay('x'), 404, 'not-found');
    const { id } = await only();
    expectProblem(await replay(id, { force: true }), 400, 'invalid-request', ['/force']);
    expectProblem(await replay(id, { reason: '' }), 400, 'invalid-request', ['/reason']);
  });
});

describe('a bulk replay', () => {
  test('keeps to its rate, takes no more than asked for, and answers the outcome of each', async () => {
    const parked = await park(8);
    const [stubborn] = parked;
    poisoned.clear();
    poisoned.add(stubborn?.orderId ?? '');
    const from = performance.now();
    const [asked, key] = [{ destination: 'webhook', limit: 6, ratePerSecond: 5 }, { 'idempotency-key': randomUUID() }];
    const { status, body } = await replayMany(asked, key);
    expect(performance.now() - from).toBeGreaterThanOrEqual(1_000);
    expect(status).toBe(200);
    expect(body.results.map(({ id, outcome }) => [id, outcome])).toEqual(
      parked.slice(0, 6).map(({ id }) => [id, id === stubborn?.id ? 'parked-again' : 'delivered']),
    );
    expect(body.results[0]?.error).toBe('the webhook receiver answered 422');
    expect((await replayMany(asked, key)).body).toEqual(body);
    const rest = parked.slice(6).map(({ id }) => id);
    expect((await list()).deadLetters.map(({ id }) => id)).toEqual([stubborn?.id, ...rest]);

    const some = await replayMany({ ids: rest, ratePerSecond: 50 });
    expect(some.body.results.map(({ id, outcome }) => [id, outcome])).toEqual(rest.map((id) => [id, 'delivered']));
    expect((await replayMany({ cause: 'invalid' })).body).toEqual({ results: [] });
    expectProblem(await replayMany({ limit: 1_001 }), 400, 'invalid-request', ['/limit']);
    expectProblem(await replayMany({ ratePerSecond: 1_000 }), 400, 'invalid-request', ['/ratePerSecond']);
  });
});

describe('a bulk replay that does not say which', () => {
  test.each([
    ['no body', undefined],
    ['an empty one', {}],
    ['a limit', { limit: 5 }],
    ['all: false', { all: false }],
  ])('%s is refused, and sends nothing', async (_what, body) => {
    const { id } = await only();
    poisoned.clear();
    const refused = await api.send<Results>('POST', '/admin/dead-letters/replay', body);
    expectProblem(refused, 422, 'nothing-selected', ['/all']);
    expect(refused.body).toMatchObject({ detail: expect.stringContaining('ids, destination, cause or type') });
    expect((await list()).deadLetters).toMatchObject([{ id, state: 'PARKED' }]);
  });

  test('takes every dead letter with `all: true`', async () => {
    const parked = await park(2);
    poisoned.clear();
    const { body } = await replayMany({ all: true, ratePerSecond: 50 });
    expect(body.results.map(({ id, outcome }) => [id, outcome])).toEqual(parked.map(({ id }) => [id, 'delivered']));
  });
});

describe('discarding', () => {
  test('several in one request is each on record by itself, and tells which there are not', async () => {
    const letters = await park(2);
    const ids = letters.map(({ id }) => id);
    const body = { ids: [...ids, '999999999'], operator: 'op-7', reason: 'sent by hand, ticket 13' };
    const many = () => api.send<Results>('POST', '/admin/dead-letters/discard', body);
    const { status, body: answer } = await many();
    const outcomes = [...ids.map((id) => [id, 'discarded']), ['999999999', 'unknown']];
    expect([status, answer.results.map(({ id, outcome }) => [id, outcome])]).toEqual([200, outcomes]);
    expect((await many()).body).toEqual(answer);
    const acts = await api.db.auditAct.findMany({ where: { route: 'POST /admin/dead-letters/discard' } });
    expect(acts.map(({ resource, reason }) => [resource, reason]).sort()).toEqual(
      ids.map((id) => [id, 'sent by hand, ticket 13']).sort(),
    );
    expectProblem(await api.send('POST', '/admin/dead-letters/discard', { ids }), 400, 'invalid-request', ['/reason']);
  });

  test('needs a reason, which is kept with who gave it, and cannot be taken back', async () => {
    const { id, orderId } = await only();
    expectProblem(await discard(id, {}), 400, 'invalid-request', ['/reason']);
    const answer = await discard(id, { reason: 'sent by hand, ticket 12', operator: 'op-7' });
    expect(answer).toMatchObject({
      status: 200,
      body: { state: 'DISCARDED', decidedBy: 'op-7', reason: 'sent by hand, ticket 12' },
    });
    expect((await discard(id, { reason: 'again' })).body.reason).toBe('sent by hand, ticket 12');
    expectProblem(await replay(id), 409, 'already-decided');
    const audit = await api.db.sagaLogEntry.findMany({ where: { orderId, step: 'dead-letter' } });
    expect(audit).toMatchObject([{ outcome: 'discard', actor: 'op-7' }]);
    expectProblem(await discard('999999', { reason: 'x' }), 404, 'not-found');
  });

  /** Discards while a replay is under way; the events behind the dead letter may follow from then on. */
  async function discardReplayed({ id, orderId }: DeadLetter, isUnderWay: () => Promise<boolean>): Promise<void> {
    const replaying = replay(id);
    await eventually('it is being replayed', isUnderWay);
    expect(await discard(id, { reason: 'sent by hand' })).toMatchObject({ status: 200, body: { state: 'DISCARDED' } });
    expectProblem(await replaying, 409, 'already-decided');
    poisoned.clear();
    await recordCharge(api.db, orderId, `pi_${orderId}`);
  }

  test('what is being replayed, but by no relay, is honoured by the next that runs', async () => {
    const letter = await only();
    await stopRelay();
    await discardReplayed(letter, async () => (await list('?state=REPLAYING')).deadLetters.length === 1);
    stopRelay = startIt();
    await eventually('what is behind it arrives', () => receiver.sequences(letter.orderId).length === 2);
    expect(receiver.sequences(letter.orderId)).toEqual([1, 3]);
  });

  test('what is being replayed to a destination that is down for it gives the replay up', async () => {
    const letter = await only();
    down.add(letter.orderId);
    const { asked } = receiver;
    await discardReplayed(letter, async () => receiver.asked > asked);
    down.clear();
    await eventually('what is behind it arrives', () => receiver.sequences(letter.orderId).length === 2);
    expect(receiver.sequences(letter.orderId)).toEqual([1, 3]);
    expect((await list('?state=DISCARDED')).deadLetters).toMatchObject([{ id: letter.id, reason: 'sent by hand' }]);
  });

  test('what has been delivered is refused', async () => {
    const { id } = await only();
    poisoned.clear();
    await replay(id);
    expectProblem(await discard(id, { reason: 'too late' }), 409, 'already-decided');
  });
});
