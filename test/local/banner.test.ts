import { spawnSync } from 'node:child_process';
import { expect, test } from '@jest/globals';
import { type BannerFacts, banner } from '../../local/banner.js';
import { readSettings } from '../../local/settings.js';

const facts: BannerFacts = {
  settings: readSettings({}),
  dataDir: '/data',
  databaseUrlFile: '/data/database-url',
  temporalCli: '/cache/temporal-v1',
  processes: [{ name: 'all', pid: 7 }],
  seconds: 2.5,
  metricsPorts: [9464],
};

test('the banner says where the Temporal CLI is, which a developer who never installed it cannot know', () => {
  expect(banner(facts)).toContain('\n  Temporal CLI /cache/temporal-v1\n');
});

test('the Temporal CLI that it names asks the Temporal that runs, on another port, too', () => {
  const settings = readSettings({ TEMPORAL_PORT: '7299' });
  expect(banner({ ...facts, settings })).toContain('\n  Temporal CLI /cache/temporal-v1 --address 127.0.0.1:7299\n');
});

test('the banner names no CLI where Temporal is not ours', () => {
  const settings = readSettings({ TEMPORAL_ADDRESS: 'temporal.example:7233', TEMPORAL_TLS: 'true' });
  const text = banner({ ...facts, settings, temporalCli: undefined });
  expect(text).toContain('Temporal     temporal.example:7233');
  expect(text).not.toContain('Temporal CLI');
});

test.each(['api,relay', 'api', 'relay'])(
  'the banner says that no process runs sagas, of LOCAL_PROCESSES=%s',
  (text) => {
    const settings = readSettings({ LOCAL_PROCESSES: text });
    expect(banner({ ...facts, settings })).toContain('\nNo process here runs sagas: orders stay PENDING');
  },
);

test.each(['all', 'api,worker,relay', 'worker'])('it does not of LOCAL_PROCESSES=%s', (text) => {
  const settings = readSettings({ LOCAL_PROCESSES: text });
  expect(banner({ ...facts, settings })).not.toContain('runs sagas');
});

/** What a shell makes of the example: the arguments of the curl in it. */
function argumentsOfCurl(text: string, env: Record<string, string> = {}): string[] {
  const example = text.slice(text.indexOf('  curl '), text.indexOf('\n', text.indexOf('    -d ')));
  const shell = `curl() { printf '%s\\0' "$@"; }; npm() { echo "token-of-\${ISSUER_PORT-default}: $*"; }\n${example}`;
  const { stdout, stderr } = spawnSync('sh', ['-c', shell], { encoding: 'utf8', env });
  expect(stderr).toBe('');
  return stdout.split('\0').slice(0, -1);
}

test('the example carries no token where none is asked for', () => {
  const args = argumentsOfCurl(banner(facts));
  expect(args.join(' ')).not.toContain('Authorization');
  expect(JSON.parse(args.at(-1) ?? '')).toMatchObject({ customerId: 'cus_42' });
});

test.each([
  [{ AUTH_ISSUER: 'http://127.0.0.1:12112' }, 'default'],
  [{ AUTH_ISSUER: 'http://localhost:12999/', ISSUER_PORT: '12999' }, '12999'],
])('the example asks the issuer on this machine for the token of its customer, of %j', (env, port) => {
  const args = argumentsOfCurl(banner({ ...facts, settings: readSettings(env) }));
  expect(args).toContain(`Authorization: Bearer token-of-${port}: run -s token -- --role customer --sub cus_42`);
  expect(JSON.parse(args.at(-1) ?? '')).toMatchObject({ customerId: 'cus_42' });
});

test('the example leaves room for a token of another issuer, and says which', () => {
  const settings = readSettings({ AUTH_ISSUER: 'https://login.example/tenant' });
  const text = banner({ ...facts, settings });
  expect(argumentsOfCurl(text, { TOKEN: 'mine' })).toContain('Authorization: Bearer mine');
  expect(text).toContain('TOKEN is one of https://login.example/tenant, with the role service.');
});
