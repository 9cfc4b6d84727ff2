/** A refund that the provider has accepted and not carried out: the order is final, its money is not. */
import { money } from '../contracts/amounts.js';
import type { GatewayView } from './gateway-view.js';
import type { NextAct } from './next-acts.js';
import type { OrderRow } from './order-row.js';
import type { Periods } from './periods.js';
import { span } from './plain-words.js';
import { isFinal } from './situation.js';

export function refundAhead(row: OrderRow, gateway: GatewayView, periods: Periods, now: number): NextAct[] {
  const { payment, total } = row;
  if (!isFinal(row) || payment.status !== 'REFUNDED') return [];
  const isYoung = payment.updatedAt !== null && now - Date.parse(payment.updatedAt) < periods.refundYoungForMs;
  const every = span(isYoung ? periods.refundCheckEveryMs : periods.refundRecheckEveryMs);
  const looked = `it is looked at every ${every}, and should it fail, the reconciler makes another, or opens a finding for you`;
  if (!gateway.asked)
    return payment.pendingAt === null
      ? []
      : [
          {
            what: `the provider had the refund of ${money(total)} under way when it was last told of, and may still: ${looked}`,
            at: null,
          },
        ];
  return gateway.charges
    .flatMap(({ refundsUnderWay }) => refundsUnderWay)
    .map(({ amount, status }) => ({
      what: `the provider still has the refund of ${money({ ...total, amount })} under way${status === 'pending' ? '' : ', and waits for the customer'}: ${looked}`,
      at: null,
    }));
}
