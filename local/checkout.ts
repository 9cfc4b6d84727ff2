/** Checkout: where package.json is, whether this runs from local/ (tests) or from dist/local/. */
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const CHECKOUT = folderOf('package.json', dirname(fileURLToPath(import.meta.url)));

function folderOf(name: string, from: string): string {
  if (existsSync(join(from, name))) return from;
  if (dirname(from) === from) throw new Error(`Bug! There is no ${name} above ${import.meta.url}`);
  return folderOf(name, dirname(from));
}
