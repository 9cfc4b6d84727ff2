/**
 * A read side: top products, revenue and cancellation rates per hour and day, made from the feed, with a page that shows them.
 * ORDERS_URL=http://127.0.0.1:3000 DATABASE_URL=… node examples/analytics/main.mjs, then http://127.0.0.1:4100
 */
import pg from 'pg';
import { buildOnce, followOnce } from './aggregate.mjs';
import { loop } from './loop.mjs';
import { setUp } from './schema.mjs';
import { serve } from './server.mjs';
import { readSettings } from './settings.mjs';
import { openSource } from './source.mjs';

const settings = readSettings(process.env);
const stopping = new AbortController();
for (const signal of ['SIGTERM', 'SIGINT']) process.once(signal, () => stopping.abort());

const db = new pg.Pool({
  connectionString: settings.databaseUrl,
  max: 6,
  statement_timeout: 30_000,
  query_timeout: 40_000, // where Postgres, or the way to it, is silent
  connectionTimeoutMillis: 5_000,
});
db.on('error', (err) => log('warn', `A connection to Postgres was lost: ${err.message}`)); // the pool makes another
const source = openSource(settings);
const work = { db, source, log };

await prepare();
const server = await serve({ db, settings, log });
log('info', `Answers at http://${settings.host}:${server.address().port}`);
const of = { everyMs: settings.pollMs, stopping: stopping.signal, log };
await Promise.all([
  loop({ name: 'following the feed', once: () => followOnce(work), ...of }),
  loop({ name: 'building', once: () => buildOnce(work), ...of }),
]);
server.closeAllConnections();
server.close();
await db.end();

async function prepare() {
  const prepared = new AbortController();
  const once = async () => {
    await setUp(db);
    prepared.abort();
  };
  const until = AbortSignal.any([prepared.signal, stopping.signal]);
  await loop({ name: 'making the tables', once, everyMs: 500, stopping: until, log });
}

function log(level, message, more = {}) {
  process.stderr.write(`${JSON.stringify({ time: new Date().toISOString(), level, message, ...more })}\n`);
}
