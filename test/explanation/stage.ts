/** How an order is brought into each of the situations that an operator may find it in: one stack for all of them. */
import { randomUUID } from 'node:crypto';
import type { Client } from '@temporalio/client';
import { type Explanation, explainOrder, type ExplanationSources } from '../../explanation/explain.js';
import { createPaymentGateway } from '../../gateways/stripe.js';
import type { SagaActivities } from '../../contracts/steps.js';
import { readStanding } from '../../domain/installation.js';
import { type Cli, cliOf } from '../ops/cli.js';
import { eventually } from '../support/conditions.js';
import { stock } from '../support/database.js';
import { PATIENT, type SagaStack, startSagaStack } from '../support/saga.js';

export const KEY = 'sk_test_saga';

export type Stage = {
  s: SagaStack;
  ops: Cli;
  /** Steps and undos that fail, for every order, until they are taken out. */
  broken: Set<string>;
  explain(id: string, changed?: Partial<ExplanationSources>): Promise<Explanation>;
  /** Looks until it is this situation, and until that is said to come next. */
  until(id: string, situation: string, next?: RegExp | null): Promise<Explanation>;
  /** Money that arrives at the gateway under another key than the order's own. @returns the charge */
  takeMoney(id: string): Promise<string>;
  refundByHand(reference: string): Promise<void>;
  /** What the sandbox does on request, as the world would by itself. */
  intervene(path: string): Promise<void>;
};

export async function openStage(): Promise<Stage> {
  const broken = new Set<string>();
  const s = await startSagaStack({ activities: (real) => failing(real, broken) });
  await stock(s.db, 'A', 1_000);
  await stock(s.db, 'NONE', 0);
  const ledger = createPaymentGateway({ url: s.sandboxUrl, apiKey: KEY, timeoutMs: 2_000 });
  const gateway = { where: s.sandboxUrl, ledger };
  const sources = {
    db: s.db,
    client: s.client as Client | undefined,
    gateway,
    policyOfToday: PATIENT,
    probeEveryMs: 30_000,
  };
  const explain: Stage['explain'] = async (id, changed = {}) => {
    const explanation = await explainOrder({ ...sources, ...changed }, id);
    if (explanation === null) throw new Error(`there is no order ${id}`);
    return explanation;
  };
  const post = async (path: string, form?: Record<string, string>) => {
    const authorization = { headers: { authorization: `Bearer ${KEY}` } };
    const body = form && { ...authorization, body: new URLSearchParams(form) };
    const answer = await fetch(`${s.sandboxUrl}${path}`, { method: 'POST', ...body });
    if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
  };
  return {
    ...{ s, broken, explain, intervene: (path) => post(path) },
    ops: cliOf(s, { PAYMENTS_URL: s.sandboxUrl, STRIPE_API_KEY: KEY }),
    until: (id, situation, next) =>
      eventually(`it is ${situation}`, async () => {
        const told = await explain(id);
        const isNext = !next || next.test(told.next.map(({ what }) => what).join('\n'));
        return told.situation === situation && isNext && told;
      }),
    takeMoney: async (id) => {
      const { id: installationId } = await readStanding(s.db);
      const charged = await ledger.charge({
        due: { orderId: id, installationId, amount: 1_000, currency: 'USD' },
        paymentMethod: 'pm_card_visa',
        idempotencyKey: randomUUID(),
        since: new Date(),
        lookUp: async () => ({ dbNow: new Date(), spans: [] }),
      });
      if (charged.outcome !== 'charged') throw new Error(`the charge was ${charged.outcome}`);
      return eventually('the search finds it', async () => {
        const found = await ledger.findCharges(id);
        return found.some(({ reference }) => reference === charged.reference) && charged.reference;
      });
    },
    refundByHand: (reference) => post('/v1/refunds', { payment_intent: reference }),
  };
}

/** A failure that time may mend, as one of the database would be. */
function failing(real: SagaActivities, broken: Set<string>): SagaActivities {
  const entries = Object.entries(real) as [string, (input: never) => Promise<unknown>][];
  return Object.fromEntries(
    entries.map(([name, activity]) => [
      name,
      async (input: never) => {
        if (broken.has(name)) throw new Error(`${name} is broken for a test`);
        return activity(input);
      },
    ]),
  ) as unknown as SagaActivities;
}
