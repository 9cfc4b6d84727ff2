#!/usr/bin/env node
/**
 * Builds the previous release into dist.previous/, once, for the test that runs it on today's schema: half a minute, and only where
 * there is a migration that it does not know, or FULL=1. REQUIRE_PREVIOUS_RELEASE=1: it is a failure if this clone does not have it.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { git, previousRelease, root } from './previous-release.mjs';

const { FULL, REQUIRE_PREVIOUS_RELEASE } = process.env;

/** @returns {{ release: string, commit: string, dir: string, knows: string[], isBuilt: boolean } | { missing: string }} knows: its migrations */
export function previousBuild() {
  const release = previousRelease();
  if (release.missing !== undefined) return release;
  const dir = join(root, 'dist.previous', release.commit);
  const paths = git('ls-tree', '--name-only', release.commit, 'prisma/migrations/')?.split('\n') ?? [];
  const knows = paths.map((path) => path.split('/')[2]).filter((name) => !name.includes('.'));
  return {
    release: release.name,
    commit: release.commit,
    dir,
    knows,
    isBuilt: existsSync(join(dir, 'dist', '.stamp')),
  };
}

/** @returns {string[]} the migrations of this checkout that a release with those does not know */
export const newSince = (knows) =>
  readdirSync(join(root, 'prisma', 'migrations')).filter((name) => !name.includes('.') && !knows.includes(name));

function build(dir, commit) {
  rmSync(join(root, 'dist.previous'), { recursive: true, force: true });
  mkdirSync(dir, { recursive: true });
  run(dir, 'sh', '-c', `git -C '${root}' archive ${commit} | tar -x`);
  // Its code is what the test is about: packages of the same versions are those of this checkout.
  if (hasOurPackages(dir)) symlinkSync(join(root, 'node_modules'), join(dir, 'node_modules'));
  else run(dir, 'npm', 'ci', '--ignore-scripts', '--no-audit', '--no-fund');
  const stages =
    "const { build } = await import('./local/setup/stages.mjs'); await build(process.cwd(), { checkTypes: false });";
  run(dir, process.execPath, '--input-type=module', '-e', stages);
}

function hasOurPackages(dir) {
  const versions = (place) => {
    const { dependencies, devDependencies } = JSON.parse(readFileSync(join(place, 'package.json'), 'utf8'));
    return { ...devDependencies, ...dependencies };
  };
  const ours = versions(root);
  return Object.entries(versions(dir)).every(([name, version]) => ours[name] === version);
}

function run(cwd, command, ...args) {
  const { status } = spawnSync(command, args, { cwd, stdio: ['ignore', 'ignore', 'inherit'] });
  if (status !== 0) throw new Error(`\`${command} ${args.join(' ')}\` failed in ${cwd} (${status})`);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const previous = previousBuild();
  if (previous.missing !== undefined) {
    process.stdout.write(`The previous release is not run on today’s schema. ${previous.missing}\n`);
    process.exitCode = REQUIRE_PREVIOUS_RELEASE === '1' ? 1 : 0;
  } else if (newSince(previous.knows).length === 0 && FULL !== '1') {
    process.stdout.write(`The previous release (${previous.release}) knows every migration.\n`);
  } else if (!previous.isBuilt) {
    build(previous.dir, previous.commit);
    process.stdout.write(`The previous release (${previous.release}) is built.\n`);
  }
}
