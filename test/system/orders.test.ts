/** Everything real, started as its users start it, spoken to over HTTP only. */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type Order, ProblemError } from '../../clients/typescript/client.js';
import { STEPS } from '../../contracts/plan.js';
import type { SagaProgress } from '../../contracts/saga.js';
import { expectRightFromOutside } from '../support/invariants.js';
import { eventually } from '../support/conditions.js';
import {
  type ApiClient,
  clientOf,
  type Installation,
  isAlive,
  launch,
  launchRefused,
  newInstallation,
  type Running,
} from '../support/launcher.js';
import { type Receiver, startReceiver } from '../support/receiver.js';

let installation: Installation;
let running: Running;
let client: ApiClient;
let receiver: Receiver;

beforeAll(async () => {
  receiver = await startReceiver();
  installation = await newInstallation({
    WEBHOOK_URL: receiver.url,
    WEBHOOK_SECRET: receiver.secret,
    WEBHOOK_ALLOW_PRIVATE: 'true',
    DELIVERY_BACKOFF_MAX: '1s',
  });
  running = await launch(installation);
  client = clientOf(installation);
  await client.stock('PLENTY', 1_000_000);
  await client.stock('SCARCE', 3);
  await client.stock('GONE', 0);
}, 120_000);
afterAll(async () => {
  await running?.stop();
  await receiver?.stop();
  await installation?.remove();
}, 30_000);

describe('an order', () => {
  test('is accepted, confirmed, charged, and its saga and events tell so', async () => {
    const order = await client.post({ PLENTY: 2 });
    expect(order).toMatchObject({ status: 'PENDING', total: { amount: 2_000, currency: 'USD' } });
    const final = await client.final(order.id);
    expect(final.status).toBe('CONFIRMED');
    await expectRightFromOutside(client, [final]);
    const saga = await client.get<SagaProgress & { webUrl: string; runId: string }>(`/orders/${order.id}/saga`);
    expect(saga.state).toBe('COMPLETED');
    expect(saga.steps.map(({ name, status }) => [name, status])).toEqual(STEPS.map((name) => [name, 'completed']));
    const page = await fetch(saga.webUrl);
    expect(page.status).toBe(200);
    const events = 1 + STEPS.length; // its creation, and one for each step
    await eventually(
      'the webhook receiver has all events',
      () => receiver.sequences(order.id).length === events,
      5_000,
    );
  });

  test('answers its final status to a client that prefers to wait', async () => {
    expect((await client.post({ PLENTY: 1 }, 'pm_card_visa', { prefer: 'wait=20' })).status).toBe('CONFIRMED');
  });

  test('for more than there is, is cancelled as OUT_OF_STOCK before any money moves', async () => {
    const final = await client.final((await client.post({ GONE: 1 })).id);
    expect(final.cancellation?.reason).toBe('OUT_OF_STOCK');
    await expectRightFromOutside(client, [final]);
  });

  test('of two lines of which the second is out of stock leaves the first as it was', async () => {
    const before = await client.sku('PLENTY');
    const final = await client.final((await client.post({ PLENTY: 5, GONE: 1 })).id);
    expect(final.cancellation?.reason).toBe('OUT_OF_STOCK');
    expect(await client.sku('PLENTY')).toEqual(before);
  });

  test('whose card is declined gives its stock back', async () => {
    const before = await client.sku('PLENTY');
    const final = await client.final((await client.post({ PLENTY: 5 }, 'pm_card_chargeDeclined')).id);
    expect(final.cancellation?.reason).toBe('PAYMENT_DECLINED');
    expect(await client.sku('PLENTY')).toEqual(before);
    await expectRightFromOutside(client, [final]);
  });

  test('of something unknown is refused and nothing is accepted', async () => {
    const answer = await client.send('POST', '/orders', {
      customerId: 'cus_1',
      items: [{ sku: 'NO-SUCH', quantity: 1 }],
      paymentMethod: 'pm_card_visa',
    });
    expect(answer.status).toBe(422);
    expect(await answer.json()).toMatchObject({
      type: expect.stringContaining('unknown-sku'),
      errors: [{ pointer: '/items/0/sku' }],
    });
  });

  test('whose gateway hangs after charging is confirmed with that one charge', async () => {
    const order = await client.post({ PLENTY: 1 }, 'pm_sandbox_timeout_after_charge');
    await expectRightFromOutside(client, [await client.final(order.id)]);
  });
});

/** As a client does that is answered 503 by a service on a busy machine: the same order again, under its key. */
async function postUntilAccepted(items: Record<string, number>, paymentMethod: string): Promise<Order> {
  const key = { 'idempotency-key': randomUUID() };
  return eventually('the order is accepted', () =>
    client.post(items, paymentMethod, key).catch((err: unknown) => {
      if (err instanceof ProblemError && err.status === 503) return undefined;
      throw err;
    }),
  );
}

describe('two hundred orders by sixteen clients', () => {
  test('are all final within 30 s of the last POST, with money, stock and events in order', async () => {
    const kinds = Array.from({ length: 200 }, (_, i) =>
      i % 10 === 3 ? 'declined' : i % 10 === 7 ? 'scarce' : 'plain',
    );
    const accepted: Order[] = [];
    await Promise.all(
      Array.from({ length: 16 }, async (_, me) => {
        for (let i = me; i < kinds.length; i += 16) {
          const kind = kinds[i];
          accepted.push(
            await postUntilAccepted(
              kind === 'scarce' ? { SCARCE: 1, PLENTY: 1 } : { PLENTY: 1 },
              kind === 'declined' ? 'pm_card_chargeDeclined' : 'pm_card_visa',
            ),
          );
        }
      }),
    );
    expect(new Set(accepted.map((order) => order.id)).size).toBe(200);
    const lastPost = performance.now();
    const final = await Promise.all(accepted.map((order) => client.final(order.id)));
    expect(performance.now() - lastPost).toBeLessThan(30_000);

    const ended = (how: string) => final.filter((order) => (order.cancellation?.reason ?? order.status) === how).length;
    expect({
      confirmed: ended('CONFIRMED'),
      declined: ended('PAYMENT_DECLINED'),
      short: ended('OUT_OF_STOCK'),
    }).toEqual({ confirmed: 163, declined: 20, short: 17 });
    expect(await client.sku('SCARCE')).toMatchObject({ available: 0, reserved: 0, sold: 3 });
    await eventually('every event has reached the receiver', () =>
      final.every((o) =>
        ['order.confirmed', 'order.cancelled'].includes(
          receiver.received.filter((e) => e.subject === o.id).at(-1)?.type ?? '',
        ),
      ),
    );
    await expectRightFromOutside(client, final, receiver.received);
    await expectRightFromOutside(client, final);
  }, 120_000);
});

describe('a killed process', () => {
  test('the service, amid sagas, is started again and every accepted order is finished, charged once', async () => {
    const slow = await Promise.all(Array.from({ length: 10 }, () => client.post({ PLENTY: 1 }, 'pm_sandbox_slow')));
    const quick = await Promise.all(Array.from({ length: 20 }, () => client.post({ PLENTY: 1 })));
    const victim = running.pid('all');
    process.kill(victim, 'SIGKILL');
    await eventually(
      'the service answers again',
      async () => (await fetch(`${installation.api}/readyz`)).ok && running.pid('all') !== victim,
      30_000,
    );
    expect(running.output()).toContain('It starts again');
    await expectRightFromOutside(
      client,
      await Promise.all([...slow, ...quick].map((order) => client.final(order.id, 60_000))),
    );
  }, 120_000);

  test('the gateway, amid sagas, comes back and every order is finished, charged once', async () => {
    const orders = await Promise.all(Array.from({ length: 20 }, () => client.post({ PLENTY: 1 })));
    process.kill(running.pid('sandbox'), 'SIGKILL');
    orders.push(...(await Promise.all(Array.from({ length: 5 }, () => client.post({ PLENTY: 1 })))));
    await expectRightFromOutside(client, await Promise.all(orders.map((order) => client.final(order.id, 60_000))));
  }, 120_000);

  test('the database, amid sagas, comes back with everything that was acknowledged', async () => {
    const orders = await Promise.all(Array.from({ length: 20 }, () => client.post({ PLENTY: 1 })));
    process.kill(running.pid('Postgres'), 'SIGKILL');
    await eventually('the service is ready again', async () => (await fetch(`${installation.api}/readyz`)).ok, 60_000);
    await expectRightFromOutside(client, await Promise.all(orders.map((order) => client.final(order.id, 60_000))));
  }, 120_000);
});

describe('while Temporal is away', () => {
  test('orders are accepted at once, and their sagas start by themselves when it is back', async () => {
    const temporal = running.pid('Temporal');
    process.kill(temporal, 'SIGSTOP');
    let orders: Order[];
    try {
      orders = await Promise.all(Array.from({ length: 10 }, () => client.post({ PLENTY: 1 })));
      for (const order of orders) expect((await client.order(order.id)).status).toBe('PENDING');
      const saga = await client.get<{ state: string; runId: null }>(`/orders/${orders[0]?.id}/saga`);
      expect(saga).toMatchObject({ state: 'RUNNING', runId: null });
    } finally {
      process.kill(temporal, 'SIGCONT');
    }
    await expectRightFromOutside(client, await Promise.all(orders.map((order) => client.final(order.id, 60_000))));
  }, 120_000);

  test('killed, it is started again on its own file, and no saga is lost', async () => {
    const orders = await Promise.all(Array.from({ length: 20 }, () => client.post({ PLENTY: 1 })));
    process.kill(running.pid('Temporal'), 'SIGKILL');
    orders.push(...(await Promise.all(Array.from({ length: 5 }, () => client.post({ PLENTY: 1 })))));
    await expectRightFromOutside(client, await Promise.all(orders.map((order) => client.final(order.id, 60_000))));
  }, 120_000);
});

describe('a second `npm start`', () => {
  test('on the same folder is refused while the first lives, and says what to do', async () => {
    const { code, output } = await launchRefused(installation.env);
    expect({ code: code !== 0, output }).toEqual({
      code: true,
      output: expect.stringContaining('set DATA_DIR to another folder'),
    });
  }, 60_000);

  test('on another folder but a taken port is refused, naming the variable', async () => {
    const other = await newInstallation({ PORT: installation.env['PORT'] });
    const { code, output } = await launchRefused(other.env);
    expect({ code: code !== 0, output }).toEqual({ code: true, output: expect.stringMatching(/PORT/) });
    await other.remove();
  }, 60_000);
});

describe('stopped and started again', () => {
  test('ends within 20 s with nothing left running, and comes back with the same orders', async () => {
    const order = await client.final((await client.post({ PLENTY: 1 })).id);
    const pids = Object.values(running.pids());
    const { code, ms } = await running.stop();
    expect({ code, inTime: ms < 20_000, alive: pids.filter(isAlive) }).toEqual({ code: 0, inTime: true, alive: [] });
    expect(running.output()).toMatch(/Stopping \(SIGINT\).*\nStopped\.\n$/s);
    running = await launch(installation);
    expect(await client.order(order.id)).toEqual(order);
    expect(await client.final((await client.post({ PLENTY: 1 })).id)).toMatchObject({ status: 'CONFIRMED' });
  }, 150_000);

  test('after its launcher was killed, takes over without a second server on the same files', async () => {
    const order = await client.post({ PLENTY: 1 }, 'pm_sandbox_slow');
    const before = Object.values(running.pids());
    await running.killLauncher();
    running = await launch(installation);
    expect(before.filter(isAlive)).toEqual([]);
    await expectRightFromOutside(client, [await client.final(order.id, 60_000)]);
  }, 150_000);
});
