/** `npm run dev`: `npm start`, and then, whenever a source is saved: build, and start again what runs on it. */
import './setup/node-version.mjs';

const { runScript, say } = await import('./say.mjs');
const { endOfLife } = await import('./setup/end-of-life.mjs');
const { bootstrap, root } = await import('./setup/bootstrap.mjs');
const { isBuilt, sourceFolders } = await import('./setup/stages.mjs');

await runScript(async () => {
  const word = endOfLife(process.versions.node);
  if (word !== undefined) say(word);
  await bootstrap();
  // Stacks then name lines of the sources.
  process.env.NODE_OPTIONS = `${process.env.NODE_OPTIONS ?? ''} --enable-source-maps`.trim();
  const { launch } = await import('../dist/local/launcher.js');
  const { watchSources } = await import('../dist/local/setup/watch.js');
  const { renew } = await launch();
  let files = []; // changed since the last build that runs
  const onChange = async (changed) => {
    const start = performance.now();
    try {
      if (files.length === 0 && isBuilt(root)) return; // saved as it was
      files = [...new Set([...files, ...changed])].sort();
      await bootstrap();
      await renew(files);
      say(`[dev] ${nameOf(files)}: running after ${((performance.now() - start) / 1000).toFixed(1)} s`);
      if (files.some((path) => path.startsWith('local/')))
        say('[dev] The launcher itself is still the old one: for a change in local/ start `npm run dev` again.');
      files = [];
    } catch (err) {
      files = [...new Set([...files, ...changed])].sort();
      say(`[dev] ${nameOf(files)}: ${err.name === 'SetupError' ? err.message : err.stack}`);
      say('[dev] Waiting for the next change.');
    }
  };
  watchSources({ root, folders: sourceFolders(root), onChange });
  say('[dev] Watching the sources. Types are not checked: `npm run typecheck` does that.');
});

function nameOf(files) {
  return files.length > 3 ? `${files.length} files` : files.join(', ');
}
