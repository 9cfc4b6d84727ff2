/** `npm start`: whatever this checkout still lacks, then the launcher, in this very process. */
import './node-version.mjs';

const { runScript } = await import('./say.mjs');
const { bootstrap } = await import('./bootstrap.mjs');

await runScript(async () => {
  await bootstrap();
  const { launch } = await import('../dist/local/launcher.js');
  await launch();
});
