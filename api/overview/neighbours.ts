/** The neighbours as the first screen shows them: whether each answers, and when it last did something for us. */
import { LAG_WARN_MS } from '../../domain/figures.js';
import { type Cause, cause } from './cause.js';
import type { GatewayFacts, PostgresFacts, TemporalFacts } from './facts.js';
import { KEY_REFUSED } from '../../explanation/refused-key.js';
import type { Known } from './source.js';

export type Neighbour = {
  name: string;
  kind: 'postgres' | 'temporal' | 'workers' | 'gateway' | 'destination';
  /** unknown = nothing here can tell. */
  state: 'up' | 'late' | 'down' | 'unknown';
  detail: string;
  /** When it last did what it is there for; null = not known. */
  lastSuccess: string | null;
};

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
    workersOf(sources),
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
      : { state: 'down', detail: REFUSALS[refusal] }),
  };
}

function gatewayOf({ gateway, postgres, breaker }: Sources): Neighbour {
  const common = { name: 'Payment gateway', kind: 'gateway' as const };
  const charged = postgres.facts?.signs.chargeAt ?? null;
  const circuit = breaker === undefined ? '' : `; the worker’s circuit is ${breaker}`;
  if (gateway.facts?.asked === false)
    return { ...common, state: 'unknown', detail: `${gateway.facts.why}${circuit}`, lastSuccess: iso(charged) };
  const isOpen = breaker !== undefined && breaker !== 'closed';
  const refuses = gateway.answers === true && gateway.facts?.refuses;
  const state = refuses ? 'down' : gateway.answers === true && isOpen ? 'late' : stateOf(gateway);
  const detail = refuses ? `refuses this process’s key: ${refuses}` : detailOf(gateway);
  const last = [charged, gateway.at].reduce<Date | null>((a, b) => (b && (!a || b > a) ? b : a), null);
  return { ...common, state, detail: `${detail}${circuit}`, lastSuccess: iso(last) };
}

function workersOf({ temporal, postgres }: Sources): Neighbour {
  const common = { name: 'Workers', kind: 'workers' as const, lastSuccess: iso(postgres.facts?.signs.stepAt) };
  const { facts, answers } = temporal;
  if (!facts || answers === false) return { ...common, state: 'unknown', detail: 'only Temporal knows them' };
  const { workflow, activity } = facts.pollers;
  if (workflow === 0 || activity === 0)
    return { ...common, state: 'down', detail: 'no worker has asked for work within the last minute' };
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

/** Neighbours that are away, as causes of what else is wrong: they come first. */
export function causesOfNeighbours(sources: Sources, neighbours: Neighbour[]): Cause[] {
  const down = (kind: Neighbour['kind']) => neighbours.find((each) => each.kind === kind && each.state === 'down');
  const found: Cause[] = [];
  const add = (kind: 'postgres' | 'temporal' | 'gateway' | 'workers', title: string, detail: string) => {
    const neighbour = down(kind);
    if (neighbour) found.push(cause({ kind, title, detail, oldest: neighbour.lastSuccess }));
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
  else add('gateway', 'The payment gateway refuses the key of this process', KEY_REFUSED);
  add('workers', 'No worker asks for work', 'Orders are accepted, and their sagas go on as soon as a worker runs.');
  if (sources.temporal.facts?.more)
    found.push(
      cause({
        ...{ kind: 'sagas', id: 'sagas/more', title: 'There are more stuck sagas than are counted here' },
        detail: 'The counts of sagas above are of those that were seen.',
      }),
    );
  return found;
}
