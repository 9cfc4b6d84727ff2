/**
 * The Prisma CLI, as this repository runs it: with a schema engine that comes from npm. Prisma's own CLI downloads its
 * native engine before every command, even before those that never start it; machines that build software often may not.
 * PRISMA_NATIVE_ENGINE=1 chooses the native one.
 */
import { spawnSync } from 'node:child_process';
import { realpathSync } from 'node:fs';
import { createRequire } from 'node:module';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { secretsFromFiles } from './secret-files.mjs';
import { refusePlainPostgres } from './session.mjs';

const here = dirname(fileURLToPath(import.meta.url));

/**
 * @param {string[]} args what follows `prisma` on a command line
 * @param {{ env?: NodeJS.ProcessEnv, quiet?: boolean }} [options] quiet: output is shown only if the command fails
 * @throws {PrismaError} with the exit status, and with the output where that was not shown
 */
export function prisma(args, { env: given = process.env, quiet = false } = {}) {
  const files = secretsFromFiles(['DATABASE_URL'], given);
  const env = { ...given, ...files.values, DATABASE_URL_FILE: '' };
  const sentence = files.faults.DATABASE_URL ?? refusal(args, env);
  if (sentence !== undefined) {
    if (!quiet) process.stderr.write(`${sentence}\n`);
    throw new PrismaError(sentence, 1);
  }
  const cli = join(dirname(createRequire(import.meta.url).resolve('prisma/package.json')), 'build', 'index.js');
  const result = spawnSync(process.execPath, [cli, ...args], {
    cwd: dirname(here),
    env: withEngine(env),
    stdio: quiet ? 'pipe' : 'inherit',
    encoding: 'utf8',
  });
  if (result.error) throw result.error;
  if (result.status !== 0) {
    const output = `${result.stdout ?? ''}${result.stderr ?? ''}`.trim();
    throw new PrismaError(`\`prisma ${args.join(' ')}\` failed.${output ? `\n${output}` : ''}`, result.status ?? 1);
  }
}

/** Those that reach no database. */
const OFFLINE = new Set(['generate', 'validate', 'format', 'version', '--version', '-v', '--help', '-h']);

function refusal([command], env) {
  if (!env.DATABASE_URL) return undefined;
  if (!URL.canParse(env.DATABASE_URL))
    return 'DATABASE_URL is wrong: it must look like postgresql://user:password@host:5432/database.';
  if (OFFLINE.has(command)) return undefined;
  try {
    return refusePlainPostgres(env.DATABASE_URL, env);
  } catch {
    return undefined; // not a URL of Postgres, or a file that it names is missing: the engine says so
  }
}

export class PrismaError extends Error {
  name = 'PrismaError';
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

function withEngine(env) {
  // A script cannot be spawned as if it were a program on Windows; there Prisma fetches its own engine.
  const native = env.PRISMA_NATIVE_ENGINE === '1' || env.PRISMA_SCHEMA_ENGINE_BINARY || process.platform === 'win32';
  return {
    CHECKPOINT_DISABLE: '1',
    PRISMA_HIDE_UPDATE_MESSAGE: '1',
    ...env,
    // The engine is a script that looks for `node` on the PATH: it shall find this one.
    PATH: `${dirname(process.execPath)}${delimiter}${env.PATH ?? ''}`,
    ...(native ? {} : { PRISMA_SCHEMA_ENGINE_BINARY: join(here, 'schema-engine.mjs') }),
  };
}

if (process.argv[1] && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  try {
    prisma(process.argv.slice(2));
  } catch (err) {
    if (!(err instanceof PrismaError)) throw err;
    process.exit(err.status); // the CLI has said why
  }
}
