/**
 * Marks: what everything that we make at the gateway carries, so that it can be distinguished from what others make on the same
 * account: the order's id, the installation's, and what it is for. A charge is ours if and only if it carries the marks that its
 * order was accepted with, or stands in a payment row of ours; all code that moves money asks here first.
 *
 * Orders that were accepted before there were marks (`installationId` null) are charged without, for ever: what is sent
 * under an idempotency key must not change between two attempts, whichever build makes them. Nor were their amounts converted to the
 * provider's units; for all but ISK and UGX that makes no difference.
 */
import { fromGatewayAmount, toGatewayAmount } from '../contracts/currencies.js';

/** In the gateway's metadata. */
export const MARKS = { orderId: 'orderId', installationId: 'installationId', purpose: 'purpose' } as const;
export const CHARGE_PURPOSE = 'order';
export const REFUND_PURPOSE = 'order-refund';

/** What an order was accepted with; amount in our minor unit, currency in upper case. */
export type OrderMarks = { orderId: string; installationId: string | null; amount: number; currency: string };
/** The same of a charge, as the gateway has it: amount in the provider's units. */
export type ChargeMarks = {
  orderId: string | null;
  installationId: string | null;
  purpose: string | null;
  amount: number;
  currency: string;
};

/**
 * - `ours`     carries the order's marks, and is of its amount and currency
 * - `unlike`   carries the order's marks, but is of another amount or currency: it is only reported
 * - `unmarked` names the order and would fit it, but lacks its marks: an older build of ours made it, or another program
 * - `foreign`  not of this order
 */
export type Ownership = 'ours' | 'unlike' | 'unmarked' | 'foreign';

/** @returns what the order costs, in the provider's units */
export const amountAtGateway = ({ installationId, amount, currency }: Omit<OrderMarks, 'orderId'>): number =>
  installationId === null ? amount : toGatewayAmount(amount, currency);

/** @returns an amount that the provider names for this order, in our minor unit */
export const amountFromGateway = (
  installationId: string | null,
  { amount, currency }: Pick<ChargeMarks, 'amount' | 'currency'>,
): number => Math.round(installationId === null ? amount : fromGatewayAmount(amount, currency));

export function ownershipOf(charge: ChargeMarks, order: OrderMarks): Ownership {
  if (charge.orderId?.toLowerCase() !== order.orderId.toLowerCase()) return 'foreign';
  const fits = charge.amount === amountAtGateway(order) && charge.currency === order.currency;
  if (charge.installationId === null && order.installationId !== null) return fits ? 'unmarked' : 'foreign';
  if (charge.installationId !== order.installationId) return 'foreign';
  if (order.installationId !== null && charge.purpose !== CHARGE_PURPOSE) return 'foreign';
  return fits ? 'ours' : 'unlike';
}

/** Beside the marks; nothing is decided by it. */
const CORRELATION_ID = 'correlationId';

/** @returns the metadata of the order's charge */
export const chargeMetadata = (
  due: Pick<OrderMarks, 'orderId' | 'installationId'> & { correlationId?: string | null },
): Record<string, string> => ({
  ...metadataFor(due, CHARGE_PURPOSE),
  ...(due.correlationId && { [CORRELATION_ID]: due.correlationId }),
});

/** @returns the metadata of a charge or a refund for this order */
export const metadataFor = (
  { orderId, installationId }: Pick<OrderMarks, 'orderId' | 'installationId'>,
  purpose: string,
): Record<string, string> =>
  installationId === null
    ? { [MARKS.orderId]: orderId }
    : { [MARKS.orderId]: orderId, [MARKS.installationId]: installationId, [MARKS.purpose]: purpose };
