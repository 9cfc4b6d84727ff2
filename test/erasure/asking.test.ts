/** The request to erase a person: once however often it is made, harmless for nobody, and without a trace of the id. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { verifyCertificate } from '../../domain/erasure/certificate.js';
import { expectProblem } from '../support/api.js';
import { dump, type Erasure, KEYS, type Stage, startStage } from './stage.js';

let s: Stage;
beforeAll(async () => {
  s = await startStage();
});
afterAll(() => s.stop());

describe('asking', () => {
  test('side by side and again is the same erasure', async () => {
    await s.place('cus_twice', 'twice-1');
    const answers = await Promise.all(Array.from({ length: 8 }, () => s.ask('cus_twice')));
    expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 202));
    expect(new Set(answers.map(({ body }) => body.id)).size).toBe(1);
    expect((await s.ask('cus_twice')).body.id).toBe(answers[0]?.body.id);
    const acts = await s.db.auditAct.findMany({ where: { resource: answers[0]?.body.id ?? '' } });
    expect(acts).toHaveLength(1);
  });

  test('with an Idempotency-Key is answered with the same bytes', async () => {
    await s.place('cus_once', 'once-1');
    const [first, again] = [
      await s.ask('cus_once', undefined, { 'idempotency-key': 'erase-once' }),
      await s.ask('cus_once', undefined, { 'idempotency-key': 'erase-once' }),
    ];
    expect(again.text).toBe(first.text);
    expect(again.headers.get('idempotent-replayed')).toBe('true');
  });

  test('for nobody is harmless, and answered with an erasure that has found nothing', async () => {
    const { status, body } = await s.ask('cus_nobody');
    expect(status).toBe(200);
    expect(body).toMatchObject({ state: 'done', found: false, customerReference: null, report: { erased: {} } });
    expect(await s.read(body.id)).toEqual(body);
    expect(verifyCertificate(body.certificate, { audit: KEYS })).toBe('genuine');
  });

  test('by an id with odd characters finds who ordered with it', async () => {
    await s.place('auth0|a:b', 'odd-1');
    expect((await s.ask('auth0|a:b')).body.found).toBe(true);
    expect((await s.ask('ü /%?#'.repeat(8))).body).toMatchObject({ found: false });
    expectProblem(await s.ask('x'.repeat(129)), 400, 'invalid-request');
  });

  test('needs a reason, in which there is no person', async () => {
    expectProblem(await s.ask('cus_any', {}), 400, 'invalid-request', ['/reason']);
    expectProblem(await s.ask('cus_any', { reason: 'erika@example.com wants it' }), 400, 'invalid-request', [
      '/reason',
    ]);
  });

  test('leaves no trace of the id in the audit trail', async () => {
    await s.ask('cus_canaryunseen');
    await s.ask('cus_canaryunseen', {});
    const { text } = await s.api.get('/admin/audit?limit=1000');
    expect(text).not.toContain('canaryunseen');
    expect(await dump(s.db)).not.toContain('canaryunseen');
  });

  test('is listed, newest first, in pages', async () => {
    type List = { erasures: Erasure[]; next: string | null };
    const all = (await s.api.get<List>('/admin/erasures')).body.erasures;
    const seen: string[] = [];
    for (let path: string | null = '/admin/erasures?limit=2'; path !== null; ) {
      const { erasures, next }: List = (await s.api.get<List>(path)).body;
      seen.push(...erasures.map(({ id }) => id));
      path = next && `/admin/erasures?limit=2&cursor=${next}`;
    }
    expect(seen).toEqual(all.map(({ id }) => id));
    const { body } = await s.api.get<List>('/admin/erasures?state=waiting');
    expect(body.erasures.every(({ state }) => state === 'waiting')).toBe(true);
    expectProblem(await s.api.get('/admin/erasures/nothing'), 404, 'not-found');
    expectProblem(await s.api.get('/admin/erasures?cursor=x'), 400, 'invalid-request');
  });
});
