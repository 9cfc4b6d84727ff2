/**
 * Every situation in which an operator may find an order, from one declared table: what is said of it, and what may be done. The
 * commands of a sample are then run as they are printed, since a command that does not work at 3 a.m. is worse than none.
 */
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { orderSagaId } from '../../contracts/ids.js';
import { PLAN_VERSION } from '../../contracts/plan.js';
import { confirmOrder } from '../../domain/confirmation.js';
import { createCursors } from '../../domain/cursors.js';
import { readStanding } from '../../domain/installation.js';
import { reserveInventory } from '../../domain/inventory.js';
import { requestCancellation } from '../../domain/orders.js';
import { recordCharge } from '../../domain/payments.js';
import type { Explanation } from '../../explanation/explain.js';
import { createPaymentGateway } from '../../gateways/stripe.js';
import { reconcileOnce } from '../../reconciliation/pass.js';
import { restartSaga } from '../../sagas/restart.js';
import { AWAY, closedPort, lostTemporal, SILENT, startTestApi } from '../support/api.js';
import { accept } from '../support/database.js';
import { PATIENT } from '../support/saga.js';
import { KEY, openStage, type Stage } from './stage.js';

let stage: Stage;
beforeAll(async () => {
  stage = await openStage();
});
afterEach(async () => {
  stage.broken.clear();
  await stage.s.heal();
});
afterAll(() => stage.s.stop());

const SOON = { stepRetryBudgetMs: 1_000 };
const wanted = { reason: 'CANCELLED_BY_CUSTOMER' } as const;

const confirmed = async () => {
  const { order, result } = await stage.s.place({ A: 1 });
  await result();
  return order.id;
};
const cancelled = async () => {
  const { order, result } = await stage.s.place({ NONE: 1 });
  await result();
  return order.id;
};
const parkedAt = async (step: string, before: () => Promise<unknown> | unknown = () => undefined) => {
  stage.broken.add(step);
  await before();
  return (await stage.s.place({ A: 1 }, { policy: SOON })).order.id;
};
const retrying = async () => {
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
/** As Postgres has an order whose history is gone. */
const confirmedLongAgo = async () => {
  const { db } = stage.s;
  const { id } = await accept(db, { A: 1 });
  await reserveInventory(db, id);
  await recordCharge(db, id, await stage.takeMoney(id));
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
  disagreements?: RegExp | null;
  sources?: RegExp;
  happened?: RegExp;
};
type Staged = { name: string; stage: () => Promise<string>; said: Said };

const STAGED: Staged[] = [
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
      choices: ['retry', 'skip'],
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
      disagreements: /holds 2000 of 1000 USD .*charged twice/,
      choices: ['cancel', 'reconcile'],
    },
  },
  {
    name: 'taken back, and its refund failed later',
    stage: async () => {
      const id = await confirmed();
      await cancelIn(id);
      await restartSaga({ client: stage.s.client, db: stage.s.db, policy: PATIENT }, id);
      await stage.until(id, 'cancelled');
      const { refundReference } = await stage.s.db.payment.findUniqueOrThrow({ where: { orderId: id } });
      await stage.intervene(`/sandbox/refunds/${refundReference}/fail`);
      return id;
    },
    said: { situation: 'cancelled', disagreements: /REFUNDED, and the gateway holds 1000/, choices: ['reconcile'] },
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
      disagreements: /CHARGED, and the gateway holds 0 of 1000/,
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
    said: { situation: 'confirmed', disagreements: /disputes the charge/ },
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

const linesOf = (it: Explanation) => ({
  why: it.why.join('\n'),
  next: it.next.map(({ what }) => what).join('\n'),
  disagreements: it.disagreements.map(({ says, sequel }) => `${says} ${sequel}`).join('\n'),
  sources: Object.values(it.sources).join('\n'),
  happened: it.happened.map(({ what }) => what).join('\n'),
});
const wordOf = ({ command }: { command: string }) => {
  const words = command.replace(/^ops /, '').split(' ');
  return words.slice(0, words[0] === 'temporal' ? 3 : words[0] === 'dead-letters' ? 2 : 1).join(' ');
};

test.each(STAGED)(
  'says of an order that is $name how it stands and what may be done',
  async ({ stage: set, said }) => {
    const it = await stage.until(await set(), said.situation, said.next);
    const lines = linesOf(it);
    for (const part of ['why', 'next', 'disagreements', 'sources', 'happened'] as const) {
      const expected = said[part];
      if (expected === null) expect(lines[part]).toBe('');
      else if (expected !== undefined) expect(lines[part]).toMatch(expected);
    }
    if (said.choices) expect(it.choices.map(wordOf)).toEqual(said.choices);
  },
  60_000,
);

/** @returns what the shell would make of a printed command, reasons filled in */
const argsOf = (command: string) =>
  (command.replace('<why, ticket>', 'a test').match(/'[^']*'|\S+/g) ?? [])
    .slice(1)
    .map((word) => word.replaceAll("'", ''));
const commandFor = (it: Explanation, word: string): string => {
  const found = it.choices.find((choice) => wordOf(choice) === word);
  if (!found) throw new Error(`${word} is not offered: ${it.choices.map(({ command }) => command).join('; ')}`);
  return found.command;
};

test.each([
  ['parked', 'retry', 'confirmed', () => parkedAt('reserveInventory')],
  ['parked', 'skip', 'confirmed', () => parkedAt('chargePayment')],
  ['retrying', 'compensate', 'cancelled', retrying],
  ['paused', 'retry', 'confirmed', () => (STAGED.find(({ name }) => name.startsWith('paused')) as Staged).stage()],
  ['saga-ended', 'retry', 'confirmed', () => (STAGED.find(({ name }) => name === 'terminated') as Staged).stage()],
  ['confirmed', 'cancel', 'cancelled', confirmed],
])(
  'a command works as it is printed: of an order that is %s, %s makes it %s',
  async (situation, word, end, set) => {
    const id = await set();
    const it = await stage.until(id, situation);
    // What is to be taken back goes on failing, or it would succeed before the command is there.
    if (end === 'confirmed') stage.broken.clear();
    if (end === 'cancelled' && situation === 'confirmed') {
      const shown = await stage.ops('explain', id);
      expect(shown.stdout).toContain(`${id}  CONFIRMED, confirmed`);
      expect(shown.stdout).toContain(commandFor(it, word));
    }
    const { code, ...said } = await stage.ops(...argsOf(commandFor(it, word)));
    expect({ code, ...(code === 0 ? {} : said) }).toEqual({ code: 0 });
    await stage.until(id, end);
  },
  60_000,
);

test('says of an order whose worker is gone that it waits for one, and offers nothing that would not be heard', async () => {
  await stage.s.dismiss();
  const { order, result } = await stage.s.place({ A: 1 });
  const it = await stage.until(order.id, 'waits-for-worker');
  expect(it.choices.map(wordOf)).toEqual(['cancel']);
  await stage.s.engage();
  await result();
}, 60_000);

test('says what it could not read where Temporal and the gateway are away, and what Postgres knows', async () => {
  const id = (await accept(stage.s.db, { A: 1 })).id;
  const lost = await lostTemporal();
  const ledger = createPaymentGateway({ url: `http://127.0.0.1:${await closedPort()}`, apiKey: KEY, timeoutMs: 500 });
  const it = await stage.explain(id, { client: lost.client(), gateway: { where: 'nowhere', ledger } });
  expect(it).toMatchObject({ situation: 'temporal-unreachable', status: 'PENDING', disagreements: [] });
  expect(it.sources).toMatchObject({
    saga: expect.stringMatching(/^not reached/),
    gateway: expect.stringMatching(/^not asked: nowhere/),
  });
  expect(it.choices.map(wordOf)).toEqual(['cancel']);
  await lost.close();
});

test('the same is said over HTTP as by the CLI; an unknown order is none of either', async () => {
  const id = await confirmed();
  const api = await startTestApi({
    db: stage.s.db,
    databaseUrl: stage.s.databaseUrl,
    temporal: { ...AWAY, client: () => stage.s.client },
  });
  try {
    const [over, typed] = [
      await api.get<Explanation>(`/admin/orders/${id}/explanation`),
      await stage.ops('explain', id, '--json'),
    ];
    const { at: _, sources, why, happened, ...rest } = JSON.parse(typed.stdout) as Explanation;
    expect(over.body).toMatchObject(rest);
    expect(over.body.sources).toMatchObject({
      saga: sources.saga,
      gateway: expect.stringContaining('no key of the gateway'),
    });
    expect([why[0], happened.length]).toEqual([over.body.why[0], over.body.happened.length + 1]); // the gateway's charge
    const unknown = randomUUID();
    expect((await api.get(`/admin/orders/${unknown}/explanation`)).status).toBe(404);
    expect((await stage.ops('explain', unknown)).code).toBe(3);
  } finally {
    await api.stop();
  }
}, 60_000);

test('explaining an order costs a bounded number of questions', async () => {
  const id = await confirmed();
  await fetch(`${stage.s.sandboxUrl}/sandbox/requests`, { method: 'DELETE' });
  await stage.explain(id);
  const { counts } = (await (await fetch(`${stage.s.sandboxUrl}/sandbox/requests`)).json()) as {
    counts: Record<string, number>;
  };
  expect(Object.values(counts).reduce((a, b) => a + b, 0)).toBeLessThanOrEqual(2);
});
