/** What the console's buttons act on: the processes of this launcher, and its folder. */
import type { DataDir } from '../data-dir.js';
import type { Program } from '../processes/program.js';
import type { Supervisor } from '../processes/supervisor.js';
import type { Settings } from '../settings.js';
import type { DemoPlace } from './demonstration.js';
import { noteDestination } from './leftovers.js';

/** @param programs of the service, as soon as there are any */
export const demoPlace = (
  settings: Settings,
  data: DataDir,
  supervisor: Supervisor,
  programs: readonly Program[],
): DemoPlace => ({
  ...{ settings, supervisor, env: process.env },
  setServiceEnv: (env) => {
    for (const program of programs) Object.assign(program.env, env);
  },
  noteDestination: () => noteDestination(data.path),
});
