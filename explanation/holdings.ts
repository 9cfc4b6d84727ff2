/** What there is of an order's money and pieces just now, one sentence each: what we have recorded, and what the gateway holds. */
import { money } from '../contracts/amounts.js';
import { type GatewayView, refundUnderWay } from './gateway-view.js';
import { givenOutside } from './given-outside.js';
import type { OrderRow } from './order-row.js';
import { SEARCH_LATE_MS } from './periods.js';
import { clock } from './plain-words.js';
import { isFinal } from './situation.js';
import { settledOutside, vouchFor, wordOf } from './vouched.js';

export const holdsPieces = ({ reservations }: OrderRow): boolean =>
  reservations.some(({ state }) => state === 'RESERVED' || state === 'SOLD');

const has = ({ log }: OrderRow, step: string, outcome: string): boolean =>
  log.some((entry) => entry.step === step && entry.outcome === outcome);

/** The order was refused before its charge: none was ever tried. */
const endedBeforeCharge = (row: OrderRow): boolean =>
  has(row, 'reserveInventory', 'refused') && !row.log.some(({ step }) => step === 'chargePayment');

/** A charge may have been tried whose outcome is not on record. */
export const mayBeCharged = (row: OrderRow): boolean =>
  row.payment.status === null && holdsPieces(row) && !endedBeforeCharge(row);

export function moneySentence(row: OrderRow, gateway: GatewayView, now: number): string {
  const isLost = gateway.asked && gateway.charges.some((charge) => charge.disputed && charge.dispute === 'lost');
  if (isLost && row.payment.status !== 'SETTLED_OUTSIDE')
    return `Money: ${money(row.total)} is with the customer: the shop has lost the dispute of the charge, and the bank took it from the shop. (Our record says ${row.payment.status ?? 'nothing'}.)`;
  const record = `Money: ${recordOf(row, gateway)}`;
  if (!gateway.asked) return `${record}. The gateway was not asked.`;
  const holds = money({ amount: gateway.holds, currency: row.total.currency });
  const [dispute] = gateway.charges.flatMap((charge) => (charge.disputed ? [charge.dispute ?? 'open'] : []));
  const but = dispute === undefined ? '' : `, ${DISPUTES[dispute] ?? 'which the customer disputes with their bank'}`;
  return `${record}. At the gateway the shop holds ${holds}${but}${lateness(row, gateway.charges.length, now)}.`;
}

const DISPUTES: Record<string, string> = {
  lost: 'but the dispute of it is lost: the bank has given it to the customer',
  won: 'and has won the dispute of it',
};

function recordOf(row: OrderRow, gateway: GatewayView): string {
  const { payment, total } = row;
  const whole = money(total);
  const underWay = refundUnderWay(gateway, payment);
  const outside = givenOutside(row, gateway);
  switch (payment.status) {
    case null:
      return endedBeforeCharge(row)
        ? `no charge is on record: the order was refused before its charge of ${whole}`
        : mayBeCharged(row)
          ? `no charge of ${whole} is on record; whether a try has taken it is not known yet`
          : `${whole} is not charged yet`;
    case 'CHARGED':
      return outside === null
        ? `${whole} is CHARGED (taken)`
        : `${whole} was CHARGED, and ${money(outside.amount)} of it has gone back outside this service`;
    case 'DECLINED':
      return `the charge of ${whole} is DECLINED (refused by the gateway: nothing was taken)`;
    case 'VOIDED':
      return `the charge of ${whole} is VOIDED (given up before anything was seen to be taken)`;
    case 'REFUNDING':
      return `${whole} is REFUNDING (being given back)`;
    case 'REFUNDED':
      if (underWay !== undefined)
        return gateway.asked
          ? `the refund of ${whole} is not there yet: ${underWay}`
          : `whether the refund of ${whole} is there yet is not known: ${underWay}`;
      return gateway.asked && gateway.holds > 0
        ? `${whole} is recorded as REFUNDED, but the customer does not have it`
        : `${whole} is REFUNDED (given back)`;
    case 'SETTLED_OUTSIDE':
      return `${settledOutside(row, gateway)} (SETTLED_OUTSIDE)`;
    default:
      throw new Error(`Bug! Unhandled payment status "${payment.status satisfies never}"`);
  }
}

/** What the gateway does not list may be there all the same, for a minute. */
function lateness(row: OrderRow, listed: number, now: number): string {
  if (listed > 0) return '';
  const knownFrom = (isFinal(row) ? Date.parse(row.updatedAt) : now) + SEARCH_LATE_MS;
  if (knownFrom <= now) return ' (it lists no charge)';
  const again = isFinal(row) ? '' : `: look again after ${clock(knownFrom)}`;
  return ` as far as is known (it lists no charge, and is up to a minute late${again})`;
}

const STATES: Record<string, string> = {
  RESERVED: 'reserved for this order, and kept from sale',
  SOLD: 'sold to this order',
};

/** Whether they have been sent off no part of this service knows. */
export function stockSentence(row: OrderRow): string {
  const { reservations } = row;
  const skipped = vouchFor(row, 'reserveInventory');
  if (skipped !== null)
    return `Stock: nothing is reserved here: the pieces were put aside by hand, ${wordOf(skipped)}.`;
  const held = [...new Set(reservations.map(({ state }) => state))].flatMap((state) => {
    const says = STATES[state];
    return says === undefined ? [] : [`${piecesOf(row, state)} ${says}`];
  });
  if (held.length > 0) return `Stock: ${held.join('; ')}.`;
  // An undo that was skipped has released them all the same (domain/inventory).
  if (has(row, 'releaseInventory', 'undone') || has(row, 'releaseInventory', 'skipped'))
    return `Stock: ${piecesOf(row, 'RELEASED')} put back: on sale again.`;
  return isFinal(row) ? 'Stock: nothing was ever reserved for this order.' : 'Stock: nothing is reserved yet.';
}

const piecesOf = ({ reservations }: OrderRow, of: string): string =>
  reservations
    .filter(({ state }) => state === of)
    .map(({ sku, quantity }) => `${quantity} × ${sku}`)
    .join(', ');
