/** The alarms name metrics that there are, and sections of the runbook that there are. */
import { spawnSync } from 'node:child_process';
import { describe, expect, it } from '@jest/globals';
import { read } from './text.js';

const alerts = read('deploy/prometheus/alerts.yml');
const runbook = read('docs/runbook.md');
const sources = [
  'api/metrics.ts',
  'relay/metrics.ts',
  'workers/metrics.ts',
  'runtime/guard.ts',
  'runtime/listeners/connections.ts',
  'runtime/listeners/refusals.ts',
]
  .map(read)
  .join('\n');
const metrics = [...sources.matchAll(/(?:name: 'order_saga_|counter\('|gauge\(\s*')([a-z_]+)'/g)].map(
  ([, name]) => name,
);

describe('deploy/prometheus/alerts.yml', () => {
  it('asks for metrics that are exported', () => {
    expect(metrics.length).toBeGreaterThan(12);
    const asked = [...alerts.matchAll(/order_saga_([a-z_]+)/g)].map(([, name = '']) =>
      name.replace(/_(bucket|count|sum)$/, ''),
    );
    expect(asked.length).toBeGreaterThan(8);
    expect(asked.filter((name) => !metrics.includes(name))).toEqual([]);
  });

  it('leads to sections of the runbook', () => {
    const headings = [...runbook.matchAll(/^## (.+)$/gm)].map(([, heading = '']) => anchor(heading));
    const links = [...`${alerts}${runbook}`.matchAll(/(?:runbook\.md|\()#([a-z0-9-]+)/g)].map(([, link]) => link);
    expect(links.length).toBeGreaterThan(8);
    expect(links.filter((link) => !headings.includes(link ?? ''))).toEqual([]);
  });

  it('raises alarms that the runbook tells of, by metrics that it tells of', () => {
    const names = [...alerts.matchAll(/- alert: (\w+)/g)].map(([, name = '']) => name);
    expect(names.filter((name) => !runbook.includes(name))).toEqual([]);
    expect(metrics.filter((name) => !runbook.includes(`\`${name}`))).toEqual([]);
  });

  it('raises one for each neighbour that is silent, and lets none end because of that', () => {
    expect(alerts).toMatch(/alert: FactsUnknown\n +expr: min by \(source\) \(order_saga_facts_up\) == 0/);
    expect(alerts).toMatch(/alert: NoRelay\n +expr: absent\(order_saga_facts_up\)/);
    for (const failure of ['NO_POLLERS', 'WORKFLOW_TASK_FAILING'])
      expect(alerts).toContain(`order_saga_sagas_needing_attention{failure="${failure}"}`);
  });

  const promtool = spawnSync('promtool', ['--version']).status === 0 ? it : it.skip;
  promtool('is taken by promtool', () => {
    expect(spawnSync('promtool', ['check', 'rules', 'deploy/prometheus/alerts.yml']).status).toBe(0);
  });
});

const anchor = (heading: string): string =>
  heading
    .toLowerCase()
    .replace(/[^a-z0-9 -]/g, '')
    .replaceAll(' ', '-');
