/** docs/metrics.md is what the code says, and every metric is looked at somewhere. */
import { expect, test } from '@jest/globals';
import { METRICS, metricsDocument } from '../../service/metrics-document.js';
import { SDK_METRICS } from '../../runtime/sdk-metrics.js';
import { panels } from './dashboards.js';
import { read } from './text.js';

test('docs/metrics.md is what `npm run metrics-doc` writes', async () => {
  expect(read('docs/metrics.md')).toBe(await metricsDocument());
});

test('names say the thing in the words of the runbook', () => {
  const names = Object.values(METRICS).flatMap((metrics) =>
    metrics.map((metric) => (metric as unknown as { name: string }).name),
  );
  expect(names.filter((name) => !/^order_saga_[a-z_]+$/.test(name))).toEqual([]);
  expect(new Set(names).size).toBe(names.length);
});

test('each metric is on a panel', () => {
  const asked = panels()
    .flatMap(({ exprs }) => exprs)
    .join('\n');
  const recorded = read('deploy/prometheus/slo.yml');
  const names = [
    ...Object.values(METRICS).flatMap((metrics) =>
      metrics.map((metric) => (metric as unknown as { name: string }).name),
    ),
    ...Object.keys(SDK_METRICS),
  ];
  expect(names.filter((name) => !asked.includes(name) && !recorded.includes(name))).toEqual([]);
});
