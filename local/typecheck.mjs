/** `npm run typecheck`: whatever the compiler still lacks in this checkout, then the compiler, on tests and clients too. */
import { spawnSync } from 'node:child_process';
import './setup/node-version.mjs';

const { runScript } = await import('./say.mjs');
const { prepareTypes, root } = await import('./setup/bootstrap.mjs');

await runScript(async () => {
  await prepareTypes();
  const check = (...args) =>
    spawnSync(process.execPath, ['node_modules/typescript/bin/tsc', '--noEmit', ...args, ...process.argv.slice(2)], {
      cwd: root,
      stdio: 'inherit',
    }).status ?? 1;
  // The console's scripts are not compiled, but checked by what their comments say of types, against a browser's globals.
  process.exitCode = Math.max(check(), check('-p', 'console'));
});
