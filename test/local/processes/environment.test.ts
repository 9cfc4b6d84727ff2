/** What of the launcher's environment the programs that it starts get to see. */
import { expect, test } from '@jest/globals';
import { environment, environmentOfWatchdog } from '../../../local/processes/environment.js';
import { runToEnd } from '../../../local/processes/command.js';
import { sandboxProgram, servicePrograms } from '../../../local/services.js';
import { readSettings } from '../../../local/settings.js';
import { temporalProgram } from '../../../local/temporal/server.js';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const SECRETS = {
  AWS_SECRET_ACCESS_KEY: 'planted-1',
  GITHUB_TOKEN: 'planted-2',
  STRIPE_API_KEY: 'sk_test_planted-3',
  REDIS_URL: 'rediss://:planted-4@elsewhere:6379',
  WEBHOOK_URL: 'https://planted-5.example',
  KAFKA_PASSWORD: 'planted-6',
  TEMPORAL_API_KEY: 'planted-7',
  PGPASSWORD: 'planted-8',
  HTTPS_PROXY: 'http://me:planted-9@proxy:3128',
  npm_config__authToken: 'planted-10',
  SSH_AUTH_SOCK: 'planted-11',
};
const env = { ...process.env };
const planted = (text: unknown) => JSON.stringify(text).match(/planted-\d+/g) ?? [];

function withShell<T>(variables: NodeJS.ProcessEnv, work: () => T): T {
  Object.assign(process.env, variables);
  try {
    return work();
  } finally {
    for (const name of Object.keys(variables)) {
      if (env[name] === undefined) delete process.env[name];
      else process.env[name] = env[name];
    }
  }
}

const serviceEnv = { dataDir: '/data', stripeWebhookSecret: 'whsec_made', logFile: () => '/log', metricsPorts: [9464] };

test('a program that we only ask something sees no secret of the shell', async () => {
  const { output } = await withShell(SECRETS, () =>
    runToEnd(process.execPath, ['-e', 'console.log(JSON.stringify(process.env))']),
  );
  expect(JSON.parse(output)).toMatchObject({ PATH: process.env['PATH'] });
  expect(planted(output)).toEqual([]);
});

test('Temporal and the sandbox see none, and carry their role and ports', () => {
  const folder = mkdtempSync(join(tmpdir(), 'order-saga-env-'));
  const settings = readSettings({ TEMPORAL_PORT: '7001', SANDBOX_PORT: '7002' });
  const options = { cli: 'temporal', port: 7001, uiPort: 7003, file: join(folder, 't', 'db'), logFile: '/log' };
  const programs = withShell({ ...SECRETS, SANDBOX_SEARCH_LAG: '5s' }, () => [
    temporalProgram({ ...options, signs: { TEMPORAL_PORT: '7001' } }),
    sandboxProgram(settings, serviceEnv),
  ]);
  rmSync(folder, { recursive: true });
  expect(planted(programs)).toEqual([]);
  expect(programs[0]?.env).toMatchObject({ ROLE: 'temporal', TEMPORAL_PORT: '7001', GOGC: '400', PATH: env['PATH'] });
  expect(programs[1]?.env).toMatchObject({ ROLE: 'sandbox', SANDBOX_PORT: '7002', SANDBOX_SEARCH_LAG: '5s' });
});

test('the service sees what it reads, and nothing of its shell besides', () => {
  const [program] = withShell(SECRETS, () =>
    servicePrograms(readSettings(process.env), 'postgresql://ours', serviceEnv),
  );
  expect(planted(program?.env).sort()).toEqual(['planted-3', 'planted-4', 'planted-5', 'planted-6', 'planted-9']);
  expect(program?.env).toMatchObject({ ROLE: 'all', PORT: '3000', METRICS_PORT: '9464' });
});

test('what a shell says of other servers reaches the service where those are the user’s', () => {
  const theirs = {
    TEMPORAL_ADDRESS: 'temporal.example:7233',
    DATABASE_URL: 'postgresql://db.example/x?sslmode=verify-full',
  };
  const [program] = withShell({ ...SECRETS, ...theirs }, () =>
    servicePrograms(readSettings(process.env), theirs.DATABASE_URL, serviceEnv),
  );
  expect(planted(program?.env)).toEqual(expect.arrayContaining(['planted-7', 'planted-8']));
});

test('the watchdog carries whose it is, and nothing else', () => {
  const program = { PATH: '/bin', ROLE: 'worker', PORT: '3000', METRICS_PORT: '9464', LD_PRELOAD: 'x', ...SECRETS };
  expect(environmentOfWatchdog(program)).toEqual({ PATH: '/bin', PORT: '3000', METRICS_PORT: '9464' });
});

test('names are what they are asked for, not what they contain', () => {
  const asked = environment({ LOG_LEVEL: 'info', MY_LOG_LEVEL: 'x', LOG_LEVELS: 'x', LC_ALL: 'C' }, 'LOG_LEVEL');
  expect(asked).toEqual({ LOG_LEVEL: 'info', LC_ALL: 'C' });
});
