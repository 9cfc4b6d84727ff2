/**
 * One round: orders come in; a base backup is taken amid them; at a random moment the machine is lost, with its disk; Postgres is restored
 * from the base and the archive, to its end or to a moment before; the differences are settled as the runbook says; and everything
 * that is promised must hold of what there is then.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { checkInvariants } from '../../verification/invariants.js';
import { readCharges } from '../../testbed/gateway-ledger.js';
import { ask } from '../../testbed/postgres/cluster.js';
import { readPages, readStock, readInstallationId } from '../verify/postgres.js';
import { readSagas } from '../verify/temporal.js';
import { until } from '../world/waiting.js';
import { order, startLoad, stock } from './clients.js';
import { erase, forgetAgain, nothingIsLeft, placeCanary } from './erasure.js';
import {
  lose,
  ops,
  restore,
  type Settings,
  startService,
  startTemporal,
  startWorld,
  stopWorld,
  takeBase,
  type World,
} from './world.js';
import pg from 'pg';

export type Round = {
  target: string;
  /** Orders of which a caller was told. */
  told: number;
  lost: number;
  /** From the newest order that is there to the machine's loss, or to the moment that was wanted. */
  rpoS: number;
  /** From the order to restore to Postgres taking changes, to the end of after-restore, to the first new order. */
  recoveredS: number;
  settledS: number;
  rtoS: number;
  differences: Record<string, number>;
  refunded: number;
  violations: string[];
};

export type Plan = {
  clients: number;
  beforeBaseMs: number;
  afterBaseMs: number;
  backMs: number | undefined;
  say: (text: string) => void;
};

export async function drill(settings: Settings, plan: Plan): Promise<Round> {
  const world = await startWorld(settings);
  try {
    return await carryOut(world, plan);
  } finally {
    await stopWorld(world);
  }
}

async function carryOut(world: World, plan: Plan): Promise<Round> {
  const { say } = plan;
  await stock(world.api);
  const canary = await placeCanary(world.api);
  const load = startLoad(world.api, plan.clients);
  await sleep(plan.beforeBaseMs);
  say(`${load.told.length} orders; the base backup`);
  await takeBase(world);
  await sleep(plan.afterBaseMs);
  const erasedFromMs = Date.now();
  await erase(world.api, canary);
  // Until what was before the erasure is in the archive.
  if (plan.backMs !== undefined) await sleep(Math.max(0, plan.backMs + ARCHIVED_MS - (Date.now() - erasedFromMs)));
  const lostAtMs = Date.now();
  await lose(world);
  await load.stop();
  const wantedMs = plan.backMs === undefined ? lostAtMs : erasedFromMs - BEFORE_ERASURE_MS;
  say(`${load.told.length} orders; the machine is gone`);
  const from = performance.now();
  const since = () => (performance.now() - from) / 1_000;
  await restore(world, plan.backMs === undefined ? undefined : new Date(wantedMs));
  const recoveredS = since();
  await startTemporal(world);
  const pool = new pg.Pool({ connectionString: world.databaseUrl, max: 4 });
  try {
    const there = new Set((await pool.query<{ id: string }>('SELECT id FROM orders')).rows.map(({ id }) => id));
    const kept = load.told.filter(({ id, atMs }) => there.has(id) && atMs <= wantedMs);
    const rpoS = (wantedMs - Math.max(...kept.map(({ atMs }) => atMs))) / 1_000;
    await ops(world, 'feed-clock', '--ahead', '100000');
    const erasure = await forgetAgain(world, pool, canary, plan.backMs !== undefined);
    const differences = await settle(world);
    const settledS = since();
    await startService(world);
    await until('a new order is accepted', 60_000, async () => (await order(world.api)) !== undefined);
    const rtoS = since();
    say(
      `back after ${rtoS.toFixed(1)} s; ${load.told.length - load.told.filter(({ id }) => there.has(id)).length} orders lost`,
    );
    await adoptIfHeld(world);
    const lost = new Set(load.told.map(({ id }) => id).filter((id) => !there.has(id)));
    const violations = [...erasure, ...(await verify(world, pool, lost)), ...(await nothingIsLeft(pool, canary))];
    const refunded = (await readCharges(world.gateway, () => true)).filter(
      ({ orderId }) => orderId !== null && lost.has(orderId),
    ).length;
    const target =
      plan.backMs === undefined
        ? 'all that was archived'
        : `${((lostAtMs - wantedMs) / 1_000).toFixed(0)} s before, and before an erasure`;
    return {
      target,
      told: load.told.length,
      lost: lost.size,
      rpoS,
      recoveredS,
      settledS,
      rtoS,
      differences,
      refunded,
      violations,
    };
  } finally {
    await pool.end();
  }
}

const BEFORE_ERASURE_MS = 500;
/** A segment's copy takes so long at most. */
const ARCHIVED_MS = 3_000;

/** As the runbook has it, before any process of ours runs. @returns how many differences of each kind there were */
async function settle(world: World): Promise<Record<string, number>> {
  const { document } = await ops(world, 'after-restore', '--since', '1h');
  const counts: Record<string, number> = {};
  for (const { kind } of document['differences'] as { kind: string }[]) counts[kind] = (counts[kind] ?? 0) + 1;
  const act = ['--apply', '--refund-lost', '--yes', '--rate', '20', '--reason', 'drill'];
  for (let tries = 1; ; tries++) {
    const { code, document } = await ops(world, 'after-restore', '--since', '1h', ...act);
    if (code === 0) return counts;
    // A busy machine: what was not done is done by the next.
    if (tries === TRIES_MAX) throw new Error(`after-restore --apply: ${JSON.stringify(document['summary'])}`);
  }
}

const TRIES_MAX = 5;

/** The account knows a newer word than a database that is older than a minute. */
async function adoptIfHeld(world: World): Promise<void> {
  await until('the account was looked at', 60_000, async () => {
    const [row] = await ask<{ held: boolean }>(
      Object.assign(new URL(world.cluster.admin), { pathname: '/order_saga' }).href,
      'SELECT held_since IS NOT NULL AS held FROM installation',
    );
    return row !== undefined;
  });
  await ops(world, 'adopt', '--yes', '--reason', 'drill');
}

/** @returns what is violated: of the orders that there are, and of the charges of those that are gone */
async function verify(world: World, pool: pg.Pool, lost: ReadonlySet<string>): Promise<string[]> {
  await until('every order is final', 180_000, async () => {
    await ops(world, 'adopt', '--yes', '--reason', 'drill');
    const { rows } = await pool.query<{ open: string }>(`SELECT count(*) AS open FROM orders WHERE status = 'PENDING'`);
    return rows[0]?.open === '0';
  });
  const own = await readInstallationId(pool);
  const read = () => readCharges(world.gateway, ({ installationId }) => installationId === own);
  const isOfLost = ({ orderId }: { orderId: string | null }) => orderId !== null && lost.has(orderId);
  await until('no charge of a lost order holds money', 180_000, async () =>
    (await read()).filter(isOfLost).every(({ holds }) => holds === 0),
  ).catch(() => undefined);
  const charges = await read();
  const violations = charges
    .filter((charge) => isOfLost(charge) && charge.holds !== 0)
    .map(({ orderId }) => `lost order ${orderId} is charged`);
  const sagas = await until('all sagas have ended', 60_000, async () => {
    const all = (await readSagas(world.temporalAddress)).filter(
      ({ workflowId }) => ![...lost].some((id) => workflowId.includes(id)),
    );
    const newest = new Map(all.reverse().map((saga) => [saga.workflowId, saga]));
    return [...newest.values()].every(({ status }) => status === 'COMPLETED') && [...newest.values()];
  });
  for await (const page of readPages(pool, 10_000)) {
    const ledgers = {
      ...page,
      ...(await readStock(pool)),
      reservations: page.reservations,
      sagas,
      charges: charges.filter((one) => !isOfLost(one)),
    };
    for (const { invariant, checked, violations: found } of checkInvariants(ledgers)) {
      if (checked === 0 && !invariant.includes('strangers') && page.orders.length > 0)
        violations.push(`${invariant}: nothing to look at`);
      violations.push(...found.map(({ says }) => `${invariant}: ${says}`));
    }
  }
  return violations;
}
