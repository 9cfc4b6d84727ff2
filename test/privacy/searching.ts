/** Where words are found again: each place by the name that the data map has for it. */
import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { Client, Connection } from '@temporalio/client';
import type pg from 'pg';
import { filesBelow } from '../support/canaries.js';
import { fieldsIn } from './planting.js';

/** Field → the places that have its word. */
export class Found {
  readonly places = new Map<string, Set<string>>();
  note(text: string, place: string): void {
    for (const field of fieldsIn(text)) this.places.set(field, (this.places.get(field) ?? new Set()).add(place));
  }
  of = (field: string): string[] => [...(this.places.get(field) ?? [])].sort();
  in = (store: string): Set<string> =>
    new Set(
      [...this.places]
        .filter(([, places]) => [...places].some((place) => place.startsWith(store)))
        .map(([field]) => field),
    );
}

/** Calls `visit` with each text and the names that lead to it; a text that is JSON is gone into. */
export function walk(value: unknown, visit: (text: string, path: string[]) => void, path: string[] = []): void {
  if (typeof value === 'string') {
    const parsed = value.startsWith('{') || value.startsWith('[') ? parse(value) : undefined;
    if (parsed === undefined) visit(value, path);
    else walk(parsed, visit, path);
    return;
  }
  if (value instanceof Uint8Array) {
    walk(Buffer.from(value).toString(), visit, path);
    return;
  }
  if (Array.isArray(value)) {
    for (const each of value) walk(each, visit, path);
    return;
  }
  if (value === null || typeof value !== 'object') return;
  for (const [name, each] of Object.entries(value)) {
    if (fieldsIn(name).length > 0) visit(name, [...path, '(name)']);
    walk(each, visit, [...path, name]);
  }
}
function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

export async function searchPostgres(db: pg.Client, found: Found): Promise<void> {
  const { rows } = await db.query<{ name: string }>(
    `SELECT table_name AS name FROM information_schema.tables WHERE table_schema = 'public' AND table_type = 'BASE TABLE'`,
  );
  for (const { name } of rows) {
    const { rows: kept } = await db.query<Record<string, unknown>>(`SELECT * FROM "${name}"`);
    for (const row of kept)
      for (const [column, value] of Object.entries(row)) {
        const text = value instanceof Uint8Array ? Buffer.from(value).toString('latin1') : JSON.stringify(value ?? '');
        found.note(text, `postgres:${name}.${column}`);
      }
  }
}

export async function searchTemporal(address: string, found: Found): Promise<void> {
  const connection = await Connection.connect({ address });
  const client = new Client({ connection });
  for await (const listed of client.workflow.list()) {
    const { workflowId, runId, raw } = listed;
    walk(raw, (text, path) => found.note(text, `temporal:${placeInHistory(path)}`));
    const { events = [] } = await client.workflow.getHandle(workflowId, runId).fetchHistory();
    walk(events, (text, path) => found.note(text, `temporal:${placeInHistory(path)}`));
  }
  await connection.close();
}

/** Of a path through a history's protobufs, what of it the map names. */
function placeInHistory(path: string[]): string {
  const text = path.join('.');
  const after = (word: string): string => path[path.indexOf(word) + 1] ?? '';
  if (text.includes('indexedFields')) return `searchAttribute.${after('indexedFields')}`;
  if (path.includes('memo')) return `memo.${after('fields')}`;
  if (path.includes('header')) return 'header';
  const own = path.filter((name) => !['data', 'payloads', 'input', 'args', 'result'].includes(name));
  const last = own.at(-1) ?? '';
  if (/update/i.test(text)) return `update.${last}`;
  if (/failure/i.test(text)) return 'failure';
  return `${/activity/i.test(text) ? 'activity' : /marker/i.test(text) ? 'localActivity' : 'event'}.${last}`;
}

export function searchEvents(events: readonly unknown[], found: Found): void {
  for (const event of events) walk(event, (text, path) => found.note(text, `events:${path.join('.')}`));
}

/** Each process's lines by the names of their fields. */
export function searchLogs(dataDir: string, found: Found): void {
  for (const name of readdirSync(join(dataDir, 'logs')))
    for (const line of readFileSync(join(dataDir, 'logs', name), 'utf8').split('\n')) {
      if (fieldsIn(line).length === 0) continue;
      const said = parse(line);
      if (said === undefined) found.note(line, `logs:${name}`);
      else walk(said, (text, path) => found.note(text, `logs:${path.join('.')}`));
    }
}

/** @returns the fields beside the message that lines of JSON have, by which logs have them */
export function namesInLogs(dataDir: string): Map<string, string[]> {
  const names = new Map<string, string[]>();
  for (const log of readdirSync(join(dataDir, 'logs')))
    for (const line of readFileSync(join(dataDir, 'logs', log), 'utf8').split('\n')) {
      if (!line.startsWith('{"level":"')) continue;
      for (const name of Object.keys((parse(line) ?? {}) as object))
        names.set(name, [...new Set([...(names.get(name) ?? []), log])]);
    }
  return names;
}

/** As `pg_dump` writes it: rows below a COPY of their table and its columns. What stands elsewhere is `dump`. */
export function searchDump(dump: string, found: Found): void {
  let copied: { table: string; columns: string[] } | undefined;
  for (const line of dump.split('\n')) {
    const [, table, columns] = /^COPY \w+\."?(\w+)"? \((.*)\) FROM stdin;$/.exec(line) ?? [];
    if (table !== undefined && columns !== undefined)
      copied = { table, columns: columns.split(', ').map((name) => name.replaceAll('"', '')) };
    else if (line === '\\.') copied = undefined;
    else if (copied === undefined) found.note(line, 'dump');
    else
      for (const [nth, value] of line.split('\t').entries())
        found.note(textOf(value), `postgres:${copied.table}.${copied.columns[nth]}`);
  }
}
/** Bytes are written as hexadecimal digits. */
const textOf = (value: string): string =>
  value.startsWith('\\\\x') ? Buffer.from(value.slice(3), 'hex').toString('latin1') : value;

/** The sandbox's ledger, in place of the payment provider's. */
export function searchGateway(dataDir: string, found: Found): void {
  for (const [, text] of filesBelow(join(dataDir, 'sandbox')))
    for (const line of text.split('\n'))
      walk(parse(line) ?? line, (word, path) => found.note(word, `gateway:${path.slice(-2).join('.')}`));
}

/** Bytes as they lie on the disk, as a backup has them. @returns the fields whose words are there, by file */
export function searchFiles(dataDir: string, folder: string): Map<string, string[]> {
  const files = filesBelow(join(dataDir, folder)).map(
    ([path, text]) => [relative(dataDir, path), fieldsIn(text)] as const,
  );
  return new Map(files.filter(([, fields]) => fields.length > 0));
}
