/** The product, with whoever sends requests to it whose texts are words of their own. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from '@jest/globals';
import pg from 'pg';
import { sessionConfig } from '../../prisma/session.mjs';
import { AUDIENCE, startTokenIssuer } from '../api/tokens.js';
import { eventually } from '../support/conditions.js';
import { type Installation, launch, newInstallation } from '../support/launcher.js';
import { startReceiver } from '../support/receiver.js';
import { bodyFor, FIELDS, headersOfAny, OPERATORS_SUBJECT, wordOf } from './planting.js';

export type Answer = {
  status: number;
  body: { id: string; status: string; deadLetters?: { id: string }[]; [field: string]: unknown };
};
type Caller = Promise<string>;
export type Stage = Awaited<ReturnType<typeof openStage>>;

export const SKU = wordOf('PUT /inventory/{sku} path.sku');

/** @param env beyond what each of these runs has */
export async function openStage(env: Record<string, string> = {}) {
  const [issuer, receiver] = await Promise.all([startTokenIssuer(), startReceiver()]);
  const installation = await newInstallation({
    AUTH_ISSUER: issuer.url,
    AUTH_AUDIENCE: AUDIENCE,
    TRUST_PROXY: '127.0.0.1,::1',
    WEBHOOK_URL: receiver.url,
    WEBHOOK_SECRET: receiver.secret,
    WEBHOOK_ALLOW_PRIVATE: 'true',
    LOCAL_PROCESSES: 'api,worker,relay',
    LOG_LEVEL: 'trace',
    STEP_RETRY_BUDGET: '1s',
    PROBE_EVERY: '10m',
    DELIVERY_BACKOFF_MAX: '200ms',
    ...env,
  });
  const running = await launch(installation);
  const db = new pg.Client(sessionConfig(databaseUrlOf(installation)));
  await db.connect();
  const as = (subject: string, role: string): Caller => issuer.token({ subject, roles: [role] });
  const stop = async () => {
    await db.end().catch(() => undefined);
    await running.stop();
    await Promise.all([receiver.stop(), issuer.stop()]);
    await installation.remove();
  };
  /** As a pass writes it down: a charge of nobody's. */
  const reportedFinding = async (name: string): Promise<string> => {
    const { rows } = await db.query<{ id: string }>(
      `INSERT INTO reconciliation_findings (kind, gateway_reference, order_id, amount, currency, action)
       VALUES ('ORPHAN_CHARGE', $1, '', 900, 'USD', 'reported') RETURNING id::text`,
      [`pi_${name}`],
    );
    return rows[0]?.id ?? '';
  };
  /** As a relay writes it down, of the order's first event. */
  const parkedLetter = async (orderId: string): Promise<string> => {
    const { rows } = await db.query<{ id: string }>(
      `INSERT INTO dead_letters (destination, order_id, sequence, type, cause, error, attempts)
       VALUES ('webhook', $1, 1, 'order.created', 'rejected', 'HTTP 400', 1) RETURNING id::text`,
      [orderId],
    );
    return rows[0]?.id ?? '';
  };
  return { ...senders(installation, as), reportedFinding, parkedLetter, as, installation, running, receiver, db, stop };
}

export const databaseUrlOf = ({ dataDir }: Installation): string =>
  readFileSync(join(dataDir, 'database-url'), 'utf8').trim();

function senders(installation: Installation, as: (subject: string, role: string) => Caller) {
  let nth = 0;
  const customer = () => as(wordOf('POST /orders body.customerId'), 'customer');
  const operator = () => as(wordOf(OPERATORS_SUBJECT), 'operator');
  const send = async (
    method: string,
    path: string,
    body?: unknown,
    headers: Record<string, string> = {},
  ): Promise<Answer> => {
    const answer = await fetch(`${installation.api}${path}`, {
      method,
      headers: {
        authorization: await operator(),
        ...headersOfAny(),
        ...(body !== undefined && { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(20_000),
    });
    const isStream = (answer.headers.get('content-type') ?? '').startsWith('text/event-stream');
    if (isStream) await answer.body?.cancel();
    const text = isStream ? '' : await answer.text();
    return { status: answer.status, body: text.startsWith('{') ? JSON.parse(text) : {} };
  };
  /** With the key of the route's own field, a fresh one each time; by the operator whom the body names, or the customer. */
  const post = async (route: string, path: string, chosen: Record<string, unknown> = {}, caller?: Caller) => {
    const body = bodyFor(route, chosen);
    const named = body['operator'];
    return send('POST', path, body, {
      authorization: await (caller ?? (typeof named === 'string' ? as(named, 'operator') : customer())),
      ...(FIELDS.includes(`${route} header.idempotency-key`) && {
        'idempotency-key': `${wordOf(`${route} header.idempotency-key`)}-${++nth}`,
      }),
    });
  };
  const place = async (chosen: Record<string, unknown>, caller?: Caller): Promise<string> => {
    const externalOrderId = `${wordOf('POST /orders body.externalOrderId')}-${++nth}`;
    const items = [{ sku: SKU, quantity: 1 }];
    const { status, body } = await post('POST /orders', '/orders', { items, externalOrderId, ...chosen }, caller);
    expect({ status, body }).toMatchObject({ status: 201 });
    return body.id;
  };
  const state = async (id: string) => (await send('GET', `/orders/${id}/saga`)).body['state'];
  return {
    customer,
    operator,
    send,
    post,
    place,
    stock: async () =>
      expect(
        await send(
          'PUT',
          `/inventory/${SKU}`,
          bodyFor('PUT /inventory/{sku}', { currency: 'USD', unitPrice: 1_000, onHand: 100 }),
        ),
      ).toMatchObject({ status: 200 }),
    becomes: (id: string, status: string) =>
      eventually(`${id} is ${status}`, async () => (await send('GET', `/orders/${id}`)).body.status === status, 20_000),
    parks: (id: string) => eventually(`${id} is parked`, async () => (await state(id)) === 'NEEDS_ATTENTION', 20_000),
    /** As if a year and a day had passed there. @returns of how many records something has gone */
    outliveSandboxRetention: async (): Promise<number> => {
      const ask = async (path: string, body: object) => {
        const init = { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) };
        return (await fetch(`${installation.sandbox}/sandbox/${path}`, init)).json() as Promise<{ blanked: number }>;
      };
      await ask('clock', { aheadMs: 366 * 24 * 3_600_000 });
      return (await ask('retention', {})).blanked;
    },
    fault: async (method: 'POST' | 'DELETE', body?: object) =>
      fetch(`${installation.sandbox}/sandbox/faults`, {
        method,
        ...(body && { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
      }),
    resolve: async (id: string, action: string) =>
      expect(await post('POST /admin/sagas/{id}/resolve', `/admin/sagas/${id}/resolve`, { action })).toMatchObject({
        status: 200,
      }),
    cancel: async (id: string, caller = customer()) =>
      expect(await post('POST /orders/{id}/cancel', `/orders/${id}/cancel`, {}, caller)).toMatchObject({ status: 202 }),
    erase: (id: string) => post('POST /admin/customers/{id}/erase', `/admin/customers/${id}/erase`),
    erased: (erasure: string) =>
      eventually(
        'the customer is erased',
        async () => (await send('GET', `/admin/erasures/${erasure}`)).body['state'] === 'done',
        30_000,
      ),
  };
}
