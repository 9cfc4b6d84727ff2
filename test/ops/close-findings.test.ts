/** `ops reconcile --close`, beside a gateway that is really asked. There is no API, and no Temporal. */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import pg from 'pg';
import { type ClosedAs, closeReported } from '../../domain/finding-closures.js';
import { countFindings } from '../../domain/figures.js';
import { type FindingAction, type FindingKind, openFinding } from '../../domain/reconciliation.js';
import { listFindings } from '../../domain/reconciliation-findings.js';
import type { RefundOutcome } from '../../gateways/payments.js';
import { eventually } from '../support/conditions.js';
import { type TestLedgers, findingsOf, openLedgers } from '../reconciliation/support.js';
import { type Cli, cliOf } from './cli.js';

let books: TestLedgers;
let ops: Cli;
beforeAll(async () => {
  books = await openLedgers();
  ops = cliOf({ databaseUrl: books.databaseUrl, env: { address: '127.0.0.1:1' } });
});
afterAll(() => books.stop());

const idOf = async (orderId: string): Promise<string> => {
  const [finding] = await listFindings(books.db, { orderId });
  return finding?.id ?? 'none';
};
/** A finding as a pass writes it down. @returns its id */
async function found(kind: FindingKind, action: FindingAction, orderId: string = randomUUID()): Promise<string> {
  await openFinding(books.db, kind, action, { reference: `pi_${randomUUID()}`, orderId, amount: 900, currency: 'USD' });
  return idOf(orderId);
}
const actionOf = async (id: string) => (await listFindings(books.db, { ids: [id] }))[0]?.action;
const closingsOf = (id: string) => books.db.reconciliationClosing.findMany({ where: { findingId: BigInt(id) } });
const closing = (operator: string, as: ClosedAs = 'cancelled') => ({ as, operator, reason: 'ticket 12' });

test('a reported finding is closed under a name and for a reason: the alarm ends, and who, when and why are kept', async () => {
  const { order, reference } = await books.confirmed();
  await books.byHand(reference);
  await books.reconcile();
  const id = await idOf(order.id);
  expect(await countFindings(books.db)).toEqual([{ kind: 'REFUNDED_AT_GATEWAY', action: 'reported', count: 1 }]);
  const close = ['reconcile', '--close', id, '--as', 'cancelled', '--reason', 'charged anew, ticket 12', '--yes'];
  const { code, document } = await ops.json(...close);
  expect(document).toMatchObject({
    action: 'close',
    as: 'cancelled',
    operator: 'op-test',
    summary: { done: 1 },
    items: [{ finding: id, orderId: order.id, kind: 'REFUNDED_AT_GATEWAY', reference, outcome: 'done' }],
  });
  expect(code).toBe(0);
  expect(await countFindings(books.db)).toEqual([]);
  const kept = { action: 'cancelled', operator: 'op-test', reason: 'charged anew, ticket 12', at: expect.any(Date) };
  expect(await closingsOf(id)).toMatchObject([kept]);
  expect(await books.db.sagaLogEntry.findMany({ where: { orderId: order.id, actor: 'op-test' } })).toMatchObject([
    {
      step: 'reconciliation',
      outcome: 'cancelled',
      detail: `REFUNDED_AT_GATEWAY ${reference}: charged anew, ticket 12`,
    },
  ]);
  expect(await listFindings(books.db, { ids: [id] })).toMatchObject([
    { action: 'cancelled', closedBy: 'op-test', reason: 'charged anew, ticket 12' },
  ]);
  expect(await books.reconcile()).toMatchObject({ reported: 0 }); // the gateway says the same as before
  expect(await countFindings(books.db)).toEqual([]);
});

test('a charge that no order of ours has is closed and kept alike', async () => {
  const ids = [await found('ORPHAN_CHARGE', 'reported', 'shop-4711'), await found('ORPHAN_CHARGE', 'reported')];
  const { code } = await ops('reconcile', '--close', ...ids, '--as', 'refunded', '--reason', 'by hand', '--yes');
  expect(code).toBe(0);
  for (const id of ids) {
    expect(await actionOf(id)).toBe('refunded');
    expect(await closingsOf(id)).toMatchObject([{ action: 'refunded', operator: 'op-test', reason: 'by hand' }]);
  }
});

test('of two operators at once one closes it, and the other learns who did', async () => {
  const id = await found('AMOUNT_MISMATCH', 'reported');
  const holder = new pg.Client({ connectionString: books.databaseUrl });
  await holder.connect();
  try {
    await holder.query('BEGIN');
    await holder.query('SELECT FROM reconciliation_findings WHERE id = $1 FOR UPDATE', [id]);
    const both = Promise.all(['op-1', 'op-2'].map((operator) => closeReported(books.db, id, closing(operator))));
    await eventually('both are at it', async () => {
      const waiting = await books.db.$queryRaw<unknown[]>`
        SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`;
      return waiting.length === 2;
    });
    await holder.query('COMMIT');
    expect((await both).sort()).toEqual([false, true]);
  } finally {
    await holder.end();
  }
  const [winner, ...others] = await closingsOf(id);
  expect(others).toEqual([]);
  const late = await ops.json('reconcile', '--close', id, '--as', 'cancelled', '--reason', 'late', '--yes');
  expect(late.document.items).toMatchObject([
    { outcome: 'gone', message: expect.stringContaining(`was closed by ${winner?.operator}: ticket 12`) },
  ]);
  expect(late.code).toBe(1);
});

test.each([
  ['closed', ['--close'], ['--as', 'cancelled']],
  ['given back', ['--refund'], []],
])('one whose amount changes after it was shown is not %s', async (_how, [option = ''], as) => {
  const id = await found('LOST_REFUND', 'reported');
  const holder = new pg.Client({ connectionString: books.databaseUrl });
  await holder.connect();
  try {
    await holder.query('BEGIN');
    await holder.query('UPDATE reconciliation_findings SET amount = 400 WHERE id = $1', [id]);
    const act = ops.json('reconcile', option, id, ...as, '--reason', 'ticket 12', '--yes');
    await eventually('they are at it', async () => {
      const waiting = await books.db.$queryRaw<unknown[]>`
        SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`;
      return waiting.length === 1;
    });
    await holder.query('COMMIT');
    const { code, document } = await act;
    expect(document.items).toMatchObject([
      { finding: id, outcome: 'failed', message: expect.stringContaining('is about 4.00 USD now, not 9.00 USD') },
    ]);
    expect(code).toBe(1);
  } finally {
    await holder.end();
  }
  expect(await actionOf(id)).toBe('reported');
  expect(await closingsOf(id)).toEqual([]);
  const again = await ops('reconcile', option, id, ...as, '--reason', 'ticket 12', '--yes');
  expect(again.stdout).toContain('4.00 USD');
  expect(await closingsOf(id)).toHaveLength(1);
});

test('what is in hand, or settled, is not an operator’s to close, and does not keep the others from it', async () => {
  const [inHand, settled] = [await found('LATE_CHARGE', 'refunding'), await found('LATE_CHARGE', 'refunded')];
  const reported = await found('DOUBLE_CHARGE', 'reported');
  const ids = [inHand, settled, reported];
  const { code, document } = await ops.json(
    'reconcile',
    '--close',
    ...ids,
    ...['--as', 'cancelled', '--reason', 'ticket 12', '--yes'],
  );
  const items = new Map<string, object>(document.items.map((item: { finding: string }) => [item.finding, item]));
  expect(items.get(inHand)).toMatchObject({ outcome: 'refused', message: expect.stringContaining('is in hand') });
  expect(items.get(settled)).toMatchObject({
    outcome: 'gone',
    message: expect.stringContaining('settled by the reconciler'),
  });
  expect(items.get(reported)).toMatchObject({ outcome: 'done' });
  expect(code).toBe(1);
  expect(await Promise.all(ids.map(actionOf))).toEqual(['refunding', 'refunded', 'cancelled']);
  expect(await closingsOf(inHand)).toEqual([]);
});

const NEVER: RefundOutcome = { outcome: 'failed', isListed: false, disputed: false, why: 'it was sent back' };

test('one that is closed as refunded is reported again while the gateway holds the money; as cancelled it stays closed', async () => {
  const order = await books.cancelled();
  const reference = await books.takeMoney(order.id);
  const repeating = { ...books.gateway, refund: async () => NEVER };
  await books.db
    .$executeRaw`UPDATE payments SET status = 'REFUNDED', gateway_reference = ${reference}, refund_reference = 're_of_old' WHERE order_id = ${order.id}::uuid`;
  await books.reconcile({ gateway: repeating });
  const id = await idOf(order.id);
  expect(await closeReported(books.db, id, closing('op-1', 'refunded'))).toBe(true);
  expect(await books.reconcile({ gateway: repeating })).toMatchObject({ reported: 1 });
  expect(await findingsOf(books.db, order.id)).toEqual([['LOST_REFUND', reference, 'reported']]);
  const again = await ops('reconcile', '--close', id, '--as', 'cancelled', '--reason', 'paid by hand', '--yes');
  expect(again.stdout).toContain('closed before by op-1: ticket 12');
  expect(await books.reconcile({ gateway: repeating })).toMatchObject({ reported: 0 });
  expect(await actionOf(id)).toBe('cancelled');
  expect(await closingsOf(id)).toMatchObject([{ operator: 'op-1' }, { operator: 'op-test' }]);
});

test('nothing is closed without an end that fits, a name, a reason, a finding and a yes', async () => {
  const id = await found('MISSING_CHARGE', 'reported');
  const why = ['--reason', 'ticket 12'];
  const refused: [number, string, string[]][] = [
    [2, 'As what?', ['--close', id, ...why, '--yes']],
    [2, 'only LATE_CHARGE', ['--close', id, '--as', 'refunded', ...why, '--yes']],
    [2, '--reason is needed', ['--close', id, '--as', 'cancelled', '--yes']],
    [2, '--reason is needed', ['--close', id, '--as', 'cancelled', '--reason', 'two\nlines', '--yes']],
    [2, '--reason is needed', ['--close', id, '--as', 'cancelled', '--reason', 'x'.repeat(201), '--yes']],
    [2, '--operator must be', ['--close', id, '--as', 'cancelled', ...why, '--operator', 'Jane Doe', '--yes']],
    [2, 'is not the id of a finding', ['--close', 'pi_1', '--as', 'cancelled', ...why, '--yes']],
    [2, 'Nothing was done', ['--close', id, '999999', '--as', 'cancelled', ...why, '--yes']],
    [3, 'None of these findings', ['--close', '999999', '--as', 'cancelled', ...why, '--yes']],
    [2, 'belong to --close', ['--as', 'cancelled', ...why]],
    [2, 'not both', ['--close', id, '--order', randomUUID(), '--as', 'cancelled', ...why, '--yes']],
    [4, 'Not confirmed', ['--close', id, '--as', 'cancelled', ...why]],
  ];
  for (const [exitCode, sentence, args] of refused) {
    const { code, stderr } = await ops('reconcile', ...args);
    expect([args, code, stderr]).toEqual([args, exitCode, expect.stringContaining(sentence)]);
  }
  expect(await closeReported(books.db, id, closing('op-1', 'refunded'))).toBe(false);
  expect(await actionOf(id)).toBe('reported');
  expect(await closingsOf(id)).toEqual([]);
});

test('what is on record about closings cannot be changed', async () => {
  const id = await found('MISSING_CHARGE', 'reported');
  await closeReported(books.db, id, closing('op-1'));
  for (const change of [`UPDATE reconciliation_closings SET operator = 'op-2'`, 'DELETE FROM reconciliation_closings'])
    await expect(books.db.$executeRawUnsafe(change)).rejects.toThrow('append-only');
  expect(await closingsOf(id)).toMatchObject([{ operator: 'op-1' }]);
});
