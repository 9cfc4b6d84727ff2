/** The audit chain against whoever owns the database: each test tampers as an owner can, and must be convicted. */
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { act, beginChain } from '../../domain/audit/acts.js';
import { type AuditedCall, purgeCalls, recordCalls, sealDay, sealTrail } from '../../domain/audit/calls.js';
import { entryOfSku } from '../../domain/audit/changes.js';
import { auditKeys } from '../../domain/audit/signatures.js';
import { type Anchor, readAnchor, verifyAudit } from '../../domain/audit/verification.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';

const KEY = 'k'.repeat(32);
const KEYS = auditKeys([KEY]);
const ACTOR = { subject: 'op-7', route: 'PUT /inventory/:sku', correlationId: 'c-1', source: '198.51.100.7' };
const entry = (unitPrice: number) => ({ name: 'Mouse', unitPrice, currency: 'USD', onHand: 10 });
const call = (n: number): AuditedCall => ({
  ...{ kind: 'refused', subject: n % 2 ? `s-${n}` : null, route: 'GET /events', resource: `r-${n}`, status: 403 },
  ...{ correlationId: `c-${n}`, source: '203.0.113.9', times: n + 1, firstAt: new Date(Date.now() - 1_000) },
});

let t: TestDatabase;
let anchor: Anchor;
/** Two rows of before the chain, four entries (a seal, three acts), four calls. */
beforeEach(async () => {
  t = await createTestDatabase();
  await recordAsBefore(2);
  for (const price of [4900, 0, 4900]) await act(t.db, KEYS, ACTOR, entryOfSku('MOUSE', entry(price)));
  await recordCalls(t.db, KEYS, [call(0), call(1), call(2)]);
  await recordCalls(t.db, KEYS, [call(3)]);
  anchor = await readAnchor(t.db);
});
afterEach(() => t.drop());

/** As the release before this one does, beside us. */
async function recordAsBefore(count: number) {
  for (let n = 0; n < count; n++)
    await t.db
      .$executeRaw`INSERT INTO audit_trail (subject, route, status, correlation_id) VALUES (${`s-${n}`}, 'GET /events', 403, 'c')`;
}

/** What an owner can do: triggers do not stop them. */
async function tamper(...statements: string[]) {
  for (const table of ['audit_acts', 'audit_calls', 'audit_trail'])
    await t.db.$executeRawUnsafe(`ALTER TABLE ${table} DISABLE TRIGGER USER`);
  for (const statement of statements) await t.db.$executeRawUnsafe(statement);
  for (const table of ['audit_acts', 'audit_calls', 'audit_trail'])
    await t.db.$executeRawUnsafe(`ALTER TABLE ${table} ENABLE TRIGGER USER`);
}
/** @param from null = no anchor is known */
const flaw = async (keys = KEYS, from: Anchor | null = anchor) => {
  const found = (await verifyAudit(t.db, keys, from ?? undefined)).flaw;
  return found && `${found.table} ${found.id} ${found.what}`;
};

test('what was signed is whole', async () => {
  expect(await verifyAudit(t.db, KEYS, anchor)).toEqual({
    flaw: null,
    head: { id: 4, hash: anchor.hash },
    checked: { acts: 4, calls: 4, trail: 2 },
    erased: 0,
  });
  expect(await flaw()).toBeNull();
});

describe('who owns the database is convicted of', () => {
  test.each([
    [
      'changing what a price was before',
      `UPDATE audit_acts SET before = jsonb_set(before, '{unitPrice}', '1') WHERE id = 3`,
    ],
    ['changing who it was', `UPDATE audit_acts SET subject = 'op-8' WHERE id = 3`],
    ['changing from where', `UPDATE audit_acts SET source = '198.51.100.8' WHERE id = 3`],
    ['changing what it was done to', `UPDATE audit_acts SET resource = 'KEYBOARD' WHERE id = 3`],
    ['giving it a reason', `UPDATE audit_acts SET reason = 'asked for' WHERE id = 3`],
    [
      'changing the hash of a name with the name',
      `UPDATE audit_acts SET subject = NULL, subject_hash = NULL WHERE id = 3`,
    ],
    ['changing the command', `UPDATE audit_acts SET route = 'ops adopt' WHERE id = 3`],
    ['changing the status', `UPDATE audit_acts SET status = 409 WHERE id = 3`],
    ['changing the kind', `UPDATE audit_acts SET kind = 'outcome' WHERE id = 3`],
    ['changing the correlation id', `UPDATE audit_acts SET correlation_id = 'c-2' WHERE id = 3`],
    ['changing the time', `UPDATE audit_acts SET at = at + interval '1 ms' WHERE id = 3`],
    ['changing the signature', `UPDATE audit_acts SET hash = sha256(hash) WHERE id = 3`],
    [
      'putting another entry in its place',
      `UPDATE audit_acts a SET (before, after, hash) = (SELECT before, after, hash FROM audit_acts WHERE id = 4) WHERE id = 3`,
    ],
  ])('%s', async (_, statement) => {
    await tamper(statement);
    expect(await flaw()).toBe('acts 3 changed');
    expect(await flaw(KEYS, null)).toMatch(/^acts/); // no anchor is needed for that
  });

  test('dating an entry back', async () => {
    await tamper(`UPDATE audit_acts SET at = at - interval '1 day' WHERE id = 3`);
    expect(await flaw()).toBe('acts 3 back-dated');
  });

  test('taking an entry out, also if the rest moves up', async () => {
    await tamper('DELETE FROM audit_acts WHERE id = 3');
    expect(await flaw()).toBe('acts 3 missing');
    await tamper('UPDATE audit_acts SET id = 3 WHERE id = 4');
    expect(await flaw()).toBe('acts 3 changed');
  });

  test('putting an entry in', async () => {
    await tamper(
      `INSERT INTO audit_acts SELECT 5, now(), kind, route, subject, subject_hash, resource, resource_hash, reason, reason_hash, source, source_hash, status, correlation_id, before, after, key_id, hash FROM audit_acts WHERE id = 4`,
    );
    expect(await flaw()).toBe('acts 5 changed');
  });

  test('cutting off the end', async () => {
    await tamper('DELETE FROM audit_acts WHERE id = 4');
    expect(await flaw()).toBe('acts 4 cut-off');
    await tamper('DELETE FROM audit_acts');
    expect(await flaw()).toBe('acts 1 cut-off');
  });

  test.each([
    ['a key of their own', ['o'.repeat(32)]],
    ['no key', []],
  ])('making the chain anew with %s', async (_, secrets) => {
    await tamper('DELETE FROM audit_acts');
    const theirs = auditKeys(secrets);
    for (const price of [1, 2, 3, 4]) await act(t.db, theirs, ACTOR, entryOfSku('MOUSE', entry(price)));
    expect(await flaw()).toMatch(/^acts (1 unknown-key|4 replaced)$/);
    expect(await flaw(KEYS, null)).toBe('acts 1 unknown-key');
  });

  test('going on without a key after entries that have one', async () => {
    await tamper('DELETE FROM audit_acts WHERE id = 4');
    const [signed] = await t.db.$queryRaw<{ keyId: string }[]>`SELECT key_id AS "keyId" FROM audit_acts WHERE id = 3`;
    await tamper(`UPDATE audit_acts SET key_id = 'unkeyed' WHERE id = 3`); // else the service itself would not go on so
    await act(t.db, auditKeys([]), ACTOR, entryOfSku('MOUSE', entry(9)));
    await tamper(`UPDATE audit_acts SET key_id = '${signed?.keyId}' WHERE id = 3`);
    expect(await flaw(KEYS, null)).toBe('acts 4 unknown-key');
  });

  test('putting an entry of another past in its place, which we did sign', async () => {
    await tamper('CREATE TABLE past AS SELECT * FROM audit_acts WHERE id = 4', 'DELETE FROM audit_acts WHERE id = 4');
    for (const price of [1, 2]) await act(t.db, KEYS, ACTOR, entryOfSku('MOUSE', entry(price)));
    expect(await flaw(KEYS, await readAnchor(t.db))).toBeNull(); // as after a restore
    await tamper('DELETE FROM audit_acts WHERE id = 4', 'INSERT INTO audit_acts SELECT * FROM past');
    expect(await flaw(KEYS, null)).toBe('acts 5 changed');
  });

  test('making its end anew, were it with our own key', async () => {
    await tamper('DELETE FROM audit_acts WHERE id = 4');
    await act(t.db, KEYS, ACTOR, entryOfSku('MOUSE', entry(1)));
    expect(await flaw()).toBe('acts 4 replaced');
  });

  test.each([
    ['changing a call', 'UPDATE audit_calls SET times = 1 WHERE id = 2', 'calls 2 changed'],
    ['changing whose it was', `UPDATE audit_calls SET subject = 'x' WHERE id = 2`, 'calls 2 changed'],
    ['taking a call out', 'DELETE FROM audit_calls WHERE id = 2', 'calls 2 missing'],
    ['taking the first out', 'DELETE FROM audit_calls WHERE id = 1', 'calls 1 missing'],
    ['taking the last out', 'DELETE FROM audit_calls WHERE id = 4', 'calls 4 cut-off'],
    ['taking all out', 'DELETE FROM audit_calls', 'calls 1 cut-off'],
    ['changing a row of before the chain', `UPDATE audit_trail SET subject = 'x' WHERE id = 2`, 'trail 2 changed'],
    ['taking one out', 'DELETE FROM audit_trail WHERE id = 1', 'trail 1 missing'],
    ['taking the last out', 'DELETE FROM audit_trail WHERE id = 2', 'trail 2 cut-off'],
  ])('%s: %s', async (_, statement, expected) => {
    await tamper(statement);
    expect(await flaw()).toBe(expected);
  });

  test('making the rows of before the chain anew, with their own trigger', async () => {
    await tamper('DELETE FROM audit_trail');
    await recordAsBefore(2);
    expect(await flaw()).toBe('trail 2 replaced');
  });

  test.each([
    ['the last call', 'id = 4', [9]],
    ['a call amid others, the later ones put back', 'id >= 2', [9]],
  ])('putting another that we did sign in the place of %s', async (_, which, others) => {
    await tamper(
      'CREATE TABLE past AS SELECT * FROM audit_calls WHERE id > 2',
      `DELETE FROM audit_calls WHERE ${which}`,
    );
    await recordCalls(t.db, KEYS, others.map(call));
    await tamper('INSERT INTO audit_calls SELECT * FROM past ON CONFLICT DO NOTHING');
    expect(await flaw()).toMatch(/^calls (4 replaced|3 changed)$/);
  });

  test.each([
    ['acts', `VALUES (-9223372036854775808, 'purge', '{"of":"calls","toId":4}')`, 'acts -9223372036854776000 changed'],
    ['acts, as the first', `VALUES (0, 'act', NULL)`, 'acts 0 changed'],
  ])('putting an entry before the %s, that says that calls were removed', async (_, values, expected) => {
    await forgeAct(values);
    await tamper('DELETE FROM audit_calls');
    expect(await flaw()).toBe(expected);
  });

  test('having retention remove calls by a seal that was none, whether or not it is left there', async () => {
    await forgeAct(`VALUES (-1, 'seal', '{"of":"calls","toId":3,"day":"2020-01-01","fromId":1,"count":3}')`);
    expect(await purgeCalls(t.db, KEYS, 86_400_000)).toBe(3);
    expect(await flaw()).toBe('acts -1 changed');
    await tamper('DELETE FROM audit_acts WHERE id = -1');
    expect(await flaw()).toBe('calls 1 missing');
  });

  const forgeAct = (values: string) =>
    tamper(`INSERT INTO audit_acts (id, at, kind, route, correlation_id, after, key_id, hash)
      SELECT id, now(), kind, 'audit', 'audit', after::jsonb, 'mine', sha256('mine') FROM (${values}) AS forged (id, kind, after)`);

  test('a verdict of the database itself', async () => {
    await tamper(
      `UPDATE audit_trail SET subject = 'x' WHERE id = 2`,
      `CREATE OR REPLACE FUNCTION audit_trail_hash(entry audit_trail, before BYTEA) RETURNS BYTEA LANGUAGE sql AS 'SELECT entry.hash'`,
    );
    expect(await flaw()).toBe('trail 2 changed');
  });
});

test('what identifies a person may be erased, and the chain stays whole', async () => {
  await t.db.$executeRaw`UPDATE audit_acts SET subject = NULL, source = NULL WHERE subject = 'op-7'`;
  await t.db.$executeRaw`UPDATE audit_calls SET subject = NULL, source = NULL`;
  await act(t.db, KEYS, ACTOR, entryOfSku('MOUSE', entry(1)));
  expect(await verifyAudit(t.db, KEYS, anchor)).toMatchObject({ flaw: null, erased: 3 + 4 });
});

test('a rotated key signs, and those of before go on proving', async () => {
  const both = auditKeys(['n'.repeat(32), KEY]);
  await act(t.db, both, ACTOR, entryOfSku('MOUSE', entry(1)));
  expect(await flaw(both)).toBeNull();
  expect(await flaw()).toBe('acts 5 unknown-key');
  // Who does not have the new key yet would break the chain.
  await expect(act(t.db, KEYS, ACTOR, entryOfSku('MOUSE', entry(2)))).rejects.toThrow(
    /signed with the key [0-9a-f]{12}/,
  );
  await expect(act(t.db, auditKeys([]), ACTOR, entryOfSku('MOUSE', entry(2)))).rejects.toThrow(/AUDIT_KEY/);
  expect((await t.db.inventory.findUniqueOrThrow({ where: { sku: 'MOUSE' } })).unitPrice).toBe(1n);
});

test('what was recorded before there was a key is covered by the first entry that is signed with one', async () => {
  const unsigned = await createTestDatabase();
  const { db } = unsigned;
  await act(db, auditKeys([]), ACTOR, entryOfSku('MOUSE', entry(1)));
  await recordCalls(db, auditKeys([]), [call(0), call(1)]);
  expect((await verifyAudit(db, KEYS)).flaw).toMatchObject({ what: 'unknown-key' });
  expect(await beginChain(db, auditKeys([]))).toBe(false);
  expect(await beginChain(db, KEYS)).toBe(true);
  expect(await beginChain(db, KEYS)).toBe(false);
  await recordCalls(db, KEYS, [call(2)]);
  const noted = await readAnchor(db);
  expect(await verifyAudit(db, KEYS, noted)).toMatchObject({ flaw: null, checked: { acts: 3, calls: 3 } });
  await expect(recordCalls(db, auditKeys([]), [call(3)])).rejects.toThrow(/signed with the key [0-9a-f]{12}/);
  await db.$executeRaw`ALTER TABLE audit_calls DISABLE TRIGGER USER`;
  await db.$executeRaw`UPDATE audit_calls SET times = 9 WHERE id = 1`;
  expect((await verifyAudit(db, KEYS, noted)).flaw).toMatchObject({ table: 'calls', id: 1, what: 'changed' });
  await unsigned.drop();
});

test('rows that the code of before adds during a deploy are sealed later', async () => {
  await recordAsBefore(1);
  expect(await sealTrail(t.db, KEYS)).toBe(false); // once a day
  await shiftDays('acts', 2);
  expect(await sealTrail(t.db, KEYS)).toBe(true);
  expect(await sealTrail(t.db, KEYS)).toBe(false);
  await tamper('DELETE FROM audit_trail WHERE id = 3');
  const [seal] = await t.db.$queryRaw<{ after: unknown }[]>`SELECT after FROM audit_acts ORDER BY id DESC LIMIT 1`;
  expect(seal?.after).toMatchObject({ of: 'trail', toId: 3 });
});

/** Everything that is there becomes older; signed anew, as it would have been then. */
async function shiftDays(table: 'acts' | 'calls', days: number) {
  if (table === 'acts') {
    await tamper(`UPDATE audit_acts SET at = at - interval '${days} days'`);
    return;
  }
  const rows = await t.db.auditCall.findMany({ orderBy: { id: 'asc' } });
  await tamper('DELETE FROM audit_calls');
  const calls = rows.map(({ id }) => call(Number(id) - 1));
  await recordCalls(t.db, KEYS, calls);
  const { signCall } = await import('../../domain/audit/signatures.js');
  let previous: string | null = null;
  for (const row of await t.db.auditCall.findMany({ orderBy: { id: 'asc' } })) {
    const at = new Date(row.at.getTime() - days * 86_400_000);
    const hashes = { subject: row.subjectHash, resource: row.resourceHash, reason: null, source: row.sourceHash };
    const hash = signCall(KEYS.signing, { ...row, id: Number(row.id), at, hashes }, previous);
    previous = hash.toString('hex');
    await tamper(
      `UPDATE audit_calls SET at = '${at.toISOString()}', hash = '\\x${hash.toString('hex')}' WHERE id = ${row.id}`,
    );
  }
  anchor = await readAnchor(t.db);
}

describe('audited calls', () => {
  test('are sealed when their day is over, and go when their retention is', async () => {
    expect(await sealDay(t.db, KEYS)).toBe(false); // today is not over
    await shiftDays('calls', 3);
    expect(await sealDay(t.db, KEYS)).toBe(true);
    expect(await sealDay(t.db, KEYS)).toBe(false);
    expect(await flaw()).toBeNull();
    expect(await purgeCalls(t.db, KEYS, 5 * 86_400_000)).toBe(0);
    expect(await purgeCalls(t.db, KEYS, 86_400_000)).toBe(4);
    expect(await purgeCalls(t.db, KEYS, 86_400_000)).toBe(0);
    expect(await t.db.auditCall.count()).toBe(0);
    expect(await flaw()).toBeNull();
    await recordCalls(t.db, KEYS, [call(7)]);
    expect((await t.db.auditCall.findFirstOrThrow()).id).toBe(5n);
    expect(await flaw()).toBeNull();
    // Of what is gone, nobody can make anew what was in it.
    await tamper(
      'CREATE TABLE now AS SELECT * FROM audit_calls',
      'UPDATE now SET id = 2',
      'INSERT INTO audit_calls SELECT * FROM now',
    );
    expect(await flaw()).toBe('calls 2 changed');
  });

  test.each([
    ['removed without retention', 'DELETE FROM audit_calls', 'calls 1 missing'],
    ['cut off their day', 'DELETE FROM audit_calls WHERE id > 2', 'calls 3 missing'],
  ])('that were sealed are missed when they are %s', async (_, statement, expected) => {
    await shiftDays('calls', 3);
    await sealDay(t.db, KEYS);
    await tamper(statement);
    expect(await flaw()).toBe(expected);
  });

  test('that were made anew, were it with our own key, are not those that were sealed', async () => {
    await shiftDays('calls', 3);
    await sealDay(t.db, KEYS);
    await tamper('DELETE FROM audit_calls');
    await recordCalls(t.db, KEYS, [call(9), call(9), call(9), call(9)]);
    expect(await flaw()).toBe('calls 1 replaced');
  });
});

test('an empty database has a whole chain, which is begun once', async () => {
  const empty = await createTestDatabase();
  expect(await verifyAudit(empty.db, KEYS)).toMatchObject({ flaw: null, head: null });
  expect(await Promise.all([beginChain(empty.db, KEYS), beginChain(empty.db, KEYS)])).toContain(false);
  expect(await verifyAudit(empty.db, KEYS)).toMatchObject({ flaw: null, checked: { acts: 1 } });
  await empty.drop();
});
