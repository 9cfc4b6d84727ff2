/**
 * Secrets and personal data stay out of every log, history and failure: they are planted in every secret variable, in every field of
 * every route and in whatever neighbours say, everything is made to fail that can, and then all of it is searched.
 */
import { spawnSync } from 'node:child_process';
import { createHmac } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import pg from 'pg';
import { PERMISSIONS } from '../../api/access/permissions.js';
import { sessionConfig } from '../../prisma/session.mjs';
import { secretNamesOf } from '../../runtime/config.js';
import { settings } from '../../runtime/settings.js';
import { AUDIENCE, startTokenIssuer, type TokenIssuer } from '../api/tokens.js';
import {
  CANARY_KEY,
  canariesIn,
  canary,
  filesBelow,
  type Neighbour,
  readHistories,
  startEcho,
  startStrictRedis,
  startTalkativeGateway,
  startTalkativeReceiver,
} from '../support/canaries.js';
import { eventually } from '../support/conditions.js';
import { type Installation, launch, newInstallation, type Running } from '../support/launcher.js';

const SKU = 'SKU-canary-4f7e';
const NATS_INFO = 'INFO {"server_id":"x","version":"2.10.0","proto":1,"auth_required":true,"max_payload":1048576}\r\n';
const STRIPE_SECRET = `whsec_${canary('stripe-webhooks')}`;

let issuer: TokenIssuer;
let neighbours: Neighbour[];
let installation: Installation;
let running: Running;
let db: pg.Client;
let operator: string;
let planted: Record<string, string>;

beforeAll(async () => {
  issuer = await startTokenIssuer();
  neighbours = await Promise.all([
    startTalkativeGateway(),
    startStrictRedis(),
    startEcho(),
    startEcho(NATS_INFO),
    startEcho(),
    startTalkativeReceiver(),
  ]);
  const [gateway, redis, kafka, nats, rabbit, receiver] = neighbours.map(({ port }) => `127.0.0.1:${port}`);
  planted = {
    STRIPE_API_KEY: `sk_test_${canary('stripe').replaceAll('-', '_')}`,
    STRIPE_WEBHOOK_SECRET: STRIPE_SECRET,
    REDIS_URL: `redis://shop:${canary('redis')}@${redis}`,
    KAFKA_PASSWORD: canary('kafka'),
    NATS_URL: `nats://shop:${canary('nats')}@${nats}`,
    RABBITMQ_URL: `amqp://shop:${canary('rabbitmq')}@${rabbit}`,
    WEBHOOK_URL: `http://shop:${canary('userinfo')}@${receiver}/hook?key=${canary('query')}`,
    WEBHOOK_SECRET: CANARY_KEY,
    AUDIT_KEY: canary('audit-key-of-thirty-two-characters'),
    VAULT_TOKEN: canary('vault'),
    OTEL_EXPORTER_OTLP_HEADERS: `authorization=${canary('otlp')}`,
    OTEL_EXPORTER_OTLP_TRACES_HEADERS: `x-key=${canary('otlp-traces')}`,
    AUDIT_ANCHOR_URL: `http://shop:${canary('anchor')}@${receiver}/anchor?key=${canary('anchor-query')}`,
  };
  installation = await newInstallation({
    ...planted,
    OTEL_EXPORTER_OTLP_ENDPOINT: `http://${receiver}`,
    PAYMENTS_URL: `http://${gateway}`,
    AUTH_ISSUER: issuer.url,
    AUTH_AUDIENCE: AUDIENCE,
    KAFKA_BROKERS: kafka,
    KAFKA_USERNAME: 'shop',
    WEBHOOK_ALLOW_PRIVATE: 'true',
    LOCAL_PROCESSES: 'api,worker,relay',
    LOG_LEVEL: 'trace',
    STEP_RETRY_BUDGET: '2s',
    DELIVERY_BACKOFF_MAX: '500ms',
    RECONCILE_EVERY: '1s',
  });
  running = await launch(installation);
  db = new pg.Client(sessionConfig(databaseUrl()));
  db.on('error', () => undefined); // the server is killed on the way
  await db.connect();
  operator = await issuer.token({ subject: 'op_1', roles: ['operator'] });
}, 150_000);
afterAll(async () => {
  await db?.end().catch(() => undefined);
  await running?.stop();
  for (const neighbour of neighbours ?? []) neighbour.stop();
  await issuer?.stop();
  await installation?.remove();
}, 30_000);

const databaseUrl = () => readFileSync(join(installation.dataDir, 'database-url'), 'utf8').trim();
const send = async (method: string, path: string, body?: unknown, headers: Record<string, string> = {}) => {
  const answer = await fetch(`${installation.api}${path}`, {
    method,
    headers: { authorization: operator, ...(body !== undefined && { 'content-type': 'application/json' }), ...headers },
    ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    signal: AbortSignal.timeout(5_000),
  });
  if ((answer.headers.get('content-type') ?? '').startsWith('text/event-stream')) await answer.body?.cancel();
  return { status: answer.status, text: await answer.text().catch(() => '') };
};
const order = (externalOrderId: string, sku: string) => ({
  customerId: 'cus_42',
  paymentMethod: `pm_${canary('method').replaceAll('-', '_')}`,
  externalOrderId,
  items: [{ sku, quantity: 1 }],
});
const isBlind = (line: string) => line.includes('what it says is withheld');
const log = (name: string) => readFileSync(join(installation.dataDir, 'logs', `${name}.log`), 'utf8');

test('every secret variable of the service has a canary in it, or can have none', () => {
  // The journal of erasures is a file here, and the key that signs certificates is one that no text can be.
  const withoutSecret = [
    'ERASURE_JOURNAL',
    'ERASURE_SIGNING_KEY',
    'AUTH_ISSUER',
    'AUTH_JWKS_URL',
    'TEMPORAL_UI_URL',
    'TRACES_UI_URL',
    'CONSOLE_OIDC_URL',
    'LAUNCHER_URL',
    'PAYMENTS_URL',
    'DATABASE_URL',
  ];
  expect([...Object.keys(planted), ...withoutSecret].sort()).toEqual(
    expect.arrayContaining(secretNamesOf(settings).sort()),
  );
});

test('what callers send is nowhere, however wrong it is', async () => {
  const word = canary('input');
  const headers = {
    'user-agent': word,
    cookie: `session=${word}`,
    'idempotency-key': word,
    prefer: `wait=0, ${word}`,
    traceparent: word,
    'x-correlation-id': `${word} is no id`,
    'x-forwarded-for': word,
    'if-none-match': `"${word}"`,
    'last-event-id': word,
    'stripe-signature': `t=1,v1=${word}`,
  };
  const bodies = [
    undefined,
    `{"${word}": `,
    { [word]: word, customerId: `${word}@example.com`, reason: `${word}\u0007` },
    [word],
  ];
  const tokens = [
    operator,
    `Bearer ${word}`,
    `Bearer e30.${Buffer.from(`{"sub":"${word}"}`).toString('base64url')}.${word}`,
  ];
  tokens.push(await issuer.token({ subject: word, roles: [word], audience: word }));
  const paths = Object.keys(PERMISSIONS).flatMap((route) => {
    const [method = '', path = ''] = route.split(' ');
    return [word, encodeURIComponent(`${word}/../'"`)].map((id) => [method, path.replaceAll(/:\w+/g, id)] as const);
  });
  for (const [method, path] of paths)
    for (const [nth, authorization] of tokens.entries()) {
      const body = method === 'GET' ? undefined : bodies[nth];
      const query = `?${word}=${word}&cursor=${word}&after=${word}&customerId=${word}`;
      await send(method, nth === 0 ? path : `${path}${query}`, body, { ...headers, authorization });
    }
}, 60_000);

test('the row of a statement that Postgres refuses is nowhere', async () => {
  const stocked = { name: 'Something', unitPrice: 100, currency: 'USD', onHand: 1_000 };
  for (const sku of ['FINE', SKU]) expect((await send('PUT', `/inventory/${sku}`, stocked)).status).toBeLessThan(300);
  await db.query('SELECT $1::uuid', [canary('value')]).catch(() => undefined);
  const accepted = await send('POST', '/orders', order(canary('external'), 'FINE'));
  expect(accepted.status).toBe(201);
  const { id } = JSON.parse(accepted.text) as { id: string };
  await db.query(
    `ALTER TABLE orders ADD CONSTRAINT refused_number CHECK (external_order_id NOT LIKE '%refused%') NOT VALID`,
  );
  await db.query(
    `ALTER TABLE orders ADD CONSTRAINT refused_text CHECK (cancellation_message NOT LIKE '%refused%') NOT VALID`,
  );
  await db.query(`ALTER TABLE inventory ADD CONSTRAINT refused_name CHECK (name NOT LIKE '%refused%') NOT VALID`);
  await db.query(`ALTER TABLE reservations ADD CONSTRAINT refused_sku CHECK (sku <> '${SKU}') NOT VALID`);
  const refused = [
    await send('POST', '/orders', order(`refused-${canary('number')}`, 'FINE')),
    await send('PUT', '/inventory/FINE', { ...stocked, name: `refused ${canary('name')}` }),
    await send('POST', `/orders/${id}/cancel`, { reason: `refused ${canary('reason')}` }),
  ];
  expect(refused.map(({ status }) => status)).toEqual([500, 500, 500]);
  expect(canariesIn('answers', refused.map(({ text }) => text).join())).toEqual([]);
  expect(log('api')).toMatch(/"sqlState":"23514".*"table":"orders","constraint":"refused_number"/);

  const stuck = await send('POST', '/orders', order(canary('stuck'), SKU));
  const saga = `/orders/${(JSON.parse(stuck.text) as { id: string }).id}/saga`;
  const told = await eventually('its saga says what it met', async () => {
    const { text } = await send('GET', saga);
    return text.includes('refused_sku') && text;
  });
  expect(told).toMatch(/SQLSTATE 23514/);
  expect(canariesIn('saga', told)).toEqual([]);
  await send('POST', `/orders/${id}/cancel`, { reason: `Please, ${canary('wish')}` });
}, 60_000);

test('what neighbours say, and the passwords that they refuse, are nowhere', async () => {
  const body = JSON.stringify({
    id: canary('event'),
    type: 'charge.refunded',
    data: { object: { id: canary('charge'), metadata: { orderId: canary('claim') } } },
  });
  const at = Math.floor(Date.now() / 1_000);
  const signature = createHmac('sha256', STRIPE_SECRET).update(`${at}.${body}`).digest('hex');
  await send('POST', '/webhooks/payments', body, { 'stripe-signature': `t=${at},v1=${signature}` });
  await eventually('Redis has refused the password', () => /Redis is away|WRONGPASS/.test(log('api')));
  await eventually('the gateway’s errors are logged', () => log('worker').includes('The payment gateway'));
  for (const destination of ['kafka', 'nats', 'rabbitmq', 'webhook'])
    await eventually(`${destination} has failed`, () => log('relay').includes(destination));
}, 60_000);

test('a Postgres that dies takes no password with it', async () => {
  process.kill(running.pid('Postgres'), 'SIGKILL');
  await eventually(
    'Postgres is back',
    async () => {
      const again = new pg.Client(sessionConfig(databaseUrl()));
      again.on('error', () => undefined);
      return again.connect().then(
        () => again.end().then(() => true),
        () => false,
      );
    },
    30_000,
  );
  await eventually('the API answers again', async () => (await send('GET', '/orders?limit=1')).status === 200, 30_000);
}, 60_000);

test('and none of it stands in any log, any history or what is kept of failures', async () => {
  const password = new URL(databaseUrl()).password;
  const histories = await readHistories(`127.0.0.1:${installation.env['TEMPORAL_PORT']}`);
  expect(histories.length).toBeGreaterThanOrEqual(2);
  const logs = filesBelow(join(installation.dataDir, 'logs'));
  expect(logs.length).toBeGreaterThanOrEqual(4);
  const searched: [string, string][] = [...logs, ...histories, ['npm start', running.output()]];
  expect(searched.flatMap(([where, text]) => canariesIn(where, text))).toEqual([]);
  expect(searched.filter(([, text]) => text.includes(password)).map(([where]) => where)).toEqual([]);
  // And what is withheld is not the cause itself: no line says of it that it has been withheld whole.
  expect(searched.flatMap(([, text]) => text.split('\n').filter(isBlind))).toEqual([]);
  const again = new pg.Client(sessionConfig(databaseUrl()));
  await again.connect();
  const kept: unknown[] = [];
  for (const what of ['detail FROM saga_log', 'error FROM dead_letters', 'detail FROM reconciliation_findings'])
    kept.push((await again.query(`SELECT ${what}`)).rows);
  await again.end();
  expect(canariesIn('what is kept of failures', JSON.stringify(kept))).toEqual([]);
  const env = { ...installation.env, ...planted, LOG_LEVEL: 'trace', NO_COLOR: '1' };
  for (const command of ['stuck', 'dead-letters', 'reconcile']) {
    const { stdout, stderr } = spawnSync(process.execPath, ['dist/ops/main.js', command], { env, encoding: 'utf8' });
    expect(canariesIn(`ops ${command}`, stdout + stderr)).toEqual([]);
  }
}, 60_000);
