/** Bundles the workflows once per build: webpack at each worker's start would cost seconds of start-up. */
import { writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { bundleWorkflowCode } from '@temporalio/worker';

const beside = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const silent = () => {};

const { code } = await bundleWorkflowCode({
  workflowsPath: beside('../../workflows/index.js'),
  workflowInterceptorModules: [beside('../../workflows/trace.js')],
  // Loaded once into the sandbox that all sagas of a worker share, instead of anew for each: what runs first, then all of our own. None of
  // these modules may keep anything of a saga (test/workflows/bundle.test.ts); the SDK freezes what they export.
  preloadModules: ['short-stacks', 'index'].map((name) => beside(`../../workflows/${name}.js`)),
  // What webpack has to say in passing; a failure is thrown.
  logger: { trace: silent, debug: silent, info: silent, warn: silent, error: silent, log: silent },
});
await writeFile(beside('../../workflow-bundle.js'), code);
