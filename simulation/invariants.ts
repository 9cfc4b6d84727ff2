/** What must hold of every simulated order: on its way, after each step, and in the end. PRODUCT promises, by name. */
import { legalStories } from '../verification/stories.js';
import type { Execution } from './temporal/execution.js';
import { type People, typeOf } from './people.js';
import type { Gateway } from './world/gateway.js';
import type { Ledger } from './world/ledger.js';

export type Violation = { invariant: string; how: string };
type State = { ledger: Ledger; gateway: Gateway; executions: Execution[]; reached(what: string): void };

/** Of a saga that is awake: the longest that it takes until what it has to show is shown. */
const SLACK_MS = 45_000;

/** @returns the first thing that is wrong, if anything is */
export function checkOnTheWay(state: State & { nowMs: number; deadlineMs: number }): Violation | undefined {
  return stock(state.ledger) ?? oneCharge(state.gateway) ?? seen(state);
}

function stock({ available, reserved, sold, wanted, status, reservation }: Ledger): Violation | undefined {
  const isConserved = available + reserved + sold === wanted.onHand && Math.min(available, reserved, sold) >= 0;
  const held = reservation === 'RESERVED' ? reserved : reservation === 'SOLD' ? sold : 0;
  const agrees = reserved + sold === held && (held === 0 || held === wanted.quantity);
  if (isConserved && agrees && !(status === 'CONFIRMED' && reservation === 'RESERVED')) return undefined;
  return {
    invariant: 'stock',
    how: `${available} available, ${reserved} reserved, ${sold} sold, order ${status} ${reservation}`,
  };
}

function oneCharge({ charges }: Gateway): Violation | undefined {
  const taken = charges.filter(({ state }) => state === 'succeeded').length;
  const over = charges.find(({ refunds, amount, byHand }) => {
    const back = refunds.reduce((sum, { status, amount }) => sum + (status === 'failed' ? 0 : amount), byHand);
    return back > amount;
  });
  if (taken > 1) return { invariant: 'one charge', how: `${taken} charges were taken` };
  return over && { invariant: 'one charge', how: `more was given back of ${over.reference} than it had` };
}

/** A saga that waits for someone is in the list of those that do; one that waits for nothing would wait for ever. */
function seen({ executions, nowMs, deadlineMs }: State & { nowMs: number; deadlineMs: number }): Violation | undefined {
  for (const { waitsFor, attributes, isClosed, history } of executions) {
    if (isClosed || !waitsFor) continue;
    const { activities, timers } = waitsFor;
    const isListed = attributes['SagaState'] === 'NEEDS_ATTENTION';
    if (activities.length === 0 && timers.length === 0)
      return { invariant: 'always ends', how: 'it waits for nothing' };
    const isAboutToTry = timers.some(({ summary }) => summary.startsWith('until the last try'));
    if (activities.length === 0 && !isListed && !isAboutToTry)
      return {
        invariant: 'parked is seen',
        how: `it waits for "${timers.map(({ summary }) => summary)}", and is not listed`,
      };
    const undo = activities.find(({ name, openMs }) => UNDOS.has(name) && openMs > 60_000 + SLACK_MS);
    if (undo && !isListed) return { invariant: 'parked is seen', how: `${undo.name} fails, and is not listed` };
    // One that hears of its deadline late, since no worker was awake, ends with its next timer.
    const latest = Math.max((history[0]?.at ?? 0) + deadlineMs + SLACK_MS, nowMs + 1_000);
    if (timers.some(({ summary, at }) => summary.endsWith('or for the deadline') && at > latest))
      // a saga that begins anew has its time anew
      return { invariant: 'the deadline ends it', how: 'it is parked beyond its deadline' };
  }
  return undefined;
}
const UNDOS = new Set(['releaseInventory', 'refundPayment', 'cancelOrder']);

type End = State & { people: People };

export function checkAtTheEnd(end: End): Violation | undefined {
  return oneEnd(end) ?? holdings(end) ?? stories(end) ?? money(end) ?? answers(end);
}

function oneEnd({ ledger, executions }: End): Violation | undefined {
  const { status, reason } = ledger;
  if (status === 'PENDING') return { invariant: 'one end', how: 'the saga has ended, and the order is PENDING' };
  const ends = executions.map(({ result }) => result as { status: string; reason?: string });
  const last = ends.at(-1);
  const isSaid = last?.status === status && (status === 'CONFIRMED' || last.reason === reason);
  // The second saga takes back what the first has confirmed; a first one that is carried on behind it finds it taken back.
  const isFirstRight = ends.slice(0, -1).every((end) => end?.status === 'CONFIRMED' || end?.reason === reason);
  if (isSaid && ends.length <= 2 && isFirstRight) return undefined;
  return { invariant: 'one end', how: `the order is ${status} ${reason}, its sagas say ${JSON.stringify(ends)}` };
}

function holdings({ ledger }: End): Violation | undefined {
  const { status, reservation, payment } = ledger;
  const skipped = new Set(ledger.events.filter(({ byHand }) => byHand).map(({ type }) => type));
  const isRight =
    status === 'CONFIRMED'
      ? (reservation === 'SOLD' || skipped.has('inventory.reserved')) && payment !== undefined
      : reservation !== 'RESERVED' &&
        reservation !== 'SOLD' &&
        !['CHARGED', 'REFUNDING'].includes(payment?.status ?? '');
  if (isRight) return undefined;
  return { invariant: 'holdings', how: `${status}, with stock ${reservation} and payment ${payment?.status}` };
}

function stories({ ledger, gateway }: End): Violation | undefined {
  const told = ledger.events.map(({ type }) => type);
  const byHand = new Set(ledger.events.filter((event) => event.byHand).map(({ type }) => type));
  const isRefundedByOthers = gateway.charges.some((charge) => charge.byHand > 0);
  const { status } = ledger;
  const legal = [false, isRefundedByOthers].flatMap((by) =>
    legalStories({ status, byHand, isRefundedByOthers: by }).map((story) => story.join()),
  );
  if (legal.includes(told.join())) return undefined;
  return { invariant: 'events', how: `${told.slice(1).join(', ')} of an order that is ${status}` };
}

/** At once, but for money that arrived behind the saga's back; that too once the reconciler has looked. */
function money({ ledger, gateway, reached }: End): Violation | undefined {
  const { status, payment, wanted, events } = ledger;
  const held = () => gateway.charges.reduce((sum, charge) => sum + gateway.held(charge), 0);
  const isOutside = (type: string) => events.some((event) => event.type === type && event.byHand);
  if (status === 'CONFIRMED') {
    if (isOutside('payment.charged') || held() === wanted.amount) return undefined;
    return { invariant: 'money', how: `${held()} is held of a confirmed order of ${wanted.amount}` };
  }
  // As long as an attempt may have been running, as far as its notes said, it had to be looked up once more.
  const knownAt = Math.max(ledger.moneyRightBy.at, ledger.attemptsRead.mayRunUntil);
  const isLate = gateway.charges.some(
    (charge) =>
      gateway.held(charge) > 0 &&
      !charge.wasLeft &&
      (ledger.moneyRightBy.strays.includes(charge) || charge.landedAt > knownAt),
  );
  if (isLate) reached('a charge arrives after the order was cancelled');
  if (held() > 0 && !isLate && !isOutside('payment.refunded'))
    return { invariant: 'money', how: `${held()} is held of a cancelled order, payment ${payment?.status}` };
  if (gateway.endRefunds()) reached('a refund that was accepted fails later');
  return undefined;
}

/** Who was promised an answer has one, and the log knows each decision that was taken and says of each other that it was not. */
function answers({ ledger, people, executions }: End): Violation | undefined {
  const accepted = new Set(
    executions.flatMap(({ earlier, history }) =>
      [...earlier, history].flat().flatMap((event) => (event.type === 'updateAccepted' ? [event.id] : [])),
    ),
  );
  for (const { id, what, answer } of people.decisions) {
    if (answer === undefined) return { invariant: 'answers', how: `${what} was never answered` };
    if (!accepted.has(id)) continue;
    if (answer === 'aborted') return { invariant: 'answers', how: `${what} was accepted, and never answered` };
    if (!what.startsWith('resolve')) continue;
    const isTaken = 'success' in answer;
    const isNoted = ledger.decisions.has(`${id}/not-taken`);
    if (isTaken && !isNoted && what === 'resolve: compensate' && ledger.status === 'CONFIRMED')
      return { invariant: 'log', how: `${what} was taken, the order is confirmed, and the log does not say why` };
    if (isTaken && !ledger.decisions.has(id))
      return { invariant: 'log', how: `${what} was taken, and is not in the log` };
    if (!isTaken && ledger.decisions.has(id) && !isNoted && typeOf(answer) !== 'DecisionInHand')
      return { invariant: 'log', how: `${what} was refused, and the log says that it was taken` };
  }
  return undefined;
}
