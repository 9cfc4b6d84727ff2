import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { ignoredEnvFile } from '../../local/env-file.js';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'order-saga-env-'));
});
afterEach(() => rmSync(dir, { recursive: true }));

test('whoever has written an .env is told that npm start does not read it, by names without values', () => {
  writeFileSync(join(dir, '.env'), '# mine\nPORT=4000\n#HOST=x\nEMPTY=\nexport AUDIT_KEY="secret-value"\n');
  const said = ignoredEnvFile(dir, {}) ?? '';
  expect(said).toContain('PORT, AUDIT_KEY of it count for nothing');
  expect(said).toContain('set -a; . ./.env; set +a');
  expect(said).not.toContain('secret-value');
});

test('nothing is said without an .env, and none of what the shell has as well', () => {
  expect(ignoredEnvFile(dir, {})).toBeUndefined();
  writeFileSync(join(dir, '.env'), 'PORT=4000\nHOST="127.0.0.1"\n');
  expect(ignoredEnvFile(dir, { PORT: '4000', HOST: '127.0.0.1' })).toBeUndefined();
});
