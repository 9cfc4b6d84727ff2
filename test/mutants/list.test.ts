/** The list of mutants cannot rot: what is changed is there once, and so is who notices. What the mutants come to is `npm run mutants`. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import type { Mutant } from './mutant.js';
import { patternOf } from './names.mjs';

const PROMISES = join(process.cwd(), 'test/mutants/promises');
const MUTANTS_MIN = 60;

const lists = await Promise.all(
  readdirSync(PROMISES).map(async (file) => ((await import(join(PROMISES, file))) as { default: Mutant[] }).default),
);
const mutants = lists.flat();
const text = (path: string) => (existsSync(path) ? readFileSync(path, 'utf8') : '');

test('what a mutant changes stands once in its file, and becomes something else', () => {
  expect(mutants.length).toBeGreaterThanOrEqual(MUTANTS_MIN);
  const astray = mutants.filter(
    ({ file, find, replace }) => text(file).split(find).length !== 2 || find === replace || file.startsWith('test/'),
  );
  expect(astray.map(({ id }) => id)).toEqual([]);
});

/** Shorter ones say too little: any name would be like "%s". */
const TITLE_MIN = 15;
/** Whether a test's title, or that of those around it, has this in it, whatever values stand for its placeholders. */
const isTitled = (source: string, name: string): boolean =>
  source.includes(name) ||
  (source.match(/'(?:[^'\\\n]|\\.)*'|`[^`]*`/g) ?? [])
    .map((title) => title.slice(1, -1))
    .some((title) => title.length >= TITLE_MIN && new RegExp(`^${patternOf(title)}$`).test(name));

test('the test that is to notice a mutant is in its file', () => {
  const astray = mutants.filter(({ test, name }) => !isTitled(text(test), name));
  expect(astray.map(({ id, name }) => `${id}: ${name}`)).toEqual([]);
});

test('no two mutants have one name, or are one change', () => {
  expect(new Set(mutants.map(({ id }) => id)).size).toBe(mutants.length);
  expect(new Set(mutants.map(({ file, find, replace }) => `${file}\n${find}\n${replace}`)).size).toBe(mutants.length);
});
