/** Parked sagas by the thousand, as Temporal's visibility and the tables have them: an outage of the gateway that nobody has looked at. */
import type { Client } from '@temporalio/client';
import { TypedSearchAttributes } from '@temporalio/common';
import pLimit from 'p-limit';
import { ORDER_SAGA, orderSagaId } from '../../contracts/ids.js';
import { SAGA_FAILURE, SAGA_STATE, SAGA_STEP } from '../../contracts/saga.js';
import type { Database } from '../../domain/database.js';

/** No worker asks there, so they stay as they are. */
const NOBODYS_QUEUE = 'parked';
const AT_ONCE = 64;

export type Cause = { step: string; failure: string };

/** @returns the orders' ids, the oldest first; a cause for each, by turns. The amount grows with the number of the order */
export async function parkSagas(
  { db, client }: { db: Database; client: Client },
  count: number,
  causes: readonly [Cause, ...Cause[]],
): Promise<string[]> {
  const rows = await db.$queryRaw<{ id: string }[]>`
    WITH made AS (
      INSERT INTO orders (id, customer_id, currency, total_amount, payment_method, correlation_id, event_count, event_xid, created_at, saga_started_at)
      SELECT uuidv7(), 'cus_parked_' || n % 500, 'EUR', 1000 + n, 'pm_card_visa', 'c-' || n, 1, 1,
        now() - interval '3 h' + n * interval '1 ms', now() - interval '3 h'
      FROM generate_series(1, ${count}::int) AS n RETURNING id, created_at)
    SELECT id::text FROM made ORDER BY created_at`;
  const limit = pLimit(AT_ONCE);
  await Promise.all(
    rows.map(({ id }, i) =>
      limit(() => {
        const { step, failure } = causes[i % causes.length] ?? causes[0];
        return client.workflow.start(ORDER_SAGA, {
          workflowId: orderSagaId(id),
          taskQueue: NOBODYS_QUEUE,
          args: [],
          typedSearchAttributes: new TypedSearchAttributes([
            { key: SAGA_STATE, value: 'NEEDS_ATTENTION' },
            { key: SAGA_STEP, value: step },
            { key: SAGA_FAILURE, value: failure },
          ]),
        });
      }),
    ),
  );
  return rows.map(({ id }) => id);
}
