/** The download of the Temporal CLI, from a release of this test's own: what is not what its publisher says is never run. */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { archiveName } from '../../../local/temporal/download.js';
import { downloadCli } from '../../../local/temporal/obtain.js';

const VERSION = '1.5.1';
const NAME = archiveName(VERSION);
const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');

let folder: string;
let server: Server;
let files: Record<string, Buffer | string>;
let asked: string[];
let archive: Buffer;

beforeAll(async () => {
  server = createServer((request, response) => {
    const name = (request.url ?? '').slice(1);
    asked.push(name);
    const content = files[name];
    response.writeHead(content === undefined ? 404 : 200).end(content);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
});
afterAll(() => new Promise((resolve) => server.close(resolve)));

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'order-saga-download-'));
  const program = join(folder, 'temporal');
  writeFileSync(program, '#!/bin/sh\necho genuine\n');
  chmodSync(program, 0o755);
  spawnSync('tar', ['-czf', join(folder, 'archive'), '-C', folder, 'temporal']);
  archive = readFileSync(join(folder, 'archive'));
  files = { [NAME]: archive, 'checksums.txt': `${'0'.repeat(64)}  another.tar.gz\n${sha256(archive)}  ${NAME}\n` };
  asked = [];
});
afterEach(() => rmSync(folder, { recursive: true }));

const target = () => join(folder, 'cache', 'temporal');
async function download(checksums: Record<string, string> = {}): Promise<string> {
  const { port } = server.address() as AddressInfo;
  spawnSync('mkdir', ['-p', join(folder, 'cache')]);
  await downloadCli(target(), { url: `http://127.0.0.1:${port}`, version: VERSION, checksums });
  return spawnSync(target(), { encoding: 'utf8' }).stdout;
}

async function expectRefused(checksums: Record<string, string>, why: string): Promise<void> {
  await expect(download(checksums)).rejects.toThrow(why);
  expect(readdirSync(join(folder, 'cache'))).toEqual([]);
  expect(existsSync(target())).toBe(false);
}

test('what has the checksum that was written down is taken, whatever the release says of itself', async () => {
  files['checksums.txt'] = `${'1'.repeat(64)}  ${NAME}\n`;
  expect(await download({ [NAME]: sha256(archive) })).toBe('genuine\n');
  expect(asked).toEqual([NAME]);
});

test('what has another is not, even if the release agrees with it', async () => {
  await expectRefused({ [NAME]: 'a'.repeat(64) }, `its publisher says ${'a'.repeat(64)}`);
});

test('without one that was written down, the release’s own decides', async () => {
  expect(await download()).toBe('genuine\n');
  files[NAME] = Buffer.concat([archive, Buffer.from([0])]);
  rmSync(target());
  await expectRefused({}, 'it is not used');
});

test.each([
  ['does not state any', undefined, 'checksums.txt answers 404'],
  ['states none of this archive', `${'1'.repeat(64)}  another.tar.gz\n`, `has no SHA-256 of ${NAME}`],
  ['states what is no checksum', `deadbeef  ${NAME}\n`, `has no SHA-256 of ${NAME}`],
])('a release that %s gives nothing', async (_, stated, why) => {
  if (stated === undefined) delete files['checksums.txt'];
  else files['checksums.txt'] = stated;
  await expectRefused({}, why);
});

test('an archive that is not there says so', async () => {
  delete files[NAME];
  await expectRefused({ [NAME]: sha256(archive) }, `${NAME} answers 404`);
});
