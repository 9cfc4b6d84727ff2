/** Which database speaks for the installation: one that was restored or copied moves no money until it is adopted. */
import { randomUUID } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { Database } from '../../domain/database.js';
import { adoptAccount, keepWord, offerWord, readStanding } from '../../domain/installation.js';
import { listFindings } from '../../domain/reconciliation-findings.js';
import { guardAccount } from '../../gateways/account-guard.js';
import { type AccountMarker, MarkerUnavailable } from '../../gateways/payments.js';
import { lookOnce, watchAccount } from '../../workers/account.js';
import { startReconciler } from '../../reconciliation/reconciler.js';
import { failureOf, refund, unwind } from '../activities/undo.js';
import { json, startOddGateway } from '../gateways/odd-gateway.js';
import { eventually } from '../support/conditions.js';
import { copyDatabase, type TestDatabase } from '../support/database.js';
import { type TestLedgers, openLedgers, SILENT } from '../reconciliation/support.js';

let b: TestLedgers;
let copies: TestDatabase[] = [];
/** What runs beside a test, so that it ends with it however that ends. */
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

const look = (db: Database = b.db, marker: AccountMarker = b.gateway) => lookOnce({ db, marker, logger: SILENT });
const isHeld = async (db?: Database) => (await look(db)).heldBecause !== null;
/** A word is written once a minute. */
const aMinutePasses = (db: Database = b.db) =>
  db.$executeRaw`UPDATE installation SET spoken_at = spoken_at - interval '61 seconds'`;
const watch = (marker: AccountMarker, db: Database = b.db, everyMs?: number) => {
  const account = watchAccount({ db, marker, logger: SILENT }, everyMs);
  stops.push(account.stop);
  return account;
};
const PAUSE = { everyMs: 60_000, elsewhereMs: 60_000 };
const writeMarker = async (word: string) => {
  const { id, marker } = await readStanding(b.db);
  await b.gateway.writeMarker(marker ?? '', { installationId: id, word });
};
const adopt = (db: Database) => adoptAccount(db, { operator: 'op-1', reason: 'it is this one' });
const copied = async () => {
  const copy = await copyDatabase(b.databaseUrl);
  copies.push(copy);
  return copy;
};

test('a database that goes on by itself is never held, however often it is looked at, by whichever process', async () => {
  for (let minute = 0; minute < 25; minute++) {
    await aMinutePasses();
    expect(await Promise.all([isHeld(), isHeld()])).toEqual([false, false]);
  }
});

describe('of a database and its copy', () => {
  test('the one that wrote last goes on, the other is held, and an adoption reverses that', async () => {
    const copy = await copied();
    await aMinutePasses();
    expect(await isHeld()).toBe(false);
    expect(await isHeld(copy.db)).toBe(true);
    await aMinutePasses(copy.db);
    expect([await isHeld(copy.db), await isHeld()]).toEqual([true, false]);
    expect(await adopt(copy.db)).toBe(true);
    expect([await isHeld(copy.db), await isHeld()]).toEqual([false, true]);
    await aMinutePasses(copy.db);
    expect([await isHeld(copy.db), await isHeld()]).toEqual([false, true]);
    expect(await adopt(copy.db)).toBe(false); // there is nothing to adopt
  });

  test('a process that has long been at work notices that another writes words, and calls nothing off any more', async () => {
    const copy = await copied();
    const { id } = await b.cancelled();
    const open = await b.leaveOpen(id);
    const account = watch(b.gateway, b.db, 50);
    const gateway = guardAccount(b.gateway, account.ensureOurs);
    await account.ensureOurs();
    expect(await isHeld(copy.db)).toBe(true);
    await adopt(copy.db);
    expect(await isHeld(copy.db)).toBe(false);
    await eventually('it is held', () =>
      account.ensureOurs().then(
        () => false,
        (err: Error) => err.name === 'AccountHeld',
      ),
    );
    const dbNow = new Date();
    const spans = [{ from: new Date(dbNow.getTime() - 60_000), until: dbNow }];
    const { due } = b.request(id);
    await expect(gateway.settleOpenCharges({ due, spans, dbNow })).rejects.toMatchObject({ name: 'AccountHeld' });
    expect((await b.gateway.readCharge(open))?.state).toBe('open');
  });

  test('the held one moves no money and calls nothing off, and says so where findings are', async () => {
    const { order } = await b.confirmed();
    await unwind(b, order.id);
    const late = await b.cancelled();
    const money = await b.takeMoney(late.id);
    const open = await b.leaveOpen((await b.cancelled()).id);
    const copy = await copied();
    await aMinutePasses();
    await look();
    await look(copy.db);
    const account = watch(b.gateway, copy.db);
    const gateway = guardAccount(b.gateway, account.ensureOurs);
    const held = { name: 'AccountHeld' };
    await expect(gateway.charge(b.request(randomUUID()))).rejects.toMatchObject(held);
    await expect(gateway.callOff(open)).rejects.toMatchObject(held);
    const { due } = b.request(randomUUID());
    await expect(gateway.settleOpenCharges({ due, spans: [], dbNow: new Date() })).rejects.toMatchObject(held);
    expect((await failureOf(refund({ ...b, db: copy.db }, order.id, { gateway }))).failure.type).toBe('AccountHeld');
    stops.push(startReconciler({ db: copy.db, databaseUrl: copy.url, gateway, everyMs: 50, logger: SILENT }));
    const finding = () => listFindings(copy.db).then((found) => found.find(({ kind }) => kind === 'ACCOUNT_HELD'));
    const reported = await eventually('it is reported', finding);
    await eventually('the next pass has come by', async () => ((await finding())?.updatedAt ?? 0) > reported.updatedAt);
    expect(await listFindings(copy.db)).toHaveLength(1); // what a pass would find is another database's affair
    expect(await b.ledger(order.id)).toMatchObject({ net: 1_000 });
    expect(await b.gateway.readCharge(money)).toMatchObject({ refunded: 0 });
    expect((await b.gateway.readCharge(open))?.state).toBe('open');

    await adopt(copy.db);
    await look(copy.db);
    await eventually('it is no finding any more', async () => (await finding())?.action === 'cancelled');
    expect((await refund({ ...b, db: copy.db }, order.id)).undone).toBe('done');
  });
});

describe('a database that was copied a moment ago', () => {
  test('is held although it knows the last word, and the one that was there first goes on', async () => {
    await aMinutePasses();
    await look();
    const copy = await copied();
    await aMinutePasses(copy.db); // it is due to write before the original is
    expect(await isHeld(copy.db)).toBe(true);
    await aMinutePasses();
    expect(await isHeld()).toBe(false);
  });
});

describe('a database that was restored', () => {
  test('from a moment before the last word is held until it is adopted', async () => {
    const { word, offered } = await readStanding(b.db);
    for (let minute = 0; minute < 3; minute++) {
      await aMinutePasses();
      await look();
    }
    await b.db.installation.updateMany({ data: { word, offered } });
    expect(await isHeld()).toBe(true);
    await adopt(b.db);
    expect(await isHeld()).toBe(false);
  });

  test('and is held stays so while the key may not read the marker', async () => {
    await b.db.installation.updateMany({ data: { word: 'of old', offered: [] } });
    expect(await isHeld()).toBe(true);
    expect((await look(b.db, FORBIDDEN)).heldBecause).not.toBeNull();
  });
});

describe('a process that is paused', () => {
  test('after it has noted a word, and writes it when another has written a later one, does not hold its own database', async () => {
    await aMinutePasses();
    await offerWord(b.db, 'late', PAUSE);
    await aMinutePasses();
    await look();
    await writeMarker('late');
    expect(await isHeld()).toBe(false);
    await aMinutePasses();
    expect(await isHeld()).toBe(false);
  });

  test('after it has written a word, and notes that when another has written a later one, does not hold its own database', async () => {
    await aMinutePasses();
    await offerWord(b.db, 'early', PAUSE);
    await writeMarker('early');
    await aMinutePasses();
    await offerWord(b.db, 'later', PAUSE);
    await writeMarker('later');
    await keepWord(b.db, 'later', null);
    await keepWord(b.db, 'early', null);
    expect(await isHeld()).toBe(false);
  });

  test('while it takes an account over with another at the same time does not hold its own database', async () => {
    await b.db.installation.updateMany({ data: { word: 'of old', offered: [] } });
    await look();
    await adopt(b.db);
    await Promise.all([look(), look(), look()]);
    for (let minute = 0; minute < 2; minute++) expect(await isHeld()).toBe(false);
  });
});

const FORBIDDEN: AccountMarker = {
  createMarker: async () => {
    throw new MarkerUnavailable('no right');
  },
  findMarker: async () => {
    throw new MarkerUnavailable('no right');
  },
  readMarker: async () => {
    throw new MarkerUnavailable('no right');
  },
  writeMarker: async () => {
    throw new MarkerUnavailable('no right');
  },
};

describe('a key', () => {
  test('without the right to customers goes on: there is no marker, and so nothing to be held by', async () => {
    await b.db.installation.updateMany({ data: { marker: null, word: null, offered: [] } });
    expect((await look(b.db, FORBIDDEN)).heldBecause).toBeNull();
    const account = watch(FORBIDDEN);
    await account.ensureOurs();
  });

  test('without that right is recognised by its 403, and goes on as well', async () => {
    const odd = await startOddGateway(1_000);
    try {
      odd.answer = (_request, response) =>
        json(response, { error: { type: 'invalid_request_error', message: 'no' } }, 403);
      expect((await look(b.db, odd.gateway)).heldBecause).toBeNull();
      await expect(odd.gateway.readMarker('cus_1')).rejects.toBeInstanceOf(MarkerUnavailable);
    } finally {
      await odd.stop();
    }
  });

  test('of another account, which has no such marker, moves no money; with the right one again it is released', async () => {
    const other = await openLedgers();
    try {
      const account = watch(other.gateway);
      const why = expect.stringContaining('has no marker of this installation');
      await expect(account.ensureOurs()).rejects.toMatchObject({ name: 'AccountHeld', message: why });
      expect((await readStanding(b.db)).heldSince).not.toBeNull();
      expect(await isHeld()).toBe(false); // the marker says our word: no other database has written since
      expect((await readStanding(b.db)).heldSince).toBeNull();
    } finally {
      await other.stop();
    }
  });

  test('that cannot be asked at first keeps money from moving, and lets it move once it can', async () => {
    await b.db.$executeRaw`UPDATE installation SET spoken_at = spoken_at - interval '11 minutes'`;
    await b.fault({ mode: 'down', route: 'all' });
    const account = watch(b.gateway);
    await expect(account.ensureOurs()).rejects.toMatchObject({ name: 'GatewayUnknown' });
    await b.heal();
    await account.ensureOurs();
    await b.fault({ mode: 'down', route: 'all' });
    await account.ensureOurs(); // what was seen is believed while nothing can be seen
  });
});
