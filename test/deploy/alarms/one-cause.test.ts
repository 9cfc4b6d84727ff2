/** One cause is one page: a real Alertmanager with the example's routes and inhibition is given what a cause raises. */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { freePort } from '../../../local/processes/ports.js';
import { findAlertmanager } from '../../../testbed/alertmanager.js';
import { eventually } from '../../support/conditions.js';
import { read } from '../text.js';
import { areaOf, readRules } from './promtool.js';

type Labels = Record<string, string>;
type Notice = { receiver: string; alerts: { status: string; labels: Labels }[] };

/** What each cause was seen to raise (test/system/alarms), and what of it is to reach the pager: one notice. */
const CAUSES: { cause: string; raises: Labels[]; pages: string[] }[] = [
  {
    cause: 'Postgres is away',
    raises: [
      { alertname: 'FactsUnknown', source: 'database' },
      { alertname: 'FactsUnknown', source: 'temporal' },
      { alertname: 'OrdersFail' },
      { alertname: 'ErrorBudgetBurnsFast', slo: 'post-availability' },
      { alertname: 'ErrorBudgetBurnsFast', slo: 'final-in-time' },
      { alertname: 'ManySagasParked' },
      { alertname: 'RelayLeasesLapsed' },
    ],
    pages: ['FactsUnknown'],
  },
  {
    cause: 'Temporal is away',
    raises: [
      { alertname: 'FactsUnknown', source: 'temporal' },
      { alertname: 'OrdersWithoutSaga' },
      { alertname: 'NoWorker' },
      { alertname: 'ErrorBudgetBurnsFast', slo: 'final-in-time' },
    ],
    pages: ['FactsUnknown'],
  },
  {
    cause: 'the only worker is frozen',
    raises: [
      { alertname: 'NoWorker' },
      { alertname: 'NoPollers', kind: 'workflow' },
      { alertname: 'RoleMissing', missing: 'worker' },
      { alertname: 'ManySagasParked' },
      { alertname: 'ErrorBudgetBurnsFast', slo: 'final-in-time' },
    ],
    pages: ['NoPollers', 'NoWorker', 'RoleMissing'],
  },
  {
    cause: 'the payment gateway is away',
    raises: [
      { alertname: 'PaymentCircuitOpen' },
      { alertname: 'ManySagasParked' },
      { alertname: 'ErrorBudgetBurnsFast', slo: 'final-in-time' },
    ],
    pages: ['PaymentCircuitOpen'],
  },
  {
    cause: 'the only relay is frozen',
    raises: [
      { alertname: 'RoleMissing', missing: 'relay' },
      { alertname: 'NoRelay' },
      { alertname: 'RelayLeasesLapsed' },
    ],
    pages: ['RoleMissing'],
  },
];

const found = findAlertmanager(process.env);
if ('missing' in found) process.stderr.write(`Skipped: ${found.missing}\n`);
const describeWithAlertmanager = 'missing' in found ? describe.skip : describe;

describeWithAlertmanager('a real Alertmanager', () => {
  const folder = mkdtempSync(join(tmpdir(), 'order-saga-alertmanager-'));
  const notices: Notice[] = [];
  let receiver: Server;
  let url: string;
  let stop: () => Promise<void>;
  beforeAll(async () => {
    receiver = createServer((request, response) => {
      let body = '';
      request.on('data', (chunk) => (body += chunk));
      request.on('end', () => {
        notices.push(JSON.parse(body) as Notice);
        response.end();
      });
    });
    await new Promise<void>((resolve) => receiver.listen(0, '127.0.0.1', resolve));
    const port = await freePort();
    url = `http://127.0.0.1:${port}`;
    const config = join(folder, 'alertmanager.yml');
    writeFileSync(
      config,
      asHere(read('deploy/alertmanager/alertmanager.yml'), (receiver.address() as AddressInfo).port),
    );
    const program = 'alertmanager' in found ? found.alertmanager : '';
    const args = [`--config.file=${config}`, `--storage.path=${folder}`, `--web.listen-address=127.0.0.1:${port}`];
    const child = spawn(program, [...args, '--cluster.listen-address='], { stdio: 'ignore' });
    const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
    stop = () => {
      child.kill('SIGTERM');
      return exited;
    };
    const isReady = async () => (await fetch(`${url}/-/ready`).catch(() => undefined))?.ok ?? false;
    await eventually('it is ready', isReady, 30_000);
  }, 40_000);
  afterAll(async () => {
    await stop();
    receiver.close();
    rmSync(folder, { recursive: true, force: true });
  });

  const send = async (alerts: Labels[], endsAt?: string) => {
    const body = JSON.stringify(alerts.map((each) => ({ labels: labelled(each), ...(endsAt && { endsAt }) })));
    const headers = { 'content-type': 'application/json' };
    expect((await fetch(`${url}/api/v2/alerts`, { method: 'POST', headers, body })).status).toBe(200);
  };

  test.each(CAUSES)(
    '$cause: one page',
    async ({ raises, pages }) => {
      notices.length = 0;
      await send(raises);
      const pager = () => notices.filter(({ receiver: name }) => name === 'pager');
      await eventually('it pages', () => pager().length > 0, 15_000);
      const muted = async () => {
        const all = (await (await fetch(`${url}/api/v2/alerts`)).json()) as { status: { state: string } }[];
        return all.filter(({ status }) => status.state === 'suppressed').length;
      };
      const isPage = ({ alertname }: Labels) =>
        readRules().find(({ alert }) => alert === alertname)?.severity === 'page';
      expect(raises.every(isPage)).toBe(true);
      await eventually('the others are muted', async () => (await muted()) === raises.length - pages.length, 15_000);
      expect(pager().map(({ alerts }) => alerts.map(({ labels }) => labels['alertname']).sort())).toEqual([pages]);
      await send(raises, new Date().toISOString());
      await eventually(
        'all is over',
        async () => ((await (await fetch(`${url}/api/v2/alerts`)).json()) as unknown[]).length === 0,
        15_000,
      );
    },
    60_000,
  );
});

function labelled(labels: Labels): Labels {
  const rule = readRules().find(({ alert }) => alert === labels['alertname']);
  if (!rule) throw new Error(`There is no alarm ${labels['alertname']}`);
  return { ...labels, severity: rule.severity, area: areaOf(rule, labels) };
}

/** The same routes and inhibition; what is said is said here, and soon. */
function asHere(config: string, port: number): string {
  const [head = ''] = config.split(/^receivers:/m);
  const receivers = ['mail', 'pager', 'dead-mans-switch'].map(
    (name) => `  - { name: ${name}, webhook_configs: [{ url: 'http://127.0.0.1:${port}', send_resolved: false }] }`,
  );
  return `${head.replace(/(group_wait|group_interval): \d+[sm]/g, '$1: 1s')}receivers:\n${receivers.join('\n')}\n`;
}
