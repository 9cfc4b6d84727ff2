/** A database password is changed in two places, the file that we read and the role: whichever comes first, sessions begin. */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import pg from 'pg';
import { pino } from 'pino';
import { sessionConfig } from '../../prisma/session.mjs';
import { type DatabaseClient, openDatabase } from '../../runtime/database.js';
import { openListener } from '../../runtime/listener.js';
import { eventually } from '../support/conditions.js';
import { createTestDatabase, required, type TestDatabase } from '../support/database.js';

/** Sessions that begin at once: some are refused while others have found out which password is right. */
const CROWD = 24;
const role = `rotating_${randomUUID().replaceAll('-', '')}`;
let t: TestDatabase;
let admin: pg.Client;
beforeAll(async () => {
  t = await createTestDatabase();
  admin = new pg.Client(sessionConfig(required('TEST_DATABASE_ADMIN_URL')));
  await admin.connect();
  await admin.query(`CREATE ROLE ${role} LOGIN PASSWORD 'first'`);
});
afterAll(async () => {
  await t.drop();
  await admin.query(`DROP ROLE IF EXISTS ${role}`);
  await admin.query(`DROP ROLE IF EXISTS ${role}_b`);
  await admin.end();
});

const urlWith = (password: string, user = role): string => {
  const url = new URL(t.url);
  Object.assign(url, { username: user, password });
  return url.href;
};
const SESSION_ENDED = '57P01';
/** Of a session that was ended the pool may hear by its next statement only: that one is asked again, in another session. */
const whoAmI = async (db: DatabaseClient): Promise<string | undefined> => {
  try {
    const rows = await db.$queryRaw<{ name: string }[]>`SELECT current_user::text AS name`;
    return rows[0]?.name;
  } catch (err) {
    if ((err as { code?: string }).code !== SESSION_ENDED) throw err;
    return whoAmI(db);
  }
};
/** As if all of them had been idle for long: the next one is a new one. */
const endSessions = async () => {
  const sessions = `SELECT pid FROM pg_stat_activity WHERE usename LIKE '${role}%'`;
  await admin.query(`SELECT pg_terminate_backend(pid) FROM (${sessions}) s`);
  await eventually('they are gone', async () => (await admin.query(sessions)).rowCount === 0);
};
const setPassword = (password: string) => admin.query(`ALTER ROLE ${role} PASSWORD '${password}'`);

test('the file first, then the role: in between the old password is used, and afterwards the new one', async () => {
  await setPassword('first');
  let url = urlWith('first');
  const db = openDatabase(() => url, CROWD);
  const wakes: string[] = [];
  const listener = openListener(
    () => url,
    'rotation',
    () => wakes.push('woken'),
    pino({ level: 'silent' }),
  );
  const crowd = () => Promise.all(Array.from({ length: CROWD }, () => whoAmI(db)));
  const newSessions = async () => {
    const before = wakes.length;
    await endSessions();
    expect(await crowd()).toEqual(Array.from({ length: CROWD }, () => role));
    expect(await db.$transaction((tx) => whoAmI(tx as never))).toBe(role);
    await eventually('notifications are heard again', () => wakes.length > before);
  };
  await newSessions();
  url = urlWith('second');
  await newSessions();
  await newSessions();
  await setPassword('second');
  await newSessions();
  // The old one is forgotten: one that neither of the two takes is refused.
  await setPassword('third');
  await endSessions();
  await expect(whoAmI(db)).rejects.toThrow('password authentication failed');
  url = urlWith('third');
  await newSessions();
  await listener.stop();
  await db.$disconnect();
});

test('the role first: what was begun goes on, and new sessions wait for the file', async () => {
  await setPassword('first');
  let url = urlWith('first');
  const db = openDatabase(() => url, 1);
  await whoAmI(db);
  await setPassword('second');
  expect(await whoAmI(db)).toBe(role);
  await endSessions();
  await expect(whoAmI(db)).rejects.toThrow('password authentication failed');
  url = urlWith('second');
  expect(await whoAmI(db)).toBe(role);
  await db.$disconnect();
});

test('two roles in turns: from the moment that the file names the other one, sessions are its', async () => {
  await setPassword('first');
  await admin.query(`CREATE ROLE ${role}_b LOGIN PASSWORD 'other'`);
  let url = urlWith('first');
  const db = openDatabase(() => url, 1);
  expect(await whoAmI(db)).toBe(role);
  url = urlWith('other', `${role}_b`);
  expect(await whoAmI(db)).toBe(role); // begun before
  await admin.query(`ALTER ROLE ${role} NOLOGIN`);
  await endSessions();
  expect(await whoAmI(db)).toBe(`${role}_b`);
  await admin.query(`ALTER ROLE ${role} LOGIN`);
  await db.$disconnect();
});
