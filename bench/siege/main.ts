/**
 * The siege: what customers who order notice of attackers beside them. `npm run siege` starts the product with authentication
 * on, in a folder of its own; with `--base <checkout>` another version of it afterwards, to compare. Attackers and service
 * share the machine, so part of what is seen is the attackers' own use of the processors.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Command, InvalidArgumentError } from 'commander';
import { CHECKOUT } from '../../local/checkout.js';
import { freePort } from '../../local/processes/ports.js';
import { stopAll, withProduct } from '../product.js';
import { commitOf, describeMachine } from '../machine.js';
import { ATTACKS, CONNECTIONS_MAX } from './attacks.js';
import { type Noticed, orderSteadily } from './customers.js';
import { prepare, tokenFor } from './preparation.js';
import { siegeReport, type Row } from './report.js';
import type { Scene } from './scene.js';

const CUSTOMERS = 10;
const SECONDS = 10;
const LARGE_ORDERS = 900;
/** An attack is in full swing by then. */
const BEGIN_AFTER_MS = 2_000;
/** What an attack has left behind is over by then, as far as it is over at all. */
const REST_MS = 3_000;
const ISSUER_LIMIT_MS = 30_000;

type Options = { base?: string; only: string[]; seconds: number; orders: number };

const options = new Command('npm run siege --')
  .description('Measures what ordering customers notice of attackers, and writes bench/SIEGE.md if it ran everything.')
  .option('--base <checkout>', 'another version of the product, built, to compare with')
  .option('--only <attacks>', `some of: ${Object.keys(ATTACKS).join(', ')}; separated by commas`, parseNames, [])
  .option('--seconds <n>', 'of each attack, and of each peace before it', parseCount, SECONDS)
  .option('--orders <n>', 'large orders that the attacker has', parseCount, LARGE_ORDERS)
  .parse()
  .opts<Options>();

const say = (text: string): void => void process.stderr.write(`[siege] ${text}\n`);
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.once(signal, () => void stopAll().finally(() => process.exit(1)));
}

const rows = await besiege(CHECKOUT);
const before = options.base === undefined ? undefined : await besiege(options.base);
const report = siegeReport({
  rows,
  before: before && { rows: before, commit: commitOf(options.base ?? '') },
  machine: describeMachine(),
  seconds: options.seconds,
});
process.stdout.write(`${report}\n`);
const isWhole = options.only.length === 0 && options.seconds >= SECONDS && options.orders >= LARGE_ORDERS;
if (isWhole) writeFileSync(join(CHECKOUT, 'bench', 'SIEGE.md'), `${report}\n`);
process.exit(0); // what the customers still hold open may be cut

async function besiege(checkout: string): Promise<Row[]> {
  const [issuerPort, metricsPort] = [await freePort(), await freePort()];
  const issuer = `http://127.0.0.1:${issuerPort}`;
  const keys = mkdtempSync(join(tmpdir(), 'order-saga-siege-'));
  const running = await startIssuer(issuer, { ISSUER_PORT: `${issuerPort}`, DATA_DIR: keys });
  const env = {
    AUTH_ISSUER: issuer,
    AUTH_AUDIENCE: 'order-saga',
    METRICS_PORT: `${metricsPort}`,
    CONNECTIONS_MAX: `${CONNECTIONS_MAX}`,
  };
  try {
    return await withProduct(
      env,
      async ({ api }) => {
        say(`${checkout}: ${api}`);
        const urls = { api, metrics: `http://127.0.0.1:${metricsPort}` };
        const scene = await prepare(urls, issuer, { largeOrders: options.orders, say });
        return await runAttacks(scene, await customerTokens(issuer));
      },
      checkout,
    );
  } finally {
    running.kill('SIGTERM');
    rmSync(keys, { recursive: true, force: true });
  }
}

async function runAttacks(scene: Scene, tokens: Map<string, string>): Promise<Row[]> {
  const measured: Row[] = [];
  await orderSteadily(scene, tokens, options.seconds * 1_000); // warms up
  for (const [name, { what }] of Object.entries(ATTACKS)) {
    if (options.only.length > 0 && !options.only.includes(name)) continue;
    const peace = await orderSteadily(scene, tokens, options.seconds * 1_000);
    const { noticed, seen } = await underAttack(name, scene, tokens);
    const row = { name, what, peace, noticed, seen };
    say(`${name}: ${JSON.stringify(seen)}`);
    measured.push(row);
    await sleep(REST_MS);
  }
  return measured;
}

async function underAttack(
  name: string,
  scene: Scene,
  tokens: Map<string, string>,
): Promise<{ noticed: Noticed; seen: Record<string, number> }> {
  const program = join(CHECKOUT, 'dist', 'bench', 'siege', 'attacker.js');
  const child = spawn(process.execPath, [program, name, JSON.stringify(scene)], { stdio: ['pipe', 'pipe', 'inherit'] });
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => (output += chunk));
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
  await sleep(BEGIN_AFTER_MS);
  const noticed = await orderSteadily(scene, tokens, options.seconds * 1_000);
  child.stdin.end();
  await ended;
  return { noticed, seen: JSON.parse(output || '{}') as Record<string, number> };
}

async function customerTokens(issuer: string): Promise<Map<string, string>> {
  const ids = Array.from({ length: CUSTOMERS }, (_, n) => `cus_siege_${n}`);
  return new Map(await Promise.all(ids.map(async (id) => [id, await tokenFor(issuer, id, 'customer')] as const)));
}

async function startIssuer(url: string, env: NodeJS.ProcessEnv): Promise<ChildProcess> {
  const program = join(CHECKOUT, 'dist', 'issuer', 'main.js');
  const child = spawn(process.execPath, [program], { env: { ...process.env, ...env }, stdio: 'ignore' });
  process.once('exit', () => child.kill('SIGTERM'));
  const until = performance.now() + ISSUER_LIMIT_MS;
  while (!(await fetch(`${url}/livez`).catch(() => undefined))?.ok) {
    if (performance.now() > until) throw new Error('The issuer does not answer');
    await sleep(100);
  }
  return child;
}

function parseNames(text: string): string[] {
  const names = text.split(',').map((name) => name.trim());
  const unknown = names.find((name) => !(name in ATTACKS));
  if (unknown !== undefined) throw new InvalidArgumentError(`There is no attack "${unknown}".`);
  return names;
}

function parseCount(text: string): number {
  const count = Number(text);
  if (!Number.isInteger(count) || count < 1) throw new InvalidArgumentError('It is not a whole number from 1.');
  return count;
}
