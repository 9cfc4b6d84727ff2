/** Events as nobody should send them, each of an order of its own, and a feed that shows what it is given. */
import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

export type Odd = { id?: unknown; subject?: unknown } & Record<string, unknown>;

export function event(type: string, data: object, more: Odd = {}): Odd & { subject: string } {
  const subject = randomUUID();
  const dataschema = `urn:order-saga:schema:${type}:v1`;
  const envelope = { specversion: '1.0', source: '/order-saga', time: new Date().toISOString(), correlationid: 'c' };
  return { ...envelope, id: `${subject}-1`, type, subject, sequence: 1, dataschema, data, ...more } as Odd & {
    subject: string;
  };
}

const total = { amount: 100, currency: 'USD' };
export const created = (data: object = {}, more: Odd = {}) =>
  event(
    'order.created',
    { customerId: 'cus', items: [{ sku: 'A', quantity: 1, unitPrice: 100 }], total, ...data },
    more,
  );

/** What `data` says where a text of JSON cannot be made of what is meant: nested more deeply than this language can write. */
export const NESTED = 'nested';
const nested = '['.repeat(100_000) + ']'.repeat(100_000);

/** @returns these as `GET /events` would show them, and orders as `GET /orders` */
export async function startFeed(events: readonly unknown[], orders: readonly unknown[] = []) {
  const server = createServer((request, response) => {
    const { pathname, searchParams } = new URL(request.url ?? '', 'http://local');
    if (pathname === '/orders') return void response.end(JSON.stringify({ orders, next: null }));
    const after = Number(searchParams.get('after') ?? 0);
    const page = events.slice(after, after + Number(searchParams.get('limit')));
    const next = after + page.length;
    if (next === events.length) response.setHeader('feed-as-of', new Date().toISOString());
    const text = JSON.stringify({ events: page, next: `${next}` });
    return void response.end(text.replaceAll(`"${NESTED}"`, nested));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    stop: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}
