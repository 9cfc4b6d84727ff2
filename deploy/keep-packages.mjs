/**
 * Leaves of node_modules what some of the direct dependencies need, and removes the rest:
 *   node deploy/keep-packages.mjs [--all-but] prisma @prisma/schema-engine-wasm [--without @prisma/studio-core]
 * npm tells production from development only; the image of the service, and that of the migrations, each need a part of the first.
 * Peers that are optional do not keep a package: Prisma's client, which the service needs, names Prisma's CLI as one.
 * What stands after --without keeps nothing either, whoever depends on it: it is never loaded there.
 */
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** What is installed, as npm has written it down: path → package. */
const { packages } = JSON.parse(readFileSync('node_modules/.package-lock.json', 'utf8'));
const { dependencies, optionalDependencies = {} } = JSON.parse(readFileSync('package.json', 'utf8'));

const args = process.argv.slice(2);
const end = args.includes('--without') ? args.indexOf('--without') : args.length;
const named = args.slice(0, end).filter((name) => name !== '--all-but');
const without = args.slice(end + 1);
const direct = Object.keys({ ...dependencies, ...optionalDependencies });
const installed = new Set(Object.keys(packages).map((path) => path.split('node_modules/').at(-1)));
const unknown = [...named.filter((name) => !direct.includes(name)), ...without.filter((name) => !installed.has(name))];
if (named.length === 0 || unknown.length > 0) {
  process.stderr.write(`Not among the dependencies: ${unknown.join(', ') || '(nothing named)'}\n`);
  process.exit(1);
}
const roots = args.includes('--all-but') ? direct.filter((name) => !named.includes(name)) : named;

const kept = new Set();
const queue = roots.map((name) => find('', name)).filter((path) => path !== undefined);
for (let path = queue.pop(); path !== undefined; path = queue.pop()) {
  if (kept.has(path)) continue;
  kept.add(path);
  queue.push(
    ...needsOf(packages[path])
      .filter((name) => !without.includes(name))
      .map((name) => find(path, name))
      .filter((found) => found !== undefined),
  );
}

const removed = Object.keys(packages).filter((path) => !kept.has(path) && existsSync(path));
for (const path of removed) {
  // A package that is kept may be installed within this one.
  const within = [...kept].some((other) => other.startsWith(`${path}/`));
  for (const name of within ? readdirSync(path).filter((entry) => entry !== 'node_modules') : ['.'])
    rmSync(join(path, name), { recursive: true, force: true });
}
process.stdout.write(`${kept.size} packages kept, ${removed.length} removed.\n`);

function needsOf({ dependencies = {}, optionalDependencies = {}, peerDependencies = {}, peerDependenciesMeta = {} }) {
  const peers = Object.keys(peerDependencies).filter((name) => !peerDependenciesMeta[name]?.optional);
  return [...Object.keys({ ...dependencies, ...optionalDependencies }), ...peers];
}

/** As Node resolves it: beside the package that asks, then in each folder above. */
function find(from, name) {
  for (let folder = from; ; folder = dirname(folder)) {
    if (folder.endsWith('node_modules')) continue;
    const path = join(folder === '.' ? '' : folder, 'node_modules', name);
    if (packages[path] !== undefined) return path;
    if (folder === '' || folder === '.') return undefined;
  }
}
