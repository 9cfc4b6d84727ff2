/** The webhook publisher against real receivers: what each answer means, and where it will not go. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Webhook } from 'standardwebhooks';
import { type CloudEvent, toCloudEvent } from '../../contracts/events.js';
import { publishOneByOne } from '../../relay/publishers/one-by-one.js';
import { isPrivate, lookupPublicBy, refusePrivateLiteral } from '../../relay/publishers/private-addresses.js';
import type { PublishOutcome } from '../../relay/publishers/publisher.js';
import { createWebhookPublisher } from '../../relay/publishers/webhook.js';
import { closedPort } from '../support/api.js';
import { type Receiver, startReceiver } from '../support/receiver.js';

let receiver: Receiver;
beforeAll(async () => {
  receiver = await startReceiver();
});
afterAll(() => receiver.stop());

const eventOf = (orderId: string, sequence: number): CloudEvent =>
  toCloudEvent({
    orderId,
    sequence,
    type: 'order.confirmed',
    data: { orderId },
    correlationId: 'c',
    traceparent: null,
    occurredAt: new Date(0),
  });
const create = (options: Partial<Parameters<typeof createWebhookPublisher>[0]> = {}) =>
  createWebhookPublisher({ url: receiver.url, secret: receiver.secret, allowPrivate: true, ...options });

async function publishOne(publisher = create()): Promise<PublishOutcome> {
  const [outcome] = await publisher.publish([eventOf('o', 1)]);
  await publisher.close();
  if (!outcome) throw new Error('no outcome');
  return outcome;
}

test.each([
  [200, 'taken'],
  [202, 'taken'],
  [204, 'taken'],
  [400, 'rejected'],
  [413, 'rejected'],
  [415, 'rejected'],
  [422, 'rejected'],
  ...[301, 302, 307, 401, 403, 404, 405, 408, 409, 410, 425, 429, 500, 502, 503, 504].map(
    (status) => [status, 'unavailable'] as const,
  ),
])('%i means %s', async (status, outcome) => {
  receiver.answer = () => status;
  receiver.headers = { location: receiver.url };
  const asked = receiver.asked;
  expect((await publishOne()).outcome).toBe(outcome);
  expect(receiver.asked).toBe(asked + 1); // a redirect is not followed
  receiver.answer = () => 204;
});

test('no answer means unavailable', async () => {
  const outcome = await publishOne(create({ url: `http://127.0.0.1:${await closedPort()}/` }));
  expect(outcome).toMatchObject({
    outcome: 'unavailable',
    error: { message: expect.stringContaining('ECONNREFUSED') },
  });
});

test.each([
  ['7', 7_000],
  ['86400', 60_000], // a receiver cannot make us wait longer than we would by ourselves
  [new Date(Date.now() + 60_000).toUTCString(), undefined], // nor compare our clock with a foreign one
  ['soon', undefined],
  ['-1', undefined],
])('Retry-After: %s is passed on', async (text, ms) => {
  receiver.answer = () => 503;
  receiver.headers = { 'retry-after': text };
  const { retryAfterMs } = (await publishOne()) as { retryAfterMs?: number };
  receiver.answer = () => 204;
  receiver.headers = {};
  if (ms === undefined) expect(retryAfterMs).toBeUndefined();
  else expect(Math.abs((retryAfterMs ?? 0) - ms)).toBeLessThan(5_000);
});

test('during a rotation each secret signs, so that a receiver with either takes the event', async () => {
  const [old, fresh] = ['the old secret of this test, 32 b.', 'the new secret of this test, 32 b.'].map(
    (text) => `whsec_${Buffer.from(text).toString('base64')}`,
  );
  const bodies: { body: string; headers: Record<string, string> }[] = [];
  const server = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk) => (body += chunk));
    request.on('end', () => {
      bodies.push({ body, headers: request.headers as Record<string, string> });
      response.writeHead(204).end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  expect(await publishOne(create({ url, secret: ` ${old}  ${fresh}` }))).toEqual({ outcome: 'taken' });
  await new Promise((resolve) => server.close(resolve));
  const [request] = bodies;
  for (const secret of [old, fresh])
    expect(() => new Webhook(secret ?? '').verify(request?.body ?? '', request?.headers ?? {})).not.toThrow();
  expect(() => new Webhook(receiver.secret).verify(request?.body ?? '', request?.headers ?? {})).toThrow();
  expect(() => create({ secret: 'whsec_!' })).toThrow('WEBHOOK_SECRET must be');
});

test('a private address is refused, written out or looked up, at the moment of connecting', async () => {
  for (const url of [
    'https://127.0.0.1:1/',
    'https://[::1]:1/',
    'https://[::ffff:10.0.0.1]:1/',
    'https://localhost:1/',
  ]) {
    const outcome = await publishOne(create({ url, allowPrivate: false }));
    expect([url, outcome]).toMatchObject([url, { error: { message: expect.stringContaining('private address') } }]);
  }
  expect(() => create({ url: 'http://example.com/', allowPrivate: false })).toThrow('must be https');
  expect(() => refusePrivateLiteral('93.184.216.34')).not.toThrow();
});

test.each([
  ...['0.0.0.0', '0.1.2.3', '10.1.2.3', '100.64.0.1', '100.127.255.255', '127.9.9.9', '169.254.169.254', '172.31.0.1'],
  ...['192.0.0.8', '192.0.2.1', '192.88.99.1', '192.168.1.1', '198.18.0.1', '198.19.255.255', '198.51.100.1'],
  ...['203.0.113.1', '224.0.0.1', '240.0.0.1', '255.255.255.255'],
  ...['::', '::1', '::2', '::7f00:1', '::10.0.0.1', '::ffff:10.0.0.1', '::ffff:0:10.0.0.1', '::ffff:8.8.8.8'],
  ...['64:ff9b::a00:1', '64:ff9b:1::a00:1', '100::1', '2001::1', '2001:0:4136:e378::1', '2001:10::1', '2001:20::1'],
  ...['2001:db8::1', '2002:a00:1::1', '2002:7f00:1::', '3fff::1', '5f00::1', 'fc00::1', 'fd00::1', 'fe80::1'],
  ...['fe80::1%eth0', 'fe80::1%1', 'febf::1', 'fec0::1', 'feff::1', 'ff02::1', 'ff0e::1', 'no address', ''],
])('%p is no receiver’s address', (address) => {
  expect(isPrivate(address)).toBe(true);
});

test.each([
  ...['1.1.1.1', '8.8.8.8', '9.255.255.255', '11.0.0.0', '100.63.255.255', '100.128.0.0', '172.15.0.1', '172.32.0.1'],
  ...['192.0.1.1', '192.0.3.1', '198.17.255.255', '198.20.0.0', '223.255.255.255'],
  ...['2001:200::1', '2001:4860:4860::8888', '2003::1', '2606:4700::1111', '2a00:1450::1', '3ffe::1'],
])('%p may be a receiver’s', (address) => {
  expect(isPrivate(address)).toBe(false);
});

test.each([true, false])(
  'what is connected to is what was checked: a name is looked up once (all: %p)',
  async (all) => {
    const answers = [
      [{ address: '93.184.216.34', family: 4 }],
      [{ address: '127.0.0.1', family: 4 }],
      [
        { address: '93.184.216.34', family: 4 },
        { address: '::7f00:1', family: 6 },
      ],
    ];
    let asked = 0;
    const lookup = lookupPublicBy((_name, _options, done) => done(null, answers[asked++] ?? []));
    const connectedTo = () =>
      new Promise((resolve) => lookup('rebinds.example', { all }, (err, found) => resolve(err?.message ?? found)));
    expect(await connectedTo()).toEqual(all ? answers[0] : '93.184.216.34');
    expect(asked).toBe(1);
    expect(await connectedTo()).toContain('private address'); // as it has become
    expect(await connectedTo()).toContain('private address'); // one of two
  },
);

test('closing ends what is in flight, so that a stop does not wait for a receiver that hangs', async () => {
  receiver.delayMs = 60_000;
  const publisher = create();
  const asked = receiver.asked;
  const publishing = publisher.publish([eventOf('o', 1), eventOf('p', 1)]);
  while (receiver.asked < asked + 2) await new Promise((resolve) => setImmediate(resolve));
  await publisher.close();
  receiver.delayMs = 0;
  expect(await publishing).toHaveLength(2);
});

test('one by one: an order stops at its first failure, and all stop when the destination does not answer', async () => {
  const sent: string[] = [];
  const outcomes = async (fails: (event: CloudEvent) => boolean, orders: number, parallelMax: number) => {
    sent.length = 0;
    const events = Array.from({ length: orders }, (_, order) => [1, 2, 3].map((n) => eventOf(`o${order}`, n))).flat();
    const results = await publishOneByOne(
      events,
      async (event) => {
        sent.push(event.id);
        await new Promise((resolve) => setImmediate(resolve));
        if (fails(event)) throw new Error('away');
        return { outcome: 'taken' };
      },
      parallelMax,
    );
    return results.map(({ outcome }) => outcome);
  };
  expect(await outcomes((event) => event.id === 'o0-2', 2, 8)).toEqual([
    ...['taken', 'unavailable', 'not-sent'],
    ...['taken', 'taken', 'taken'],
  ]);
  const down = await outcomes(() => true, 100, 8);
  expect(sent.length).toBeLessThanOrEqual(16);
  expect(down.filter((outcome) => outcome === 'not-sent').length).toBeGreaterThan(280);
});
