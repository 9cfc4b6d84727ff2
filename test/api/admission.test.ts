/** Orders are accepted a few at a time while sagas wait, all at once otherwise, and first come, first served. */
import type { IncomingMessage } from 'node:http';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { createAdmission } from '../../api/admission.js';
import { createSagaStarter } from '../../api/starter.js';
import { claimKey } from '../../domain/idempotency.js';
import { AWAY, ORDER, PATIENT, SILENT, startServer, startTestApi, type TestApi } from '../support/api.js';
import { eventually } from '../support/conditions.js';
import { stock } from '../support/database.js';

describe('admission', () => {
  let isBehind: boolean;
  let admitted: number[];
  let ends: Map<number, () => void>;
  beforeEach(() => {
    isBehind = true;
    admitted = [];
    ends = new Map();
  });

  /** A hundred who come one after the other. */
  function crowd(): Promise<number[]> {
    const admit = createAdmission(() => isBehind);
    const one = (n: number) =>
      admit(
        () => false,
        () => {
          admitted.push(n);
          return new Promise<number>((resolve) => ends.set(n, () => resolve(n)));
        },
      );
    return Promise.all(Array.from({ length: 100 }, (_, n) => one(n)));
  }
  const endOf = async (n: number) => {
    await eventually(`${n} is admitted`, () => ends.has(n));
    ends.get(n)?.();
  };
  const everyone = Array.from({ length: 100 }, (_, n) => n);

  test('while sagas wait is of a few at a time, in the order of their arrival', async () => {
    const answered = crowd();
    await eventually('the first are admitted', () => admitted.length > 0);
    const atATime = admitted.length;
    expect(atATime).toBeLessThanOrEqual(4);
    for (const n of everyone) {
      await endOf(n);
      await eventually('the next is admitted', () => admitted.length === Math.min(100, n + 1 + atATime));
    }
    expect(admitted).toEqual(everyone);
    expect(await answered).toEqual(everyone);
  });

  test('is of all, as soon as no saga waits', async () => {
    const answered = crowd();
    isBehind = false;
    await endOf(0);
    await eventually('all are admitted', () => admitted.length === 100);
    for (const end of ends.values()) end();
    expect(await answered).toEqual(everyone);
  });
});

describe('POST /orders while sagas wait', () => {
  let api: TestApi;
  let server: Awaited<ReturnType<typeof startServer>>;
  beforeAll(async () => {
    api = await startTestApi();
    await stock(api.db, 'KEYBOARD', 1_000);
    const starter = createSagaStarter({
      db: api.db,
      client: AWAY.client,
      policy: PATIENT,
      eager: false,
      logger: SILENT,
    });
    server = await startServer(api, { starter: { ...starter, isBehind: () => true } });
  });
  afterAll(async () => {
    await server.stop();
    await api.stop();
  });

  /** Whoever uses this key waits in its statement, until told. */
  async function holdKey(key: string): Promise<() => Promise<void>> {
    let letGo: () => void = () => undefined;
    const told = new Promise<void>((resolve) => {
      letGo = resolve;
    });
    const claim = { caller: 'anonymous', route: 'POST /orders', key, fingerprint: new Uint8Array(32), ttlMs: 60_000 };
    let transaction: Promise<void> = Promise.resolve();
    await new Promise<void>((resolve, reject) => {
      transaction = api.db.$transaction(
        async (tx) => {
          await claimKey(tx, { ...claim, id: crypto.randomUUID(), lockMs: 60_000 });
          resolve();
          await told;
          throw new Error('rolled back');
        },
        { timeout: 60_000 },
      );
      transaction.catch(reject);
    });
    return async () => {
      letGo();
      await transaction.catch(() => undefined);
    };
  }

  test('accepts those who wait as soon as those before them are done, and nothing of one who has hung up', async () => {
    const arrived: IncomingMessage[] = [];
    server.app.server.on('request', (request) => void arrived.push(request));
    const hasArrived = (n: number) => eventually(`${n} have come`, () => arrived.length === n);
    const letGo = await holdKey('held');
    const held = Array.from({ length: 4 }, () => server.client.place({}, { 'idempotency-key': 'held' }));
    await hasArrived(4);

    const leaving = new AbortController();
    const left = fetch(`${server.url}/orders`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ ...ORDER, customerId: 'cus_left' }),
      signal: leaving.signal,
    });
    const gone = expect(left).rejects.toThrow('aborted');
    await hasArrived(5);
    leaving.abort();
    await gone;
    await eventually('the server knows', () => arrived[4]?.socket.destroyed);
    const patient = server.client.place({ customerId: 'cus_patient' });
    await hasArrived(6);
    expect(await api.db.order.count()).toBe(0);

    await letGo();
    expect((await Promise.all([...held, patient])).map(({ status }) => status)).toEqual([201, 201, 201, 201, 201]);
    const orders = await api.db.order.findMany({ orderBy: { id: 'asc' } });
    expect(orders.map(({ customerId }) => customerId)).toEqual(['cus_42', 'cus_patient']);
  });
});
