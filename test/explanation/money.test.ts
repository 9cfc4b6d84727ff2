/** What is said of an order’s money where answers were lost, refunds have failed, or somebody has vouched: it is acted on at 3 a.m. */
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import type { Explanation } from '../../explanation/explain.js';
import { wordOf } from '../../explanation/vouched.js';
import { restartSaga } from '../../sagas/restart.js';
import { eventually } from '../support/conditions.js';
import { PATIENT } from '../support/saga.js';
import { argsOf, commandFor } from './commands.js';
import { openStage, type Stage } from './stage.js';
import { cancelIn, confirmed, reconcile, retrying, SOON, useStage } from './staging.js';

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

const choiceOf = ({ choices }: Explanation, act: string) => {
  const found = choices.find(({ action }) => action === act);
  if (!found) throw new Error(`${act} is not offered: ${choices.map(({ command }) => command).join('; ')}`);
  return found;
};
/** As it is printed, its reason filled in. */
const run = async (it: Explanation, act: string) => {
  const { code, ...said } = await stage.ops(...argsOf(commandFor(it, act)));
  expect({ code, ...(code === 0 ? {} : said) }).toEqual({ code: 0 });
};
const whyOf = ({ why }: Explanation) => why.join('\n');
const nextOf = ({ next }: Explanation) => next.map(({ what }) => what).join('\n');

test('a charge whose answer was lost is told before it is tried again or skipped, and a retry records it and takes no more', async () => {
  await stage.s.fault({ route: 'charge', mode: 'error_after', count: null });
  await stage.s.fault({ route: 'lookup', mode: 'down', count: null });
  const { order } = await stage.s.place({ A: 1 }, { policy: SOON });
  await stage.until(order.id, 'parked');
  await stage.s.heal();
  const it = await eventually('the gateway lists the charge', async () => {
    const seen = await stage.explain(order.id);
    return /the shop holds 10\.00 USD/.test(whyOf(seen)) && seen;
  });
  expect(choiceOf(it, 'retry')).toMatchObject({
    ...{ money: 'takes nothing: records the 10.00 USD already taken', customer: 'none', moves: null },
  });
  expect(choiceOf(it, 'skip').money).toMatch(
    /the gateway holds 10\.00 USD already: `retry` records it and takes nothing more; after a skip it stays there: .* has paid twice, and you must refund it by hand$/,
  );
  expect(choiceOf(it, 'skip').money).not.toMatch(/loses/);
  expect(choiceOf(it, 'skip').useWhen).toMatch(/^hardly ever here/);

  const unasked = await stage.explain(order.id, { gateway: { why: 'a test has no key' } });
  for (const act of ['retry', 'skip'])
    expect(choiceOf(unasked, act).money).toMatch(/taken it already is not known: the gateway was not asked$/);

  await run(it, 'retry');
  await stage.until(order.id, 'confirmed');
  expect(await stage.s.money(order.id)).toEqual({ net: 1_000, charges: 1 });
}, 60_000);

test('what the gateway does not list yet may be taken all the same: that is said of a retry and a skip of the charge', async () => {
  const id = await retrying();
  const it = await stage.until(id, 'retrying');
  for (const act of ['retry', 'skip'])
    expect(choiceOf(it, act).money).toMatch(/is not known: the gateway lists charges up to a minute late$/);
}, 60_000);

test('a refund that was vouched for is no payment that was; what the gateway still holds is told, and how it goes back', async () => {
  await stage.s.fault({ route: 'refund', mode: 'down', count: null });
  const id = await retrying();
  await stage.until(id, 'retrying');
  const charge = await stage.takeMoney(id);
  await stage.ops('compensate', id, '--yes', '--reason', 'given up');
  const failing = await eventually('its refund fails', async () => {
    const seen = await stage.explain(id);
    return seen.step === 'refundPayment' && seen.choices.some(({ action }) => action === 'skip') && seen;
  });
  await run(failing, 'skip');
  const it = await stage.until(id, 'cancelled');
  expect(whyOf(it)).toMatch(/10\.00 USD was charged at the gateway, whose answer was lost; it was GIVEN BACK outside/);
  expect(whyOf(it)).not.toContain('PAID outside');
  expect(it.disagreements).toMatchObject([
    {
      says: expect.stringMatching(
        /^The gateway holds 10\.00 USD of an order that is CANCELLED, .* was given back outside\.$/,
      ),
      sequel: expect.stringContaining(
        `refund ${charge} by hand at the gateway, whereupon the finding closes by itself`,
      ),
    },
  ]);
  expect(it.usual).toContain(`refund ${charge} by hand`);
  expect(nextOf(it)).toMatch(/opens a finding for you \(SETTLED_OUTSIDE\)/);

  await reconcile(id);
  const found = await stage.explain(id);
  expect(found.disagreements).toMatchObject([
    { sequel: expect.stringMatching(/It is finding \d+ \(SETTLED_OUTSIDE\)/) },
  ]);
  expect(nextOf(found)).toBe('');
  const unasked = await stage.explain(id, { gateway: { why: 'a test has no key' } });
  expect(whyOf(unasked)).toMatch(
    /no charge of 10\.00 USD is on record, and whether the gateway has taken one is not known/,
  );

  await stage.s.heal();
  await stage.refundByHand(charge);
  await reconcile(id);
  expect((await stage.explain(id)).disagreements).toEqual([]);
}, 60_000);

test('refunds that have failed are not made again by any machine: a retry has one more made, and the order ends', async () => {
  const id = await confirmed();
  await stage.s.fault({ route: 'refund', mode: 'refund_failed', count: 2 });
  await cancelIn(id);
  await restartSaga({ client: stage.s.client, db: stage.s.db, policy: PATIENT }, id);
  const it = await stage.until(id, 'undo-failing', /no further refund is made until you `retry`/);
  expect(whyOf(it)).toMatch(/RefundFailed\): it needs you\. No machine makes another refund/);
  expect(whyOf(it) + nextOf(it)).not.toMatch(/cause has gone/);
  expect(it.usual).toMatch(/`ops retry`: it has one more made, and no machine makes another before/);
  expect(choiceOf(it, 'retry')).toMatchObject({ usual: true, useWhen: expect.stringMatching(/nothing else does$/) });
  await run(it, 'retry');
  await stage.until(id, 'cancelled');
  expect(await stage.s.money(id)).toEqual({ net: 0, charges: 1 });
}, 60_000);

test('who vouched where nobody is authenticated is told as an operator, and not by a name that is none', () => {
  const vouch = { step: 'chargePayment', by: 'anonymous', at: null, reason: 'cash' };
  expect(wordOf(vouch)).toBe('as an operator (no authentication) vouched: “cash”');
  expect(wordOf({ ...vouch, by: 'op-7' })).toBe('as op-7 vouched: “cash”');
});
