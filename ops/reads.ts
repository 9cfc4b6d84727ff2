/**
 * Putting on record which orders and customers the CLI has shown, as the API does of its readers: before they are shown, under the
 * name in OPS_OPERATOR. Nothing else is held up by it: what cannot be recorded is shown all the same, and said to be missing, since a
 * database that takes no writes is what one looks into.
 */
import { randomUUID } from 'node:crypto';
import { type AuditedCall, recordCalls } from '../domain/audit/calls.js';
import type { Database } from '../domain/database.js';
import { sentenceOf } from '../runtime/errors/facts.js';
import type { Ops } from './command.js';
import { readKeys } from './recorder.js';

/** With an entry of their own; further ones of the same command are counted in one. */
const RESOURCES_MAX = 20;

/**
 * @param command   as it is typed after `ops`
 * @param resources ids of orders, or customers by their references
 */
export async function noteReads(ops: Ops, db: Database, command: string, resources: readonly string[]): Promise<void> {
  const { OPS_OPERATOR } = ops.config;
  const about = { kind: 'read', route: `ops ${command}`, status: 0, correlationId: randomUUID() } as const;
  const call: AuditedCall = { ...about, subject: OPS_OPERATOR ?? null, source: null, resource: null };
  const named = resources.slice(0, RESOURCES_MAX).map((resource) => ({ ...call, resource }));
  const more = resources.length - named.length;
  const calls = named.length === 0 || more > 0 ? [...named, { ...call, times: Math.max(1, more) }] : named;
  try {
    await recordCalls(db, readKeys(ops.config), calls);
  } catch (err) {
    ops.out.notice(`That this was read could not be put on record: ${sentenceOf(err)}`);
  }
}

/** As the trail names one; the id that clients know is not in it. */
export const customerResource = (references: readonly string[]): string =>
  `customer ${references.length === 0 ? 'of before references' : references.join(' ')}`;
