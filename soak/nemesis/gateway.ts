/** Faults of the payment provider, and of those who share its account with us. */
import { randomUUID } from 'node:crypto';
import { GATEWAY_FAULTS } from '../plan/faults.js';
import type { Installation } from '../world/installation.js';
import { until } from '../world/waiting.js';
import { type Begin, nothingToHeal, whenPostgresAnswers } from './act.js';

/** It may be down by another fault. */
const ANSWERS_WITHIN_MS = 90_000;
const REQUEST_LIMIT_MS = 5_000;

/** @returns the answer's JSON, once there is one */
function ask<T>({ direct }: Installation, method: string, path: string, body?: object | URLSearchParams): Promise<T> {
  return until(`the gateway answers ${path}`, ANSWERS_WITHIN_MS, async () => {
    const answer = await fetch(`${direct.gateway}${path}`, {
      method,
      headers: {
        authorization: 'Bearer sk_test_stranger',
        ...(body && !(body instanceof URLSearchParams) && { 'content-type': 'application/json' }),
      },
      ...(body && { body: body instanceof URLSearchParams ? body : JSON.stringify(body) }),
      signal: AbortSignal.timeout(REQUEST_LIMIT_MS),
    });
    if (answer.status === 429 || answer.status >= 500) return undefined;
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${answer.status} ${text}`);
    return (text === '' ? {} : JSON.parse(text)) as T;
  });
}

export const endGatewayFaults = (around: Installation) => ask(around, 'DELETE', '/sandbox/faults');

export const setGatewayFault = (around: Installation, fault: object) => ask(around, 'POST', '/sandbox/faults', fault);

export const gateway: Begin = async (around, { target }) => {
  await setGatewayFault(around, GATEWAY_FAULTS[target as keyof typeof GATEWAY_FAULTS]);
  return async () => void (await endGatewayFaults(around));
};

type Refund = { id: string; status: string; metadata: { orderId?: string } | null };

/** Long after an order's end, the bank sends the money back. */
export const lateRefundFailure: Begin = async (around) => {
  const { data } = await ask<{ data: Refund[] }>(around, 'GET', '/v1/refunds?limit=50');
  const refund = data.findLast(({ status, metadata }) => status === 'succeeded' && metadata?.orderId);
  if (!refund) return undefined;
  await ask(around, 'POST', `/sandbox/refunds/${refund.id}/fail`);
  return nothingToHeal;
};

/** They charge for themselves, and some name orders of ours. */
export const strangers: Begin = async (around) => {
  const { rows } = await whenPostgresAnswers(() =>
    around.pool.query<{ id: string }>('SELECT id FROM orders ORDER BY id DESC LIMIT 1'),
  );
  const orderId = rows[0]?.id ?? randomUUID();
  const charge = (metadata: Record<string, string>, card = 'pm_card_visa') =>
    ask(
      around,
      'POST',
      '/v1/payment_intents',
      new URLSearchParams({
        amount: '5500',
        currency: 'usd',
        confirm: 'true',
        payment_method: card,
        ...Object.fromEntries(Object.entries(metadata).map(([name, value]) => [`metadata[${name}]`, value])),
      }),
    );
  await charge({});
  await charge({ orderId: `WOO-${orderId.slice(0, 4)}` });
  await charge({ orderId, installationId: 'another-shop', purpose: 'order' });
  await charge({ orderId: 'WOO-1' }, 'pm_card_authenticationRequired');
  return nothingToHeal;
};
