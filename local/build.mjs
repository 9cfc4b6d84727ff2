/** `npm run build`: packages if they are missing, then dist/, types checked. */
import './setup/node-version.mjs';

const { runScript } = await import('./say.mjs');
const { rebuild } = await import('./setup/bootstrap.mjs');

await runScript(rebuild);
