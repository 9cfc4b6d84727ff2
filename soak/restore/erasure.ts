/** A person who is erased after the backup, and must not be back after the restore. */
import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import type pg from 'pg';
import { CHECKOUT } from '../../local/checkout.js';
import { until } from '../world/waiting.js';
import { order } from './clients.js';
import { environmentOf, ops, type World } from './world.js';

/** In everything that a client chooses. */
export type Canary = { word: string; customerId: string };

const ERASED_LIMIT_MS = 90_000;

export async function placeCanary(api: string): Promise<Canary> {
  const word = `canary${randomUUID().slice(0, 8)}`;
  const canary = { word, customerId: `cus_${word}` };
  const id = await order(api, 'pm_card_visa', { customerId: canary.customerId, externalOrderId: `no-${word}` });
  if (id === undefined) throw new Error('the order of the person who is to be erased was not taken');
  return canary;
}

/** Asks for the erasure, and waits for its end. */
export async function erase(api: string, { customerId }: Canary): Promise<void> {
  const headers = { 'content-type': 'application/json' };
  const asked = await fetch(`${api}/admin/customers/${customerId}/erase`, {
    ...{ method: 'POST', headers },
    body: JSON.stringify({ operator: 'op-drill', reason: 'drill' }),
  });
  if (asked.status !== 202) throw new Error(`POST …/erase: ${asked.status} ${await asked.text()}`);
  const { id } = (await asked.json()) as { id: string };
  await until('the person is erased', ERASED_LIMIT_MS, async () => {
    const answer = await fetch(`${api}/admin/erasures/${id}`);
    return ((await answer.json()) as { state: string }).state === 'done';
  });
}

/** The tables in which the person is. */
export async function tablesWith(pool: pg.Pool, { word }: Canary): Promise<string[]> {
  const { rows } = await pool.query<{ name: string }>(
    `SELECT tablename AS name FROM pg_tables WHERE schemaname = 'public'`,
  );
  const found: string[] = [];
  for (const { name } of rows) {
    const { rows: lines } = await pool.query(`SELECT FROM "${name}" t WHERE t::text LIKE $1 LIMIT 1`, [`%${word}%`]);
    if (lines.length > 0) found.push(name);
  }
  return found;
}

/**
 * The start is refused, the person is forgotten, and then it may start.
 * @param isBefore the restore was to before the erasure, by its moment; else the archive's end decides whether it was
 * @returns what is not as it should be
 */
export async function forgetAgain(world: World, pool: pg.Pool, canary: Canary, isBefore: boolean): Promise<string[]> {
  const before = await tablesWith(pool, canary);
  if (before.length === 0)
    return isBefore ? ['the restore was not to before the erasure: the drill has shown nothing of it'] : [];
  const wrong: string[] = [];
  const code = await exitOf(world);
  if (code !== 78) wrong.push(`a process started on a database with an erased person in it, and ended with ${code}`);
  const { code: applied, document } = await ops(world, 'erasures', '--apply-journal', '--yes', '--reason', 'drill');
  if (applied !== 0) wrong.push(`erasures --apply-journal: ${JSON.stringify(document)}`);
  return wrong;
}

export async function nothingIsLeft(pool: pg.Pool, canary: Canary): Promise<string[]> {
  let left: string[] = [];
  await until('nothing of the erased person is left', ERASED_LIMIT_MS, async () => {
    left = await tablesWith(pool, canary);
    return left.length === 0;
  }).catch(() => undefined);
  return left.map((table) => `the erased person is in ${table} again`);
}

/** Of a process that is expected not to serve; one that does is ended. */
function exitOf(world: World): Promise<number | null> {
  return new Promise((resolve) => {
    const child = execFile(
      process.execPath,
      [join(CHECKOUT, 'dist', 'service', 'main.js')],
      { env: { ...environmentOf(world), ROLE: 'relay', METRICS_PORT: '0' }, timeout: 60_000 },
      () => resolve(child.exitCode),
    );
  });
}
