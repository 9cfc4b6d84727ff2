/** `npm test`: whatever this checkout still lacks, then Jest, which starts a Postgres of its own. */
import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import './setup/node-version.mjs';

const { runScript } = await import('./say.mjs');
const { bootstrap, root } = await import('./setup/bootstrap.mjs');

await runScript(async () => {
  await bootstrap();
  // Jest loads ES modules through node:vm, which Node still calls experimental.
  const flags = ['--experimental-vm-modules', '--disable-warning=ExperimentalWarning'];
  const jest = spawn(process.execPath, [...flags, 'node_modules/jest/bin/jest.js', ...process.argv.slice(2)], {
    cwd: root,
    stdio: 'inherit',
  });
  // Whoever stops us means Jest; test/support/global-setup.mjs then stops the servers. We leave when Jest has left.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => jest.kill(signal));
  jest.once('error', (err) => {
    throw err;
  });
  jest.once('exit', (code, signal) => process.exit(code ?? 128 + constants.signals[signal]));
});
