/** The scripts of package.json: each is told of, and does what a fresh clone needs. */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { endOfLife } from '../../local/setup/end-of-life.mjs';

const manifest = JSON.parse(readFileSync('package.json', 'utf8')) as {
  scripts: Record<string, string>;
  'scripts-info': Record<string, string>;
};
const names = Object.keys(manifest.scripts);

describe('`npm run help`', () => {
  test('has a line for every script, and for nothing that is none', () => {
    expect(Object.keys(manifest['scripts-info'])).toEqual(names);
    const { stdout } = spawnSync(process.execPath, ['local/help.mjs'], { encoding: 'utf8' });
    const lines = stdout.split('\n').slice(0, names.length);
    expect(lines.map((line) => line.replace(/^npm (run )?/, '').split(/ {2,}/))).toEqual(
      Object.entries(manifest['scripts-info']),
    );
  });
});

test.each(names)('the file that `npm run %s` runs is there', (name) => {
  const files = manifest.scripts[name]?.match(/(?<=node )(?!dist\/)\S+\.mjs|(?<=node )dist\/\S+\.js/g) ?? [];
  for (const file of files) expect([file, existsSync(file)]).toEqual([file, true]);
});

test('a Node that has reached its end of life is told of, and no other', () => {
  expect(endOfLife('20.20.2')).toContain('end of life in 2026-04');
  expect(endOfLife('22.19.0')).toBeUndefined();
  expect(endOfLife('24.0.0')).toBeUndefined();
});

describe('the pages for contributors', () => {
  const pages = ['CONTRIBUTING.md', 'SECURITY.md', 'CHANGELOG.md', 'docs/releasing.md'];

  test.each(pages)('%s names only files that are there', (page) => {
    const text = readFileSync(page, 'utf8').replaceAll(/```.*?```/gs, '');
    const named = [...text.matchAll(/`((?:[\w.-]+\/)+[\w.-]+\.\w+)`/g)].map(([, path = '']) => path);
    const linked = [...text.matchAll(/\]\((?!https?:)([^)#]+)/g)].map(([, path = '']) => join(dirname(page), path));
    expect([...named, ...linked].filter((path) => !existsSync(path))).toEqual([]);
  });

  test.each(pages)('%s names only scripts that are there', (page) => {
    const run = [...readFileSync(page, 'utf8').matchAll(/npm run (?:-s )?([\w:-]+)/g)].map(([, name = '']) => name);
    expect(run.filter((name) => !names.includes(name))).toEqual([]);
  });
});
