/** Traces: nothing of OpenTelemetry without being asked, and no client decides what is recorded. */
import { execFileSync } from 'node:child_process';
import { describe, expect, test } from '@jest/globals';
import { pino } from 'pino';
import { reportingExporter } from '../../runtime/tracing/reporting-exporter.js';
import { createSampler } from '../../runtime/tracing/sampler.js';
import { activeTraceId, readTraceparent } from '../../runtime/tracing/spans.js';
import { summarize } from '../../runtime/tracing/statements.js';

const silent = pino({ level: 'silent' });
const sampler = (OTEL_TRACES_SAMPLER: string, OTEL_TRACES_SAMPLER_ARG?: string) =>
  createSampler({ OTEL_TRACES_SAMPLER, OTEL_TRACES_SAMPLER_ARG }, silent);

/** Which modules of OpenTelemetry the parts of the service have loaded; but for its API, which prom-client brings along for exemplars. */
function modulesLoaded(more: Record<string, string>): string[] {
  const script = `
    const { readConfig } = await import('./dist/runtime/config.js');
    const { settings } = await import('./dist/runtime/settings.js');
    const { createLogger } = await import('./dist/runtime/logger.js');
    const { openTracing } = await import('./dist/runtime/tracing/opened.js');
    for (const part of ['api/server', 'workers/worker', 'relay/relay', 'service/worker', 'runtime/pools']) await import('./dist/' + part + '.js');
    await openTracing(readConfig(settings, process.env), createLogger('all', 'silent'));
    const { createRequire } = await import('node:module');
    console.log(JSON.stringify(Object.keys(createRequire(import.meta.url).cache).filter((path) => /@opentelemetry.(?!api.build)/.test(path))));
    process.exit(0);`;
  const out = execFileSync(process.execPath, ['--input-type=module', '-e', script], {
    env: { PATH: process.env['PATH'], DATABASE_URL: 'postgresql://nobody@127.0.0.1:1/nothing', ...more },
    encoding: 'utf8',
  });
  return JSON.parse(out) as string[];
}

describe('nothing of OpenTelemetry is loaded', () => {
  test('unless it is asked for', () => {
    expect(modulesLoaded({})).toEqual([]);
    expect(activeTraceId()).toBeUndefined();
  });
  test('if it is switched off', () => {
    const endpoint = { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:4318' };
    expect(modulesLoaded({ ...endpoint, OTEL_SDK_DISABLED: 'true' })).toEqual([]);
    expect(modulesLoaded({ ...endpoint, OTEL_TRACES_EXPORTER: 'none' })).toEqual([]);
    expect(modulesLoaded(endpoint)).not.toEqual([]); // else this would prove nothing
  });
});

test('a collector that does not take spans is one warning, and one line when it does again', () => {
  const lines: string[] = [];
  const logger = pino({ base: null, timestamp: false }, { write: (line) => void lines.push(JSON.parse(line).msg) });
  let code = 1;
  const exporter = reportingExporter(
    { export: (_spans, done) => done({ code }), shutdown: async () => undefined },
    logger,
  );
  const send = () => exporter.export([], () => undefined);
  for (let n = 0; n < 3; n++) send();
  code = 0;
  for (let n = 0; n < 3; n++) send();
  expect(lines).toEqual(['traces are lost: the collector does not take them', 'the collector takes traces again']);
});

describe('a client that asks to be recorded', () => {
  test('is, a few times a second', () => {
    const { samplesStranger } = sampler('parentbased_traceidratio', '0.000001');
    const recorded = Array.from({ length: 10_000 }, () => samplesStranger(true)).filter(Boolean);
    expect(recorded.length).toBeGreaterThanOrEqual(5);
    expect(recorded.length).toBeLessThan(50);
  });
  test('is not where nothing is, or where clients are not heeded', () => {
    expect(sampler('parentbased_always_off').samplesStranger(true)).toBe(false);
    const { samplesStranger } = sampler('traceidratio', '0');
    expect(Array.from({ length: 100 }, () => samplesStranger(true))).not.toContain(true);
  });
  test('not to be is recorded where everything is', () => {
    expect(sampler('parentbased_always_on').samplesStranger(false)).toBe(true);
  });
});

test.each([
  `00-${'0'.repeat(32)}-${'1'.repeat(16)}-01`,
  `00-${'1'.repeat(32)}-${'0'.repeat(16)}-01`,
  `00-${'A'.repeat(32)}-${'1'.repeat(16)}-01`,
  `00-${'1'.repeat(32)}-${'1'.repeat(16)}-01-more`,
  'cus_mallory',
])('%s is no trace context', (text) => {
  expect(readTraceparent(text)).toBeUndefined();
});

test.each([
  ['SELECT id FROM orders WHERE id = $1 FOR UPDATE OF orders', 'SELECT orders'],
  [
    'WITH moved AS (UPDATE orders AS o SET status = $1) INSERT INTO outbox (order_id) SELECT id FROM moved',
    'UPDATE orders, INSERT outbox',
  ],
  ['INSERT INTO inbox VALUES ($1) ON CONFLICT DO UPDATE SET a = 1', 'INSERT inbox'],
  ['SELECT "public"."orders"."id" FROM "public"."orders" WHERE 1=1', 'SELECT orders'],
])('%s is called %s', (text, summary) => {
  expect(summarize(text)).toBe(summary);
});
