/** Each alarm is silent just below what raises it, is raised with the words that operators read, and clears: said by promtool. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { describeWithPrometheus } from '../../support/prometheus.js';
import { ROOT } from '../text.js';
import { CASES } from './cases.js';
import { promtoolTest, RULES, readRules } from './promtool.js';

const rules = readRules();
/** Fires always: promtool has nothing to show of it that its rule does not say. */
const ALWAYS = ['Watchdog'];

it('every alarm has a case', () => {
  expect(rules.length).toBeGreaterThan(30);
  const cases = new Set(CASES.map(({ alert }) => alert));
  expect(rules.map(({ alert }) => alert).filter((alert) => !cases.has(alert))).toEqual(ALWAYS);
});

describeWithPrometheus('promtool', ({ promtool }) => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'order-saga-alarms-'));
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  const run = (...args: string[]) => {
    const { status, stdout, stderr } = spawnSync(promtool, args, { cwd: ROOT, encoding: 'utf8' });
    return { status, said: status === 0 ? '' : `${stdout}${stderr}` };
  };

  it('takes the rules, and the configuration of the compose profile', () => {
    expect(run('check', 'rules', ...RULES)).toEqual({ status: 0, said: '' });
    expect(run('check', 'config', 'deploy/prometheus/prometheus.yml')).toEqual({ status: 0, said: '' });
  });

  it.each(CASES.map((each) => [[each.alert, each.what].filter(Boolean).join(', '), each] as const))('%s', (_, each) => {
    const rule = rules.find(({ alert }) => alert === each.alert);
    if (!rule) throw new Error(`There is no alarm ${each.alert}`);
    const file = join(folder, 'case.json');
    writeFileSync(
      file,
      promtoolTest(
        each,
        rule,
        RULES.map((path) => join(ROOT, path)),
      ),
    );
    expect(run('test', 'rules', file)).toEqual({ status: 0, said: '' });
  });

  it('the watchdog fires from the first moment on', () => {
    const file = join(folder, 'watchdog.json');
    const expr = 'ALERTS{alertname="Watchdog",alertstate="firing"}';
    const labels = '{__name__="ALERTS", alertname="Watchdog", alertstate="firing", area="pipeline", severity="none"}';
    const tests = [
      { interval: '1m', promql_expr_test: [{ expr, eval_time: '0m', exp_samples: [{ labels, value: 1 }] }] },
    ];
    writeFileSync(
      file,
      JSON.stringify({ rule_files: RULES.map((path) => join(ROOT, path)), evaluation_interval: '1m', tests }),
    );
    expect(run('test', 'rules', file)).toEqual({ status: 0, said: '' });
  });
});
