/** The key and the anchor of the audit trail: what is taken, what is refused by the variable's name, and never with the key in it. */
import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from '@jest/globals';
import { readAnchorFile, readAuditSecrets, writeAnchorFile } from '../../runtime/audit-files.js';
import { withoutSecrets } from '../../runtime/errors/scrub.js';
import { eventually } from '../support/conditions.js';

const folder = mkdtempSync(join(tmpdir(), 'audit-files-'));
afterAll(() => rmSync(folder, { recursive: true }));
const [KEY, OLD] = ['k'.repeat(32), 'o'.repeat(32)];
const file = (content: string): string => {
  const path = join(folder, 'key');
  writeFileSync(path, content);
  return path;
};
const read = (AUDIT_KEY: string, AUDIT_KEY_FILE?: string) => readAuditSecrets({ AUDIT_KEY, AUDIT_KEY_FILE });

describe('the key', () => {
  test('may be one, several during a rotation, in a file, or none', () => {
    expect(read(KEY)).toEqual([KEY]);
    expect(read(`${KEY},${OLD}`)).toEqual([KEY, OLD]);
    expect(read('', file(`${KEY}\n${OLD}\n`))).toEqual([KEY, OLD]);
    expect(read('')).toEqual([]);
  });

  test('is in no line of a log, each of several for itself, from a file too', () => {
    const [ours, before, kept] = ['a', 'b', 'c'].map((letter) => letter.repeat(40)) as [string, string, string];
    read(`${ours},${before}`);
    read('', file(`${kept}\n`));
    expect(withoutSecrets(`x ${ours} y ${before} z ${kept}`)).toBe('x [withheld] y [withheld] z [withheld]');
  });

  test.each([
    ['too short', () => read('hidden-key'), 'AUDIT_KEY is wrong'],
    ['one of several too short', () => read(`${KEY},hidden`), 'AUDIT_KEY is wrong'],
    ['too short in a file', () => read('', file('hidden')), 'AUDIT_KEY_FILE is wrong'],
    ['an empty file', () => read('', file('\n')), 'is empty'],
    ['no file', () => read('', join(folder, 'nowhere')), 'cannot be read (ENOENT)'],
    ['both', () => read(KEY, file(KEY)), 'both set'],
  ])('is refused: %s', (_, reading, why) => {
    expect(reading).toThrow(why);
    expect(reading).not.toThrow('hidden');
  });

  test('is missed loudly where operators are known by name', async () => {
    const api = spawn(process.execPath, ['dist/service/main.js'], {
      env: {
        PATH: process.env['PATH'],
        ROLE: 'api',
        DATABASE_URL: 'postgresql://nobody@127.0.0.1:1/nothing',
        AUTH_ISSUER: 'https://issuer.example',
        AUTH_AUDIENCE: 'order-saga',
        METRICS_PORT: '0',
      },
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    let said = '';
    api.stdout.on('data', (chunk) => (said += chunk));
    await eventually('it is said', () => said.includes('AUDIT_KEY and AUDIT_KEY_FILE are not set, but AUTH_ISSUER is'));
    api.kill('SIGKILL');
  });
});

test('an anchor is as it was written, and no other user may read it; what is none is refused', () => {
  const path = join(folder, 'anchor');
  expect(readAnchorFile(path)).toBeUndefined();
  const anchor = { id: 3, hash: 'ab', calls: 2, at: '2026-01-01T00:00:00.000Z' };
  writeAnchorFile(path, anchor);
  expect(readAnchorFile(path)).toEqual(anchor);
  expect(statSync(path).mode & 0o777).toBe(0o600);
  for (const content of ['', 'x', '{}', '{"id":"3","calls":1}', 'null']) {
    writeFileSync(path, content);
    expect(() => readAnchorFile(path)).toThrow('is not an anchor');
  }
});

test('a relay leaves alone what another one is about to write to the same place, as two containers do whose process has the same number', () => {
  const path = join(folder, 'shared-anchor');
  const others = [`${path}.${process.pid}.new`, `${path}.other-host.${process.pid}.new`];
  for (const other of others) writeFileSync(other, 'half');
  writeAnchorFile(path, { id: 4, hash: 'cd', calls: 2, at: '2026-01-01T00:00:00.000Z' });
  expect(others.map((other) => readFileSync(other, 'utf8'))).toEqual(['half', 'half']);
  expect(readdirSync(folder).filter((name) => name.includes('.new'))).toHaveLength(2);
});
