#!/usr/bin/env node
/**
 * Pin: asks the publishers of what we fetch which bytes their versions are, and writes that down, so that nothing else is taken for them:
 *   npm run pin              all of it
 *   npm run pin -- images    the images' digests → docker-compose.override.yml, which Compose reads by itself (one per server, not committed)
 *   npm run pin -- temporal  the Temporal CLI's SHA-256 → local/temporal/checksums.ts, to be committed
 * Nothing is written that was not read from its publisher; who cannot be asked is named, and what was written before stays.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const read = (path) => readFileSync(join(root, path), 'utf8');
const LIMIT_MS = 60_000;
const digests = new Map();

const tasks = { images: pinImages, temporal: pinTemporal };
const asked = process.argv.slice(2);
const unknown = asked.find((name) => !Object.hasOwn(tasks, name));
if (unknown !== undefined) fail(`There is nothing like "${unknown}" to pin: images, temporal.`);
for (const name of asked.length > 0 ? asked : Object.keys(tasks)) {
  try {
    await tasks[name]();
  } catch (err) {
    fail(`${name}: nothing was written. ${err.message}`);
  }
}

function fail(sentence) {
  process.stderr.write(`${sentence}\n`);
  process.exitCode = 1;
}

/** Each service's image by its digest, and the base of those that are built here. */
function pinImages() {
  const base = /^ARG NODE_IMAGE=(\S+)/m.exec(read('deploy/Dockerfile'))?.[1];
  const { services } = JSON.parse(docker('compose', 'config', '--format', 'json'));
  const all = Object.entries(services);
  const built = new Set(all.filter(([, { build }]) => build !== undefined).map(([, { image }]) => image));
  const asked = all.filter(([, { image, build }]) => build !== undefined || !built.has(image));
  const lines = asked.flatMap(([name, { image, build }]) =>
    build === undefined
      ? [`  ${name}:`, `    image: ${pinned(image)}`]
      : [`  ${name}:`, `    build: { args: { NODE_IMAGE: "${pinned(base)}" } }`],
  );
  const head =
    '# Written by `npm run pin`: the images as their registries have them. Again after each change of a version.';
  writeFileSync(join(root, 'docker-compose.override.yml'), `${[head, 'services:', ...lines].join('\n')}\n`);
  process.stdout.write('docker-compose.override.yml: every image by its digest.\n');
}

function pinned(image) {
  const [tagged] = image.split('@');
  if (!digests.has(tagged)) {
    const { digest } = JSON.parse(docker('buildx', 'imagetools', 'inspect', tagged, '--format', '{{json .Manifest}}'));
    if (!/^sha256:[0-9a-f]{64}$/.test(digest ?? '')) throw new Error(`The registry says no digest of ${tagged}.`);
    digests.set(tagged, digest);
  }
  return `${tagged}@${digests.get(tagged)}`;
}

/** Docker knows the registries, their mirrors and the log-ins. */
function docker(...args) {
  const { error, status, stdout, stderr } = spawnSync('docker', args, {
    cwd: root,
    encoding: 'utf8',
    timeout: LIMIT_MS,
  });
  if (error !== undefined) throw new Error(`\`docker\` does not run: ${error.message}`);
  if (status !== 0) throw new Error(`\`docker ${args.join(' ')}\` failed: ${stderr.trim().split('\n').at(-1)}`);
  return stdout;
}

async function pinTemporal() {
  const version = /CLI_VERSION = '([\d.]+)'/.exec(read('local/temporal/obtain.ts'))?.[1];
  const url = `https://github.com/temporalio/cli/releases/download/v${version}/checksums.txt`;
  const response = await fetch(url, { signal: AbortSignal.timeout(LIMIT_MS) }).catch((err) => {
    throw new Error(`${url} cannot be reached: ${err.cause?.message ?? err.message}`);
  });
  if (!response.ok) throw new Error(`${url} answers ${response.status}.`);
  const sums = [...(await response.text()).matchAll(/^([0-9a-f]{64})\s+\*?(temporal_cli_\S+\.tar\.gz)$/gm)];
  if (sums.length === 0) throw new Error(`${url} has no checksums in it.`);
  const file = 'local/temporal/checksums.ts';
  const entries = sums.map(([, sum, name]) => `  '${name}': '${sum}',\n`).sort();
  const declaration = 'export const checksums: Readonly<Record<string, string>> = ';
  const [comment] = read(file).split(declaration);
  writeFileSync(join(root, file), `${comment}${declaration}{\n${entries.join('')}};\n`);
  process.stdout.write(`${file}: ${sums.length} archives of version ${version}.\n`);
}
