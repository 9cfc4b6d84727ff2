/** Whatever an erasure is interrupted by, and wherever, it goes on from there and ends as one that was not. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { verifyAudit } from '../../domain/audit/verification.js';
import { ERASER_MOMENTS } from '../../workers/eraser.js';
import { cancel, confirm, decline, dump, type Erasure, KEYS, type Stage, startStage } from './stage.js';
import { eventually } from '../support/conditions.js';

let s: Stage;
beforeAll(async () => {
  s = await startStage();
});
afterAll(() => s.stop());

/** Five orders, in batches of two. */
async function prepare(customer: string, word: string): Promise<Erasure> {
  for (const n of [1, 2, 3, 4, 5]) {
    const order = await s.place(customer, `${word}-${n}`);
    if (n === 2) await decline(s, order);
    else if (n === 4) await cancel(s, order, `I am ${word}`, customer);
    else await confirm(s, order);
  }
  return (await s.ask(customer)).body;
}

async function expectErased({ id }: Erasure, word: string): Promise<void> {
  const erasure = await s.until(id, 'done');
  expect(erasure.report?.erased).toMatchObject({ orders: 5, idempotencyKeys: 5, customers: 1 });
  expect((await dump(s.db)).includes(word)).toBe(false);
  const told = await s.db.event.findMany({ where: { orderId: erasure.customerReference ?? '' } });
  expect(told.map(({ type, sequence }) => [type, sequence])).toEqual([['customer.erased', 1]]);
}

describe('one that dies', () => {
  // Without a journal the two moments at it are not met: journal, below.
  test.each(ERASER_MOMENTS.filter((moment) => moment !== 'after-noting'))(
    '%s, each time that it comes there for the first three times, ends all the same',
    async (moment) => {
      const word = `canary${moment.replaceAll('-', '')}`;
      const asked = await prepare(`cus_${word}`, word);
      let deaths = 0;
      await eventually('it has died there', async () => {
        await s
          .erase((at) => {
            if (at !== moment || deaths >= 3) return;
            deaths++;
            throw new Error('planned death');
          })
          .catch(() => undefined);
        return deaths >= 3 || (await s.read(asked.id)).state === 'done';
      });
      expect(deaths).toBeGreaterThan(0);
      await expectErased(asked, word);
    },
  );

  test('leaves the audit chain whole', async () => {
    expect(await verifyAudit(s.db, KEYS)).toMatchObject({ flaw: null });
  });
});

test('an order that is taken back while it is being erased is waited for, and what is said of it then is erased, too', async () => {
  const word = 'canarytaken';
  const [first, second] = [await s.place('cus_taken', `${word}-1`), await s.place('cus_taken', `${word}-2`)];
  for (const order of [first, second]) await confirm(s, order);
  const { body } = await s.ask('cus_taken');
  await eventually('all but its end is done', async () => {
    const dying = s.erase((at) => {
      if (at === 'before-completion') throw new Error('planned death');
    });
    return dying.then(
      () => false,
      () => true,
    );
  });
  const reason = `${word} does not want it`;
  expect((await s.api.send('POST', `/orders/${first.id}/cancel`, { reason })).status).toBe(202);
  await s.erase();
  expect((await s.read(body.id)).waitingFor).toEqual([{ orderId: first.id, why: 'cancellation-due' }]);
  await s.db.$executeRaw`UPDATE payments SET status = 'REFUNDED' WHERE order_id = ${first.id}::uuid`;
  await s.db.$executeRaw`UPDATE reservations SET state = 'RELEASED' WHERE order_id = ${first.id}::uuid`;
  await s.db.$executeRaw`UPDATE orders SET status = 'CANCELLED' WHERE id = ${first.id}::uuid`;
  await s.until(body.id, 'done');
  expect((await dump(s.db)).includes(word)).toBe(false);
});

describe('a neighbour that is away', () => {
  test('keeps an erasure, which says so, and goes on when it is back', async () => {
    const word = 'canaryaway';
    const asked = await prepare('cus_canaryaway', word);
    const notes: string[] = [];
    let isAway = true;
    const note = async ({ kind, erasureId }: { kind: string; erasureId: string }) => {
      if (isAway) throw Object.assign(new Error('it does not answer'), { name: 'JournalAway' });
      if (erasureId === asked.id) notes.push(kind); // those of before, which had no journal, come as well
    };
    const stalled = await eventually('it is stalled', async () => {
      await s.erase(undefined, { note }).catch(() => undefined);
      const erasure = await s.read(asked.id);
      return erasure.stalledBy !== null && erasure;
    });
    expect(stalled).toMatchObject({ state: 'erasing', stalledBy: 'erasure-journal' });
    // Nothing was destroyed before the journal had it.
    expect(await dump(s.db)).toContain(word);
    isAway = false;
    await eventually('it is done', async () => {
      await s.erase(undefined, { note });
      return (await s.read(asked.id)).state === 'done';
    });
    expect(notes).toEqual(['requested', 'done']);
    await expectErased(asked, word);
  });
});

test('a person of whom a restored database knows only that they are to be forgotten is erased as well', async () => {
  const word = 'canaryrestored';
  const order = await s.place('cus_restored', `${word}-1`);
  await confirm(s, order);
  await s.db.$executeRaw`UPDATE customers SET erasing_since = now() WHERE client_id = 'cus_restored'`;
  const erasure = await eventually('it is erased', async () => {
    await s.erase();
    const { body } = await s.api.get<{ erasures: Erasure[] }>('/admin/erasures?limit=1');
    return body.erasures[0]?.requestedBy === 'erasure-journal' && body.erasures[0].state === 'done' && body.erasures[0];
  });
  expect(erasure.report?.erased).toMatchObject({ orders: 1, customers: 1 });
  expect((await dump(s.db)).includes(word)).toBe(false);
});
