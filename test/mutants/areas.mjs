/** The lists below promises/, for plain Node: types are taken off, and the rest is read as it stands. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { transformSync } from '@swc/core';

/** @returns area → its mutants */
export async function readAreas(root) {
  const folder = join(root, 'test/mutants/promises');
  const scratch = mkdtempSync(join(tmpdir(), 'order-saga-mutants-list-'));
  const areas = {};
  try {
    for (const name of readdirSync(folder)) {
      const { code } = transformSync(readFileSync(join(folder, name), 'utf8'), {
        jsc: { target: 'es2022', parser: { syntax: 'typescript' } },
        module: { type: 'es6' },
      });
      const area = name.replace(/\.ts$/, '');
      const path = join(scratch, `${area}.mjs`);
      writeFileSync(path, code);
      areas[area] = (await import(pathToFileURL(path).href)).default;
    }
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
  return areas;
}
