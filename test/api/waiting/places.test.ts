/** How many requests one caller, and all together, can hold open. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { expectProblem, type EventStream, startTestApi, type TestApi } from '../../support/api.js';
import { eventually } from '../../support/conditions.js';
import { accept, stock, ordersOf } from '../../support/database.js';
import { AUDIENCE, startTokenIssuer, type TokenIssuer } from '../tokens.js';
import { type CountedDatabase, countStatements } from './statements.js';

const LIMITS = { perProcess: 12, perCustomer: 2, perService: 6 };
let base: TestApi;
let issuer: TokenIssuer;
let guarded: TestApi;
let statements: CountedDatabase;
const streams: EventStream[] = [];
beforeAll(async () => {
  [base, issuer] = await Promise.all([startTestApi({ streams: LIMITS, waits: LIMITS }), startTokenIssuer()]);
  await stock(base.db, 'KEYBOARD', 1_000_000);
  statements = countStatements(base.db);
  guarded = await startTestApi({
    db: statements.db,
    databaseUrl: base.databaseUrl,
    streams: LIMITS,
    waits: LIMITS,
    authentication: { issuer: issuer.url, audience: AUDIENCE, rolesClaim: 'roles', jwksUrl: issuer.jwksUrl },
  });
});
afterEach(() => {
  for (const stream of streams.splice(0)) stream.close();
});
afterAll(async () => {
  await guarded.stop();
  await Promise.all([base.stop(), issuer.stop()]);
});

const as = async (subject: string, role = 'customer') => ({
  authorization: await issuer.token({ subject, roles: [role] }),
});
const orderOf = async (customerId: string) => (await accept(base.db, { KEYBOARD: 1 }, { customerId })).id;

async function open(api: TestApi, path: string, headers = {}): Promise<EventStream> {
  const stream = await api.stream(path, headers);
  streams.push(stream);
  return stream;
}
const ask = (api: TestApi, path: string, headers = {}) => api.get(path, { accept: 'text/event-stream', ...headers });
/** Closed streams free their places at once; the server has to hear of it. */
const untilTaken = (api: TestApi, path: string, headers = {}) =>
  eventually('there is a place again', async () => {
    const stream = await open(api, path, headers);
    return stream.response.status === 200 && stream;
  });

describe('streams', () => {
  test('of a customer beyond its limit are refused with 429, others’ are not; one that is closed makes room', async () => {
    const [mine, others] = [await orderOf('cus_a'), await orderOf('cus_b')];
    const [me, other] = [await as('cus_a'), await as('cus_b')];
    const [first] = [
      await open(guarded, `/orders/${mine}/events`, me),
      await open(guarded, `/orders/${mine}/events`, me),
    ];
    const refused = await ask(guarded, `/orders/${mine}/events`, me);
    expectProblem(refused, 429, 'too-many-requests');
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThanOrEqual(1);
    expect((await open(guarded, `/orders/${others}/events`, other)).response.status).toBe(200);
    expect((await guarded.get(`/orders/${mine}`, me)).status).toBe(200);
    first?.close();
    await untilTaken(guarded, `/orders/${mine}/events`, me);
  });

  test('of a service are more; one customer behind it leaves the last half to the others', async () => {
    const [one, two, three] = await Promise.all(['cus_c', 'cus_d', 'cus_e'].map(orderOf));
    const shop = await as('shop', 'service');
    for (const id of [one, one, one, two])
      expect((await open(guarded, `/orders/${id}/events`, shop)).response.status).toBe(200);
    expectProblem(await ask(guarded, `/orders/${one}/events`, shop), 429, 'too-many-requests');
    for (const id of [two, three])
      expect((await open(guarded, `/orders/${id}/events`, shop)).response.status).toBe(200);
    expectProblem(await ask(guarded, '/events', shop), 429, 'too-many-requests');
    expect((await open(guarded, '/events', await as('watcher', 'auditor'))).response.status).toBe(200);
  });

  test('without authentication are limited for all together', async () => {
    const id = await orderOf('cus_f');
    for (let i = 0; i < LIMITS.perProcess; i++) await open(base, i % 2 === 0 ? '/events' : `/orders/${id}/events`);
    const refused = await ask(base, '/events');
    expectProblem(refused, 503, 'overloaded');
    expect(refused.headers.get('retry-after')).toEqual(expect.any(String));
    expect((await base.get(`/orders/${id}`)).status).toBe(200);
    streams.shift()?.close();
    await untilTaken(base, '/events');
  });

  test('that are refused cost Postgres nothing', async () => {
    const id = await orderOf('cus_g');
    const [me, shop] = [await as('cus_g'), await as('shop-g', 'service')];
    for (const headers of [me, me, shop, shop, shop]) await open(guarded, `/orders/${id}/events`, headers);
    const began = Date.now();
    const asked = await statements.of(async () => {
      for (let i = 0; i < 50; i++)
        for (const headers of [me, shop])
          expect((await ask(guarded, `/orders/${id}/events`, headers)).status).toBe(429);
    });
    // Nothing but the polls of the streams that are open.
    expect(asked).toBeLessThanOrEqual(2 + Math.ceil((Date.now() - began) / 500));
  }, 30_000);

  test('whose order is not the caller’s leave no place taken', async () => {
    const me = await as('cus_h');
    for (let i = 0; i < 5; i++)
      expectProblem(await ask(guarded, `/orders/${await orderOf('cus_i')}/events`, me), 404, 'not-found');
    expect((await open(guarded, `/orders/${await orderOf('cus_h')}/events`, me)).response.status).toBe(200);
  });
});

describe('an order whose client prefers to wait', () => {
  const placed = (customerId: string, times: number) =>
    eventually('they wait', async () => (await ordersOf(base.db, customerId)).length === times);

  test('beyond the customer’s limit is accepted and answered at once, without Preference-Applied', async () => {
    const me = await as('cus_w');
    const waits = [1, 2].map(() => guarded.place({ customerId: 'cus_w' }, { ...me, prefer: 'wait=4' }));
    await placed('cus_w', 2);
    const third = await guarded.place({ customerId: 'cus_w' }, { ...me, prefer: 'wait=30' });
    expect([third.status, third.headers.get('preference-applied'), third.body.status]).toEqual([201, null, 'PENDING']);
    const other = guarded.place({ customerId: 'cus_x' }, { ...(await as('cus_x')), prefer: 'wait=1' });
    expect((await other).headers.get('preference-applied')).toBe('wait=1');
    for (const answer of await Promise.all(waits)) expect(answer.headers.get('preference-applied')).toBe('wait=4');
    const later = await guarded.place({ customerId: 'cus_w' }, { ...me, prefer: 'wait=0' });
    expect(later.headers.get('preference-applied')).toBe('wait=0');
  });

  test('beyond the limit of a customer behind a service does not hold up the service’s others', async () => {
    const shop = await as('shop-w', 'service');
    const waits = [1, 2, 3].map(() => guarded.place({ customerId: 'cus_y' }, { ...shop, prefer: 'wait=4' }));
    await placed('cus_y', 3);
    const fourth = await guarded.place({ customerId: 'cus_y' }, { ...shop, prefer: 'wait=30' });
    expect([fourth.status, fourth.headers.get('preference-applied')]).toEqual([201, null]);
    const other = await guarded.place({ customerId: 'cus_z' }, { ...shop, prefer: 'wait=1' });
    expect(other.headers.get('preference-applied')).toBe('wait=1');
    await Promise.all(waits);
  });
});
