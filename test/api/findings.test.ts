/** Findings over HTTP, as `ops reconcile` has them, on ledgers that really differ. */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { RECONCILIATION_CHANNEL } from '../../contracts/ids.js';
import { type FindingAction, type FindingKind, openFinding } from '../../domain/reconciliation.js';
import { listFindings } from '../../domain/reconciliation-findings.js';
import pg from 'pg';
import { expectProblem, startTestApi, type TestApi } from '../support/api.js';
import { eventually } from '../support/conditions.js';
import { openLedgers, type TestLedgers } from '../reconciliation/support.js';

let books: TestLedgers;
let api: TestApi;
beforeAll(async () => {
  books = await openLedgers();
  api = await startTestApi({ db: books.db, databaseUrl: books.databaseUrl });
});
afterAll(async () => {
  await api.stop();
  await books.stop();
});
beforeEach(async () => {
  await books.db.reconciliationFinding.updateMany({ data: { action: 'cancelled' } }); // what was closed stays on record
});

type Finding = { id: string; kind: string; action: string; closableAs: string[]; refundable: boolean } & Record<
  string,
  unknown
>;
type List = {
  findings: Finding[];
  groups: { kind: string; action: string; currency: string; count: number; amount: number }[];
  vouched: number;
  next: string | null;
};
const list = async (query = '') => (await api.get<List>(`/admin/findings${query}`)).body;
const close = (id: string, body: object, key?: string) =>
  api.send<Finding>('POST', `/admin/findings/${id}/close`, body, key ? { 'idempotency-key': key } : {});
const refund = (id: string, body: object) => api.send<Finding>('POST', `/admin/findings/${id}/refund`, body);
const CLOSING = { as: 'cancelled', operator: 'op-7', reason: 'ticket 12' };

/** A finding as a pass writes it down. @returns its id */
async function found(
  kind: FindingKind,
  action: FindingAction,
  amount = 900,
  orderId: string = randomUUID(),
): Promise<string> {
  await openFinding(books.db, kind, action, { reference: `pi_${randomUUID()}`, orderId, amount, currency: 'USD' });
  return (await listFindings(books.db, { orderId }))[0]?.id ?? 'none';
}

test('several are closed in one request, each with its outcome and its entry in the trail, and a repetition changes nothing', async () => {
  const ids = [
    await found('REFUNDED_AT_GATEWAY', 'reported'),
    await found('DISPUTED', 'reported'),
    await found('ORPHAN_CHARGE', 'refunding'),
  ];
  const body = { ids: [...ids, '999999999'], as: 'cancelled', operator: 'op-7', reason: 'ticket 21' };
  const closeMany = (more: object = {}, key = 'many-1') =>
    api.send<{ results: { id: string; outcome: string; action: string | null }[] }>(
      'POST',
      '/admin/findings/close',
      { ...body, ...more },
      { 'idempotency-key': key },
    );
  const acted = () => books.db.auditAct.count({ where: { kind: 'act' } });
  const before = await acted();
  const { status, body: answer, text } = await closeMany();
  expect(status).toBe(200);
  expect(answer.results.map(({ id, outcome, action }) => [id, outcome, action])).toEqual([
    [ids[0], 'closed', 'cancelled'],
    [ids[1], 'closed', 'cancelled'],
    [ids[2], 'in-hand', 'refunding'],
    ['999999999', 'unknown', null],
  ]);
  const acts = await books.db.auditAct.findMany({ where: { route: 'POST /admin/findings/close' } });
  expect(acts.map(({ resource, reason }) => [resource, reason]).sort()).toEqual(
    ids.slice(0, 2).map((id) => [id, 'ticket 21']),
  );
  expect((await closeMany()).text).toBe(text);
  expect((await closeMany({}, 'many-2')).body.results[0]).toMatchObject({ outcome: 'closed' });
  expect((await closeMany({ operator: 'op-8' }, 'many-3')).body.results[0]).toMatchObject({ outcome: 'settled' });
  expect(await acted()).toBe(before + acts.length);
  expect(await closeMany({ as: 'refunded', ids: [await found('DISPUTED', 'reported')] }, 'many-4')).toMatchObject({
    body: { results: [{ outcome: 'not-closable-so', action: 'reported' }] },
  });
  for (const wrong of [{ ids: [] }, { ids: ['0'] }, { ids: Array.from({ length: 101 }, (_, i) => `${i + 1}`) }])
    expectProblem(await closeMany(wrong, `wrong-${JSON.stringify(wrong).length}`), 400, 'invalid-request');
});

test('what is about no money has no currency', async () => {
  const orderId = randomUUID();
  await openFinding(books.db, 'ACCOUNT_HELD', 'reported', { reference: 'acct', orderId, amount: 0, currency: '' });
  const { findings, groups } = await list('?kind=ACCOUNT_HELD');
  expect([findings[0]?.['currency'], groups[0]?.currency]).toEqual([null, null]);
});

test('a refund by hand at the gateway is found, shown with its money, closed under a name, and the alarm ends', async () => {
  const { order, reference } = await books.confirmed();
  await books.byHand(reference);
  await books.reconcile();
  const { findings, groups } = await list();
  expect(findings).toMatchObject([
    {
      kind: 'REFUNDED_AT_GATEWAY',
      action: 'reported',
      reference,
      orderId: order.id,
      closableAs: ['cancelled'],
      refundable: false,
    },
  ]);
  expect(groups).toMatchObject([
    { kind: 'REFUNDED_AT_GATEWAY', action: 'reported', currency: 'USD', count: 1, amount: findings[0]?.['amount'] },
  ]);
  const id = findings[0]?.id ?? '';
  const closed = await close(id, CLOSING);
  expect(closed).toMatchObject({
    status: 200,
    body: { id, action: 'cancelled', closedBy: 'op-7', reason: 'ticket 12', closableAs: [] },
  });
  expect((await list()).findings).toEqual([]);
  expect((await list(`?state=all&orderId=${order.id}`)).findings).toMatchObject([{ id, action: 'cancelled' }]);
  expect(await books.reconcile()).toMatchObject({ reported: 0 }); // the gateway says the same as before
  expect(await books.db.auditAct.findMany({ where: { resource: id } })).toMatchObject([
    {
      route: 'POST /admin/findings/:id/close',
      reason: 'ticket 12',
      before: { action: 'reported' },
      after: { action: 'cancelled' },
    },
  ]);
});

describe('the list', () => {
  test('is in pages, the newest first, filtered by state, kind and order', async () => {
    const ids = [
      await found('AMOUNT_MISMATCH', 'reported', 100),
      await found('LATE_CHARGE', 'refunding', 200),
      await found('AMOUNT_MISMATCH', 'reported', 300),
      await found('LATE_CHARGE', 'refunded', 400),
    ];
    const [oldest, inHand, newest, settled] = ids;
    const first = await list('?limit=2');
    expect(first.findings.map(({ id }) => id)).toEqual([newest, inHand]);
    expect(first.groups).toMatchObject([
      { kind: 'AMOUNT_MISMATCH', action: 'reported', count: 2, amount: 400 },
      { kind: 'LATE_CHARGE', action: 'refunding', count: 1, amount: 200 },
    ]);
    const second = await list(`?limit=2&cursor=${first.next}`);
    expect(second).toMatchObject({ findings: [{ id: oldest }], next: null });
    expect((await list('?state=reported')).findings.map(({ id }) => id)).toEqual([newest, oldest]);
    expect((await list('?state=all')).findings.map(({ id }) => id).slice(0, 4)).toEqual([
      settled,
      newest,
      inHand,
      oldest,
    ]);
    expect((await list('?state=all&kind=LATE_CHARGE')).findings.map(({ id }) => id)).toEqual([settled, inHand]);
    const order = first.findings[0]?.['orderId'];
    expect((await list(`?orderId=${order}`)).findings.map(({ id }) => id)).toEqual([newest]);
    expectProblem(await api.get('/admin/findings?state=lost'), 400, 'invalid-request', ['querystring/state']);
    expectProblem(await api.get('/admin/findings?cursor=xx'), 400, 'invalid-request', ['querystring/cursor']);
  });

  test('says of each what an operator may do with it', async () => {
    await found('DOUBLE_CHARGE', 'reported');
    await found('ORPHAN_CHARGE', 'reported');
    await found('DISPUTED', 'reported');
    await found('DOUBLE_CHARGE', 'refunding');
    expect(
      (await list()).findings.map(({ kind, closableAs, refundable }) => ({ kind, closableAs, refundable })),
    ).toEqual([
      { kind: 'DOUBLE_CHARGE', closableAs: [], refundable: false },
      { kind: 'DISPUTED', closableAs: ['cancelled'], refundable: false },
      { kind: 'ORPHAN_CHARGE', closableAs: ['cancelled', 'refunded'], refundable: true },
      { kind: 'DOUBLE_CHARGE', closableAs: ['cancelled', 'refunded'], refundable: true },
    ]);
  });
});

describe('closing', () => {
  test('again is harmless for who did it, and tells everybody else who did', async () => {
    const id = await found('AMOUNT_MISMATCH', 'reported');
    expect((await close(id, CLOSING)).status).toBe(200);
    expect((await close(id, CLOSING)).status).toBe(200);
    const late = await close(id, { ...CLOSING, operator: 'op-8' });
    expectProblem(late, 409, 'finding-not-reported');
    expect(late.body).toMatchObject({ detail: expect.stringContaining('by op-7 (cancelled: ticket 12)') });
    expect(await books.db.reconciliationClosing.count({ where: { findingId: BigInt(id) } })).toBe(1);
  });

  test('of what the reconciler has in hand is refused, and leaves it there', async () => {
    const id = await found('LATE_CHARGE', 'refunding');
    expectProblem(await close(id, CLOSING), 409, 'finding-not-reported');
    expect((await list()).findings).toMatchObject([{ id, action: 'refunding' }]);
  });

  test('as refunded has the gateway asked at once, and is for charges alone', async () => {
    const asked: string[] = [];
    const listener = new pg.Client({ connectionString: books.databaseUrl });
    await listener.connect();
    try {
      listener.on('notification', ({ payload }) => asked.push(payload ?? ''));
      await listener.query(`LISTEN ${RECONCILIATION_CHANNEL}`);
      const orderId = randomUUID();
      const id = await found('ORPHAN_CHARGE', 'reported', 900, orderId);
      expect(await close(id, { ...CLOSING, as: 'refunded' })).toMatchObject({
        status: 200,
        body: { action: 'refunded' },
      });
      await eventually('a pass is asked for', () => asked.includes(orderId));
    } finally {
      await listener.end();
    }
    const mismatch = await found('AMOUNT_MISMATCH', 'reported');
    expectProblem(await close(mismatch, { ...CLOSING, as: 'refunded' }), 422, 'not-of-this-finding', ['/as']);
    expect((await list()).findings).toMatchObject([{ id: mismatch, action: 'reported' }]);
  });

  test.each([
    ['without a reason', { as: 'cancelled' }, '/reason'],
    ['as nothing', { reason: 'x' }, '/as'],
    ['as something else', { as: 'forgotten', reason: 'x' }, '/as'],
    ['for a person', { as: 'cancelled', reason: 'Jane, +44 20 7946 0958' }, '/reason'],
  ])('%s is refused', async (_how, body, pointer) => {
    expectProblem(await close(await found('AMOUNT_MISMATCH', 'reported'), body), 400, 'invalid-request', [pointer]);
  });

  test.each(['0', 'x', '999999999999999999', '-1'])('finding %s is 404', async (id) => {
    expectProblem(await close(id, CLOSING), 404, 'not-found');
    expectProblem(await refund(id, { reason: 'x' }), 404, 'not-found');
  });
});

describe('of a finding that is about more by now than an operator has seen', () => {
  test('neither end is taken, and they are told what it is about; what they then say of that is', async () => {
    const { order, reference } = await books.confirmed();
    await books.byHand(reference, 300);
    await books.reconcile({}, [order.id]);
    const [shown] = (await list(`?orderId=${order.id}`)).findings;
    expect(shown).toMatchObject({ amount: 700, action: 'reported' });
    const id = shown?.id ?? '';
    await books.byHand(reference);
    await books.reconcile({}, [order.id]);
    const word = { ...CLOSING, expectedAmount: 700 };
    const problem = expectProblem(await close(id, word, 'seen-1'), 409, 'amount-differs');
    expect(problem).toMatchObject({
      detail: expect.stringContaining('is about 0.00 USD now, not 7.00 USD'),
      finding: { amount: 0, currency: 'USD' },
    });
    expect((await list(`?orderId=${order.id}`)).findings).toMatchObject([{ id, action: 'reported', closedBy: null }]);
    expect(await books.db.auditAct.count({ where: { resource: id } })).toBe(0);
    expect(await close(id, { ...word, expectedAmount: 0 })).toMatchObject({
      status: 200,
      body: { action: 'cancelled' },
    });
    expect((await close(id, word)).status).toBe(200); // they have closed it
  });

  test('no refund is ordered', async () => {
    const id = await found('DOUBLE_CHARGE', 'reported', 900);
    const word = { operator: 'op-7', reason: 'ticket 13' };
    expectProblem(await refund(id, { ...word, expectedAmount: 800 }), 409, 'amount-differs');
    expect((await list()).findings).toMatchObject([{ id, action: 'reported' }]);
    expect((await refund(id, { ...word, expectedAmount: 900 })).body).toMatchObject({ action: 'refunding' });
  });

  test('it alone of several stays open', async () => {
    const ids: string[] = [];
    for (const amount of [900, 800, 700]) ids.push(await found('DISPUTED', 'reported', amount));
    const seen = (changed: object[]) => ({ ids, expected: changed, as: 'cancelled', operator: 'op-7', reason: 'x' });
    const closeMany = (body: object) => api.send<{ results: object[] }>('POST', '/admin/findings/close', body);
    const [first, second] = ids;
    for (const [wrong, pointer] of [
      [[{ id: '999999999', expectedAmount: 1 }], '/expected/0/id'],
      [[...[first, first].map((id) => ({ id, expectedAmount: 900 }))], '/expected/1/id'],
      [[{ id: first, expectedAmount: 1e300 }], '/expected/0/expectedAmount'],
    ] as const)
      expectProblem(await closeMany(seen([...wrong])), 400, 'invalid-request', [pointer]);
    const { body } = await closeMany(
      seen([
        { id: first, expectedAmount: 900 },
        { id: second, expectedAmount: 900 },
      ]),
    );
    expect(body.results).toMatchObject([
      { outcome: 'closed', amount: 900 },
      { outcome: 'amount-differs', action: 'reported', amount: 800 },
      { outcome: 'closed', amount: 700 },
    ]);
  });

  test.each([['900'], [9.5], [1e300], [null]])('an amount of %j is none', async (expectedAmount) => {
    const id = await found('AMOUNT_MISMATCH', 'reported');
    expectProblem(await close(id, { ...CLOSING, expectedAmount }), 400, 'invalid-request', ['/expectedAmount']);
  });
});

test('a charge that the reconciler has given up is given back by one more refund, on an operator’s word', async () => {
  const id = await found('DOUBLE_CHARGE', 'reported');
  const word = { operator: 'op-7', reason: 'the card is good again, ticket 13' };
  expect(await refund(id, word)).toMatchObject({ status: 200, body: { action: 'refunding', closedAs: 'refunding' } });
  expect((await refund(id, word)).status).toBe(200);
  expectProblem(await refund(id, { ...word, operator: 'op-8' }), 409, 'finding-not-reported');
  expectProblem(await refund(await found('DISPUTED', 'reported'), word), 422, 'not-of-this-finding');
  expect(await books.db.auditAct.findMany({ where: { resource: id } })).toMatchObject([
    { after: { action: 'refunding' } },
  ]);
});
