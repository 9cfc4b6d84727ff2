import { expect, test } from '@jest/globals';
import { pino } from 'pino';
import { listen } from '../../runtime/listener.js';
import { eventually } from '../support/conditions.js';
import { createTestDatabase } from '../support/database.js';
import { startLink } from '../support/link.js';

const logger = pino({ level: 'silent' });

test('a connection that has died without a word is replaced, and what may have been missed is looked for', async () => {
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

test('whoever is woken may throw, and is woken again over the same connection', async () => {
  const t = await createTestDatabase();
  const heard: (string | undefined)[] = [];
  const stop = listen(
    t.url,
    'news',
    (payload) => {
      heard.push(payload);
      throw new Error('woken on the wrong foot');
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

test('a server that says nothing more is left in a moment, and an address that is none is no reason to die', async () => {
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
