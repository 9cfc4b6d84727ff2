/**
 * Metrics of Temporal's SDK, merged into this process's own. Its core counts natively, which costs an order a few microseconds, and
 * offers the result on a port of its own; that one is on loopback, unnamed, and asked by nobody but this process. (The SDK's
 * other way, a buffer of single measurements, would make each of them an object of ours.) Of its many series an allow-list is
 * shown, with few buckets: a process has 500 series at most, all included.
 */
import { get } from 'node:http';
import { type AddressInfo, createServer } from 'node:net';
import type { TelemetryOptions } from '@temporalio/worker';

/** What is shown; without these endings of a histogram: `_bucket`, `_count`, `_sum`. Each with what it tells. */
export const SDK_METRICS: Record<string, string> = {
  temporal_worker_task_slots_available: 'Tasks that this worker could take at once',
  temporal_worker_task_slots_used: 'Tasks that this worker has in hand',
  temporal_num_pollers: 'Requests for tasks that this worker has open',
  temporal_workflow_task_schedule_to_start_latency_seconds: 'How long workflow tasks waited for a worker',
  temporal_activity_schedule_to_start_latency_seconds: 'How long activities waited for a worker',
  temporal_workflow_task_execution_latency_seconds: 'How long the sagas’ code took for a task',
  temporal_workflow_task_execution_failed_total:
    'Workflow tasks that failed; NonDeterminismError = a release that does not fit',
  temporal_sticky_cache_hit_total: 'Workflow tasks whose saga was in memory',
  temporal_sticky_cache_miss_total: 'Workflow tasks whose saga had to be replayed',
  temporal_sticky_cache_size: 'Sagas in memory',
  temporal_sticky_cache_total_forced_eviction_total: 'Sagas put out of memory for want of room',
  temporal_activity_execution_failed_total: 'Attempts of activities that failed, refusals included',
  temporal_request_failure_total: 'Requests to Temporal that failed, by operation',
};

const BUCKETS_SECONDS = [0.05, 0.5, 5];
const HISTOGRAMS = [
  'workflow_task_schedule_to_start_latency',
  'activity_schedule_to_start_latency',
  'workflow_task_execution_latency',
];
/** A scrape must not wait for it. */
const READ_LIMIT_MS = 1_000;
/** Between our finding a free port and the core's taking it, another program may. */
const PORT_TRIES = 3;
/** The same in every series of a process; what Prometheus is told by other labels. */
const DROPPED = /\b(?:namespace|service_name)="[^"]*",?/g;

/**
 * @param install begins the SDK with these options, or without any where its metrics cannot be had: serving must not depend on them
 * @returns how the metrics are read from then on, as Prometheus' text
 */
export async function installWithMetrics(
  install: (metrics: TelemetryOptions['metrics'] | undefined) => void,
): Promise<() => Promise<string>> {
  for (let tries = 1; tries <= PORT_TRIES; tries++) {
    try {
      const port = await freeLoopbackPort();
      install({
        attachServiceName: false,
        prometheus: {
          bindAddress: `127.0.0.1:${port}`,
          countersTotalSuffix: true,
          unitSuffix: true,
          useSecondsForDurations: true,
          histogramBucketOverrides: Object.fromEntries(HISTOGRAMS.map((name) => [name, BUCKETS_SECONDS])),
        },
      });
      return async () => allowed(await read(port));
    } catch {
      // Another port, then; what is wrong beside the port is thrown below.
    }
  }
  install(undefined);
  return async () => '';
}

/** @returns of the SDK's text what is on the list, without labels that never differ */
export function allowed(text: string): string {
  const lines = text.split('\n').filter((line) => {
    const name = /^(?:# (?:HELP|TYPE) )?(\w+)/.exec(line)?.[1] ?? '';
    return Object.hasOwn(SDK_METRICS, name) || Object.hasOwn(SDK_METRICS, name.replace(/_(?:bucket|count|sum)$/, ''));
  });
  return lines
    .map((line) => line.replace(DROPPED, '').replace(/,\}|\{\}/, (end) => (end === '{}' ? '' : '}')))
    .join('\n');
}

function freeLoopbackPort(): Promise<number> {
  const server = createServer();
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
}

function read(port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const request = get({ host: '127.0.0.1', port, path: '/metrics', signal: AbortSignal.timeout(READ_LIMIT_MS) });
    request.once('error', reject);
    request.once('response', (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.once('error', reject);
      response.once('end', () => resolve(Buffer.concat(chunks).toString('utf8')));
    });
  });
}
