/** What earlier runs on this machine have caught: a run of all of them takes long, and may be made in parts. */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';

const FOLDER = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'order-saga');

/** @param mutants as they are now: what becomes of their files while a run goes on is not what it was about */
export function openMemory(root, mutants) {
  const file = join(FOLDER, 'mutants.json');
  const read = () => (existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : {});
  /** Of the mutant, the file that it changes and the one that notices: the rest may have changed since. */
  const keyOf = ({ id, file, find, replace, test, name, says }) => {
    const contents = [file, test].map((path) =>
      existsSync(join(root, path)) ? readFileSync(join(root, path), 'utf8') : '',
    );
    return createHash('sha256')
      .update(JSON.stringify([id, find, replace, name, says, contents]))
      .digest('hex');
  };
  const keys = new Map(mutants.map((mutant) => [mutant.id, keyOf(mutant)]));
  return {
    recall: (mutant) => {
      const verdict = read()[keys.get(mutant.id)];
      return verdict && { ...mutant, ...verdict };
    },
    keep: ({ id, caught, seconds }) => {
      if (!caught) return;
      mkdirSync(FOLDER, { recursive: true });
      writeFileSync(file, JSON.stringify({ ...read(), [keys.get(id)]: { caught, seconds } }));
    },
  };
}
