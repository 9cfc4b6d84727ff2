/**
 * The crowd: sagas that are in flight all through the deploys. Some are parked for an operator, as the gateway names another sum than
 * theirs when it is asked what became of their charge, which has had no answer; the others are tried again and again, as it is down for them.
 */
import { endGatewayFaults, setGatewayFault } from '../nemesis/gateway.js';
import { partOf } from '../nemesis/processes.js';
import { withTemporal } from '../verify/temporal.js';
import type { Installation } from '../world/installation.js';
import { until } from '../world/waiting.js';
import { PAID, type Traffic } from './traffic.js';

export type Crowd = { parked: string[]; retrying: string[] };

const CHARGED_WITHOUT_ANSWER = 'pm_sandbox_error_after_charge';
/** Reconciliation has whoever is parked tried again as soon as the gateway tells the truth. */
const ANOTHER_SUM = { mode: 'wrong_echo', amount: 1, route: 'lookup' };
const READY_LIMIT_MS = 120_000;
/** A thousand first tries on a machine with other work to do. */
const IN_FLIGHT_LIMIT_MS = 600_000;

export async function assemble(around: Installation, traffic: Traffic, sagas: number, share: number): Promise<Crowd> {
  await setGatewayFault(around, ANOTHER_SUM);
  const parked = await traffic.crowd(Math.round(sagas * share), CHARGED_WITHOUT_ANSWER);
  await until('those that park are parked', IN_FLIGHT_LIMIT_MS, async () => {
    const now = await countInFlight(around);
    return now.parked >= parked.length;
  });
  // No worker is there meanwhile, so that the gateway knows of each order before it is asked to charge it.
  const workers = [partOf(around, 'worker'), partOf(around, 'all')];
  for (const part of workers) await part.stop();
  const retrying = await traffic.crowd(sagas - parked.length, PAID);
  await hold(around, { parked, retrying });
  for (const part of workers) part.up();
  for (const part of workers) await until(`${part.name} is ready`, READY_LIMIT_MS, () => part.isReady());
  await until('the others are tried again and again', IN_FLIGHT_LIMIT_MS, async () => {
    const now = await countInFlight(around);
    return now.running >= sagas && (await countReserved(around)) >= sagas;
  });
  return { parked, retrying };
}

/** Faults for these alone: whoever is in no list any more can be charged, or has its charge found. */
export async function hold(around: Installation, { parked, retrying }: Crowd): Promise<void> {
  await endGatewayFaults(around);
  for (const orderId of retrying) await setGatewayFault(around, { mode: 'down', route: 'charge', orderId });
  for (const orderId of parked) await setGatewayFault(around, { ...ANOTHER_SUM, orderId });
}

/** Orders that wait for nothing but their charge. */
async function countReserved({ pool }: Installation): Promise<number> {
  const { rows } = await pool.query<{ count: number }>(
    `SELECT count(DISTINCT order_id)::int AS count FROM outbox WHERE type = 'inventory.reserved'`,
  );
  return rows[0]?.count ?? 0;
}

/** Sagas that run, and those of them that are parked. */
export const countInFlight = (around: Installation, build?: string): Promise<{ running: number; parked: number }> =>
  withTemporal(around.direct.temporal, async ({ workflow }) => {
    const ofBuild = build === undefined ? '' : ` AND TemporalWorkerDeploymentVersion="order-saga:${build}"`;
    const count = async (query: string) => (await workflow.count(`${query}${ofBuild}`)).count;
    const running = 'ExecutionStatus="Running"';
    return { running: await count(running), parked: await count(`${running} AND SagaState="NEEDS_ATTENTION"`) };
  });
