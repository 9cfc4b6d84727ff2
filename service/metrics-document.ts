/** docs/metrics.md, made from the metrics themselves: what each role shows, of which kind, by which labels. */
import type { Metric } from 'prom-client';
import { apiMetrics } from '../api/metrics.js';
import { relayMetrics } from '../relay/metrics.js';
import { processMetrics } from '../runtime/metrics.js';
import { connections, connectionsMax } from '../runtime/pool-metrics.js';
import { SDK_METRICS } from '../runtime/sdk-metrics.js';
import { workerMetrics } from '../workers/metrics.js';
import { keyMetrics } from './keys.js';

/** Everything of ours, by who shows it. */
export const METRICS: Record<'each process' | 'api' | 'worker' | 'relay', Metric[]> = {
  'each process': [...processMetrics, connections, connectionsMax, ...keyMetrics],
  api: apiMetrics,
  worker: workerMetrics,
  relay: relayMetrics,
};

const NOTES: Record<keyof typeof METRICS, string> = {
  'each process':
    'Beside these, what Node tells of itself: `process_…` and `nodejs_…`, of which `nodejs_eventloop_lag_p99_seconds`, ' +
    '`process_cpu_seconds_total` and `process_resident_memory_bytes` are on the dashboards.',
  api: 'Sum them over the processes of this role.',
  worker: 'Sum counters and histograms over the processes of this role; a gauge of a state is each process’s own.',
  relay:
    '`deliveries_total`, `publish_duration_seconds` and `retention_removed_total` are the process’s own: sum them. All else are ' +
    'facts about the whole service, which every relay reads alike from Postgres (every 5 s at most) or Temporal (15 s): take the ' +
    '`max` over relays, never the sum. When one of the two falls silent, its facts stand as they were, and `facts_up` says so.',
};

const HEAD = `# Metrics
Made by \`npm run metrics-doc\` from the code; a test fails while the two differ. Each process serves them at \`/metrics\` on \`METRICS_PORT\`
(\`npm start\` says where), with its role as the label \`role\`; one that runs all roles shows everything, as \`role="all"\`. A process has
650 series at most, all included, which a test counts. Which of them raise alarms: [runbook](runbook.md#which-metric-raises-which-alarm);
the pictures made of them: [dashboards](../deploy/grafana/README.md).
`;

export async function metricsDocument(): Promise<string> {
  const sections = await Promise.all(
    Object.entries(METRICS).map(async ([who, metrics]) => {
      const rows = await Promise.all(metrics.map(rowOf));
      const title = who === 'each process' ? 'Of each process' : `Of the role \`${who}\``;
      return section(title, NOTES[who as keyof typeof METRICS], rows);
    }),
  );
  const sdk = Object.entries(SDK_METRICS).map(([name, help]) => row(name, kindOfSdk(name), '', help));
  const note =
    'The SDK counts many more; these are passed on, with few buckets. Durations are in seconds. They begin with the first task, ' +
    'or failure, of their kind.';
  return `${[HEAD, ...sections, section('Of Temporal’s SDK, in each process', note, sdk)].join('\n')}`;
}

const section = (title: string, note: string, rows: string[]): string =>
  `## ${title}\n${note}\n\n| metric | kind | labels | what |\n|---|---|---|---|\n${rows.join('\n')}\n`;

async function rowOf(metric: Metric): Promise<string> {
  const { name, type, help } = (await metric.get()) as unknown as { name: string; type: string; help: string };
  const { labelNames, upperBounds } = metric as unknown as { labelNames: string[]; upperBounds?: number[] };
  const kind = upperBounds ? `${type} (${upperBounds.join(', ')})` : type;
  return row(name, kind, labelNames.map((label) => `\`${label}\``).join(', '), help);
}

const row = (name: string, kind: string, labels: string, what: string): string =>
  `| \`${name}\` | ${kind} | ${labels} | ${what} |`;

const kindOfSdk = (name: string): string =>
  name.endsWith('_total') ? 'counter' : name.endsWith('_seconds') ? 'histogram' : 'gauge';
