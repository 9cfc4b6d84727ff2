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
import type { PaymentStatus } from '../domain/payments.js';
import { type Choice, choicesOf } from './choices.js';
import { type Disagreement, disagreementsOf } from './disagreements.js';
import { type GatewayView, type LedgerPlace, movementsOf, readGateway, refundUnderWay } from './gateway-view.js';
import { type NextAct, nextActs } from './next-acts.js';
import { type OrderRow, readOrderRow } from './order-row.js';
import { isVouched } from '../domain/reconciliation-findings.js';
import { readSaga, type SagaView } from './saga-view.js';
import { isFinal, type Situation, type Standing, standingOf } from './situation.js';

export type ExplanationSources = {
  db: Database;
  /** undefined = Temporal has never answered. */
  client: Client | undefined;
  gateway: LedgerPlace;
  policyOfToday: SagaPolicy;
  probeEveryMs: number;
};

export type Happening = { at: string; source: 'row' | 'log' | 'event' | 'gateway' | 'finding'; what: string };
export type Explanation = {
  orderId: string;
  /** When it was looked. */
  at: string;
  situation: Situation;
  status: string;
  step: string | null;
  workflowId: string | null;
  why: string[];
  happened: Happening[];
  next: NextAct[];
  choices: Choice[];
  disagreements: Disagreement[];
  /** What each source is good for just now. */
  sources: { row: string; saga: string; gateway: string; events: string };
};

/** All that is known of an order, read once: what is said of it, in whatever form, is said from this. */
export type OrderFacts = { row: OrderRow; saga: SagaView; gateway: GatewayView; standing: Standing };

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
  return {
    orderId: row.id,
    at: new Date().toISOString(),
    situation: standing.situation,
    status: row.state.status,
    step: standing.step,
    workflowId: saga.asked ? saga.workflowId : null,
    why: [...standing.sentences, ...moneySentences(row, gateway)],
    happened: happenedOf(row, gateway),
    next: [...actsOfSaga(sources, facts), ...actsOfReconciler(row), ...actsOfRelay(row)],
    choices: choicesOf(row, saga, gateway, standing),
    disagreements: disagreementsOf(row, saga, gateway),
    sources: sourcesOf(row, saga, gateway),
  };
}

/** The words of our record, for whoever has only this text. */
const MEANS: Record<PaymentStatus, string> = {
  CHARGED: 'taken',
  DECLINED: 'refused by the gateway: nothing was taken',
  VOIDED: 'given up before anything was seen to be taken',
  REFUNDING: 'being given back',
  REFUNDED: 'given back',
  SETTLED_OUTSIDE: 'paid or given back by other means, as an operator has vouched',
};

const meaningOf = (status: PaymentStatus, { findings }: OrderRow): string =>
  MEANS[status].replace('an operator', findings.find(isVouched)?.closedBy ?? 'an operator');

function moneySentences(row: OrderRow, gateway: GatewayView): string[] {
  const { payment, total } = row;
  const { status } = payment;
  const underWay = status === 'REFUNDED' ? refundUnderWay(gateway, payment) : undefined;
  const means = status === null ? '' : underWay === undefined ? ` (${meaningOf(status, row)})` : `: ${underWay}`;
  const outcome = status === null ? 'no outcome is on record' : `it is ${status}${means}`;
  const record = `Money: of the charge of ${money(total)} ${outcome}`;
  if (!gateway.asked) return [`${record}; the gateway was not asked.`];
  const none = gateway.charges.length === 0 ? ' (it lists no charge; its search is up to a minute late)' : '';
  return [`${record}; the gateway holds ${money({ amount: gateway.holds, currency: total.currency })}${none}.`];
}

/** Oldest first; the log and the events tell the same deeds from two sides. */
function happenedOf(row: OrderRow, gateway: GatewayView): Happening[] {
  const happened: Happening[] = [
    { at: row.createdAt, source: 'row', what: 'accepted' },
    ...(row.sagaStartedAt === null
      ? []
      : [{ at: row.sagaStartedAt, source: 'row', what: 'its saga was seen to begin' } as const]),
    ...row.log.map(({ at, step, outcome, actor, detail }): Happening => {
      const by = actor === null ? '' : ` by ${actor}`;
      return { at, source: 'log', what: `${step}: ${outcome}${by}${detail === null ? '' : ` (${detail})`}` };
    }),
    ...row.events.map(({ at, type, sequence }): Happening => ({ at, source: 'event', what: `${sequence} ${type}` })),
    ...row.findings.flatMap((finding): Happening[] => {
      if (isVouched(finding)) return []; // the log has it, as the step that was skipped
      const { at, kind, action, reference } = finding;
      return [{ at: at.toISOString(), source: 'finding', what: `${kind} at ${reference || 'no charge'}: ${action}` }];
    }),
    ...(gateway.asked ? gateway.charges : []).map((charge): Happening => {
      const { at, reference, state } = charge;
      return { at, source: 'gateway', what: `${reference} ${state}: ${movementsOf(charge)}` };
    }),
  ];
  return happened.toSorted((a, b) => a.at.localeCompare(b.at));
}

/** What its saga does next if nobody does anything, soonest first. */
export function actsOfSaga(
  { policyOfToday, probeEveryMs }: ExplanationSources,
  { row, saga, standing }: OrderFacts,
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
  });
}

export const actsOfReconciler = ({ findings }: OrderRow): NextAct[] =>
  findings
    .filter(({ action }) => action === 'refunding' || action === 'waiting' || action === 'cancelling')
    .map(({ kind, action }) => ({
      what: `the reconciler goes on with ${kind} (${action}) on its next passes`,
      at: null,
    }));

function actsOfRelay({ owing, heldEvents }: OrderRow): NextAct[] {
  const held = [...new Set(heldEvents.map(({ destination }) => destination))];
  return [
    ...owing.map((destination) => ({ what: `a relay goes on delivering events to ${destination}`, at: null })),
    ...held.map((destination) => ({
      what: `the events held for ${destination} are not sent: a dead letter waits for a decision`,
      at: null,
    })),
  ];
}

function sourcesOf(row: OrderRow, saga: SagaView, gateway: GatewayView): Explanation['sources'] {
  const first = row.events[0]?.sequence;
  return {
    row: 'read',
    saga: !saga.asked
      ? `not reached: ${saga.why}`
      : saga.known
        ? `${saga.execution}, ${saga.historyLength} events of history`
        : isFinal(row)
          ? 'not known any more: Temporal keeps histories for its retention only; the log in Postgres stands for it'
          : 'not known to Temporal',
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
  const parts = [owing.length > 0 && `owed to ${owing.join(', ')}`, held.length > 0 && `held for ${held.join(', ')}`];
  return parts.filter(Boolean).join('; ');
}
