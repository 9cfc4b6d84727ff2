/** Orders that are on their way to be confirmed, or should be: how each is staged, and what is to be said of it. */
import { orderSagaId } from '../../contracts/ids.js';
import { PLAN_VERSION } from '../../contracts/plan.js';
import { accept } from '../support/database.js';
import type { Staged } from './staged.js';
import { SOON, parkedAt, retrying, stage } from './staging.js';

export const GOING: Staged[] = [
  {
    name: 'accepted, and no saga yet',
    stage: async () => (await accept(stage.s.db, { A: 1 })).id,
    said: {
      situation: 'waits-for-start',
      next: /a relay starts its saga within seconds, if one runs/,
      why: /normal for some seconds; it is late from [\d:]+Z on/,
      usual: /^Usual: wait\. Still so after [\d:]+Z: look whether a relay runs/,
      uses: { retry: /^it still says so after [\d:]+Z$/ },
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
      next: /try \d+ of chargePayment; if it fails, again, 15 s apart at most, until [\d:]+Z; then it is parked, and waits for you\n[\s\S]*if chargePayment is still not done, the order is CANCELLED \(money: none is known to have been taken; what is found to have been goes back; stock: the order’s pieces go back on sale\)/,
      choices: ['retry', 'cancel', 'compensate', 'skip'],
      usual: /^Usual: wait\. It is tried by itself until [\d:]+Z\. Call the developers if it stays/,
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
      usual:
        /one `ops retry`, which does no harm\. It fails again\? Call the developers.* before [\d:]+Z\? It lapses then: CANCELLED/,
      usualAct: 'retry',
      uses: { retry: /^once without mending, since that does no harm; .* before [\d:]+Z$/ },
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
      why: /confirmOrder is parked: it failed \(an error of no known kind: Error\)[\s\S]*Stock: 1 × A reserved/,
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
      usual: /^Usual: wait\. Still so after [\d:]+Z: `ops retry`, and call whoever runs Temporal/,
      uses: { retry: /^it still says so after [\d:]+Z$/ },
      next: /a relay begins its saga anew, and the order GOES ON/,
      choices: ['retry', 'cancel'],
      disagreements: /Temporal knows none\. A relay begins it anew by [\d:]+Z, and the order GOES ON/,
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
      next: /not tried until it is let go[\s\S]*While it is paused nothing is cancelled by it\. From then on `ops retry` still tries chargePayment, but `temporal activity unpause` has the order CANCELLED/,
      choices: ['retry', 'temporal activity unpause', 'cancel', 'compensate', 'skip'],
      usual: /ask whoever paused it/,
      usualAct: null,
      uses: { 'temporal activity unpause': /before the order’s deadline: after that it has the order CANCELLED/ },
      never: /parked then/,
    },
  },
];
