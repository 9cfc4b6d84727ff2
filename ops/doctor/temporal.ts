/** What `doctor` asks Temporal: whether the namespace is there, can be searched as operators search, and who polls. */
import { CHARGING_HELD } from '../../contracts/brakes.js';
import { CUSTOMER_ID, SAGA_FAILURE, SAGA_STATE, SAGA_STEP, type SagaPolicy } from '../../contracts/saga.js';
import type { Database } from '../../domain/database.js';
import { countSlowOrders, groupByFailure } from '../../domain/stuck-sagas.js';
import { readLeftBehind } from '../../sagas/builds.js';
import { readPollers } from '../../sagas/pollers.js';
import { findInState, findStuck } from '../../sagas/stuck.js';
import type { Temporal } from '../connections.js';
import { readLastErrors } from '../last-errors.js';
import { duration } from '../output.js';
import { type Check, check, fail, type Finding, ok, warn } from './checks.js';

/** A day: less than that, and what failed on Friday is gone on Monday. */
const RETENTION_WARN_S = 86_400;
const SLOW_MAX = 10_000;

export const checkTemporal = (temporal: Temporal, db: Database | undefined, policy: SagaPolicy): Promise<Check[]> =>
  Promise.all([
    check('temporal', () => describeNamespace(temporal)),
    check('search attributes', () => trySearchAttributes(temporal)),
    check('workers', () => countPollers(temporal)),
    ...(db === undefined ? [] : [check('sagas', () => countStuck(temporal, db, policy))]),
  ]);

async function describeNamespace({ client, where }: Temporal): Promise<Finding> {
  const { namespace } = client.options;
  const [{ config }, system] = await Promise.all([
    client.workflowService.describeNamespace({ namespace }),
    client.workflowService.getSystemInfo({}),
  ]);
  const retentionS = Number(config?.workflowExecutionRetentionTtl?.seconds ?? 0);
  const kept = `keeps histories for ${duration(retentionS * 1_000)}`;
  const detail = `${where}, server ${system.serverVersion || 'of unknown version'}, ${kept}`;
  return retentionS < RETENTION_WARN_S ? warn(`${detail}: less than a day`) : ok(detail);
}

/** By a question that needs each: who may search need not be let see the list of them. */
async function trySearchAttributes({ client }: Temporal): Promise<Finding> {
  const names = [SAGA_STATE, SAGA_STEP, SAGA_FAILURE, CUSTOMER_ID].map(({ name }) => name);
  const missing = await Promise.all(
    names.map((name) =>
      client.workflow.count(`${name}="ops-doctor"`).then(
        () => [],
        (err: unknown) => {
          // gRPC's INVALID_ARGUMENT: the namespace does not know it. Anything else is another fault.
          if (
            (err as { cause?: { code?: number }; code?: number }).cause?.code === 3 ||
            (err as { code?: number }).code === 3
          )
            return [name];
          throw err;
        },
      ),
    ),
  );
  const gone = missing.flat();
  return gone.length === 0
    ? ok(names.join(', '))
    : fail(
        `not registered: ${gone.join(', ')}: no saga can be marked, and none begins (temporal operator search-attribute create --type Keyword --name …)`,
      );
}

async function countPollers({ client }: Temporal): Promise<Finding> {
  const [{ workflow, activity, lastAskedSeconds }, behind] = await Promise.all([
    readPollers(client),
    readLeftBehind(client),
  ]);
  const last = lastAskedSeconds === null ? '' : `, the last one ${duration(lastAskedSeconds * 1_000)} ago`;
  const detail = `${workflow.length} ask for sagas, ${activity.length} for activities${last}`;
  if (workflow.length === 0 || activity.length === 0) return fail(`${detail}: orders stay PENDING`);
  if (behind.length === 0) return ok(detail);
  return fail(
    `${detail}; no worker runs ${behind.map(({ build, sagas }) => `${build}, of which ${sagas} sagas are open`).join('; ')}`,
  );
}

/** One cause is the same at all of them. */
const PARKED_MAX = 16;

/** What sagas that are parked failed by last; none where it cannot be read: `sagas` and `temporal` say that. */
export async function readErrorsOfParked(db: Database, temporal: Temporal): Promise<(string | null)[]> {
  try {
    const { sagas } = await findInState(db, temporal.client, 'NEEDS_ATTENTION');
    const byGateway = sagas.filter(({ failure }) => failure === 'GatewayUnknown' || failure === 'UndoFailing');
    return await readLastErrors(temporal, byGateway.slice(0, PARKED_MAX));
  } catch {
    return [];
  }
}

async function countStuck({ client }: Temporal, db: Database, policy: SagaPolicy): Promise<Finding> {
  const [{ sagas }, slow] = await Promise.all([findStuck(db, client, policy), countSlowOrders(db, SLOW_MAX)]);
  if (sagas.length > 0) {
    const groups = groupByFailure(sagas).map(({ count, step, failure }) =>
      `${count} ${step ?? ''} ${failure ?? ''}`.trim(),
    );
    // Whoever has engaged the brake knows, and `brakes` says it.
    if (sagas.every(({ failure }) => failure === CHARGING_HELD)) return warn(`${sagas.length} are held: ops brakes`);
    return fail(`${sagas.length} need someone (${groups.join('; ')}): ops stuck`);
  }
  if (slow.oldest === null) return ok('none is stuck, none is slow');
  const since = duration(Date.now() - Date.parse(slow.oldest.since));
  return warn(`none needs a decision, ${slow.count} are slow, the oldest ${since}: ops stuck`);
}
