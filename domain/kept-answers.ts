/**
 * The answer that an Idempotency-Key stands for, as it is kept: without what is a person's. The request that repeats it is the same, and the
 * order's row is there, so that the first answer is made again of them, byte for byte; nothing need be sealed for it, and no answer waits
 * for a key. Answers of before are whole, and stay as they are.
 */
import type { Order } from '../contracts/orders.js';

/** In the place of what was taken out: nothing of these is ever empty. */
const TAKEN_OUT = '';

/** What an answer has of a person. */
export type PersonalParts = Pick<Order, 'customerId' | 'externalOrderId' | 'correlationId' | 'cancellation'>;

/** @returns the same, with the same fields in the same order */
export const withoutPerson = (order: Order): Order => ({
  ...order,
  customerId: TAKEN_OUT,
  ...(order.externalOrderId !== undefined && { externalOrderId: TAKEN_OUT }),
  ...(order.cancellation && { cancellation: { ...order.cancellation, message: TAKEN_OUT } }),
  correlationId: TAKEN_OUT,
});

/**
 * @param partsOf what is to be put back; asked for only where something was taken out
 * @returns the answer as it was given first
 */
export async function withPerson(
  kept: string,
  partsOf: (kept: Order) => Promise<PersonalParts> | PersonalParts,
): Promise<string> {
  if (!kept.includes('"customerId":""')) return kept;
  const order = JSON.parse(kept) as Order;
  const { customerId, externalOrderId, correlationId, cancellation } = await partsOf(order);
  return JSON.stringify({
    ...order,
    customerId,
    ...(order.externalOrderId !== undefined && { externalOrderId }),
    ...(order.cancellation && { cancellation: { ...order.cancellation, message: cancellation?.message } }),
    correlationId,
  });
}

/** Routes whose answers are an order. */
const ANSWER_ORDERS = ['POST /orders', 'POST /orders/:id/cancel'];

/** @returns what is kept of an answer that was kept whole; the same, where it is no order or has nothing of a person any more */
export function withoutPersonIn(route: string, text: string | null): string | null {
  if (text === null || !ANSWER_ORDERS.includes(route)) return text;
  return JSON.stringify(withoutPerson(JSON.parse(text) as Order));
}
