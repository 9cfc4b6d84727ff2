/** What an outage has shown: how fast destinations caught up, what clients noticed, and whether every promise was kept. */
import type { Arrivals } from './arrivals.js';
import type { Sample } from './deliveries-watch.js';
import type { Placed } from './orders.js';
import type { Details, Figure, Target } from './report.js';
import { quantile, sum } from './statistics.js';

/** Orders placed while the destinations were there, away, or catching up. */
export type Phase = { name: string; placed: Placed[]; elapsedMs: number; samples: readonly Sample[] };
/** Of one destination; the seconds are counted from its return. */
export type CatchUp = { name: string; owed: number; resumedS: number; caughtUpS: number; perS: number };

/** The default of DELIVERY_BACKOFF_MAX. */
const RESUMES_WITHIN_S = 10;
/** Beyond 500 events per partition the metrics estimate. */
export const SHOWN_MIN = 0.9;
/** The heap's young generation, up to 3 × 64 MiB, may grow into its bounds when much passes through it. */
const MEMORY_YOUNG_MAX = 1.5;
/** And then nothing does: what is in flight is bounded, however much is owed. */
const MEMORY_GROWTH_MAX = 1.1;

const seconds = (value: number) => `${value.toFixed(1)} s`;

export function catchUpFigures(amidOrders: CatchUp[], alone: CatchUp[]): Figure[] {
  return amidOrders.flatMap((amid, index) => {
    const idle = alone[index] as CatchUp;
    const resumed = [amid.resumedS, idle.resumedS];
    return [
      {
        what: `${amid.name} back after an outage: until it is served again`,
        value: Math.max(...resumed),
        unit: 's',
        target: { atMost: RESUMES_WITHIN_S },
        from: resumed.map(seconds).join(', '),
      },
      {
        what: `${amid.name}: events/s while it catches up and clients order`,
        value: amid.perS,
        from: `${amid.owed} owed, caught up after ${seconds(amid.caughtUpS)}`,
      },
      {
        what: `${amid.name}: events/s while it catches up and nobody orders`,
        value: idle.perS,
        from: `${idle.owed} owed, caught up after ${seconds(idle.caughtUpS)}`,
      },
    ];
  });
}

const perS = ({ placed, elapsedMs }: Phase) => (placed.length / elapsedMs) * 1000;
const accepted = ({ placed }: Phase, q: number) =>
  quantile(
    placed.map(({ acceptedMs }) => acceptedMs),
    q,
  );

/** @param calm the time after: the program is as warm, and the tables as full, as while they caught up */
export function clientFigures(calm: Phase, away: Phase, during: Phase): Figure[] {
  const ratio = (what: string, [value, to]: [number, number], unit: string, target?: Target): Figure => ({
    what,
    value: value / to,
    ...(target && { target }),
    from: `${value.toFixed(1)}${unit} ÷ ${to.toFixed(1)}${unit}`,
  });
  const wait = (q: number): [number, number] => [accepted(during, q), accepted(calm, q)];
  return [
    ratio('orders/s while destinations are away ÷ there', [perS(away), perS(calm)], '/s', { atLeast: 0.9 }),
    ratio('orders/s while they catch up ÷ there', [perS(during), perS(calm)], '/s', { atLeast: 0.5 }),
    ratio('POST→201 p50 while they catch up ÷ there', wait(0.5), ' ms'),
    ratio('POST→201 p99 while they catch up ÷ there', wait(0.99), ' ms', { atMost: 2 }),
  ];
}

export type Kept = { events: number; deadLetters: number; arrivals: Map<string, Arrivals> };

/** What no outage may cost. */
export function promiseFigures({ events, deadLetters, arrivals }: Kept): Figure[] {
  const each = [...arrivals.values()];
  return [
    { what: 'outages: dead letters', value: deadLetters, target: { atMost: 0 } },
    {
      what: 'outages: events that a destination never got, or not in their order’s sequence',
      value: sum(each.map(({ inSequence, outOfSequence }) => events - inSequence() + outOfSequence())),
      target: { atMost: 0 },
      from: `${events} events to ${[...arrivals.keys()].join(', as many to ')}`,
    },
  ];
}

const highest = (samples: readonly Sample[], value: (sample: Sample) => number) => Math.max(...samples.map(value));

export type Shown = {
  before: Phase;
  firstOutage: readonly Sample[];
  secondOutage: readonly Sample[];
  caughtUp: CatchUp[];
};

/** What the service says of itself. */
export function shownFigures({ before, firstOutage, secondOutage, caughtUp }: Shown): Figure[] {
  const memory = (what: string, [of, to]: (readonly Sample[])[], most: number): Figure => {
    const mib = [of, to].map((samples = []) => highest(samples, ({ memoryMib }) => memoryMib));
    return {
      what: `memory of the service at its highest, ${what}`,
      value: (mib[0] ?? 0) / (mib[1] ?? 0),
      target: { atMost: most },
      from: mib.map((each) => `${each.toFixed(0)} MiB`).join(' ÷ '),
    };
  };
  return [
    memory('outage ÷ before', [firstOutage, before.samples], MEMORY_YOUNG_MAX),
    memory('the next outage ÷ the first', [secondOutage, firstOutage], MEMORY_GROWTH_MAX),
    ...caughtUp.map(({ name, owed }): Figure => {
      const most = highest(firstOutage, ({ backlog }) => backlog[name] ?? 0);
      return {
        what: `${name}: backlog that the metrics show at its highest ÷ owed`,
        value: most / owed,
        target: { atLeast: SHOWN_MIN },
        from: `${most} ÷ ${owed}; 0 in the end`,
      };
    }),
  ];
}

export function phaseDetails(phases: Phase[], names: string[]): Details {
  const quantiles = (values: number[]) => [0.5, 0.95, 0.99].map((q) => quantile(values, q));
  return {
    title: 'An outage: orders, latencies (ms), and what the metrics show at their highest',
    head: [
      ...['', 'orders/s', '201 p50', 'p95', 'p99', 'end p50', 'p95', 'p99', 'memory, MiB'],
      ...names.flatMap((name) => [`${name}: backlog`, 'lag, s']),
    ],
    rows: phases.map((phase) => [
      phase.name,
      perS(phase),
      ...quantiles(phase.placed.map(({ acceptedMs }) => acceptedMs)),
      ...quantiles(phase.placed.map(({ finalMs }) => finalMs)),
      highest(phase.samples, ({ memoryMib }) => memoryMib),
      ...names.flatMap((name) => [
        highest(phase.samples, ({ backlog }) => backlog[name] ?? 0),
        highest(phase.samples, ({ lagSeconds }) => lagSeconds[name] ?? 0),
      ]),
    ]),
    note: 'What is owed happened within an hour before, or while the destinations were away. Measured once; what the metrics show is up to 5 s old.',
  };
}
