/** `ops dead-letters`, with a relay that really runs and a receiver that really refuses. There is no API, and no Temporal. */
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { reserveInventory } from '../../domain/inventory.js';
import { eventually } from '../support/conditions.js';
import { accept, createTestDatabase, stock, type TestDatabase } from '../support/database.js';
import { type Receiver, startReceiver } from '../support/receiver.js';
import { runRelay } from '../support/relay.js';
import { type Cli, cliOf } from './cli.js';

let t: TestDatabase;
let ops: Cli;
let receiver: Receiver;
let stopRelay: () => Promise<void>;
/** Orders whose second event the receiver refuses. */
const rejectedOrders = new Set<string>();
beforeAll(async () => {
  t = await createTestDatabase();
  await stock(t.db, 'A', 1_000_000);
  ops = cliOf({ databaseUrl: t.url, env: { address: '127.0.0.1:1' } });
  receiver = await startReceiver();
  receiver.answer = ({ subject, sequence }) => (rejectedOrders.has(subject) && sequence === 2 ? 422 : 204);
  stopRelay = runRelay(t, receiver);
});
beforeEach(async () => {
  rejectedOrders.clear();
  await t.db.deadLetter.deleteMany();
});
afterAll(async () => {
  await stopRelay();
  await receiver.stop();
  await t.drop();
});

/** @returns ids of the dead letters and of their orders, oldest first */
async function holdEvents(count: number): Promise<{ letters: string[]; orders: string[] }> {
  const placed = await Promise.all(Array.from({ length: count }, () => accept(t.db, { A: 1 })));
  for (const { id } of placed) rejectedOrders.add(id);
  await Promise.all(placed.map(({ id }) => reserveInventory(t.db, id)));
  await eventually('all are held', async () => (await t.db.deadLetter.count()) === count);
  const rows = await t.db.deadLetter.findMany({ orderBy: { id: 'asc' } });
  return { letters: rows.map(({ id }) => `${id}`), orders: rows.map(({ orderId }) => orderId) };
}

test('the list shows what is held, by cause, and says so when nothing is', async () => {
  expect((await ops('dead-letters')).stdout).toContain('There are no such dead letters');
  const { letters, orders } = await holdEvents(3);
  const { stdout, code } = await ops('dead-letters', '--limit', '2');
  expect(code).toBe(0);
  expect(stdout).toMatch(/3 +webhook +rejected +PARKED/);
  expect(stdout).toContain(orders[0]);
  expect(stdout).toContain('… and 1 more');
  const { document } = await ops.json('dead-letters', 'list', '--destination', 'webhook', '--cause', 'rejected');
  expect(document).toMatchObject({ count: 3, deadLetters: letters.map((id) => ({ id, sequence: 2, attempts: 3 })) });
  expect((await ops.json('dead-letters', 'list', '--type', 'order.confirmed')).document.count).toBe(0);
});

test('a canary that is held again stops the rest; once mended, the same command delivers them all', async () => {
  const { letters, orders } = await holdEvents(5);
  const replay = ['dead-letters', 'replay', '--destination', 'webhook', '--canary', '1', '--rate', '20'];
  expect((await ops(...replay)).code).toBe(4); // no terminal to ask on
  const early = await ops.json(...replay, '--yes');
  expect(early.code).toBe(1);
  expect(early.document.summary).toMatchObject({ done: 0, failed: 1, 'not-tried': 4 });
  expect(early.document.items[0]).toMatchObject({
    letter: letters[0],
    outcome: 'failed',
    message: 'parked again: the webhook receiver answered 422',
  });
  rejectedOrders.clear();
  const late = await ops.json(...replay, '--yes');
  expect(late.document.summary).toMatchObject({ done: 5 });
  expect(late.code).toBe(0);
  for (const id of orders) expect(receiver.sequences(id)).toEqual([1, 2]);
  expect((await ops(...replay, '--yes')).code).toBe(3);
  expect((await ops.json('dead-letters', 'replay', letters[0] ?? '', '--yes')).document.items).toMatchObject([
    { outcome: 'gone' },
  ]);
});

test('discarding takes a reason, which is kept, and is refused for what has been delivered', async () => {
  const { letters } = await holdEvents(2);
  const [first = '', second = ''] = letters;
  expect((await ops('dead-letters', 'discard', first, '--yes')).code).toBe(2);
  const { code, document } = await ops.json(
    'dead-letters',
    'discard',
    first,
    '--reason',
    'by hand, ticket 12',
    '--yes',
  );
  expect(code).toBe(0);
  expect(document.items).toMatchObject([
    { outcome: 'done', state: 'DISCARDED', message: expect.stringContaining('never sent') },
  ]);
  expect(await t.db.deadLetter.findFirst({ where: { id: BigInt(first) } })).toMatchObject({
    decidedBy: 'op-test',
    reason: 'by hand, ticket 12',
  });
  rejectedOrders.clear();
  expect((await ops('dead-letters', 'replay', second, '--yes')).code).toBe(0);
  const refused = await ops.json('dead-letters', 'discard', second, '--reason', 'too late', '--yes');
  expect(refused.code).toBe(1);
  expect(refused.document.items).toMatchObject([{ outcome: 'refused' }]);
});

test('what does not exist, or is not said clearly, is refused before anything is done', async () => {
  const answers = await Promise.all([
    ops('dead-letters', 'replay', '--yes'),
    ops('dead-letters', 'replay', '17', '--all', '--yes'),
    ops('dead-letters', 'replay', 'x'),
    ops('dead-letters', 'replay', '999999', '--yes'),
    ops('dead-letters', 'list', '--cause', 'bad-luck'),
  ]);
  expect(answers.map(({ code }) => code)).toEqual([2, 2, 2, 3, 2]);
});
