/** `npm run typecheck`: whatever the compiler still lacks in this checkout, then the compiler, on tests and clients too. */
import { spawnSync } from 'node:child_process';
import './setup/node-version.mjs';

const { runScript } = await import('./say.mjs');
const { prepareTypes, root } = await import('./setup/bootstrap.mjs');

await runScript(async () => {
  await prepareTypes();
  const args = ['node_modules/typescript/bin/tsc', '--noEmit', ...process.argv.slice(2)];
  process.exitCode = spawnSync(process.execPath, args, { cwd: root, stdio: 'inherit' }).status ?? 1;
});
