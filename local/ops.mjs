#!/usr/bin/env node
/** `npm run ops -- <command>`: whatever this checkout still lacks, then the ops CLI, in this very process. */
import './node-version.mjs';

const { runScript } = await import('./say.mjs');
const { bootstrap } = await import('./bootstrap.mjs');

await runScript(async () => {
  await bootstrap();
  await import('../dist/ops/main.js');
});
