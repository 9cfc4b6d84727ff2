/** An Alertmanager of this machine, for tests: found (ALERTMANAGER, or on the PATH, also under the name of Debian's package). */
import { existsSync } from 'node:fs';
import { onPath } from '../local/temporal/obtain.js';

/** @returns the program, or in one sentence why it cannot be had here */
export function findAlertmanager(env: NodeJS.ProcessEnv): { alertmanager: string } | { missing: string } {
  const alertmanager = env['ALERTMANAGER'] || onPath('alertmanager', env) || onPath('prometheus-alertmanager', env);
  if (alertmanager === undefined)
    return { missing: 'Alertmanager: neither `alertmanager` nor `prometheus-alertmanager` is on the PATH' };
  if (!existsSync(alertmanager))
    return { missing: `Alertmanager: ALERTMANAGER names ${alertmanager}, which is not there` };
  return { alertmanager };
}
