/** Tests with a real Prometheus: where this machine has none they are skipped by name, or fail where REQUIRE_PROMETHEUS=1. */
import { describe } from '@jest/globals';
import { findPrometheus, type PrometheusPrograms } from '../../testbed/prometheus.js';

export function describeWithPrometheus(name: string, tests: (programs: PrometheusPrograms) => void): void {
  const found = findPrometheus(process.env);
  if ('promtool' in found) return void describe(name, () => tests(found));
  if (process.env['REQUIRE_PROMETHEUS'] === '1') throw new Error(`REQUIRE_PROMETHEUS=1, but ${found.missing}`);
  process.stderr.write(`Skipped: ${found.missing}\n`);
  describe.skip(`${name} (skipped; ${found.missing})`, () => tests({ promtool: '', prometheus: '' }));
}
