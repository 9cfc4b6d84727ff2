/** deploy/cdc/outbox.sql on the database that is deployed, where nobody may do what nobody has granted. */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { ask } from '../../testbed/postgres/cluster.js';
import { startSource } from '../support/cdc.js';

let source: Awaited<ReturnType<typeof startSource>>;
beforeAll(async () => {
  source = await startSource();
}, 120_000);
afterAll(() => source?.stop());

test('the connector’s role may log in, read the outbox and its slot, and read nothing else', async () => {
  const as = (sql: string) => ask(source.connectorUrl, sql);
  await expect(as('SELECT count(*)::int AS count FROM outbox')).resolves.toEqual([{ count: 0 }]);
  const peeked = `SELECT * FROM pg_logical_slot_peek_binary_changes('order_saga_outbox', NULL, NULL, 'proto_version', '1',
    'publication_names', 'order_saga_outbox')`;
  await expect(as(peeked)).resolves.toBeInstanceOf(Array);
  await expect(as('SELECT * FROM orders')).rejects.toThrow('permission denied for table orders');
});
