/** What a person wants to know once everything runs. */
import { join } from 'node:path';
import { apiUrl, sandboxUrl, temporalUiUrl } from './services.js';
import { ISSUER_PORT_DEFAULT, runsSagas, type Settings, servesHttp, TEMPORAL_PORT_DEFAULT } from './settings.js';

export type BannerFacts = {
  settings: Settings;
  dataDir: string;
  databaseUrlFile: string;
  /** undefined where Temporal is not ours. */
  temporalCli: string | undefined;
  processes: { name: string; pid: number | undefined }[];
  seconds: number;
  metricsPorts: number[];
};

export function banner(facts: BannerFacts): string {
  const { settings, dataDir, databaseUrlFile, temporalCli, processes, seconds, metricsPorts } = facts;
  const hasApi = settings.roles.some(servesHttp);
  const lines = [
    ['API', hasApi ? apiUrl(settings) : 'not among LOCAL_PROCESSES'],
    ...(hasApi ? [['Console', `${apiUrl(settings)}/console/`]] : []),
    ...(hasApi ? [['Docs', `${apiUrl(settings)}/docs`]] : []),
    [
      'Temporal',
      settings.TEMPORAL_ADDRESS ?? `${temporalUiUrl(settings)} (Web UI), 127.0.0.1:${settings.TEMPORAL_PORT}`,
    ],
    ...(temporalCli === undefined ? [] : [['Temporal CLI', `${temporalCli}${elsewhere(settings)}`]]),
    ['Payments', settings.PAYMENTS_URL ?? `${sandboxUrl(settings)} (sandbox)`],
    ['Postgres', settings.DATABASE_URL === undefined ? `psql "$(cat ${databaseUrlFile})"` : 'yours (DATABASE_URL)'],
    ...metricsPorts.slice(0, 1).map((port) => ['Metrics', metricsUrls(settings, port, metricsPorts)]),
    ['Data', dataDir],
    ['Logs', join(dataDir, 'logs')],
    ['Processes', processes.map(({ name, pid }) => `${name} ${pid ?? '-'}`).join(', ')],
  ];
  const list = lines.map(([name, value]) => `  ${`${name}`.padEnd(12)} ${value}`).join('\n');
  return `\norder-saga is ready (${seconds.toFixed(1)} s). Ctrl-C stops it.\n${list}\n${withoutWorkers(settings)}${hasApi ? invitation(settings) : ''}`;
}

/** It asks at 7233 by itself. */
const elsewhere = ({ TEMPORAL_PORT }: Settings): string =>
  TEMPORAL_PORT === TEMPORAL_PORT_DEFAULT ? '' : ` --address 127.0.0.1:${TEMPORAL_PORT}`;

/** Orders are accepted all the same, so that a developer who waits for one would look for the fault elsewhere. */
const withoutWorkers = ({ roles }: Settings): string =>
  roles.some(runsSagas)
    ? ''
    : '\nNo process here runs sagas: orders stay PENDING until a worker does. Put worker or all into LOCAL_PROCESSES.\n';

const metricsUrls = ({ METRICS_HOST }: Settings, first: number, ports: number[]): string =>
  [`http://${METRICS_HOST}:${first}/metrics`, ...ports.slice(1).map((port) => `:${port}`)].join(', ');

function invitation(settings: Settings): string {
  const order = {
    customerId: 'cus_42',
    items: [{ sku: 'SKU-KEYBOARD', quantity: 2 }],
    paymentMethod: 'pm_card_visa',
  };
  const authorization = bearer(settings, order.customerId);
  return `
Place an order:
  curl -sS ${apiUrl(settings)}/orders -H 'Content-Type: application/json' -H 'Prefer: wait=10' \\
    ${authorization === undefined ? '' : `-H "Authorization: Bearer ${authorization}" \\\n    `}-d '${JSON.stringify(order)}'
${authorization === '$TOKEN' ? `TOKEN is one of ${settings.AUTH_ISSUER}, with the role service.\n` : ''}`;
}

/** @returns what stands for a token in a shell; undefined where none is asked for */
function bearer({ AUTH_ISSUER, ISSUER_PORT }: Settings, customerId: string): string | undefined {
  if (AUTH_ISSUER === undefined) return undefined;
  const url = URL.canParse(AUTH_ISSUER) ? new URL(AUTH_ISSUER) : undefined;
  const isOurs = url?.port === `${ISSUER_PORT}` && ['127.0.0.1', 'localhost', '[::1]'].includes(url.hostname);
  if (!isOurs) return '$TOKEN';
  const elsewhere = ISSUER_PORT === ISSUER_PORT_DEFAULT ? '' : `ISSUER_PORT=${ISSUER_PORT} `; // the shell it is pasted to need not have it
  return `$(${elsewhere}npm run -s token -- --role customer --sub ${customerId})`;
}
