#!/usr/bin/env node
/** `npm run token -- --role operator`: whatever this checkout still lacks, then a token, in this very process. */
import './node-version.mjs';

const { runScript } = await import('./say.mjs');
const { bootstrap } = await import('./bootstrap.mjs');

await runScript(async () => {
  await bootstrap();
  const { printToken } = await import('../dist/local/token.js');
  await printToken(process.argv, process.env);
});
