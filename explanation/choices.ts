/** What an operator may do about one order as it stands: when to, what it costs, and whether it can be taken back. The usual one is the first. */
import { money } from '../contracts/amounts.js';
import { STEPS, UNDOS } from '../contracts/plan.js';
import { type Choice, REASON } from './choice.js';
import { choicesOfFindings, choicesOfHeldEvents, lookAgain } from './choices-besides.js';
import { costOfGivingUp, costOfRetry, costOfSkip, disputeOf, NONE } from './costs.js';
import type { GatewayView } from './gateway-view.js';
import { givenOutside } from './given-outside.js';
import { holdsPieces } from './holdings.js';
import { foundMissingBy } from './next-acts.js';
import type { OrderFacts } from './order-facts.js';
import type { OrderRow } from './order-row.js';
import type { Periods } from './periods.js';
import { clock } from './plain-words.js';
import type { SagaView } from './saga-view.js';
import { isStepName, lateFrom, type Standing } from './situation.js';
import { isInVain, useOfRetry, useOfSkip } from './uses.js';

/** Steps whose skip is something else than one more try: what it does is left undone, and vouched for. */
const SKIPPABLE = new Set(['reserveInventory', 'chargePayment', 'refundPayment']);

/**
 * @param usual the first word of the command that is mostly given, if any is
 * @returns empty = there is nothing to do but wait; what would be refused is not listed
 */
export function choicesOf(facts: OrderFacts, periods: Periods, usual: string | null, now: number): Choice[] {
  const { row, saga, gateway, standing } = facts;
  const { situation, step } = standing;
  const found: Choice[] = [
    ...answerDispute(row, gateway),
    ...choicesOfFindings(row),
    ...lookAgain(row, gateway, periods, now),
  ];
  const unwinds = row.state.unwindingReason !== null;
  const isTried =
    ['paused', 'retrying', 'parked', 'undo-failing'].includes(situation) || isRetryingUndo(saga, situation);
  if (isTried) found.push(retry(facts));
  if (situation === 'paused' && saga.asked && saga.known) found.push(unpause(saga, standing));
  if (situation === 'saga-ended' || situation === 'saga-missing' || situation === 'waits-for-start')
    found.push(restart(row, gateway, situation));
  if (row.state.status !== 'CANCELLED' && !unwinds) found.push(cancel(row, gateway));
  if (['retrying', 'parked', 'paused'].includes(situation) && !unwinds) found.push(compensate(facts));
  if (isTried && step !== null && SKIPPABLE.has(step)) found.push(skip(facts));
  const all = [...found, ...choicesOfHeldEvents(row)];
  const first = usual === null ? undefined : all.find(({ command }) => command.startsWith(usual));
  return first === undefined ? all : [{ ...first, usual: true }, ...all.filter((each) => each !== first)];
}

const isRetryingUndo = (saga: SagaView, situation: Standing['situation']): boolean =>
  situation === 'unwinding' && saga.asked && saga.known && saga.wait?.waitsFor === 'next-try';

/** What `--at` takes. */
const NAMED = new Set<string>([...STEPS, ...UNDOS]);

/**
 * @param seenAt the step or undo that it is said of: pasted when the order has gone on, it is refused, and decides nothing of another
 * one. null = of no step: a saga that has ended, or that Temporal does not know, is at none, and is refused what expects one.
 */
function resolved(
  { id }: OrderRow,
  action: 'retry' | 'skip' | 'compensate',
  seenAt: string | null,
): Pick<Choice, 'action' | 'command' | 'http' | 'usual'> {
  const at = seenAt !== null && NAMED.has(seenAt) ? seenAt : null;
  const body = { action, ...(at !== null && { expectedStep: at }), reason: '<why, ticket>' };
  return {
    action,
    command: `ops ${action} ${id}${at === null ? '' : ` --at ${at}`} --yes ${REASON}`,
    http: `POST /admin/sagas/${id}/resolve ${JSON.stringify(body)}`,
    usual: false,
  };
}

function retry(facts: OrderFacts): Choice {
  const { row, gateway, standing } = facts;
  const isPaused = standing.situation === 'paused';
  return {
    ...resolved(row, 'retry', standing.step),
    does: isPaused
      ? `ends the pause: ${standing.step} is tried at once, with the full time of a step that is just begun`
      : `tries ${standing.step} now instead of waiting`,
    useWhen: useOfRetry(facts),
    ...costOfRetry(row, gateway, standing),
    ...(isInVain(facts) && { follows: null }),
    reversible: undone(facts),
  };
}

function undone(facts: OrderFacts): string {
  const { step } = facts.standing;
  if (isInVain(facts)) return 'nothing is changed by it';
  const way =
    step === 'refundPayment'
      ? 'no: money that has gone back stays there'
      : step !== null && isStepName(step)
        ? 'by `ops cancel` afterwards'
        : 'no';
  return `${way}; if it fails, the order stands as before`;
}

function skip(facts: OrderFacts): Choice {
  const { row, gateway, standing } = facts;
  return {
    ...resolved(row, 'skip', standing.step),
    does: `records under your name that ${standing.step} has been done by hand; it is NOT carried out`,
    useWhen: useOfSkip(facts),
    ...costOfSkip(row, gateway, standing),
    reversible: 'no: it stays on record, and what you vouch for nobody checks',
  };
}

function restart(row: OrderRow, gateway: GatewayView, situation: Standing['situation']): Choice {
  const unwinds = row.state.unwindingReason !== null;
  const given: Pick<Choice, 'does' | 'useWhen' | 'reversible'> = {
    does: `begins its saga now, and the order ${unwinds ? 'goes on being CANCELLED' : 'GOES ON'}: every step finds what was done before`,
    useWhen:
      situation === 'saga-ended' && !unwinds
        ? 'it was ended by mistake: mend first what its last error says'
        : `it still says so after ${clock(situation === 'saga-missing' ? foundMissingBy(row.createdAt) : lateFrom(row))}`,
    reversible: unwinds ? 'no: it is being cancelled already' : 'the order can be cancelled afterwards, too',
  };
  if (unwinds)
    return {
      ...resolved(row, 'retry', null),
      ...given,
      ...costOfGivingUp(row, gateway),
      customer: 'the order is CANCELLED',
    };
  const pieces = holdsPieces(row) ? '' : 'the order’s pieces are reserved, ';
  return {
    ...resolved(row, 'retry', null),
    ...given,
    ...{ moves: null, money: NONE, stock: NONE, customer: NONE },
    follows: `${pieces}the customer pays ${money(row.total)} as ordered, if that was not taken before, and the order is CONFIRMED`,
  };
}

function compensate({ row, gateway, standing }: OrderFacts): Choice {
  return {
    ...resolved(row, 'compensate', standing.step),
    does: 'the same as `cancel`, decided by the saga: it needs a worker that answers',
    useWhen:
      'it is to stay if it is confirmed meanwhile (then this is refused, while `cancel` takes a confirmed order back, too), or the customer must not read your reason',
    ...costOfGivingUp(row, gateway),
    ...{ money: 'as `cancel`', stock: 'as `cancel`' },
    customer: 'the order is CANCELLED; who reads it sees a sentence of ours, not your reason',
    reversible: 'no: the customer has to order anew',
  };
}

function cancel(row: OrderRow, gateway: GatewayView): Choice {
  const isConfirmed = row.state.status === 'CONFIRMED';
  return {
    action: 'cancel',
    usual: false,
    command: `ops cancel ${row.id} --yes ${REASON}`,
    http: `POST /orders/${row.id}/cancel {"reason":"<why, ticket>"}`,
    does: 'ends the order, whatever it has come to; it is taken while Temporal or all workers are away, too',
    useWhen: !isConfirmed
      ? 'customer or shop want it gone: this is the usual way to give an order up'
      : givenOutside(row, gateway) !== null
        ? 'the money was given back to end the order, and it has not been sent off (which is not known here)'
        : 'customer or shop want it gone, and it has not been sent off (which is not known here)',
    ...costOfGivingUp(row, gateway),
    reversible: 'no: the customer has to order anew',
  };
}

function unpause({ workflowId, namespace }: Extract<SagaView, { known: true }>, { step }: Standing): Choice {
  return {
    action: null,
    usual: false,
    command: `temporal activity unpause --workflow-id ${workflowId} --activity-type ${step} --namespace ${namespace}`,
    http: null,
    does: `ends the pause as \`retry\` does, but leaves no record of who did it, and gives ${step} only what is left of its time`,
    useWhen: 'no `ops` is at hand, and it is before the order’s deadline: after that it has the order CANCELLED',
    ...{ moves: null, money: 'as `retry`', stock: 'as `retry`', customer: 'as `retry`', follows: null },
    reversible: 'it can be paused again while it fails',
  };
}

/** Nothing of ours answers a bank: it is listed since it is the one thing to be done. */
function answerDispute({ payment }: OrderRow, gateway: GatewayView): Choice[] {
  const dispute = disputeOf(gateway);
  if (dispute?.how !== 'open') return [];
  return [
    {
      action: null,
      usual: false,
      command: `answer, or accept, the dispute of ${payment.gatewayReference ?? 'the charge'} in the gateway’s dashboard`,
      http: null,
      does: 'is no command of ours: whoever answers disputes for the shop does it there',
      useWhen: 'always: a dispute that nobody answers in time is lost. Accept it if the customer is right',
      ...{
        moves: null,
        money: 'won: the shop keeps it; lost or accepted: the bank gives it to the customer',
        stock: NONE,
      },
      ...{ customer: 'the order stays as it is', follows: null },
      reversible: 'no: the bank takes one answer',
    },
  ];
}
