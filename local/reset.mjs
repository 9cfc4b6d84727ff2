/** `npm run reset`: whatever this checkout still lacks, then the removal of what `npm start` has kept. */
import './node-version.mjs';

const { runScript } = await import('./say.mjs');
const { bootstrap } = await import('./bootstrap.mjs');

await runScript(async () => {
  await bootstrap();
  const { reset } = await import('../dist/local/reset.js');
  await reset(process.argv, process.env);
});
