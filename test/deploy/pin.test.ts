/** `npm run pin`: writes what publishers have answered, and nothing else. Docker is a program of this test's own. */
import { spawnSync } from 'node:child_process';
import { chmodSync, cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { ROOT, read } from './text.js';

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'order-saga-pin-'));
  for (const path of ['deploy/pin.mjs', 'deploy/Dockerfile']) cpSync(join(ROOT, path), join(root, path));
});
afterEach(() => rmSync(root, { recursive: true }));

const services = {
  api: { image: 'order-saga:local', build: { context: '.' } },
  worker: { image: 'order-saga:local' }, // built by another service: no registry has it
  postgres: { image: 'postgres:18.6-bookworm' },
  temporal: { image: 'temporalio/server:1.31.2' },
};
/** What a registry says of an image whose name is `image`. */
const digestOf = (image: string) => `sha256:${Buffer.from(image).toString('hex').padEnd(64, '0').slice(0, 64)}`;

function pin(answer: (image: string) => string): {
  status: number | null;
  stderr: string;
  written: string | undefined;
} {
  mkdirSync(join(root, 'bin'));
  const images = [...Object.values(services).map(({ image }) => image), NODE];
  const cases = images.map((image) => `"buildx imagetools inspect ${image} --format "*) ${answer(image)} ;;`);
  const script = [
    '#!/bin/sh',
    'case "$*" in',
    `"compose config"*) echo '${JSON.stringify({ services })}' ;;`,
    ...cases,
    'esac',
  ];
  writeFileSync(join(root, 'bin', 'docker'), `${script.join('\n')}\n`);
  chmodSync(join(root, 'bin', 'docker'), 0o755);
  const env = { PATH: `${join(root, 'bin')}:${process.env['PATH']}` };
  const { status, stderr } = spawnSync(process.execPath, [join(root, 'deploy', 'pin.mjs'), 'images'], {
    env,
    encoding: 'utf8',
  });
  const file = join(root, 'docker-compose.override.yml');
  return { status, stderr, written: existsSync(file) ? readFileSync(file, 'utf8') : undefined };
}
const NODE = /^ARG NODE_IMAGE=(\S+)$/m.exec(read('deploy/Dockerfile'))?.[1] ?? '';

test('images are written with the digests of their registries, and ours are built on the base’s', () => {
  const { status, stderr, written } = pin((image) => `echo '{"digest":"${digestOf(image)}"}'`);
  expect([status, stderr]).toEqual([0, '']);
  expect(written).toContain(`  postgres:\n    image: postgres:18.6-bookworm@${digestOf('postgres:18.6-bookworm')}\n`);
  expect(written).not.toContain('worker:');
  expect(written).toContain(`  api:\n    build: { args: { NODE_IMAGE: "${NODE}@${digestOf(NODE)}" } }\n`);
});

test.each([
  ['cannot be asked', 'echo "ERROR: no such host" >&2; exit 1', 'ERROR: no such host'],
  ['says no digest', "echo '{}'", 'says no digest of temporalio/server:1.31.2'],
  ['says what is no digest', 'echo \'{"digest":"latest"}\'', 'says no digest of temporalio/server:1.31.2'],
])('a registry that %s leaves everything as it was', (_, said, sentence) => {
  const { status, stderr, written } = pin((image) =>
    image.startsWith('temporalio') ? said : `echo '{"digest":"${digestOf(image)}"}'`,
  );
  expect(status).toBe(1);
  expect(stderr).toContain(sentence);
  expect(written).toBeUndefined();
});

test('every image that is not ours is named by an exact version', () => {
  const images = [...read('docker-compose.yml').matchAll(/^ +image: (?:&[\w-]+ )?(.+)$/gm)].map(
    ([, image = '']) => image,
  );
  const foreign = [NODE, ...images.filter((image) => !/order-saga|^\*/.test(image))];
  expect(foreign.length).toBeGreaterThan(4);
  const tags = foreign.map((image) => image.replace(/\$\{\w+:-([^}]*)\}/g, '$1'));
  expect(tags.filter((tag) => !/:v?\d+\.\d+(\.\d+)?(-[a-z-]+)?(@sha256:[0-9a-f]{64})?$/.test(tag))).toEqual([]);
});
