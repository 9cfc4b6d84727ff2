/** What `doctor` asks beyond Postgres and Temporal: the gateway, the API, Prometheus' alarms, and the key of the audit trail. */
import type { Database } from '../../domain/database.js';
import { UNKEYED } from '../../domain/audit/signatures.js';
import { createPaymentGateway } from '../../gateways/stripe.js';
import type { OpsConfig } from '../connections.js';
import { gatewayPlace } from '../gateway-view.js';
import { readKeys } from '../recorder.js';
import { type Check, check, fail, type Finding, ok, skipped, warn } from './checks.js';
import { rateSkew } from './postgres.js';

const TIMEOUT_MS = 4_000;
/** No charge has this reference: asking for it costs the gateway nothing, and an answer says that it is there. */
const NO_CHARGE = 'pi_probe';
/** The gateway says its time in whole seconds. */
const DATE_UNCERTAIN_MS = 1_000;
/** No catalogue has it: an order of it is refused before anything is written. */
const NO_SKU = 'ops-doctor.no-such-sku';

export type Neighbours = { config: OpsConfig; apiUrl: string | undefined };

export const checkNeighbours = ({ config, apiUrl }: Neighbours, db: Database | undefined): Promise<Check[]> =>
  Promise.all([
    ...checkGateway(config),
    check('api', () => tryRefusal(apiUrl)),
    check('alarms', () => listAlarms(config.PROMETHEUS_URL)),
    ...(db === undefined ? [] : [check('audit trail', () => tryKeys(config, db))]),
  ]);

function checkGateway(config: OpsConfig): Promise<Check>[] {
  const place = gatewayPlace(config);
  if (place === undefined) {
    const why = 'STRIPE_API_KEY is not set here (and PAYMENTS_URL, if it is not Stripe itself)';
    return [check('gateway', async () => skipped(why))];
  }
  const gateway = createPaymentGateway({ ...place, timeoutMs: TIMEOUT_MS });
  const where = place.url ?? 'Stripe';
  let began = 0;
  const asked = (async () => {
    began = performance.now();
    await gateway.readCharge(NO_CHARGE);
  })();
  asked.catch(() => undefined); // each check tells it
  return [
    check('gateway', async () => {
      await asked;
      return ok(`${where} answers`);
    }),
    check('clock of the gateway', async () => {
      await asked;
      const at = gateway.nowMs();
      return at === undefined
        ? skipped('its answer names no time')
        : rateSkew('this machine', at - Date.now(), DATE_UNCERTAIN_MS + performance.now() - began);
    }),
  ];
}

/** An order that can only be refused: by that the API has read its catalogue, or knows that it knows nobody. */
async function tryRefusal(apiUrl: string | undefined): Promise<Finding> {
  if (apiUrl === undefined) return skipped('where it is, is not known here: --api http://host:3000');
  const answer = await fetch(`${apiUrl}/orders`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      customerId: 'ops-doctor',
      items: [{ sku: NO_SKU, quantity: 1 }],
      paymentMethod: 'pm_card_visa',
    }),
    signal: AbortSignal.timeout(TIMEOUT_MS),
  });
  const code = await codeOf(answer);
  if (answer.status === 422 && code === 'unknown-sku')
    return ok(`${apiUrl} refuses an order that cannot be: 422 ${code}`);
  if (answer.status === 401) return ok(`${apiUrl} asks who is there: 401 (tokens of the issuer are taken)`);
  return fail(
    `${apiUrl} answers ${answer.status} ${code} to an order that cannot be: ops find, and its log beside that time`,
  );
}

/** @returns the problem's code, as its `type` ends */
async function codeOf(answer: Response): Promise<string> {
  const body = (await answer.json().catch(() => ({}))) as { type?: string; code?: string };
  return body.code ?? body.type?.split('/').at(-1) ?? '';
}

type Alert = { labels?: Record<string, string>; state?: string };

async function listAlarms(url: string | undefined): Promise<Finding> {
  if (url === undefined) return skipped('PROMETHEUS_URL is not set here');
  const [alerts, rules] = await Promise.all([
    askPrometheus<{ alerts?: Alert[] }>(url, 'alerts'),
    askPrometheus<{ groups?: { rules?: { type?: string; health?: string; name?: string }[] }[] }>(
      url,
      'rules?type=alert',
    ),
  ]);
  const all = (rules.groups ?? []).flatMap(({ rules: some = [] }) => some);
  if (all.length === 0) return fail(`${url} has no alerting rule: deploy/prometheus/alerts.yml is not loaded`);
  const broken = all.filter(({ health }) => health === 'err').map(({ name }) => name);
  if (broken.length > 0) return fail(`rules that cannot be evaluated: ${broken.join(', ')}`);
  const firing = new Set(
    (alerts.alerts ?? [])
      .filter(({ state, labels }) => state === 'firing' && !isWatchdog(labels))
      .map(({ labels }) => labels?.['alertname']),
  );
  if (firing.size > 0) return warn(`firing: ${[...firing].join(', ')}`);
  return ok(`${all.length} rules, none fires`);
}

/** It fires all the time, so that its silence is noticed elsewhere. */
const isWatchdog = (labels: Record<string, string> = {}): boolean =>
  labels['severity'] === 'none' || /watchdog/i.test(labels['alertname'] ?? '');

async function askPrometheus<T>(url: string, what: string): Promise<T> {
  const answer = await fetch(`${url}/api/v1/${what}`, { signal: AbortSignal.timeout(TIMEOUT_MS) });
  if (!answer.ok) throw new Error(`${url} answers ${answer.status}`);
  return ((await answer.json()) as { data: T }).data;
}

/** Whether what an operator does here can be put on record: without it, it is not done. */
async function tryKeys(config: OpsConfig, db: Database): Promise<Finding> {
  const keys = readKeys(config);
  const head = await db.auditAct.findFirst({ orderBy: { id: 'desc' }, select: { id: true, keyId: true } });
  if (keys.signing.id === UNKEYED) {
    const isSigned = head !== null && head.keyId !== UNKEYED;
    const detail = 'no key is known here (AUDIT_KEY, AUDIT_KEY_FILE)';
    return isSigned
      ? fail(`${detail}, and the trail is signed: nothing can be done from here`)
      : warn(`${detail}: it proves nothing`);
  }
  return ok(`signed, ${head?.id ?? 0} acts; ops audit verify proves it`);
}
