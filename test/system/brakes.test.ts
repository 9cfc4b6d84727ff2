/** Brakes, as operators use them: what they hold waits, what they do not hold goes on, and what they let go of ends well. */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { Order } from '../../contracts/orders.js';
import { freePort } from '../../local/processes/ports.js';
import { scrape } from '../../bench/scrape.js';
import { eventually } from '../support/conditions.js';
import {
  type ApiClient,
  clientOf,
  type Installation,
  launch,
  newInstallation,
  type Running,
} from '../support/launcher.js';

/** Shorter than the orders are held. */
const DEADLINE_MS = 4_000;
const PRICE = 1_000;

let installation: Installation;
let running: Running;
let api: ApiClient;
beforeAll(async () => {
  installation = await newInstallation({
    SAGA_DEADLINE: `${DEADLINE_MS}ms`,
    PROBE_EVERY: '1s',
    METRICS_PORT: `${await freePort()}`,
  });
  running = await launch(installation);
  api = clientOf(installation);
  await api.stock('A', 1_000, PRICE);
}, 120_000);
afterAll(async () => {
  await running?.stop();
  await installation?.remove();
}, 60_000);

type Brake = { brake: string; engaged: boolean; reason: string | null; spending?: { spent: number; most: number }[] };
const engage = async (brake: string, body: object) => {
  const answer = await api.send('POST', `/admin/brakes/${brake}/engage`, { reason: 'ticket 4711', ...body });
  return { status: answer.status, body: (await answer.json()) as Brake & { errors?: { pointer: string }[] } };
};
const release = async (brake: string) =>
  (await api.send('POST', `/admin/brakes/${brake}/release`, { reason: 'mended' })).status;
const brakes = () => api.get<{ brakes: Brake[]; heldOrders: number | null }>('/admin/brakes');
const postMany = (count: number) =>
  Array.from({ length: count }).reduce<Promise<Order[]>>(
    async (placed) => [...(await placed), await api.post({ A: 1 })],
    Promise.resolve([]),
  );
/** Orders of ours that the gateway has charged, oldest first. */
const charged = async (): Promise<string[]> => {
  const answer = await fetch(`${api.sandbox}/v1/payment_intents?limit=100`, {
    headers: { authorization: 'Bearer sk_test_brakes' },
  });
  const { data } = (await answer.json()) as { data: { status: string; metadata: { orderId?: string } }[] };
  return data
    .filter(({ status }) => status === 'succeeded')
    .flatMap(({ metadata }) => metadata.orderId ?? [])
    .toReversed();
};
const isHeld = (orders: Order[]) =>
  eventually('they are held, in one group', async () => {
    const { sagas } = await api.get<{ sagas: { orderId: string; failure: string }[] }>('/admin/sagas');
    const held = sagas.filter(({ failure }) => failure === 'ChargingHeld').map(({ orderId }) => orderId);
    return orders.every(({ id }) => held.includes(id));
  });
const states = (orders: Order[]) => Promise.all(orders.map(async ({ id }) => (await api.order(id)).status));

test('charging: orders are accepted and reserved, nothing is charged, deadlines stand still, and released they go on in order', async () => {
  expect((await engage('charging', {})).status).toBe(200);
  const orders = await postMany(4);
  await isHeld(orders);
  const pid = running.pid('all');
  process.kill(pid, 'SIGKILL');
  await eventually('the service is back, and the brake with it', async () => {
    const { brakes: all, heldOrders } = await brakes();
    return (
      running.pid('all') !== pid &&
      all.some(({ brake, engaged }) => brake === 'charging' && engaged) &&
      heldOrders === 4
    );
  });
  const [cancelled, ...kept] = orders as [Order, ...Order[]];
  expect((await api.send('POST', `/orders/${cancelled.id}/cancel`, { reason: 'changed my mind' })).status).toBe(202);
  expect((await api.final(cancelled.id)).status).toBe('CANCELLED');
  const { createdAt } = kept.at(-1) as Order;
  await eventually('all their deadlines have passed', () => Date.now() > Date.parse(createdAt) + DEADLINE_MS + 1_000);
  expect(await states(kept)).toEqual(kept.map(() => 'PENDING'));
  expect(await charged()).toEqual([]);
  expect(await api.get('/inventory/A')).toMatchObject({ reserved: kept.length, sold: 0 });
  const series = await scrape(Number(installation.env['METRICS_PORT']));
  expect(series.get('order_saga_brake_engaged{brake="charging",role="all"}')).toBe(1);

  expect(await release('charging')).toBe(200);
  for (const { id } of kept) expect((await api.final(id, 60_000)).status).toBe('CONFIRMED');
  const [first, ...rest] = await charged(); // then two at a time
  expect([first, ...rest.toSorted()]).toEqual(kept.map(({ id }) => id));
}, 120_000);

test('accepting: orders are refused with a text and a time; replays, reads and cancellations go on, and the process is ready', async () => {
  const key = { 'idempotency-key': 'before-the-brake' };
  const before = await api.post({ A: 1 }, 'pm_card_visa', key);
  const message = 'We count our stock. Back at nine.';
  expect((await engage('accepting', { message, retryAfterSeconds: 120 })).status).toBe(200);
  const body = { customerId: 'cus_system', paymentMethod: 'pm_card_visa', items: [{ sku: 'A', quantity: 1 }] };
  const refused = await api.send('POST', '/orders', body);
  expect([refused.status, refused.headers.get('retry-after')]).toEqual([503, '120']);
  expect(await refused.json()).toMatchObject({ code: 'not-accepting', detail: message });
  const replayed = await api.send('POST', '/orders', body, key);
  expect([replayed.status, replayed.headers.get('idempotent-replayed')]).toEqual([201, 'true']);
  expect((await fetch(`${installation.api}/readyz`)).status).toBe(200);
  const details = await fetch(`http://127.0.0.1:${installation.env['METRICS_PORT']}/readyz`);
  expect(await details.json()).toMatchObject({ ready: true, roles: { api: { brakes: 'accepting' } } });
  expect((await api.send('POST', `/orders/${before.id}/cancel`, { reason: 'no' })).status).toBe(202);
  await eventually('it is cancelled', async () => (await api.order(before.id)).status === 'CANCELLED');
  expect(await release('accepting')).toBe(200);
  expect((await api.final((await api.post({ A: 1 })).id)).status).toBe('CONFIRMED');
});

test('spending: no more is charged within the hour than the limit, at once from many; what would be more waits until there is room', async () => {
  for (const { id } of await Promise.all([1, 2, 3].map(() => api.post({ A: 1 })))) await api.final(id);
  const limited = await engage('spending', { limits: { USD: 100 * PRICE } });
  const [{ spent } = { spent: Number.NaN }] = limited.body.spending ?? [];
  expect(spent).toBeGreaterThanOrEqual(3 * PRICE); // what was charged before
  await engage('spending', { limits: { USD: spent + 2.5 * PRICE } });
  expect((await api.final((await api.post({ A: 1 }, 'pm_card_chargeDeclined')).id)).status).toBe('CANCELLED');
  const orders = await Promise.all(Array.from({ length: 6 }, () => api.post({ A: 1 })));
  const confirmed = async () => (await states(orders)).filter((status) => status === 'CONFIRMED').length;
  await eventually('as many are charged as fit', async () => (await confirmed()) === 2);
  await eventually('the others are held', async () => (await brakes()).heldOrders === 4);
  expect((await brakes()).brakes.find(({ brake }) => brake === 'spending')?.spending).toEqual([
    { currency: 'USD', spent: spent + 2 * PRICE, most: spent + 2.5 * PRICE },
  ]);
  expect(await confirmed()).toBe(2);
  await engage('spending', { limits: { USD: spent + 4 * PRICE } });
  await eventually('two more have room', async () => (await confirmed()) === 4, 60_000);
  expect(await release('spending')).toBe(200);
  for (const { id } of orders) expect((await api.final(id, 60_000)).status).toBe('CONFIRMED');
}, 150_000);

test('what a brake has not is refused by field, and each use is on record with its reason', async () => {
  const pointers = async (brake: string, body: object) => {
    const { status, body: problem } = await engage(brake, body);
    return [status, problem.errors?.[0]?.pointer];
  };
  expect(await pointers('charging', { limits: { USD: 1 } })).toEqual([422, '/limits']);
  expect(await pointers('spending', {})).toEqual([422, '/limits']);
  expect(await pointers('charging', { message: 'x' })).toEqual([422, '/message']);
  expect(await pointers('spending', { limits: { usd: 1 } })).toEqual([400, expect.stringContaining('/limits')]);
  expect((await engage('steering', {})).status).toBe(400);
  expect((await brakes()).brakes.every(({ engaged }) => !engaged)).toBe(true);
  const { entries } = await api.get<{ entries: { route: string; resource: string; reason: string }[] }>(
    '/admin/audit?limit=200',
  );
  const acts = entries.filter(({ route }) => route.includes('/admin/brakes/'));
  expect(
    acts
      .filter(({ route }) => route.endsWith('/release'))
      .map(({ resource }) => resource)
      .toSorted(),
  ).toEqual(['accepting', 'charging', 'spending']);
});
