/**
 * A token for a laptop: asks the issuer on this machine, which it starts if none runs. The issuer stays: the API needs
 * it to verify what it has signed. On stdout stands the token and nothing else, so that `$(npm run -s token)` works.
 */
import { spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Command, Option } from 'commander';
import { ROLES } from '../api/access/permissions.js';
import { kinds, readConfig } from '../runtime/config.js';
import { CHECKOUT } from './checkout.js';
import { environment, NODE_READS } from './processes/environment.js';
import { SetupError, say } from './say.mjs';

const SPEC = {
  ISSUER_PORT: kinds.port({ default: 12112, desc: 'Port of the token issuer' }),
  DATA_DIR: kinds.str({ default: '.data', desc: 'Its keys and its log live there' }),
};
/** Loading the code on a busy machine takes a while. */
const START_LIMIT_MS = 30_000;
const POLL_MS = 50;
const ASK_LIMIT_MS = 5_000;

type Wanted = { role: string[]; sub?: string; ttl: string };
type Answer = { access_token?: string; error_description?: string };

export async function printToken(argv: string[], env: NodeJS.ProcessEnv): Promise<void> {
  const wanted = readOptions(argv);
  const { ISSUER_PORT: port, DATA_DIR } = readConfig(SPEC, env);
  const url = `http://127.0.0.1:${port}`;
  if (!(await isIssuer(url))) await startIssuer({ url, port, dataDir: resolve(DATA_DIR), env });
  const response = await fetch(`${url}/token`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ sub: wanted.sub ?? `local-${wanted.role[0]}`, roles: wanted.role, ttl: wanted.ttl }),
    signal: AbortSignal.timeout(ASK_LIMIT_MS),
  });
  const { access_token, error_description } = (await response.json()) as Answer;
  if (access_token === undefined) throw new SetupError(`The issuer refuses: ${error_description}`);
  process.stdout.write(`${access_token}\n`);
}

const readOptions = (argv: string[]): Wanted =>
  new Command('npm run token --')
    .description('Prints a token of the issuer on this machine, which is started if it does not run.')
    .addOption(new Option('--role <role...>', 'what the bearer may do').choices(ROLES).makeOptionMandatory())
    .option('--sub <subject>', 'who the bearer is: a customer id, or a name of yours (default: local-<role>)')
    .option('--ttl <duration>', 'how long it is good, up to 9d', '1h')
    .parse(argv)
    .opts<Wanted>();

/** @throws SetupError if another program listens there */
async function isIssuer(url: string): Promise<boolean> {
  let text: string;
  try {
    const answer = await fetch(url, { signal: AbortSignal.timeout(ASK_LIMIT_MS) });
    text = await answer.text();
  } catch {
    return false; // no program listens
  }
  if (!text.includes('AUTH_ISSUER=')) throw new SetupError(`At ${url} is something else: set ISSUER_PORT.`);
  return true;
}

async function startIssuer({
  url,
  port,
  dataDir,
  env,
}: {
  url: string;
  port: number;
  dataDir: string;
  env: NodeJS.ProcessEnv;
}): Promise<void> {
  mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  const logFile = join(dataDir, 'issuer.log');
  const log = openSync(logFile, 'a', 0o600);
  const child = spawn(process.execPath, [join(CHECKOUT, 'dist', 'issuer', 'main.js')], {
    cwd: CHECKOUT,
    env: {
      ...environment(env, /^ISSUER_/, 'LOG_LEVEL', 'LOG_FORMAT', 'ALLOWED_HOSTS', ...NODE_READS),
      HOST: '127.0.0.1',
      ISSUER_PORT: `${port}`,
      DATA_DIR: dataDir,
    },
    stdio: ['ignore', log, log],
    detached: true,
  });
  child.unref();
  closeSync(log);
  const deadline = performance.now() + START_LIMIT_MS;
  while (!(await isIssuer(url))) {
    if (child.exitCode !== null || performance.now() > deadline)
      throw new SetupError(`The issuer did not start: see ${logFile}.`);
    await sleep(POLL_MS);
  }
  say(`The token issuer runs as process ${child.pid}; \`kill ${child.pid}\` stops it. To have its tokens taken:`);
  say(`  AUTH_ISSUER=${url} AUTH_AUDIENCE=order-saga npm start`);
}
