/**
 * Bootstrap: brings a checkout into the state in which its programs can run: packages installed, sources built. It runs on
 * plain Node, before anything is installed, and does nothing where there is nothing to do.
 */
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { installPackages, isInstalled } from './install.mjs';
import { lock } from '../processes/lock.mjs';
import { say } from '../say.mjs';
import { build, ensureGenerated, isBuilt } from './stages.mjs';

export const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

/** What `npm start` and `npm test` do first. */
export async function bootstrap() {
  // Looked at before the lock, so that a finished checkout also works where nothing can be written.
  if (isInstalled(root) && isBuilt(root)) return;
  await withLock(async () => {
    if (!isInstalled(root)) await installPackages(root);
    if (!isBuilt(root)) await build(root, { checkTypes: false });
  });
}

/** `npm run build`: always builds, and refuses type errors. */
export async function rebuild() {
  await withLock(async () => {
    if (!isInstalled(root)) await installPackages(root);
    await build(root, { checkTypes: true });
  });
}

/** What the compiler needs to see: packages, and the Prisma client, which is code that is made. */
export async function prepareTypes() {
  await withLock(async () => {
    if (!isInstalled(root)) await installPackages(root);
    await ensureGenerated(root);
  });
}

async function withLock(work) {
  const release = await lock(join(root, 'dist.lock'), (owner) =>
    say(`[setup] Process ${owner} is installing or building this checkout; waiting for it.`),
  );
  try {
    await work();
  } finally {
    release();
  }
}
