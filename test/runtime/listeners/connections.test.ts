/** Who keeps a place, and who loses it, when all connections of a listener are taken. */
import { createServer, type Server } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { afterEach, describe, expect, test } from '@jest/globals';
import { addressKey } from '../../../runtime/listeners/client-address.js';
import { closedConnections, type ConnectionLimits, defaultShare } from '../../../runtime/listeners/connections.js';
import { FRONT_OPTIONS, putFrontBefore } from '../../../runtime/listeners/front.js';
import { affordableConnections } from '../../../runtime/listeners/open-files.js';
import { eventually } from '../../support/conditions.js';

const servers: Server[] = [];
const clients: Socket[] = [];
afterEach(() => {
  for (const socket of clients.splice(0)) socket.destroy();
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    server.close();
  }
});

/** `/wait` is in work for ever, anything else is answered at once. */
async function listen(limits: ConnectionLimits) {
  let waiting = 0;
  const server = createServer(FRONT_OPTIONS, ({ url }, response) => {
    if (url === '/wait') waiting++;
    else response.end('done');
  });
  putFrontBefore(server, { listener: 'api', connections: limits });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '0.0.0.0', resolve));
  const { port } = server.address() as AddressInfo;
  /** @param from an address of this machine, of which loopback has 16 million */
  const open = async (from: string, begin = '') => {
    let text = '';
    const socket = connect({ port, host: '127.0.0.1', localAddress: from });
    clients.push(socket);
    socket.on('error', () => undefined).on('data', (chunk) => (text += chunk));
    await new Promise((resolve) => socket.once('connect', resolve).once('close', resolve));
    await eventually('it is accepted or refused', () => socket.closed || accepted(socket));
    if (begin !== '') socket.write(begin);
    return {
      isOpen: () => !socket.closed,
      text: () => text,
      ask: (path: string, headers = '') => void socket.write(get(path, headers)),
    };
  };
  const seen = new Set<number | undefined>();
  server.on('connection', ({ remotePort }: Socket) => void seen.add(remotePort));
  const accepted = ({ localPort }: Socket) => seen.has(localPort);
  const isServed = async (from: string) => {
    const { ask, text, isOpen } = await open(from);
    ask('/');
    return eventually('it is served or refused', () => (text().includes('200 OK') ? 'served' : !isOpen() && 'refused'));
  };
  /** Opens so many at once. @returns when each has been cut, or is connected */
  const flood = (from: string, count: number) =>
    Promise.all(
      Array.from({ length: count }, () => {
        const socket = connect({ port, host: '127.0.0.1', localAddress: from });
        clients.push(socket);
        return new Promise((resolve) => socket.on('error', resolve).once('close', resolve).once('connect', resolve));
      }),
    );
  return { open, isServed, flood, waiting: () => waiting };
}
const get = (path: string, headers = '') => `GET ${path} HTTP/1.1\r\nHost: localhost\r\n${headers}\r\n`;
const BODY = 'POST /wait HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n1';
const A = '127.0.0.2';
const B = '127.0.0.3';

describe('when all are taken', () => {
  test('a new connection takes the place of the one that has been idle longest, though it never sent a request', async () => {
    const { open, isServed, waiting } = await listen({ max: 4, perAddressMax: 4 });
    const idle = [await open(A), await open(B, 'GET /'), await open(A, BODY)];
    await eventually('the half-sent request is there', () => waiting() === 1);
    idle.push(await open(B));
    expect(await isServed(A)).toBe('served');
    await eventually('the first is closed', () => !idle[0]?.isOpen());
    expect(idle.map((each) => each.isOpen())).toEqual([false, true, true, true]);
    expect(await isServed(B)).toBe('served');
    expect(await isServed(B)).toBe('served');
    expect(idle.map((each) => each.isOpen())).toEqual([false, false, false, true]); // the half-sent body too
  });

  test('one that has been answered lately outlives one that has not', async () => {
    const { open, isServed } = await listen({ max: 2, perAddressMax: 2 });
    const [first, second] = [await open(A), await open(A)];
    first.ask('/');
    await eventually('it is answered', () => first.text().includes('done'));
    expect(await isServed(B)).toBe('served');
    expect([first.isOpen(), second.isOpen()]).toEqual([true, false]);
  });

  test('requests in work keep their places, and the new connection has none', async () => {
    const { open, isServed, waiting } = await listen({ max: 3, perAddressMax: 3 });
    const busy = [await open(A), await open(A), await open(A)];
    for (const each of busy) each.ask('/wait');
    await eventually('all are in work', () => waiting() === 3);
    expect(await isServed(B)).toBe('refused');
    expect(busy.every((each) => each.isOpen())).toBe(true);
  });

  test('an address with more than its share gives up its own before those of others', async () => {
    const { open, isServed } = await listen({ max: 5, perAddressMax: 2 });
    const other = await open(B);
    const own = [await open(A), await open(A), await open(A), await open(A)];
    for (let i = 0; i < 10; i++) own.push(await open(A));
    expect(other.isOpen()).toBe(true);
    expect(await isServed('127.0.0.4')).toBe('served');
    expect(other.isOpen()).toBe(true);
    expect(own.slice(0, 11).some((each) => each.isOpen())).toBe(false);
  });
});

describe('when one address opens connections faster than they can be of use', () => {
  /** Fewer than the kernel lets wait, or it would make them come again a second later. */
  const FLOOD = 400;

  test('some are cut before they have a place, others are served meanwhile, and it is itself when it has calmed down', async () => {
    const { open, isServed, flood } = await listen({ max: 4, perAddressMax: 2 });
    for (let i = 0; i < 4; i++) await open(A);
    const cutBefore = await cutAtOnce();
    const flooded = flood(A, FLOOD);
    expect(await isServed(B)).toBe('served');
    await flooded;
    expect((await cutAtOnce()) - cutBefore).toBeGreaterThan(0);
    expect(await eventually('it finds a place', async () => (await isServed(A)) === 'served')).toBe(true);
  });
});

async function cutAtOnce(): Promise<number> {
  const { values } = await closedConnections.get();
  return values.find(({ labels }) => labels.listener === 'api' && labels.reason === 'refused')?.value ?? 0;
}

describe('when nearly all are taken', () => {
  const wait = async (open: Awaited<ReturnType<typeof listen>>['open'], from: string, headers = '') => {
    const connection = await open(from);
    connection.ask('/wait', headers);
    return connection;
  };

  test('an address may have no more than its share in work; before, it may', async () => {
    const { open, isServed, waiting } = await listen({ max: 20 });
    for (let i = 0; i < 17; i++) await wait(open, A);
    await eventually('more than its share is in work', () => waiting() === 17);
    const refused = await wait(open, A);
    await eventually('it is refused', () => !refused.isOpen());
    expect(refused.text()).toMatch(
      /^HTTP\/1\.1 503 [\s\S]*retry-after: \d+\r\n[\s\S]*application\/problem\+json[\s\S]*"overloaded"/,
    );
    await wait(open, B);
    await eventually('another address is served', () => waiting() === 18);
    expect(await isServed(B)).toBe('served');
  });

  test('requests that have not arrived as a whole are nobody’s share: they give way, and hold up none', async () => {
    const { open, isServed, waiting } = await listen({ max: 4, perAddressMax: 1 });
    for (let i = 0; i < 4; i++) await open(A, BODY);
    await eventually('all are there', () => waiting() === 4);
    for (let i = 0; i < 3; i++) expect(await isServed(A)).toBe('served');
  });

  test('a proxy that is believed has no share, but its clients have', async () => {
    const { open, waiting } = await listen({ max: 10, perAddressMax: 2, trustProxy: '127.0.0.0/24' });
    const of = (client: string) => `X-Forwarded-For: 127.0.0.9, ${client}, ${B}\r\n`;
    for (let i = 0; i < 8; i++) await wait(open, A, of('203.0.113.7'));
    await eventually('they are in work', () => waiting() === 8);
    const refused = await wait(open, A, of('203.0.113.7'));
    await eventually('the ninth of that client is refused', () => refused.text().includes('503'));
    await wait(open, A, of('203.0.113.8'));
    await eventually('another client is served', () => waiting() === 9);
    await wait(open, A);
    await eventually('the proxy itself as well', () => waiting() === 10);
  });
});

test('one client is one key, however its address is written, and however many addresses its network gives it', () => {
  expect(addressKey('::ffff:10.0.0.1')).toBe(addressKey('10.0.0.1'));
  expect(addressKey('2001:db8:1:2::1')).toBe(addressKey('2001:db8:1:2:ffff:ffff:ffff:ffff'));
  expect(addressKey('2001:db8:1:2::1')).not.toBe(addressKey('2001:db8:1:3::1'));
  expect(addressKey('2001:db8::1')).toBe(addressKey('2001:db8:0:0:1::'));
  expect(addressKey('fe80::1%eth0')).toBe(addressKey('fe80::2'));
});

test('the share is a tenth, and not less than eight or half', () => {
  expect([10_000, 100, 50, 10, 3, 1].map(defaultShare)).toEqual([1_000, 10, 8, 5, 1, 1]);
});

test('no more connections are promised than the process may open files for, and something is left for its health', () => {
  const warnings: unknown[] = [];
  const logger = { warn: (text: unknown) => void warnings.push(text) } as Parameters<typeof affordableConnections>[1];
  expect([
    affordableConnections(10_000, logger, 65_536),
    affordableConnections(10_000, logger, Number.POSITIVE_INFINITY),
  ]).toEqual([10_000, 10_000]);
  expect(warnings).toEqual([]);
  expect([affordableConnections(10_000, logger, 4_096), affordableConnections(10_000, logger, 256)]).toEqual([
    3_840, 128,
  ]);
  expect(warnings).toEqual([expect.stringContaining('CONNECTIONS_MAX'), expect.stringContaining('ulimit')]);
});
