/** An operation on dead letters, carried out while Temporal is away: a relay sends, a receiver takes or refuses. */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { DeadLetter } from '../../contracts/dead-letters.js';
import type { Operation, OperationItem } from '../../contracts/operations.js';
import { auditKeys } from '../../domain/audit/signatures.js';
import { reserveInventory } from '../../domain/inventory.js';
import { startOperations } from '../../workers/operations/runner.js';
import { PATIENT, SILENT, startTestApi, type TestApi } from '../support/api.js';
import { eventually } from '../support/conditions.js';
import { accept, stock } from '../support/database.js';
import { type Receiver, startReceiver } from '../support/receiver.js';
import { runRelay } from '../support/relay.js';

const MANY = 4;

let api: TestApi;
let receiver: Receiver;
let stopRelay: () => Promise<void>;
let stopRunner: () => Promise<void>;
/** Orders whose second event the receiver refuses. */
const poisoned = new Set<string>();
beforeAll(async () => {
  api = await startTestApi();
  await stock(api.db, 'A', 1_000);
  receiver = await startReceiver();
  receiver.answer = ({ subject, sequence }) => (poisoned.has(subject) && sequence === 2 ? 422 : 204);
  stopRelay = runRelay({ db: api.db, url: api.databaseUrl }, receiver);
  stopRunner = startOperations({
    ...{ db: api.db, keys: auditKeys([]), client: () => undefined, where: 'nowhere', policy: PATIENT, logger: SILENT },
  });
});
afterAll(async () => {
  await stopRunner();
  await stopRelay();
  await api.stop();
  await receiver.stop();
});

const preview = (body: object) => api.send<Operation>('POST', '/admin/operations/preview', body);
async function carryOut(frozen: Operation, body: object): Promise<Operation> {
  const starting = { preview: frozen.id, expectedCount: frozen.counts.open, reason: 'ticket 4711', ratePerSecond: 50 };
  expect((await api.send('POST', '/admin/operations', { ...starting, ...body })).status).toBe(201);
  return eventually(
    'it stands still',
    async () => {
      const { body: now } = await api.get<Operation>(`/admin/operations/${frozen.id}`);
      return (now.endedAt !== null || now.state === 'paused') && now;
    },
    30_000,
  );
}

test('letters are replayed after a canary that was mended, discarded where they are to be, and each says what its letter says', async () => {
  const orders = await Promise.all(Array.from({ length: MANY }, () => accept(api.db, { A: 1 })));
  for (const { id } of orders) poisoned.add(id);
  await Promise.all(orders.map(({ id }) => reserveInventory(api.db, id)));
  const parked = await eventually('all are parked', async () => {
    const { deadLetters } = (await api.get<{ deadLetters: DeadLetter[] }>('/admin/dead-letters')).body;
    return deadLetters.length === MANY && deadLetters;
  });

  const first = (await preview({ action: 'replay', deadLetters: { destination: 'webhook', cause: 'rejected' } })).body;
  expect(first).toMatchObject({ total: MANY, counts: { open: MANY }, amounts: [] });
  expect(await carryOut(first, { canary: [1] })).toMatchObject({
    ...{ state: 'paused', pause: { by: null, because: 'the canary has failed' } },
    counts: { failed: 1, open: MANY - 1 },
  });
  const [failed] = (await api.get<{ items: OperationItem[] }>(`/admin/operations/${first.id}/items`)).body.items;
  expect(failed).toMatchObject({ deadLetterId: parked[0]?.id, message: 'parked again: the dead letter says why' });

  // As long as it may go on, its letters are its own.
  const word = { reason: 'the receiver is being mended' };
  expect((await api.send('POST', `/admin/operations/${first.id}/abort`, word)).status).toBe(200);
  const [kept] = parked.slice(-1) as [DeadLetter];
  const dropped = (await preview({ action: 'discard', deadLetterIds: [kept.id] })).body;
  expect((await carryOut(dropped, {})).counts).toMatchObject({ reached: 1 });

  poisoned.clear();
  const rest = (await preview({ action: 'replay', deadLetterIds: parked.map(({ id }) => id) })).body;
  expect(rest).toMatchObject({
    counts: { open: MANY - 1, skipped: 1 },
    skipped: [{ because: 'the event is DISCARDED' }],
  });
  expect((await carryOut(rest, {})).counts).toMatchObject({ reached: MANY - 1, skipped: 1 });
  const { deadLetters } = (await api.get<{ deadLetters: DeadLetter[] }>('/admin/dead-letters?state=DELIVERED')).body;
  expect(deadLetters.map(({ decidedBy, reason }) => `${decidedBy} ${reason}`)).toEqual(
    Array.from({ length: MANY - 1 }, () => 'anonymous ticket 4711'),
  );
}, 90_000);
