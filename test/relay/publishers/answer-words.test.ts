/** Of a receiver's answer, names of codes and fields are kept, by which its people find the fault; sentences are not. */
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { createWebhookPublisher } from '../../../relay/publishers/webhook.js';
import type { CloudEvent } from '../../../contracts/events.js';

let server: Server;
let url: string;
let respond: (response: ServerResponse) => void;
beforeAll(async () => {
  server = createServer((request, response) => {
    request.resume();
    request.on('end', () => respond(response));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
});

const event = { id: 'e-1', subject: 'e', sequence: 1, data: {} } as unknown as CloudEvent;
async function errorOf(): Promise<string> {
  const secret = `whsec_${Buffer.from('a receiver’s secret, thirty-two bytes').toString('base64')}`;
  const publisher = createWebhookPublisher({ url, secret, allowPrivate: true });
  const [outcome] = await publisher.publish([event]);
  await publisher.close();
  return outcome && 'error' in outcome ? outcome.error.message : '';
}
const json = (body: unknown, status = 422) => {
  respond = (response) =>
    response
      .writeHead(status, { 'content-type': 'application/problem+json' })
      .end(typeof body === 'string' ? body : JSON.stringify(body));
};

test('codes and places are told, as problem documents and APIs like them write them', async () => {
  json({ type: 'https://shop.example/unknown-field', errors: [{ pointer: '/data/items/0/sku' }] });
  expect(await errorOf()).toBe(
    'the webhook receiver answered 422 (type https://shop.example/unknown-field, pointer /data/items/0/sku)',
  );
  json({ error: { code: 'UNKNOWN_SKU', field: 'data.items[0].sku' } }, 500);
  expect(await errorOf()).toBe('the webhook receiver answered 500 (code UNKNOWN_SKU, field data.items[0].sku)');
});

test.each([
  ['a sentence', { code: 'the order of Jane Doe is wrong', message: 'Jane', detail: 'Doe' }],
  ['an address', { reason: 'jane@example.com' }],
  ['a number like that of a card', { code: '4242424242424242' }],
  ['what is no JSON', '{"code":'],
  ['what is deeper than anybody writes', { a: { b: { c: { d: { code: 'DEEP' } } } } }],
  ['what is too long', { code: 'X', more: 'y'.repeat(10_000) }],
])('%s is not', async (_, body) => {
  json(body);
  expect(await errorOf()).toBe('the webhook receiver answered 422');
});

test('a receiver whose answer never ends holds nothing up', async () => {
  respond = (response) => void response.writeHead(422, { 'content-type': 'application/json' }).write('{"code":');
  const began = performance.now();
  expect(await errorOf()).toBe('the webhook receiver answered 422');
  expect(performance.now() - began).toBeLessThan(5_000);
});

test('text that is not JSON is not read at all', async () => {
  respond = (response) => response.writeHead(400, { 'content-type': 'text/plain' }).end('{"code":"X"}');
  expect(await errorOf()).toBe('the webhook receiver answered 400');
});
