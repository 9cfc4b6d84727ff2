#!/usr/bin/env node
/** `npm run ops -- <command>`: whatever this checkout still lacks, then the ops CLI, in this very process. */
import './setup/node-version.mjs';

const { runScript } = await import('./say.mjs');
const { bootstrap } = await import('./setup/bootstrap.mjs');

await runScript(async () => {
  await bootstrap();
  await import('../dist/ops/main.js');
});
