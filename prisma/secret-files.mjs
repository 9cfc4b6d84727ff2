/**
 * Secrets from files: `<VARIABLE>_FILE` names the file that has the value of `<VARIABLE>`, as Docker, Kubernetes and Vault's agent
 * hand them out. Plain .mjs, because migrations follow the same rule before there is a build; runtime/secret-files.ts reads them
 * again when they have changed.
 */
import { readFileSync, statSync } from 'node:fs';

/** The longest of ours, several keys during a rotation, has a few hundred bytes: what is longer is another file. */
const BYTES_MAX = 64 * 1024;

/** Its message is a sentence that names variable and path, never the content. */
export class SecretFileError extends Error {
  name = 'SecretFileError';
}

/**
 * @param {string} variable `<VARIABLE>_FILE`
 * @returns {string} what is in it, without the line break that editors and `echo` put at its end
 */
export function readSecretFile(variable, path) {
  const text = contentOf(variable, path).replace(/\r?\n$/, '');
  if (text.trim() === '') throw new SecretFileError(`${variable} ${path} is empty.`);
  return text;
}

function contentOf(variable, path) {
  try {
    const found = statSync(path);
    if (found.isFile() && found.size <= BYTES_MAX) return readFileSync(path, 'utf8');
    // A pipe would be waited for, and could be read once only.
    if (!found.isFile()) throw new SecretFileError(`${variable} ${path} is not a file.`);
    throw new SecretFileError(`${variable} ${path} has more than ${BYTES_MAX / 1024} KB: it is no secret of ours.`);
  } catch (err) {
    if (err instanceof SecretFileError) throw err;
    throw new SecretFileError(`${variable} ${path} cannot be read (${err.code}).`);
  }
}

/** @returns {boolean} whether every user of this machine may read it; Windows has other rights, which this cannot tell */
export function isReadByAll(path) {
  try {
    return process.platform !== 'win32' && (statSync(path).mode & 0o004) !== 0;
  } catch {
    return false;
  }
}

/**
 * @param {readonly string[]} names the variables whose values may come from files
 * @param {NodeJS.ProcessEnv} env an empty value counts as unset
 * @returns what is given by files: the values, their paths, and a sentence for each that is refused
 */
export function secretsFromFiles(names, env) {
  const [values, paths, faults] = [{}, {}, {}];
  for (const name of names) {
    const variable = `${name}_FILE`;
    const path = env[variable];
    if (!path) continue;
    try {
      if (env[name]) throw new SecretFileError(`${name} and ${variable} are both set: set one.`);
      values[name] = readSecretFile(variable, path);
      paths[name] = path;
    } catch (err) {
      if (!(err instanceof SecretFileError)) throw err;
      faults[name] = err.message;
    }
  }
  return { values, paths, faults };
}
