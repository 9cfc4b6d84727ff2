/** The outbox captured from the WAL: a Postgres with a slot, a Kafka, and Connect between them, as deploy/cdc has it; and orders that are followed through. */
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Admin } from '@platformatic/kafka';
import { confirmOrder } from '../../domain/confirmation.js';
import { reserveInventory } from '../../domain/inventory.js';
import { recordCharge } from '../../domain/payments.js';
import { databaseUrl } from '../../local/postgres/server.js';
import { start } from '../../local/processes/program.js';
import { migrate } from '../../local/setup/migrate.js';
import { createPublishers } from '../../relay/publishers/configured.js';
import { startRelay } from '../../relay/relay.js';
import { readConfig } from '../../runtime/config.js';
import { openDatabase } from '../../runtime/database.js';
import { settings } from '../../runtime/settings.js';
import { startConnect } from '../../testbed/brokers/connect.js';
import { firstArrivals, readAll } from '../../testbed/brokers/readers.js';
import { startBroker } from '../../testbed/brokers/start.js';
import { ask, newCluster } from '../../testbed/postgres/cluster.js';
import { AWAY, SILENT } from './api.js';
import { changesOf } from './changes.js';
import { eventually } from './conditions.js';
import { accept, stock } from './database.js';
import { OWNER, PASSWORD, runRoles } from './roles.js';

/** Of an order that is confirmed. */
export const EVENTS_EACH = 4;
const CDC_PASSWORD = 'cdc';

type Slot = { keptBytes: string; waitingBytes: string; walStatus: string; active: boolean };
export type Capture = Awaited<ReturnType<typeof startCapture>>;

/** A Postgres as it is deployed (deploy/postgres/roles.sql), with what a connector needs of it. */
export async function startSource() {
  const folder = await mkdtemp(join(tmpdir(), 'order-saga-cdc-'));
  const cluster = await newCluster(join(folder, 'postgres.log'), { wal_level: 'logical' });
  const postgres = await start(await cluster.program());
  const at = new URL(cluster.admin);
  at.pathname = '/order_saga';
  /** As the administrator, at the service's database. */
  const query = <Row extends object>(sql: string, values: unknown[] = []) => ask<Row>(at.href, sql, values);
  await runRoles(cluster.admin);
  const url = databaseUrl(cluster.port, OWNER, PASSWORD, 'order_saga');
  await migrate(url);
  const sql = readFileSync(join('deploy', 'cdc', 'outbox.sql'), 'utf8');
  for (const statement of sql.replaceAll(":'password'", `'${CDC_PASSWORD}'`).split(/;\n/)) await query(statement);
  return {
    url,
    /** As the connector logs in. */
    connectorUrl: databaseUrl(cluster.port, 'order_saga_cdc', CDC_PASSWORD, 'order_saga'),
    port: cluster.port,
    query,
    stop: async () => {
      postgres.kill();
      await postgres.exited;
      cluster.remove();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** @param broker properties of Kafka's */
export async function startCapture(broker: Record<string, string> = {}) {
  const { url, port, query, stop } = await startSource();
  const db = openDatabase(url, 8);
  await stock(db, 'A', 1_000_000);
  const kafka = await startBroker('kafka', broker);
  await makeTopic(kafka.address);
  const source = { host: '127.0.0.1', port, database: 'order_saga', user: 'order_saga_cdc' };
  const connect = await startConnect(
    kafka.address,
    { ...source, password: CDC_PASSWORD },
    { 'heartbeat.interval.ms': '1000' },
  );
  const placed: string[] = [];

  return {
    db,
    kafka,
    connect,
    query,
    placed,
    /** Confirmed orders, some at a time. */
    order: async (count: number): Promise<string[]> => {
      const ids: string[] = [];
      const client = async () => {
        while (ids.length < count) {
          const index = ids.push('') - 1;
          const { id } = await accept(db, { A: 1 });
          await reserveInventory(db, id);
          await recordCharge(db, id, `ch_${id}`);
          await confirmOrder(db, id);
          ids[index] = id;
        }
      };
      await Promise.all(Array.from({ length: 4 }, client));
      placed.push(...ids);
      return ids;
    },
    /** Until all events of these have arrived. @returns also how many messages came again, and whose order they broke */
    allArrived: async (limitMs: number, of: readonly string[] = placed) => {
      let missing: string[] = [];
      const arrivals = await eventually(
        'every event has arrived',
        async () => {
          const all = await readAll(kafka);
          const first = firstArrivals(all);
          missing = of.filter((id) => first.get(id)?.length !== EVENTS_EACH);
          return missing.length === 0 && all;
        },
        limitMs,
      ).catch((err) => {
        throw new Error(`${err.message}; ${missing.length} orders are not complete, such as ${missing[0]}`);
      });
      const outOfSequence = [...firstArrivals(arrivals)].filter(([, sequences]) =>
        sequences.some((sequence, index) => sequence !== index + 1),
      );
      const repeated = arrivals.length - new Set(arrivals.map(({ event }) => event.id)).size;
      return { arrivals, repeated, outOfSequence };
    },
    slot: async (): Promise<Slot> => {
      const [row] = await query<Slot>(
        `SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)::text AS "keptBytes",
           pg_wal_lsn_diff(pg_current_wal_lsn(), confirmed_flush_lsn)::text AS "waitingBytes", wal_status AS "walStatus", active
         FROM pg_replication_slots WHERE slot_name = 'order_saga_outbox'`,
      );
      if (!row) throw new Error('there is no slot');
      return row;
    },
    /** From an event's insertion to when the broker has it. */
    lagOf: async (ids: string[]) => {
      const lags = (await readAll(kafka))
        .filter(({ event }) => ids.includes(event.subject))
        .map(({ event, message }) => (message.lies?.at ?? 0) - Date.parse(event.time))
        .sort((a, b) => a - b);
      const at = (part: number) => lags[Math.min(lags.length - 1, Math.floor(lags.length * part))];
      return { p50Ms: at(0.5), p99Ms: at(0.99) };
    },
    /** A relay that delivers to the same Kafka. @returns how to stop it */
    runRelay: async (begin: 'oldest' | 'now') => {
      const publishers = await createPublishers(readConfig(settings, { DATABASE_URL: url, ...kafka.settings }));
      const changes = changesOf({ url });
      const relay = startRelay({
        db,
        changes,
        temporal: AWAY,
        publishers,
        inHand: new Set(),
        policy: { stepRetryBudgetMs: 1, sagaDeadlineMs: 1, compensationAttentionAfterMs: 1 },
        deliveryBackoffMaxMs: 500,
        destinationsBegin: begin,
        erasuresLateAfterMs: 86_400_000,
        outboxRetentionMs: 86_400_000,
        logger: SILENT,
      });
      return async () => {
        await relay.stop();
        await changes.stop();
      };
    },
    stop: async () => {
      await db.$disconnect();
      await connect.stop();
      await kafka.stop();
      await stop();
    },
  };
}

async function makeTopic(brokers: string): Promise<void> {
  const topics = new Admin({ clientId: 'test', bootstrapBrokers: [brokers] });
  // The times at which the broker has them, whoever sends them.
  const configs = [{ name: 'message.timestamp.type', value: 'LogAppendTime' }];
  await topics.createTopics({ topics: ['orders'], partitions: 12, replicas: 1, configs });
  await topics.close();
}
