/**
 * Putting on record what the CLI does: in the audit chain, as the API does, under the operator's name. Whoever decides here is
 * somebody with the database's password and the chain's key; nobody has checked the name.
 */
import { randomUUID } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { Actor } from '../domain/audit/acts.js';
import { type AuditKeys, auditKeys } from '../domain/audit/signatures.js';
import { readAuditSecrets } from '../runtime/audit-files.js';
import { type Recorder, recorderFor } from '../sagas/deciding/recorder.js';
import type { Ops } from './command.js';
import type { OpsConfig } from './connections.js';

/** @param command as it is typed after `ops` */
export function createRecorder({ config }: Pick<Ops, 'config'>, command: string, operator: string | null): Recorder {
  const actor: Actor = { subject: operator, route: `ops ${command}`, correlationId: randomUUID(), source: null };
  return recorderFor(readKeys(config), actor);
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
