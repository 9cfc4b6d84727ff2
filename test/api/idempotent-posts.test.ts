/** Idempotency-Key where the work lies between the claim of the key and its answer: every POST but POST /orders. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { fastify } from 'fastify';
import { v7 as uuidv7 } from 'uuid';
import { fingerprint } from '../../api/http/headers.js';
import { answerOnce } from '../../api/http/idempotency.js';
import { handleProblems } from '../../api/http/problems.js';
import type { Order } from '../../contracts/orders.js';
import { claimKey, extendClaim, type HeldClaim, KEYS_PER_ORDER_MAX, keepAnswer } from '../../domain/idempotency.js';
import { cancelOrder } from '../../domain/orders.js';
import { purgeKeys } from '../../domain/retention.js';
import { expectProblem, startTestApi, type TestApi } from '../support/api.js';
import { eventually } from '../support/conditions.js';
import { accept, stock } from '../support/database.js';
import { AUDIENCE, startTokenIssuer, type TokenIssuer } from './tokens.js';

const ROUTE = 'POST /orders/:id/cancel';
let issuer: TokenIssuer;
let api: TestApi;
beforeAll(async () => {
  issuer = await startTokenIssuer();
  api = await startTestApi({
    authentication: { issuer: issuer.url, audience: AUDIENCE, rolesClaim: 'roles', jwksUrl: issuer.jwksUrl },
  });
  await stock(api.db, 'KEYBOARD', 1_000);
});
afterAll(() => Promise.all([api.stop(), issuer.stop()]));

const as = async (subject: string, ...roles: string[]) => ({ authorization: await issuer.token({ subject, roles }) });
const newOrder = (customerId = 'cus_own') => accept(api.db, { KEYBOARD: 1 }, { customerId });
const REASON = { reason: 'changed my mind' };
const cancel = async (order: Order, key: string, body: object = REASON, caller = as('shop', 'service')) =>
  api.send<Order>('POST', `/orders/${order.id}/cancel`, body, { ...(await caller), 'idempotency-key': key });
const timesUnwound = (order: Order) => api.db.sagaLogEntry.count({ where: { orderId: order.id, step: 'unwinding' } });

/** What a process holds that is amid the work. */
const heldBy = (order: Order, key: string, changed: Partial<HeldClaim> = {}): HeldClaim => ({
  caller: 'shop',
  route: ROUTE,
  key,
  fingerprint: fingerprint(ROUTE, REASON, order.id),
  ttlMs: 60_000,
  id: uuidv7(),
  lockMs: 60_000,
  ...changed,
});

describe('a repeated POST', () => {
  test('is answered with the first answer’s bytes, whatever has become of the order since', async () => {
    const order = await newOrder();
    const first = await cancel(order, 'k-1');
    expect([first.status, first.body.status, first.headers.get('idempotent-replayed')]).toEqual([202, 'PENDING', null]);
    await cancelOrder(api.db, order.id);
    const again = await cancel(order, '"k-1"');
    expect([again.status, again.text, again.headers.get('idempotent-replayed')]).toEqual([202, first.text, 'true']);
    expect(again.headers.get('content-type')).toBe(first.headers.get('content-type'));
    expect((await cancel(order, 'k-1b')).body.status).toBe('CANCELLED');
  });

  test('without a key is carried out again, and not answered from memory', async () => {
    const order = await newOrder();
    const send = async () => api.send('POST', `/orders/${order.id}/cancel`, REASON, await as('shop', 'service'));
    expect((await send()).headers.get('idempotent-replayed')).toBeNull();
    expect((await send()).headers.get('idempotent-replayed')).toBeNull();
  });

  test('by fifty at once is carried out once; those that come too early are answered when to ask again', async () => {
    const order = await newOrder();
    const answers = await Promise.all(Array.from({ length: 50 }, () => cancel(order, 'k-race')));
    const done = answers.filter((answer) => answer.status === 202);
    expect(done.filter((answer) => answer.headers.get('idempotent-replayed') === null)).toHaveLength(1);
    expect(new Set(done.map((answer) => answer.text)).size).toBe(1);
    for (const early of answers.filter((answer) => answer.status !== 202)) {
      expectProblem(early, 409, 'idempotency-key-in-use');
      expect(early.headers.get('retry-after')).toMatch(/^[1-9]\d*$/);
    }
    expect(await timesUnwound(order)).toBe(1);
  });
});

/** They wait for each other at the order's row, for as long as a statement may. */
const AT_A_TIME = 10;

describe('a thousand fresh keys for one cancellation', () => {
  let order: Order;
  let first: Awaited<ReturnType<typeof cancel>>;
  const kept = async () => {
    const [row] = await api.db.$queryRaw<{ keys: number; bytes: number }[]>`
      SELECT count(*)::int AS keys, sum(pg_column_size(k.*))::int AS bytes FROM idempotency_keys k
      WHERE order_id = ${order.id}::uuid`;
    const answers = await api.db.idempotencyAnswer.count({ where: { response: { contains: order.id } } });
    return { answers, keys: row?.keys ?? 0, bytes: row?.bytes ?? 0 };
  };
  beforeAll(async () => {
    order = await newOrder();
    first = await cancel(order, 'fresh-first');
    await cancelOrder(api.db, order.id);
    const caller = as('shop', 'service');
    for (let sent = 0; sent < 1_000; sent += AT_A_TIME) {
      const keys = Array.from({ length: AT_A_TIME }, (_, i) => `fresh-${sent + i}`);
      for (const answer of await Promise.all(keys.map((key) => cancel(order, key, REASON, caller))))
        expect([answer.status, answer.body.status]).toEqual([202, 'CANCELLED']);
    }
  }, 60_000);

  test('keep two answers, and not many keys', async () => {
    const { answers, keys, bytes } = await kept();
    expect(answers).toBe(2);
    expect(keys).toBeGreaterThanOrEqual(KEYS_PER_ORDER_MAX);
    expect(keys).toBeLessThan(KEYS_PER_ORDER_MAX + AT_A_TIME); // those that came at the same time
    expect(bytes).toBeLessThan(keys * 300);
  });

  test('are answered again with the same bytes, by the first, by a later one and by one that is not kept', async () => {
    const replayed = async (key: string) => {
      const { status, text, headers } = await cancel(order, key);
      return [status, text, headers.get('idempotent-replayed')];
    };
    const later = (await cancel(order, 'fresh-0')).text;
    expect(await replayed('fresh-first')).toEqual([202, first.text, 'true']);
    expect(await replayed('fresh-0')).toEqual([202, later, 'true']);
    expect(await replayed('fresh-999')).toEqual([202, later, null]);
    expectProblem(await cancel(order, 'fresh-0', { reason: 'other' }), 422, 'idempotency-key-reused');
  });

  test('leave, with their answers, when their time is over', async () => {
    await api.db
      .$executeRaw`UPDATE idempotency_keys SET expires_at = now() - interval '1 s' WHERE order_id = ${order.id}::uuid`;
    await purgeKeys(api.db, 1_000);
    expect(await kept()).toMatchObject({ answers: 2, keys: 0 });
    await api.db
      .$executeRaw`UPDATE idempotency_answers SET expires_at = now() - interval '1 s' WHERE response LIKE ${`%${order.id}%`}`;
    await purgeKeys(api.db, 1_000);
    expect(await kept()).toMatchObject({ answers: 0 });
    expect((await cancel(order, 'fresh-first')).headers.get('idempotent-replayed')).toBeNull();
  });
});

describe('a key that stands for another request is refused:', () => {
  test('with another body', async () => {
    const order = await newOrder();
    const first = await cancel(order, 'k-body');
    expectProblem(await cancel(order, 'k-body', { reason: 'other' }), 422, 'idempotency-key-reused');
    expect((await cancel(order, 'k-body')).text).toBe(first.text);
  });

  test('for another order, which stays as it was', async () => {
    const [order, other] = [await newOrder(), await newOrder()];
    await cancel(order, 'k-path');
    expectProblem(await cancel(other, 'k-path'), 422, 'idempotency-key-reused');
    expect(await timesUnwound(other)).toBe(0);
  });

  test('but on another route, or another caller’s, it is another key', async () => {
    const order = await newOrder();
    const placed = await api.place({}, { ...(await as('shop', 'service')), 'idempotency-key': 'k-shared' });
    const answers = [await cancel(order, 'k-shared'), await cancel(order, 'k-shared', REASON, as('other', 'service'))];
    expect([placed, ...answers].map((answer) => answer.headers.get('idempotent-replayed'))).toEqual([null, null, null]);
    expect(answers.map((answer) => answer.status)).toEqual([202, 202]);
  });
});

test('an answer is not given again to a caller who may no longer see it', async () => {
  const order = await newOrder('cus_other');
  expect((await cancel(order, 'k-rights')).status).toBe(202);
  expectProblem(await cancel(order, 'k-rights', REASON, as('shop', 'customer')), 404, 'not-found');
  expectProblem(await cancel(order, 'k-rights', REASON, as('shop', 'auditor')), 403, 'forbidden');
});

describe('a refused request does not burn its key:', () => {
  const keys = () => api.db.idempotencyKey.count();
  test('neither before the work nor in it', async () => {
    const order = await newOrder();
    const before = await keys();
    expectProblem(await cancel(order, 'k-unburnt', { reason: '' }), 400, 'invalid-request');
    expectProblem(await cancel(order, 'a b'), 400, 'invalid-idempotency-key');
    expect((await cancel(order, 'k-operator', REASON, as('op', 'operator'))).status).toBe(202);
    expectProblem(await cancel(order, 'k-unburnt'), 409, 'order-cancelled');
    expect(await keys()).toBe(before + 1);
    expect((await cancel(await newOrder(), 'k-unburnt')).status).toBe(202);
  });

  test('nor when the service could not do it', async () => {
    const order = await newOrder();
    const before = await keys();
    const decide = async () =>
      api.send(
        'POST',
        `/admin/sagas/${order.id}/resolve`,
        { action: 'retry', reason: 'gateway is back' },
        { ...(await as('op', 'operator')), 'idempotency-key': 'k-away' },
      );
    expectProblem(await decide(), 503, 'unavailable');
    expectProblem(await decide(), 503, 'unavailable');
    expect(await keys()).toBe(before);
  });
});

describe('a request whose process', () => {
  test('is amid the work is not carried out a second time', async () => {
    const order = await newOrder();
    expect(await claimKey(api.db, heldBy(order, 'k-held'))).toBe(true);
    const answer = await cancel(order, 'k-held');
    expectProblem(answer, 409, 'idempotency-key-in-use');
    expect(answer.headers.get('retry-after')).toBe('1');
    expectProblem(await cancel(order, 'k-held', { reason: 'other' }), 422, 'idempotency-key-reused');
    expect(await timesUnwound(order)).toBe(0);
  });

  test('died amid the work is carried out by its repetition, when the lock has ended', async () => {
    const order = await newOrder();
    const dead = heldBy(order, 'k-dead', { lockMs: 1_000 });
    await claimKey(api.db, dead);
    expectProblem(await cancel(order, 'k-dead'), 409, 'idempotency-key-in-use');
    const resumed = await eventually('the lock ends', async () => {
      const answer = await cancel(order, 'k-dead');
      return answer.status === 202 && answer;
    });
    expect(resumed.headers.get('idempotent-replayed')).toBeNull();
    expect(await timesUnwound(order)).toBe(1);
    // The dead was only asleep: it neither overwrites the answer nor locks the key anew.
    expect(await keepAnswer(api.db, dead, { status: 202, response: 'late' })).toBe(false);
    await extendClaim(api.db, dead);
    expect((await cancel(order, 'k-dead')).text).toBe(resumed.text);
  });

  test('died amid the work stands for that request still: another body is refused', async () => {
    const order = await newOrder();
    await claimKey(api.db, heldBy(order, 'k-dead-other', { lockMs: 0 }));
    expectProblem(await cancel(order, 'k-dead-other', { reason: 'other' }), 422, 'idempotency-key-reused');
    expect((await cancel(order, 'k-dead-other')).status).toBe(202);
  });

  test('works for longer than a lock lasts holds its key until it is done: no other process begins the same work', async () => {
    const keyLock = { lockMs: 600, extendEveryMs: 100 };
    const app = fastify();
    app.decorateRequest('caller', { getter: () => ({ subject: 'shop', roles: ['service'] }) as never });
    handleProblems(app);
    let begun = 0;
    let finish = () => {};
    const work = new Promise<void>((resolve) => {
      finish = resolve;
    });
    app.post('/slow', (request, reply) =>
      answerOnce({ db: api.db, idempotencyTtlMs: 60_000, keyLock }, request, reply, async () => {
        begun++;
        await work;
        return { status: 202, body: { begun } };
      }),
    );
    const post = () => app.inject({ method: 'POST', url: '/slow', headers: { 'idempotency-key': 'k-slow' } });
    const first = post().then((answer) => answer);
    const key = await eventually('the key is held', () =>
      api.db.idempotencyKey.findFirst({ where: { key: 'k-slow' } }),
    );
    await eventually('its first lock is over', async () => {
      const [row] = await api.db.$queryRaw<{ isOver: boolean }[]>`
        SELECT now() > ${key.lockedUntil}::timestamptz + interval '300 ms' AS "isOver"`;
      return row?.isOver;
    });
    const second = post().then((answer) => answer.statusCode);
    const begunAgain = eventually('it is begun again', () => begun > 1 && 'begun again', 2_000).catch(() => undefined);
    expect(await Promise.race([second, begunAgain]).finally(finish)).toBe(409);
    const { statusCode, body } = await first;
    expect([statusCode, JSON.parse(body)]).toEqual([202, { begun: 1 }]);
    const again = await post();
    expect([again.body, again.headers['idempotent-replayed'], begun]).toEqual([body, 'true', 1]);
    await app.close();
  });

  test('goes on working keeps its lock by extending it', async () => {
    const order = await newOrder();
    const held = heldBy(order, 'k-long', { lockMs: 1 });
    await claimKey(api.db, held);
    await extendClaim(api.db, { ...held, lockMs: 60_000 });
    expectProblem(await cancel(order, 'k-long'), 409, 'idempotency-key-in-use');
  });
});
