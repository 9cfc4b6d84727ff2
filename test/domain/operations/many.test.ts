/** As many as an operation takes: frozen, listed, counted, and ended. */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { v7 as uuidv7 } from 'uuid';
import { OPERATION_ITEMS_MAX } from '../../../contracts/operations.js';
import { act } from '../../../domain/audit/acts.js';
import { auditKeys } from '../../../domain/audit/signatures.js';
import type { Database } from '../../../domain/database.js';
import { operationStarted, operationTold } from '../../../domain/operations/acts.js';
import { listOperationItems, listOperations, readOperation } from '../../../domain/operations/listing.js';
import { type Candidate, freezeSelection, readOrdersToDecide } from '../../../domain/operations/preview.js';
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

const freeze = (ids: string[]) => {
  const candidates = ids.map(
    (orderId): Candidate => ({
      ...{ orderId, workflowId: `order-${orderId}`, deadLetterId: null, total: { amount: 1_000, currency: 'USD' } },
      seen: { state: 'NEEDS_ATTENTION', step: 'chargePayment', failure: 'GatewayUnknown' },
    }),
  );
  return freezeSelection(db, {
    action: 'retry',
    selection: { state: 'NEEDS_ATTENTION' },
    previewedBy: 'op-1',
    candidates,
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
