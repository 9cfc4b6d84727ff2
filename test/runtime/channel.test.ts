/** Hints between processes at one database: each channel here stands for a process. */
import { connect, createServer, type AddressInfo } from 'node:net';
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import pg from 'pg';
import { pino } from 'pino';
import { type Channel, openChannel } from '../../runtime/channel.js';
import { eventually } from '../support/conditions.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { startLink } from '../../testbed/link.js';

const NAME = 'news';
const logger = pino({ level: 'silent' });
let t: TestDatabase;
const opened: { stop(): Promise<unknown> }[] = [];
beforeAll(async () => {
  t = await createTestDatabase();
});
afterEach(async () => {
  for (const each of opened.splice(0).reverse()) await each.stop();
});
afterAll(() => t.drop());

type Process = Channel & { heard: (string | undefined)[] };

/** Connected, and has heard nothing yet. */
async function startProcess(url = t.url): Promise<Process> {
  const channel = openChannel({ url, name: NAME, logger });
  opened.push(channel);
  const heard: (string | undefined)[] = [];
  channel.subscribe((hint) => heard.push(hint));
  await eventually('it is connected', () => heard.length === 1);
  heard.pop();
  return { ...channel, heard };
}

/** As a process listens whose release knows of no channels: each payload is what one order has come to. */
async function startOldProcess(): Promise<{ heard: string[]; say(payload: string): Promise<unknown> }> {
  const client = new pg.Client({ connectionString: t.url });
  await client.connect();
  opened.push({ stop: () => client.end() });
  const heard: string[] = [];
  client.on('notification', ({ payload }) => heard.push(payload ?? ''));
  await client.query(`LISTEN ${NAME}`);
  return { heard, say: (payload) => client.query('SELECT pg_notify($1, $2)', [NAME, payload]) };
}

/** A way to the database on which statements with NOTIFY are counted. */
async function countNotifies(): Promise<{ url: string; count: () => number }> {
  const url = new URL(t.url);
  const { hostname, port } = url;
  let count = 0;
  const server = createServer((client) => {
    const upstream = connect(Number(port), hostname);
    client.on('data', (chunk: Buffer) => {
      count += chunk.toString('latin1').split('SELECT pg_notify').length - 1;
    });
    for (const socket of [client, upstream]) socket.on('error', () => undefined);
    client.pipe(upstream).pipe(client);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  opened.push({ stop: async () => server.close() });
  url.port = `${(server.address() as AddressInfo).port}`;
  return { url: url.href, count: () => count };
}

test('a hint is given at once to the process that has it, once, and soon to every other', async () => {
  const [mine, other, third] = [await startProcess(), await startProcess(), await startProcess()];
  mine.announce('a');
  expect(mine.heard).toEqual(['a']);
  await eventually('the others have it', () => other.heard.length === 1 && third.heard.length === 1);
  other.announce('b');
  await eventually('the first has the answer', () => mine.heard.includes('b'));
  expect([mine.heard, other.heard]).toEqual([
    ['a', 'b'],
    ['a', 'b'],
  ]);
});

test('thousands of hints at once reach every other process, each once, by one commit', async () => {
  const { url, count } = await countNotifies();
  const [mine, other, old] = [await startProcess(url), await startProcess(), await startOldProcess()];
  const hints = Array.from({ length: 5_000 }, (_, i) => `0199c0de-0000-7000-8000-${`${i}`.padStart(12, '0')} final`);
  for (const hint of [...hints, ...hints]) mine.announce(hint);
  await eventually('they have arrived', () => other.heard.length >= hints.length && old.heard.length >= hints.length);
  mine.announce('last');
  await eventually('so has the last', () => other.heard.includes('last') && old.heard.includes('last'));
  expect(other.heard.toSorted()).toEqual([...hints, 'last'].toSorted());
  expect(old.heard.toSorted()).toEqual([...hints, 'last'].toSorted());
  expect(count()).toBe(2);
});

test('a process that has hints all the time commits ten times a second; one that was quiet does not wait', async () => {
  const { url, count } = await countNotifies();
  const [mine, other] = [await startProcess(url), await startProcess()];
  const began = performance.now();
  let said = 0;
  const announcing = setInterval(() => mine.announce(`${said++}`), 2);
  await eventually('the first has come', () => other.heard.length > 0);
  await eventually('a second has passed', () => performance.now() - began >= 1_000);
  clearInterval(announcing);
  await eventually('all have come', () => other.heard.length === said);
  expect(count()).toBeGreaterThan(5);
  expect(count()).toBeLessThanOrEqual(4 + Math.ceil((performance.now() - began) / 100));
  expect(other.heard).toEqual(Array.from({ length: said }, (_, i) => `${i}`));
});

test('what processes of the release before say is understood, and they understand what is said', async () => {
  const [mine, old] = [await startProcess(), await startOldProcess()];
  await old.say('order-1 final');
  await eventually('the new one has it', () => mine.heard.includes('order-1 final'));
  mine.announce('order-2');
  await eventually('the old one has it', () => old.heard.includes('order-2'));
});

test('more than can be named is said without names, to the old as to the new', async () => {
  const [mine, other, old] = [await startProcess(), await startProcess(), await startOldProcess()];
  for (let i = 0; i <= 10_000; i++) mine.announce(`${i}`);
  await eventually('both know that there is something', () => other.heard.length > 0 && old.heard.length > 0);
  expect([other.heard[0], old.heard[0]]).toEqual([undefined, '']);
  expect(other.heard.length).toBeLessThan(100);
});

test('what is announced before a stop is sent', async () => {
  const [mine, other] = [await startProcess(), await startProcess()];
  for (let i = 0; i < 10; i++) {
    mine.announce(`${i}`);
    await eventually('the early batches are used up', () => other.heard.includes(`${i}`));
  }
  mine.announce('the last');
  await mine.stop();
  await eventually('the last has come', () => other.heard.includes('the last'));
  mine.announce('too late');
});

test.each(['reset', 'silent'] as const)(
  'with a connection that is %s nothing throws or waits, this process has its hints, and the others have those of afterwards',
  async (fault) => {
    const url = new URL(t.url);
    const link = await startLink(url.host);
    opened.push(link);
    url.host = link.address;
    const [mine, other] = [await startProcess(url.href), await startProcess()];
    link.fail(fault);
    for (let i = 0; i < 1_000; i++) mine.announce(`${i}`);
    expect(mine.heard).toHaveLength(1_000);
    link.heal();
    await eventually('it is connected again', () => mine.heard.at(-1) === undefined, 20_000);
    mine.announce('afterwards');
    await eventually('the other has it', () => other.heard.includes('afterwards'));
    link.fail('silent');
    mine.announce('never heard');
    const began = performance.now();
    await mine.stop();
    expect(performance.now() - began).toBeLessThan(3_000);
  },
  40_000,
);

test('a subscriber that throws keeps no other from its hint, nor one that has ended its subscription', async () => {
  const mine = await startProcess();
  const [first, second]: [string[], string[]] = [[], []];
  mine.subscribe(() => {
    throw new Error('planned failure');
  });
  const end = mine.subscribe((hint) => first.push(`${hint}`));
  mine.subscribe((hint) => second.push(`${hint}`));
  mine.announce('a');
  end();
  mine.announce('b');
  expect([first, second]).toEqual([['a'], ['a', 'b']]);
});
