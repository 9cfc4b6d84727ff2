/** A Prometheus of this machine, for tests: found (PROMTOOL, or on the PATH, as Debian's package `prometheus` has both), and run. */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { freePort } from '../local/processes/ports.js';
import { type Running, start } from '../local/processes/program.js';
import { onPath } from '../local/temporal/obtain.js';

export type PrometheusPrograms = { promtool: string; prometheus: string };

/** @returns what to run, or in one sentence why it cannot be had here */
export function findPrometheus(env: NodeJS.ProcessEnv): PrometheusPrograms | { missing: string } {
  const promtool = env['PROMTOOL'] || onPath('promtool', env);
  if (promtool === undefined) return { missing: 'Prometheus: no `promtool` on the PATH, and PROMTOOL names none' };
  if (!existsSync(promtool)) return { missing: `Prometheus: PROMTOOL names ${promtool}, which is not there` };
  const beside = join(dirname(promtool), 'prometheus');
  const prometheus = existsSync(beside) ? beside : onPath('prometheus', env);
  if (prometheus === undefined) return { missing: `Prometheus: no \`prometheus\` beside ${promtool} or on the PATH` };
  return { promtool, prometheus };
}

export type Sample = { metric: Record<string, string>; value: number };
export type Prometheus = {
  query(expr: string): Promise<Sample[]>;
  /** Names of alarms that are raised now. */
  firing(): Promise<string[]>;
  stop(): Promise<void>;
};

/** Often, so that a test need not wait; a scrape of a busy machine's process may take more than a second. */
const SCRAPE_EVERY = '2s';
const EVALUATE_EVERY = '1s';
const READY_LIMIT_MS = 60_000;
const STOP_LIMIT_MS = 10_000;

/**
 * @param targets host:port of what is scraped, as the job that the alarms know
 * @param rules   absolute paths
 */
export async function startPrometheus(
  { prometheus }: Pick<PrometheusPrograms, 'prometheus'>,
  { targets, rules }: { targets: string[]; rules: string[] },
): Promise<Prometheus> {
  const folder = mkdtempSync(join(tmpdir(), 'order-saga-prometheus-'));
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const config = join(folder, 'prometheus.json');
  writeFileSync(
    config,
    JSON.stringify({
      global: { scrape_interval: SCRAPE_EVERY, scrape_timeout: SCRAPE_EVERY, evaluation_interval: EVALUATE_EVERY },
      rule_files: rules,
      scrape_configs: [{ job_name: 'order-saga', static_configs: [{ targets }] }],
    }),
  );
  const running: Running = await start({
    name: 'Prometheus',
    command: prometheus,
    args: [
      `--config.file=${config}`,
      `--storage.tsdb.path=${join(folder, 'data')}`,
      `--web.listen-address=127.0.0.1:${port}`,
    ],
    env: {},
    cwd: folder,
    logFile: join(folder, 'log'),
    stopSignal: 'SIGTERM',
    isReady: async () => (await fetch(`${url}/-/ready`).catch(() => undefined))?.ok ?? false,
    readyLimitMs: READY_LIMIT_MS,
  });
  const ask = async <T>(path: string): Promise<T> => {
    const answer = await fetch(`${url}/api/v1/${path}`);
    const { status, data, error } = (await answer.json()) as { status: string; data: T; error?: string };
    if (status !== 'success') throw new Error(`Prometheus, asked ${path}: ${error}`);
    return data;
  };
  return {
    query: async (expr) => {
      type Vector = { result: { metric: Record<string, string>; value: [number, string] }[] };
      const { result } = await ask<Vector>(`query?query=${encodeURIComponent(expr)}`);
      return result.map(({ metric, value }) => ({ metric, value: Number(value[1]) }));
    },
    firing: async () => {
      const { alerts } = await ask<{ alerts: { labels: Record<string, string>; state: string }[] }>('alerts');
      return alerts.filter(({ state }) => state === 'firing').map(({ labels }) => labels['alertname'] ?? '');
    },
    stop: async () => {
      await running.stop(STOP_LIMIT_MS);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
