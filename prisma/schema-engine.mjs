#!/usr/bin/env node
/**
 * Prisma's schema engine, in the shape of its native program: the CLI speaks newline-delimited JSON-RPC to it on stdin and
 * stdout, and reads JSON log lines from stderr. The engine itself is the WASM build of the same commit, which npm carries;
 * it reaches Postgres through @prisma/adapter-pg. `cli.mjs` selects it with PRISMA_SCHEMA_ENGINE_BINARY.
 */
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { PrismaPg } from '@prisma/adapter-pg';
import { bindMigrationAwareSqlAdapterFactory, ColumnTypeEnum } from '@prisma/driver-adapter-utils';
import pg from 'pg';
import { clearInterrupted, thatSaysSo } from './interrupted.mjs';
import { isLockNotHad, PATIENCE_MS, runScript } from './migration-scripts.mjs';
import { sessionConfig, splitUrl } from './session.mjs';

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  strict: false,
  options: { datasource: { type: 'string' }, datamodels: { type: 'string', multiple: true } },
});
const datasource = options.datasource ? JSON.parse(options.datasource) : {};

/** The engine's own sub-commands: the CLI looks at the exit code (0 or 1) and at the last log line. */
async function runCommand(command) {
  log('INFO', { message: `Starting schema engine CLI (wasm): ${command}` }); // the CLI drops the first line of stderr
  try {
    const run = commands[command];
    if (run === undefined) throw new Error(`unknown schema-engine command: ${command}`);
    await run();
    process.exit(0);
  } catch (err) {
    const known = knownError(err);
    log('ERROR', {
      message: known?.message ?? String(err?.message ?? err),
      is_panic: false,
      ...(known ? { error_code: known.code, meta: {} } : {}),
    });
    process.exit(1);
  }
}

const commands = {
  'can-connect-to-database': async () => {
    const client = new pg.Client(poolConfig(splitUrl(datasource.url).url));
    await client.connect();
    await client.end();
  },
  'create-database': () => onServer((client, database) => client.query(`CREATE DATABASE ${database}`)),
  'drop-database': () => onServer((client, database) => client.query(`DROP DATABASE IF EXISTS ${database}`)),
};

/** The codes by which the CLI recognises that, for example, a database has yet to be created. */
function knownError(err) {
  const { url, database } = datasource.url ? splitUrl(datasource.url) : {};
  const at = `at \`${url?.host}\` (DATABASE_URL)`;
  const unreachable = { code: 'P1001', message: `Can't reach database server ${at}.` };
  return {
    '3D000': { code: 'P1003', message: `Database \`${database}\` does not exist on the database server ${at}.` },
    '28P01': { code: 'P1000', message: `Authentication failed against database server ${at}.` },
    '42P04': { code: 'P1009', message: `Database \`${database}\` already exists on the database server ${at}.` },
    ECONNREFUSED: unreachable,
    ENOTFOUND: unreachable,
  }[err?.code];
}

/** The JSON-RPC server that migrate, db and introspection commands talk to; ends with its stdin. */
async function serve() {
  const engine = await openEngine();
  const pending = new Set();
  const lines = createInterface({ input: process.stdin, crlfDelay: Number.POSITIVE_INFINITY });
  lines.on('line', (line) => {
    if (line.trim() === '') return;
    const request = JSON.parse(line);
    if (request.method === undefined) return; // the answer to a `print` of ours
    const call = answer(engine, request).finally(() => pending.delete(call));
    pending.add(call);
  });
  const stop = async () => {
    if (stopping.signal.aborted) process.exit(1); // asked for twice
    stopping.abort();
    await Promise.allSettled([...pending]);
    process.exit(0);
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, stop);
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined); // the CLI is gone
  lines.on('close', () => {
    if (!stopping.signal.aborted) void stop();
  });
}

async function answer(engine, { id, method, params }) {
  try {
    const run = methods[method] ?? (async (open, input) => (await open())[method](input));
    send({ id, result: (await run(engine, params)) ?? {} });
  } catch (err) {
    const { message = String(err), meta = {}, code } = err ?? {};
    send({
      id,
      error: {
        code: 4466, // what the native engine answers; the CLI reads `data`
        message: 'An error happened. Check the data field for details.',
        data: { is_panic: false, message, meta, ...(code ? { error_code: code } : {}) },
      },
    });
  }
}

/** The script that was not run because a lock was not to be had, since the last time that somebody asked. */
let lockNotHad;

/** The migrations that are being carried out: script → name. Scripts of anything else are not among them. */
let namesByScript = new Map();
const scriptOf = ({ migrationFile }) => migrationFile.content.value;

/** A deploy before this one was killed amid a migration. */
async function beginInterruptedAnew() {
  const { url, schema } = splitUrl(datasource.url);
  const client = new pg.Client(poolConfig(url));
  try {
    await client.connect();
  } catch {
    return; // the engine says it in Prisma's words
  }
  try {
    await client.query(`SET search_path TO ${client.escapeIdentifier(schema)}`);
    const onWait = () =>
      print(
        'A migration is still being carried out, by another deploy or by one that was killed; this one waits for it.',
      );
    const scripts = new Map([...namesByScript].map(([script, name]) => [name, script]));
    const names = await clearInterrupted(client, scripts, {
      patienceMs: PATIENCE_MS,
      ...patience,
      onWait,
      signal: stopping.signal,
    });
    for (const name of names) print(`The migration ${name} was interrupted and has changed nothing: it is begun anew.`);
  } finally {
    await client.end();
  }
}

/** Where the native engine does something that the WASM one leaves to its host. */
const methods = {
  /** A migration that could not begin has changed nothing, and is no failed one, which would have to be resolved by hand. */
  applyMigrations: async (engine, params) => {
    lockNotHad = undefined;
    namesByScript = new Map(params.migrationsList.migrationDirectories.map((each) => [scriptOf(each), each.path]));
    await beginInterruptedAnew();
    try {
      return await (await engine()).applyMigrations(params);
    } catch (err) {
      const refused = namesByScript.get(lockNotHad);
      if (refused === undefined) throw err;
      await (await engine()).markMigrationRolledBack({ migrationName: refused });
      throw new Error(
        `The migration ${refused} has changed nothing: a lock that it needs was held by others all the time. ` +
          'pg_stat_activity says by whom; when they have ended, run this again.',
        { cause: err },
      );
    } finally {
      namesByScript = new Map();
    }
  },
  createDatabase: async () => {
    await commands['create-database']();
    return { databaseName: splitUrl(datasource.url).database };
  },
  getDatabaseVersion: async (engine) => (await engine()).version(null),
  diff: async (engine, params) => {
    const { stdout, exitCode } = await (await engine()).diff(params);
    if (stdout) print(stdout);
    return { exitCode, stdout: null };
  },
};

/** @returns opens the engine at its first use: it connects, and some requests must work without a database. */
async function openEngine() {
  const wasm = await loadWasm();
  const adapter = await openAdapter();
  const datamodels = (options.datamodels ?? []).map((path) => [path, readFileSync(path, 'utf8')]);
  let engine;
  return () => {
    engine ??= wasm.SchemaEngine.new(
      { datamodels: datamodels.length > 0 ? datamodels : undefined },
      (line) => process.stderr.write(`${typeof line === 'string' ? line : JSON.stringify(line)}\n`),
      bindMigrationAwareSqlAdapterFactory(adapter),
    );
    return engine;
  };
}

async function loadWasm() {
  const entry = createRequire(import.meta.url).resolve('@prisma/schema-engine-wasm/schema_engine_bg');
  const bindings = await import('@prisma/schema-engine-wasm/schema_engine_bg');
  const module = new WebAssembly.Module(readFileSync(join(dirname(entry), 'schema_engine_bg.wasm')));
  const instance = new WebAssembly.Instance(module, { './schema_engine_bg.js': bindings });
  bindings.__wbg_set_wasm(instance.exports);
  instance.exports.__wbindgen_start?.();
  return bindings;
}

async function openAdapter() {
  if (!datasource.url) return new PrismaPg({ connectionString: 'postgresql://unset.invalid/unset' });
  const target = splitUrl(datasource.url);
  const adapter = new PrismaPg(poolConfig(target.url), target.schema ? { schema: target.schema } : undefined);
  adapter.connectToShadowDb = () => connectToShadow(target);
  await repair(adapter);
  return adapter;
}

/** In place of adapter-pg's own, which drops the shadow database while its pool is still connected to it. */
async function connectToShadow(target) {
  if (datasource.shadowDatabaseUrl)
    return new PrismaPg(poolConfig(splitUrl(datasource.shadowDatabaseUrl).url)).connect();
  const name = `prisma_migrate_shadow_db_${randomUUID()}`;
  await onServer((client) => client.query(`CREATE DATABASE "${name}"`));
  const connection = await new PrismaPg({ ...poolConfig(target.url), database: name }).connect();
  const dispose = connection.dispose.bind(connection);
  connection.dispose = async () => {
    await dispose();
    await onServer((client) => client.query(`DROP DATABASE IF EXISTS "${name}" WITH (FORCE)`));
  };
  return connection;
}

/** Two faults of adapter-pg 7.10, which only migrations and introspection meet. */
async function repair(adapter) {
  const connection = await adapter.connect(); // opens nothing yet
  const adapterPrototype = Object.getPrototypeOf(connection);
  runScriptsWhole(adapterPrototype);
  teachCharType(Object.getPrototypeOf(adapterPrototype));
  await connection.dispose();
}

/**
 * The adapter cuts scripts at every semicolon, those in function bodies, texts and comments included. Sent whole, a
 * migration is also one transaction, as it is with the native engine.
 */
function runScriptsWhole(prototype) {
  prototype.executeScript = async function (script) {
    try {
      const name = namesByScript.get(script);
      const whole = name === undefined ? script : thatSaysSo(script, name);
      await runScript(this.client, whole, { onRetry: tellOfRetry, signal: stopping.signal, ...patience });
    } catch (err) {
      if (isLockNotHad(err)) lockNotHad = script;
      this.onError(err);
    }
  };
}

/**
 * Ctrl-C, or the CLI is gone: what runs is finished, what waits for its lock is given up, and marked as what it is. A migration that was
 * left in the middle would have to be resolved by hand.
 */
const stopping = new AbortController();

/** For how long a migration tries to get its locks; unset = as long as prisma/migration-scripts says. */
const { MIGRATE_PATIENCE_MS } = process.env;
const patience = MIGRATE_PATIENCE_MS ? { patienceMs: Number(MIGRATE_PATIENCE_MS) } : {};

/** Once: an operator looks at a job that does not end, and shall know what it waits for. */
function tellOfRetry(tries) {
  if (tries === 1) print('A lock that this migration needs is held by others; it is tried again until it can be had.');
}

/** The adapter does not know Postgres's internal "char" type, which the engine's questions to the catalog return. */
function teachCharType(prototype) {
  const { performIO, queryRaw } = prototype;
  const CHAR = 18;
  const BPCHAR = 1042;
  const charColumns = new WeakMap();
  prototype.performIO = async function (query) {
    const result = await performIO.call(this, query);
    const fields = result.fields ?? [];
    charColumns.set(
      query,
      fields.flatMap((field, index) => (field.dataTypeID === CHAR ? [index] : [])),
    );
    for (const field of fields) if (field.dataTypeID === CHAR) field.dataTypeID = BPCHAR;
    return result;
  };
  prototype.queryRaw = async function (query) {
    const result = await queryRaw.call(this, query);
    for (const index of charColumns.get(query) ?? []) result.columnTypes[index] = ColumnTypeEnum.Character;
    return result;
  };
}

/** Runs `use` on the server's own database, with the quoted name of ours. */
async function onServer(use) {
  const { url, database } = splitUrl(datasource.url);
  const client = new pg.Client({ ...poolConfig(url), database: 'postgres' });
  await client.connect();
  try {
    return await use(client, client.escapeIdentifier(database));
  } finally {
    await client.end();
  }
}

/** Never a connectionString: it would win over `database`, and the shadow's migrations would run on the real database. */
function poolConfig(url) {
  // One session, as the native engine has: the lock that keeps two deploys apart belongs to a session. A migration takes as
  // long as it takes, whatever limits a role has for the statements of a service.
  return { ...sessionConfig(url.href, { statement_timeout: '0', lock_timeout: '0' }), max: 1 };
}

function log(level, fields) {
  const line = { timestamp: new Date().toISOString(), level, fields, target: 'schema_engine::logger' };
  process.stderr.write(`${JSON.stringify(line)}\n`);
}

/** By way of the CLI, which has the terminal. */
const print = (content) => send({ id: `print-${randomUUID()}`, method: 'print', params: { content } });

function send(message) {
  process.stdout.write(`${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`);
}

if (positionals[0] === 'cli') await runCommand(positionals[1]);
else if (process.argv.includes('--version')) process.stdout.write('schema-engine-wasm\n');
else await serve();
