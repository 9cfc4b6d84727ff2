/** What is mostly done of an order that stands so: one sentence for whoever reads no further, and the act if it is one. */
import { TRANSIENT_FAILURES } from '../contracts/saga.js';
import { CHARGING_HELD } from '../contracts/brakes.js';
import { money } from '../contracts/amounts.js';
import { isVouched } from '../domain/reconciliation-findings.js';
import { disputeOf, heldBy, isPaidOutside } from './costs.js';
import { deadlineOf } from './deadline.js';
import type { OrderFacts } from './order-facts.js';
import { type Periods, SEARCH_LATE_MS } from './periods.js';
import { clock, span } from './plain-words.js';
import { isKeyRefused } from './refused-key.js';
import { surplusOf } from './surplus.js';

/** `command`: what its command begins with; null = it is none of those that are listed. */
export type Usual = { says: string; command: string | null };

const by = (command: string, says: string): Usual => ({ command, says });
const wait = (says: string): Usual => ({ command: null, says: `wait. ${says}` });
const nothing = (says: string): Usual => ({ command: null, says });

export function usualOf(facts: OrderFacts, periods: Periods, now: number): Usual {
  const { row, saga, standing } = facts;
  const { situation, step } = standing;
  const known = saga.asked && saga.known ? saga : undefined;
  switch (situation) {
    case 'confirmed':
    case 'cancelled':
      return ofFinal(facts, periods, now);
    case 'waits-for-start':
      return wait('Still so a minute after it began to wait? Look whether a relay runs, then `ops retry`.');
    case 'saga-missing':
      return wait(
        'A relay mends it at the time below. Many such orders, or still so then: call whoever runs Temporal.',
      );
    case 'saga-ended':
      return by(
        'ops retry',
        '`ops retry`, once what its last error says is mended. Was it ended to be rid of the order? Then `ops cancel`.',
      );
    case 'newer-plan':
      return wait('It needs workers of a newer build: see that they run.');
    case 'temporal-unreachable':
      return wait('Bring Temporal back: the order goes on by itself then.');
    case 'under-way':
    case 'taking-back':
      return wait(`Look again in ${span(SEARCH_LATE_MS)}.`);
    case 'retrying':
      return wait('It is tried again by itself. Mend what the last error says if it stays.');
    case 'unwinding':
      return wait('It goes on by itself. Mend what the last error says, if there is one and it stays.');
    case 'paused':
      return by(
        'ops retry',
        `ask whoever paused it; then \`ops retry\` to go on, or \`ops cancel\` to give the order up.`,
      );
    case 'waits-for-worker':
    case 'stands-still':
      return nothing(
        'see to the workers: `ops doctor` and `ops stuck` say what is wrong; the order goes on by itself then.',
      );
    case 'parked':
      return ofParked(facts, known?.marked.failure ?? null, known?.lastError ?? null);
    case 'undo-failing':
      return ofUndo(facts, known?.marked.failure ?? null);
    default:
      throw new Error(`Bug! Unhandled situation "${situation satisfies never}" of ${row.id} at ${step ?? 'no step'}`);
  }
}

function ofParked({ saga }: OrderFacts, failure: string | null, lastError: string | null): Usual {
  const deadline = deadlineOf(saga);
  const before = deadline === null ? '' : `, before ${clock(deadline)}`;
  if (failure === CHARGING_HELD) return wait('Whoever holds charges back lets them go: `ops brakes`.');
  if (isKeyRefused(lastError))
    return by('ops retry', `correct the key${before}; it is then tried by itself, or at once by \`ops retry\`.`);
  return failure !== null && Object.hasOwn(TRANSIENT_FAILURES, failure)
    ? wait(`It goes on by itself once what failed answers again: see to that${before}.`)
    : by('ops retry', `mend what the last error says, then \`ops retry\`${before}.`);
}

function ofUndo(facts: OrderFacts, failure: string | null): Usual {
  const { row, gateway } = facts;
  const dispute = disputeOf(gateway);
  if (isPaidOutside(row) && heldBy(row, gateway) === null) {
    const whole = money(row.total);
    return by(
      'ops skip',
      `give the customer ${whole} back by the way it came, once; then \`ops skip\`. Nothing gets worse by waiting until the morning.`,
    );
  }
  if (dispute?.how === 'lost') return by('ops skip', '`ops skip`: the bank has given the money back.');
  if (dispute?.how === 'won') return by('ops retry', '`ops retry`: the dispute is won, and the money goes back.');
  if (dispute?.how === 'open')
    return by('answer', 'answer or accept the dispute at the gateway, then wait for the bank.');
  if (failure === 'UndoFailing' || (failure !== null && Object.hasOwn(TRANSIENT_FAILURES, failure)))
    return wait('It goes on by itself. Mend what the last error says; `ops retry` tries it at once.');
  return by('ops retry', 'mend what the last error says, then `ops retry`.');
}

function ofFinal({ row, gateway }: OrderFacts, periods: Periods, now: number): Usual {
  const dispute = disputeOf(gateway);
  if (dispute?.how === 'open') {
    const when = dispute.answerBy === null ? 'in time (the dashboard has the date)' : `by ${clock(dispute.answerBy)}`;
    return by('answer', `answer or accept the dispute at the gateway ${when}: else the shop loses it.`);
  }
  const reported = row.findings.find((finding) => !isVouched(finding) && finding.action === 'reported');
  if (reported) return nothing(`decide about finding ${reported.id} (${reported.kind}): see below.`);
  const surplus = surplusOf(row, gateway, periods, now);
  if (surplus?.by != null)
    return wait(
      `${money(surplus.amount)} goes back to the customer by itself by ${clock(surplus.by)}: look again then.`,
    );
  if (surplus !== null) return by('ops reconcile', '`ops reconcile`: the charge is too old to be found by itself.');
  if (row.heldEvents.length > 0) return nothing('decide about the dead letter: see below.');
  const due = row.state.status === 'CONFIRMED' && row.payment.status !== 'SETTLED_OUTSIDE' ? row.total.amount : 0;
  if (gateway.asked && gateway.holds !== due && row.payment.status !== 'SETTLED_OUTSIDE')
    return by('ops reconcile', 'ask who gave the money back, and look at the finding: `ops reconcile`.');
  const knownFrom = Date.parse(row.updatedAt) + SEARCH_LATE_MS;
  const isSure = !gateway.asked || gateway.charges.length > 0 || knownFrom <= now;
  return nothing(
    isSure
      ? 'nothing is to be done.'
      : `nothing is to be done. A charge that came late would show, and go back by itself, after ${clock(knownFrom)}.`,
  );
}
