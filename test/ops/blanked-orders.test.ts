/** Orders that went through real sagas and charges, after retention has blanked them: what operators ask still has its answers. */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { blankOnce } from '../../relay/personal-retention.js';
import { eventually } from '../support/conditions.js';
import { stock } from '../support/database.js';
import { type SagaStack, startSagaStack } from '../support/saga.js';
import { type Cli, cliOf } from './cli.js';

let s: SagaStack;
let cli: Cli;
const orders: string[] = [];
beforeAll(async () => {
  s = await startSagaStack();
  await stock(s.db, 'A', 100);
  for (const paymentMethod of ['pm_card_visa', 'pm_card_visa', 'pm_card_chargeDeclined']) {
    const { order, result } = await s.place({ A: 2 }, { paymentMethod });
    await result();
    orders.push(order.id);
  }
  await eventually('visibility shows that all sagas have ended', async () => {
    const [all, running] = await Promise.all(
      ['', 'ExecutionStatus="Running"'].map((query) => s.client.workflow.count(query)),
    );
    return all?.count === 3 && running?.count === 0;
  });
  await s.db
    .$executeRaw`UPDATE orders SET updated_at = updated_at - interval '100 days', saga_started_at = coalesce(saga_started_at, now())`;
  cli = cliOf(s, { PAYMENTS_URL: s.sandboxUrl });
}, 120_000);
afterAll(() => s?.stop());

const violationsIn = ({ invariants }: { invariants: { violations: unknown[] }[] }) =>
  invariants.flatMap(({ violations }) => violations);

test('all of them are blanked, verify finds nothing wrong, and explain and order tell how each came to its end', async () => {
  const before = await cli.json('verify');
  expect(violationsIn(before.document)).toEqual([]);
  expect(before.document).toMatchObject({ failed: [] });
  expect(await blankOnce(s.db, { ordersMs: 1, deadLettersMs: 0, erasuresMs: 0 })).toMatchObject({
    orders: 3,
    customers: 1,
  });
  const after = await cli.json('verify');
  expect(violationsIn(after.document)).toEqual([]);
  expect(after.document).toMatchObject({ failed: [], notLookedAt: before.document.notLookedAt });
  expect(after.code).toBe(before.code);
  for (const id of orders) {
    const { code, document } = await cli.json('explain', id);
    expect([code, JSON.stringify(document).includes('cus_test')]).toEqual([0, false]);
    expect((await cli('order', id)).code).toBe(0);
  }
});
