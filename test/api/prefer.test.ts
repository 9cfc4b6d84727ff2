import type { Socket } from 'node:net';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { reserveInventory } from '../../domain/inventory.js';
import { confirmOrder } from '../../domain/confirmation.js';
import { beginUnwinding, cancelOrder } from '../../domain/orders.js';
import { recordCharge } from '../../domain/payments.js';
import { startServer, startTestApi, type TestApi } from '../support/api.js';
import { eventually } from '../support/conditions.js';
import { stock, ordersOf } from '../support/database.js';

let api: TestApi;
beforeAll(async () => {
  api = await startTestApi();
  await stock(api.db, 'KEYBOARD', 1_000);
});
afterAll(() => api.stop());

/** What its saga would do. */
async function confirm(orderId: string): Promise<void> {
  await reserveInventory(api.db, orderId);
  await recordCharge(api.db, orderId, `pi_${orderId}`);
  await confirmOrder(api.db, orderId);
}

describe('Prefer: wait', () => {
  test('answers the final status as soon as there is one', async () => {
    const answer = api.place({ customerId: 'cus_waits' }, { prefer: 'wait=25' });
    const placed = await eventually('the order is in the database', () =>
      ordersOf(api.db, 'cus_waits').then(([order]) => order),
    );
    await confirm(placed.id);
    const { status, headers, body } = await answer;
    expect([status, headers.get('preference-applied'), body.status]).toEqual([201, 'wait=25', 'CONFIRMED']);
    expect(headers.get('location')).toBe(`/orders/${placed.id}`);
  });

  test('answers a cancelled order with its reason', async () => {
    const answer = api.place({ customerId: 'cus_loses' }, { prefer: 'wait=25' });
    const placed = await eventually('the order is in the database', () =>
      ordersOf(api.db, 'cus_loses').then(([order]) => order),
    );
    await beginUnwinding(api.db, placed.id, { reason: 'PAYMENT_DECLINED' });
    await cancelOrder(api.db, placed.id);
    expect((await answer).body).toMatchObject({
      status: 'CANCELLED',
      cancellation: { reason: 'PAYMENT_DECLINED', message: expect.stringMatching(/declined/) },
    });
  });

  test('answers the order as it stands when the time is up', async () => {
    const { status, headers, body } = await api.place({}, { prefer: 'wait=1' });
    expect([status, headers.get('preference-applied'), body.status]).toEqual([201, 'wait=1', 'PENDING']);
    expect(Date.now() - Date.parse(body.createdAt)).toBeGreaterThanOrEqual(990);
  });

  test('answers when the time is up although memory was collected meanwhile', async () => {
    setFlagsFromString('--expose_gc');
    const collect = runInNewContext('gc') as () => void;
    const customerId = 'cus_collected';
    const answers = Promise.all(Array.from({ length: 20 }, () => api.place({ customerId }, { prefer: 'wait=3' })));
    await eventually('all of them wait', async () => (await ordersOf(api.db, customerId)).length === 20);
    collect();
    collect();
    let statuses: number[] | undefined;
    void answers.then((all) => {
      statuses = all.map((answer) => answer.status);
    });
    expect(await eventually('all are answered', () => statuses, 15_000)).toEqual(Array(20).fill(201));
  });

  test('in a replay answers the order as it is now, for at most 30 s', async () => {
    const first = await api.place({}, { 'idempotency-key': 'replay-wait' });
    await confirm(first.body.id);
    const again = await api.place({}, { 'idempotency-key': 'replay-wait', prefer: 'wait=9999' });
    expect(again.headers.get('preference-applied')).toBe('wait=30');
    expect(again.headers.get('idempotent-replayed')).toBe('true');
    expect(again.body).toMatchObject({ id: first.body.id, status: 'CONFIRMED' });
    expect((await api.place({}, { 'idempotency-key': 'replay-wait' })).text).toBe(first.text);
  });

  test.each([
    'wait',
    'wait=',
    'wait=soon',
    'wait=-1',
    'wait=1.5',
    'wait=1e1',
    'respond-async',
    'waiting=5',
    'wait 5',
    'wait=99999999999999999999',
  ])('is ignored when it is not understood: %p', async (prefer) => {
    const { status, headers, body } = await api.place({}, { prefer });
    expect([status, headers.get('preference-applied'), body.status]).toEqual([201, null, 'PENDING']);
  });

  test('is understood among other preferences, in any case', async () => {
    for (const prefer of ['respond-async, wait=0', 'Wait=0', 'return=minimal; foo="bar", WAIT = 0', 'wait="0"']) {
      expect((await api.place({}, { prefer })).headers.get('preference-applied')).toBe('wait=0');
    }
  });

  test('does not outlive the server: who waits is answered when it stops', async () => {
    const other = await startTestApi({ db: api.db, databaseUrl: api.databaseUrl });
    const answer = other.place({ customerId: 'cus_stopped' }, { prefer: 'wait=30' });
    await eventually('the order is in the database', () => ordersOf(api.db, 'cus_stopped').then(([order]) => order));
    await other.stop();
    expect(await answer).toMatchObject({ status: 201, body: { status: 'PENDING' } });
  });

  test('leaves nothing behind on a connection that is used again and again', async () => {
    const { app, client, stop } = await startServer(api);
    const connections: Socket[] = [];
    app.server.on('connection', (socket) => connections.push(socket));
    const listeners = () => connections.map((socket) => socket.listenerCount('close'));
    await client.place({}, { prefer: 'wait=0' });
    const [before] = listeners();
    for (let i = 0; i < 10; i++) await client.place({}, { prefer: 'wait=0' });
    expect(listeners()).toEqual(listeners().map(() => before));
    await stop();
  });
});
