/** Programs to start, watch and kill: small Node scripts that say when they are ready. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Program } from '../../../local/processes/program.js';

/** @param body runs after the program has said that it is ready */
export function script(folder: string, name: string, body = 'setInterval(() => {}, 1_000);'): Program {
  const ready = join(folder, `${name}.ready`);
  return {
    name,
    command: process.execPath,
    args: ['-e', `require('node:fs').writeFileSync(${JSON.stringify(ready)}, ''); ${body}`],
    env: {},
    cwd: folder,
    logFile: join(folder, `${name}.log`),
    stopSignal: 'SIGTERM',
    isReady: async () => existsSync(ready),
    readyLimitMs: 10_000,
  };
}
