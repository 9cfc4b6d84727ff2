/** What an operator may do about one order as it stands, and what each choice costs: money, stock, the customer, and whether it can be taken back. */
import { money } from '../contracts/amounts.js';
import { type Cost, costOfGivingUp, costOfRetry, costOfSkip, NONE } from './costs.js';
import type { GatewayView } from './gateway-view.js';
import type { OrderRow } from './order-row.js';
import type { SagaView } from './saga-view.js';
import { isFinal, type Standing } from './situation.js';

/** What can be decided about the order itself: by `resolve`, or by cancelling it. */
export type ChosenAct = 'retry' | 'skip' | 'compensate' | 'cancel';

export type Choice = Cost & {
  /** null = it is something else: about a finding, an event, or Temporal's to do. */
  action: ChosenAct | null;
  /** Of the CLI, or of Temporal's; arguments in <…> are the operator's. */
  command: string;
  /** The same over HTTP, where there is a route. */
  http: string | null;
  does: string;
  reversible: string;
};

const REASON = `--reason '<why, ticket>'`;
const bodyOf = (action: string) => ({ action, reason: '<why, ticket>' });

/** @returns empty = there is nothing to do but wait; what would be refused is not listed */
export function choicesOf(row: OrderRow, saga: SagaView, gateway: GatewayView, standing: Standing): Choice[] {
  const found: Choice[] = [];
  const { situation } = standing;
  const unwinds = row.state.unwindingReason !== null;
  if (situation === 'paused' && saga.asked && saga.known) found.push(unpause(saga.workflowId, standing));
  if (['paused', 'retrying', 'parked', 'undo-failing'].includes(situation) || isRetryingUndo(saga, situation))
    found.push(retry(row, gateway, standing), skip(row, standing));
  if (situation === 'saga-ended' || situation === 'saga-missing' || situation === 'waits-for-start')
    found.push(restart(row, gateway));
  if (['retrying', 'parked', 'paused'].includes(situation) && !unwinds) found.push(giveUp(row, gateway, 'compensate'));
  if (row.state.status !== 'CANCELLED' && !unwinds) found.push(giveUp(row, gateway, 'cancel'));
  return [...found, ...ofFindings(row), ...ofHeldEvents(row), ...lookAgain(row, gateway)];
}

const isRetryingUndo = (saga: SagaView, situation: Standing['situation']): boolean =>
  situation === 'unwinding' && saga.asked && saga.known && saga.wait?.waitsFor === 'next-try';

function resolved(
  { id }: OrderRow,
  action: 'retry' | 'skip' | 'compensate',
): Pick<Choice, 'action' | 'command' | 'http'> {
  return {
    action,
    command: `ops ${action} ${id} --yes ${REASON}`,
    http: `POST /admin/sagas/${id}/resolve ${JSON.stringify(bodyOf(action))}`,
  };
}

function retry(row: OrderRow, gateway: GatewayView, standing: Standing): Choice {
  return {
    ...resolved(row, 'retry'),
    does: `tries ${standing.step} now instead of waiting; mend the cause first`,
    ...costOfRetry(row, gateway, standing),
    reversible: 'nothing is lost by trying: if it fails, it stands as before',
  };
}

function skip(row: OrderRow, standing: Standing): Choice {
  return {
    ...resolved(row, 'skip'),
    does: `records, in your name, that ${standing.step} has been done by hand, and goes on`,
    ...costOfSkip(row, standing),
    reversible: 'no: it stays on record, and what you vouch for nobody checks',
  };
}

function restart(row: OrderRow, gateway: GatewayView): Choice {
  const unwinds = row.state.unwindingReason !== null;
  return {
    ...resolved(row, 'retry'),
    does: 'begins its saga now; every step finds what was done before',
    ...(unwinds
      ? costOfGivingUp(row, gateway)
      : {
          moves: null,
          money: NONE.concat(' beyond what the order owes anyway'),
          stock: NONE.concat(' beyond what the order takes anyway'),
          customer: 'the order goes on',
        }),
    reversible: unwinds ? 'no: it is being cancelled already' : 'the order can be given up afterwards, too',
  };
}

function giveUp(row: OrderRow, gateway: GatewayView, action: 'compensate' | 'cancel'): Choice {
  const { id } = row;
  const resolve = action === 'compensate' ? resolved(row, 'compensate') : undefined;
  return {
    action,
    command: resolve?.command ?? `ops cancel ${id} --yes ${REASON}`,
    http: resolve ? resolve.http : `POST /orders/${id}/cancel {"reason":"<why, ticket>"}`,
    does:
      action === 'compensate'
        ? 'gives the order up now: its saga undoes what was done'
        : 'gives the order up; recorded in Postgres first, so that it holds even while Temporal or all workers are away',
    ...costOfGivingUp(row, gateway),
    reversible: 'no: the customer has to order anew',
  };
}

function unpause(workflowId: string, { step }: Standing): Choice {
  return {
    action: null,
    command: `temporal activity unpause --workflow-id ${workflowId} --activity-type ${step}`,
    http: null,
    does: `lets ${step} go on: it is tried at once`,
    moves: null,
    money: NONE.concat(' beyond what the step does'),
    stock: NONE.concat(' beyond what the step does'),
    customer: 'the order goes on',
    reversible: 'it can be paused again while it fails',
  };
}

/** The reconciler gives a charge back by itself; what it has reported waits for one of these. */
const REFUNDABLE = new Set([
  'LATE_CHARGE',
  'DOUBLE_CHARGE',
  'LOST_REFUND',
  'REFUND_FAILED',
  'UNMARKED_CHARGE',
  'ORPHAN_CHARGE',
]);

function ofFindings({ findings }: OrderRow): Choice[] {
  return findings.flatMap(({ id, kind, action, amount, currency }) => {
    if (id === null || action !== 'reported') return [];
    const close: Choice = {
      action: null,
      command: `ops reconcile --close ${id} --as cancelled --yes ${REASON}`,
      http: null,
      does: `says that finding ${id} (${kind}) has been dealt with`,
      ...{ moves: null, money: 'nothing moves', stock: NONE, customer: NONE },
      reversible: 'it is reported again only if the ledger changes',
    };
    if (!REFUNDABLE.has(kind)) return [close];
    const refund: Choice = {
      ...close,
      command: `ops reconcile --refund ${id} --yes ${REASON}`,
      does: `has the reconciler make one more refund of finding ${id} (${kind})`,
      moves: { amount, currency },
      money: `${money({ amount, currency })} goes back`,
      customer: 'gets the money back',
      reversible: 'no: what has gone back is gone',
    };
    return [refund, close];
  });
}

function ofHeldEvents({ heldEvents }: OrderRow): Choice[] {
  return heldEvents
    .filter(({ state }) => state === 'PARKED')
    .flatMap(({ id, destination, type, sequence }) => [
      {
        action: null,
        ...{ command: `ops dead-letters replay ${id} --yes ${REASON}`, http: `POST /admin/dead-letters/${id}/replay` },
        does: `sends event ${sequence} (${type}) to ${destination} again, and then those behind it`,
        ...{ moves: null, money: NONE, stock: NONE, customer: NONE },
        reversible: 'nothing is lost by trying: refused again, it is held again',
      },
      {
        action: null,
        ...{
          command: `ops dead-letters discard ${id} --yes ${REASON}`,
          http: `POST /admin/dead-letters/${id}/discard`,
        },
        does: `never sends event ${sequence} (${type}) to ${destination}; those behind it follow`,
        ...{ moves: null, money: NONE, stock: NONE, customer: NONE },
        reversible: `no: ${destination} has to learn of it by another way`,
      },
    ]);
}

/** Of an order that is final, money where none belongs, or none where it does. */
function lookAgain(row: OrderRow, gateway: GatewayView): Choice[] {
  if (!isFinal(row) || !gateway.asked) return [];
  const due = row.state.status === 'CONFIRMED' && row.payment.status !== 'SETTLED_OUTSIDE' ? row.total.amount : 0;
  if (gateway.holds === due || row.payment.status === 'SETTLED_OUTSIDE') return [];
  return [
    {
      ...{ action: null, command: `ops reconcile --order ${row.id}`, http: null },
      does: 'has the reconciler compare this order’s charges with the gateway’s now, however old they are',
      moves: gateway.holds > due ? { amount: gateway.holds - due, currency: row.total.currency } : null,
      money:
        gateway.holds > due
          ? `${money({ amount: gateway.holds - due, currency: row.total.currency })} too much may go back`
          : NONE,
      ...{ stock: NONE, customer: NONE },
      reversible: 'it only does what it would do by itself',
    },
  ];
}
