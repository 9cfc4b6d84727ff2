/** The account's marker cannot be read, or a copy of the whole data directory has read it first: who moves money then. */
import { randomUUID } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { pino } from 'pino';
import type { Database } from '../../domain/database.js';
import { adoptAccount, holdAccount, readStanding } from '../../domain/installation.js';
import { guardAccount } from '../../gateways/account-guard.js';
import type { AccountMarker } from '../../gateways/payments.js';
import { createPaymentGateway } from '../../gateways/stripe.js';
import { lookOnce, watchAccount } from '../../workers/account.js';
import { eventually } from '../support/conditions.js';
import { copyDatabase, type TestDatabase } from '../support/database.js';
import { type TestLedgers, openLedgers, SILENT } from '../reconciliation/support.js';

let b: TestLedgers;
let copies: TestDatabase[] = [];
let stops: (() => Promise<void>)[] = [];
beforeEach(async () => {
  b = await openLedgers();
  await look();
});
afterEach(async () => {
  for (const stop of stops) await stop();
  for (const copy of copies) await copy.drop();
  [stops, copies] = [[], []];
  await b.stop();
});

const look = (db: Database = b.db) => lookOnce({ db, marker: b.gateway, logger: SILENT });
const isHeld = async (db?: Database) => (await look(db)).heldBecause !== null;
const secondsPass = (seconds: number, db: Database = b.db) =>
  db.$executeRaw`UPDATE installation SET spoken_at = spoken_at - ${seconds}::int * interval '1 second'`;
const UNKNOWN = { name: 'GatewayUnknown' };

/** A process that starts now, at this database. */
function start(db: Database = b.db, { marker = b.gateway as AccountMarker, everyMs = 50 } = {}) {
  const warned: string[] = [];
  const into = { write: (line: string) => warned.push(String((JSON.parse(line) as { msg: unknown }).msg)) };
  const account = watchAccount({ db, marker, logger: pino({ level: 'warn' }, into) }, everyMs);
  stops.push(account.stop);
  const gateway = guardAccount(b.gateway, account.ensureOurs);
  return { ...account, warned, charge: () => gateway.charge(b.request(randomUUID())) };
}

const copied = async () => {
  const copy = await copyDatabase(b.databaseUrl);
  copies.push(copy);
  return copy;
};
/** As a copy of the data directory finds itself: in the same cluster by name, and served since another moment. */
async function copiedWithItsCluster(): Promise<TestDatabase> {
  const copy = await copied();
  await copy.db.$executeRaw`
    UPDATE installation SET server_started_at = server_started_at - interval '1 hour', cluster =
      (SELECT (SELECT system_identifier FROM pg_control_system()) || '/' || oid FROM pg_database WHERE datname = current_database())`;
  return copy;
}

describe('a process that starts while only the marker’s endpoint fails', () => {
  test.each([{ mode: 'down' }, { mode: 'busy' }, { mode: 'error' }, { mode: 'reset' }])(
    'by %j moves money by the word of a moment ago, says so once, and shows it',
    async (fault) => {
      await b.fault({ ...fault, route: 'customer' });
      const process = start();
      expect((await process.charge()).outcome).toBe('charged');
      expect(process.state()).toBe('believed');
      await b.requests();
      await eventually('it has looked again', async () => ((await b.requests())['GET /v1/customers/:id'] ?? 0) > 0);
      expect((await process.charge()).outcome).toBe('charged');
      expect(process.warned.filter((message) => message.includes('by the word of a moment ago'))).toHaveLength(1);
      await b.heal();
      await eventually('it has seen the marker', () => process.state() === 'ours');
    },
  );

  test('by silence moves money once the first look has waited, and lets nothing else wait', async () => {
    await b.fault({ mode: 'hang', route: 'customer' });
    const marker = createPaymentGateway({ url: b.url, apiKey: 'sk_test_ledgers', timeoutMs: 300 });
    await b.requests();
    const process = start(b.db, { marker, everyMs: 60_000 });
    await process.ensureOurs();
    const asked = await b.requests();
    for (let n = 0; n < 5; n++) await process.ensureOurs();
    expect(asked).toHaveProperty('GET /v1/customers/:id', 1);
    expect(await b.requests()).not.toHaveProperty('GET /v1/customers/:id');
  });

  test('moves none by a word of eleven minutes ago, and stops when its own becomes as old', async () => {
    await b.fault({ mode: 'down', route: 'customer' });
    await secondsPass(9 * 60);
    const process = start();
    await process.charge();
    await secondsPass(2 * 60);
    await eventually('its word is too old', () => process.state() === 'unknown');
    await expect(process.charge()).rejects.toMatchObject(UNKNOWN);
    await expect(start().charge()).rejects.toMatchObject(UNKNOWN);
    await b.heal();
    // A look that began before answers last.
    await eventually('it moves money again', () =>
      process.charge().then(
        () => true,
        () => false,
      ),
    );
  });

  test('moves none after another process has found that the account does not know the database, whatever it has seen before', async () => {
    const seeing = start();
    await seeing.charge();
    await b.fault({ mode: 'down', route: 'customer' });
    const believing = start();
    await believing.charge();
    await holdAccount(b.db, 'another process saw another word');
    for (const process of [seeing, believing])
      await eventually('it knows', () =>
        process.ensureOurs().then(
          () => false,
          () => true,
        ),
      );
    await expect(start().charge()).rejects.toMatchObject(UNKNOWN);
  });

  test('moves none just after an adoption that is not at the marker yet, nor before there is a marker', async () => {
    await holdAccount(b.db, 'for a test');
    await adoptAccount(b.db, { operator: 'op-1', reason: 'a test' });
    await b.fault({ mode: 'down', route: 'customer' });
    await expect(start().charge()).rejects.toMatchObject(UNKNOWN);
    await b.db.installation.updateMany({ data: { marker: null, word: null, offered: [] } });
    await expect(start().charge()).rejects.toMatchObject(UNKNOWN);
  });

  test('moves none at a copy of the database, beside it or of the whole data directory', async () => {
    const beside = await copied();
    const directory = await copiedWithItsCluster();
    await b.fault({ mode: 'down', route: 'customer' });
    for (const { db } of [beside, directory]) await expect(start(db).charge()).rejects.toMatchObject(UNKNOWN);
    await start().charge();
  });
});

describe('of a database and a copy of its data directory', () => {
  test('that starts within the minute, the one that was there first goes on and the copy is held', async () => {
    const copy = await copiedWithItsCluster();
    await secondsPass(61, copy.db);
    expect(await isHeld(copy.db)).toBe(false); // it knows the last word
    await secondsPass(61);
    expect([await isHeld(), await isHeld(copy.db), await isHeld()]).toEqual([false, true, false]);
  });

  test('the only one that is left writes words again by itself, though its server was restarted', async () => {
    const copy = await copiedWithItsCluster();
    const { word } = await readStanding(copy.db);
    await secondsPass(181, copy.db);
    expect(await isHeld(copy.db)).toBe(false);
    expect((await readStanding(copy.db)).word).not.toBe(word);
    await secondsPass(61, copy.db);
    const written = (await readStanding(copy.db)).word;
    await look(copy.db);
    expect((await readStanding(copy.db)).word).not.toBe(written);
  });
});
