/**
 * Build: dist/ from the sources. It is made beside dist/ and then put in its place, so that a process that reads dist/ meanwhile
 * sees the old build or the new one, never half of one. dist/.stamp says which sources it was made from.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { SetupError, stage } from '../say.mjs';

/** Scripts that compiled code imports: there is nothing to compile in them, but they must stand where it looks. */
const COPIED = [
  'prisma/secret-files.mjs',
  'prisma/session.mjs',
  'prisma/plain-text.mjs',
  'local/processes/start-time.mjs',
  'local/processes/lock.mjs',
  'local/say.mjs',
];

/** Served as they stand: nothing of them is compiled. */
const CONSOLE = 'console';
const RUNBOOK = 'docs/runbook.md';

/** Folders that the workflow bundle is made of; test/workflows/bundle.test.ts looks inside. */
const BUNDLED = ['contracts', 'workflows'];
const BUNDLE = 'workflow-bundle.js';

export const isBuilt = (root) => read(join(root, 'dist', '.stamp')) === sourceStamp(root) && isGenerated(root);

/**
 * @param {{ checkTypes: boolean }} options without the check, sources that have type errors elsewhere still run: `npm test`
 *   in the middle of a change is normal, and `npm run typecheck` says all there is to say
 */
export async function build(root, { checkTypes }) {
  const stamp = sourceStamp(root);
  const fresh = join(root, 'dist.new');
  rmSync(fresh, { recursive: true, force: true });
  await ensureGenerated(root);
  await stage('Compiling', () => compile(root, fresh, checkTypes));
  await bundleWorkflows(root, fresh);
  writeFileSync(join(fresh, '.stamp'), stamp);
  swap(root, fresh);
}

/** Takes as long as all the rest; the bundle is made of little that changes. */
async function bundleWorkflows(root, fresh) {
  const sources = [
    'package-lock.json',
    'tsconfig.json',
    'tsconfig.build.json',
    'local/setup/bundle.ts',
    ...BUNDLED.flatMap((f) => filesBelow(root, f)),
  ];
  const stamp = stampOf(root, sources);
  if (read(join(root, 'dist', '.bundle-stamp')) === stamp)
    copyFileSync(join(root, 'dist', BUNDLE), join(fresh, BUNDLE));
  else await stage('Bundling the workflows', () => run(root, ['dist.new/local/setup/bundle.js']));
  writeFileSync(join(fresh, '.bundle-stamp'), stamp);
}

function compile(root, outDir, checkTypes) {
  run(root, [
    'node_modules/typescript/bin/tsc',
    '-p',
    'tsconfig.build.json',
    '--outDir',
    outDir,
    ...(checkTypes ? [] : ['--noCheck']),
  ]);
  writeFileSync(join(outDir, 'prisma', 'migrations.json'), JSON.stringify(migrations(root)));
  for (const path of [...COPIED, RUNBOOK]) {
    mkdirSync(dirname(join(outDir, path)), { recursive: true });
    copyFileSync(join(root, path), join(outDir, path));
  }
  cpSync(join(root, CONSOLE), join(outDir, CONSOLE), { recursive: true });
}

/** What service/schema.ts asks a database for: an image of the service has no migrations. */
const migrations = (root) =>
  readdirSync(join(root, 'prisma', 'migrations'), { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name)
    .toSorted();

function swap(root, fresh) {
  const dist = join(root, 'dist');
  const old = join(root, 'dist.old');
  rmSync(old, { recursive: true, force: true });
  if (existsSync(dist)) renameSync(dist, old);
  renameSync(fresh, dist);
  rmSync(old, { recursive: true, force: true });
}

const generatedStamp = (root) => join(root, 'prisma', 'generated', '.stamp');
const isGenerated = (root) => read(generatedStamp(root)) === schemaStamp(root);

export async function ensureGenerated(root) {
  if (!isGenerated(root)) await stage('Generating the Prisma client', () => generate(root));
}

function generate(root) {
  run(root, ['prisma/cli.mjs', 'generate', '--no-hints']);
  writeFileSync(generatedStamp(root), schemaStamp(root));
}

/** Output is shown only of a stage that fails. */
function run(root, args) {
  const { status, signal, error, stdout, stderr } = spawnSync(process.execPath, args, {
    cwd: root,
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
  });
  if (error) throw error;
  if (status !== 0)
    throw new SetupError(`${stdout}${stderr}\n\`node ${args.join(' ')}\` failed (${signal ?? status}).`.trimStart());
}

const schemaStamp = (root) => stampOf(root, ['prisma/schema.prisma', 'prisma.config.ts', 'package-lock.json']);

/** The folders that dist/ is made from. */
export const sourceFolders = (root) => [
  ...JSON.parse(readFileSync(join(root, 'tsconfig.build.json'), 'utf8')).include,
  CONSOLE,
];

function sourceStamp(root) {
  const config = ['tsconfig.json', 'tsconfig.build.json', 'package-lock.json', RUNBOOK];
  return stampOf(root, [...config, ...sourceFolders(root).flatMap((folder) => filesBelow(root, folder))]);
}

function filesBelow(root, folder) {
  const entries = existsSync(join(root, folder)) ? readdirSync(join(root, folder), { withFileTypes: true }) : [];
  return entries
    .toSorted((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((entry) => {
      const path = `${folder}/${entry.name}`;
      if (path === 'prisma/generated') return []; // made from the schema, which counts
      return entry.isDirectory() ? filesBelow(root, path) : [path];
    });
}

/** Contents, not times: a checkout, a cache or a copy sets times as it likes. */
function stampOf(root, paths) {
  const hash = createHash('sha256');
  for (const path of paths) {
    const content = read(join(root, path)) ?? '';
    hash.update(`${path}\0${content.length}\0${content}\0`);
  }
  return `${hash.digest('hex')}\n`;
}

function read(path) {
  try {
    return readFileSync(path, 'utf8');
  } catch (err) {
    if (err.code === 'ENOENT') return undefined;
    throw err;
  }
}
