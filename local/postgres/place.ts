/**
 * Place: the folder that holds a Postgres cluster. In the data folder wherever Postgres can reach that. When we are root in
 * a checkout that others cannot enter, it is a folder elsewhere, which a file in the data folder names.
 */
import { createHash } from 'node:crypto';
import {
  accessSync,
  chmodSync,
  chownSync,
  constants,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SetupError, say } from '../say.mjs';
import { canReach, type User } from '../processes/unprivileged.js';

/** Names the place where it is not in the data folder. */
const POINTER = 'postgres.place';
/** Says, within a place elsewhere, which data folder it belongs to. */
const OWNER = 'data-dir';

/** @returns a folder that survives, owned by `user`, readable by no other user */
export function durablePlace(dataDir: string, user: User | undefined): string {
  if (user === undefined) return ownFolder(join(dataDir, 'postgres'), user);
  const pointer = join(dataDir, POINTER);
  if (existsSync(pointer)) return followPointer(readFileSync(pointer, 'utf8').trim(), dataDir);
  if (canReach(dataDir, user)) return ownFolder(join(dataDir, 'postgres'), user);
  const place = elsewhere(dataDir, user);
  writeFileSync(pointer, `${place}\n`, { mode: 0o600 });
  say(`Postgres may not enter ${dataDir}; its data is in ${place}.`);
  return place;
}

/** Removes the cluster of a data folder that has it elsewhere; one that belongs to another data folder stays. */
export function removePlaceElsewhere(dataDir: string): void {
  const pointer = join(dataDir, POINTER);
  if (!existsSync(pointer)) return;
  const place = readFileSync(pointer, 'utf8').trim();
  const owner = join(place, OWNER);
  if (existsSync(owner) && readFileSync(owner, 'utf8').trim() === dataDir) rmSync(place, { recursive: true });
}

/** @returns a new folder in which nothing is worth keeping */
export function throwawayPlace(user: User | undefined): string {
  const parents = [tmpdir(), '/tmp', '/var/tmp'];
  const parent = parents.find((path) => existsSync(path) && (user === undefined || canReach(path, user))) ?? tmpdir();
  return ownFolder(mkdtempSync(join(parent, 'order-saga-postgres-')), user);
}

function ownFolder(path: string, user: User | undefined): string {
  mkdirSync(path, { recursive: true, mode: 0o700 });
  if (user !== undefined && statSync(path).uid === 0) chownSync(path, user.uid, user.gid);
  return path;
}

function followPointer(place: string, dataDir: string): string {
  const owner = existsSync(place) ? readFileSync(join(place, OWNER), 'utf8').trim() : undefined;
  if (owner === dataDir) return place;
  const found = owner === undefined ? 'is not there any more' : `belongs to ${owner}`;
  throw new SetupError(
    `${join(dataDir, POINTER)} says that the database is in ${place}, which ${found}. Bring it back, or remove ${dataDir} to start afresh.`,
  );
}

function elsewhere(dataDir: string, user: User): string {
  const name = `order-saga-${createHash('sha256').update(dataDir).digest('hex').slice(0, 12)}`;
  // /var/tmp only as a last resort: many systems remove from it what has not been touched for a month.
  const parents = dataDir.startsWith(`${tmpdir()}/`) ? [tmpdir()] : ['/var/lib', '/var/tmp'];
  const parent = parents.find((path) => canWrite(path) && canReach(path, user));
  if (parent === undefined) {
    throw new SetupError(
      `Postgres does not run as root, and user ${user.uid} can enter neither ${dataDir} nor ${parents[0]}. Set DATA_DIR to a folder that others can enter, or DATABASE_URL.`,
    );
  }
  const place = join(parent, name);
  // Its data folder does not know it: that one was removed to start afresh.
  rmSync(place, { recursive: true, force: true });
  mkdirSync(place, { mode: 0o700 }); // fails rather than use what another user has put there
  writeFileSync(join(place, OWNER), `${dataDir}\n`, { mode: 0o600 });
  chmodSync(place, 0o700);
  chownSync(place, user.uid, user.gid);
  return place;
}

function canWrite(path: string): boolean {
  try {
    accessSync(path, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}
