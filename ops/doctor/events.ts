/** What `doctor` asks about work that waits in Postgres: sagas to be started, events to be sent, findings to be closed. */
import { STALL_SENTENCES, type Stall } from '../../contracts/erasures.js';
import { readBacklog } from '../../domain/cursors.js';
import { readBrakes } from '../../domain/brakes.js';
import type { Database } from '../../domain/database.js';
import { countDeadLetters } from '../../domain/dead-letters.js';
import {
  countFindings,
  FEED_HELD_WARN_S,
  LAG_WARN_MS,
  readFeedHeldSeconds,
  readUnstarted,
  UNSTARTED_WARN_S,
} from '../../domain/figures.js';
import { countVouched } from '../../domain/reconciliation-findings.js';
import { readDestinations } from '../../domain/destinations.js';
import { countOpenErasures } from '../../domain/erasure/erasures.js';
import { readStanding } from '../../domain/installation.js';
import { duration } from '../output.js';
import { type Check, check, fail, type Finding, ok, warn } from './checks.js';

/** @param erasing by when an erasure must be done, and how long before that it is looked after */
export const checkEvents = (db: Database, erasing: { deadlineMs: number; alertBeforeMs: number }): Promise<Check[]> =>
  Promise.all([
    check('orders without a saga', () => countUnstarted(db)),
    check('outbox', () => readOutbox(db)),
    check('destinations', () => listDestinations(db)),
    check('dead letters', () => countLetters(db)),
    check('findings', () => countOpenFindings(db)),
    check('account at the gateway', () => readAccount(db)),
    check('erasures', () => countErasures(db, erasing)),
    check('brakes', () => listBrakes(db)),
  ]);

async function countUnstarted(db: Database): Promise<Finding> {
  const { count, oldestSeconds } = await readUnstarted(db);
  if (count === 0) return ok('none');
  const detail = `${count}, the oldest for ${duration(oldestSeconds * 1_000)}`;
  return oldestSeconds > UNSTARTED_WARN_S ? fail(`${detail}: does a relay run, and Temporal answer?`) : ok(detail);
}

/** Empty, but for what came about just now. */
async function readOutbox(db: Database): Promise<Finding> {
  const [backlog, heldSeconds] = await Promise.all([readBacklog(db), readFeedHeldSeconds(db)]);
  const held =
    heldSeconds > FEED_HELD_WARN_S
      ? [`the feed is held back for ${duration(heldSeconds * 1_000)} by an open transaction`]
      : [];
  const behind = backlog.filter(({ oldestAt }) => oldestAt !== null && Date.now() - oldestAt.getTime() > LAG_WARN_MS);
  const late = behind.map(({ destination, events, oldestAt }) => {
    const lag = duration(Date.now() - (oldestAt?.getTime() ?? 0));
    return `${destination} is owed ${events} events, the oldest for ${lag}`;
  });
  const faults = [...held, ...late];
  if (faults.length > 0) return fail(faults.join('; '));
  const owed = backlog.map(({ destination, events }) => `${destination} ${events}`).join(', ');
  return ok(backlog.length === 0 ? 'the feed alone' : `owed: ${owed}`);
}

async function listDestinations(db: Database): Promise<Finding> {
  const destinations = await readDestinations(db);
  if (destinations.length === 0) return ok('none but the feed');
  const unserved = destinations.filter(({ partitions, served }) => served < partitions);
  const shown = destinations.map(
    ({ destination, relays }) => `${destination} (${relays} ${relays === 1 ? 'relay' : 'relays'})`,
  );
  if (unserved.length === 0) return ok(shown.join(', '));
  const named = unserved.map(
    ({ destination, partitions, served }) => `${destination} ${partitions - served} of ${partitions}`,
  );
  return fail(
    `nobody serves partitions of ${named.join(', ')}: start a relay that has it configured, or see "The outbox grows" in the runbook`,
  );
}

async function countLetters(db: Database): Promise<Finding> {
  const groups = await countDeadLetters(db);
  if (groups.length === 0) return ok('none');
  const shown = groups.map(({ count, destination, cause }) => `${count} ${destination} ${cause}`);
  return warn(`${shown.join('; ')}: ops dead-letters`);
}

async function countOpenFindings(db: Database): Promise<Finding> {
  const [findings, vouched] = await Promise.all([countFindings(db), countVouched(db)]);
  const reported = findings.filter(({ action }) => action === 'reported');
  const shown = (list: typeof findings) =>
    list.map(({ count, kind, action }) => `${count} ${kind} ${action}`).join('; ');
  if (reported.length > 0) return warn(`${shown(reported)}: ops reconcile`);
  const besides = vouched === 0 ? '' : `; for ${vouched} paid by other means an operator vouches`;
  return ok((findings.length === 0 ? 'the ledgers agree' : `in hand: ${shown(findings)}`) + besides);
}

async function listBrakes(db: Database): Promise<Finding> {
  const engaged = await readBrakes(db);
  if (engaged.length === 0) return ok('none is engaged');
  const shown = engaged.map(
    ({ brake, since, by, reason }) => `${brake} since ${since.toISOString()} by ${by} (${reason})`,
  );
  return warn(`${shown.join('; ')}: ops brakes`);
}

async function readAccount(db: Database): Promise<Finding> {
  const { id, heldSince, heldBecause } = await readStanding(db);
  if (heldSince === null) return ok(`knows this database, installation ${id}`);
  return fail(`moves no money since ${heldSince.toISOString()}: ${heldBecause}: ops adopt`);
}

async function countErasures(
  db: Database,
  { deadlineMs, alertBeforeMs }: { deadlineMs: number; alertBeforeMs: number },
): Promise<Finding> {
  const { waiting, erasing, late, oldestSeconds, stalled } = await countOpenErasures(db, deadlineMs - alertBeforeMs);
  if (waiting + erasing === 0) return ok('none open');
  const detail = `${waiting} waiting, ${erasing} under way, the oldest for ${duration(oldestSeconds * 1_000)}`;
  if (oldestSeconds * 1_000 > deadlineMs) return fail(`${detail}, past its deadline: ops erasures`);
  const held = Object.entries(stalled).map(([by, count]) => `${count} cannot go on: ${STALL_SENTENCES[by as Stall]}`);
  if (held.length > 0) return fail(`${detail}; ${held.join('; ')}: ops erasures`);
  return late > 0
    ? warn(`${detail}; ${late} must be done within ${duration(alertBeforeMs)}: ops erasures`)
    : ok(detail);
}
