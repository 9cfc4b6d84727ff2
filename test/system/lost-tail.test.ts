/**
 * An asynchronous standby is promoted that lacks the newest events: their transaction ids are given out again. What comes then is
 * skipped by nobody, neither by a relay that goes on, nor by a reader of the feed who has kept a place of before.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { readFeedClock } from '../../domain/feed-clock.js';
import { FEED_START, type FeedPlace, readFeed } from '../../domain/outbox.js';
import { ensureDatabase } from '../../local/postgres/server.js';
import { type Running, start } from '../../local/processes/program.js';
import { migrate } from '../../local/setup/migrate.js';
import { type DatabaseClient, openDatabase } from '../../runtime/database.js';
import { guardFeedClock } from '../../service/feed-clock.js';
import { type Link, startLink } from '../../testbed/link.js';
import { type Cluster, newCluster } from '../../testbed/postgres/cluster.js';
import { type Standby, startStandby } from '../../testbed/postgres/standby.js';
import { deliverAll, someOrders, startTestRelay, type TestRelay } from '../relay/relays.js';
import { SILENT } from '../support/api.js';
import { eventually } from '../support/conditions.js';
import { stock, type TestDatabase } from '../support/database.js';
import { type Receiver, startReceiver } from '../support/receiver.js';
import { webhookTo } from '../support/relay.js';
import { kill } from '../support/surroundings.js';

const LIMIT_MS = 180_000;
/** More transactions than the promoted standby makes by itself before the relay looks. */
const LOST = 30;
let folder: string;
let primary: Cluster;
let running: Running;
let standby: Standby;
let link: Link;
let replication: Link;
let url: string;
let receiver: Receiver;
const opened: DatabaseClient[] = [];

/** As a process has it, or as one that does not look at the feed's clock. */
function open(isGuarded: boolean): TestDatabase {
  const guard = guardFeedClock(SILENT);
  if (isGuarded) guard.arm();
  const db = openDatabase(url, 3, { onConnect: guard.ask });
  opened.push(db);
  return { db, url, drop: async () => undefined };
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'order-saga-tail-'));
  receiver = await startReceiver();
  primary = await newCluster(join(folder, 'primary.log'));
  running = await start(await primary.program());
  const direct = await ensureDatabase(primary.admin, 'order_saga', 'tail');
  await migrate(direct);
  [link, replication] = await Promise.all([
    startLink(`127.0.0.1:${primary.port}`),
    startLink(`127.0.0.1:${primary.port}`),
  ]);
  const through = new URL(direct);
  through.host = link.address;
  url = through.href;
  standby = await startStandby(primary, {
    ...{ logFile: join(folder, 'standby.log'), isSynchronous: false, through: replication.address },
  });
}, LIMIT_MS);
afterAll(async () => {
  await Promise.all(opened.map((db) => db.$disconnect()));
  standby?.running.kill();
  await standby?.running.exited;
  standby?.remove();
  if (running) await kill(running);
  primary?.remove();
  await Promise.all([link?.stop(), replication?.stop(), receiver?.stop()]);
  await rm(folder, { recursive: true, force: true });
}, 60_000);

const endOf = async (db: DatabaseClient): Promise<FeedPlace> =>
  (await readFeed(db, FEED_START, 500)).at(-1) ?? FEED_START;

test(
  'neither a relay that goes on nor a reader of the feed skips what comes in place of the events that were lost',
  async () => {
    const before = open(false);
    const guarded = open(true);
    await stock(guarded.db, 'A', 1_000); // and with its first connection the timeline is known
    await someOrders(before, 5);
    const relay: TestRelay = await startTestRelay(before, webhookTo(receiver));
    await deliverAll(relay);
    await standby.caughtUp();
    replication.fail('silent');
    const lost = await someOrders(before, LOST);
    await deliverAll(relay);
    const place = await endOf(before.db);
    expect(lost.map((id) => receiver.sequences(id))).toEqual(lost.map(() => [1, 2]));

    await kill(running);
    await standby.promote();
    link.lead(`127.0.0.1:${standby.port}`);
    await eventually('the promoted one answers', () => readFeedClock(before.db).catch(() => undefined), 30_000);

    const fresh = await someOrders(before, 3);
    const skipped = await readFeed(before.db, place, 100);
    expect(skipped).toEqual([]); // a reader would, by itself; and what the relay has in memory is no better
    await deliverAll(relay).catch(() => undefined);
    await relay.renew();
    await deliverAll(relay);
    expect(fresh.map((id) => receiver.sequences(id))).toEqual(fresh.map(() => [1, 2]));

    const later = await someOrders(guarded, 3);
    const read = new Set((await readFeed(guarded.db, place, 100)).map(({ orderId }) => orderId));
    expect([...read].sort()).toEqual([...later].sort());
    const { next } = await readFeedClock(guarded.db);
    await Promise.all(opened.map((db) => db.$disconnect()));
    const again = open(true);
    await readFeed(again.db, place, 1);
    expect((await readFeedClock(again.db)).next - next).toBeLessThan(1_000n); // it is done once
  },
  LIMIT_MS,
);
