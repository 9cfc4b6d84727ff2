/** Choices that are not about the order's saga: findings of the reconciler, events that a destination refuses, and one more look at the gateway. */
import { money } from '../contracts/amounts.js';
import { type Choice, REASON } from './choice.js';
import { NONE } from './costs.js';
import type { GatewayView } from './gateway-view.js';
import { givenOutside } from './given-outside.js';
import type { OrderRow } from './order-row.js';
import type { Periods } from './periods.js';
import { clock } from './plain-words.js';
import { isFinal } from './situation.js';
import { GIVEN_BACK, surplusOf } from './surplus.js';
import { vouchedAndHeld } from './vouched-and-held.js';

/** What is none of the order's own acts moves nothing of it, unless it says so. */
const STILL = {
  action: null,
  usual: false,
  moves: null,
  money: NONE,
  stock: NONE,
  customer: NONE,
  follows: null,
} as const;

/** Of these the reconciler makes one more refund if an operator asks for it. */
const REFUNDABLE = new Set([...GIVEN_BACK, 'UNMARKED_CHARGE', 'ORPHAN_CHARGE']);

export function choicesOfFindings({ findings }: OrderRow): Choice[] {
  return findings.flatMap(({ id, kind, action, amount, currency }) => {
    if (id === null || action !== 'reported') return [];
    const close: Choice = {
      ...STILL,
      command: `ops reconcile --close ${id} --as cancelled --yes ${REASON}`,
      http: null,
      does: `closes finding ${id} (${kind}) for good, and ends its alarm: \`cancelled\` is its end, not the order’s`,
      useWhen:
        kind === 'REFUNDED_AT_GATEWAY'
          ? 'the order is to stay: the money went back out of goodwill, or the customer has paid anew'
          : 'you have dealt with it by another way, or it is right as it is',
      money: 'nothing moves',
      reversible: 'no; it is told again only if its amount changes',
    };
    if (!REFUNDABLE.has(kind)) return [close];
    const whole = money({ amount, currency });
    const refund: Choice = {
      ...close,
      command: `ops reconcile --refund ${id} --yes ${REASON}`,
      does: `has the reconciler make one more refund of finding ${id} (${kind})`,
      useWhen: 'you have looked at it, and the money is the customer’s',
      moves: { amount, currency },
      money: `${whole} goes back`,
      customer: `gets ${whole} back`,
      reversible: 'no: a refund cannot be taken back',
    };
    return [refund, close];
  });
}

export function choicesOfHeldEvents({ heldEvents }: OrderRow): Choice[] {
  return heldEvents
    .filter(({ state }) => state === 'PARKED')
    .flatMap(({ id, destination, type, sequence }): Choice[] => [
      {
        ...STILL,
        ...{ command: `ops dead-letters replay ${id} --yes ${REASON}`, http: `POST /admin/dead-letters/${id}/replay` },
        does: `sends event ${sequence} (${type}) to ${destination} again, and then those behind it; ${id} is the dead letter’s number`,
        useWhen: `${destination} takes it now`,
        reversible: 'nothing is lost by trying: refused again, it is held again',
      },
      {
        ...STILL,
        ...{
          command: `ops dead-letters discard ${id} --yes ${REASON}`,
          http: `POST /admin/dead-letters/${id}/discard`,
        },
        does: `never sends event ${sequence} (${type}) to ${destination}; those behind it follow`,
        useWhen: `${destination} knows it by another way, or need not`,
        reversible: `no: ${destination} has to learn of it by another way`,
      },
    ]);
}

/** Of an order that is final, money where none belongs, or none where it does. */
export function lookAgain(row: OrderRow, gateway: GatewayView, periods: Periods, now: number): Choice[] {
  if (!isFinal(row) || !gateway.asked) return [];
  const vouched = vouchedAndHeld(row, gateway);
  if (row.payment.status === 'SETTLED_OUTSIDE' && (vouched === null || vouched.finding !== null)) return [];
  const due = row.state.status === 'CONFIRMED' ? row.total.amount : 0;
  if ((vouched === null && gateway.holds === due) || givenOutside(row, gateway)?.finding != null) return [];
  const surplus = surplusOf(row, gateway, periods, now);
  const whole = surplus && money(surplus.amount);
  return [
    {
      ...STILL,
      ...{ command: `ops reconcile --order ${row.id}`, http: null },
      does: 'has the reconciler look at this order’s charges now, however old they are, and lists its findings; it takes no --reason',
      useWhen:
        surplus?.by != null
          ? `you will not wait until ${clock(surplus.by)}, or nothing has happened by then`
          : 'you want to know what it makes of it',
      moves: surplus?.amount ?? null,
      money:
        surplus === null
          ? 'nothing goes back by it: it reports'
          : `${whole} that the shop holds wrongly goes back, as it would by itself`,
      customer: surplus === null ? NONE : `gets ${whole} back; the order stays as it is`,
      reversible: surplus === null ? 'nothing is changed by looking' : 'no: a refund cannot be taken back',
    },
  ];
}
