/** Every situation in which an operator may find an order, and what is to be said of it: one declared table. */
import { randomUUID } from 'node:crypto';
import { orderSagaId } from '../../contracts/ids.js';
import { PLAN_VERSION } from '../../contracts/plan.js';
import { confirmOrder } from '../../domain/confirmation.js';
import { createCursors } from '../../domain/cursors.js';
import { readStanding } from '../../domain/installation.js';
import { reserveInventory } from '../../domain/inventory.js';
import { requestCancellation } from '../../domain/orders.js';
import { recordCharge } from '../../domain/payments.js';
import { createPaymentGateway } from '../../gateways/stripe.js';
import { reconcileOnce } from '../../reconciliation/pass.js';
import { restartSaga } from '../../sagas/restart.js';
import { SILENT } from '../support/api.js';
import { accept } from '../support/database.js';
import { PATIENT } from '../support/saga.js';
import { KEY, type Stage } from './stage.js';

let stage: Stage;
/** To be called before any order is staged. */
export function useStage(opened: Stage): void {
  stage = opened;
}

const SOON = { stepRetryBudgetMs: 1_000 };
const wanted = { reason: 'CANCELLED_BY_CUSTOMER' } as const;

export const confirmed = async () => {
  const { order, result } = await stage.s.place({ A: 1 });
  await result();
  return order.id;
};
const cancelled = async () => {
  const { order, result } = await stage.s.place({ NONE: 1 });
  await result();
  return order.id;
};
export const parkedAt = async (step: string, before: () => Promise<unknown> | unknown = () => undefined) => {
  stage.broken.add(step);
  await before();
  return (await stage.s.place({ A: 1 }, { policy: SOON })).order.id;
};
export const retrying = async () => {
  stage.broken.add('chargePayment');
  return (await stage.s.place({ A: 1 })).order.id;
};
const chargeOf = async (orderId: string) =>
  (await stage.s.db.payment.findUniqueOrThrow({ where: { orderId } })).gatewayReference as string;
const reconcile = async (id: string) => {
  const gateway = createPaymentGateway({ url: stage.s.sandboxUrl, apiKey: KEY, timeoutMs: 2_000 });
  const { id: installationId } = await readStanding(stage.s.db);
  await stage.s.db.$executeRaw`UPDATE reconciliation_cursors SET lease_owner = NULL`;
  await reconcileOnce({ db: stage.s.db, gateway, installationId, logger: SILENT, owner: randomUUID() }, [id]);
};
const cancelIn = (id: string) => requestCancellation(stage.s.db, id, wanted);
/** Of a confirmed order: its cancellation is carried out. */
export const cancelAndEnd = async (id: string) => {
  await cancelIn(id);
  await restartSaga({ client: stage.s.client, db: stage.s.db, policy: PATIENT }, id);
  await stage.until(id, 'cancelled');
};
/** As Postgres has an order whose history is gone. */
const confirmedLongAgo = async () => {
  const { db } = stage.s;
  const { id } = await accept(db, { A: 1 });
  await reserveInventory(db, id);
  await recordCharge(db, id, await stage.takeMoney(id));
  await confirmOrder(db, id);
  return id;
};

/** An operator has vouched that the money came by bank transfer. */
const paidOutside = async () => {
  const { db } = stage.s;
  const { id } = await accept(db, { A: 1 });
  await reserveInventory(db, id);
  await recordCharge(db, id, null, { attempts: 3, skippedBy: 'op-7' });
  await confirmOrder(db, id);
  return id;
};

type Said = {
  situation: string;
  /** Of `why`, `next`, `choices`, `disagreements`: what must be in the text; null = there is nothing of it. */
  why?: RegExp;
  next?: RegExp | null;
  /** First words of the commands that may be typed, in their order; the arguments are tested by running them. */
  choices?: string[];
  /** What they cost, by these words: money, stock, customer. */
  costs?: Record<string, RegExp>;
  disagreements?: RegExp | null;
  sources?: RegExp;
  happened?: RegExp;
};
export type Staged = { name: string; stage: () => Promise<string>; said: Said };

export const STAGED: Staged[] = [
  {
    name: 'confirmed',
    stage: confirmed,
    said: { situation: 'confirmed', why: /final/, next: null, choices: ['cancel'], disagreements: null },
  },
  {
    name: 'out of stock, cancelled',
    stage: cancelled,
    said: { situation: 'cancelled', why: /OUT_OF_STOCK/, next: null, choices: [], disagreements: null },
  },
  {
    name: 'accepted, and no saga yet',
    stage: async () => (await accept(stage.s.db, { A: 1 })).id,
    said: {
      situation: 'waits-for-start',
      next: /a relay starts its saga/,
      choices: ['retry', 'cancel'],
      disagreements: null,
    },
  },
  {
    name: 'charging slowly',
    stage: async () => {
      await stage.s.fault({ route: 'charge', mode: 'slow', delayMs: 4_000, count: null });
      return (await stage.s.place({ A: 1 })).order.id;
    },
    said: { situation: 'under-way', choices: ['cancel'], disagreements: null },
  },
  {
    name: 'retrying its charge',
    stage: retrying,
    said: {
      situation: 'retrying',
      why: /chargePayment is broken/,
      next: /try \d+ of chargePayment/,
      choices: ['retry', 'skip', 'compensate', 'cancel'],
    },
  },
  ...(['reserveInventory', 'chargePayment'] as const).map((step) => ({
    name: `parked at ${step}`,
    stage: () => parkedAt(step),
    said: {
      situation: 'parked',
      why: new RegExp(`${step} is parked`),
      next: /waits for an operator|unwinds/,
      choices: ['retry', 'skip', 'compensate', 'cancel'],
    },
  })),
  {
    name: 'parked at confirmOrder',
    stage: () => parkedAt('confirmOrder', () => stage.s.fault({ route: 'charge', mode: 'down', count: 1 })),
    said: {
      situation: 'parked',
      why: /confirmOrder is parked/,
      choices: ['retry', 'skip', 'compensate', 'cancel'],
      disagreements: null,
    },
  },
  {
    name: 'parked by a gateway that is away',
    stage: async () => {
      await stage.s.fault({ route: 'charge', mode: 'down', count: null });
      return (await stage.s.place({ A: 1 }, { policy: SOON })).order.id;
    },
    said: { situation: 'parked', why: /GatewayUnknown/, next: /the prober tries chargePayment again within 30 s/ },
  },
  {
    name: 'cancelled by the customer before the confirmation, its undo failing for now',
    stage: async () => {
      stage.broken.add('refundPayment');
      const id = await retrying();
      await stage.until(id, 'retrying');
      await cancelIn(id);
      const request = { reason: 'changed their mind', requestedBy: 'cus-1' };
      await stage.s.client.workflow.getHandle(orderSagaId(id)).executeUpdate('cancel', { args: [request] });
      return id;
    },
    said: {
      situation: 'unwinding',
      why: /CANCELLED_BY_CUSTOMER/,
      next: /try \d+ of refundPayment/,
      choices: ['retry', 'skip'],
    },
  },
  {
    name: 'unwinding, an undo failing for long',
    stage: async () => {
      stage.broken.add('releaseInventory');
      const { order } = await stage.s.place(
        { A: 1 },
        { paymentMethod: 'pm_card_chargeDeclined', policy: { compensationAttentionAfterMs: 500 } },
      );
      return order.id;
    },
    said: {
      situation: 'undo-failing',
      why: /releaseInventory has failed for long/,
      next: /releaseInventory is tried again every minute|try \d+ of releaseInventory/,
      choices: ['retry', 'skip'],
      costs: {
        retry: /^none · the order’s pieces go back on sale, once · the order is then cancelled$/,
        skip: /^none · nothing is moved: you vouch for the pieces · the order is then cancelled$/,
      },
      disagreements: null,
    },
  },
  {
    name: 'cancelled after the confirmation, and no saga yet',
    stage: async () => {
      const id = await confirmed();
      await cancelIn(id);
      return id;
    },
    said: { situation: 'waits-for-start', why: /CANCELLED_BY_CUSTOMER/, choices: ['retry'], disagreements: null },
  },
  {
    name: 'a confirmed order being taken back',
    stage: async () => {
      const id = await confirmed();
      stage.broken.add('refundPayment');
      await cancelIn(id);
      await restartSaga({ client: stage.s.client, db: stage.s.db, policy: PATIENT }, id);
      return id;
    },
    said: { situation: 'unwinding', next: /try \d+ of refundPayment/, choices: ['retry', 'skip'], disagreements: null },
  },
  {
    name: 'confirmed, and paid outside',
    stage: paidOutside,
    said: {
      situation: 'confirmed',
      why: /SETTLED_OUTSIDE \(paid or given back by other means, as op-7 has vouched\)/,
      choices: ['cancel'],
      costs: { cancel: /^10\.00 USD came by other means; give it back by hand; the cancel waits at refundPayment/ },
      disagreements: null,
    },
  },
  {
    name: 'paid outside, and being taken back',
    stage: async () => {
      const id = await paidOutside();
      await cancelIn(id);
      await restartSaga({ client: stage.s.client, db: stage.s.db, policy: PATIENT }, id);
      return id;
    },
    said: {
      situation: 'undo-failing',
      why: /\(PaidOutside\): it needs an operator\. It is tried again every minute/,
      next: /refundPayment is tried again every minute.*\(PaidOutside\)/,
      choices: ['retry', 'skip'],
      costs: {
        retry:
          /^not 10\.00 USD that came by other means: give it back by hand, then skip · none · the order is then cancelled$/,
        skip: /^nothing is given back: .*of 10\.00 USD must have been already · none · the order is then cancelled$/,
      },
      disagreements: null,
    },
  },
  {
    name: 'cancelled, and charged late',
    stage: async () => {
      const id = await cancelled();
      await stage.takeMoney(id);
      return id;
    },
    said: { situation: 'cancelled', disagreements: /a late charge/, choices: ['reconcile'] },
  },
  {
    name: 'charged late, found and given back',
    stage: async () => {
      const id = await cancelled();
      await stage.takeMoney(id);
      await reconcile(id);
      return id;
    },
    said: { situation: 'cancelled', disagreements: null, choices: [], happened: /LATE_CHARGE at \S+: refunded/ },
  },
  {
    name: 'confirmed, and charged twice',
    stage: async () => {
      const id = await confirmed();
      await stage.takeMoney(id);
      return id;
    },
    said: {
      situation: 'confirmed',
      disagreements: /holds 20\.00 USD of 10\.00 USD: it was charged twice/,
      choices: ['cancel', 'reconcile'],
    },
  },
  {
    name: 'taken back, and its refund failed later',
    stage: async () => {
      const id = await confirmed();
      await cancelAndEnd(id);
      const { refundReference } = await stage.s.db.payment.findUniqueOrThrow({ where: { orderId: id } });
      await stage.intervene(`/sandbox/refunds/${refundReference}/fail`);
      return id;
    },
    said: {
      situation: 'cancelled',
      disagreements: /REFUNDED, and the gateway holds 10\.00 USD/,
      choices: ['reconcile'],
    },
  },
  {
    name: 'confirmed, and given back at the gateway',
    stage: async () => {
      const id = await confirmed();
      await stage.refundByHand(await chargeOf(id));
      return id;
    },
    said: {
      situation: 'confirmed',
      disagreements: /CHARGED, and the gateway holds 0\.00 USD of 10\.00 USD/,
      choices: ['cancel', 'reconcile'],
    },
  },
  {
    name: 'given back at the gateway, and reported',
    stage: async () => {
      const id = await confirmed();
      await stage.refundByHand(await chargeOf(id));
      await reconcile(id);
      return id;
    },
    said: {
      situation: 'confirmed',
      disagreements: /Finding \d+: REFUNDED_AT_GATEWAY.*It waits for a human/s,
      choices: ['cancel', 'reconcile', 'reconcile'],
    },
  },
  {
    name: 'disputed',
    stage: async () => {
      const id = await confirmed();
      await stage.intervene(`/sandbox/payment_intents/${await chargeOf(id)}/dispute`);
      return id;
    },
    said: {
      situation: 'confirmed',
      disagreements: /disputes the charge with their bank \(needs_response\)/,
      costs: { cancel: /^10\.00 USD goes back if the dispute is won; nothing while it is open/ },
    },
  },
  {
    name: 'being taken back, its dispute lost',
    stage: async () => {
      const id = await confirmed();
      const charge = await chargeOf(id);
      await stage.intervene(`/sandbox/payment_intents/${charge}/dispute`);
      await cancelIn(id);
      await restartSaga({ client: stage.s.client, db: stage.s.db, policy: PATIENT }, id);
      await stage.until(id, 'undo-failing');
      const { s } = stage;
      const disputes = await fetch(`${s.sandboxUrl}/v1/disputes?payment_intent=${charge}`, {
        headers: { authorization: `Bearer ${KEY}` },
      });
      const { data } = (await disputes.json()) as { data: { id: string }[] };
      await stage.intervene(`/sandbox/disputes/${data[0]?.id}/lose`);
      return id;
    },
    said: {
      situation: 'undo-failing',
      disagreements: /dispute of the charge is lost: the bank has given the money back/,
      choices: ['retry', 'skip'],
      costs: { retry: /^nothing goes back: the dispute is lost, and the bank has paid · none|the bank has paid · the/ },
    },
  },
  {
    name: 'terminated',
    stage: async () => {
      const id = await retrying();
      await stage.until(id, 'retrying');
      await stage.s.client.workflow.getHandle(orderSagaId(id)).terminate('a mistake');
      return id;
    },
    said: {
      situation: 'saga-ended',
      why: /TERMINATED at .* a mistake/,
      next: /a relay begins it anew/,
      choices: ['retry', 'cancel'],
      disagreements: /not final, and its saga was TERMINATED/,
    },
  },
  {
    name: 'begun, and unknown to Temporal',
    stage: async () => {
      const { id } = await accept(stage.s.db, { A: 1 });
      await stage.s.db.order.update({ where: { id }, data: { sagaStartedAt: new Date() } });
      return id;
    },
    said: { situation: 'saga-missing', choices: ['retry', 'cancel'], disagreements: /Temporal knows none/ },
  },
  {
    name: 'confirmed, its history removed by retention',
    stage: confirmedLongAgo,
    said: {
      situation: 'confirmed',
      sources: /retention only; the log in Postgres/,
      disagreements: null,
      happened: /confirmOrder: completed/,
    },
  },
  {
    name: 'accepted under a newer plan',
    stage: async () => {
      const { id } = await accept(stage.s.db, { A: 1 });
      await stage.s.db.order.update({ where: { id }, data: { planVersion: PLAN_VERSION + 1 } });
      return id;
    },
    said: { situation: 'newer-plan', why: /accepted under plan/, next: /a newer build/, choices: ['cancel'] },
  },
  {
    name: 'paused by an operator',
    stage: async () => {
      const id = await retrying();
      await stage.until(id, 'retrying');
      await stage.s.client.workflowService.pauseActivity({
        namespace: 'default',
        execution: { workflowId: orderSagaId(id) },
        type: 'chargePayment',
        identity: 'a test',
      });
      return id;
    },
    said: {
      situation: 'paused',
      next: /an operator has paused it/,
      choices: ['temporal activity unpause', 'retry', 'skip', 'compensate', 'cancel'],
    },
  },
  {
    name: 'confirmed, an event held and others owed',
    stage: async () => {
      await createCursors(stage.s.db, ['webhook']);
      const id = await confirmed();
      const letter = { destination: 'webhook', orderId: id, sequence: 1, type: 'order.accepted', cause: 'rejected' };
      await stage.s.db.deadLetter.create({ data: { ...letter, error: '400', attempts: 1 } });
      return id;
    },
    said: {
      situation: 'confirmed',
      sources: /held for webhook/,
      next: /waits for a decision/,
      choices: ['cancel', 'dead-letters replay', 'dead-letters discard'],
    },
  },
];
