/** What Postgres says is wrong, as causes: orders without a saga, destinations, dead letters, findings, erasures, brakes. */
import { STALL_SENTENCES, type Stall } from '../../contracts/erasures.js';
import type { Money } from '../../contracts/orders.js';
import { FEED_HELD_WARN_S, FINAL_WITHIN_S, LAG_WARN_MS, UNSTARTED_WARN_S } from '../../domain/figures.js';
import { addMoney, type Cause, cause } from './cause.js';
import type { PostgresFacts } from './facts.js';

export function causesOfPostgres(facts: PostgresFacts, now = Date.now()): Cause[] {
  return [
    ...accountCauses(facts),
    ...unstartedCauses(facts, now),
    ...destinationCauses(facts, now),
    ...letterCauses(facts),
    ...findingCauses(facts),
    ...promiseCauses(facts),
    ...erasureCauses(facts, now),
    ...brakeCauses(facts),
  ];
}

function accountCauses({ account: { heldSince, heldBecause } }: PostgresFacts): Cause[] {
  if (heldSince === null) return [];
  return [
    cause({
      kind: 'account',
      title: 'The gateway’s account does not know this database, and no money moves',
      detail: `${heldBecause ?? 'It speaks for another one'}. \`ops adopt\` says which of them it is.`,
      oldest: heldSince.toISOString(),
    }),
  ];
}

/** What is not calm yet though nothing is known to be wrong: after trouble, or before it is seen. */
export function catchingUp({ open, backlog }: PostgresFacts, now = Date.now()): Cause[] {
  if (open.count === 0 || open.oldestSeconds <= FINAL_WITHIN_S) return [];
  const owed = backlog.reduce((sum, { events }) => sum + events, 0);
  return [
    cause({
      kind: 'catching-up',
      severity: 'warn',
      title: `Catching up: orders are in hand for longer than the ${FINAL_WITHIN_S} s that they are promised`,
      detail: `Nothing else is known to be wrong${owed > 0 ? `; destinations are owed ${owed} events` : ''}.`,
      ...{ count: open.count, noun: 'order', oldest: new Date(now - open.oldestSeconds * 1_000).toISOString() },
    }),
  ];
}

function unstartedCauses({ unstarted, feedHeldSeconds }: PostgresFacts, now: number): Cause[] {
  const found: Cause[] = [];
  const ago = (seconds: number) => new Date(now - seconds * 1_000).toISOString();
  if (unstarted.count > 0 && unstarted.oldestSeconds > UNSTARTED_WARN_S)
    found.push(
      cause({
        kind: 'unstarted-orders',
        title: 'Accepted orders wait for their saga to be started',
        detail: 'Does a relay run, and does Temporal answer? They are started as soon as both do.',
        ...{ count: unstarted.count, noun: 'order', oldest: ago(unstarted.oldestSeconds) },
      }),
    );
  if (feedHeldSeconds > FEED_HELD_WARN_S)
    found.push(
      cause({
        kind: 'feed',
        title: 'An open transaction holds the feed back',
        detail: 'No event of after its begin is delivered until it ends: find it in pg_stat_activity.',
        oldest: ago(feedHeldSeconds),
      }),
    );
  return found;
}

function destinationCauses({ backlog, destinations }: PostgresFacts, now: number): Cause[] {
  return destinations.flatMap(({ destination, partitions, served }): Cause[] => {
    const owed = backlog.find((each) => each.destination === destination);
    const isLate = owed?.oldestAt != null && now - owed.oldestAt.getTime() > LAG_WARN_MS;
    if (!isLate) return [];
    const unserved = partitions - served;
    return [
      cause({
        kind: 'destination',
        title: `${destination} does not take its events`,
        detail:
          unserved > 0
            ? `No relay serves ${unserved} of its ${partitions} partitions: does a relay run that has it configured?`
            : 'It is tried again and again; nothing is lost, and each order’s events stay in their order.',
        ...{ count: owed.events, noun: 'event', oldest: owed.oldestAt?.toISOString() ?? null },
        of: { destination },
      }),
    ];
  });
}

function letterCauses({ letters, recentLetters }: PostgresFacts): Cause[] {
  const groups = new Map<string, Cause>();
  for (const { destination, cause: why, count, oldest } of letters) {
    const key = `${destination}/${why}`;
    const known = groups.get(key);
    if (known) {
      known.count = (known.count ?? 0) + count;
      if (known.oldest !== null && oldest < known.oldest) known.oldest = oldest;
      continue;
    }
    const recent = recentLetters.find((each) => each.destination === destination && each.cause === why);
    groups.set(
      key,
      cause({
        kind: 'dead-letters',
        title: `${destination} rejects events: ${why}`,
        detail: 'Each holds its order’s later events until it is replayed or discarded.',
        ...{ count, noun: 'dead letter', oldest, recent: recent?.recent ?? 0, of: { destination, cause: why } },
      }),
    );
  }
  return [...groups.values()];
}

function findingCauses({ findings, account }: PostgresFacts): Cause[] {
  const groups = new Map<string, { count: number; recent: number; oldest: Date; amounts: Money[]; waits: boolean }>();
  for (const { kind, action, currency, count, amount, oldest, recent } of findings) {
    if (kind === 'ACCOUNT_HELD' && account.heldSince !== null) continue; // a cause by itself
    const group = groups.get(kind) ?? { count: 0, recent: 0, oldest, amounts: [], waits: true };
    group.count += count;
    group.recent += recent;
    if (oldest < group.oldest) group.oldest = oldest;
    if (action === 'reported') group.waits = false;
    if (currency !== '') addMoney(group.amounts, { amount, currency }); // what is about no money has none
    groups.set(kind, group);
  }
  return [...groups].map(([kind, { count, recent, oldest, amounts, waits }]) =>
    cause({
      kind: 'findings',
      severity: waits ? 'warn' : 'bad',
      title: `The gateway’s ledger and ours differ: ${kind}`,
      detail: waits ? 'It is being settled by itself.' : 'Some are for an operator to settle and to close.',
      ...{ count, noun: 'finding', oldest: oldest.toISOString(), recent, atStake: amounts, of: { kind } },
    }),
  );
}

/** What is promised and does not hold, or is not looked at; and operations on many that have stopped by themselves. */
function promiseCauses({ invariants, verificationStalledSince: stalled, operations }: PostgresFacts): Cause[] {
  const found = invariants.map(({ invariant, violations, since }) =>
    cause({
      kind: 'invariant',
      title: `What is promised of every order does not hold: ${invariant}`,
      detail: '`ops verify` names what is wrong. Rows were changed behind the service’s back, or it is a bug.',
      ...{ count: violations, noun: 'violation', oldest: since.toISOString(), of: { invariant } },
    }),
  );
  if (stalled !== null)
    found.push(
      cause({
        kind: 'verification',
        title: 'What is promised is not being verified: no pass comes to its end',
        detail:
          'Nothing is known to be wrong by it, and nothing is proved: the worker’s log says what does not answer.',
        oldest: stalled.toISOString(),
      }),
    );
  const paused = operations['paused-by-itself'];
  if (paused > 0)
    found.push(
      cause({
        kind: 'operation',
        title: 'An operation on many has paused by itself, since too much of it failed',
        detail: 'Nothing more of it is done until an operator resumes or ends it.',
        ...{ count: paused, noun: 'operation' },
      }),
    );
  return found;
}

function erasureCauses({ erasures: { late, oldestSeconds, stalled } }: PostgresFacts, now: number): Cause[] {
  const held = Object.entries(stalled).map(([by, count]) =>
    cause({
      kind: 'erasures',
      title: `Erasures cannot go on: ${STALL_SENTENCES[by as Stall]}`,
      detail: 'They go on by themselves when it is mended; nobody is erased meanwhile.',
      ...{ count, noun: 'erasure', of: { cause: by } },
    }),
  );
  if (late === 0) return held;
  return [
    ...held,
    cause({
      kind: 'erasures',
      title: 'Erasures are near their deadline, or beyond it',
      detail: 'Each says which orders it waits for.',
      ...{ count: late, noun: 'erasure', oldest: new Date(now - oldestSeconds * 1_000).toISOString() },
    }),
  ];
}

const BRAKED = {
  accepting: 'No orders are accepted',
  charging: 'Nothing is charged',
  spending: 'What is charged within an hour is limited',
} as const;

function brakeCauses({ brakes }: PostgresFacts): Cause[] {
  return brakes.map(({ brake, since, by, reason }) =>
    cause({
      kind: 'brake',
      severity: 'warn',
      title: `${BRAKED[brake]}, because ${by} holds it back`,
      detail: reason,
      ...{ oldest: since.toISOString(), of: { brake } },
    }),
  );
}
