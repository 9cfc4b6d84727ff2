/** Change data capture as the other way out (docs/cdc.md): Debezium's connector, as deploy/cdc configures it, beside a real Kafka. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { toCloudEvent } from '../../contracts/events.js';
import { readOrderEvents } from '../../domain/outbox.js';
import { findConnect } from '../../testbed/brokers/programs.js';
import { readAll } from '../../testbed/brokers/readers.js';
import { type Capture, EVENTS_EACH, startCapture } from '../support/cdc.js';
import { eventually } from '../support/conditions.js';

const FULL = process.env['FULL'] === '1';
const ORDERS = 2_000;
const KILLS = 3;
const LIMIT_MS = 600_000;
const ARRIVAL_LIMIT_MS = LIMIT_MS / 2;
/** Above all events of ours, and below the one that is planted. */
const MESSAGE_BYTES_MAX = 20_000;

let cdc: Capture;
const say = (figures: object) => process.stderr.write(`${JSON.stringify({ test: 'cdc', ...figures })}\n`);

async function allArrived(of?: readonly string[]) {
  const { outOfSequence, ...rest } = await cdc.allArrived(ARRIVAL_LIMIT_MS, of);
  expect(outOfSequence).toEqual([]);
  return rest;
}

const gaveBack = () =>
  eventually('the WAL is given back', async () => Number((await cdc.slot()).keptBytes) < 1_000_000, 60_000);

const finding = await findConnect(process.env);
if (!('programs' in finding)) {
  if (FULL && process.env['REQUIRE_BROKERS'] === '1') throw new Error(`REQUIRE_BROKERS=1, but ${finding.missing}`);
  process.stderr.write(`Skipped: ${finding.missing}\n`);
}

// A minute and a half of two processors: of every run it would be a twentieth.
if (!FULL) process.stderr.write('Skipped: change data capture runs with FULL=1 only\n');
(FULL && 'programs' in finding ? describe : describe.skip)('change data capture', () => {
  beforeAll(async () => {
    cdc = await startCapture({ 'message.max.bytes': `${MESSAGE_BYTES_MAX}` });
  }, 240_000);
  afterAll(() => cdc?.stop(), 60_000);

  test('says of an event what the relay says with EVENTS_CUSTOMER=reference, but for its schema, and for the reference by its other name', async () => {
    const [id = ''] = await cdc.order(1);
    const { arrivals } = await allArrived();
    const events = (await readOrderEvents(cdc.db, id, 0, 10)).map((event) => toCloudEvent(event, 'reference'));
    const wanted = events.map(({ dataschema: _, data, ...event }) => {
      const { customerReference: __, ...stored } = data as { customerReference?: string };
      return { ...event, data: stored };
    });
    expect(arrivals.map(({ event }) => event)).toEqual(wanted);
    expect(arrivals.map(({ message }) => message.key)).toEqual(wanted.map(() => id));
  }, 60_000);

  test(
    'killed amid orders, its connector loses none and keeps each order’s sequence; what it sends again is counted',
    async () => {
      const ordering = cdc.order(ORDERS);
      for (let i = 0; i < KILLS; i++) {
        const there = cdc.placed.length;
        const some = there * EVENTS_EACH + 10;
        await eventually('some have come', async () => (await readAll(cdc.kafka)).length > some, LIMIT_MS);
        await cdc.connect.kill();
        await cdc.connect.start();
      }
      const ids = await ordering;
      const { arrivals, repeated } = await allArrived();
      say({ what: 'kills', kills: KILLS, orders: ids.length, messages: arrivals.length, repeated });
    },
    LIMIT_MS,
  );

  test(
    'a column that comes, or goes, in the outbox changes nothing for it',
    async () => {
      const ordering = cdc.order(ORDERS / 2);
      await cdc.query('ALTER TABLE outbox ADD COLUMN note text');
      await ordering;
      await cdc.order(5);
      await allArrived();
      await cdc.query('ALTER TABLE outbox DROP COLUMN note');
      await cdc.order(5);
      await allArrived();
      expect(await cdc.connect.state()).toMatchObject({ state: 'RUNNING' });
      const single = await cdc.order(20);
      await allArrived();
      say({ what: 'lag of the connector', ...(await cdc.lagOf(single)) });
    },
    LIMIT_MS,
  );

  test(
    'while it is away the server keeps all WAL, of everybody; it gives it back when it has caught up',
    async () => {
      await cdc.connect.kill();
      const before = Number((await cdc.slot()).keptBytes);
      await cdc.order(ORDERS);
      const lagging = await cdc.slot();
      const kept = Number(lagging.keptBytes) - before;
      expect(kept).toBeGreaterThan(ORDERS * 1_000);
      expect(lagging).toMatchObject({ active: false, walStatus: 'reserved' });
      // What is no event of ours is kept as well.
      await cdc.query(
        'CREATE TABLE strangers AS SELECT n, repeat(md5(n::text), 20) AS t FROM generate_series(1, 20000) AS n',
      );
      const others = Number((await cdc.slot()).keptBytes) - Number(lagging.keptBytes);
      expect(others).toBeGreaterThan(10_000_000);
      const from = performance.now();
      await cdc.connect.start();
      const began = performance.now();
      await allArrived();
      const caughtUpMs = Math.round(performance.now() - began);
      await gaveBack();
      say({
        ...{ what: 'a slot that lags', orders: ORDERS, bytesPerOrder: Math.round(kept / ORDERS), othersBytes: others },
        ...{ startMs: Math.round(began - from), caughtUpMs },
      });
    },
    LIMIT_MS,
  );

  test('moves its place on while only others write, by its heartbeat', async () => {
    await cdc.query('INSERT INTO strangers SELECT * FROM strangers');
    await gaveBack();
  }, 90_000);

  test(
    'the relay takes over from it, and it from the relay, under orders: none is lost, and none comes out of sequence',
    async () => {
      let ordering = cdc.order(ORDERS / 2);
      const stopRelay = await cdc.runRelay('now'); // it begins 10 s before its start, behind which the connector is not
      await eventually('the relay delivers', async () => {
        const rows = await cdc.query(`SELECT 1 FROM relay_cursors WHERE destination = 'kafka' AND feed_position > 0`);
        return rows.length > 0;
      });
      await ordering;
      await cdc.connect.kill();
      await cdc.query(`SELECT pg_drop_replication_slot('order_saga_outbox')`);
      const byRelay = await cdc.order(20);
      const first = await allArrived();
      say({ what: 'to the relay', repeated: first.repeated, lagOfRelay: await cdc.lagOf(byRelay) });
      const partitions = new Map<string, Set<number>>();
      for (const { message } of first.arrivals)
        partitions.set(message.key, (partitions.get(message.key) ?? new Set()).add(message.lies?.partition ?? -1));
      expect([...partitions.values()].filter(({ size }) => size !== 1)).toEqual([]);

      ordering = cdc.order(ORDERS / 2);
      await cdc.query(`SELECT pg_create_logical_replication_slot('order_saga_outbox', 'pgoutput')`);
      const [made] = await cdc.query<{ at: string }>('SELECT clock_timestamp()::text AS at');
      const owes = async () => (await cdc.query(OWED_OF_BEFORE, [made?.at])).length > 0;
      await eventually('the relay owes nothing of before the slot', async () => !(await owes()), 60_000);
      cdc.connect.forget();
      await cdc.connect.start();
      await eventually('the connector reads', async () => (await cdc.slot()).active, 30_000);
      await stopRelay();
      await ordering;
      await cdc.order(20);
      const second = await allArrived();
      say({ what: 'to the connector', repeated: second.repeated - first.repeated });
    },
    LIMIT_MS,
  );

  test(
    'an event that Kafka refuses stops it for everybody, until it is told to go on without',
    async () => {
      const [id = ''] = await cdc.order(1);
      await cdc.query(
        `INSERT INTO outbox (order_id, sequence, type, data, correlation_id, feed_xid)
       SELECT $1::uuid, 5, 'order.cancelled', jsonb_build_object('text', repeat('x', 30000)), 'c', pg_current_xact_id()::text::bigint`,
        [id],
      );
      const failed = await eventually(
        'its task has failed',
        async () => {
          const state = await cdc.connect.state();
          return state?.state === 'FAILED' && state;
        },
        60_000,
      );
      expect(failed.trace).toMatch(/RecordTooLarge/);
      const others = await cdc.order(5);
      expect(await cdc.slot()).toMatchObject({ active: false });
      expect((await readAll(cdc.kafka)).filter(({ event }) => others.includes(event.subject))).toEqual([]);
      await cdc.connect.kill();
      await cdc.connect.start({ 'errors.tolerance': 'all' });
      await allArrived(others);
      expect((await readAll(cdc.kafka)).map(({ event }) => event.id)).not.toContain(`${id}-5`);
    },
    LIMIT_MS,
  );
});

/** An event that was written before a moment, and that a partition's cursor has not passed. */
const OWED_OF_BEFORE = `
  SELECT 1 FROM outbox o JOIN relay_cursors c
    ON c.destination = 'kafka' AND c.partition = get_byte(uuid_send(o.order_id), 15) & 15
  WHERE o.occurred_at <= $1::timestamptz AND (o.feed_xid, o.feed_position) > (c.feed_xid, c.feed_position) LIMIT 1`;
