/** Waking: who waits is woken for what concerns it, however the news comes. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { createWaiting, type Waiting } from '../../../api/waiting/waiting.js';
import { OUTBOX_CHANNEL } from '../../../contracts/ids.js';
import { confirmOrder } from '../../../domain/confirmation.js';
import { type Database, withAnnouncer } from '../../../domain/database.js';
import { reserveInventory } from '../../../domain/inventory.js';
import { recordCharge } from '../../../domain/payments.js';
import { type Channel, openChannel } from '../../../runtime/channel.js';
import { closedPort, SILENT } from '../../support/api.js';
import { changesOf } from '../../support/changes.js';
import { eventually } from '../../support/conditions.js';
import { accept, createTestDatabase, stock, type TestDatabase } from '../../support/database.js';

const NEVER_MS = 600_000;
const STAYS = new AbortController().signal;
let t: TestDatabase;
const opened: { stop(): Promise<void> }[] = [];
beforeAll(async () => {
  t = await createTestDatabase();
  await stock(t.db, 'A', 1_000);
});
afterEach(async () => {
  await Promise.all(opened.splice(0).map((each) => each.stop()));
});
afterAll(() => t.drop());

/** Listening: its first notification is that it does. */
async function listening(pollMs: number): Promise<Waiting> {
  const changes = changesOf(t);
  const waiting = createWaiting({ db: t.db, changes, stopping: new AbortController().signal, logger: SILENT, pollMs });
  opened.push(waiting, changes);
  await waiting.nextChange(STAYS);
  return waiting;
}

const place = () => accept(t.db, { A: 1 });
/** Notifications come in the order of their commits: with this one, all earlier ones have come. */
async function allNotified(waiting: Waiting): Promise<void> {
  const next = waiting.nextChange(STAYS);
  await t.db.$queryRaw`SELECT pg_notify(${OUTBOX_CHANNEL}, 'fence')::text`;
  await next;
}

function follow(waiting: Waiting, orderId: string, after = 1) {
  const watch = waiting.newEvents.watch(orderId);
  const seen: string[] = [];
  void watch.next(after, STAYS).then((events) => seen.push(...(events ?? []).map(({ type }) => type)));
  return { watch, seen };
}

describe('a request that waits', () => {
  test('for an order’s events is given those of that order, and of no other', async () => {
    const waiting = await listening(NEVER_MS);
    const [mine, other] = [await place(), await place()];
    await allNotified(waiting);
    const [first, twin, ofOther] = [follow(waiting, mine.id), follow(waiting, mine.id), follow(waiting, other.id)];
    await reserveInventory(t.db, other.id);
    await eventually('the other one’s', () => ofOther.seen.length === 1);
    expect([first.seen, twin.seen]).toEqual([[], []]);
    await reserveInventory(t.db, mine.id);
    await eventually('its own', () => first.seen.length === 1 && twin.seen.length === 1);
    expect([first.seen, twin.seen]).toEqual([['inventory.reserved'], ['inventory.reserved']]);
  });

  test('misses nothing that comes while it does something else', async () => {
    const waiting = await listening(NEVER_MS);
    const { id } = await place();
    await allNotified(waiting);
    const watch = waiting.newEvents.watch(id);
    await reserveInventory(t.db, id);
    await allNotified(waiting);
    expect((await watch.next(1, STAYS))?.map(({ type }) => type)).toEqual(['inventory.reserved']);
  });

  test('for an order’s end is not looked for before it, and is given the order with its lines', async () => {
    let statements = 0;
    const counting = new Proxy(t.db, {
      get: (db, name) => {
        if (name === '$queryRaw') statements++;
        return Reflect.get(db, name);
      },
    });
    const changes = changesOf(t);
    const waiting = createWaiting({
      db: counting,
      changes,
      stopping: new AbortController().signal,
      logger: SILENT,
      pollMs: NEVER_MS,
    });
    opened.push(waiting, changes);
    await waiting.nextChange(STAYS);
    const { id, items, total } = await place();
    const order = waiting.finalOrders.watch(id).next(undefined, STAYS);
    await reserveInventory(t.db, id);
    await recordCharge(t.db, id, `pi_${id}`);
    await allNotified(waiting);
    expect(statements).toBe(0);
    await confirmOrder(t.db, id);
    expect(await order).toMatchObject({ id, status: 'CONFIRMED', items, total });
    expect(statements).toBe(1);
  });

  test('looks all the same when no notification comes', async () => {
    const waiting = await listening(50);
    const { id } = await place();
    await t.db.order.update({ where: { id }, data: { status: 'CONFIRMED' } });
    expect(await waiting.finalOrders.watch(id).next(undefined, STAYS)).toMatchObject({ id, status: 'CONFIRMED' });
    await waiting.nextChange(STAYS);
  });

  test('is looked for when the connection is replaced, since a notification may have been missed', async () => {
    const waiting = await listening(NEVER_MS);
    const { id } = await place();
    await allNotified(waiting);
    const [order, change] = [waiting.finalOrders.watch(id).next(undefined, STAYS), waiting.nextChange(STAYS)];
    await t.db.order.update({ where: { id }, data: { status: 'CONFIRMED' } });
    await t.db.$queryRaw`
      SELECT pg_terminate_backend(pid) FROM pg_stat_activity
      WHERE application_name = 'order-saga listener' AND datname = current_database()`;
    expect(await order).toMatchObject({ id });
    await change;
  });

  test('no longer waits once its client has gone', async () => {
    const waiting = await listening(NEVER_MS);
    const gone = new AbortController();
    const watch = waiting.newEvents.watch('some');
    const answers = [watch.next(0, gone.signal), waiting.nextChange(gone.signal)];
    gone.abort();
    await Promise.all(answers);
    expect(await watch.next(0, gone.signal)).toBeUndefined();
    await waiting.nextChange(gone.signal);
  });
});

describe('a request that waits for an order', () => {
  const waitBy = (changes: Channel, pollMs: number) => {
    const waiting = createWaiting({
      db: t.db,
      changes,
      stopping: new AbortController().signal,
      logger: SILENT,
      pollMs,
    });
    opened.push(waiting, changes);
    return waiting;
  };
  /** The database of a process of its own, that can notify. */
  const otherProcess = async (): Promise<Database> => {
    const changes = changesOf(t);
    await new Promise<void>((connected) => changes.subscribe(() => connected()));
    opened.push(changes);
    return withAnnouncer(t.db, changes);
  };
  const end = async (db: Database, id: string) => {
    await reserveInventory(db, id);
    await recordCharge(db, id, `pi_${id}`, undefined, { confirm: true });
  };
  const endsOf = (waiting: Waiting, id: string) =>
    Promise.all([waiting.finalOrders.watch(id).next(undefined, STAYS), waiting.newEvents.watch(id).next(3, STAYS)]);

  test('is answered when the order ends in another process', async () => {
    const [waiting, other] = [await listening(NEVER_MS), await otherProcess()];
    const { id } = await accept(other, { A: 1 });
    const ends = endsOf(waiting, id);
    await end(other, id);
    expect(await ends).toMatchObject([{ id, status: 'CONFIRMED' }, [{ type: 'order.confirmed' }]]);
  });

  test('is answered when it ends in the same process, which has no connection for notifications', async () => {
    const url = `postgresql://u:p@127.0.0.1:${await closedPort()}/d`;
    const changes = openChannel({ url, name: OUTBOX_CHANNEL, logger: SILENT });
    const waiting = waitBy(changes, NEVER_MS);
    const { id } = await place();
    const ends = endsOf(waiting, id);
    await end(withAnnouncer(t.db, changes), id);
    expect(await ends).toMatchObject([{ id, status: 'CONFIRMED' }, [{ type: 'order.confirmed' }]]);
  });

  test('is answered within an interval when the process dies between the commit and its announcement', async () => {
    const waiting = await listening(50);
    const { id } = await place();
    const ends = endsOf(waiting, id);
    await end(withAnnouncer(t.db, { announce: () => undefined }), id);
    expect(await ends).toMatchObject([{ id, status: 'CONFIRMED' }, [{ type: 'order.confirmed' }]]);
  });
});
