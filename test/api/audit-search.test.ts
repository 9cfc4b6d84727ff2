/** The audit trail searched and verified over HTTP. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { beginChain } from '../../domain/audit/acts.js';
import { recordCalls } from '../../domain/audit/calls.js';
import { auditKeys } from '../../domain/audit/signatures.js';
import { expectProblem, startTestApi, type TestApi } from '../support/api.js';
import { accept, stock } from '../support/database.js';
import { AUDIENCE, startTokenIssuer, type TokenIssuer } from './tokens.js';

const KEYS = auditKeys(['k'.repeat(32)]);
let issuer: TokenIssuer;
let api: TestApi;
let orderId: string;
beforeAll(async () => {
  issuer = await startTokenIssuer();
  const settings = {
    auditKeys: KEYS,
    authentication: { issuer: issuer.url, audience: AUDIENCE, rolesClaim: 'roles', jwksUrl: issuer.jwksUrl },
  };
  api = await startTestApi(settings);
  const before = await startTestApi({ ...settings, db: api.db, databaseUrl: api.databaseUrl });
  await stock(api.db, 'KEYBOARD', 1_000);
  await beginChain(api.db, KEYS);
  orderId = (await accept(api.db, { KEYBOARD: 1 })).id;
  for (const [operator, by] of [
    ['op-1', 1],
    ['op-2', 2],
    ['op-1', 3],
  ] as const)
    await before.send(
      'POST',
      '/inventory/KEYBOARD/adjust',
      { by, reason: `ticket ${by}` },
      await as(operator, 'operator'),
    );
  await before.send('POST', '/admin/brakes/charging/engage', { reason: 'ticket 9' }, await as('op-2', 'operator'));
  await before.send('POST', '/inventory/KEYBOARD/adjust', { by: 4, reason: 'no' }, await as('aud-1', 'auditor'));
  await before.get(`/orders/${orderId}`, await as('aud-1', 'auditor'));
  await before.stop(); // what it has gathered of calls is on record
});
afterAll(() => Promise.all([api.stop(), issuer.stop()]));

const as = async (subject: string, ...roles: string[]) => ({ authorization: await issuer.token({ subject, roles }) });
type Entry = {
  id: number;
  kind: string;
  at: string;
  subject: string | null;
  route: string;
  reason: string | null;
  resource: string;
};
const get = async <T>(path: string) => (await api.get<T>(path, await as('aud-9', 'auditor'))).body;
const search = (query: string) => get<{ entries: Entry[]; next: string | null }>(`/admin/audit/entries?${query}`);
const reasons = async (query: string) => (await search(query)).entries.map(({ reason }) => reason);

describe('a search', () => {
  test('gives what was done to something, the newest first', async () => {
    expect(await reasons('resource=KEYBOARD&kind=act')).toEqual(['ticket 3', 'ticket 2', 'ticket 1']);
  });

  test('gives what somebody has done, and what was refused them', async () => {
    expect(await reasons('subject=op-2')).toEqual(['ticket 9', 'ticket 2']);
    expect((await search('subject=aud-1')).entries.map(({ kind }) => kind).sort()).toEqual(['read', 'refused']);
    expect(await reasons('subject=nobody')).toEqual([]);
  });

  test('gives one kind of act, within a time', async () => {
    const route = encodeURIComponent('POST /inventory/:sku/adjust');
    const [, second, first] = (await search(`route=${route}&kind=act`)).entries;
    expect(await reasons(`route=${route}&kind=act&until=${second?.at}`)).toEqual([first?.reason]);
    expect(await reasons(`route=${route}&kind=act&from=${second?.at}&until=${second?.at}`)).toEqual([]);
    expect(await reasons(`route=${route}&kind=act&from=${second?.at}`)).toEqual(['ticket 3', 'ticket 2']);
  });

  test('is in pages, which leave nothing out and end', async () => {
    const whole = (await search('limit=1000&until=2100-01-01T00:00:00Z')).entries;
    const paged: Entry[] = [];
    for (let cursor: string | null = ''; cursor !== null; ) {
      const page: { entries: Entry[]; next: string | null } = await search(
        `limit=2&until=2100-01-01T00:00:00Z${cursor && `&cursor=${cursor}`}`,
      );
      paged.push(...page.entries);
      cursor = page.next;
    }
    const known = new Set(whole.map(({ kind, id }) => `${kind} ${id}`));
    expect(paged.filter(({ kind, id }) => known.has(`${kind} ${id}`)).map(({ kind, id }) => `${kind} ${id}`)).toEqual([
      ...known,
    ]);
    expect(whole.map(({ at }) => at)).toEqual(
      whole
        .map(({ at }) => at)
        .sort()
        .reverse(),
    );
  });

  test.each([
    'kind=lost',
    'from=yesterday',
    'until=2026-13-01T00:00:00Z',
    'cursor=xx',
    'subject=',
    'limit=0',
    'what=else',
  ])('for %s is refused', async (query) => {
    expectProblem(await api.get(`/admin/audit/entries?${query}`, await as('aud-9', 'auditor')), 400, 'invalid-request');
  });
});

type Part = {
  flaw: { table: string; id: number; what: string } | null;
  checked: { acts: number };
  keyed: boolean;
  next: string | null;
};
async function verify(): Promise<{ acts: number; flaw: Part['flaw']; parts: number }> {
  let parts = 0;
  let acts = 0;
  for (let cursor: string | null = ''; ; parts++) {
    const part: Part = await get(`/admin/audit/verification${cursor && `?cursor=${cursor}`}`);
    expect(part.keyed).toBe(true);
    acts += part.checked.acts;
    cursor = part.next;
    if (cursor === null) return { acts, flaw: part.flaw, parts: parts + 1 };
  }
}

describe('a verification', () => {
  test('goes over the whole trail, part by part', async () => {
    const at = new Date();
    const read = {
      kind: 'read',
      subject: 'aud-1',
      route: 'GET /orders/:id',
      source: null,
      status: 200,
      firstAt: at,
      times: 1,
    } as const;
    const calls = Array.from({ length: 1_100 }, (_, n) => ({ ...read, resource: orderId, correlationId: `read-${n}` }));
    await recordCalls(api.db, KEYS, calls);
    expect(await verify()).toEqual({ acts: await api.db.auditAct.count(), flaw: null, parts: 2 });
  });

  test('finds an entry that was changed, in whichever part it is', async () => {
    const [late] = await api.db.auditAct.findMany({ orderBy: { id: 'desc' }, take: 1 });
    const owner = new pg.Client({ connectionString: api.databaseUrl });
    await owner.connect();
    try {
      await owner.query('ALTER TABLE audit_acts DISABLE TRIGGER USER');
      await owner.query(`UPDATE audit_acts SET reason = 'something else' WHERE id = $1`, [late?.id]);
    } finally {
      await owner.end();
    }
    expect((await verify()).flaw).toMatchObject({ table: 'acts', id: Number(late?.id), what: 'changed' });
  });

  test('takes no place that is none', async () => {
    expectProblem(
      await api.get('/admin/audit/verification?cursor=abc', await as('aud-9', 'auditor')),
      400,
      'invalid-request',
    );
  });
});
