/**
 * Sagas whose payloads are encrypted, on a real server: what stands there tells nobody anything, whoever has the keys reads it all, and a
 * customer whose key is destroyed takes their texts along, and nothing that the saga needs.
 */
import { readFileSync } from 'node:fs';
import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { Client, type WorkflowHandle } from '@temporalio/client';
import { Worker } from '@temporalio/worker';
import { orderSagaId } from '../../contracts/ids.js';
import { type SagaPolicy, sagaStart } from '../../contracts/saga.js';
import { destroyCustomerKeys } from '../../domain/sealing/customer-keys.js';
import { GatewayUnknown } from '../../gateways/payments.js';
import { NOT_KEPT } from '../../sagas/payloads/free-texts.js';
import { replaying } from '../../sagas/payloads/reading.js';
import { eventually } from '../support/conditions.js';
import { accept, stock } from '../support/database.js';
import { listedAsStuck, progressOf, resolve, statusOf } from '../support/decisions.js';
import { workflowBundle } from '../support/histories.js';
import { keyStoreForTests } from '../support/keys.js';
import { outcomeOf } from '../support/outcome.js';
import { payloadsOf, rawHistory, referTo, type TestPayloads } from '../support/payloads.js';
import { PATIENT, type SagaStack, startSagaStack } from '../support/saga.js';

const REASON = 'canary-reason: the customer has called';
const CORRELATION = 'canary-correlation-7';
const FAILURE = 'canary-failure: the gateway does not answer';

const store = keyStoreForTests();
let payloads: TestPayloads;
let isGatewayDown = false;
let s: SagaStack;
beforeAll(async () => {
  s = await startSagaStack({
    payloads: async (db) => {
      payloads = await payloadsOf(db, store);
      return payloads;
    },
    gateway: (real) => ({
      ...real,
      charge: async (request) => {
        if (isGatewayDown) throw new GatewayUnknown(FAILURE, { retryAfterMs: 200 });
        return real.charge(request);
      },
    }),
  });
  await stock(s.db, 'PLENTY', 1_000);
});
afterEach(async () => {
  isGatewayDown = false;
  store.isAway = false;
  await s.heal();
});
afterAll(() => s.stop());

type Placed = { orderId: string; reference: string; saga: WorkflowHandle };

async function place({
  policy = {},
  paymentMethod = 'pm_card_visa',
  correlationId = CORRELATION,
  client = s.client,
}: {
  policy?: Partial<SagaPolicy>;
  paymentMethod?: string;
  correlationId?: string;
  client?: Client;
} = {}): Promise<Placed> {
  const order = await accept(s.db, { PLENTY: 1 }, { paymentMethod, customerId: randomUUID() });
  const reference = await referTo(s.db, order.id);
  const { type, options } = sagaStart({ ...order, correlationId, kind: 'order' }, { ...PATIENT, ...policy });
  return { orderId: order.id, reference, saga: await client.workflow.start(type, options) };
}

const raw = (saga: WorkflowHandle) => rawHistory(s.client, saga.workflowId);
const IN_CLEAR = ['canary', 'stepRetryBudgetMs', 'Order 0', 'order is cancelled', 'CONFIRMED'];

async function parked(): Promise<Placed> {
  isGatewayDown = true;
  const placed = await place({ policy: { stepRetryBudgetMs: 1_200 } });
  await listedAsStuck(s.client, placed.orderId);
  return placed;
}

async function replay({ saga }: Placed, by: TestPayloads): Promise<void> {
  const history = await saga.fetchHistory();
  const options = {
    workflowBundle: { code: readFileSync(workflowBundle(), 'utf8') },
    dataConverter: replaying([by.codec]),
  };
  await Worker.runReplayHistory(options, history, `${saga.workflowId}/some-run`);
}

describe('what Temporal keeps of an encrypted saga', () => {
  test('tells nothing of an order that is confirmed, or declined', async () => {
    for (const [paymentMethod, result] of [
      ['pm_card_visa', { status: 'CONFIRMED' }],
      ['pm_card_chargeDeclined', { status: 'CANCELLED', reason: 'PAYMENT_DECLINED' }],
    ] as const) {
      const { saga } = await place({ paymentMethod });
      expect(await outcomeOf(saga)).toEqual(result);
      const text = await raw(saga);
      expect(text).toContain('binary/encrypted');
      expect(IN_CLEAR.filter((word) => text.includes(word))).toEqual([]);
      expect((await saga.describe()).memo).toEqual({ correlationId: CORRELATION });
    }
  });

  test('nor of one that was parked and decided by an operator: neither why it failed nor why it was decided', async () => {
    const { saga, orderId } = await parked();
    await resolve(saga, { action: 'skip', reason: REASON });
    expect(await outcomeOf(saga)).toEqual({ status: 'CONFIRMED' });
    expect((await raw(saga)).match(/canary[\w-]*/g)).toBeNull();
    const { steps } = await progressOf(saga);
    expect(steps.find(({ name }) => name === 'chargePayment')?.lastError).toContain(FAILURE);
    expect(await s.db.sagaLogEntry.findMany({ where: { orderId, step: 'resolve' } })).toMatchObject([
      { detail: expect.stringContaining(REASON) },
    ]);
  });

  test('nor of one that was cancelled, with what the customer wrote', async () => {
    isGatewayDown = true;
    const placed = await place();
    const { saga } = placed;
    await eventually('it retries', async () => statusOf(await progressOf(saga), 'chargePayment') === 'retrying');
    await saga.executeUpdate('cancel', { args: [{ reason: REASON, requestedBy: 'cus' }] });
    expect(await outcomeOf(saga)).toMatchObject({ status: 'CANCELLED' });
    expect((await raw(saga)).match(/canary[\w-]*/g)).toBeNull();
    await replay(placed, payloads);
  });
});

test('a saga whose customer’s key is destroyed replays, and its texts read as erased', async () => {
  const placed = await parked();
  await resolve(placed.saga, { action: 'skip', reason: REASON });
  await outcomeOf(placed.saga);
  isGatewayDown = false;
  const other = await place();
  await outcomeOf(other.saga);

  await destroyCustomerKeys(s.db, placed.reference);
  const later = await payloadsOf(s.db, store); // a process that has no key in hand
  const client = new Client({ connection: s.env.connection, ...later.clientOptions });
  const { memo } = await client.workflow.getHandle(placed.saga.workflowId).describe();
  expect(memo).toEqual({ correlationId: '[erased]' });
  expect(await decodedHistory(placed, later)).not.toContain('canary-reason');
  expect(await decodedHistory(placed, later)).toContain('"reason":"[erased]"');
  await replay(placed, later);
  expect((await client.workflow.getHandle(other.saga.workflowId).describe()).memo).toEqual({
    correlationId: CORRELATION,
  });
  expect(later.failures).toEqual([]);
});

test('a saga goes on when its customer is erased amid it, and what is written then is not kept', async () => {
  const placed = await parked();
  await destroyCustomerKeys(s.db, placed.reference);
  payloads.forget(placed.reference);
  await resolve(placed.saga, { action: 'skip', reason: REASON });
  expect(await outcomeOf(placed.saga)).toEqual({ status: 'CONFIRMED' });
  expect(await decodedHistory(placed, payloads)).not.toContain('canary-reason');
});

describe('with sagas in flight', () => {
  test('the codec is switched on, and off again: each goes on', async () => {
    await s.dismiss();
    const plain = new Client({ connection: s.env.connection });
    const before = await place({ client: plain });
    await s.engage();
    expect(await outcomeOf(s.client.workflow.getHandle(before.saga.workflowId))).toEqual({ status: 'CONFIRMED' });
    expect(await raw(before.saga)).toContain('binary/encrypted');

    const during = await parked();
    await s.dismiss();
    const reading = await payloadsOf(s.db, store, { mode: 'decode' });
    const after = await place({
      client: new Client({ connection: s.env.connection, ...reading.clientOptions }),
    });
    await s.engage(reading);
    await resolve(during.saga, { action: 'skip', reason: REASON });
    expect(await outcomeOf(during.saga)).toEqual({ status: 'CONFIRMED' });
    isGatewayDown = false;
    await outcomeOf(after.saga);
    expect(await raw(after.saga)).not.toContain('binary/encrypted');
    await s.dismiss();
    await s.engage();
  });

  test('the payload key is changed: no saga fails, and those of before are read with the key of before', async () => {
    const quick = await payloadsOf(s.db, store, { encryptsAfterMs: 0 });
    await s.dismiss();
    await s.engage(quick);
    const client = new Client({ connection: s.env.connection, ...quick.clientOptions });
    const placed: Placed[] = [];
    for (let no = 0; no < 12; no++) {
      if (no % 4 === 3) {
        await quick.dataKeys.renew('00000000-0000-0000-0000-000000000000');
        await quick.keys.lookOnce();
      }
      placed.push(await place({ client }));
    }
    const results = await Promise.all(placed.map(({ saga }) => outcomeOf(saga)));
    expect(results.filter(({ status }) => status !== 'CONFIRMED')).toEqual([]);
    const versions = await Promise.all(placed.map(({ saga }) => versionsIn(saga)));
    expect(new Set(versions.flat())).toEqual(new Set(['1', '2', '3', '4']));
    // A process that had looked before the change meets versions that it has never seen.
    for (const each of placed) await replay(each, payloads);
    await s.dismiss();
    await s.engage();
  });

  test('the key store goes away: sagas begin and end on the keys at hand, and no text holds one up', async () => {
    await place({ correlationId: randomUUID() }); // the keys are at hand
    store.isAway = true;
    payloads.failures.length = 0;
    const [known, chosen] = [await place({ correlationId: randomUUID() }), await place()];
    expect(await outcomeOf(known.saga)).toEqual({ status: 'CONFIRMED' });
    expect(await outcomeOf(chosen.saga)).toEqual({ status: 'CONFIRMED' });
    expect(payloads.failures).toContain('not sealed: The key store does not give this key');
    expect((await chosen.saga.describe()).memo).toEqual({ correlationId: NOT_KEPT });
  });

  test('a process that never had the key starts no saga, and has said so; another starts it', async () => {
    store.isAway = true;
    const without = await payloadsOf(s.db, store, { look: false });
    await expect(without.keys.lookOnce()).rejects.toThrow('The payload key cannot be had');
    const client = new Client({ connection: s.env.connection, ...without.clientOptions });
    await expect(place({ client })).rejects.toThrow('not at hand');
    store.isAway = false;
    await without.keys.lookOnce();
    expect(await outcomeOf((await place({ client })).saga)).toEqual({ status: 'CONFIRMED' });
  });

  test('a worker that cannot have the key of a payload does nothing wrong with it: the task is tried until it can', async () => {
    await s.dismiss();
    const placed = await place();
    store.isAway = true;
    const without = await payloadsOf(s.db, store, { look: false });
    await s.engage(without);
    await eventually('a workflow task has failed', async () =>
      (await raw(placed.saga)).includes('The payload key of version'),
    );
    store.isAway = false;
    await without.keys.lookOnce();
    expect(await outcomeOf(placed.saga)).toEqual({ status: 'CONFIRMED' });
    await s.dismiss();
    await s.engage();
  });
});

/** Everything that a reader with keys reads, as text. */
async function decodedHistory({ saga }: Placed, by: TestPayloads): Promise<string> {
  const texts: string[] = [];
  const visit = async (value: unknown): Promise<void> => {
    if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return;
    const { metadata, data } = value as { metadata?: Record<string, Uint8Array>; data?: Uint8Array };
    if (metadata?.['encoding'] instanceof Uint8Array) {
      const [plain] = await by.codec.decode([{ metadata, ...(data && { data }) }]);
      texts.push(Buffer.from(plain?.data ?? []).toString());
    }
    for (const part of Object.values(value)) await visit(part);
  };
  await visit(await saga.fetchHistory());
  return texts.join('\n');
}

async function versionsIn(saga: WorkflowHandle): Promise<string[]> {
  const { events } = await saga.fetchHistory();
  const payload = events?.[0]?.workflowExecutionStartedEventAttributes?.input?.payloads?.[0];
  expect(saga.workflowId).toBe(orderSagaId(saga.workflowId.slice('order-'.length)));
  return [Buffer.from(payload?.metadata?.['key'] ?? []).toString()];
}
