import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import Stripe from 'stripe';
import { RECONCILIATION_CHANNEL } from '../../contracts/ids.js';
import { confirmOrder } from '../../domain/confirmation.js';
import { reserveInventory } from '../../domain/inventory.js';
import { beginUnwinding } from '../../domain/orders.js';
import { recordCharge } from '../../domain/payments.js';
import { openDatabase } from '../../runtime/database.js';
import { expectProblem, startTestApi, type TestApi } from '../support/api.js';
import { eventually } from '../support/conditions.js';
import { accept, createTestDatabase, stock, type TestDatabase } from '../support/database.js';
import { startLink } from '../../testbed/link.js';
import { type CountedDatabase, countStatements } from './waiting/statements.js';

const SECRET = 'whsec_a_test_secret';
const PATH = '/webhooks/payments';

let database: TestDatabase;
let api: TestApi;
let statements: CountedDatabase;
let listener: pg.Client;
/** What reconcilers were asked to look at. */
let woken: string[];
const marks = new Set<string>();
beforeAll(async () => {
  database = await createTestDatabase();
  await stock(database.db, 'A', 1_000);
  statements = countStatements(database.db);
  api = await startTestApi({ db: statements.db, databaseUrl: database.url, paymentsWebhookSecret: SECRET });
  listener = new pg.Client({ connectionString: database.url });
  await listener.connect();
  listener.on('notification', ({ payload }) => woken.push(payload ?? ''));
  await listener.query(`LISTEN ${RECONCILIATION_CHANNEL}`);
});
beforeEach(() => {
  woken = [];
});
afterAll(async () => {
  await listener.end();
  await api.stop();
  await database.drop();
});

const eventOf = (orderId: string, { type = 'payment_intent.succeeded', charge = `pi_${randomUUID()}` } = {}) => ({
  id: `evt_${randomUUID()}`,
  object: 'event',
  type,
  data: { object: { id: charge, payment_intent: charge, metadata: { orderId } } },
});

/** Sends an event as the gateway does. @param ageS how long ago it was signed */
const send = (
  event: unknown,
  how: { secret?: string; ageS?: number; tamper?: (body: string) => string } = {},
  to = api,
) => sendSigned(JSON.stringify(event), how, to);
function sendSigned(payload: string, { secret = SECRET, ageS = 0, tamper = (body: string) => body } = {}, to = api) {
  const timestamp = Math.floor(Date.now() / 1000) - ageS;
  const signature = Stripe.webhooks.generateTestHeaderString({ payload, secret, timestamp });
  return to.send('POST', PATH, tamper(payload), { 'stripe-signature': signature });
}

/** Everything that was notified before this has arrived. */
async function wokenSoFar(): Promise<string[]> {
  const mark = randomUUID();
  await database.db.$queryRaw`SELECT pg_notify(${RECONCILIATION_CHANNEL}, ${mark})::text`;
  await eventually('the mark has arrived', () => woken.includes(mark));
  marks.add(mark);
  return woken.filter((payload) => !marks.has(payload));
}

/** An order that has not moved for so long that its saga may have missed something. */
const waiting = async () => {
  const { id } = await accept(database.db, { A: 1 });
  await database.db.$executeRaw`UPDATE orders SET updated_at = now() - interval '1 minute' WHERE id = ${id}::uuid`;
  return id;
};
const confirmed = async (charge: string) => {
  const { id } = await accept(database.db, { A: 1 });
  await reserveInventory(database.db, id);
  await recordCharge(database.db, id, charge);
  await confirmOrder(database.db, id);
  return id;
};

describe('an event of the payment gateway', () => {
  test('has the order that it names looked up, and is answered 200', async () => {
    const orderId = await waiting();
    const answer = await send(eventOf(orderId));
    expect({ status: answer.status, body: answer.body }).toEqual({ status: 200, body: { received: true } });
    expect(await wokenSoFar()).toEqual([orderId]);
  });

  test('is not believed: whatever it says, the order stays as it is', async () => {
    const { id } = await accept(database.db, { A: 1 });
    await send(eventOf(id));
    expect(await database.db.payment.count({ where: { orderId: id } })).toBe(0);
    expect((await api.get<{ status: string }>(`/orders/${id}`)).body.status).toBe('PENDING');
  });

  test('is one look-up, though it comes a thousand times', async () => {
    const event = eventOf(await waiting());
    const answers = await Promise.all(Array.from({ length: 10 }, () => send(event)));
    for (let n = 0; n < 99; n++) answers.push(...(await Promise.all(Array.from({ length: 10 }, () => send(event)))));
    expect(answers).toHaveLength(1_000);
    expect(new Set(answers.map((answer) => answer.status))).toEqual(new Set([200]));
    expect(await wokenSoFar()).toHaveLength(1);
  });

  test.each([
    ['forged', { secret: 'whsec_another' }],
    ['tampered with', { tamper: (body: string) => body.replace('succeeded', 'canceled') }],
    ['stale', { ageS: 301 }],
  ])('that is %s is refused, and requests no look-up', async (_, how) => {
    expectProblem(await send(eventOf(await waiting()), how), 400, 'invalid-signature');
    expect(await wokenSoFar()).toEqual([]);
  });

  test('four minutes old is still good', async () => {
    expect((await send(eventOf(randomUUID()), { ageS: 240 })).status).toBe(200);
  });

  test.each([
    ['without a signature', {}],
    ['with an unreadable one', { 'stripe-signature': 'v1=' }],
    ['with an empty one', { 'stripe-signature': '' }],
    ['that calls itself text', { 'content-type': 'text/plain', 'stripe-signature': 't=1,v1=00' }],
  ])('%s is refused', async (_, headers) => {
    expectProblem(await api.send('POST', PATH, eventOf(randomUUID()), headers), 400, 'invalid-signature');
    expect(await wokenSoFar()).toEqual([]);
  });

  test('that names no order of ours requests no look-up', async () => {
    for (const orderId of ['o1', '', "' OR 1=1", randomUUID()]) expect((await send(eventOf(orderId))).status).toBe(200);
    expect((await send({ id: 'evt_1', object: 'event', type: 'payout.paid', data: { object: {} } })).status).toBe(200);
    expect(await wokenSoFar()).toEqual([]);
  });

  test('larger than an event can be is refused', async () => {
    expectProblem(await send({ ...eventOf(randomUUID()), blob: 'x'.repeat(70_000) }), 413, 'payload-too-large');
  });
});

describe('events that come together', () => {
  const together = (events: object[], to = api) => Promise.all(events.map((event) => send(event, {}, to)));

  test('share a look-up, and each is judged by itself', async () => {
    const charges = Array.from({ length: 10 }, () => `pi_${randomUUID()}`);
    const known = await Promise.all(charges.map(confirmed));
    const waited = await Promise.all(charges.map(() => waiting()));
    const stray = await confirmed(`pi_${randomUUID()}`);
    const refund = { payment_intent: charges[3], object: 'refund', status: 'failed' };
    const events = [
      ...known.map((id, i) => eventOf(id, { charge: `${charges[i]}` })),
      ...waited.map((id) => eventOf(id)),
      eventOf(stray), // another charge of it
      eventOf(randomUUID()),
      eventOf(`${waited[0]}`, { type: 'payment_intent.payment_failed' }),
      { ...eventOf(''), type: 'refund.failed', data: { object: refund } },
    ];
    let answers: { status: number }[] = [];
    const asked = await statements.of(async () => {
      answers = await together(events);
    });
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]));
    expect(asked).toBeLessThanOrEqual(6); // a look-up and a request for all, if they come within its time
    expect((await wokenSoFar()).toSorted()).toEqual([...waited, stray, `${known[3]}`].toSorted());
  });

  test('are refused while they cannot be looked up, and looked up when they are sent again', async () => {
    const url = new URL(database.url);
    const link = await startLink(url.host);
    url.host = link.address;
    const db = openDatabase(url.href, 2);
    const distant = await startTestApi({ db, databaseUrl: url.href, paymentsWebhookSecret: SECRET });
    try {
      const orderIds = await Promise.all(Array.from({ length: 20 }, waiting));
      const events = orderIds.map((id) => eventOf(id));
      link.fail('reset');
      const refused = await together(events, distant);
      expect(new Set(refused.map(({ status }) => status))).toEqual(new Set([503]));
      expect(await wokenSoFar()).toEqual([]);
      link.heal();
      const taken = await together(events, distant);
      expect(new Set(taken.map(({ status }) => status))).toEqual(new Set([200]));
      expect((await wokenSoFar()).toSorted()).toEqual(orderIds.toSorted());
    } finally {
      await distant.stop();
      await db.$disconnect();
      await link.stop();
    }
  });

  test('are looked up before a stop, as far as they are answered', async () => {
    const ending = await startTestApi({ db: database.db, databaseUrl: database.url, paymentsWebhookSecret: SECRET });
    const taken: string[] = [];
    const sending = Array.from({ length: 10 }, async () => {
      for (;;) {
        const id = await waiting();
        const answer = await send(eventOf(id), {}, ending).catch(() => undefined);
        if (answer?.status !== 200) return;
        taken.push(id);
      }
    });
    await eventually('some are taken', () => taken.length >= 20);
    await ending.stop();
    await Promise.all(sending);
    expect(await wokenSoFar()).toEqual(expect.arrayContaining(taken));
  });
});

describe('a signed body of an unexpected shape', () => {
  const event = (changed: object) => JSON.stringify({ ...eventOf(randomUUID()), ...changed });
  const about = (object: unknown, type = 'refund.failed') => event({ type, data: { object } });
  const thin = { id: 'evt_test_1', object: 'v2.core.event', type: 'v1.billing.meter.no_meter_found', livemode: false };
  const long = 'x'.repeat(10_000);

  test.each([
    ['a thin event', JSON.stringify(thin)],
    ['another object', JSON.stringify({ id: 'evt_1', object: 'list', data: [] })],
    ['an empty object', '{}'],
    ['an event without data', event({ data: undefined })],
    ['an event whose data are none', event({ data: null })],
    ['an event about nothing', about(null)],
    ['an event about a list', about([1, 2])],
    ['an event about a text', about('pi_1')],
    ['metadata that are a text', about({ metadata: 'x' })],
    ['metadata that are none', about({ metadata: null, payment_intent: null })],
    ['an order id that is a number', about({ metadata: { orderId: 7 } })],
    ['an order id that is a list', about({ metadata: { orderId: [randomUUID()] } })],
    ['a charge with a NUL', about({ payment_intent: 'pi_\0' })],
    ['a charge that is half a character', about({ payment_intent: 'pi_\ud800' })],
    ['a charge that is endless', about({ payment_intent: long })],
    ['a charge inside an object', about({ payment_intent: { id: { id: 'pi_1' } } })],
    [
      'a prototype',
      `{"object":"event","id":"evt_2","type":"refund.failed","data":{"object":{"__proto__":{"metadata":1}}}}`,
    ],
    ['a type of ours', about({}, 'toString')],
  ])('%s is taken, for the gateway would send it again for days: 200, and no look-up is requested', async (_, body) => {
    expect(await sendSigned(body)).toMatchObject({ status: 200, body: { received: true } });
    expect(await wokenSoFar()).toEqual([]);
  });

  test.each([
    ['no JSON', 'received', 'malformed-json', undefined],
    ['half an event', '{"id":"evt_1","object":"ev', 'malformed-json', undefined],
    ['null', 'null', 'invalid-request', undefined],
    ['a text', '"evt_1"', 'invalid-request', undefined],
    ['a number', '42', 'invalid-request', undefined],
    ['a list', '[[[]]]', 'invalid-request', undefined],
    ['an abyss', '['.repeat(30_000), 'malformed-json', undefined],
    ['an event without an id', event({ id: undefined }), 'invalid-request', ['/id']],
    ['an event whose id is an object', event({ id: {} }), 'invalid-request', ['/id']],
    ['an event with a NUL in its id', event({ id: 'evt_\0' }), 'invalid-request', ['/id']],
    ['an event without a type', event({ type: undefined }), 'invalid-request', ['/type']],
    ['an event whose type is endless', event({ type: long }), 'invalid-request', ['/type']],
  ])('%s is nothing that the gateway sends: 400, which is not about the signature', async (_, body, code, pointers) => {
    expectProblem(await sendSigned(body), 400, code, pointers);
    expect(await wokenSoFar()).toEqual([]);
  });
});

describe('what our records cannot know has the order looked up, however well they agree', () => {
  const cancelled = async () => {
    const charge = `pi_${randomUUID()}`;
    const orderId = await confirmed(charge);
    await database.db
      .$executeRaw`UPDATE orders SET status = 'CANCELLED', unwinding_reason = 'OPERATOR' WHERE id = ${orderId}::uuid`;
    await database.db.$executeRaw`UPDATE payments SET status = 'REFUNDED' WHERE order_id = ${orderId}::uuid`;
    return { orderId, charge };
  };
  const about = (charge: string, type: string, more: object) => ({
    id: `evt_${randomUUID()}`,
    object: 'event',
    type,
    data: { object: { payment_intent: charge, ...more } },
  });

  test.each([
    ['refund.failed', { object: 'refund', status: 'failed' }],
    ['refund.updated', { object: 'refund', status: 'failed' }],
    ['refund.updated', { object: 'refund', status: 'requires_action' }],
    ['charge.refund.updated', { object: 'refund', status: 'canceled' }],
    ['charge.dispute.created', { object: 'dispute', status: 'needs_response' }],
    ['charge.dispute.closed', { object: 'dispute', status: 'lost' }],
  ])('%s of a charge that is on record, whatever else it names: %j', async (type, object) => {
    const { orderId, charge } = await cancelled();
    expect((await send(about(charge, type, object))).status).toBe(200);
    expect(await wokenSoFar()).toEqual([orderId]);
  });

  test('not a refund that goes its way, nor anything of a charge that is not on record', async () => {
    const { charge } = await cancelled();
    await send(about(charge, 'refund.updated', { object: 'refund', status: 'succeeded' }));
    await send(about('pi_of_others', 'refund.failed', { object: 'refund', status: 'failed' }));
    await send(about('pi_of_others', 'charge.dispute.created', { object: 'dispute' }));
    expect(await wokenSoFar()).toEqual([]);
  });
});

describe('what our records say already requests no look-up', () => {
  test('the charge of a confirmed order', async () => {
    const charge = `pi_${randomUUID()}`;
    const orderId = await confirmed(charge);
    await send(eventOf(orderId, { charge }));
    expect(await wokenSoFar()).toEqual([]);
    await send(eventOf(orderId)); // another charge of the same order
    expect(await wokenSoFar()).toEqual([orderId]);
  });

  test('the charge of an order whose saga is at work, unless it has not moved for long', async () => {
    const { id } = await accept(database.db, { A: 1 });
    await send(eventOf(id));
    expect(await wokenSoFar()).toEqual([]);
    await database.db.$executeRaw`UPDATE orders SET updated_at = now() - interval '1 minute' WHERE id = ${id}::uuid`;
    await send(eventOf(id));
    expect(await wokenSoFar()).toEqual([id]);
  });

  test('a refund, if we made it; not if another client of the account did', async () => {
    const charge = `pi_${randomUUID()}`;
    const orderId = await confirmed(charge);
    await send(eventOf(orderId, { charge, type: 'charge.refunded' }));
    expect(await wokenSoFar()).toEqual([orderId]);
    await database.db
      .$executeRaw`UPDATE orders SET status = 'CANCELLED', unwinding_reason = 'OPERATOR' WHERE id = ${orderId}::uuid`;
    await database.db.$executeRaw`UPDATE payments SET status = 'REFUNDED' WHERE order_id = ${orderId}::uuid`;
    await send(eventOf(orderId, { charge, type: 'charge.refunded' }));
    await send(eventOf(orderId, { charge, type: 'refund.created' }));
    expect(await wokenSoFar()).toEqual([orderId]);
  });

  test('a declined attempt', async () => {
    const { id } = await accept(database.db, { A: 1 });
    await beginUnwinding(database.db, id, { reason: 'PAYMENT_DECLINED' });
    await send(eventOf(id, { type: 'payment_intent.payment_failed' }));
    expect(await wokenSoFar()).toEqual([]);
  });
});

test('without a secret there is no such route', async () => {
  const closed = await startTestApi({ db: database.db, databaseUrl: database.url });
  try {
    expectProblem(await closed.send('POST', PATH, eventOf(randomUUID())), 404, 'not-found');
  } finally {
    await closed.stop();
  }
});
