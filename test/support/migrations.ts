/** Migrations as their image has them: Prisma's CLI, and the files of this checkout with some more, or without the newest. */
import { spawn } from 'node:child_process';
import { cp, mkdir, mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runToEnd } from '../../local/processes/command.js';

/** The names of this checkout's, oldest first. */
export async function migrationNames(): Promise<string[]> {
  const entries = await readdir('prisma/migrations', { withFileTypes: true });
  return entries.flatMap((entry) => (entry.isDirectory() ? [entry.name] : [])).toSorted();
}

/** @param more name → its file; null = it is left out */
export async function migrationsWith(more: Record<string, string | null>) {
  const folder = await mkdtemp(join(tmpdir(), 'order-saga-migrations-'));
  const filter = (path: string) => !path.endsWith('generated');
  for (const each of ['prisma', 'prisma.config.ts']) await cp(each, join(folder, each), { recursive: true, filter });
  await symlink(join(process.cwd(), 'node_modules'), join(folder, 'node_modules'));
  for (const [name, sql] of Object.entries(more)) {
    const place = join(folder, 'prisma', 'migrations', name);
    await rm(place, { recursive: true, force: true });
    if (sql === null) continue;
    await mkdir(place);
    await writeFile(join(place, 'migration.sql'), sql);
  }
  const command = [join(folder, 'prisma', 'cli.mjs'), 'migrate', 'deploy'];
  const environment = (url: string) => ({ PATH: process.env['PATH'], HOME: process.env['HOME'], DATABASE_URL: url });
  const deploy = (url: string, env: Record<string, string> = {}) =>
    runToEnd(process.execPath, command, { cwd: folder, env: { ...environment(url), ...env } });
  /** As from a terminal: in a process group of its own. */
  const begin = (url: string) =>
    spawn(process.execPath, command, { cwd: folder, env: environment(url), stdio: 'pipe', detached: true });
  return { deploy, begin, remove: () => rm(folder, { recursive: true }) };
}
