import { type AddressInfo, createServer } from 'node:net';
import { expect, test } from '@jest/globals';
import { pino } from 'pino';
import { listen } from '../../runtime/listener.js';
import { eventually } from '../support/conditions.js';
import { createTestDatabase } from '../support/database.js';
import { startLink } from '../../testbed/link.js';

const logger = pino({ level: 'silent' });

test('a connection that has died unnoticed is replaced, and the callback runs for what may have been missed', async () => {
  const t = await createTestDatabase();
  const url = new URL(t.url);
  const link = await startLink(url.host);
  url.host = link.address;
  const heard: (string | undefined)[] = [];
  const stop = listen(url.href, 'news', (payload) => heard.push(payload), logger, 100);
  const tell = (what: string) => t.db.$queryRaw`SELECT pg_notify('news', ${what})::text`;
  try {
    await eventually('it listens', () => heard.length === 1);
    await tell('first');
    await eventually('it hears', () => heard.includes('first'));

    link.fail('silent');
    await tell('never heard');
    link.heal(); // for new connections
    await eventually('it listens again', () => heard.length === 3);
    await tell('second');
    await eventually('it hears again', () => heard.includes('second'));
    expect(heard).toEqual([undefined, 'first', undefined, 'second']);
  } finally {
    await stop();
    await link.stop();
    await t.drop();
  }
}, 30_000);

test('a callback may throw, and is called again over the same connection', async () => {
  const t = await createTestDatabase();
  const heard: (string | undefined)[] = [];
  const stop = listen(
    t.url,
    'news',
    (payload) => {
      heard.push(payload);
      throw new Error('planned failure');
    },
    logger,
  );
  try {
    await eventually('it listens', () => heard.length === 1);
    for (const payload of ['first', 'second']) {
      await t.db.$queryRaw`SELECT pg_notify('news', ${payload})::text`;
      await eventually('it hears', () => heard.includes(payload));
    }
    expect(heard).toEqual([undefined, 'first', 'second']);
  } finally {
    await stop();
    await t.drop();
  }
}, 30_000);

test('a long outage is logged at its 1st, 2nd, 4th, 8th … failure, and the next outage again from its 1st', async () => {
  const t = await createTestDatabase();
  const url = new URL(t.url);
  const link = await startLink(url.host);
  const refused = { count: 0 };
  const refusing = createServer((socket) => {
    refused.count++;
    socket.resetAndDestroy();
  });
  await new Promise<void>((resolve) => refusing.listen(0, '127.0.0.1', resolve));
  const lines: { failures: number; channel: string }[] = [];
  const recording = pino({ level: 'warn' }, { write: (line) => void lines.push(JSON.parse(line)) });
  let heard = 0;

  const away = new URL(t.url);
  away.port = String((refusing.address() as AddressInfo).port);
  const stopAway = listen(away.href, 'away', () => undefined, recording);
  url.host = link.address;
  const stop = listen(url.href, 'news', () => heard++, recording);
  const loggedOf = (name: string) => lines.filter(({ channel }) => channel === name).map(({ failures }) => failures);
  try {
    for (const outage of [1, 2]) {
      await eventually(`it listens for the ${outage}. time`, () => heard === outage);
      link.fail('reset');
      await eventually('it has failed twice', () => loggedOf('news').length === 2 * outage);
      link.heal();
    }
    await eventually('six connections have failed', () => refused.count >= 6);
    expect(loggedOf('away')).toEqual([1, 2, 4]);
    expect(loggedOf('news')).toEqual([1, 2, 1, 2]);
  } finally {
    await Promise.all([stop(), stopAway()]);
    await link.stop();
    await new Promise((resolve) => refusing.close(resolve));
    await t.drop();
  }
}, 30_000);

test('stopping does not wait for a server that no longer answers, and a malformed address does not throw', async () => {
  const t = await createTestDatabase();
  const url = new URL(t.url);
  const link = await startLink(url.host);
  url.host = link.address;
  let heard = 0;
  const stop = listen(url.href, 'news', () => heard++, logger);
  await eventually('it listens', () => heard === 1);
  link.fail('silent');
  const from = performance.now();
  await stop();
  expect(performance.now() - from).toBeLessThan(2_000);
  await link.stop();
  await t.drop();
  const stopNowhere = listen('postgresql://user:%ZZ@127.0.0.1:1/x', 'news', () => undefined, logger);
  await stopNowhere();
});
