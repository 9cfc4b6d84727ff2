/** The tests' use of the invariants: ledgers that are wrong, or in which there is nothing to look at, fail a test. That each catches what it names: invariants.test.ts. */
import type { Order } from '../../clients/typescript/client.js';
import type { CloudEvent } from '../../contracts/events.js';
import { PLAN, stepsOf } from '../../contracts/plan.js';
import { checkInvariants } from '../../verification/invariants.js';
import type { Ledgers } from '../../verification/ledgers.js';
import type { ApiClient } from './launcher.js';
import { readLedgersFromOutside } from './ledgers.js';

/**
 * @param mayLackRows invariants that may find nothing to look at
 * @throws naming every invariant that does not hold, or that had nothing to look at
 */
export function expectRight(ledgers: Ledgers, mayLackRows: string[] = []): void {
  const wrong = checkInvariants(ledgers).flatMap(({ invariant, checked, violations }) =>
    checked === 0 && !mayLackRows.includes(invariant)
      ? [`${invariant}: nothing to look at`]
      : violations.map(({ says }) => `${invariant}: ${says}`),
  );
  if (wrong.length > 0) throw new Error(`The ledgers are wrong:\n${wrong.join('\n')}`);
}

/**
 * Money, stock and events of these orders, checked over HTTP and against the gateway's own lists. All must be final.
 * @param delivered events as a consumer saw them, repetitions allowed
 */
export async function expectRightFromOutside(
  client: ApiClient,
  orders: Order[],
  delivered?: CloudEvent[],
): Promise<void> {
  const ledgers = await readLedgersFromOutside(client, orders, delivered);
  // Where the gateway was never asked there is no charge to look at; I1 says that there must be none.
  const wasAsked = orders.some(({ cancellation }) => !cancellation || !REFUSED_BEFORE_CHARGE.has(cancellation.reason));
  expectRight(ledgers, wasAsked ? [] : ['I3 one charge per order', 'I1 the provider agrees with itself']);
}

/** Why an order may have been refused before anything was asked of the gateway. */
const REFUSED_BEFORE_CHARGE = new Set<string>(
  stepsOf(PLAN).flatMap(({ sharesPivot, refusals = [] }) => (sharesPivot ? [] : refusals)),
);
