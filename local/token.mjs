#!/usr/bin/env node
/** `npm run token -- --role operator`: whatever this checkout still lacks, then a token, in this very process. */
import './setup/node-version.mjs';

const { runScript } = await import('./say.mjs');
const { bootstrap } = await import('./setup/bootstrap.mjs');

await runScript(async () => {
  await bootstrap();
  const { printToken } = await import('../dist/local/token.js');
  await printToken(process.argv, process.env);
});
