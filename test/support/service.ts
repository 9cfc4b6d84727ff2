/** One process of the service, as it is deployed, with settings of its own. */
import type { Program } from '../../local/processes/program.js';

/**
 * With a watchdog each: however the test run ends, it leaves no frozen process behind.
 * @param variables its settings; nothing that a developer's shell, or the test run, says of other servers
 * @param checkout of whose build it is
 */
export function serviceProgram(
  variables: Record<string, string>,
  logFile: string,
  isReady: () => Promise<boolean>,
  checkout = process.cwd(),
): Program {
  const foreign = /^(TEST_|TEMPORAL_|DATABASE_|STRIPE_|PAYMENTS_|npm_)/;
  const inherited = Object.entries(process.env).filter(([name]) => !foreign.test(name));
  return {
    name: `service (${variables['ROLE']})`,
    command: process.execPath,
    args: ['dist/service/main.js'],
    env: { ...Object.fromEntries(inherited), ...variables },
    cwd: checkout,
    logFile,
    stopSignal: 'SIGKILL',
    isReady,
    readyLimitMs: 120_000,
  };
}
