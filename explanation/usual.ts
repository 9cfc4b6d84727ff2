/** What is mostly done of an order that stands so: one sentence for whoever reads no further, and the act if it is one. */
import { TRANSIENT_FAILURES } from '../contracts/saga.js';
import { CHARGING_HELD } from '../contracts/brakes.js';
import { money } from '../contracts/amounts.js';
import { isVouched } from '../domain/reconciliation-findings.js';
import { disputeOf, heldBy, isPaidOutside } from './costs.js';
import { deadlineOf } from './deadline.js';
import { givenOutside, usualOfGivenOutside } from './given-outside.js';
import { isGivenUp } from './given-up.js';
import { usualOfHeld } from './held.js';
import { foundMissingBy } from './next-acts.js';
import type { OrderFacts } from './order-facts.js';
import { type Periods, SEARCH_LATE_MS } from './periods.js';
import { clock, isUnknownFailure, span } from './plain-words.js';
import { isKeyRefused } from './refused-key.js';
import type { KnownSaga } from './saga-view.js';
import { refundAhead } from './refund-ahead.js';
import { isGoneEarly, lateFrom } from './situation.js';
import { surplusOf } from './surplus.js';
import { usualOfHeldMoney, vouchedAndHeld } from './vouched-and-held.js';

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
      return ofUnstarted(lateFrom(row), now, 'look whether a relay runs and reaches Temporal, then `ops retry`.');
    case 'saga-missing':
      return ofUnstarted(
        foundMissingBy(row.createdAt),
        now,
        '`ops retry`, and call whoever runs Temporal; call them at once if there are many such orders.',
      );
    case 'saga-ended':
      return by(
        'ops retry',
        'ask who ended it, and why. By mistake: `ops retry`. To be rid of the order: `ops cancel`.',
      );
    case 'newer-plan':
      return wait('It needs workers of a newer build: see that they run.');
    case 'temporal-unreachable':
      return wait('Bring Temporal back: the order goes on by itself then.');
    case 'under-way':
    case 'taking-back':
      return wait(`Look again in ${span(SEARCH_LATE_MS)}.`);
    case 'retrying':
      return ofRetrying(known);
    case 'unwinding':
      return ofUnwinding(known);
    case 'paused':
      return nothing(`ask whoever paused it; then \`ops retry\` to go on, or \`ops cancel\` to give the order up.`);
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

const ofUnstarted = (lateFromMs: number, now: number, then: string): Usual =>
  now > lateFromMs ? by('ops retry', then) : wait(`Still so after ${clock(lateFromMs)}: ${then}`);

function ofRetrying(known: KnownSaga | undefined): Usual {
  const until = known?.wait?.until;
  const when = until === undefined ? 'It is tried again by itself' : `It is tried by itself until ${clock(until)}`;
  const who = isUnknownFailure(known?.wait?.failure ?? null) ? 'Call the developers' : 'Mend what the last error says';
  return wait(`${when}. ${who} if it stays.`);
}

function ofUnwinding(known: KnownSaga | undefined): Usual {
  if (known === undefined || known.lastError === null) return wait('It goes on by itself.');
  const long = known.policy === undefined ? 'long' : `longer than ${span(known.policy.compensationAttentionAfterMs)}`;
  return wait(`It is tried for ever; if it fails for ${long}, call the developers.`);
}

/** What nobody can mend from here; what it costs to let it be. */
function ofUnknown(deadline: string | null): Usual {
  const lapse =
    deadline === null
      ? ''
      : ` Nobody there before ${clock(deadline)}? It lapses then: CANCELLED, what was taken goes back, and the customer has to order anew.`;
  return by(
    'ops retry',
    `one \`ops retry\`, which does no harm. It fails again? Call the developers: nothing of \`ops\` mends an error of no known kind.${lapse}`,
  );
}

function ofParked({ saga }: OrderFacts, failure: string | null, lastError: string | null): Usual {
  const deadline = deadlineOf(saga);
  const before = deadline === null ? '' : `, before ${clock(deadline)}`;
  if (failure === CHARGING_HELD) return wait('Whoever holds charges back lets them go: `ops brakes`.');
  if (isKeyRefused(lastError))
    return by('ops retry', `correct the key${before}; it is then tried by itself, or at once by \`ops retry\`.`);
  if (isUnknownFailure(failure)) return ofUnknown(deadline);
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
  if (dispute?.how === 'lost')
    return by(
      'ops skip',
      '`ops skip`: the bank has given the money back. A finding DISPUTED, if there is one or comes, is closed by hand then.',
    );
  if (dispute?.how === 'won') return by('ops retry', '`ops retry`: the dispute is won, and the money goes back.');
  if (dispute?.how === 'open')
    return by('answer', 'answer or accept the dispute at the gateway, then wait for the bank.');
  if (isGivenUp(failure))
    return by(
      'ops retry',
      'see at the gateway why its refunds fail; once they work again, `ops retry`: it has one more made, and no machine makes another before.',
    );
  if (failure === 'UndoFailing' || (failure !== null && Object.hasOwn(TRANSIENT_FAILURES, failure)))
    return wait('It is tried for ever. Call the developers, unless the last error says what to mend.');
  return by('ops retry', 'mend what the last error says, then `ops retry`.');
}

function ofFinal({ row, saga, gateway }: OrderFacts, periods: Periods, now: number): Usual {
  const dispute = disputeOf(gateway);
  if (dispute?.how === 'open') {
    const when = dispute.answerBy === null ? 'in time (the dashboard has the date)' : `by ${clock(dispute.answerBy)}`;
    return by('answer', `answer or accept the dispute at the gateway ${when}: else the shop loses it.`);
  }
  const outside = givenOutside(row, gateway);
  if (outside !== null) return nothing(usualOfGivenOutside(outside));
  const vouched = vouchedAndHeld(row, gateway);
  if (vouched !== null) return nothing(usualOfHeldMoney(vouched, row));
  const reported = row.findings.find((finding) => !isVouched(finding) && finding.action === 'reported');
  if (reported) return nothing(`decide about finding ${reported.id} (${reported.kind}), by a command below.`);
  const surplus = surplusOf(row, gateway, periods, now);
  if (surplus?.by != null)
    return wait(
      `${money(surplus.amount)} goes back to the customer by itself by ${clock(surplus.by)}: look again then.`,
    );
  if (surplus !== null) return by('ops reconcile', '`ops reconcile`: the charge is too old to be found by itself.');
  const held = row.heldEvents.find(({ state }) => state === 'PARKED');
  if (held) return by(`ops dead-letters replay ${held.id} `, usualOfHeld(held));
  const due = row.state.status === 'CONFIRMED' && row.payment.status !== 'SETTLED_OUTSIDE' ? row.total.amount : 0;
  if (gateway.asked && gateway.holds !== due && row.payment.status !== 'SETTLED_OUTSIDE')
    return by('ops reconcile', 'ask who gave the money back, and look at the finding: `ops reconcile`.');
  if (refundAhead(row, gateway, periods, now).length > 0)
    return wait('The provider has the refund under way, and nothing is to be done before it ends.');
  const knownFrom = Date.parse(row.updatedAt) + SEARCH_LATE_MS;
  const isSure = !gateway.asked || gateway.charges.length > 0 || knownFrom <= now;
  if (saga.asked && !saga.known && isGoneEarly(row, saga.retentionMs, now))
    return nothing(
      'nothing is to be done for this order. But Temporal has lost its saga: tell whoever runs it, in the morning.',
    );
  const late =
    row.payment.status === 'SETTLED_OUTSIDE' ? 'would be a finding for you' : 'would go back to the customer by itself';
  return nothing(
    isSure ? 'nothing is to be done.' : `nothing is to be done. A charge that shows until ${clock(knownFrom)} ${late}.`,
  );
}
