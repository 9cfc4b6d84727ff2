/** Tombstones are written by Postgres and looked for by us: both must come to the same digest, whatever a client's program has chosen. */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { identityKeyOf } from '../../domain/customers.js';
import { erasureDigest } from '../../domain/erasure/tombstones.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';

let t: TestDatabase;
beforeAll(async () => {
  t = await createTestDatabase();
});
afterAll(() => t?.drop());

const EVERY_ASCII = String.fromCharCode(...Array.from({ length: 127 }, (_, i) => i + 1));

test.each([
  ['plain', ['key', 'hmac-sha256:abc', 'POST /orders', 'web-1']],
  ['with quotes, and what JSON escapes', ['key', EVERY_ASCII, '"\\/', '{"a": [1]}']],
  ['in any script', ['key', 'Zoë–Ærø', '🛒\u{10ffff}', '\u2028\u2029\ufeff\u00a0']],
  ['that are empty', ['key', '', ' ', '\\N']],
])('of texts %s', async (_, parts) => {
  const [row] = await t.db.$queryRaw<
    { digest: Uint8Array }[]
  >`SELECT erasure_digest(VARIADIC ${parts}::text[]) AS digest`;
  expect(Buffer.from(row?.digest ?? []).toString('hex')).toBe(
    Buffer.from(erasureDigest(await identityKeyOf(t.db), ...parts)).toString('hex'),
  );
});
