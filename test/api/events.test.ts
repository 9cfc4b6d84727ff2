import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { CloudEvent } from '../../contracts/events.js';
import { reserveInventory } from '../../domain/inventory.js';
import { confirmOrder } from '../../domain/confirmation.js';
import { beginUnwinding, cancelOrder } from '../../domain/orders.js';
import { recordCharge } from '../../domain/payments.js';
import { expectProblem, startServer, startTestApi, type TestApi } from '../support/api.js';
import { eventually } from '../support/conditions.js';
import { stock } from '../support/database.js';

let api: TestApi;
beforeAll(async () => {
  api = await startTestApi();
  await stock(api.db, 'KEYBOARD', 1_000_000);
});
afterAll(() => api.stop());

async function placeAndReserve(): Promise<string> {
  const { body } = await api.place();
  await reserveInventory(api.db, body.id);
  return body.id;
}
async function confirm(id: string): Promise<void> {
  await recordCharge(api.db, id, `pi_${id}`);
  await confirmOrder(api.db, id);
}
const CONFIRMED = ['order.created', 'inventory.reserved', 'payment.charged', 'order.confirmed'];

describe('the events of an order', () => {
  test('are CloudEvents, oldest first, numbered from 1', async () => {
    const { body: order } = await api.place(
      { externalOrderId: 'web-7' },
      { 'x-correlation-id': 'corr-7', traceparent: `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01` },
    );
    await reserveInventory(api.db, order.id);
    await confirm(order.id);
    const { status, body } = await api.get<{ events: CloudEvent[]; next: null }>(`/orders/${order.id}/events`);
    expect([status, body.next]).toEqual([200, null]);
    expect(body.events.map((event) => event.type)).toEqual(CONFIRMED);
    expect(body.events.map((event) => event.sequence)).toEqual([1, 2, 3, 4]);
    expect(body.events[0]).toEqual({
      specversion: '1.0',
      id: `${order.id}-1`,
      source: '/order-saga',
      type: 'order.created',
      subject: order.id,
      time: expect.stringMatching(/Z$/),
      datacontenttype: 'application/json',
      dataschema: 'urn:order-saga:schema:order.created:v1',
      data: {
        orderId: order.id,
        customerId: 'cus_42',
        customerReference: expect.stringMatching(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/),
        externalOrderId: 'web-7',
        items: order.items,
        total: order.total,
      },
      sequence: 1,
      correlationid: 'corr-7',
      traceparent: `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`,
    });
  });

  test('of a cancelled order end with the reason', async () => {
    const { body: order } = await api.place();
    await beginUnwinding(api.db, order.id, { reason: 'DEADLINE_EXCEEDED' });
    await cancelOrder(api.db, order.id);
    const { body } = await api.get<{ events: CloudEvent[] }>(`/orders/${order.id}/events`);
    expect(body.events.at(-1)).toMatchObject({
      type: 'order.cancelled',
      data: { orderId: order.id, reason: 'DEADLINE_EXCEEDED' },
    });
  });

  test('come in pages', async () => {
    const id = await placeAndReserve();
    await confirm(id);
    type Page = { events: CloudEvent[]; next: string | null };
    const { body: first } = await api.get<Page>(`/orders/${id}/events?limit=3`);
    const { body: second } = await api.get<Page>(`/orders/${id}/events?limit=3&cursor=${first.next}`);
    expect([...first.events, ...second.events].map((event) => event.type)).toEqual(CONFIRMED);
    expect(second.next).toBeNull();
    expectProblem(await api.get(`/orders/${id}/events?cursor=x`), 400, 'invalid-request', ['querystring/cursor']);
  });

  test('do not take over a traceparent that is none', async () => {
    const { body: order } = await api.place({}, { traceparent: '00-nonsense' });
    const { body } = await api.get<{ events: CloudEvent[] }>(`/orders/${order.id}/events`);
    expect(body.events[0]).not.toHaveProperty('traceparent');
  });
});

describe('the event stream of an order', () => {
  test('sends the stored events, then new ones as they happen', async () => {
    const id = await placeAndReserve();
    const stream = await api.stream(`/orders/${id}/events`);
    expect([stream.response.status, stream.response.headers.get('content-type')]).toEqual([
      200,
      'text/event-stream; charset=utf-8',
    ]);
    expect(stream.response.headers.get('x-correlation-id')).toEqual(expect.any(String));
    await eventually('the past events arrive', () => stream.events.length === 2);
    await confirm(id);
    await eventually('the new events arrive', () => stream.events.length === 4);
    expect(stream.events.map(({ id: sequence, event }) => [sequence, event])).toEqual(
      CONFIRMED.map((type, i) => [`${i + 1}`, type]),
    );
    const { body } = await api.get<{ events: CloudEvent[] }>(`/orders/${id}/events`);
    expect(stream.events.map(({ data }) => data)).toEqual(body.events);
    expect(stream.ended()).toBe(false);
    stream.close();
  });

  test('resumes after Last-Event-ID, with nothing twice', async () => {
    const id = await placeAndReserve();
    const first = await api.stream(`/orders/${id}/events`);
    await eventually('two events', () => first.events.length === 2);
    first.close();
    await confirm(id);
    const second = await api.stream(`/orders/${id}/events`, { 'last-event-id': String(first.events.at(-1)?.id) });
    await eventually('the rest', () => second.events.length === 2);
    expect(second.events.map(({ event }) => event)).toEqual(CONFIRMED.slice(2));
    second.close();
  });

  test.each(['x', '-1', '1.5', '1'.repeat(10), 'a'.repeat(201)])(
    'refuses a Last-Event-ID that it never gave: %s',
    async (last) => {
      const { body: order } = await api.place();
      const answer = await api.get(`/orders/${order.id}/events`, {
        accept: 'text/event-stream',
        'last-event-id': last,
      });
      expectProblem(answer, 400, 'invalid-request', ['headers/last-event-id']);
      expectProblem(
        await api.get('/events', { accept: 'text/event-stream', 'last-event-id': last }),
        400,
        'invalid-request',
        ['headers/last-event-id'],
      );
    },
  );

  test('of an order that is not there is 404, as a problem', async () => {
    expectProblem(await api.get('/orders/none/events', { accept: 'text/event-stream' }), 404, 'not-found');
  });

  test('ends when the server stops, which does not wait for its readers', async () => {
    const other = await startTestApi({ db: api.db, databaseUrl: api.databaseUrl });
    const { body: order } = await other.place();
    const streams = await Promise.all([other.stream(`/orders/${order.id}/events`), other.stream('/events')]);
    await eventually('both are under way', () => streams.every((stream) => stream.events.length > 0));
    const began = Date.now();
    await other.stop();
    expect(Date.now() - began).toBeLessThan(5_000);
    await eventually('both have ended', () => streams.every((stream) => stream.ended()));
  });

  test.each(['/events', '/orders/:id/events'])(
    'of %s lets proxies hear from it while nothing happens',
    async (path) => {
      const { body: order } = await api.place();
      const { client, stop } = await startServer(api, { heartbeatEveryMs: 20 });
      const stream = await client.stream(path.replace(':id', order.id));
      await eventually('the past events arrive', () => stream.events.length > 0);
      const heard = stream.comments.length;
      await eventually('heartbeats', () => stream.comments.length >= heard + 2);
      expect(stream.ended()).toBe(false);
      stream.close();
      await stop();
    },
  );
});
