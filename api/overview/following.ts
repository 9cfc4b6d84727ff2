/** Which causes follow from others, so that whoever looks begins with what is to be mended; and what those amount to. */
import { TRANSIENT_FAILURES } from '../../contracts/saga.js';
import { NO_POLLERS } from '../../sagas/standstill.js';
import { NOT_STARTED } from '../../sagas/stuck.js';
import type { FindingsOfSagas } from './saga-causes.js';
import { addMoney, type Cause } from './cause.js';

/** What a saga's failure waits for, in the words of the kinds of causes. */
const NEIGHBOURS = { gateway: 'gateway', database: 'postgres', brake: 'brake' } as const;

function causeOf({ kind, of: { failure } }: Cause): Cause['kind'] | undefined {
  if (kind === 'unstarted-orders') return 'temporal';
  if (kind !== 'sagas' || failure === undefined) return undefined;
  if (failure === NO_POLLERS) return 'workers';
  if (failure === NOT_STARTED) return 'temporal';
  if (failure === 'AccountHeld') return 'account';
  const neighbour = (TRANSIENT_FAILURES as Partial<Record<string, keyof typeof NEIGHBOURS>>)[failure];
  return neighbour && NEIGHBOURS[neighbour];
}

/** @returns the same, each with what it follows from; a cause that others follow from has their numbers, unless it has its own */
export function withFollowing(causes: Cause[], findings: FindingsOfSagas = new Map()): Cause[] {
  const roots = new Map<string, Cause>();
  for (const each of causes) if (causeOf(each) === undefined && !roots.has(each.kind)) roots.set(each.kind, each);
  const known = causes.map((each) => ({ ...each, follows: roots.get(causeOf(each) ?? '')?.id ?? null }));
  // A finding of an order whose saga is stuck is the same trouble, told twice: what is decided of the saga settles it.
  const followed = known.map((each) => {
    const found = each.kind === 'findings' ? findings.get(each.of.kind ?? '') : undefined;
    const saga = found && found.count >= (each.count ?? 0) && known.find(({ id }) => id === found.causeId);
    return saga ? { ...each, follows: saga.follows ?? saga.id } : each;
  });
  return followed.map((root) => {
    const entailed = followed.filter(({ kind, follows }) => kind !== 'findings' && follows === root.id);
    return entailed.length === 0 || root.count !== null ? root : { ...root, ...sumOf(entailed) };
  });
}

function sumOf(causes: Cause[]): Pick<Cause, 'count' | 'noun' | 'atStake' | 'recent' | 'unwindsAt'> {
  const atStake: Cause['atStake'] = [];
  for (const money of causes.flatMap((each) => each.atStake)) addMoney(atStake, money);
  const sum = (numbers: (number | null)[]) => numbers.reduce<number>((all, n) => all + (n ?? 0), 0);
  const unwindings = causes.flatMap(({ unwindsAt }) => unwindsAt ?? []).sort();
  return {
    ...{ count: sum(causes.map(({ count }) => count)), noun: causes[0]?.noun ?? null, atStake },
    ...{ recent: sum(causes.map(({ recent }) => recent)), unwindsAt: unwindings[0] ?? null },
  };
}
