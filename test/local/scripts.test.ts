/** The scripts of package.json: each is described, and does what a fresh clone needs. */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { endOfLife } from '../../local/setup/end-of-life.mjs';

const manifest = JSON.parse(readFileSync('package.json', 'utf8')) as {
  scripts: Record<string, string>;
  'scripts-info': Record<string, string>;
  engines: { node: string };
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

test('a Node that has reached its end of life is reported at start, and no other', () => {
  expect(endOfLife('20.20.2')).toContain('end of life in 2026-04');
  expect(endOfLife('22.19.0')).toBeUndefined();
  expect(endOfLife('24.0.0')).toBeUndefined();
});

test('the Node to use is the same for people, the image, CI and the report of an old one', () => {
  const wanted = readFileSync('.nvmrc', 'utf8').trim();
  expect(readFileSync('deploy/Dockerfile', 'utf8')).toMatch(new RegExp(`NODE_IMAGE=node:${wanted}(\\.\\d+)*-`));
  expect(endOfLife('20.19.0')).toContain(`Node ${wanted} is what to use`);
  const [, matrix = ''] = /node: \[(.*)\]/.exec(readFileSync('.github/workflows/ci.yml', 'utf8')) ?? [];
  const tried = [...matrix.matchAll(/'([\d.]+)'/g)].map(([, version]) => version);
  expect([tried[0], tried.at(-1)]).toEqual([manifest.engines.node.replace('>=', ''), wanted]);
});

test('what the debugger launches is there', () => {
  const { configurations } = JSON.parse(readFileSync('.vscode/launch.json', 'utf8')) as {
    configurations: { name: string; runtimeArgs?: string[]; program?: string }[];
  };
  expect(configurations.length).toBeGreaterThan(2);
  for (const { name, runtimeArgs, program } of configurations) {
    if (runtimeArgs)
      expect([name, runtimeArgs[0], names]).toEqual([name, 'run', expect.arrayContaining(runtimeArgs.slice(1))]);
    const file = program?.replace(/^\$\{workspaceFolder\}\//, '');
    if (file !== undefined) expect([name, existsSync(file)]).toEqual([name, true]);
  }
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
