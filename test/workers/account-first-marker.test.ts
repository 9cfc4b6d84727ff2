/** The first marker: made once per installation, so that a backup from before it finds one of which it does not know. */
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { Database } from '../../domain/database.js';
import { adoptAccount, nameInstallation, readStanding } from '../../domain/installation.js';
import { type AccountMarker, GatewayUnknown } from '../../gateways/payments.js';
import { lookOnce, watchAccount } from '../../workers/account.js';
import { copyDatabase, type TestDatabase } from '../support/database.js';
import { type Books, openBooks, SILENT } from './support.js';

let b: Books;
let copies: TestDatabase[] = [];
beforeEach(async () => {
  b = await openBooks();
});
afterEach(async () => {
  for (const copy of copies) await copy.drop();
  copies = [];
  await b.stop();
});

const look = (db: Database = b.db) => lookOnce({ db, marker: b.gateway, logger: SILENT });
const isHeld = async (db?: Database) => (await look(db)).heldBecause !== null;
const aMinutePasses = (db: Database = b.db) =>
  db.$executeRaw`UPDATE installation SET spoken_at = spoken_at - interval '61 seconds'`;
const adopt = (db: Database) => adoptAccount(db, { operator: 'op-1', reason: 'it is this one' });
const restored = async () => {
  const copy = await copyDatabase(b.databaseUrl);
  copies.push(copy);
  return copy.db;
};
const markers = async () =>
  (await b.stripe('GET', '/v1/customers?limit=100'))['data'] as { id: string; email: string }[];

describe('a backup from before the first marker', () => {
  test('is held until it is adopted, and then the other one is', async () => {
    const backup = await restored();
    await look();
    const account = watchAccount({ db: backup, marker: b.gateway, logger: SILENT });
    try {
      await expect(account.ensureOurs()).rejects.toMatchObject({ name: 'AccountHeld' });
    } finally {
      await account.stop();
    }
    expect(await isHeld()).toBe(false);
    expect(await markers()).toHaveLength(1);
    await adopt(backup);
    expect([await isHeld(backup), await isHeld()]).toEqual([false, true]);
  });

  test('is held also if the marker was made by a build that gave it no address, once it has been told a word since', async () => {
    const backup = await restored();
    await look();
    const { marker } = await readStanding(b.db);
    await b.stripe('POST', `/v1/customers/${marker}`, { email: '' });
    await aMinutePasses();
    await look();
    expect(await isHeld(backup)).toBe(true);
  });

  test('that is restored twice at once moves money once', async () => {
    const [one, other] = [await restored(), await restored()];
    await Promise.all([look(one), look(other)]);
    expect([await isHeld(one), await isHeld(other)].sort()).toEqual([false, true]);
  });
});

describe('a fresh installation', () => {
  test('whose processes start at once has one marker that counts, and goes on', async () => {
    const views = await Promise.all(Array.from({ length: 5 }, () => look()));
    expect(views.map(({ heldBecause }) => heldBecause)).toEqual(Array.from({ length: 5 }, () => null));
    await aMinutePasses();
    expect(await isHeld()).toBe(false);
    // Side by side, some may have made more than one: that is no stranger's.
    expect((await markers()).at(-1)?.id).toBe((await readStanding(b.db)).marker);
  });

  test('that dies between making its marker and noting it finds it again', async () => {
    const makesAndDies: AccountMarker = {
      ...b.gateway,
      createMarker: async (says) => {
        await b.gateway.createMarker(says);
        throw new GatewayUnknown('it was killed here');
      },
    };
    const dying = lookOnce({ db: b.db, marker: makesAndDies, logger: SILENT });
    await expect(dying).rejects.toMatchObject({ name: 'GatewayUnknown' });
    expect(await readStanding(b.db)).toMatchObject({ marker: null });
    expect(await isHeld()).toBe(false);
    expect(await markers()).toHaveLength(1);
  });

  test('is not held by strangers’ customers, or by an installation of another name on the account', async () => {
    await look();
    const [{ email } = { email: '' }] = await markers();
    const other = await openBooks({ account: b.url, installationId: 'shop-b' });
    try {
      await b.stripe('POST', '/v1/customers', { email, 'metadata[purpose]': 'something else' });
      const seen = await lookOnce({ db: other.db, marker: other.gateway, logger: SILENT });
      expect(seen.heldBecause).toBeNull();
      await nameInstallation(other.db, 'Shop-B:2');
      expect(await isHeld(other.db)).toBe(false);
    } finally {
      await other.stop();
    }
    expect(await isHeld()).toBe(false);
  });
});

describe('an adoption whose marker is gone', () => {
  test('takes over the one that another database has made since, which is held from then on', async () => {
    await look();
    const backup = await restored();
    await b.db.$executeRaw`UPDATE installation SET held_since = now(), held_because = 'its marker was deleted'`;
    const { marker } = await readStanding(b.db);
    await fetch(`${b.url}/v1/customers/${marker}`, {
      method: 'DELETE',
      headers: { authorization: 'Bearer sk_test_books' },
    });
    await adopt(b.db);
    expect(await isHeld()).toBe(false);
    expect(await isHeld(backup)).toBe(true);
    await adopt(backup);
    expect([await isHeld(backup), await isHeld()]).toEqual([false, true]);
    expect(await markers()).toHaveLength(1);
  });
});
