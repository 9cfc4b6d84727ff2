/** The alarms name metrics that there are, and sections of the runbook that there are. When they are raised: alarms/. */
import { describe, expect, it } from '@jest/globals';
import { RULES, readRules } from './alarms/promtool.js';
import { read } from './text.js';

const alerts = RULES.map(read).join('\n');
const runbook = read('docs/runbook.md');
const metrics = [...read('docs/metrics.md').matchAll(/^\| `order_saga_([a-z_]+)`/gm)].map(([, name]) => name);

describe('deploy/prometheus/alerts.yml', () => {
  it('asks for metrics that are exported', () => {
    expect(metrics.length).toBeGreaterThan(12);
    const asked = [...alerts.matchAll(/order_saga_([a-z_]+)/g)].map(([, name = '']) =>
      name.replace(/_(bucket|count|sum)$/, ''),
    );
    expect(asked.length).toBeGreaterThan(8);
    expect(asked.filter((name) => !metrics.includes(name))).toEqual([]);
  });

  it('has the watchdog repeated every minute, whatever others wait for', () => {
    const route = /alertname="Watchdog".*/.exec(read('deploy/alertmanager/alertmanager.yml'))?.[0] ?? '';
    expect(route).toMatch(/group_interval: 1m, repeat_interval: 50s/);
  });

  it('leads to sections of the runbook', () => {
    const headings = [...runbook.matchAll(/^#{2,3} (.+)$/gm)].map(([, heading = '']) => anchor(heading));
    const links = [...`${alerts}${runbook}`.matchAll(/(?:runbook\.md|\()#([a-z0-9-]+)/g)].map(([, link]) => link);
    expect(links.length).toBeGreaterThan(8);
    expect(links.filter((link) => !headings.includes(link ?? ''))).toEqual([]);
  });

  it('raises alarms that the runbook tells of', () => {
    const names = readRules().map(({ alert }) => alert);
    expect(names.length).toBeGreaterThan(30);
    expect(names.filter((name) => !runbook.includes(name))).toEqual([]);
  });

  it('has each alarm lead to its section of the runbook', () => {
    const headings = [...runbook.matchAll(/^#{2,3} (.+)$/gm)].map(
      ([, heading = '']) => `docs/runbook.md#${anchor(heading)}`,
    );
    expect(readRules().filter((rule) => !headings.includes(rule.runbook))).toEqual([]);
  });

  it('has sections that say what it means, a first command, and what to do', () => {
    const sections = runbook.split(/^(?=#{2,3} )/m);
    const command = /ops -- |curl |psql|SELECT |temporal |df -h|top -H|docker /;
    const wanting = readRules().filter(({ runbook: link }) => {
      const section =
        sections.find((text) => link.endsWith(`#${anchor(/^#{2,3} (.+)$/m.exec(text)?.[1] ?? '')}`)) ?? '';
      return !(/\*\*(What it means|See)\.\*\*/.test(section) && command.test(section) && /\*\*Act|- `/.test(section));
    });
    expect(wanting.map(({ alert }) => alert)).toEqual([]);
  });

  it('gets someone up, leaves a ticket, or is the watchdog', () => {
    expect(new Set(readRules().map(({ severity }) => severity))).toEqual(new Set(['page', 'ticket', 'none']));
    // Of these nothing is lost, and nothing gets worse, by morning.
    const tickets = readRules().filter(({ severity }) => severity === 'ticket');
    expect(tickets.map(({ alert }) => alert)).toEqual(expect.arrayContaining(['CompensationRateHigh', 'InstanceDown']));
  });

  it('says that nobody knows, before what was known lapses', () => {
    const rules = alerts.split(/^ {6}- (?=alert: )/m).slice(1);
    const kept = rules.filter((rule) =>
      /\((order_saga_(sagas|unstarted|outbox|dead|feed_held|reconciliation|pollers))/.test(rule),
    );
    expect(kept.length).toBeGreaterThan(10);
    expect(kept.filter((rule) => !rule.includes('keep_firing_for: 3m'))).toEqual([]);
    for (const name of ['NoRelay', 'RoleMissing'])
      expect(rules.find((rule) => rule.startsWith(`alert: ${name}`))).toMatch(/absent\([\s\S]*for: [12]m/);
  });

  it('raises one for each neighbour that is silent, and lets none end because of that', () => {
    expect(alerts).toMatch(/alert: FactsUnknown\n +expr: min by \(source\) \(order_saga_facts_up\) == 0/);
    expect(alerts).toMatch(/alert: NoRelay\n +expr: absent\(order_saga_facts_up\)/);
    for (const failure of ['NO_POLLERS', 'WORKFLOW_TASK_FAILING'])
      expect(alerts).toContain(`order_saga_sagas_needing_attention{failure="${failure}"}`);
  });
});

const anchor = (heading: string): string =>
  heading
    .toLowerCase()
    .replace(/[^a-z0-9 -]/g, '')
    .replaceAll(' ', '-');
