/** Leases, when the database's clock was ahead for a while and has come back: nothing waits for it to get there once more. */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { createCursors, renewLeases } from '../../domain/cursors.js';
import { claimKey } from '../../domain/idempotency.js';
import { takeLease } from '../../domain/leases.js';
import { leaseReconciliation } from '../../domain/reconciliation-cursor.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';

let t: TestDatabase;
beforeAll(async () => {
  t = await createTestDatabase();
});
afterAll(() => t?.drop());

const LEASE = { leaseMs: 15_000 };
const claim = (id: string) => ({
  ...{ id, caller: 'c', route: 'POST /orders', key: 'k', fingerprint: new Uint8Array(32) },
  ...{ lockMs: 15_000, ttlMs: 86_400_000 },
});
const IDS = ['0193d1d2-0000-7000-8000-000000000001', '0193d1d2-0000-7000-8000-000000000002'] as const;

/** Each answers whether this owner, the first or the second, has got it. */
const LEASES = {
  'the partitions of a destination': async (owner: 0 | 1) => {
    const { leased } = await renewLeases(t.db, { destinations: ['webhook'], owner: IDS[owner], ...LEASE });
    return leased.length === 16;
  },
  reconciliation: async (owner: 0 | 1) => (await leaseReconciliation(t.db, { owner: IDS[owner], ...LEASE })) !== null,
  'the verification': (owner: 0 | 1) => takeLease(t.db, 'verifier', { owner: IDS[owner], ...LEASE }),
  'a key of which no answer is kept': (owner: 0 | 1) => claimKey(t.db, claim(IDS[owner])),
};
/** As if all had been taken then. */
const moveBy = async (time: string) => {
  await t.db.$executeRawUnsafe(`UPDATE relay_cursors SET lease_until = lease_until + interval '${time}'`);
  await t.db.$executeRawUnsafe(`UPDATE relay_members SET alive_until = alive_until + interval '${time}'`);
  await t.db.$executeRawUnsafe(`UPDATE reconciliation_cursors SET lease_until = lease_until + interval '${time}'`);
  await t.db.$executeRawUnsafe(`UPDATE leases SET until = until + interval '${time}'`);
  await t.db.$executeRawUnsafe(`UPDATE idempotency_keys SET locked_until = locked_until + interval '${time}'`);
};

test('whoever died with a lease of a clock that was two hours ahead keeps nobody from it, and whoever lives keeps it', async () => {
  await createCursors(t.db, ['webhook'], 'oldest');
  const takenBy = async (owner: 0 | 1) => {
    const took: string[] = [];
    for (const [name, take] of Object.entries(LEASES)) if (await take(owner)) took.push(name);
    return took;
  };
  expect(await takenBy(0)).toEqual(Object.keys(LEASES));
  expect(await takenBy(1)).toEqual([]);
  await moveBy('2 hours');
  expect(await takenBy(1)).toEqual(Object.keys(LEASES));
  expect(await takenBy(0)).toEqual([]);
});
