/** The files of a deployment, as text: nothing that parses YAML is among our own dependencies. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

export const ROOT = process.cwd();
export const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8');

/** Variable → the value given to it, of an env file; with the optional ones, which stand behind a `#`. */
export function variablesOf(envFile: string): Map<string, string> {
  const lines = [...read(envFile).matchAll(/^#?([A-Z][A-Z0-9_]*)=(.*)$/gm)];
  return new Map(lines.map(([, name = '', value = '']) => [name, value]));
}

/** What docker-compose.yml takes from its environment: `${NAME}` with its `:-default`, and names that are passed on as they are. */
export function composeVariables(): Map<string, string | undefined> {
  const text = read('docker-compose.yml').replace(/(^|\s)#.*$/gm, '');
  const substituted = [...text.matchAll(/\$\{([A-Z][A-Z0-9_]*)(?::-([^}]*)|:\?[^}]*)?\}/g)];
  const passedOn = [...text.matchAll(/^ {2,}([A-Z][A-Z0-9_]*):$/gm)];
  return new Map([...passedOn, ...substituted].map(([, name = '', fallback]) => [name, fallback]));
}
