/**
 * Raw statements, straight to the driver: the way through the ORM costs each of them CPU, and has nothing to add to it
 * (docs/decisions/0013-hot-statements.md). What goes in and what comes out is the same by either way.
 */
import { types as kinds } from 'node:util';
import pg from 'pg';
import { Prisma } from '../prisma/generated/client.js';

type Statement = TemplateStringsArray | Prisma.Sql;

export type Statements = {
  /** @returns the statement's rows */
  $queryRaw<Rows = unknown>(statement: Statement, ...values: unknown[]): Promise<Rows>;
  /** @returns how many rows it has changed */
  $executeRaw(statement: Statement, ...values: unknown[]): Promise<number>;
};

/**
 * @param pool   or one connection
 * @param nameOf under which name a connection keeps what it has planned for the statement; the ORM's, too, so that both share it
 */
export function statementsOver(
  pool: { query(statement: pg.QueryConfig): Promise<pg.QueryResult> },
  nameOf: (statement: { sql: string }) => string,
): Statements {
  const ask = async (statement: Statement, values: unknown[]): Promise<pg.QueryResult> => {
    const { text, values: given } = 'text' in statement ? statement : Prisma.sql(statement, ...values);
    try {
      return await pool.query({ name: nameOf({ sql: text }), text, values: given.map(toDriver), types: TYPES });
    } catch (err) {
      throw named(err);
    }
  };
  return {
    $queryRaw: async <Rows>(statement: Statement, ...values: unknown[]) =>
      (await ask(statement, values)).rows as unknown as Rows,
    $executeRaw: async (statement, ...values) => (await ask(statement, values)).rowCount ?? 0,
  };
}

/** The driver writes a time in the zone of this process, which a column without a time zone would take for UTC. */
const toDriver = (value: unknown): unknown => {
  if (kinds.isDate(value)) return value.toISOString();
  return Array.isArray(value) ? value.map(toDriver) : value;
};

/** The driver calls its error "error", which is what operators would see sagas grouped by. */
const named = (err: unknown): unknown =>
  err instanceof pg.DatabaseError ? Object.assign(err, { name: 'DatabaseError' }) : err;

/** "2026-11-21 10:00:00.123+00". */
const toDate = (text: string): Date => new Date(text.replace(' ', 'T').replace(/([+-]\d\d)$/, '$1:00'));
/** Without a time zone: UTC, as every session of ours (prisma/session). */
const toUtcDate = (text: string): Date => new Date(`${text.replace(' ', 'T')}Z`);

const { builtins, getTypeParser } = pg.types;
const TEXT_LIST: number = 1009;
const readBytes: (text: string) => Uint8Array = getTypeParser(builtins.BYTEA);
/** Of lists of texts; lists of anything are spelled alike. */
const readList: (text: string) => (string | null)[] = getTypeParser(TEXT_LIST);

/** Where the driver by itself reads another type than the ORM does: the type, that of its lists, and its reader. */
const READERS: [type: number, list: number, read: (text: string) => unknown][] = [
  [builtins.INT8, 1016, BigInt],
  [builtins.OID, 1028, BigInt],
  [builtins.NUMERIC, 1231, (text) => new Prisma.Decimal(text)],
  [builtins.TIMESTAMPTZ, 1185, toDate],
  [builtins.TIMESTAMP, 1115, toUtcDate],
  [builtins.DATE, 1182, (text) => new Date(text)],
  [builtins.BYTEA, 1001, (text) => new Uint8Array(readBytes(text))],
];

const TYPES = new pg.TypeOverrides();
for (const [type, list, read] of READERS) {
  TYPES.setTypeParser(type, read);
  TYPES.setTypeParser(list, (text) => readList(text).map((each) => (each === null ? null : read(each))));
}
