/**
 * The crowd: sagas that are in flight all through the deploys. Some are parked for an operator, as the gateway names another sum than
 * theirs when it is asked what became of their charge, which has had no answer; the others are tried again and again, as it is down for them. They begin while faults of their own wait for each.
 */
import { endGatewayFaults, setGatewayFault } from '../nemesis/gateway.js';
import { partOf } from '../nemesis/processes.js';
import { withTemporal } from '../verify/temporal.js';
import type { Installation } from '../world/installation.js';
import { until } from '../world/waiting.js';
import { PAID, type Traffic } from './traffic.js';

export type Crowd = { parked: string[]; retrying: string[] };

const WORKERS = ['worker', 'all'] as const;
const CHARGED_WITHOUT_ANSWER = 'pm_sandbox_error_after_charge';
const READY_LIMIT_MS = 120_000;
/** A thousand first tries on a machine with other work to do. */
const IN_FLIGHT_LIMIT_MS = 240_000;

/** The workers are away meanwhile, so that the gateway knows of each order before it is asked to charge it. */
export async function assemble(around: Installation, traffic: Traffic, sagas: number, share: number): Promise<Crowd> {
  const worker = partOf(around, 'worker');
  const all = partOf(around, 'all');
  for (const part of [worker, all]) await part.stop();
  const parked = await traffic.crowd(Math.round(sagas * share), CHARGED_WITHOUT_ANSWER);
  const crowd = { parked, retrying: await traffic.crowd(sagas - parked.length, PAID) };
  await hold(around, crowd);
  for (const part of [worker, all]) part.up();
  for (const name of WORKERS) await until(`${name} is ready`, READY_LIMIT_MS, () => partOf(around, name).isReady());
  await until('the crowd is in flight', IN_FLIGHT_LIMIT_MS, async () => {
    const now = await countInFlight(around);
    return now.parked >= parked.length && now.running >= sagas;
  });
  return crowd;
}

/** Faults for these alone: whoever is in no list any more is charged as soon as it is tried again. */
export async function hold(around: Installation, { parked, retrying }: Crowd): Promise<void> {
  await endGatewayFaults(around);
  for (const orderId of retrying) await setGatewayFault(around, { mode: 'down', route: 'charge', orderId });
  for (const orderId of parked)
    await setGatewayFault(around, { mode: 'wrong_echo', amount: 1, route: 'lookup', orderId });
}

/** Sagas that run, and those of them that are parked. */
export const countInFlight = (around: Installation, build?: string): Promise<{ running: number; parked: number }> =>
  withTemporal(around.direct.temporal, async ({ workflow }) => {
    const ofBuild = build === undefined ? '' : ` AND TemporalWorkerDeploymentVersion="order-saga:${build}"`;
    const count = async (query: string) => (await workflow.count(`${query}${ofBuild}`)).count;
    const running = 'ExecutionStatus="Running"';
    return { running: await count(running), parked: await count(`${running} AND SagaState="NEEDS_ATTENTION"`) };
  });
