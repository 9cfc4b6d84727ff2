/** Having the service do it: many sagas or letters as one operation, which goes on when this process, or this machine, is gone. */
import { CANARY_WAVES_MAX, type OperationAction } from '../../contracts/operations.js';
import { operationStarted } from '../../domain/operations/acts.js';
import { hasRunner } from '../../domain/operations/carrying-out.js';
import { freezeSelection } from '../../domain/operations/preview.js';
import { type Asked, select } from '../../sagas/deciding/selecting.js';
import type { ActOptions } from '../act.js';
import type { Ops } from '../command.js';
import { policyOf } from '../connections.js';
import { type ExitCode, nothingMatched, OpsError, EXIT, unavailable } from '../exit.js';
import { createRecorder } from '../recorder.js';
import { follow, requireOperation } from './follow.js';

type Decision = { action: OperationAction; operator: string; reason: string };

/** @param command as it is typed after `ops` */
export async function actOnServer(
  ops: Ops,
  command: string,
  decision: Decision,
  asked: Asked,
  { canary = 0, rate }: ActOptions,
): Promise<ExitCode> {
  const { out, to, config } = ops;
  const { action, operator, reason } = decision;
  const db = await to.database();
  if (!(await hasRunner(db)))
    throw unavailable(
      'No process of the service carries operations out just now: a worker of this release does. Nothing was done. Start one, or add --direct to decide from here; that ends with this process.',
    );
  const client = 'orderIds' in asked ? (await to.temporal()).client : undefined;
  const selecting = { db, policy: policyOf(config), client: () => client as NonNullable<typeof client> };
  const selected = await select(selecting, action, asked);
  if (selected.outcome !== 'selected') throw nothingMatched('What was chosen is not there any more.');
  const { selection, candidates } = selected;
  const id = await freezeSelection(db, { action, selection, previewedBy: operator, candidates });
  const { counts } = await requireOperation(ops, id);
  if (counts.open > 0) {
    const starting = { id, operator, reason, expectedCount: counts.open, canary: wavesOf(canary), ratePerSecond: rate };
    const { outcome } = await createRecorder(ops, command, operator).act(db, operationStarted(starting));
    if (outcome !== 'started') throw new OpsError(REFUSALS[outcome], EXIT.failed);
    out.notice(
      `Operation ${id}: the service carries it out, also if this ends. \`ops operations follow ${id}\` follows it; Ctrl-C pauses it.`,
    );
  }
  return follow(ops, id, operator, { ...decision });
}

const REFUSALS = {
  'already-started': 'The operation was started by another.',
  expired: 'The operation was removed before it could be started: try again.',
  'other-action': 'The operation is for another action.',
  'count-differs': 'The operation has changed before it could be started: try again.',
  'too-many': 'Too many operations have not come to their end: `ops operations`; abort one.',
  overlapping:
    'Another operation that has not ended is about some of them, too: `ops operations`; wait for its end, or abort it.',
} as const;

/** One by one, as far as a list of waves goes. */
function wavesOf(canary: number): number[] {
  const single = Math.min(canary, CANARY_WAVES_MAX - 1);
  const rest = canary - single;
  return [...Array.from({ length: single }, () => 1), ...(rest > 0 ? [rest] : [])];
}
