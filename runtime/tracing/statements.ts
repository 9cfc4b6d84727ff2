/**
 * Statements as spans, each by what it does to which tables; neither its values nor its whole text. Installed over a pool only where this
 * process traces.
 */
import type pg from 'pg';
import { tracedWithin } from './spans.js';

/** As many texts as connections remember (runtime/database). */
const KNOWN_MAX = 200;

export function traceStatements(pool: pg.Pool): void {
  const known = new Map<string, string>();
  const summaryOf = (text: string): string => {
    const summary = known.get(text) ?? summarize(text);
    if (known.size < KNOWN_MAX) known.set(text, summary);
    return summary;
  };
  const query = pool.query.bind(pool) as unknown as (statement: pg.QueryConfig) => Promise<pg.QueryResult>;
  const tracedQuery = (statement: pg.QueryConfig) => {
    const summary = summaryOf(statement.text);
    const attributes = { 'db.system.name': 'postgresql', 'db.query.summary': summary };
    return tracedWithin(summary, { kind: 'client', attributes }, () => query(statement));
  };
  pool.query = tracedQuery as typeof pool.query;
}

/** "UPDATE orders, INSERT outbox" or, of what only reads, "SELECT orders". https://opentelemetry.io/docs/specs/semconv/db/database-spans/ */
export function summarize(text: string): string {
  const writes = [...text.matchAll(/\b(INSERT) INTO (\w+)|\b(UPDATE) (?!SET\b|OF\b)(\w+)|\b(DELETE) FROM (\w+)/g)].map(
    (match) => match.slice(1).filter(Boolean).join(' '),
  );
  const [, table = ''] = /\bFROM "?(?:\w+"?\.)?"?(\w+)/.exec(text) ?? [];
  const words = writes.length > 0 ? [...new Set(writes)].join(', ') : `${/\w+/.exec(text)?.[0] ?? ''} ${table}`.trim();
  return words.slice(0, 120);
}
