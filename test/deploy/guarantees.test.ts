/** docs/guarantees.md names tests as proofs: each is there, by file and by name. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';

const text = readFileSync('docs/guarantees.md', 'utf8');
/** A link to a test's file, and the names behind it: in “…”, several separated by commas. */
const PROOF = /\]\(\.\.\/(test\/[^)]+\.test\.ts)\): ((?:“[^”]+”(?:,\s+)?)+)/g;
const proofsIn = (part: string) =>
  [...part.matchAll(PROOF)].flatMap(([, file = '', names = '']) =>
    [...names.matchAll(/“([^”]+)”/g)].map(([, name = '']) => ({ file, name })),
  );
/** As it stands in the code, whatever it is broken into. */
const isIn = ({ file, name }: { file: string; name: string }) =>
  existsSync(file) && readFileSync(file, 'utf8').replaceAll(/\s+/g, ' ').includes(name.replaceAll(/\s+/g, ' '));

test('each proof is a test that is there', () => {
  const proofs = proofsIn(text);
  expect(proofs.length).toBeGreaterThan(25);
  expect(proofs.filter((proof) => !isIn(proof))).toEqual([]);
});

test('no test is named that is not read as a proof', () => {
  const links = [...text.matchAll(/\]\(\.\.\/(test\/[^)]+)\)/g)].map(([, file]) => file);
  expect(new Set(proofsIn(text).map(({ file }) => file))).toEqual(new Set(links));
});

test('each promise has a proof', () => {
  const [promised = ''] = text.split('\n## Checks that are not');
  const rows = promised.split('\n').filter((line) => /^\| (?!promise|---)/.test(line) && !line.startsWith('|---'));
  expect(rows.length).toBeGreaterThan(15);
  expect(rows.filter((row) => proofsIn(row).length === 0)).toEqual([]);
});

test('each document that it leads to is there', () => {
  const links = [...text.matchAll(/\]\((?!#|https?:)([^)#]+)/g)].map(([, path = '']) => join('docs', path));
  expect(links.length).toBeGreaterThan(30);
  expect(links.filter((path) => !existsSync(path))).toEqual([]);
});
