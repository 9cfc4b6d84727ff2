/** `npm start`: whatever this checkout still lacks, then the launcher, in this very process. */
import './setup/node-version.mjs';

const { runScript, say } = await import('./say.mjs');
const { endOfLife } = await import('./setup/end-of-life.mjs');
const { bootstrap } = await import('./setup/bootstrap.mjs');

await runScript(async () => {
  const word = endOfLife(process.versions.node);
  if (word !== undefined) say(word);
  await bootstrap();
  const { launch } = await import('../dist/local/launcher.js');
  await launch();
});
