/** As many as an operation takes: frozen, listed, counted, and ended. */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { v7 as uuidv7 } from 'uuid';
import { OPERATION_ITEMS_MAX, type OperationAction, PREVIEWS_OF_ONE_MAX } from '../../../contracts/operations.js';
import { act } from '../../../domain/audit/acts.js';
import { auditKeys } from '../../../domain/audit/signatures.js';
import type { Database } from '../../../domain/database.js';
import { operationStarted, operationTold } from '../../../domain/operations/acts.js';
import {
  beginNext,
  concludeItem,
  endOperation,
  followItems,
  settleOperations,
} from '../../../domain/operations/carrying-out.js';
import { listOperationItems, listOperations, readOperation } from '../../../domain/operations/listing.js';
import { type Candidate, freezeSelection, readOrdersToDecide } from '../../../domain/operations/preview.js';
import { isStillUndone } from '../../../workers/operations/acting.js';
import { startOperations } from '../../../workers/operations/runner.js';
import { SILENT } from '../../support/api.js';
import { eventually } from '../../support/conditions.js';
import { createTestDatabase } from '../../support/database.js';

let db: Database;
let drop: () => Promise<void>;
let orderIds: string[];
beforeAll(async () => {
  ({ db, drop } = await createTestDatabase());
  orderIds = Array.from({ length: OPERATION_ITEMS_MAX }, () => uuidv7());
  await db.$executeRaw`
    INSERT INTO orders (id, customer_id, status, currency, total_amount, payment_method, correlation_id, event_count, event_xid)
    SELECT id, gen_random_uuid(), 'PENDING', 'USD', 1000, 'pm_card_visa', 'c', 0, 0 FROM unnest(${orderIds}::uuid[]) AS id`;
}, 60_000);
afterAll(() => drop());

const actor = { subject: 'op-1', route: 'test', correlationId: 'test', source: null };
const signature = { operator: 'op-1', reason: 'ticket 1' };

const freeze = (ids: string[], action: OperationAction = 'retry', previewedBy = 'op-1') => {
  const candidates = ids.map(
    (orderId): Candidate => ({
      ...{ orderId, workflowId: `order-${orderId}`, deadLetterId: null, total: { amount: 1_000, currency: 'USD' } },
      seen: { state: 'NEEDS_ATTENTION', step: 'chargePayment', failure: 'GatewayUnknown' },
    }),
  );
  return freezeSelection(db, {
    ...{ action, selection: { state: 'NEEDS_ATTENTION' }, previewedBy, candidates },
  });
};
const start = (id: string, expectedCount: number, ratePerSecond: number) =>
  act(
    db,
    auditKeys([]),
    actor,
    operationStarted({ id, ...signature, expectedCount, canary: [1, 2, 5], ratePerSecond }),
  );

/** On an idle machine some 0.6 s to freeze, 20 ms to read, 0.3 s to give up; each statement has 5 s at most. */
test('ten thousand are frozen, read, paged through and given up, and none is lost or counted twice', async () => {
  expect(await readOrdersToDecide(db, orderIds)).toHaveLength(OPERATION_ITEMS_MAX);
  const id = await freeze(orderIds);
  expect((await readOperation(db, id))?.amounts).toEqual([{ amount: OPERATION_ITEMS_MAX * 1_000, currency: 'USD' }]);
  expect((await start(id, OPERATION_ITEMS_MAX, 100)).result).toEqual({ outcome: 'started' });
  const seen = new Set<string>();
  for (let after = 0; ; ) {
    const page = await listOperationItems(db, id, { after }, 1_000);
    for (const { orderId } of page) seen.add(orderId);
    if (page.length < 1_000) break;
    after = page.at(-1)?.no ?? 0;
  }
  expect(seen.size).toBe(OPERATION_ITEMS_MAX);
  expect((await act(db, auditKeys([]), actor, operationTold('abort', { id, ...signature }))).result).toBe('done');
  expect(await readOperation(db, id)).toMatchObject({ counts: { open: 0, skipped: OPERATION_ITEMS_MAX } });
  expect(await listOperations(db, {}, 10)).toHaveLength(1);
}, 60_000);

/** With FULL=1 all of them. */
const CARRIED_OUT = process.env['FULL'] === '1' ? OPERATION_ITEMS_MAX : 2_000;

test('a runner carries thousands out, each once, and settles the operation', async () => {
  const id = await freeze(orderIds.slice(0, CARRIED_OUT));
  await start(id, CARRIED_OUT, 100_000);
  const acted = new Map<number, number>();
  const stop = startOperations({
    ...{ db, keys: auditKeys([]), client: () => undefined, where: 'nowhere', logger: SILENT },
    policy: { stepRetryBudgetMs: 1_000, sagaDeadlineMs: 1_000, compensationAttentionAfterMs: 1_000 },
    act: async (_operation, { no, orderId }) => {
      acted.set(no, (acted.get(no) ?? 0) + 1);
      await db.$executeRaw`UPDATE orders SET status = 'CANCELLED', unwinding_reason = 'OPERATOR' WHERE id = ${orderId}::uuid`;
      return { no, state: 'reached', outcome: 'COMPENSATED', message: 'the order is CANCELLED' };
    },
  });
  const operation = await eventually(
    'it has ended',
    async () => {
      const now = await readOperation(db, id);
      return now?.endedAt && now;
    },
    100_000,
  );
  expect(operation).toMatchObject({ state: 'finished', counts: { open: 0, reached: CARRIED_OUT } });
  expect(acted.size).toBe(CARRIED_OUT);
  expect([...acted.values()].every((times) => times === 1)).toBe(true);
  await eventually(
    'it is settled',
    async () => (await db.operation.findUnique({ where: { id } }))?.settledCounts !== null,
    15_000,
  );
  await stop();
}, 120_000);

const tell = async (word: 'pause' | 'resume' | 'abort', id: string) =>
  (await act(db, auditKeys([]), actor, operationTold(word, { id, ...signature }))).result;

test('of two operations about the same orders one at a time begins or goes on, also where the other is paused or aborted amid an item', async () => {
  const ids = orderIds.slice(-3);
  const [first, second, third] = [await freeze(ids), await freeze(ids), await freeze(ids)];
  expect((await start(first, 3, 5)).result).toEqual({ outcome: 'started' });
  await tell('pause', first);
  const taken = { outcome: 'overlapping', count: 3, operation: first, state: 'paused' };
  expect((await start(second, 3, 5)).result).toEqual(taken);
  // As two that a release of before has let begin.
  await db.$executeRaw`UPDATE operations SET state = 'running', started_at = now(), started_by = 'op-1', reason = 'r' WHERE id = ${second}::uuid`;
  expect(await tell('resume', first)).toEqual({ ...taken, operation: second, state: 'running' });
  expect((await db.operation.findUnique({ where: { id: first } }))?.state).toBe('paused');
  await db.$executeRaw`UPDATE operations SET runner = 'r' WHERE id = ${second}::uuid`;
  await beginNext(db, { id: second, runner: 'r' }, 1);
  expect([await tell('abort', second), await tell('abort', first)]).toEqual(['done', 'done']);
  expect((await start(third, 3, 5)).result).toEqual({ ...taken, count: 1, operation: second, state: 'aborted' });
  await concludeItem(db, { id: second, runner: 'r' }, { no: 1, state: 'skipped', outcome: null, message: 'm' });
  await endOperation(db, { id: second, runner: 'r' });
  expect((await start(third, 3, 5)).result).toEqual({ outcome: 'started' });
  expect(await tell('abort', third)).toBe('done');
});

test('an accepted compensation whose undo is still failing days later is reached once its order is cancelled', async () => {
  const states = ['COMPENSATING', 'NEEDS_ATTENTION', 'COMPLETED', null] as const;
  const still = states.map((state) => isStillUndone({ action: 'compensate' }, { outcome: 'failed', state }));
  expect(still).toEqual([true, true, false, false]);
  expect(isStillUndone({ action: 'retry' }, { outcome: 'failed', state: 'NEEDS_ATTENTION' })).toBe(false);
  const [orderId] = orderIds.slice(-4, -3) as [string];
  const id = await freeze([orderId], 'compensate');
  await start(id, 1, 5);
  await db.$executeRaw`UPDATE operations SET runner = 'r' WHERE id = ${id}::uuid`;
  const held = { id, runner: 'r' };
  await concludeItem(db, held, { no: 1, state: 'waits', outcome: 'COMPENSATING', message: 'refund failed again' });
  await endOperation(db, held);
  await db.$executeRaw`UPDATE operations SET ended_at = now() - interval '3 days' WHERE id = ${id}::uuid`;
  await settleOperations(db);
  await db.$executeRaw`UPDATE orders SET status = 'CANCELLED', unwinding_reason = 'OPERATOR' WHERE id = ${orderId}::uuid`;
  await followItems(db);
  expect((await readOperation(db, id))?.counts).toMatchObject({ reached: 1, waits: 0 });
});

test('an operator who previews without end loses their own previews, and nobody else’s', async () => {
  const others = await freeze(orderIds.slice(-5, -4), 'retry', 'op-2');
  for (let i = 0; i < PREVIEWS_OF_ONE_MAX + 5; i++) await freeze(orderIds.slice(-5, -4), 'retry', 'op-3');
  expect(await db.operation.count({ where: { previewedBy: 'op-3' } })).toBe(PREVIEWS_OF_ONE_MAX);
  expect(await readOperation(db, others)).not.toBeNull();
  // Even were they to go by a limit of all: fewer than that are there.
  for (let i = 0; i < 30; i++) await freeze(orderIds.slice(-5, -4), 'retry', 'op-4');
  expect(await readOperation(db, others)).not.toBeNull();
});

test('a canary is made of what was tried: items that were skipped let nothing pass', async () => {
  const ids = orderIds.slice(-20, -5);
  const id = await freeze(ids);
  await act(
    db,
    auditKeys([]),
    actor,
    operationStarted({ id, ...signature, expectedCount: 15, canary: [1, 2], ratePerSecond: 100 }),
  );
  const acted: number[] = [];
  const stop = startOperations({
    ...{ db, keys: auditKeys([]), client: () => undefined, where: 'nowhere', logger: SILENT },
    policy: { stepRetryBudgetMs: 1_000, sagaDeadlineMs: 1_000, compensationAttentionAfterMs: 1_000 },
    act: async (_operation, { no }) => {
      acted.push(no);
      const state = no <= 6 ? 'skipped' : 'failed';
      return { no, state, outcome: null, message: 'm' };
    },
  });
  const operation = await eventually('it has paused', async () => {
    const now = await readOperation(db, id);
    return now?.state !== 'running' && now;
  });
  await stop();
  expect(operation).toMatchObject({
    pause: { because: 'the canary has failed' },
    counts: { skipped: 6, failed: 1, open: 8 },
  });
  expect(acted).toEqual([1, 2, 3, 4, 5, 6, 7]);
  expect(await tell('abort', id)).toBe('done');
});
