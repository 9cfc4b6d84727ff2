/** A codec for tests, over a key store that can be away; and what stands in Temporal of a saga, as a client without a codec has it. */
import { randomUUID } from 'node:crypto';
import { Client } from '@temporalio/client';
import { findReferences, lookupOf, readIdentityKey } from '../../domain/customers.js';
import type { Database } from '../../domain/database.js';
import { findReferenceOfOrder } from '../../domain/sealing/order-references.js';
import { createDataKeys, type DataKeys } from '../../domain/sealing/data-keys.js';
import { createSealing } from '../../domain/sealing/sealing.js';
import type { CodecMode } from '../../sagas/payloads/codec.js';
import { createPayloads, type Payloads } from '../../sagas/payloads/opened.js';
import { keyStoreForTests } from './keys.js';

export type TestPayloads = Payloads & {
  dataKeys: DataKeys;
  forget(reference: string): void;
  /** What could not be sealed or opened, as whoever logs is told. */
  failures: string[];
};

/** A process of its own, with caches of its own. */
export async function payloadsOf(
  db: Database,
  store = keyStoreForTests(),
  { mode = 'on', encryptsAfterMs, look = true }: { mode?: CodecMode; encryptsAfterMs?: number; look?: boolean } = {},
): Promise<TestPayloads> {
  const dataKeys = createDataKeys(db, store, { customersMax: 1_000, ttlMs: 60_000 });
  const sealing = createSealing(dataKeys);
  const failures: string[] = [];
  const payloads = createPayloads({
    mode,
    findReference: (orderId) => findReferenceOfOrder(db, orderId),
    dataKeys,
    sealing,
    onFailure: (what, err) => failures.push(`${what}: ${(err as Error).message}`),
    ...(encryptsAfterMs !== undefined && { encryptsAfterMs }),
  });
  if (look) await payloads.keys.lookOnce();
  return { ...payloads, dataKeys, forget: sealing.forget, failures };
}

/** Gives the client's id a reference, as an acceptance does, and the order that. @returns the reference */
export async function referTo(db: Database, orderId: string, clientId: string = randomUUID()): Promise<string> {
  const key = await readIdentityKey(db);
  const [known] = await findReferences(db, key, clientId);
  const reference = known ?? randomUUID();
  if (known === undefined)
    await db.$executeRaw`INSERT INTO customers (reference, lookup, client_id) VALUES (${reference}::uuid, ${lookupOf(key, clientId)}, ${clientId})`;
  await db.$executeRaw`UPDATE orders SET customer_id = ${reference} WHERE id = ${orderId}::uuid`;
  return reference;
}

/** Every text of the history as Temporal has it, payloads included. */
export async function rawHistory({ connection }: Client, workflowId: string): Promise<string> {
  const client = new Client({ connection });
  const history = await client.workflow.getHandle(workflowId).fetchHistory();
  return textsIn(history).join('\n');
}

const textsIn = (value: unknown): string[] => {
  if (typeof value === 'string') return [value];
  if (value instanceof Uint8Array) return [Buffer.from(value).toString('latin1')];
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(textsIn) : [];
};
