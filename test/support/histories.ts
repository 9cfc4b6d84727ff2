/**
 * The corpus of recorded histories. `RECORD_HISTORIES=<generation> npm test -- test/workflows` writes what its sagas lived
 * through into test/workflows/histories/<story>.<generation>.json; the replay test holds today's code against all of it.
 * Files of older code stay, and are never written over: there may be sagas like them in flight.
 */
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Client, WorkflowHandle } from '@temporalio/client';
import { Worker } from '@temporalio/worker';
import { codecsOf, replaying } from '../../sagas/payloads/reading.js';
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

/** The bundle that ships: npm test builds it before it runs. */
export const workflowBundle = (): string => join(process.cwd(), 'dist/workflow-bundle.js');

/** A replay takes some milliseconds; a file with hundreds of sagas is not to be held up by them. */
const REPLAYED_MAX = 200;

/**
 * A worker that has lost a saga from its memory, as after a restart, goes on with it by replaying its history. One that cannot be
 * replayed stands still for ever, and no test of its outcome sees that as long as its worker lives.
 * @throws Error that names each saga of this server that today's code cannot replay
 */
export async function assertReplayable(client: Client): Promise<void> {
  const bundle = { code: readFileSync(workflowBundle(), 'utf8') };
  const histories = async function* () {
    let count = 0;
    for await (const { workflowId, runId } of client.workflow.list()) {
      if (count++ >= REPLAYED_MAX) return;
      yield { workflowId, history: await client.workflow.getHandle(workflowId, runId).fetchHistory() };
    }
  };
  const failures: string[] = [];
  const options = { workflowBundle: bundle, dataConverter: replaying(codecsOf(client)) };
  for await (const { workflowId, error } of Worker.runReplayHistories(options, histories()))
    if (error) failures.push(`${workflowId}: ${error.message}`);
  if (failures.length > 0) throw new Error(`Sagas that cannot be replayed:\n${failures.join('\n')}`);
}
