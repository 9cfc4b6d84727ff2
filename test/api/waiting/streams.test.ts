/** How long streams stay open, as their clients see it. */
import { connect } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { confirmOrder } from '../../../domain/confirmation.js';
import { releaseInventory, reserveInventory } from '../../../domain/inventory.js';
import { beginUnwinding, cancelOrder, requestCancellation } from '../../../domain/orders.js';
import { recordCharge, recordRefund, shutPayment } from '../../../domain/payments.js';
import { purgeEvents } from '../../../domain/retention.js';
import { type EventStream, expectProblem, startServer, startTestApi, type TestApi } from '../../support/api.js';
import { eventually } from '../../support/conditions.js';
import { accept, feedShowsAll, stock } from '../../support/database.js';
import { AUDIENCE, startTokenIssuer, type TokenIssuer } from '../tokens.js';

let api: TestApi;
let issuer: TokenIssuer;
let guarded: TestApi;
const streams: EventStream[] = [];
beforeAll(async () => {
  [api, issuer] = await Promise.all([startTestApi(), startTokenIssuer()]);
  guarded = await startTestApi({
    db: api.db,
    databaseUrl: api.databaseUrl,
    authentication: { issuer: issuer.url, audience: AUDIENCE, rolesClaim: 'roles', jwksUrl: issuer.jwksUrl },
  });
  await stock(api.db, 'KEYBOARD', 1_000_000);
});
afterEach(() => {
  for (const stream of streams.splice(0)) stream.close();
});
afterAll(async () => {
  await guarded.stop();
  await Promise.all([api.stop(), issuer.stop()]);
});

const follow = async (id: string, headers = {}) => {
  const stream = await api.stream(`/orders/${id}/events`, headers);
  streams.push(stream);
  return stream;
};
const types = ({ events }: EventStream) => events.map(({ event }) => event);
async function cancelled(): Promise<string> {
  const { id } = await accept(api.db, { KEYBOARD: 1 });
  await beginUnwinding(api.db, id, { reason: 'CANCELLED_BY_CUSTOMER' });
  await cancelOrder(api.db, id);
  return id;
}

describe('the stream of an order', () => {
  test('that is cancelled shows that, and ends; who connects again is told that there is no more', async () => {
    const { id } = await accept(api.db, { KEYBOARD: 1 });
    const stream = await follow(id);
    await eventually('its first event', () => stream.events.length === 1);
    await beginUnwinding(api.db, id, { reason: 'CANCELLED_BY_CUSTOMER' });
    await cancelOrder(api.db, id);
    await eventually('the stream has ended', () => stream.ended());
    expect(types(stream)).toEqual(['order.created', 'order.cancelled']);
    const again = await follow(id, { 'last-event-id': '2' });
    expect([again.response.status, again.events]).toEqual([204, []]);
  });

  test('that was cancelled before has what the reader lacks, and ends', async () => {
    const id = await cancelled();
    const [whole, rest] = [await follow(id), await follow(id, { 'last-event-id': '1' })];
    await eventually('both have ended', () => whole.ended() && rest.ended());
    expect([whole.response.status, types(whole)]).toEqual([200, ['order.created', 'order.cancelled']]);
    expect([rest.response.status, types(rest)]).toEqual([200, ['order.cancelled']]);
  });

  test('that is confirmed stays open, and shows that it is taken back', async () => {
    const { id } = await accept(api.db, { KEYBOARD: 1 });
    await reserveInventory(api.db, id);
    await recordCharge(api.db, id, `pi_${id}`);
    await confirmOrder(api.db, id);
    const stream = await follow(id, { 'last-event-id': '3' });
    await eventually('its confirmation', () => stream.events.length === 1);
    expect(stream.ended()).toBe(false);
    await requestCancellation(api.db, id, { reason: 'CANCELLED_BY_CUSTOMER' });
    await shutPayment(api.db, id);
    await recordRefund(api.db, id, { charge: `pi_${id}`, refund: 're_1', gaveBack: 1_000 });
    await releaseInventory(api.db, id);
    await cancelOrder(api.db, id);
    await eventually('the stream has ended', () => stream.ended());
    expect(types(stream)).toEqual(['order.confirmed', 'payment.refunded', 'inventory.released', 'order.cancelled']);
  });

  test('goes on when the notifications are lost', async () => {
    const { id } = await accept(api.db, { KEYBOARD: 1 });
    const [stream, feed] = [await follow(id), await api.stream('/events')];
    streams.push(feed);
    await eventually('both are under way', () => stream.events.length > 0 && feed.events.length > 0);
    const before = feed.events.length;
    await api.db.event.create({
      data: {
        orderId: id,
        sequence: 2,
        type: 'inventory.reserved',
        data: {},
        correlationId: 'c',
        feedXid: await xid(),
      },
    });
    await eventually('the event that was not notified', () => stream.events.length === 2);
    await eventually('the same on the feed', () => feed.events.length > before);
  });
});

async function xid(): Promise<bigint> {
  const [row] = await api.db.$queryRaw<{ xid: bigint }[]>`SELECT pg_current_xact_id()::text::bigint AS xid`;
  return row?.xid ?? 0n;
}

describe('a place behind which events have left', () => {
  test('is answered 410 with the gap, to streams as to pages', async () => {
    const other = await startTestApi();
    await stock(other.db, 'KEYBOARD', 10);
    const { id } = await accept(other.db, { KEYBOARD: 1 });
    await reserveInventory(other.db, id);
    await feedShowsAll(other.db);
    const { body } = await other.get<{ next: string }>('/events?limit=1');
    await recordCharge(other.db, id, `pi_${id}`);
    await feedShowsAll(other.db);
    await purgeEvents(other.db, { olderThanMs: -60_000, limit: 100 });
    const stream = { accept: 'text/event-stream' };
    const ofFeed = await other.get(`/events?after=${body.next}`, stream);
    expect(expectProblem(ofFeed, 410, 'events-gone')).toHaveProperty('oldest');
    expectProblem(await other.get('/events', { ...stream, 'last-event-id': body.next }), 410, 'events-gone');
    const ofOrder = await other.get(`/orders/${id}/events`, { ...stream, 'last-event-id': '1' });
    expect(expectProblem(ofOrder, 410, 'events-gone')).toHaveProperty('gap');
    for (const path of ['/events', `/orders/${id}/events`]) {
      const left = await other.stream(path);
      await eventually('what is left', () => left.events.length === 1);
      expect(types(left)).toEqual(['payment.charged']);
      left.close();
    }
    await other.stop();
  });
});

describe('a stream and a wait', () => {
  test('end when the token expires', async () => {
    const { id } = await accept(api.db, { KEYBOARD: 1 });
    const authorization = await issuer.token({ subject: 'shop', roles: ['service'], expiresInS: 3 });
    const both = await Promise.all(
      ['/events', `/orders/${id}/events`].map((path) => guarded.stream(path, { authorization })),
    );
    const waits = guarded.place({}, { authorization, prefer: 'wait=30' });
    expect(both.map(({ response }) => response.status)).toEqual([200, 200]);
    const began = Date.now();
    await eventually('both have ended', () => both.every((stream) => stream.ended()), 10_000);
    const { status, body } = await waits;
    expect([status, body.status]).toEqual([201, 'PENDING']);
    expect(Date.now() - began).toBeLessThan(8_000);
    const again = await guarded.get('/events', { authorization, accept: 'text/event-stream' });
    expect([200, 401]).toContain(again.status); // clocks may differ by half a minute
  });

  test('of a token that lasts stay', async () => {
    const { id } = await accept(api.db, { KEYBOARD: 1 });
    const authorization = await issuer.token({ subject: 'shop', roles: ['service'], expiresInS: 4_000_000 });
    const stream = await guarded.stream(`/orders/${id}/events`, { authorization });
    streams.push(stream);
    await reserveInventory(api.db, id);
    await eventually('it goes on', () => stream.events.length === 2);
    expect(stream.ended()).toBe(false);
  });
});

describe('a reader that does not read', () => {
  test.each(['/events', '/orders/:id/events'])('of %s is closed, and frees its place', async (path) => {
    const { id } = await accept(api.db, { KEYBOARD: 1 });
    const correlationId = 'c'.repeat(60);
    const large = Array.from({ length: 2_000 }, (_, i) => ({
      orderId: id,
      sequence: i + 2,
      type: 'inventory.reserved',
      data: { filling: 'x'.repeat(8_000) },
      correlationId,
      feedXid: 3n,
    }));
    await api.db.event.createMany({ data: large });
    const { app, url, stop } = await startServer(api, { slowReaderLimitMs: 300 });
    const socket = connect(Number(new URL(url).port), '127.0.0.1');
    socket.on('error', () => undefined);
    const isClosed = new Promise<void>((resolve) => {
      app.server.once('connection', (held) => held.once('close', () => resolve()));
    });
    socket.write(`GET ${path.replace(':id', id)} HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n`);
    socket.pause();
    await isClosed;
    socket.destroy();
    await stop();
    await api.db.event.deleteMany({ where: { correlationId } });
  });
});

describe('a place that no event has', () => {
  test('given by one reader of the feed lets the others miss nothing', async () => {
    const future = Buffer.from('999999999999-9').toString('base64url');
    const ahead = await api.stream(`/events?after=${future}`);
    streams.push(ahead);
    const feed = await api.stream('/events');
    streams.push(feed);
    const { id } = await accept(api.db, { KEYBOARD: 1 });
    await eventually('the others have it', () => feed.events.some(({ data }) => data.subject === id));
    expect(ahead.events).toEqual([]);
  });
});
