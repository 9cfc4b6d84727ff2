/** docker-compose.yml and the image, as far as they can be judged without a Docker engine. */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { composeVariables, ROOT, read, variablesOf } from './text.js';

const hasCompose = spawnSync('docker', ['compose', 'version'], { stdio: 'ignore' }).status === 0;
const describeWithCompose = hasCompose ? describe : describe.skip;
if (!hasCompose) process.stderr.write('`docker compose` is not here: docker-compose.yml is checked as text only.\n');

describeWithCompose('docker compose config', () => {
  const required = [...variablesOf('deploy/dev.env').keys()].filter((name) => name !== 'COMPOSE_PROFILES');

  it('takes the dev profile as deploy/dev.env sets it', () => {
    expect(compose({}, '--env-file', 'deploy/dev.env')).toEqual({ status: 0, stderr: '' });
  });

  it('takes the profile observability beside it', () => {
    expect(compose({ COMPOSE_PROFILES: 'dev,observability' }, '--env-file', 'deploy/dev.env')).toEqual({
      status: 0,
      stderr: '',
    });
  });

  it('takes a server that sets what has no default', () => {
    const env = Object.fromEntries(required.map((name) => [name, 'x']));
    expect(compose(env, '--env-file', '/dev/null')).toEqual({ status: 0, stderr: '' });
  });

  it.each(['AUTH_ISSUER', 'AUTH_AUDIENCE', 'POSTGRES_PASSWORD', 'STRIPE_API_KEY'])(
    'names %s where it is missing',
    (missing) => {
      const env = Object.fromEntries(required.filter((name) => name !== missing).map((name) => [name, 'x']));
      const { status, stderr } = compose(env, '--env-file', '/dev/null');
      expect(status).not.toBe(0);
      expect(stderr).toContain(missing);
    },
  );
});

describe('docker-compose.yml', () => {
  const text = read('docker-compose.yml');

  it('lets only the API out of this machine', () => {
    const published = [...text.matchAll(/"(\S+):\d+"\]/g)].map(([, address = '']) => address);
    expect(published.length).toBeGreaterThanOrEqual(5);
    const beyond = published.filter((address) => !address.startsWith('127.0.0.1:'));
    // biome-ignore lint/suspicious/noTemplateCurlyInString: Compose's syntax, not ours
    expect(beyond).toEqual(['${PUBLISH_ADDRESS:-127.0.0.1}:${PORT:-3000}']);
  });

  it('has Postgres log no row, no statement and no value, as the embedded one does', () => {
    const embedded = [...read('local/postgres/server.ts').matchAll(/^ {2}(log_(?:m|e|s|p)\w+): '([\w-]+)'/gm)];
    const composed = [...text.matchAll(/^ {6}- -c(log_\w+)=([\w-]+)$/gm)];
    const pairs = (found: RegExpMatchArray[]) => Object.fromEntries(found.map(([, name, value]) => [name, value]));
    expect(pairs(composed)).toEqual(pairs(embedded));
    expect(pairs(composed)).toMatchObject({
      log_min_messages: 'log', // the first line of an error quotes values, too
      log_error_verbosity: 'terse',
      log_min_error_statement: 'panic',
      log_parameter_max_length_on_error: '0',
    });
  });

  it('has no password in it, and none by default', () => {
    const secrets = [...composeVariables()].filter(([name]) => /PASSWORD|KEY$|SECRET/.test(name));
    expect(secrets.length).toBeGreaterThan(4);
    expect(secrets.filter(([, fallback]) => fallback !== undefined)).toEqual([]);
  });

  const services = new Map(
    [...text.matchAll(/^ {2}([a-z-]+):(?: &[a-z-]+)?\n((?: {4}.*\n|\s*\n)+)/gm)].map(([, name = '', body = '']) => [
      name,
      body,
    ]),
  );

  it('asks each role for its health where strangers do not reach it', () => {
    expect(/x-asks-readyz:[\s\S]*?METRICS_PORT \+ '\/readyz'/.test(text)).toBe(true);
    for (const role of ['api', 'worker', 'relay'])
      expect([role, services.get(role)]).toEqual([role, expect.stringContaining('healthcheck: *asks-readyz\n')]);
  });

  it('has each process that authenticates nobody answer to the name by which its neighbours ask it', () => {
    const urls = [...read('deploy/dev.env').matchAll(/=http:\/\/([a-z]+):\d+$/gm)].map(([, name = '']) => name);
    const [, targets = ''] = /names: \[(.*)\]/.exec(read('deploy/prometheus/prometheus.yml')) ?? [];
    const asked = [...urls, ...targets.split(', ').filter((name) => name !== 'api')]; // whose callers have tokens
    expect(asked.sort()).toEqual(['issuer', 'relay', 'sandbox', 'worker', 'worker-draining']);
    for (const name of asked)
      expect([name, services.get(name)]).toEqual([name, expect.stringMatching(`\n {6}ALLOWED_HOSTS: ${name}\\b`)]);
  });

  it('lets nobody but those who work with it reach Temporal, which authenticates nobody', () => {
    const networksOf = (body: string) => /^ {4}networks: \[(.*)\]/m.exec(body)?.[1]?.split(', ') ?? ['default'];
    const temporals = networksOf(services.get('temporal') ?? '');
    expect(temporals).toEqual(['temporal', 'database']);
    const beside = (network: string) =>
      [...services].filter(([, body]) => networksOf(body).includes(network)).map(([name]) => name);
    expect(beside('temporal')).toEqual(['api', 'worker', 'relay', 'temporal', 'temporal-namespace', 'temporal-ui']);
    // Postgres needs a network with Temporal as well; on that one there are none but jobs of ours beside them.
    const jobs = ['migrate', 'temporal-schema', 'seed'];
    expect(beside('database')).toEqual(expect.arrayContaining(['postgres', ...jobs]));
    expect(beside('database').filter((name) => !['postgres', ...jobs, ...beside('temporal')].includes(name))).toEqual(
      [],
    );
    expect([...beside('default')]).toEqual(expect.arrayContaining(['sandbox', 'issuer', 'prometheus', 'collector']));
  });

  it('mounts files that exist', () => {
    const mounted = [...text.matchAll(/\.\/(deploy\/[\w./-]+):/g)].map(([, path = '']) => path);
    expect(mounted.length).toBeGreaterThan(2);
    expect(mounted.filter((path) => !existsSync(join(ROOT, path)))).toEqual([]);
  });
});

describe('the image', () => {
  // A new volume takes owner and mode from the folder that the image has there, and is root's where it has none.
  it('has the folders that the relay’s anchor, the key file and the stand-ins are kept in, as its user’s', () => {
    const stages = read('deploy/Dockerfile').split(/^(?=FROM )/m);
    for (const name of ['service', 'stand-ins']) {
      const stage = stages.find((text) => text.split('\n', 1)[0]?.endsWith(` AS ${name}`));
      expect([name, stage]).toEqual([
        name,
        expect.stringMatching(/^RUN install -d -o node -g node -m 0700 \/data( \/keys)?$/m),
      ]);
    }
    expect(read('docker-compose.yml')).toMatch(/^ {2}AUDIT_ANCHOR_FILE: \/data\//m);
    expect(read('docker-compose.yml')).toMatch(/^ {4}volumes: \["keys:\/keys"\]$/m);
  });

  it('is built from every folder that the build compiles', () => {
    const { include } = JSON.parse(read('tsconfig.build.json')) as { include: string[] };
    const sent = [...read('.dockerignore').matchAll(/^!(.+)$/gm)].map(([, path]) => path);
    expect(include.filter((folder) => !sent.includes(folder))).toEqual([]);
  });

  it('runs on the Node that package.json asks for', () => {
    const { engines } = JSON.parse(read('package.json')) as { engines: { node: string } };
    const wanted = /^>=(\d+)/.exec(engines.node)?.[1];
    expect(Number(/NODE_IMAGE=node:(\d+)/.exec(read('deploy/Dockerfile'))?.[1])).toBeGreaterThanOrEqual(Number(wanted));
  });
});

function compose(env: Record<string, string>, ...args: string[]): { status: number | null; stderr: string } {
  // Where docker and its plugins are; nothing else of ours may fill a gap in `env`.
  const names = ['PATH', 'HOME', 'DOCKER_CONFIG'];
  const clean = Object.fromEntries(
    names.flatMap((name) => (process.env[name] === undefined ? [] : [[name, process.env[name]]])),
  );
  const { status, stderr } = spawnSync('docker', ['compose', ...args, 'config', '-q'], {
    cwd: ROOT,
    env: { ...clean, ...env },
    encoding: 'utf8',
  });
  return { status, stderr };
}
