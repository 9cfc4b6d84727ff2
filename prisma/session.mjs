/**
 * How every connection of ours to Postgres begins: the pools, the listeners, migrations, the launcher. What a session is set
 * to is said by its start-up packet and by nobody else: a database, a role or a server may have another time zone, date
 * style or isolation by default, and a shell has PGOPTIONS, PGSSLMODE or PGPORT for other programs. Plain .mjs, because
 * prisma/schema-engine.mjs needs it before there is a build.
 */
import { parse } from 'pg-connection-string';
import { allowedInPlainText, isOnThisMachine, plainTextSentence } from './plain-text.mjs';

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
  // Today's driver verifies on these, too, and its next major will not; what is verified shall stay so.
  if (isStrict(url)) url.searchParams.set('sslmode', 'verify-full');
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
    ...(ssl !== undefined ? { ssl } : isOnThisMachine(place) ? { ssl: false } : {}),
    // Of two settings the later one counts.
    options: [asOptions({ search_path: quoteName(schema) }), options, asOptions({ ...TAKEN_FOR_GRANTED, ...more })]
      .filter(Boolean)
      .join(' '),
  };
}

const isStrict = ({ searchParams }) =>
  ['require', 'verify-ca'].includes(modeOf(searchParams)) && !searchParams.has('uselibpqcompat');
const modeOf = (searchParams) => searchParams.getAll('sslmode').at(-1);

/**
 * How a connection to this URL would be protected. `prefer` and `allow` count as not at all: that is what they promise.
 * @param {NodeJS.ProcessEnv} env for PGSSLMODE, where the URL leaves it open
 * @returns {{ host: string, tls: 'verified' | 'unverified' | 'none' }}
 */
export function protectionOf(raw, env) {
  const { host, ssl } = sessionConfig(raw);
  const mode = modeOf(splitUrl(raw).url.searchParams) ?? (ssl === undefined ? env.PGSSLMODE : undefined) ?? '';
  if (['disable', 'allow', 'prefer'].includes(mode)) return { host, tls: 'none' };
  if (mode === 'no-verify' || ssl === 'no-verify') return { host, tls: 'unverified' };
  if (ssl === undefined)
    return { host, tls: ['require', 'verify-ca', 'verify-full'].includes(mode) ? 'verified' : 'none' };
  if (ssl !== true && typeof ssl !== 'object') return { host, tls: 'none' };
  const isVerified = ssl === true || (ssl.rejectUnauthorized !== false && ssl.checkServerIdentity === undefined);
  return { host, tls: isVerified ? 'verified' : 'unverified' };
}

/** @returns a sentence if this URL leads beyond this machine without TLS, and ALLOW_PLAINTEXT does not name Postgres */
export function refusePlainPostgres(raw, env) {
  const { host, tls } = protectionOf(raw, env);
  if (tls !== 'none' || isOnThisMachine(host) || allowedInPlainText(env).includes('postgres')) return undefined;
  return plainTextSentence('DATABASE_URL', host, 'postgres', 'add sslmode=verify-full to it');
}

const quoteName = (name) => (/^[a-z_][a-z0-9_]*$/.test(name) ? name : `"${name.replaceAll('"', '""')}"`);

const asOptions = (settings) =>
  Object.entries(settings)
    .map(([name, value]) => `-c ${name}=${value.replace(/[\\\s]/g, '\\$&')}`)
    .join(' ');
