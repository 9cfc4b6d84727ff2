/** Every situation in which an operator may find an order, and what is to be said of it: one declared table. */
import { randomUUID } from 'node:crypto';
import { orderSagaId } from '../../contracts/ids.js';
import type { SagaPolicy } from '../../contracts/saga.js';
import { PLAN_VERSION } from '../../contracts/plan.js';
import { confirmOrder } from '../../domain/confirmation.js';
import { createCursors } from '../../domain/cursors.js';
import { readStanding } from '../../domain/installation.js';
import { reserveInventory } from '../../domain/inventory.js';
import { requestCancellation } from '../../domain/orders.js';
import { recordCharge } from '../../domain/payments.js';
import { recordDecision } from '../../domain/saga-log.js';
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
export const retrying = async (policy: Partial<SagaPolicy> = {}) => {
  stage.broken.add('chargePayment');
  return (await stage.s.place({ A: 1 }, { policy })).order.id;
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
  await recordDecision(db, {
    ...{ id: randomUUID(), orderId: id, action: 'skip', step: 'chargePayment', before: 'NEEDS_ATTENTION' },
    ...{ operator: 'op-7', reason: 'bank transfer, ticket 4711' },
  });
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
  /** What they cost, by these words: money, stock, customer, and what follows by itself. */
  costs?: Record<string, RegExp>;
  /** When they are the right ones, and what they do; `usual` = the one that is marked so, null = none is. */
  uses?: Record<string, RegExp>;
  usual?: RegExp;
  usualAct?: string | null;
  /** Nowhere in what is said. */
  never?: RegExp;
  disagreements?: RegExp | null;
  sources?: RegExp;
  happened?: RegExp;
};
export type Staged = { name: string; stage: (policy?: Partial<SagaPolicy>) => Promise<string>; said: Said };

export const STAGED: Staged[] = [
  {
    name: 'confirmed',
    stage: confirmed,
    said: {
      situation: 'confirmed',
      why: /final unless somebody cancels it[\s\S]*10\.00 USD is CHARGED[\s\S]*shop holds 10\.00 USD\.\nStock: 1 × A sold to this order\./,
      next: null,
      choices: ['cancel'],
      disagreements: null,
      usual: /nothing is to be done/,
      usualAct: null,
      // The gateway dates a charge by whole seconds: it is not told before the order was accepted.
      happened: /^accepted[\s\S]*reserveInventory: completed[\s\S]*charge succeeded: 10\.00 USD taken/,
    },
  },
  {
    name: 'out of stock, cancelled',
    stage: cancelled,
    said: {
      situation: 'cancelled',
      why: /OUT_OF_STOCK[\s\S]*no charge is on record: the order was refused before its charge[\s\S]*as far as is known[\s\S]*look again after [\d:]+Z[\s\S]*Stock: nothing was ever reserved/,
      next: null,
      choices: [],
      disagreements: null,
      usual: /A charge that came late would show, and go back by itself, after [\d:]+Z/,
      happened: /cancelOrder: done/,
      never: /undone$|come to its end/m,
    },
  },
  {
    name: 'accepted, and no saga yet',
    stage: async () => (await accept(stage.s.db, { A: 1 })).id,
    said: {
      situation: 'waits-for-start',
      next: /a relay starts its saga, within 5 s/,
      why: /normal for some seconds; it is late from [\d:]+Z on/,
      sources: /^none yet$/m,
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
    said: {
      situation: 'under-way',
      why: /under way since [\d:]+Z; nothing is wrong/,
      next: /carried out: a first try of a step takes 5 s at most[\s\S]*if it is not confirmed by then, the order is CANCELLED \(money: .*; stock: /,
      choices: ['cancel'],
      never: /parked/,
    },
  },
  {
    name: 'retrying its charge',
    stage: () => retrying(),
    said: {
      situation: 'retrying',
      why: /chargePayment is broken/,
      next: /try \d+ of chargePayment; if it fails, again, 15 s apart at most, until [\d:]+Z; then it is parked[\s\S]*if chargePayment is still not done, the order is CANCELLED \(money: none is known to have been taken; what is found to have been goes back; stock: the order’s pieces go back on sale\)/,
      choices: ['retry', 'cancel', 'compensate', 'skip'],
      usual: /^Usual: wait\./,
      usualAct: null,
      costs: {
        retry: /^takes 10\.00 USD, once.* · the order is CONFIRMED, and its pieces are sold$/,
        cancel: /^none is known to have been taken; what is found to have been goes back · .*sees your reason/,
        compensate: /sees a sentence of ours, not your reason/,
      },
      uses: {
        cancel: /the usual way to give an order up/,
        compensate: /it is to stay if it is confirmed meanwhile/,
        skip: /^you have seen that the customer has paid 10\.00 USD by another way/,
      },
    },
  },
  ...(['reserveInventory', 'chargePayment'] as const).map((step) => ({
    name: `parked at ${step}`,
    stage: () => parkedAt(step),
    said: {
      situation: 'parked',
      why: new RegExp(`${step} is parked`),
      next: new RegExp(
        `not tried again by itself: it waits for you[\\s\\S]*if ${step} is still not done, the order is CANCELLED`,
      ),
      choices: ['retry', 'cancel', 'compensate', 'skip'],
      usual: /mend what the last error says, then `ops retry`, before [\d:]+Z/,
      usualAct: 'retry',
      ...(step === 'reserveInventory' && {
        costs: { retry: /^none · reserves the order’s pieces · none · 10\.00 USD is charged, and the order CONFIRMED/ },
      }),
    },
  })),
  {
    name: 'parked at confirmOrder',
    stage: () => parkedAt('confirmOrder', () => stage.s.fault({ route: 'charge', mode: 'down', count: 1 })),
    said: {
      situation: 'parked',
      why: /confirmOrder is parked: it failed \(an error without a kind of its own: Error\)[\s\S]*Stock: 1 × A reserved/,
      // Skipping it would do what trying it does.
      choices: ['retry', 'cancel', 'compensate'],
      next: /if confirmOrder is still not done, the order is CANCELLED \(money: 10\.00 USD goes back; stock: /,
      disagreements: null,
    },
  },
  {
    name: 'parked by a gateway that is away',
    stage: async () => {
      await stage.s.fault({ route: 'charge', mode: 'down', count: null });
      return (await stage.s.place({ A: 1 }, { policy: SOON })).order.id;
    },
    said: {
      situation: 'parked',
      why: /failed for 1 s, which is all that it is tried for \(the payment gateway gave no answer, or none about money: GatewayUnknown\)\. It is tried again by itself/,
      next: /chargePayment is tried again within 55 s of the moment when the payment gateway answers again/,
      usual: /^Usual: wait\..*see to that, before [\d:]+Z/,
      never: /neighbour|prober|whole budget/,
    },
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
      next: /try \d+ of refundPayment; if it fails, it is tried again and again, for ever, 1 min apart at most/,
      choices: ['retry', 'skip'],
      costs: {
        retry:
          /^nothing goes back: the gateway holds nothing of it · none · none · the order’s pieces go back on sale, and the order is CANCELLED$/,
        skip: /^gives NOTHING back; nothing is owed as far as is known: .* · the order’s pieces go back on sale, and the order is CANCELLED$/,
      },
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
      why: /releaseInventory has failed for longer than 0\.5 s by now/,
      next: /releaseInventory is tried again every minute|try \d+ of releaseInventory/,
      // Skipping it would do what trying it does.
      choices: ['retry'],
      costs: { retry: /^none · the order’s pieces go back on sale, once · none · the order is CANCELLED$/ },
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
    said: {
      situation: 'waits-for-start',
      why: /being cancelled: CANCELLED_BY_CUSTOMER; it was confirmed before/,
      next: /a relay starts its saga, within 5 s.*the order is CANCELLED \(money: 10\.00 USD goes back; stock: the order’s pieces go back on sale\)/,
      choices: ['retry'],
      disagreements: null,
    },
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
    said: {
      situation: 'unwinding',
      next: /try \d+ of refundPayment/,
      choices: ['retry', 'skip'],
      costs: {
        retry: /^10\.00 USD goes back · none · none · the order’s pieces go back on sale, and the order is CANCELLED$/,
        skip: /^gives NOTHING back: the customer loses 10\.00 USD unless you have given it back yourself/,
      },
      happened: /the saga that takes it back was seen to begin/,
      disagreements: null,
    },
  },
  {
    name: 'confirmed, and paid outside',
    stage: paidOutside,
    said: {
      situation: 'confirmed',
      why: /10\.00 USD was PAID outside the gateway, as op-7 vouched at [\d:]+Z: “bank transfer, ticket 4711”; it is not given back/,
      choices: ['cancel'],
      costs: {
        cancel: /^10\.00 USD came by other means, and no machine gives it back: the cancel waits at refundPayment/,
      },
      sources: /sooner than Temporal’s retention can have removed it/,
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
      why: /PaidOutside\): it needs you\. It is tried again every minute[\s\S]*as op-7 vouched at [\d:]+Z: “bank transfer, ticket 4711”; it is not given back/,
      next: /refundPayment is tried again every minute, and fails every time, until you skip it.*PaidOutside/,
      choices: ['skip', 'retry'],
      usual: /give the customer 10\.00 USD back by the way it came, once; then `ops skip`/,
      usualAct: 'skip',
      costs: {
        retry: /^NOT the 10\.00 USD that came by other means · none · none$/,
        skip: /^gives NOTHING back: the customer loses 10\.00 USD unless you have given it back yourself · none · none · the order’s pieces go back on sale, and the order is CANCELLED$/,
      },
      uses: { retry: /^never here: it will fail again/ },
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
    said: {
      situation: 'cancelled',
      disagreements:
        /a late charge[\s\S]*gives the customer the 10\.00 USD back that the shop holds wrongly, by [\d:]+Z at the latest \(it looks every 20 s\)\. A refund cannot be taken back\.[\s\S]*it opens a finding for you instead: `ops reconcile --order /,
      next: /^the reconciler gives the customer 10\.00 USD back, or opens a finding for you$/,
      choices: ['reconcile'],
      costs: { reconcile: /^10\.00 USD that the shop holds wrongly goes back, as it would by itself · / },
      never: /may go back|settles or reports|next passes/,
    },
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
      disagreements:
        /holds 20\.00 USD at the gateway, of 10\.00 USD: it was charged twice[\s\S]*gives the customer the 10\.00 USD back[\s\S]*by [\d:]+Z at the latest/,
      next: /^the reconciler gives the customer 10\.00 USD back, or opens a finding for you$/,
      choices: ['reconcile', 'cancel'],
      never: /may go back|settles or reports/,
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
      why: /recorded as REFUNDED, but the customer does not have it\. At the gateway the shop holds 10\.00 USD/,
      disagreements: /REFUNDED, and the shop holds 10\.00 USD[\s\S]*by one more refund, by [\d:]+Z at the latest/,
      next: /^the reconciler gives the customer 10\.00 USD back, or opens a finding for you$/,
      choices: ['reconcile'],
      happened: /refundPayment: done[\s\S]*releaseInventory: done[\s\S]*cancelOrder: done/,
      never: /may go back|settles or reports/,
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
      disagreements: /CHARGED, and the shop holds 0\.00 USD at the gateway, of 10\.00 USD/,
      choices: ['reconcile', 'cancel'],
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
      disagreements: /Finding \d+: REFUNDED_AT_GATEWAY.*It waits for you/s,
      choices: ['reconcile', 'reconcile', 'cancel'],
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
      why: /shop holds 10\.00 USD, which the customer disputes with their bank/,
      disagreements:
        /disputes the charge with their bank \(needs_response\)[\s\S]*answer or accept it in the gateway’s dashboard, by \d{4}-\d\d-\d\d [\d:]+Z: else the shop loses 10\.00 USD/,
      next: /^if nobody has answered the dispute, it is lost, and the shop with it 10\.00 USD$/,
      choices: ['answer,', 'cancel'],
      usualAct: 'answer,',
      costs: {
        cancel:
          /^10\.00 USD goes back only if the shop wins the dispute; if the shop loses it, the bank takes it from the shop and gives it to the customer\. While it is open, the cancel waits at refundPayment/,
      },
      never: /see the findings|then the bank has paid/,
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
      why: /but the dispute of it is lost: the bank has given it to the customer/,
      disagreements: /shop has lost the customer’s dispute of the charge: the bank has taken the money from the shop/,
      choices: ['skip', 'retry'],
      usualAct: 'skip',
      costs: { skip: /^gives NOTHING back, and nothing is owed: the bank has given it back/ },
      uses: { retry: /^never here: it will fail again/ },
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
      why: /TERMINATED at [\d:]+Z by \S+ \(the reason given: “a mistake”\)/,
      next: /a relay begins it anew only to have the order CANCELLED \(money: .*; stock: .*\)\. `ops retry` before then lets the order GO ON/,
      choices: ['retry', 'cancel'],
      usualAct: 'retry',
      costs: {
        retry:
          /^none · none · none · the customer pays 10\.00 USD as ordered, if that was not taken before, and the order is CONFIRMED$/,
      },
      disagreements:
        /Nothing happens until [\d:]+Z\. Then it is begun anew, and the order CANCELLED; `ops retry` before then lets it GO ON/,
    },
  },
  {
    name: 'begun, and unknown to Temporal',
    stage: async () => {
      const { id } = await accept(stage.s.db, { A: 1 });
      await stage.s.db.order.update({ where: { id }, data: { sagaStartedAt: new Date() } });
      return id;
    },
    said: {
      situation: 'saga-missing',
      why: /Temporal knows none, which should not be/,
      next: /a relay begins its saga anew, and the order GOES ON/,
      choices: ['retry', 'cancel'],
      disagreements: /Temporal knows none\. A relay begins it anew by [\d:]+Z, and the order GOES ON/,
    },
  },
  {
    name: 'confirmed, its history removed by retention',
    stage: confirmedLongAgo,
    said: {
      situation: 'confirmed',
      sources: /retention can have removed it: the log in Postgres/,
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
    stage: async (policy) => {
      const id = await retrying(policy);
      await stage.until(id, 'retrying');
      await stage.s.client.workflowService.pauseActivity({
        namespace: 'default',
        execution: { workflowId: orderSagaId(id) },
        type: 'chargePayment',
        identity: 'op-9',
        reason: 'looking at the gateway',
      });
      return id;
    },
    said: {
      situation: 'paused',
      why: /paused in Temporal since [\d:]+Z \(by op-9; the reason given: “looking at the gateway”\)/,
      next: /not tried until it is let go[\s\S]*While it is paused that clock is not looked at: the order is not cancelled by itself/,
      choices: ['retry', 'temporal activity unpause', 'cancel', 'compensate', 'skip'],
      usualAct: 'retry',
      uses: { 'temporal activity unpause': /after the order’s deadline it has the order CANCELLED instead/ },
      never: /parked then/,
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
