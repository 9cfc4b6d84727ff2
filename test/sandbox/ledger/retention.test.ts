/** What is left of records that are older than the retention: the books, and no word that anybody has written on them. */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, expect, test } from '@jest/globals';
import { cleanUp, intervene, ledgerOf, newDataDir, order, type Running, startSandbox } from '../support.js';

const DAY_MS = 24 * 3_600_000;
/** Written into whatever takes a text. */
const WORD = 'wordofaperson';
let now = Date.now();
const start = (dataDir?: string) =>
  startSandbox({ retentionMs: 90 * DAY_MS, now: () => now, ...(dataDir !== undefined && { dataDir }) });
const retain = async (sandbox: Running) => (await intervene(sandbox, 'retention')).body;
const kept = async ({ dataDir }: Running) => {
  const folder = join(dataDir, 'sandbox');
  const files = (await readdir(folder)).filter((name) => name !== 'lock');
  expect(files).toEqual(['ledger.jsonl']);
  return readFile(join(folder, 'ledger.jsonl'), 'utf8');
};
afterEach(cleanUp);

/** Of each kind of record one, with the word in all that its maker may write. */
async function write({ stripe, url }: Running) {
  const metadata = { orderId: 'o1', installationId: 'i1', purpose: 'order', correlationId: WORD };
  const paid = await stripe.paymentIntents.create(
    { ...order('o1'), metadata, description: WORD },
    { idempotencyKey: WORD },
  );
  const refund = await stripe.refunds.create(
    { payment_intent: paid.id, amount: 100, metadata: { orderId: 'o1', note: WORD } },
    { idempotencyKey: `${WORD}-refund` },
  );
  const disputed = await stripe.paymentIntents.create(order('o2'), { idempotencyKey: `${WORD}-2` });
  await intervene({ url }, `payment_intents/${disputed.id}/dispute`, { reason: WORD });
  const customer = await stripe.customers.create({ name: WORD, email: `${WORD}@x.test`, metadata: { note: WORD } });
  return { paid, refund, customer };
}

test('the words go from memory and the disk, restarts included; what is younger stays as it is', async () => {
  const first = await start();
  const { customer } = await write(first);
  now += 80 * DAY_MS;
  expect(await retain(first)).toEqual({ blanked: 0 });
  expect(await kept(first)).toContain(WORD);
  const young = await first.stripe.customers.create({ name: 'young', metadata: { note: 'young' } });
  now += 20 * DAY_MS;
  // Two intents of which one has words, its charge, the other's for its key, a refund, a dispute, a customer.
  expect(await retain(first)).toEqual({ blanked: 6 });
  expect(await kept(first)).not.toContain(WORD);
  expect(await first.stripe.customers.retrieve(customer.id)).toMatchObject({ name: null, email: null, metadata: {} });
  await first.close();
  const second = await start(first.dataDir);
  expect(await second.stripe.customers.retrieve(customer.id)).toMatchObject({ name: null, email: null, metadata: {} });
  expect(await second.stripe.customers.retrieve(young.id)).toMatchObject({
    name: 'young',
    metadata: { note: 'young' },
  });
  expect(await retain(second)).toEqual({ blanked: 0 });
});

test('the books are the same, an old payment is found by its order, and its rest is refunded', async () => {
  const first = await start();
  const { paid, refund } = await write(first);
  const sums = await ledgerOf(first);
  const listed = await first.stripe.paymentIntents.list();
  now += 100 * DAY_MS;
  await retain(first);
  await first.close();
  const second = await start(first.dataDir);
  expect(await ledgerOf(second)).toEqual(sums);
  const ids = ({ data }: { data: { id: string }[] }) => data.map(({ id }) => id);
  expect(ids(await second.stripe.paymentIntents.list())).toEqual(ids(listed));
  expect(ids(await second.stripe.refunds.list({ payment_intent: paid.id }))).toEqual([refund.id]);
  const found = await second.stripe.paymentIntents.search({ query: "metadata['orderId']:'o1'" });
  expect(found.data).toMatchObject([
    { id: paid.id, amount: 9_800, metadata: { orderId: 'o1', installationId: 'i1', purpose: 'order' } },
  ]);
  expect(found.data[0]?.metadata).not.toHaveProperty('correlationId');
  await second.stripe.refunds.create({ payment_intent: paid.id });
  expect(await ledgerOf(second, 'o1')).toMatchObject({ captured: 9_800, refunded: 9_800, net: 0 });
});

test('a record that changes begins anew: what its older lines have goes, what is written on it now stays', async () => {
  const sandbox = await start();
  const { stripe } = sandbox;
  const { id } = await stripe.paymentIntents.create({ ...order('o1'), metadata: { orderId: 'o1', note: WORD } });
  now += 80 * DAY_MS;
  await stripe.paymentIntents.update(id, { metadata: { note: 'another' } });
  now += 20 * DAY_MS;
  await retain(sandbox);
  expect(await kept(sandbox)).not.toContain(WORD);
  expect((await stripe.paymentIntents.retrieve(id)).metadata).toEqual({ orderId: 'o1', note: 'another' });
});

test('the customer that marks an account is found for ever: a database would be held without it', async () => {
  const sandbox = await start(await newDataDir());
  const metadata = { installationId: 'i1', purpose: 'installation', word: 'w1' };
  const { id } = await sandbox.stripe.customers.create({ email: 'i1@marks.invalid', metadata });
  now += 1_000 * DAY_MS;
  await retain(sandbox);
  expect((await sandbox.stripe.customers.list({ email: 'i1@marks.invalid' })).data).toMatchObject([{ id, metadata }]);
});
