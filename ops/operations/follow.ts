/**
 * Following an operation that the service carries out, until it has come to its end or stands still: one line per item, as if this process
 * did it itself. It goes on without whoever follows; Ctrl-C pauses it.
 */
import { setTimeout as pause } from 'node:timers/promises';
import type { Operation, OperationItem } from '../../contracts/operations.js';
import { operationTold } from '../../domain/operations/acts.js';
import { listConcluded, listOperationItems, readOperation } from '../../domain/operations/listing.js';
import { type ItemResult, OUTCOME_OF_STATE } from '../../sagas/deciding/outcomes.js';
import { exitCodeOf, printSummary, showProgress, summarize } from '../bulk.js';
import type { Ops } from '../command.js';
import { type ExitCode, nothingMatched } from '../exit.js';
import { createRecorder } from '../recorder.js';

const POLL_MS = 500;
const ITEMS_MAX = 10_000;

/** @param what is said of it in the document, before the summary and the items */
export async function follow(
  ops: Ops,
  id: string,
  operator: string | null,
  what: Record<string, unknown> = {},
): Promise<ExitCode> {
  const { out, to } = ops;
  const db = await to.database();
  const first = await requireOperation(ops, id);
  const progress = showProgress(out, first.total);
  const interrupt = pauseOnInterrupt(ops, id, operator);
  const known = new Set<number>();
  let operation = first;
  for (;;) {
    operation = await requireOperation(ops, id);
    for (const item of await listConcluded(db, id, [...known])) {
      known.add(item.no);
      progress.see(resultOf(item));
    }
    if (await standsStill(ops, operation)) break;
    await pause(POLL_MS);
  }
  interrupt.end();
  progress.end();
  const items = (await listOperationItems(db, id, {}, ITEMS_MAX)).map(resultOf);
  const summary = summarize(items);
  printSummary(out, summary);
  tellWhy(ops, operation);
  out.document({ ...what, operation: id, state: operation.state, pause: operation.pause, summary, items });
  return exitCodeOf(items);
}

export async function requireOperation({ to }: Ops, id: string): Promise<Operation> {
  const operation = await readOperation(await to.database(), id);
  if (!operation) throw nothingMatched(`There is no operation ${id}.`);
  return operation;
}

/** Nothing more comes of it: it has ended, or is paused, and what had begun by then is concluded. */
async function standsStill({ to }: Ops, { id, state, endedAt, counts }: Operation): Promise<boolean> {
  if (endedAt !== null || state === 'previewed') return true;
  if (state !== 'paused') return false;
  if (counts.open === 0) return true;
  const open = await listOperationItems(await to.database(), id, { state: 'open' }, ITEMS_MAX);
  return open.every(({ begunAt }) => begunAt === null);
}

/** In the words of the commands that decide by themselves. */
export function resultOf({ state, orderId, workflowId, deadLetterId, outcome, message }: OperationItem): ItemResult {
  const subject = deadLetterId === null ? { orderId, workflowId } : { orderId, letter: deadLetterId };
  return { ...subject, outcome: OUTCOME_OF_STATE[state], state: outcome, message: message ?? '' };
}

function tellWhy({ out }: Ops, { id, state, pause: paused, abortedBy }: Operation): void {
  if (state === 'aborted') out.notice(`Aborted by ${abortedBy}.`);
  if (!paused) return;
  out.notice(`Stopped: ${paused.because}${paused.by === null ? '' : ` (paused by ${paused.by})`}.`);
  out.notice(
    `The operation is paused, not over: when the cause is mended, \`ops operations resume ${id} --reason …\` goes on, and \`ops operations abort ${id} --reason …\` ends it.`,
  );
}

/** A second Ctrl-C ends this process; the operation stands as it then does. */
function pauseOnInterrupt(ops: Ops, id: string, operator: string | null) {
  const { out, to } = ops;
  const onInterrupt = () => {
    if (operator === null) return process.exit(130);
    out.notice('\nPausing: what has begun is finished. Ctrl-C again ends at once, and leaves the operation as it is.');
    const told = { id, operator, reason: 'interrupted from the ops CLI' };
    void to
      .database()
      .then((db) => createRecorder(ops, 'operations pause', operator).act(db, operationTold('pause', told)))
      .catch(() => out.notice(`It could not be paused: \`ops operations pause ${id} --reason …\`.`));
  };
  process.once('SIGINT', onInterrupt);
  return { end: () => process.off('SIGINT', onInterrupt) };
}
