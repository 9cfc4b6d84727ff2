/**
 * What the gateway's lists say, in our words: charges with their refunds, and of each whether it is ours (gateways/marks). Its
 * lists are read; its search, which is late, only where an order is asked for by its id.
 */
import pLimit from 'p-limit';
import { amountFromGateway, CHARGE_PURPOSE, ownershipOf } from '../../gateways/marks.js';
import type { LedgerCharge as Listed, LedgerRefund as ListedRefund, PaymentLedger } from '../../gateways/payments.js';
import type { LedgerCharge } from '../ledgers.js';
import type { MoneyFacts, PaidOrder } from './money.js';

export type GatewayLists = Pick<
  PaymentLedger,
  'listCharges' | 'listRefunds' | 'readCharge' | 'readRefunds' | 'findCharges' | 'nowMs'
>;

/** Of requests at a time: the gateway has a rate limit, and the sagas come first. */
const PARALLEL_MAX = 4;

/** @returns those of these charges that the gateway has */
export async function readCharges(gateway: GatewayLists, references: readonly string[]): Promise<Listed[]> {
  const limit = pLimit(PARALLEL_MAX);
  const found = await Promise.all(references.map((reference) => limit(() => gateway.readCharge(reference))));
  return found.filter((charge) => charge !== null);
}

/** @returns what search finds of these orders: not what is younger than a minute */
export async function findCharges(gateway: GatewayLists, orderIds: readonly string[]): Promise<Listed[]> {
  const limit = pLimit(PARALLEL_MAX);
  return (await Promise.all(orderIds.map((id) => limit(() => gateway.findCharges(id))))).flat();
}

/** By charge. */
export type Refunds = ReadonlyMap<string, readonly ListedRefund[]>;

/** Of these charges, one by one. */
export async function readRefunds(gateway: GatewayLists, charges: readonly Listed[]): Promise<Refunds> {
  const limit = pLimit(PARALLEL_MAX);
  const of = ({ reference }: Listed) => limit(() => gateway.readRefunds(reference));
  return new Map(await Promise.all(charges.map(async (charge) => [charge.reference, await of(charge)] as const)));
}

/** A charge as the invariants take it. @param order that it names, or whose payment names it */
export function toLedger(
  charge: Listed,
  refunds: Refunds,
  order: PaidOrder | undefined,
  facts: MoneyFacts,
): LedgerCharge {
  const { reference, currency, received, refunded } = charge;
  const installationId = order ? order.installationId : charge.installationId;
  const minor = (amount: number) => amountFromGateway(installationId, { amount, currency });
  const own = (refunds.get(reference) ?? []).map(({ status, amount, orderId }) => {
    return { status, amount: minor(amount), orderId };
  });
  const goneBack = own.filter(({ status }) => GOES_BACK.has(status)).reduce((sum, { amount }) => sum + amount, 0);
  return {
    reference,
    orderId: order?.id ?? charge.orderId,
    isOurs: isOurs(charge, order, facts),
    currency,
    status: STATUS[charge.state],
    received: minor(received),
    refunded: goneBack,
    holds: minor(received - refunded),
    refunds: own,
  };
}
const GOES_BACK = new Set(['succeeded', 'pending', 'requires_action']);
/** In the provider's words. */
const STATUS = { succeeded: 'succeeded', processing: 'processing', open: 'requires_action', over: 'canceled' } as const;

/** What stands in a payment of ours, or carries our marks. */
function isOurs(charge: Listed, order: PaidOrder | undefined, { installationId, payments }: MoneyFacts): boolean {
  if (!order) return charge.installationId === installationId && charge.purpose === CHARGE_PURPOSE;
  if (payments.some(({ reference }) => reference === charge.reference)) return true;
  const { id: orderId, total: amount, currency } = order;
  const ownership = ownershipOf(charge, { orderId, amount, currency, installationId: order.installationId });
  return ownership === 'ours' || ownership === 'unlike';
}
