/**
 * Every situation in which an operator may find an order, from one declared table: what is said of it, and what may be done. The
 * commands of a sample are then run as they are printed, since a command that does not work at 3 a.m. is worse than none.
 */
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import type { Explanation } from '../../explanation/explain.js';
import { createPaymentGateway } from '../../gateways/stripe.js';
import { orderSagaId } from '../../contracts/ids.js';
import { eventually } from '../support/conditions.js';
import { AWAY, closedPort, lostTemporal, startTestApi } from '../support/api.js';
import { accept } from '../support/database.js';
import { argsOf, commandFor, wordOf } from './commands.js';
import { KEY, openStage, type Stage } from './stage.js';
import type { Staged } from './staged.js';
import { STAGED } from './staged-orders.js';
import { cancelAndEnd, confirmed, parkedAt, retrying, useStage } from './staging.js';

let stage: Stage;
beforeAll(async () => {
  stage = await openStage();
  useStage(stage);
});
afterEach(async () => {
  stage.broken.clear();
  await stage.s.heal();
});
afterAll(() => stage.s.stop());

const linesOf = (it: Explanation) => ({
  why: it.why.join('\n'),
  next: it.next.map(({ what }) => what).join('\n'),
  disagreements: it.disagreements.map(({ says, sequel }) => `${says} ${sequel}`).join('\n'),
  sources: Object.values(it.sources).join('\n'),
  happened: it.happened.map(({ what }) => what).join('\n'),
});
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
    if (said.usual) expect(it.usual).toMatch(said.usual);
    const [usual = null, ...others] = it.choices.filter((choice) => choice.usual).map(wordOf);
    if (said.usualAct !== undefined) expect([usual, others]).toEqual([said.usualAct, []]);
    if (usual !== null) expect(it.choices[0]?.usual).toBe(true); // the usual one is the first
    for (const [word, use] of Object.entries(said.uses ?? {}))
      expect(it.choices.find((choice) => wordOf(choice) === word)?.useWhen).toMatch(use);
    if (said.never) expect(Object.values(lines).join('\n')).not.toMatch(said.never);
    if (said.choices) expect(it.choices.map(wordOf)).toEqual(said.choices);
    const costs = it.choices.map((choice) => [
      wordOf(choice),
      [choice.money, choice.stock, choice.customer, ...(choice.follows === null ? [] : [choice.follows])].join(' · '),
    ]);
    for (const [word, cost] of Object.entries(said.costs ?? {})) expect(Object.fromEntries(costs)[word]).toMatch(cost);
    // Everywhere as `ops order` tells it: 10.00 USD, and not 1000 of a unit that one has to know.
    expect([...Object.values(lines), ...it.choices.map(({ money }) => money)].join('\n')).not.toMatch(
      /minor unit|(?<![.\d])\d+ (USD|taken|given back)|holds \d+(?![.\d])/,
    );
  },
  60_000,
);

test.each([
  ['parked', 'retry', 'confirmed', () => parkedAt('reserveInventory')],
  ['parked', 'skip', 'confirmed', () => parkedAt('chargePayment')],
  ['retrying', 'compensate', 'cancelled', () => retrying()],
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
      expect(shown).toMatchObject({ code: 0 }); // else what it said to stderr is shown
      expect(shown.stdout).toContain(`${id}  CONFIRMED, confirmed`);
      expect(shown.stdout).toContain(commandFor(it, word));
    }
    const { code, ...said } = await stage.ops(...argsOf(commandFor(it, word)));
    expect({ code, ...(code === 0 ? {} : said) }).toEqual({ code: 0 });
    await stage.until(id, end);
  },
  60_000,
);

test('a command that is pasted once the order stands at another step decides nothing of that one', async () => {
  const id = await parkedAt('chargePayment');
  const printed = await stage.until(id, 'parked');
  for (const word of ['retry', 'skip', 'compensate']) {
    expect(commandFor(printed, word)).toContain(' --at chargePayment ');
    const http = printed.choices.find((choice) => choice.action === word)?.http ?? '';
    expect(JSON.parse(http.slice(http.indexOf('{')))).toMatchObject({ action: word, expectedStep: 'chargePayment' });
  }
  stage.broken.add('refundPayment');
  expect(await stage.ops(...argsOf(commandFor(printed, 'compensate')))).not.toMatchObject({ code: 2 });
  await stage.until(id, 'unwinding', /refundPayment/);
  const pasted = await stage.ops(...argsOf(commandFor(printed, 'skip')));
  expect(pasted.code).not.toBe(0);
  expect(pasted.stdout + pasted.stderr).toMatch(
    /is at refundPayment.* by now, not at chargePayment: nothing was decided/,
  );
  const skipped = await stage.s.db.sagaLogEntry.count({ where: { orderId: id, outcome: 'skipped' } });
  expect(skipped).toBe(0);
}, 60_000);

test('says of an order whose worker is gone that it waits for one, and offers nothing that would not be heard', async () => {
  await stage.s.dismiss();
  const { order, result } = await stage.s.place({ A: 1 });
  const it = await stage.until(order.id, 'waits-for-worker');
  expect(it.choices.map(wordOf)).toEqual(['cancel']);
  await stage.s.engage();
  await result();
}, 60_000);

test('a paused order outlives its deadline: then letting it go has it cancelled, and `retry` still has it tried', async () => {
  const paused = (STAGED.find(({ name }) => name.startsWith('paused')) as Staged).stage;
  const policy = { sagaDeadlineMs: 4_000 };
  const [unpaused, retried] = [await paused(policy), await paused(policy)];
  stage.broken.clear();
  const overdue = ({ next }: Explanation) => next.some(({ at }) => at !== null && at < new Date().toISOString());
  for (const id of [unpaused, retried])
    await eventually('it is paused beyond its deadline', async () => {
      const it = await stage.explain(id);
      return it.situation === 'paused' && overdue(it);
    });
  await stage.s.client.workflowService.unpauseActivity({
    namespace: 'default',
    execution: { workflowId: orderSagaId(unpaused) },
    type: 'chargePayment',
  });
  expect((await stage.until(unpaused, 'cancelled')).why[0]).toContain('DEADLINE_EXCEEDED');
  expect(await stage.ops('retry', retried, '--yes', '--reason', 'a test')).toMatchObject({ code: 0 });
  await stage.until(retried, 'confirmed');
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
    const { at: _, sources, why, happened, words: __, ...rest } = JSON.parse(typed.stdout) as Explanation;
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

test('a refund that is pending is told as under way, by `explain` and `order`, and as given back once it is final', async () => {
  const id = await confirmed();
  // Until it is settled below: that of the card with pending refunds is final after 10 s, whoever is still looking.
  await stage.s.fault({ route: 'refund', mode: 'refund_pending', count: 1 });
  await cancelAndEnd(id);
  const payment = await stage.s.db.payment.findUniqueOrThrow({ where: { orderId: id } });
  const whyOf = async (changed?: Parameters<Stage['explain']>[1]) => linesOf(await stage.explain(id, changed));
  const pending = await whyOf();
  expect(pending.why).toMatch(
    /the refund of 10\.00 USD is not there yet: refund under way at the provider \(pending since \d{4}-\S+Z\)/,
  );
  expect(pending.next).toMatch(
    /^the provider still has the refund of 10\.00 USD under way: it is looked at every 4 min/,
  );
  expect(pending.why).not.toContain('REFUNDED');
  expect(pending.happened).toMatch(/10\.00 USD taken, 10\.00 USD refund under way at the provider \(pending since/);
  expect(pending.why + pending.happened).not.toMatch(/given back/);
  const unasked = await whyOf({ gateway: { why: 'a test has no key' } });
  expect(unasked.why).toMatch(
    /is there yet is not known: refund accepted by the provider at \d{4}-\S+Z, and pending then/,
  );
  const shown = await stage.ops('order', id);
  expect(shown).toMatchObject({ code: 0 });
  expect(shown.stdout).toMatch(/^payment +REFUNDED, pi_\S+, re_\S+: refund under way at the provider \(pending since/m);
  expect(shown.stdout).not.toContain('given back');
  const { document } = await stage.ops.json('order', id);
  expect(document.payment).toMatchObject({ status: 'REFUNDED', refundReference: payment.refundReference });
  expect(document.gateway.charges).toMatchObject([{ refunded: 1_000, refundsUnderWay: [{ status: 'pending' }] }]);

  await stage.intervene(`/sandbox/refunds/${payment.refundReference}/settle`);
  const final = await whyOf();
  expect(final.why).toContain('is REFUNDED (given back)');
  expect(final.happened).toContain('10.00 USD taken, 10.00 USD given back');
}, 60_000);
