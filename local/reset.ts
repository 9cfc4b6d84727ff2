/**
 * Reset: removes what `npm start` keeps on this machine, so that the next one begins with nothing: orders, sagas, the sandbox's
 * ledger, keys, logs. Only what the launcher has made is removed: a user's own files in the same folder, a Postgres or a
 * Temporal of their own stay.
 */
import { readdirSync, rmdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { confirm, isCancel } from '@clack/prompts';
import { Command } from 'commander';
import { isDataDir, openDataDir } from './data-dir.js';
import { reapLeftovers } from './processes/leftovers.js';
import { removePlaceElsewhere } from './postgres/place.js';
import { SetupError, say } from './say.mjs';
import { readSettings } from './settings.js';

/** What is in a data folder: of the launcher, Postgres, Temporal, the sandbox, the token issuer. */
const OURS = [
  'audit-anchor',
  'audit-key',
  'database-url',
  'issuer',
  'issuer.log',
  'logs',
  'postgres',
  'postgres.place',
  'processes.json',
  'sandbox',
  'temporal',
  'secrets.json', // the last: by it a reset that was cut short knows the folder again
];

/** @throws SetupError while order-saga runs on the folder, or if the user does not say yes */
export async function reset(argv: string[], env: NodeJS.ProcessEnv): Promise<void> {
  const { yes } = new Command('npm run reset --')
    .description('Removes what `npm start` has kept in DATA_DIR: orders, sagas, payments of the sandbox, keys, logs.')
    .option('--yes', 'do not ask')
    .parse(argv)
    .opts<{ yes?: boolean }>();
  const { DATA_DIR } = readSettings(env);
  if (!isDataDir(DATA_DIR)) {
    say(`There is nothing to remove: ${DATA_DIR} holds no data of order-saga.`);
    return;
  }
  const data = openDataDir(DATA_DIR); // no launcher can start on it meanwhile
  try {
    if (!yes) await ask(data.path);
    await reapLeftovers(join(data.path, 'processes.json'));
    removePlaceElsewhere(data.path);
    for (const name of OURS) rmSync(join(data.path, name), { recursive: true, force: true });
  } finally {
    data.release();
  }
  const rest = readdirSync(data.path);
  if (rest.length === 0) rmdirSync(data.path);
  say(`Removed: ${data.path}${rest.length === 0 ? '' : `, except ${rest.join(', ')}, which order-saga has not made`}.`);
}

async function ask(path: string): Promise<void> {
  if (!process.stdin.isTTY)
    throw new SetupError(`All data in ${path} would be removed. Nobody is there to ask: say --yes.`);
  const answer = await confirm({
    message: `Remove all data in ${path}: orders, sagas, payments, keys, logs?`,
    initialValue: false,
  });
  if (isCancel(answer) || !answer) throw new SetupError('Nothing has been removed.');
}
