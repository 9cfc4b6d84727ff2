/**
 * What of the audit trail is kept outside Postgres: the key by which it is signed, and the anchor, its newest entry as it was seen
 * last. Whoever owns the database can change what is in it; that it was changed, these two show.
 */
import { chmodSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { readSecretFile, SecretFileError } from '../prisma/secret-files.mjs';
import { ConfigError } from './config.js';
import { concealSecrets } from './errors/scrub.js';

/** As SHA-256 gives it; a shorter one could be guessed from entries whose content is known. */
const KEY_LENGTH_MIN = 32;

/**
 * @returns the keys, of which the first signs; none = AUDIT_KEY and AUDIT_KEY_FILE are unset
 * @throws ConfigError naming the variable
 */
export function readAuditSecrets({
  AUDIT_KEY: given,
  AUDIT_KEY_FILE: file,
}: {
  AUDIT_KEY: string;
  AUDIT_KEY_FILE: string | undefined;
}): string[] {
  if (given !== '' && file !== undefined) throw new ConfigError('AUDIT_KEY and AUDIT_KEY_FILE are both set: set one.');
  const name = given === '' ? 'AUDIT_KEY_FILE' : 'AUDIT_KEY';
  const keys = (file === undefined ? given : readKeyFile(file)).split(/[\s,]+/).filter((key) => key !== '');
  if (keys.some((key) => key.length < KEY_LENGTH_MIN))
    throw new ConfigError(
      `${name} is wrong: a key has ${KEY_LENGTH_MIN} characters or more, as \`openssl rand -hex 32\` makes it.`,
    );
  concealSecrets(keys); // a file's are no variable's, and of several each is one
  return keys;
}

function readKeyFile(file: string): string {
  try {
    return readSecretFile('AUDIT_KEY_FILE', file);
  } catch (err) {
    throw err instanceof SecretFileError ? new ConfigError(err.message) : err;
  }
}

/** The newest act and the newest audited call, by id and signature. `at` = when that was noted. */
export type AnchorFile = { id: number; hash: string | null; calls: number; callsHash?: string | null; at: string };

/** @returns undefined if there is none. @throws ConfigError if it cannot be read, or is no anchor */
export function readAnchorFile(path: string): AnchorFile | undefined {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (err) {
    const { code } = err as NodeJS.ErrnoException;
    if (code === 'ENOENT') return undefined;
    throw new ConfigError(`AUDIT_ANCHOR_FILE ${path} cannot be read (${code}).`);
  }
  const anchor = parse(text);
  if (!Number.isSafeInteger(anchor?.id) || !Number.isSafeInteger(anchor?.calls))
    throw new ConfigError(`AUDIT_ANCHOR_FILE ${path} is not an anchor of the audit trail.`);
  return anchor;
}

function parse(text: string): AnchorFile | undefined {
  try {
    return JSON.parse(text) as AnchorFile;
  } catch {
    return undefined;
  }
}

/**
 * The file is whole or as it was, whatever happens meanwhile. Relays that share it may be on several machines, or in containers where each is process 1:
 * none may write into another's draft.
 */
export function writeAnchorFile(path: string, anchor: AnchorFile): void {
  const draft = `${path}.${hostname()}.${process.pid}.new`;
  writeFileSync(draft, `${JSON.stringify(anchor)}\n`, { mode: 0o600 });
  chmodSync(draft, 0o600);
  renameSync(draft, path);
}
