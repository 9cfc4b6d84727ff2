/** Twins: further processes of the service beside the one that `npm start` runs, with its very settings, on ports of their own. */
import { mkdtempSync, readFileSync, readlinkSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from '../local/processes/ports.js';
import { start } from '../local/processes/program.js';
import type { Product } from './product.js';

export type Twin = { api: string; pid: number; stop: () => Promise<void> };

const READY_LIMIT_MS = 60_000;
const STOP_LIMIT_MS = 25_000;

export async function startTwin(product: Product): Promise<Twin> {
  const original = product.pid('service');
  const [command = '', ...args] = listOf(original, 'cmdline');
  const [port, metricsPort] = [await freePort(), await freePort()];
  const folder = mkdtempSync(join(tmpdir(), 'order-saga-twin-'));
  const running = await start({
    name: 'another service process',
    command,
    args,
    env: { ...settingsOf(original), PORT: `${port}`, METRICS_PORT: `${metricsPort}` },
    cwd: readlinkSync(`/proc/${original}/cwd`),
    logFile: join(folder, 'log'),
    stopSignal: 'SIGTERM',
    isReady: () => isReady(metricsPort),
    readyLimitMs: READY_LIMIT_MS,
  });
  return {
    api: `http://127.0.0.1:${port}`,
    pid: running.pid as number,
    stop: async () => {
      await running.stop(STOP_LIMIT_MS);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

const listOf = (pid: number, file: 'cmdline' | 'environ'): string[] =>
  readFileSync(`/proc/${pid}/${file}`, 'utf8')
    .split('\0')
    .filter((each) => each !== '');

const settingsOf = (pid: number): NodeJS.ProcessEnv =>
  Object.fromEntries(
    listOf(pid, 'environ').map((each) => [each.slice(0, each.indexOf('=')), each.slice(each.indexOf('=') + 1)]),
  );

const isReady = (metricsPort: number): Promise<boolean> =>
  fetch(`http://127.0.0.1:${metricsPort}/readyz`).then(
    ({ ok }) => ok,
    () => false,
  );
