/**
 * What the data map says of events is so at real brokers: words are written into whatever a client or an operator chooses of an order, and
 * the messages that the relay has sent are read as any consumer would, keys, headers and all. Then the customer is erased, which the same
 * relay tells each of them.
 */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { FLOWS } from '../../domain/privacy/map/flows.js';
import type { BrokerName } from '../../testbed/brokers/programs.js';
import { type Arrival, readAll } from '../../testbed/brokers/readers.js';
import { type Broker, startBroker } from '../../testbed/brokers/start.js';
import { brokersHere } from '../support/brokers.js';
import { eventually } from '../support/conditions.js';
import { fieldsIn, wordOf } from './planting.js';
import { Found, searchEvents } from './searching.js';
import { openStage, SKU, type Stage } from './stage.js';

// Three brokers and an installation beside others: what events carry is held by canaries.test in every run.
const IS_FULL = process.env['FULL'] === '1';
if (!IS_FULL) process.stderr.write('Skipped: canaries at real brokers run with FULL=1 only\n');
const names = IS_FULL ? await brokersHere(['kafka', 'nats', 'rabbitmq']) : [];
const CUSTOMER = wordOf('POST /orders body.customerId');
/** A broker's message, by itself: what it is sorted by, and its headers by their names there. */
const ofBroker = ({ message: { key, headers } }: Arrival): string[] => [key, ...Object.keys(headers)];

(names.length === 0 ? describe.skip : describe)('at brokers', () => {
  let brokers: Broker[];
  let stage: Stage;
  let orders: string[];
  let reference: string;
  beforeAll(async () => {
    brokers = await Promise.all(names.map((name) => startBroker(name)));
    stage = await openStage(Object.assign({}, ...brokers.map(({ settings }) => settings)));
    const { becomes, fault, parks, place, resolve } = stage;
    await stage.stock();
    const confirmed = await place({ paymentMethod: 'pm_card_visa' });
    const declined = await place({ paymentMethod: 'pm_card_chargeDeclined' });
    const short = await place({ items: [{ sku: SKU, quantity: 1_000 }], paymentMethod: 'pm_card_visa' });
    await becomes(short, 'CANCELLED');
    await becomes(declined, 'CANCELLED');
    await becomes(confirmed, 'CONFIRMED');
    await stage.cancel(confirmed);
    await fault('POST', { route: 'charge', mode: 'down' });
    const skipped = await place({ paymentMethod: 'pm_card_visa' });
    await parks(skipped);
    await resolve(skipped, 'skip');
    await fault('DELETE');
    await Promise.all([becomes(skipped, 'CONFIRMED'), becomes(confirmed, 'CANCELLED')]);
    orders = [confirmed, declined, skipped, short];
  }, 240_000);
  afterAll(async () => {
    await stage?.stop();
    await Promise.all((brokers ?? []).map((broker) => broker.stop()));
  }, 60_000);

  const brokerOf = (name: BrokerName): Broker => brokers.find((broker) => broker.name === name) as Broker;
  const arrived = (name: BrokerName, end: { subject: string; type: string }): Promise<Arrival[]> =>
    eventually(
      `${name} has ${end.type}`,
      async () => {
        const arrivals = await readAll(brokerOf(name));
        return arrivals.some(({ event }) => event.subject === end.subject && event.type === end.type) && arrivals;
      },
      30_000,
    );

  test.each(names)(
    '%s has each word where the map says of events, and none in a key or in the name of a header',
    async (name) => {
      const [confirmed, declined, skipped, short] = orders as [string, string, string, string];
      for (const subject of [declined, short]) await arrived(name, { subject, type: 'order.cancelled' });
      await arrived(name, { subject: skipped, type: 'order.confirmed' });
      const arrivals = await arrived(name, { subject: confirmed, type: 'order.cancelled' });
      expect(arrivals.flatMap(ofBroker).flatMap(fieldsIn)).toEqual([]);
      const found = new Found();
      searchEvents(
        arrivals.map(({ event }) => event),
        found,
      );
      const said = Object.entries(FLOWS).flatMap(([field, { to }]) => {
        const places = to.filter((place) => place.startsWith('events:')).sort();
        return places.length > 0 ? [[field, places] as const] : [];
      });
      expect(Object.fromEntries([...found.places.keys()].map((field) => [field, found.of(field)]))).toEqual(
        Object.fromEntries(said),
      );
      // Whatever of the message is no part of the event, headers that a broker or its client adds, has no word either.
      const whole = new Found();
      for (const { message } of arrivals) whole.note(JSON.stringify(message), 'message');
      expect([...whole.places.keys()].sort()).toEqual([...found.places.keys()].sort());
    },
    60_000,
  );

  test('a customer is erased', async () => {
    const { status, body } = await stage.erase(CUSTOMER);
    expect(status).toBe(202);
    await stage.erased(body.id);
    const { body: done } = await stage.send('GET', `/admin/erasures/${body.id}`);
    reference = String(done['customerReference']);
    expect(reference).toMatch(/^[0-9a-f-]{36}$/);
  }, 60_000);

  test.each(names)(
    '%s is told by the relay: the reference, when, and no word of the customer’s',
    async (name) => {
      const arrivals = await arrived(name, { subject: reference, type: 'customer.erased' });
      const told = arrivals.filter(({ event }) => event.type === 'customer.erased');
      expect(new Set(told.map(({ event }) => event.id)).size).toBe(1);
      for (const { event, message } of told) {
        expect(event).toMatchObject({ subject: reference, sequence: 1, data: { customerReference: reference } });
        expect(Object.keys(event.data as object).sort()).toEqual(['customerReference', 'erasedAt']);
        expect(message.key).toBe(
          { kafka: reference, nats: 'orders.customer.erased', rabbitmq: 'customer.erased' }[name],
        );
        expect(fieldsIn(JSON.stringify(message))).toEqual([]);
      }
    },
    60_000,
  );

  test.each(names)(
    'and %s has in its first message of each order the reference that was erased',
    async (name) => {
      const created = (await readAll(brokerOf(name))).filter(({ event }) => event.type === 'order.created');
      expect(new Set(created.map(({ event }) => event.subject))).toEqual(new Set(orders));
      expect(
        new Set(created.map(({ event }) => (event.data as { customerReference: string }).customerReference)),
      ).toEqual(new Set([reference]));
    },
    30_000,
  );
});
