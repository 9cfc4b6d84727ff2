/**
 * Unprivileged: whom Postgres runs as when we are root, since it refuses to run as root. Nobody is created for it: the
 * machine's `postgres`, else its `nobody`.
 */
import { readFileSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { SetupError } from '../say.mjs';

export type User = { uid: number; gid: number };

/** @returns undefined where we are not root: Postgres then runs as ourselves */
export function unprivilegedUser(): User | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const users = readFileSync('/etc/passwd', 'utf8').split('\n');
  for (const name of ['postgres', 'nobody']) {
    const [, , uid, gid] = users.find((line) => line.startsWith(`${name}:`))?.split(':') ?? [];
    if (Number(uid) > 0) return { uid: Number(uid), gid: Number(gid) };
  }
  throw new SetupError(
    'Postgres refuses to run as root, and this machine knows neither a user `postgres` nor `nobody` to run it as. Start order-saga as an ordinary user, or set DATABASE_URL.',
  );
}

/** @returns who owns a path, unless that is root or no user yet; what a user has made, only that user can go on with */
export function ownerOf(path: string): User | undefined {
  const stat = statSync(path, { throwIfNoEntry: false });
  return process.getuid?.() === 0 && stat !== undefined && stat.uid !== 0
    ? { uid: stat.uid, gid: stat.gid }
    : undefined;
}

/** Whether `user` may pass through `path` (a program: run it) and every folder above it. Access lists are not looked at. */
export function canReach(path: string, { uid, gid }: User): boolean {
  const { mode, uid: owner, gid: group } = statSync(path);
  const shift = uid === owner ? 6 : gid === group ? 3 : 0;
  const mayPass = ((mode >> shift) & 0o1) !== 0;
  return mayPass && (dirname(path) === path || canReach(dirname(path), { uid, gid }));
}
