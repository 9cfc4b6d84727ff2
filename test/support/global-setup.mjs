/**
 * Starts the servers of a test run. Plain .mjs: Jest loads it outside its module system, where a .ts file whose graph
 * awaits at top level cannot be loaded. They are stopped by global-teardown.mjs, by a signal, or by the death of the process
 * that runs Jest.
 */
import { root } from '../../local/setup/bootstrap.mjs';
import { isBuilt } from '../../local/setup/stages.mjs';

// Whoever runs Jest by itself would hold an old build against new tests: a saga's code that no longer replays would pass.
/** Whoever runs Jest lends it servers, stops them, and knows what dist/ was made from (test/mutants). */
const isLent = process.env.TEST_DATABASE_ADMIN_URL !== undefined;
if (!isLent && !isBuilt(root))
  throw new Error('dist/ was made from other sources than these. `npm test` builds it first.');
const servers = await import('../../dist/testbed/servers.js');

/** How often to see whether our parent is still there. */
const PARENT_POLL_MS = 500;

export default async function setup() {
  if (isLent) return;
  // What a developer's shell points at is not for tests to write to.
  for (const name of Object.keys(process.env)) {
    if (name === 'DATABASE_URL' || (name.startsWith('TEMPORAL_') && name !== 'TEMPORAL_CLI_PATH'))
      delete process.env[name];
  }
  const start = performance.now();
  const { ready, stop } = servers.startTestServers();
  globalThis.stopTestServers = stop;
  let leaving;
  const leave = (status) => {
    leaving ??= stop().finally(() => process.exit(status)); // a terminal, npm and local/test.mjs all send the same signal
    return leaving;
  };
  process.on('SIGINT', () => leave(130));
  process.on('SIGTERM', () => leave(143));
  process.on('SIGHUP', () => leave(129));
  const parent = process.ppid;
  setInterval(() => {
    if (process.ppid !== parent) void leave(1);
  }, PARENT_POLL_MS).unref();

  const running = await ready;
  // Jest's workers inherit these.
  process.env.TEST_DATABASE_ADMIN_URL = running.adminUrl;
  process.env.TEST_TEMPLATE_DATABASE = running.template;
  process.env.TEMPORAL_CLI_PATH = running.temporalCli;
  process.stderr.write(`Postgres for the tests: ready in ${((performance.now() - start) / 1000).toFixed(1)} s\n`);
}
