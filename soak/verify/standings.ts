/** How far orders are, beside what Temporal shows of their sagas: none may stand still without saying so, amid faults or after them. */
import type pg from 'pg';
import { cancelOrderSagaId, orderSagaId } from '../../contracts/ids.js';
import { checkInvariants, type InvariantName } from '../../verification/invariants.js';
import type { LedgerSaga, LedgerStanding, Ledgers } from '../../verification/ledgers.js';
import { openAtMostMs } from '../../verification/limits.js';
import { POLICY } from '../world/programs.js';
import { slowness } from '../world/patience.js';

export const OF_STANDINGS = [
  'I5 open orders have a saga',
  'I14 nothing is stuck unseen',
] as const satisfies InvariantName[];
const IS_FINAL = `(status = 'CANCELLED' OR (status = 'CONFIRMED' AND unwinding_reason IS NULL AND NOT forward_due))`;

export async function readStandings(pool: pg.Pool, which: 'all' | 'open'): Promise<LedgerStanding[]> {
  const { rows } = await pool.query<LedgerStanding>(
    `SELECT id, status, unwinding_reason AS reason, currency, total_amount::float8 AS total, '[]'::json AS lines, ${IS_FINAL} AS "isFinal",
       saga_started_at IS NOT NULL AS "isStarted", status = 'CONFIRMED' AND unwinding_reason IS NOT NULL AS "isTakenBack",
       extract(epoch FROM now() - CASE WHEN status = 'PENDING' THEN coalesce(saga_started_at, created_at) ELSE updated_at END)::float8
         * 1000 AS "openForMs", extract(epoch FROM now() - updated_at)::float8 * 1000 AS "quietForMs"
     FROM orders ${which === 'open' ? `WHERE NOT ${IS_FINAL}` : ''} ORDER BY id`,
  );
  return rows;
}

/** Each with its own sagas: what is compared grows with the square of what is looked at at once. */
export function holdStandings(standings: LedgerStanding[], sagas: readonly LedgerSaga[]) {
  const known = new Map(sagas.map((saga) => [saga.workflowId, saga]));
  const limits = openAtMostMs(POLICY);
  return standings.flatMap((standing) => {
    const own = [orderSagaId(standing.id), cancelOrderSagaId(standing.id)].flatMap((id) => known.get(id) ?? []);
    const ledgers: Ledgers = {
      ...{ orders: [], events: [], stock: [] },
      ...{ standings: [standing], sagas: own },
      openAtMostMs: { unmarked: limits.unmarked * slowness(), inAll: limits.inAll * slowness() },
    };
    return checkInvariants(ledgers, OF_STANDINGS);
  });
}
