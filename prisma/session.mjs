/**
 * How every connection of ours to Postgres begins: the pools, the listeners, migrations, the launcher. What a session is set
 * to is said by its start-up packet and by nobody else: a database, a role or a server may have another time zone, date
 * style or isolation by default, and a shell has PGOPTIONS, PGSSLMODE or PGPORT for other programs. Plain .mjs, because
 * prisma/schema-engine.mjs needs it before there is a build.
 */
import { parse } from 'pg-connection-string';

/**
 * What our statements and drivers take for granted. Not among them: `default_transaction_read_only`. Whoever sets it, a host
 * whose disk is full or that is about to switch to another server, means it; written all the same, orders could be lost.
 */
const TAKEN_FOR_GRANTED = {
  TimeZone: 'UTC', // the driver takes every timestamp for UTC
  DateStyle: 'ISO',
  IntervalStyle: 'postgres',
  bytea_output: 'hex',
  extra_float_digits: '1',
  standard_conforming_strings: 'on',
  // Statements lock the rows that they decide on; a stricter level would refuse what only waited.
  default_transaction_isolation: 'read committed',
  default_transaction_deferrable: 'off',
};

/** Prisma's own, which Postgres would refuse. */
const PRISMA_PARAMETERS = [
  'schema',
  'connection_limit',
  'pool_timeout',
  'pgbouncer',
  'socket_timeout',
  'statement_cache_size',
];

/** @returns the URL without Prisma's own parameters, the schema that they name, and the database */
export function splitUrl(raw) {
  const url = new URL(raw);
  const schema = url.searchParams.get('schema') || 'public';
  for (const name of PRISMA_PARAMETERS) url.searchParams.delete(name);
  return { url, schema, database: decodeURIComponent(url.pathname.slice(1)) };
}

/**
 * @param {string} raw postgresql://…; what it says of host, TLS, `application_name` or `options` is kept, but for the settings
 *   that we take for granted
 * @param {Record<string, string>} [more] further settings of these sessions
 * @returns {import('pg').ClientConfig} for pg.Client, pg.Pool or PrismaPg. Without a connectionString, which would win over it
 */
export function sessionConfig(raw, more = {}) {
  const { url, schema } = splitUrl(raw);
  const { host, port, user, database, ssl, options, sslnegotiation, ...rest } = parse(url.href);
  const place = host || 'localhost';
  return {
    ...rest,
    host: place,
    port: port ? Number(port) : 5432,
    user: user || undefined,
    database: database || user || undefined,
    client_encoding: 'UTF8',
    sslnegotiation: sslnegotiation ?? 'postgres',
    // To oneself nobody speaks TLS. Elsewhere PGSSLMODE may be meant for us: without it, a connection would be open to readers.
    ...(ssl !== undefined ? { ssl } : isLocal(place) ? { ssl: false } : {}),
    // Of two settings the later one counts.
    options: [asOptions({ search_path: quoteName(schema) }), options, asOptions({ ...TAKEN_FOR_GRANTED, ...more })]
      .filter(Boolean)
      .join(' '),
  };
}

const isLocal = (host) => host.startsWith('/') || ['localhost', '127.0.0.1', '::1'].includes(host);
const quoteName = (name) => (/^[a-z_][a-z0-9_]*$/.test(name) ? name : `"${name.replaceAll('"', '""')}"`);

const asOptions = (settings) =>
  Object.entries(settings)
    .map(([name, value]) => `-c ${name}=${value.replace(/[\\\s]/g, '\\$&')}`)
    .join(' ');
