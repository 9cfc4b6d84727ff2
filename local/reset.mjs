/** `npm run reset`: whatever this checkout still lacks, then the removal of what `npm start` has kept. */
import './setup/node-version.mjs';

const { runScript } = await import('./say.mjs');
const { bootstrap } = await import('./setup/bootstrap.mjs');

await runScript(async () => {
  await bootstrap();
  const { reset } = await import('../dist/local/reset.js');
  await reset(process.argv, process.env);
});
