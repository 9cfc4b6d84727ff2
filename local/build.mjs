/** `npm run build`: packages if they are missing, then dist/, types checked. */
import './node-version.mjs';

const { runScript } = await import('./say.mjs');
const { rebuild } = await import('./bootstrap.mjs');

await runScript(rebuild);
