/** Before an order's charge is on record: what the gateway has taken of it all the same, and what a retry or a skip of the charge makes of that. */
import { money } from '../contracts/amounts.js';
import type { Money } from '../contracts/orders.js';
import type { GatewayView } from './gateway-view.js';
import type { OrderRow } from './order-row.js';

/** As a choice’s cost has them. */
type Told = { money: string; moves: Money | null; customer: string };

const NONE = 'none';

/** @returns how much the gateway holds of it; null = none, as far as is known */
export function takenAlready({ total }: OrderRow, gateway: GatewayView): string | null {
  return gateway.asked && gateway.holds > 0 ? money({ ...total, amount: gateway.holds }) : null;
}

/** Why a charge may be there that is not seen; null = it is seen. */
function unseen(gateway: GatewayView): string | null {
  if (!gateway.asked) return 'whether a try has taken it already is not known: the gateway was not asked';
  return gateway.charges.length === 0
    ? 'whether a try of the last minute has taken it already is not known: the gateway lists charges up to a minute late'
    : null;
}

export function retryOfCharge(row: OrderRow, gateway: GatewayView): Told {
  const whole = money(row.total);
  const taken = takenAlready(row, gateway);
  if (taken === null) {
    const but = unseen(gateway);
    const isOnce = `takes ${whole}, once, whatever was tried before (the gateway knows it by one key)`;
    return {
      moves: row.total,
      money: but === null ? isOnce : `${isOnce}; ${but}`,
      customer: `pays ${whole}, as ordered`,
    };
  }
  const isTheCharge =
    gateway.asked &&
    gateway.charges.some(({ received, refunded }) => received === row.total.amount && refunded === 0) &&
    gateway.holds === row.total.amount;
  return isTheCharge
    ? { moves: null, money: `takes nothing: records the ${taken} already taken`, customer: NONE }
    : {
        moves: row.total,
        money: `the gateway holds ${taken} of ${whole} already: what it makes of that is not known before it is tried`,
        customer: NONE,
      };
}

export function skipOfCharge(row: OrderRow, gateway: GatewayView): Omit<Told, 'customer'> {
  const taken = takenAlready(row, gateway);
  if (taken !== null)
    return {
      moves: row.total,
      money: `charges nothing; the gateway holds ${taken} already: \`retry\` records it and takes nothing more; after a skip it stays there: a customer who has paid by another way, too, has paid twice, and you must refund it by hand`,
    };
  const but = unseen(gateway);
  const loss = `charges NOTHING: the shop loses ${money(row.total)} if it did not come by another way`;
  return { moves: row.total, money: but === null ? loss : `${loss}; ${but}` };
}
