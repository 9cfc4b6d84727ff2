/** `ops feed-clock`: whether the feed's clock is that of this cluster, and making it so after a restore. */
import type { Command } from 'commander';
import { advanceFeedClock, type FeedClock, feedClockLag, readFeedClock, useUp } from '../domain/feed-clock.js';
import { type Ops, run, wholeNumber } from './command.js';
import { EXIT, type ExitCode, usage } from './exit.js';
import { createRecorder } from './recorder.js';

/** Half an hour or so. Beyond it pg_resetwal is the way: it takes a restart, and no time. */
const ADVANCE_MAX = 100_000_000n;

export function addFeedClockCommand(program: Command): void {
  program
    .command('feed-clock')
    .description('the feed’s clock; after pg_restore into another cluster it must be advanced before anything starts')
    .option('--advance', 'use up transaction ids until the feed goes on where it was; safe to repeat, touches no row')
    .option(
      '--ahead <ids>',
      'after a restore to an earlier moment: use up more ids than were lost with it (100000), so that no reader of GET /events stands beyond new events',
      wholeNumber,
    )
    .action(async ({ advance = false, ahead }: Options, command: Command) => {
      await run(command, (ops) => (ahead === undefined ? feedClock(ops, advance) : goAhead(ops, BigInt(ahead))));
    });
}

type Options = { advance?: boolean; ahead?: number };

/** What was lost was read by others, whose places lie beyond: new events must not come before them. */
async function goAhead(ops: Ops, ids: bigint): Promise<ExitCode> {
  const { out, to, config } = ops;
  if (ids > ADVANCE_MAX) throw usage(`--ahead: at most ${ADVANCE_MAX}.`);
  const db = await to.database();
  const recorder = createRecorder(ops, 'feed-clock --ahead', config.OPS_OPERATOR ?? null);
  await recorder.announce(db, { resource: null, before: factsOf(await readFeedClock(db)), after: null });
  for (let left = ids; left > 0n; ) left -= await useUp(db, left);
  const clock = await readFeedClock(db);
  await recorder.conclude(db, { resource: null, before: null, after: factsOf(clock) });
  return report(out, clock, feedClockLag(clock) === 0n ? EXIT.done : EXIT.failed);
}

async function feedClock(ops: Ops, advance: boolean): Promise<ExitCode> {
  const { out, to, config } = ops;
  const db = await to.database();
  let clock = await readFeedClock(db);
  const lag = feedClockLag(clock);
  if (advance && lag > ADVANCE_MAX) {
    out.notice(
      `${lag} ids are too many to use up. Stop the cluster and raise its counter: ${resetWal(clock)}, then start it.`,
    );
    return report(out, clock, EXIT.failed);
  }
  const recorder = createRecorder(ops, 'feed-clock --advance', config.OPS_OPERATOR ?? null);
  const isActed = advance && lag > 0n;
  if (isActed) await recorder.announce(db, { resource: null, before: factsOf(clock), after: null });
  for (let reportedAtMs = performance.now(); advance && feedClockLag(clock) > 0n; clock = await advanceFeedClock(db)) {
    if (performance.now() - reportedAtMs < 5_000) continue;
    reportedAtMs = performance.now();
    out.notice(`${feedClockLag(clock)} ids to go`);
  }
  if (isActed) await recorder.conclude(db, { resource: null, before: null, after: factsOf(clock) });
  return report(out, clock, feedClockLag(clock) === 0n ? EXIT.done : EXIT.failed);
}

function factsOf(clock: FeedClock) {
  return { highest: `${clock.highest}`, next: `${clock.next}`, lag: `${feedClockLag(clock)}` };
}

function report(out: Ops['out'], clock: FeedClock, code: ExitCode): ExitCode {
  const lag = feedClockLag(clock);
  out.document({ feedClock: factsOf(clock) });
  out.notice(
    lag === 0n
      ? `The feed’s clock is this cluster’s: stored up to ${clock.highest}, next is ${clock.next}.`
      : `The feed’s clock is ${lag} ids behind what is stored (${clock.highest}): the tables come from another cluster. Stop what runs of order-saga, then: feed-clock --advance`,
  );
  return code;
}

/** A number that begins a file of pg_xact: within one, the server would miss the file's beginning. */
const XIDS_PER_FILE_BITS = 20n;

/** An id has 32 bits, and an epoch above them. */
function resetWal({ highest }: FeedClock): string {
  const xid = ((highest >> XIDS_PER_FILE_BITS) + 1n) << XIDS_PER_FILE_BITS;
  return `pg_resetwal --epoch=${xid >> 32n} --next-transaction-id=${xid & 0xffff_ffffn} <data directory>`;
}
