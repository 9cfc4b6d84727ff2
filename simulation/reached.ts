/** Which of the rare paths a simulated order has gone, as far as that shows only in its end. */
import type { Execution } from './temporal/execution.js';
import { type People, typeOf } from './people.js';
import type { Gateway } from './world/gateway.js';
import type { Ledger } from './world/ledger.js';

type End = {
  ledger: Ledger;
  gateway: Gateway;
  executions: Execution[];
  people: People;
};

const STEP_OF: Record<string, string> = {
  'inventory.reserved': 'reserveInventory',
  'payment.charged': 'chargePayment',
  'order.confirmed': 'confirmOrder',
  'inventory.released': 'releaseInventory',
  'payment.refunded': 'refundPayment',
  'order.cancelled': 'cancelOrder',
};

export function* reachedAtTheEnd({ ledger, gateway, executions, people }: End): Generator<string> {
  const { status, reason, wanted } = ledger;
  const histories = executions.flatMap(({ earlier, history }) => [...earlier, history]);
  const all = histories.flat();
  const scheduled = all.flatMap((event) => (event.type === 'activityScheduled' ? [event] : []));
  const marks = all.flatMap((event) => (event.type === 'upsert' ? [event.attributes] : []));
  const parked = all.some(
    (event) => event.type === 'timerStarted' && event.summary?.endsWith('or for the deadline') === true,
  );
  if (status === 'CONFIRMED' && scheduled.length === 0) yield 'confirmed at once';
  if (scheduled.some(({ name }) => name === 'confirmOrder') && status === 'CONFIRMED')
    yield 'confirmed by an ordinary activity';
  if (reason === 'OUT_OF_STOCK') yield 'out of stock';
  if (reason === 'UNKNOWN_SKU') yield 'withdrawn from the catalogue';
  if (reason === 'PAYMENT_DECLINED') yield 'declined';
  if (wanted.amount === 0 && status === 'CONFIRMED') yield 'an order of nothing';
  if (parked) yield 'parked';
  if (parked && status === 'CONFIRMED') yield 'parked, then confirmed';
  if (parked && reason === 'DEADLINE_EXCEEDED') yield 'the deadline comes while it is parked';
  if (all.some(({ type }) => type === 'cancelRequested')) yield 'the workflow itself is cancelled';
  if (marks.some((it) => it['SagaFailure'] === 'UndoFailing')) yield 'an undo fails for so long that it is marked';
  const told = ledger.events.map(({ type }) => type);
  if (gateway.charges.length > 0 && told.includes('payment.refunded') && !told.includes('payment.charged'))
    yield 'a charge arrives after the unwinding has begun';
  for (const { type, byHand } of ledger.events) if (byHand) yield `skipped: ${STEP_OF[type]}`;
  for (const { name, input } of scheduled) {
    if ((input as { word?: string }).word !== undefined) yield `retried by an operator: ${name}`;
    if ((input as { wokenBy?: string }).wokenBy === 'prober') yield 'the prober wakes a parked saga';
  }
  for (const { what, answer } of people.decisions) {
    const isTaken = answer !== undefined && answer !== 'aborted' && 'success' in answer;
    if (what === 'cancel' && isTaken) yield 'a customer cancels and is obeyed';
    if (what === 'cancel' && typeOf(answer) === 'AlreadyConfirmed') yield 'a customer cancels too late';
    if (what === 'resolve: compensate' && isTaken) yield 'an operator compensates';
    if (typeOf(answer) === 'Overtaken') yield 'an operator’s decision is overtaken';
    if (typeOf(answer) === 'DecisionInHand') yield 'a second decision is turned away';
  }
}
