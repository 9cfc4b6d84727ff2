/**
 * The corpus of recorded histories. `RECORD_HISTORIES=<generation> npm test -- test/workflows` writes what its sagas lived
 * through into test/workflows/histories/<story>.<generation>.json; the replay test holds today's code against all of it.
 * Files of older code stay, and are never written over: there may be sagas like them in flight.
 */
import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { WorkflowHandle } from '@temporalio/client';
import { required } from './database.js';

export const HISTORIES = join(process.cwd(), 'test/workflows/histories');

/**
 * Through the CLI, whose JSON is what operators would send us too.
 * @param runId of a saga that was restarted, the run that is meant; else its last
 */
export async function recordHistory(
  name: string,
  saga: WorkflowHandle,
  address: string,
  runId?: string,
): Promise<void> {
  const generation = process.env['RECORD_HISTORIES'];
  if (!generation) return;
  const command = ['workflow', 'show', '--output', 'json', '--address', address, '--workflow-id', saga.workflowId];
  if (runId !== undefined) command.push('--run-id', runId);
  const { stdout } = await promisify(execFile)(required('TEMPORAL_CLI_PATH'), command, { maxBuffer: 50_000_000 });
  // Nothing of the machine that recorded it: no process, no path.
  const anonymous = stdout
    .replaceAll(/"identity": "[^"]*"/g, '"identity": "worker"')
    .replaceAll(/\d+@[\w.-]+/g, 'worker') // the names of sticky queues
    .replaceAll(/"stackTrace": "(?:[^"\\]|\\.)*"/g, '"stackTrace": ""');
  await writeFile(join(HISTORIES, `${name}.${generation}.json`), anonymous, { flag: 'wx' });
}
