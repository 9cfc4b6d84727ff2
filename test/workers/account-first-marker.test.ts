/** The first marker: made once per installation, so that a backup from before it finds one of which it does not know. */
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { Database } from '../../domain/database.js';
import { adoptAccount, nameInstallation, readStanding } from '../../domain/installation.js';
import { type AccountMarker, GatewayUnknown } from '../../gateways/payments.js';
import { lookOnce, watchAccount } from '../../workers/account.js';
import { copyDatabase, type TestDatabase } from '../support/database.js';
import { type TestLedgers, openLedgers, SILENT } from '../reconciliation/support.js';

let b: TestLedgers;
let copies: TestDatabase[] = [];
beforeEach(async () => {
  b = await openLedgers();
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
/** As a person deletes a customer in the gateway's dashboard. */
const remove = (id: string) =>
  fetch(`${b.url}/v1/customers/${id}`, { method: 'DELETE', headers: { authorization: 'Bearer sk_test_ledgers' } });
/** As many processes as said search before any of them makes a marker, and search again when each has made its own. */
function sideBySide(processes: number): AccountMarker {
  const together = () => {
    let waiting = 0;
    let open: () => void;
    const all = new Promise<void>((resolve) => {
      open = resolve;
    });
    return async () => {
      if (++waiting === processes) open();
      await all;
    };
  };
  const [searched, made] = [together(), together()];
  return {
    ...b.gateway,
    createMarker: async (says) => {
      await searched();
      const reference = await b.gateway.createMarker(says);
      await made();
      return reference;
    },
  };
}
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

  test('is held also if the marker was made by a build that gave it no address, once another word has been written to it since', async () => {
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
    const marker = sideBySide(2);
    await Promise.all([one, other].map((db) => lookOnce({ db, marker, logger: SILENT })));
    expect([await isHeld(one), await isHeld(other)].sort()).toEqual([false, true]);
    expect(await markers()).toHaveLength(2);
  });
});

describe('a fresh installation', () => {
  test('whose processes start at once has one marker that counts, and goes on', async () => {
    const marker = sideBySide(3);
    const looks = [1, 2, 3].map(() => lookOnce({ db: b.db, marker, logger: SILENT }));
    expect((await Promise.all(looks)).map(({ heldBecause }) => heldBecause)).toEqual([null, null, null]);
    await aMinutePasses();
    expect(await isHeld()).toBe(false);
    const made = await markers();
    expect(made).toHaveLength(3);
    expect(made.at(-1)?.id).toBe((await readStanding(b.db)).marker); // the oldest, as a restored database will find
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
    const [{ email, id } = { email: '', id: '' }] = await markers();
    await remove(id);
    await b.stripe('POST', '/v1/customers', { email, 'metadata[purpose]': 'something else' });
    await b.db.installation.updateMany({ data: { marker: null, word: null, offered: [] } });
    expect(await isHeld()).toBe(false);
    const other = await openLedgers({ account: b.url, installationId: 'shop-b' });
    try {
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
    await remove(marker ?? '');
    await adopt(b.db);
    expect(await isHeld()).toBe(false);
    expect(await isHeld(backup)).toBe(true);
    await adopt(backup);
    expect([await isHeld(backup), await isHeld()]).toEqual([false, true]);
    expect(await markers()).toHaveLength(1);
  });
});
