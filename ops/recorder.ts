/**
 * Putting on record what the CLI does: in the audit chain, as the API does, under the operator's name. Whoever decides here is
 * somebody with the database's password and the chain's key; nobody has checked the name.
 */
import { randomUUID } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { type Actor, act, type Change, type Effect, recordAct } from '../domain/audit/acts.js';
import { type AuditKeys, auditKeys } from '../domain/audit/signatures.js';
import type { Database } from '../domain/database.js';
import { readAuditSecrets } from '../runtime/audit-files.js';
import type { Ops } from './command.js';
import type { OpsConfig } from './connections.js';

export type Recorder = {
  /** Does a change and records it, or neither. @throws NotRecorded */
  act<T, B>(db: Database, change: Change<T, B>): Promise<T>;
  /** What Temporal is about to be sent. @throws NotRecorded: it must not be sent */
  announce(db: Database, effect: Effect): Promise<void>;
  /** What has come of it. */
  conclude(db: Database, effect: Effect): Promise<void>;
};

/** @param command as it is typed after `ops` */
export function createRecorder({ config }: Pick<Ops, 'config'>, command: string, operator: string | null): Recorder {
  const keys = readKeys(config);
  const actor: Actor = { subject: operator, route: `ops ${command}`, correlationId: randomUUID(), source: null };
  return {
    act: async (db, change) => (await act(db, keys, actor, change)).result,
    announce: async (db, effect) => {
      await recordAct(db, keys, 'act', actor, effect);
    },
    conclude: async (db, effect) => {
      await recordAct(db, keys, 'outcome', actor, effect);
    },
  };
}

/** Those of the environment, else those of the installation that `npm start` runs. */
export function readKeys(config: OpsConfig): AuditKeys {
  const isGiven = config.AUDIT_KEY !== '' || config.AUDIT_KEY_FILE !== undefined;
  const file = isGiven ? undefined : laptopFile(config, 'audit-key');
  return auditKeys(readAuditSecrets(file === undefined ? config : { AUDIT_KEY: '', AUDIT_KEY_FILE: file }));
}

/** @returns where the anchor is, or undefined if nothing says so */
export const anchorFileOf = (config: OpsConfig): string | undefined =>
  config.AUDIT_ANCHOR_FILE ?? laptopFile(config, 'audit-anchor');

/** What a launcher keeps in DATA_DIR is of the database that it runs, or was given. */
function laptopFile({ DATA_DIR, DATABASE_URL }: OpsConfig, name: string): string | undefined {
  const [file, url] = [name, 'database-url'].map((kept) => join(resolve(DATA_DIR), kept)) as [string, string];
  if (!existsSync(file)) return undefined;
  if (DATABASE_URL === undefined || !existsSync(url)) return file;
  return readFileSync(url, 'utf8').trim() === DATABASE_URL ? file : undefined;
}
