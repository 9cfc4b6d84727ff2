/** Orders that are final, and whether their money is where it should be: how each is staged, and what is to be said of it. */
import { createCursors } from '../../domain/cursors.js';
import type { Staged } from './staged.js';
import {
  cancelAndEnd,
  cancelled,
  chargeOf,
  confirmed,
  confirmedLongAgo,
  paidOutside,
  reconcile,
  stage,
} from './staging.js';

export const ENDED: Staged[] = [
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
      why: /OUT_OF_STOCK[\s\S]*no charge is on record: the order was refused before its charge[\s\S]*as far as is known \(it lists no charge, and is up to a minute late\)[\s\S]*Stock: nothing was ever reserved/,
      next: null,
      choices: [],
      disagreements: null,
      usual: /A charge that shows until [\d:]+Z would go back to the customer by itself/,
      happened: /cancelOrder: done/,
      never: /undone$|come to its end/m,
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
      sources: /gone from Temporal sooner than its retention allows/,
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
      disagreements: /CHARGED, and the shop holds 0\.00 USD at the gateway, of 10\.00 USD\./,
      why: /10\.00 USD was CHARGED, and 10\.00 USD of it has gone back outside this service/,
      next: /^the reconciler opens a finding for you \(REFUNDED_AT_GATEWAY\); no money moves by it$/,
      usual: /To end the order: `ops cancel`, and the finding that comes closes by itself/,
      usualAct: null,
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
      disagreements: /^We have it as CHARGED[^\n]* It is finding \d+ \(REFUNDED_AT_GATEWAY\), which waits for you\.$/,
      next: null,
      usual:
        /`ops cancel`, and finding \d+ closes by itself\. Out of goodwill: close finding \d+; the order stays, and the shop bears 10\.00 USD/,
      usualAct: null,
      uses: { reconcile: /^the order is to stay/, cancel: /^the money was given back to end the order/ },
      choices: ['reconcile', 'cancel'],
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
      next: /^the reconciler opens a finding for you \(DISPUTED\).*\nif nobody has answered the dispute, it is lost, and the shop with it 10\.00 USD$/,
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
    name: 'confirmed, its history removed by retention',
    stage: confirmedLongAgo,
    said: {
      situation: 'confirmed',
      sources: /gone from Temporal sooner than its retention allows; this order is complete/,
      usual:
        /nothing is to be done for this order\. But Temporal has lost its saga: tell whoever runs it, in the morning/,
      disagreements: null,
      happened: /confirmOrder: completed/,
    },
  },
  {
    name: 'confirmed, an event held and others owed',
    stage: async () => {
      await createCursors(stage.s.db, ['webhook']);
      const id = await confirmed();
      const letter = { destination: 'webhook', orderId: id, sequence: 1, type: 'order.created', cause: 'rejected' };
      await stage.s.db.deadLetter.create({
        data: { ...letter, error: 'the webhook receiver answered 400', attempts: 1 },
      });
      return id;
    },
    said: {
      situation: 'confirmed',
      sources: /held for webhook/,
      why: /Events: webhook has refused event 1 \(order\.created\): the webhook receiver answered 400 \(1 try\)\. Events 1–4 of this order are held for it since [\d:]+Z, as dead letter \d+\./,
      next: /^events 1–4 are not sent to webhook until you decide about dead letter \d+$/,
      usual: /ask whoever runs webhook why; once it takes the event, `ops dead-letters replay \d+`/,
      usualAct: 'dead-letters replay',
      choices: ['dead-letters replay', 'cancel', 'dead-letters discard'],
    },
  },
];
