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
