/** Sagas that a dispatcher begins in its own process, before a real Temporal: in the order of acceptance, and none held up by another. */
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { Client } from '@temporalio/client';
import { createSagaDispatcher, type SagaDispatcher } from '../../api/dispatcher.js';
import type { Order } from '../../contracts/orders.js';
import { GatewayUnknown } from '../../gateways/payments.js';
import { createSagaSlots, type SagaSlots } from '../../sagas/slots.js';
import { pausingSlots, releasingSlots } from '../../workers/saga-progress.js';
import { SILENT } from '../support/api.js';
import { eventually } from '../support/conditions.js';
import { accept, stock } from '../support/database.js';
import { PATIENT, type SagaStack, startSagaStack } from '../support/saga.js';

const AT_WORK = 2;
/** Nothing here is begun because another's time was up. */
const LONG_MS = 600_000;

let t: SagaStack;
let slots: SagaSlots;
let dispatcher: SagaDispatcher;
/** Orders whose first step was begun, in that order, and how many sagas had neither ended nor come to the gateway then. */
let begun: { id: string; besides: number }[];
let open: Set<string>;
/** What becomes of a charge before the gateway is asked. */
let beforeCharge: (orderId: string) => Promise<void>;
beforeAll(async () => {
  slots = createSagaSlots({ atWorkMax: AT_WORK, atWorkLimitMs: LONG_MS, heldLimitMs: LONG_MS });
  t = await startSagaStack({
    activities: (real) => {
      const reporting = releasingSlots(real, slots);
      return {
        ...reporting,
        reserveInventory: (input) => {
          begun.push({ id: input.orderId, besides: open.size });
          open.add(input.orderId);
          return reporting.reserveInventory(input);
        },
      };
    },
    gateway: (real) =>
      pausingSlots(
        {
          ...real,
          charge: async (request) => {
            open.delete(request.due.orderId);
            await beforeCharge(request.due.orderId);
            return real.charge(request);
          },
        },
        slots,
      ),
  });
  // An eager start takes the worker's own connection.
  const client = new Client({ connection: t.env.nativeConnection });
  dispatcher = createSagaDispatcher({ db: t.db, client: () => client, policy: PATIENT, slots, logger: SILENT });
  await stock(t.db, 'A', 1_000);
}, 120_000);
beforeEach(() => {
  begun = [];
  open = new Set();
  beforeCharge = async () => undefined;
});
afterAll(async () => {
  await dispatcher?.stop();
  await t?.stop();
}, 60_000);

async function place(count: number, paymentMethod?: string): Promise<Order[]> {
  const orders = [];
  for (let n = 0; n < count; n++) orders.push(await accept(t.db, { A: 1 }, paymentMethod ? { paymentMethod } : {}));
  for (const order of orders) dispatcher.start({ ...order, kind: 'order' });
  return orders;
}
const areAll = (status: Order['status'], orders: Order[]) =>
  eventually(
    `${orders.length} orders are ${status}`,
    async () => {
      const where = { id: { in: orders.map(({ id }) => id) }, status };
      return (await t.db.order.count({ where })) === orders.length;
    },
    45_000,
  );

const noneIsAtWork = () => eventually('no saga is at work', () => slots.atWork() === 0);

test('orders that come at once are worked on in the order of their acceptance, a few at a time', async () => {
  const orders = await place(20);
  await areAll('CONFIRMED', orders);
  const places = begun.map(({ id }) => orders.findIndex((order) => order.id === id));
  expect(places).toHaveLength(20);
  for (const [nth, place] of places.entries()) expect(Math.abs(place - nth)).toBeLessThan(2 * AT_WORK);
  expect(Math.max(...begun.map(({ besides }) => besides))).toBeLessThan(AT_WORK);
  await noneIsAtWork();
}, 60_000);

test('payments that all wait for one another are all asked for: a saga that waits for the gateway holds up no other', async () => {
  let waiting = 0;
  let goOn: () => void = () => undefined;
  const all = new Promise<void>((resolve) => {
    goOn = resolve;
  });
  beforeCharge = () => {
    waiting++;
    if (waiting === 8) goOn();
    return all;
  };
  await areAll('CONFIRMED', await place(8));
}, 60_000);

test('an order whose payment fails, or is declined, holds up no other', async () => {
  const declined = await place(AT_WORK, 'pm_card_chargeDeclined');
  await areAll('CANCELLED', declined);
  let isMended = false;
  const failing: string[] = [];
  beforeCharge = async (orderId) => {
    if (!isMended && failing.includes(orderId)) throw new GatewayUnknown('not now');
  };
  const first = [await accept(t.db, { A: 1 }), await accept(t.db, { A: 1 })];
  failing.push(...first.map(({ id }) => id));
  for (const order of first) dispatcher.start({ ...order, kind: 'order' });
  await areAll('CONFIRMED', await place(3));
  expect(await t.db.order.count({ where: { id: { in: failing }, status: 'PENDING' } })).toBe(AT_WORK);
  await noneIsAtWork(); // those that are to be tried again neither
  isMended = true;
  await areAll('CONFIRMED', first);
  await noneIsAtWork();
}, 120_000);

test('an order that is out of stock gives its slot back once it is unwound', async () => {
  await stock(t.db, 'NONE', 0);
  const refused = [await accept(t.db, { NONE: 1 }), await accept(t.db, { NONE: 1 })];
  for (const order of refused) dispatcher.start({ ...order, kind: 'order' });
  await areAll('CONFIRMED', await place(1));
  await areAll('CANCELLED', refused);
  await noneIsAtWork();
}, 60_000);
