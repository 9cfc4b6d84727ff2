import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { recordCharge } from '../../domain/payments.js';
import { startReconciler } from '../../reconciliation/reconciler.js';
import { type TestLedgers, openLedgers, SILENT } from '../reconciliation/support.js';
import { type Cli, cliOf } from './cli.js';

let books: TestLedgers;
let ops: Cli;
beforeAll(async () => {
  books = await openLedgers();
  ops = cliOf({ databaseUrl: books.databaseUrl, env: { address: '127.0.0.1:1' } });
});
afterAll(() => books.stop());

test('reconcile has a running worker settle what it finds, and lists that', async () => {
  // So seldom that only the request can have woken it.
  const stop = startReconciler({ ...books, everyMs: 3_600_000, logger: SILENT });
  try {
    expect(await ops.json('reconcile')).toMatchObject({ code: 0, document: { answered: true, settled: [], open: [] } });
    const order = await books.cancelled();
    const reference = await books.takeMoney(order.id);
    const { code, document } = await ops.json('reconcile', '--order', order.id);
    expect(document).toMatchObject({
      answered: true,
      settled: [{ kind: 'LATE_CHARGE', reference, orderId: order.id, amount: 1_000, action: 'refunded' }],
      open: [],
    });
    expect(code).toBe(0);
    expect(await books.ledger(order.id)).toMatchObject({ net: 0 });

    // What an operator vouches for is neither open nor settled, and says who does.
    const paid = await books.pending();
    await recordCharge(books.db, paid.id, null, { attempts: 3, skippedBy: 'op-7' });
    const shown = await ops('reconcile', '--order', paid.id);
    expect(shown.stdout).toMatch(new RegExp(`nothing to do\\n[^\\n]*\\n${paid.id} +10\\.00 USD +op-7 .* paid`));
    expect(shown.stdout).toContain('0 open');
    const { document: told } = await ops.json('order', paid.id);
    expect(told).toMatchObject({ findings: [], vouched: [{ closedBy: 'op-7', amount: 1_000 }] });
  } finally {
    await stop();
  }
});

test('reconcile says that no worker has answered where none runs', async () => {
  const { code, stdout, stderr } = await ops('reconcile');
  expect(stderr).toContain('No worker has reconciled');
  expect(stdout).toContain('0 open');
  expect(code).toBe(1);
});
