/**
 * Explaining one order to the person who was woken for it: what happened, why it stands so, what comes next by itself, what may be
 * done and what that costs; from its row, its saga, the gateway and its events, with whatever they do not agree on marked.
 * Bounded: a fixed number of statements, one description and one page of history, one look-up at the gateway and one more for each
 * charge of which something went back or that is disputed, each with a limit of time. A source that does not answer is named as such; it is no failure.
 */
import type { Client } from '@temporalio/client';
import { money } from '../contracts/amounts.js';
import type { SagaPolicy } from '../contracts/saga.js';
import type { Database } from '../domain/database.js';
import type { Choice } from './choice.js';
import { choicesOf } from './choices.js';
import { disputeOf, endsAs } from './costs.js';
import { type Disagreement, disagreementsOf } from './disagreements.js';
import { type GatewayView, type LedgerPlace, readGateway } from './gateway-view.js';
import { type Happening, happenedOf } from './happened.js';
import { findingsAhead } from './given-outside.js';
import { actsOfRelay, heldSentences } from './held.js';
import { moneySentence, stockSentence } from './holdings.js';
import { type NextAct, nextActs } from './next-acts.js';
import type { OrderFacts } from './order-facts.js';
import { type OrderRow, readOrderRow } from './order-row.js';
import { type Periods, PERIODS } from './periods.js';
import { span, type Word, wordsIn } from './plain-words.js';
import { refundAhead } from './refund-ahead.js';
import { readSaga, type SagaView } from './saga-view.js';
import { isFinal, isGoneEarly, type Situation, standingOf } from './situation.js';
import { surplusOf } from './surplus.js';
import { usualOf } from './usual.js';
import { findingOfHeld } from './vouched-and-held.js';

export type ExplanationSources = {
  db: Database;
  /** undefined = Temporal has never answered. */
  client: Client | undefined;
  gateway: LedgerPlace;
  policyOfToday: SagaPolicy;
  probeEveryMs: number;
  /** Of the workers; absent = the defaults of their settings stand for them. */
  periods?: Periods;
};

export type Explanation = {
  orderId: string;
  /** When it was looked. */
  at: string;
  situation: Situation;
  status: string;
  step: string | null;
  workflowId: string | null;
  why: string[];
  /** What is mostly done of an order that stands so. */
  usual: string;
  happened: Happening[];
  next: NextAct[];
  choices: Choice[];
  disagreements: Disagreement[];
  /** The terms in all that is said, with what they mean. */
  words: Word[];
  /** What each source is good for just now. */
  sources: { row: string; saga: string; gateway: string; events: string };
};

/** @returns null if there is no such order */
export async function readFacts(sources: ExplanationSources, id: string): Promise<OrderFacts | null> {
  const row = await readOrderRow(sources.db, id);
  if (row === null) return null;
  const { installationId, payment } = row;
  const asked = { orderId: id, installationId, gatewayReference: payment.gatewayReference };
  const [saga, gateway] = await Promise.all([readSaga(sources.client, row), readGateway(sources.gateway, asked)]);
  return { row, saga, gateway, standing: standingOf(row, saga) };
}

/** @returns null if there is no such order */
export async function explainOrder(sources: ExplanationSources, id: string): Promise<Explanation | null> {
  const facts = await readFacts(sources, id);
  return facts && explain(sources, facts);
}

export function explain(sources: ExplanationSources, facts: OrderFacts): Explanation {
  const { row, saga, gateway, standing } = facts;
  const { periods = PERIODS } = sources;
  const now = Date.now();
  const ofSaga = actsOfSaga(sources, facts);
  const usual = usualOf(facts, periods, now);
  const told = {
    why: [...standing.sentences, moneySentence(row, gateway, now), stockSentence(row), ...heldSentences(row)],
    usual: `Usual: ${usual.says}`,
    happened: happenedOf(row, gateway),
    next: inTime([...ofSaga, ...actsOfReconciler(facts, periods, now), ...actsOfRelay(row)]),
    choices: choicesOf(facts, periods, usual.command, now),
    disagreements: disagreementsOf(facts, { periods, now, next: ofSaga }),
    sources: sourcesOf(row, saga, gateway, now),
  };
  return {
    orderId: row.id,
    at: new Date(now).toISOString(),
    situation: standing.situation,
    status: row.state.status,
    step: standing.step,
    workflowId: saga.asked ? saga.workflowId : null,
    ...told,
    words: wordsIn(JSON.stringify(told, (key, value) => (key === 'http' ? undefined : value))),
  };
}

/** Soonest first; what has no time last. */
const inTime = (acts: NextAct[]): NextAct[] =>
  acts.toSorted((a, b) => (a.at ?? LAST_OF_ALL).localeCompare(b.at ?? LAST_OF_ALL));
const LAST_OF_ALL = '~';

/** What its saga does next if nobody does anything, soonest first. */
export function actsOfSaga(
  { policyOfToday, probeEveryMs }: ExplanationSources,
  { row, saga, gateway, standing }: OrderFacts,
): NextAct[] {
  if (standing.situation === 'newer-plan')
    return [{ what: 'it goes on as soon as workers of a newer build run', at: null }];
  if (isFinal(row)) return [];
  return nextActs({
    order: row,
    orderState: row.state,
    saga: !saga.asked ? undefined : saga.known ? saga.description : null,
    policy: saga.asked && saga.known ? saga.policy : undefined,
    policyOfToday,
    probeEveryMs,
    lastError: saga.asked && saga.known ? saga.lastError : null,
    ends: endsAs(row, gateway),
  });
}

/** What is in hand, and what will be once it has looked; and what a bank does if nobody answers it. */
export function actsOfReconciler(
  { row, gateway }: Pick<OrderFacts, 'row' | 'gateway'>,
  periods: Periods,
  now: number,
): NextAct[] {
  const surplus = surplusOf(row, gateway, periods, now);
  const dispute = disputeOf(gateway);
  const every = span(periods.reconcileEveryMs);
  return [
    ...row.findings
      .filter(({ action }) => action === 'refunding' || action === 'waiting' || action === 'cancelling')
      .map(({ kind, action }) => ({
        what: `the reconciler goes on with ${kind} (${action}): it tries again every ${every}`,
        at: null,
      })),
    ...(surplus?.by == null
      ? []
      : [
          {
            what: `the reconciler gives the customer ${money(surplus.amount)} back, or opens a finding for you`,
            at: surplus.by,
            atLatest: true as const,
          },
        ]),
    ...(dispute?.how === 'open'
      ? [
          {
            what: `if nobody has answered the dispute, it is lost, and the shop with it ${money(row.total)}`,
            at: dispute.answerBy,
          },
        ]
      : []),
    ...refundAhead(row, gateway, periods, now),
    ...findingsAhead(row, gateway, periods, now),
    ...findingOfHeld(row, gateway, periods, now),
  ];
}

/** @param retentionMs for how long Temporal keeps what has ended; undefined = not known */
function unknownSaga(row: OrderRow, retentionMs: number | undefined, now: number): string {
  if (isFinal(row))
    return isGoneEarly(row, retentionMs, now)
      ? 'gone from Temporal sooner than its retention allows; this order is complete and does not need it: the log in Postgres has what was done'
      : 'not known any more, as is normal: Temporal keeps what has ended for its retention only; the log in Postgres has what was done';
  if (row.sagaStartedAt !== null) return 'none is known to Temporal, although it was begun';
  return row.state.status === 'CONFIRMED' ? 'none yet that takes the order back' : 'none yet';
}

function sourcesOf(row: OrderRow, saga: SagaView, gateway: GatewayView, now: number): Explanation['sources'] {
  const first = row.events[0]?.sequence;
  return {
    row: 'read',
    saga: !saga.asked
      ? `not reached: ${saga.why}`
      : saga.known
        ? `${saga.execution}, ${saga.historyLength} events of history`
        : unknownSaga(row, saga.retentionMs, now),
    gateway: gateway.asked ? `read at ${gateway.where}` : `not asked: ${gateway.why}`,
    events:
      first === undefined
        ? `none kept of ${row.eventCount}: retention has removed them`
        : `${row.events.length} of ${row.eventCount}, ${owedOf(row)}`,
  };
}

function owedOf({ owing, heldEvents }: OrderRow): string {
  const held = heldEvents.map(({ destination }) => destination);
  if (owing.length === 0 && held.length === 0) return 'delivered to every destination';
  const owed = owing.filter((destination) => !held.includes(destination));
  const parts = [owed.length > 0 && `owed to ${owed.join(', ')}`, held.length > 0 && `held for ${held.join(', ')}`];
  return parts.filter(Boolean).join('; ');
}
