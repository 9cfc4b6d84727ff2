/** The file .env is Docker Compose's: `npm start` takes its variables from the shell. Who has written one expects that it counts. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const NAMES_MAX = 6;

/** @returns what to say if there is an .env with variables that this process does not have like that; its values are never shown */
export function ignoredEnvFile(dir: string, env: NodeJS.ProcessEnv): string | undefined {
  const file = join(dir, '.env');
  if (!existsSync(file)) return undefined;
  const names = [...readFileSync(file, 'utf8').matchAll(/^\s*(?:export\s+)?([A-Za-z_]\w*)=(.*)$/gm)]
    .filter(([, name = '', value = '']) => value.trim() !== '' && env[name] !== unquoted(value.trim()))
    .map(([, name = '']) => name);
  if (names.length === 0) return undefined;
  const shown = names.slice(0, NAMES_MAX).join(', ') + (names.length > NAMES_MAX ? ' …' : '');
  return `.env is not read by npm start, only by Docker Compose: ${shown} of it count for nothing here. To have them: set -a; . ./.env; set +a`;
}

const unquoted = (value: string): string => value.replace(/^(["'])(.*)\1$/, '$2');
