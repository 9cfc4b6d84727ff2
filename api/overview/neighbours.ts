/** The neighbours as the first screen shows them: whether each answers, and when it last did something for us. */
import { STILL_AFTER_S } from '../../domain/neighbour-signs.js';
import { NO_POLLERS } from '../../sagas/standstill.js';
import { LAG_WARN_MS } from '../../domain/figures.js';
import { type Cause, cause } from './cause.js';
import type { Neighbour } from './neighbour.js';
import type { Outages } from './outages.js';
import type { GatewayFacts, PostgresFacts, TemporalFacts } from './facts.js';
import { KEY_REFUSED } from '../../explanation/refused-key.js';
import type { Known } from './source.js';

export type Sources = {
  postgres: Known<PostgresFacts>;
  temporal: Known<TemporalFacts>;
  gateway: Known<GatewayFacts>;
  /** Of the worker in this process; undefined = there is none. */
  breaker: string | undefined;
};

const iso = (at: Date | null | undefined): string | null => at?.toISOString() ?? null;

export function neighboursOf(sources: Sources, now = Date.now()): Neighbour[] {
  const { postgres, temporal } = sources;
  return [
    gatewayOf(sources),
    postgresOf(postgres),
    {
      ...{ name: 'Temporal', kind: 'temporal', state: stateOf(temporal), lastSuccess: iso(temporal.at) },
      detail: detailOf(temporal, 'does not answer this process: sagas stand still until it does'),
    },
    workersOf(sources, now),
    ...destinationsOf(sources, now),
  ];
}

const stateOf = ({ answers }: Known<unknown>): Neighbour['state'] =>
  answers === undefined ? 'unknown' : answers ? 'up' : 'down';

const detailOf = ({ answers }: Known<unknown>, down = 'does not answer this process'): string =>
  answers === undefined ? 'is being asked' : answers ? 'answers' : down;

const REFUSALS = {
  standby: 'a standby: it takes no changes, and DATABASE_URL must lead to the primary',
  'read-only': 'read-only: it takes no changes',
} as const;

/** One that answers, and takes no changes, is of no use. */
function postgresOf(postgres: Known<PostgresFacts>): Neighbour {
  const refusal = postgres.answers === true ? (postgres.facts?.refusal ?? null) : null;
  return {
    ...{ name: 'Postgres', kind: 'postgres', lastSuccess: iso(postgres.at) },
    ...(refusal === null
      ? { state: stateOf(postgres), detail: detailOf(postgres) }
      : { state: 'down', detail: REFUSALS[refusal], lastSuccess: null }),
  };
}

const parkedAtGateway = ({ facts }: Sources['temporal']): number =>
  (facts?.causes ?? []).reduce((sum, { count, of }) => sum + (of.failure === 'GatewayUnknown' ? (count ?? 0) : 0), 0);

function gatewayOf({ gateway, postgres, temporal, breaker }: Sources): Neighbour {
  const common = { name: 'Payment gateway', kind: 'gateway' as const };
  const charged = postgres.facts?.signs.chargeAt ?? null;
  const circuit = breaker === undefined ? '' : `; the worker’s circuit is ${breaker}`;
  if (gateway.facts?.asked === false)
    return { ...common, state: 'unknown', detail: `${gateway.facts.why}${circuit}`, lastSuccess: iso(charged) };
  const isOpen = breaker !== undefined && breaker !== 'closed';
  const refuses = gateway.answers === true && gateway.facts?.refuses;
  const fails = gateway.answers === true ? gateway.facts?.fails : undefined;
  const state = refuses || fails ? 'down' : gateway.answers === true && isOpen ? 'late' : stateOf(gateway);
  const detail = refuses
    ? `refuses this process’s key: ${refuses}`
    : fails
      ? `answers ${fails} to whatever is asked`
      : detailOf(gateway);
  const parked = parkedAtGateway(temporal);
  const isFailing = state === 'up' && parked > 0;
  // That it answers this process is no success where it does not do what it is asked for.
  const isUseless = isFailing || refuses || fails;
  const last = [charged, isUseless ? undefined : gateway.at].reduce<Date | null>(
    (a, b) => (b && (!a || b > a) ? b : a),
    null,
  );
  return {
    ...{ ...common, state: isFailing ? 'late' : state, lastSuccess: iso(last) },
    detail: `${isFailing ? `answers this process, but ${parked === 1 ? '1 saga is' : `${parked} sagas are`} parked at it` : detail}${circuit}`,
  };
}

/** Temporal remembers who has asked; that nobody works shows in what waits. @returns what says so; undefined = nothing does */
function standstillOf({ temporal: { facts }, postgres }: Sources, now: number): string | undefined {
  const sagas = facts?.causes ?? [];
  const sumOf = (isOne: (failure: string | undefined) => boolean) =>
    sagas.reduce((sum, { count, of }) => sum + (isOne(of.failure) ? (count ?? 0) : 0), 0);
  const untaken = sumOf((failure) => failure === NO_POLLERS);
  if (untaken > 0) return `no worker takes the tasks of ${untaken === 1 ? '1 saga' : `${untaken} sagas`}`;
  if (postgres.answers !== true || !postgres.facts || postgres.facts.refusal !== null) return undefined;
  const { open, signs } = postgres.facts;
  // What is parked, or held, waits for something else than a worker.
  const waiting = open.waiting - sumOf(() => true) - (facts?.held ?? 0);
  const seconds = (now - Math.max(signs.stepAt?.getTime() ?? 0, signs.triedAt?.getTime() ?? 0)) / 1_000;
  if (waiting <= 0 || seconds <= STILL_AFTER_S) return undefined;
  return `${waiting === 1 ? '1 order waits' : `${waiting} orders wait`}, and no step has ended for ${STILL_AFTER_S} s`;
}

function workersOf(sources: Sources, now: number): Neighbour {
  const { temporal, postgres } = sources;
  const common = { name: 'Workers', kind: 'workers' as const, lastSuccess: iso(postgres.facts?.signs.stepAt) };
  const { facts, answers } = temporal;
  if (!facts || answers === false) return { ...common, state: 'unknown', detail: 'only Temporal knows them' };
  const { workflow, activity } = facts.pollers;
  if (workflow === 0 || activity === 0)
    return { ...common, state: 'down', detail: 'no worker has asked for work within the last minute' };
  const still = standstillOf(sources, now);
  if (still !== undefined)
    return {
      ...common,
      state: 'late',
      detail: `${Math.max(workflow, activity)} have asked for work within the last minute, but ${still}`,
    };
  return { ...common, state: 'up', detail: `${Math.max(workflow, activity)} ask for work` };
}

function destinationsOf({ postgres: { facts } }: Sources, now: number): Neighbour[] {
  if (!facts) return [];
  return facts.destinations.map(({ destination, partitions, served, relays }) => {
    const owed = facts.backlog.find((each) => each.destination === destination);
    const moved = facts.moved.find((each) => each.destination === destination);
    const isLate = owed?.oldestAt != null && now - owed.oldestAt.getTime() > LAG_WARN_MS;
    const state = relays === 0 ? (isLate ? 'down' : 'unknown') : isLate ? 'late' : 'up';
    const said =
      relays === 0 ? 'no relay has it configured' : `${relays} relays serve ${served} of ${partitions} partitions`;
    return {
      ...{ name: destination, kind: 'destination' as const, state, lastSuccess: iso(moved?.movedAt) },
      detail: owed && owed.events > 0 ? `${said}; it is owed ${owed.events} events` : said,
    };
  });
}

/** Faster than that is no silence. */
const AT_ONCE_MS = 1_000;

/** Refused at once, its process or the way to it is gone; without an answer, it hangs. */
function howItFails({ failure }: Known<unknown>): string {
  if (!failure) return '';
  const how =
    failure.tookMs < AT_ONCE_MS ? 'It fails at once' : `It gives no answer in ${Math.round(failure.tookMs / 1_000)} s`;
  return `${how}: ${failure.error}. `;
}
const upperFirst = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);

/** Neighbours that are away, as causes of what else is wrong: they come first. */
export function causesOfNeighbours(sources: Sources, { neighbours, began }: Outages): Cause[] {
  const down = (kind: Neighbour['kind']) => neighbours.find((each) => each.kind === kind && each.state === 'down');
  const found: Cause[] = [];
  const add = (kind: 'postgres' | 'temporal' | 'gateway' | 'workers', title: string, detail: string) => {
    const neighbour = down(kind);
    if (neighbour) found.push(cause({ kind, title, detail, oldest: began.get(kind) ?? neighbour.lastSuccess }));
  };
  if (sources.postgres.answers === false)
    add(
      'postgres',
      'Postgres does not answer',
      'Nothing is accepted and nothing moves until it does; what is shown is old.',
    );
  else
    add(
      'postgres',
      'The database takes no changes: orders are refused with 503',
      `It is ${down('postgres')?.detail}. Sagas wait, and go on by themselves once it takes them again.`,
    );
  add('temporal', 'Temporal does not answer', 'Orders are accepted, and their sagas go on when it is back.');
  if (sources.gateway.answers === false)
    add(
      'gateway',
      'The payment gateway does not answer',
      `${howItFails(sources.gateway)}Charges and refunds wait, and go on by themselves.`,
    );
  else if (sources.gateway.facts?.asked && sources.gateway.facts.fails)
    add(
      'gateway',
      `The payment gateway answers ${sources.gateway.facts.fails}`,
      'Charges and refunds wait, and go on by themselves.',
    );
  else add('gateway', 'The payment gateway refuses the key of this process', KEY_REFUSED);
  add('workers', 'No worker asks for work', 'Orders are accepted, and their sagas go on as soon as a worker runs.');
  const still = neighbours.find(({ kind, state }) => kind === 'workers' && state === 'late');
  if (still && !down('temporal'))
    found.push(
      cause({
        kind: 'workers',
        title: 'Workers do not take the work that waits: none is left of its build, or they are frozen',
        detail: `${upperFirst(still.detail)}. Sagas go on as soon as one does.`,
        ...{ oldest: still.lastSuccess, of: { failure: NO_POLLERS } },
      }),
    );
  if (sources.temporal.facts?.more)
    found.push(
      cause({
        ...{ kind: 'sagas', id: 'sagas/more', title: 'There are more stuck sagas than are counted here' },
        detail: 'The counts of sagas above are of those that were seen.',
      }),
    );
  return found;
}
