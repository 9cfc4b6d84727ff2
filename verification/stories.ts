/**
 * Which events an order may have when it is final, by the plan: a step's event when it was done, that of its undo if it was
 * taken back, in the reverse order. A step of the plan is in these stories from the day on which it is in the plan.
 */
import type { OrderStatus } from '../contracts/orders.js';
import { PLAN, PLAN_VERSION, type PlannedStep, type SagaPlan, stepsOf } from '../contracts/plan.js';

export type Told = {
  status: OrderStatus;
  /** Under which the order was accepted; absent = today's, since ledgers that do not show it are of a shop that is new. */
  planVersion?: number;
  /** Types of its events that an operator has vouched for. */
  byHand: ReadonlySet<string>;
  /** Others have given the whole charge back: there was nothing left for us to refund, and nothing to tell. */
  isRefundedByOthers: boolean;
};

/** What an order tells that goes right, after its creation; and, in its turn, one that is taken back after that. */
export const ALL_DONE: readonly string[] = stepsOf(PLAN).map(({ events }) => events.done);
export const ALL_UNDONE: readonly string[] = [...stepsOf(PLAN).flatMap(({ events }) => events.undone ?? [])]
  .reverse()
  .concat(PLAN.lastUndo.event);

/** @returns each as event types, in their order */
export function legalStories(order: Told, plan: SagaPlan = PLAN): string[][] {
  const steps = stepsOf(plan, order.planVersion ?? PLAN_VERSION);
  const begun = ['order.created'];
  const done = (some: PlannedStep[]) => some.map(({ events }) => events.done);
  if (order.status === 'CONFIRMED') return [[...begun, ...done(steps)]];
  const cancelled = (way: string[], toUndo: PlannedStep[]) => [
    ...begun,
    ...way,
    ...undone(
      order,
      steps.filter((step) => toUndo.includes(step) || isUndoneByHand(order, step)),
    ),
    plan.lastUndo.event,
  ];
  return [...steps, undefined].flatMap((next, i) => {
    const before = steps.slice(0, i);
    const way = done(before);
    const stories = [cancelled(way, before)];
    if (next?.events.refused) stories.push(cancelled([...way, next.events.refused], before));
    // The outcome of a charge may be unknown: then there is no event, and the gateway is found to have it.
    if (next?.sharesPivot) stories.push(cancelled(way, [...before, next]));
    // A worker that slept may charge when the undos are done: its own step gives that back, before the order is cancelled or after it.
    if (next?.sharesPivot && !order.isRefundedByOthers && next.events.undone) {
      const late = [...begun, ...way, ...undone(order, before), next.events.undone, plan.lastUndo.event];
      stories.push(late);
    }
    // An operator may vouch for its refund before it was tried: then there is an event of that alone.
    const refund = steps.slice(i).find((step) => step.sharesPivot && isUndoneByHand(order, step));
    if (refund) stories.push(cancelled(way, [...before, refund]));
    return stories;
  });
}

/** What an operator has done by hand holds nothing of ours; but money that was taken by hand is given back by hand, with an event. */
const undone = (order: Told, steps: PlannedStep[]): string[] =>
  steps
    .filter((step) => {
      const { events, sharesPivot } = step;
      if (isUndoneByHand(order, step)) return true;
      return sharesPivot ? !order.isRefundedByOthers : !order.byHand.has(events.done);
    })
    .flatMap(({ events }) => events.undone ?? [])
    .reverse();

/** An operator's word is told whatever was begun: an undo runs, and may be skipped, of a step that never was. */
const isUndoneByHand = ({ byHand }: Told, { events: { undone: event } }: PlannedStep): boolean =>
  event !== undefined && byHand.has(event);
