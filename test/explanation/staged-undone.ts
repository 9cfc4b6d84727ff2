/** Orders that are being cancelled: how each is staged, and what is to be said of it. */
import { orderSagaId } from '../../contracts/ids.js';
import { restartSaga } from '../../sagas/restart.js';
import { PATIENT } from '../support/saga.js';
import { KEY } from './stage.js';
import type { Staged } from './staged.js';
import { cancelIn, chargeOf, confirmed, paidOutside, retrying, stage } from './staging.js';

export const UNDONE: Staged[] = [
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
      next: /a relay starts its saga within seconds, if one runs: the order is CANCELLED \(money: 10\.00 USD goes back; stock: the order’s pieces go back on sale\)/,
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
        retry:
          /^10\.00 USD goes back · none · gets 10\.00 USD back · the order’s pieces go back on sale, and the order is CANCELLED$/,
        skip: /^gives NOTHING back: the customer loses 10\.00 USD unless you have given it back yourself\. What the gateway still holds stays there: the reconciler opens a finding \(SETTLED_OUTSIDE\)/,
      },
      usual: /It is tried for ever; if it fails for longer than .*, call the developers/,
      happened: /the saga that takes it back was seen to begin/,
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
      why: /PaidOutside\): it needs you\.\n[\s\S]*as op-7 vouched at [\d:]+Z: “bank transfer, ticket 4711”; it is not given back/,
      next: /refundPayment is tried again every minute, and fails every time, until you skip it$/,
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
      why: /Money: 10\.00 USD is with the customer: the shop has lost the dispute of the charge, and the bank took it from the shop\. \(Our record says REFUNDING\.\)/,
      disagreements:
        /shop has lost the customer’s dispute of the charge\. Nothing more is to be given back: skip the undo that waits for it\.$/,
      next: /the reconciler opens a finding for you \(DISPUTED\); no money moves by it/,
      choices: ['skip', 'retry'],
      usualAct: 'skip',
      costs: { skip: /^gives NOTHING back, and nothing is owed: the bank has given it back/ },
      uses: { retry: /^never here: it will fail again/ },
    },
  },
];
