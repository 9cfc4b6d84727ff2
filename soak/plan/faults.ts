/**
 * Which faults there are, and when: all of it from the seed. Cells of kind and target are dealt as cards are: all of a deck come before
 * any comes again. Links have a deck of their own, since they are as many as all others together.
 */
import type { LinkFault } from '../../testbed/link.js';
import type { Random } from '../random.js';

export const SERVICES = ['api', 'worker', 'relay', 'all'] as const;
export const PARTS = [...SERVICES, 'postgres', 'temporal', 'gateway', 'nats'] as const;
export type PartName = (typeof PARTS)[number];

/** From whom to whom. Each is a proxy of its own. */
export const LINKS = [
  'client-api',
  'client-all',
  'api-postgres',
  'api-temporal',
  'worker-postgres',
  'worker-temporal',
  'worker-gateway',
  'relay-postgres',
  'relay-temporal',
  'relay-consumer',
  'relay-nats',
  'all-postgres',
  'all-temporal',
  'all-gateway',
  'all-consumer',
  'all-nats',
  'gateway-api',
] as const;
export type LinkName = (typeof LINKS)[number];
const LINK_FAULTS: readonly LinkFault[] = ['slow', 'silent', 'deaf', 'reset', 'half-closed'];

/** Each is what a gateway does for a while, as docs/sandbox.md has them. */
export const GATEWAY_FAULTS = {
  down: { mode: 'down', retryAfter: '1' },
  'down-absurd-retry-after': { mode: 'down', route: 'charge', retryAfter: 'Infinity' },
  'rate-limited': { mode: 'busy', route: 'charge', retryAfter: '1' },
  'rate-limited-lists': { mode: 'busy', route: 'page', retryAfter: '86400' },
  'rate-limited-refunds': { mode: 'busy', route: 'refund', retryAfter: '1' },
  resets: { mode: 'reset' },
  hangs: { mode: 'hang', delayMs: 2_000 },
  slow: { mode: 'slow', delayMs: 1_500 },
  'error-before': { mode: 'error', route: 'charge' },
  'error-after': { mode: 'error_after', route: 'charge' },
  'lost-answers': { mode: 'reset_after' },
  'late-answers': { mode: 'hang_after', delayMs: 12_000 },
  'late-refunds': { mode: 'hang_after', route: 'refund', delayMs: 12_000 },
  'wrong-amount': { mode: 'wrong_echo', amount: 1 },
  'wrong-currency': { mode: 'wrong_echo', currency: 'eur' },
  'wrong-clock': { mode: 'wrong_date', aheadMs: -600_000 },
  'lists-repeat': { mode: 'repeat_page' },
  'lists-never-end': { mode: 'empty_page' },
  'refunds-pending': { mode: 'refund_pending', delayMs: 3_000 },
  'refunds-refused': { mode: 'refund_failed' },
  'refunds-fail-later': { mode: 'refund_fails_later', delayMs: 2_000 },
  'events-lost': { mode: 'webhook_lost' },
  'events-repeated': { mode: 'webhook_repeated' },
  'events-disordered': { mode: 'webhook_out_of_order', delayMs: 2_000 },
} as const satisfies Record<string, object>;

/** Which relay dies, and which destination takes nothing before. */
const OWING = ['relay consumer', 'all consumer', 'relay nats', 'all nats'] as const;
type Words<Text extends string> = Text extends `${infer One} ${infer Other}` ? [One, Other] : never;
export type OwingTarget = Words<(typeof OWING)[number]>;

/** `target`: a part, a link and what happens to it, or a fault of the gateway's. */
export type FaultKind =
  | 'kill'
  | 'pause'
  | 'restart'
  | 'promote'
  | 'deploy'
  | 'session-killed'
  | 'link'
  | 'gateway'
  | 'late-refund-failure'
  | 'strangers'
  | 'connections'
  | 'row-locked'
  | 'open-transaction'
  | 'consumer'
  | 'owing'
  | 'disk-full'
  | 'clock'
  | 'clock-jump';
export type Fault = {
  no: number;
  kind: FaultKind;
  target: string;
  /** It begins when so many operations have begun. */
  atOperation: number;
  forMs: number;
};
type Cell = Pick<Fault, 'kind' | 'target'>;

const cells = (kind: FaultKind, targets: readonly string[]): Cell[] => targets.map((target) => ({ kind, target }));
const DECK: Cell[] = [
  ...cells('kill', [...PARTS, ...PARTS]),
  ...cells('pause', [...PARTS, ...PARTS]),
  ...cells('restart', PARTS),
  ...cells('deploy', ['services', 'services']),
  ...cells('promote', ['postgres', 'postgres']),
  ...cells('session-killed', ['postgres']),
  ...cells('gateway', Object.keys(GATEWAY_FAULTS)),
  ...cells('late-refund-failure', ['gateway', 'gateway']),
  ...cells('strangers', ['gateway', 'gateway']),
  ...cells('connections', ['postgres', 'api']),
  ...cells('row-locked', ['order', 'sku']),
  ...cells('open-transaction', ['postgres']),
  ...cells('consumer', ['rejects', 'fails', 'slow', 'gone']),
  ...cells('owing', OWING),
  ...cells('disk-full', ['postgres', 'gateway']),
  ...cells('clock', SERVICES),
  ...cells('clock-jump', [...SERVICES, 'postgres']),
];
const DECK_OF_LINKS = cells(
  'link',
  LINKS.flatMap((link) => LINK_FAULTS.map((fault) => `${link} ${fault}`)),
);
const LINKS_SHARE = 0.35;

function* deal(random: Random, deck: readonly Cell[]): Generator<Cell, never> {
  for (;;) yield* random.shuffled(deck);
}

const FOR_MS = { least: 300, most: 5_000 };
/** So many come together with the one before. */
const TOGETHER = 0.35;

/** @param operations how many there are */
export function planFaults(random: Random, count: number, operations: number): Fault[] {
  const [links, others] = [deal(random, DECK_OF_LINKS), deal(random, DECK)];
  const dealt = Array.from({ length: count }, () => (random.chance(LINKS_SHARE) ? links : others).next().value);
  const places = Array.from({ length: count }, () =>
    random.between(Math.ceil(operations * 0.03), Math.floor(operations * 0.97)),
  );
  places.sort((one, other) => one - other);
  return dealt.map((cell, no) => {
    const isTogether = no > 0 && random.chance(TOGETHER);
    const atOperation = places[isTogether ? no - 1 : no] as number;
    return { no, ...cell, atOperation, forMs: random.between(FOR_MS.least, FOR_MS.most) };
  });
}
