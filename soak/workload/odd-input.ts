/** What no client should send: each is refused with a 4xx, and leaves nothing behind. */
import { randomUUID } from 'node:crypto';
import type { ODD_INPUTS } from '../plan/operations.js';
import type { Sent } from './http.js';

type Odd = Omit<Sent, 'url' | 'method'> & { method?: Sent['method']; path?: string };

const order = (customerId: string, changes: object = {}): { body: object } => ({
  body: { customerId, items: [{ sku: 'SOAK-5', quantity: 1 }], paymentMethod: 'pm_card_visa', ...changes },
});

/** @param customerId by which whatever it leaves behind would be found */
export function oddRequest(input: (typeof ODD_INPUTS)[number], customerId: string): Odd {
  switch (input) {
    case 'no-json':
      return { raw: '{"customerId":' };
    case 'wrong-type':
      return { ...order(customerId), headers: { 'content-type': 'text/plain' } };
    case 'unknown-field':
      return order(customerId, { status: 'CONFIRMED' });
    case 'unknown-sku':
      return order(customerId, { items: [{ sku: 'NO-SUCH-SKU', quantity: 1 }] });
    case 'no-items':
      return order(customerId, { items: [] });
    case 'twice-the-same-sku':
      return order(customerId, { items: Array(2).fill({ sku: 'SOAK-5', quantity: 1 }) });
    case 'quantity-zero':
      return order(customerId, { items: [{ sku: 'SOAK-5', quantity: 0 }] });
    case 'quantity-huge':
      return order(customerId, { items: [{ sku: 'SOAK-5', quantity: 2 ** 53 }] });
    case 'no-card':
      return order(customerId, { paymentMethod: '4242424242424242' });
    case 'prototype':
      return { raw: `{"__proto__":{"customerId":"${customerId}"},"items":[],"paymentMethod":"pm_card_visa"}` };
    case 'nul-byte':
      return order(`${customerId}\u0000`);
    case 'bad-key':
      return { ...order(customerId), headers: { 'idempotency-key': '"' } };
    case 'long-body':
      return order(customerId, { externalOrderId: 'x'.repeat(70_000) });
    case 'not-an-id':
      return { path: `/orders/${randomUUID()}x/cancel`, body: { reason: 'none' } };
    default:
      throw new Error(`Bug! Unhandled input '${input satisfies never}'`);
  }
}
