/** Data folder: everything that survives `npm start`. One launcher at a time owns it; no other user may read what is in it. */
import { randomBytes } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { tryLock } from './processes/lock.mjs';
import { SetupError } from './say.mjs';

export type Secrets = { postgresSuperuser: string; postgresApp: string; stripeWebhook: string };

export type DataDir = {
  /** Absolute, without symbolic links. */
  path: string;
  secrets: Secrets;
  release: () => void;
};

const FOLDERS = ['logs', 'temporal', 'sandbox'];

/** @throws SetupError if another launcher has it, or if it holds folders of the user's own under the names of ours */
export function openDataDir(path: string): DataDir {
  mkdirSync(path, { recursive: true, mode: 0o700 });
  // Also one that an earlier release, or another umask, has left open. Of root's, Postgres, which runs as another user, passes through.
  if (isOurs(path)) chmodSync(path, process.getuid?.() === 0 ? 0o711 : 0o700);
  const real = realpathSync(path);
  const { release, owner } = tryLock(join(real, 'lock'));
  if (release === undefined) {
    throw new SetupError(
      `order-saga runs on ${real} already (process ${owner}). Stop that one, or set DATA_DIR to another folder and the ports to free ones.`,
    );
  }
  const theirs = isDataDir(real)
    ? []
    : readdirSync(real).filter((name) => FOLDERS.includes(name) || name === 'postgres');
  if (theirs.length > 0) {
    release();
    throw new SetupError(
      `DATA_DIR ${real} has folders of its own (${theirs.join(', ')}), which \`npm run reset\` would remove. Set DATA_DIR to an empty folder.`,
    );
  }
  const secrets = openSecrets(join(real, SECRETS)); // first: by them the folder is known as ours
  if (!existsSync(join(real, AUDIT_KEY))) writePrivate(join(real, AUDIT_KEY), randomBytes(32).toString('hex'));
  for (const name of FOLDERS) mkdirSync(join(real, name), { recursive: true, mode: 0o700 });
  return { path: real, secrets, release };
}

/** Whether a launcher has kept its data there. Other programs have files of that name, too: what is in it says whose it is. */
export function isDataDir(path: string): boolean {
  try {
    const secrets = JSON.parse(readFileSync(join(path, SECRETS), 'utf8')) as Partial<Secrets> | null;
    return NAMES.every((name) => typeof secrets?.[name] === 'string');
  } catch {
    return false;
  }
}
const NAMES = ['postgresSuperuser', 'postgresApp', 'stripeWebhook'] as const satisfies (keyof Secrets)[];
/** A folder that served for something else before is not ours to open to others, nor to close. */
const isOurs = (path: string) => isDataDir(path) || readdirSync(path).every((name) => ISSUER.includes(name));
/** What `npm run token` makes where nothing was started yet. */
const ISSUER = ['issuer', 'issuer.log'];
const SECRETS = 'secrets.json';
/** Signs the audit trail: apart from the secrets, for it is no password of the database that it guards against. */
export const AUDIT_KEY = 'audit-key';
/** The newest entry of the audit trail, as the relay has seen it. */
export const AUDIT_ANCHOR = 'audit-anchor';

/** Made once: the cluster remembers its passwords, too. */
function openSecrets(file: string): Secrets {
  if (existsSync(file)) return JSON.parse(readFileSync(file, 'utf8')) as Secrets;
  const random = () => randomBytes(24).toString('base64url');
  const secrets = { postgresSuperuser: random(), postgresApp: random(), stripeWebhook: `whsec_${random()}` };
  writePrivate(file, JSON.stringify(secrets, null, 2));
  return secrets;
}

/** The file is complete or is not there, whatever happens meanwhile. */
export function writePrivate(file: string, content: string): void {
  writeFileSync(`${file}.new`, `${content}\n`, { mode: 0o600 });
  renameSync(`${file}.new`, file);
}
