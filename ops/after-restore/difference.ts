/**
 * A difference: what Postgres, Temporal and the gateway say of one order after a restore that does not fit together, and what makes it
 * fit again. A pure function of what each of them says.
 */
import type { CancellationReason } from '../../contracts/orders.js';
import { STEPS, UNDOS } from '../../contracts/plan.js';
import type { RestoredOrder } from '../../domain/after-restore.js';

/**
 * - `ORDER_LOST`        Temporal or the gateway knows the order, this database does not: it is older
 * - `ORDER_BEHIND`      the order is open here, and its saga has come to its end: the database is older
 * - `SAGA_AHEAD`        its saga runs, and has done what this database has lost
 * - `CANCELLATION_LOST` the order is confirmed here, and was taken back: so its saga says, or a refund of ours
 * - `SAGA_MISSING`      the order is open here, and Temporal knows no saga of it: Temporal is older, or lost
 * - `SAGA_BEHIND`       the order is final here, and its saga runs: Temporal is older. It finds all done, and ends
 * - `CHARGE_UNKNOWN`    the gateway holds money of an open order of which no charge is on record: its saga finds it
 */
export type DifferenceKind =
  | 'ORDER_LOST'
  | 'ORDER_BEHIND'
  | 'SAGA_AHEAD'
  | 'CANCELLATION_LOST'
  | 'SAGA_MISSING'
  | 'SAGA_BEHIND'
  | 'CHARGE_UNKNOWN';

/** `restart` ends the saga that there may be, and begins it anew; `unwind` has the order cancelled first. */
export type Remedy =
  | { do: 'restart' }
  | { do: 'unwind'; reason: CancellationReason }
  | { do: 'end-saga' }
  | { do: 'nothing' };

export type HeldMoney = { reference: string; amount: number; currency: string };
export type Difference = {
  orderId: string;
  kind: DifferenceKind;
  says: string;
  remedy: Remedy;
  /** What the gateway holds of it. */
  held: HeldMoney[];
};

/** The newest run of a saga, as Temporal has it. `told`: of one that runs. */
export type SagaRun = {
  workflowId: string;
  runId: string;
  status: string;
  told?: { done: ReadonlySet<string>; unwinding: CancellationReason | null };
  result?: { status: string; reason?: CancellationReason };
};

/** Of one order: `saga` finishes it, `cancellation` takes it back. */
export type Sides = {
  orderId: string;
  order: RestoredOrder | undefined;
  saga: SagaRun | undefined;
  cancellation: SagaRun | undefined;
  held: HeldMoney[];
  /** Charges that hold nothing any more, by refunds of ours. */
  givenBack: string[];
};

const RUNNING = 'RUNNING';
const COMPLETED = 'COMPLETED';
const WORK: ReadonlySet<string> = new Set([...STEPS, ...UNDOS]);

/** Whether it is the second saga that has to work on it. An order with steps after the pivot is confirmed, and still the first one's. */
export const isTakenBack = ({ status, unwindingReason }: RestoredOrder): boolean =>
  status === 'CONFIRMED' && unwindingReason !== null;

/** @returns undefined if nothing differs; of several differences the one whose remedy settles the others */
export function differenceOf(sides: Sides): Difference | undefined {
  const { orderId, order, held } = sides;
  const found = order ? ofKnown(sides, order) : ofLost(sides);
  return found && { orderId, held, ...found };
}

type Found = Pick<Difference, 'kind' | 'says' | 'remedy'>;

function ofLost({ saga, cancellation, held }: Sides): Found | undefined {
  const runs = [saga, cancellation].filter((run) => run !== undefined);
  if (runs.length === 0 && held.length === 0) return undefined;
  const isRunning = runs.some(({ status }) => status === RUNNING);
  const known = runs.map(({ workflowId, status }) => `${workflowId} is ${status}`);
  const says = [...known, held.length > 0 ? 'the gateway holds money of it' : 'nothing was charged, or it went back'];
  return { kind: 'ORDER_LOST', says: says.join('; '), remedy: { do: isRunning ? 'end-saga' : 'nothing' } };
}

function ofKnown({ saga, cancellation, held, givenBack }: Sides, order: RestoredOrder): Found | undefined {
  // A surplus charge that went back says nothing of the one that pays for the order.
  // Nor does the gateway of an order that an operator vouches for.
  const isGivenBack =
    order.reference === null
      ? order.payment !== 'SETTLED_OUTSIDE' && held.length === 0 && givenBack.length > 0
      : givenBack.includes(order.reference);
  const isConfirmed = order.status === 'CONFIRMED' && order.unwindingReason === null;
  if (isConfirmed && cancellation && (cancellation.status === RUNNING || cancellation.status === COMPLETED)) {
    const reason = cancellation.result?.reason ?? 'OPERATOR';
    const says = `confirmed here, and ${cancellation.workflowId} is ${cancellation.status}`;
    return { kind: 'CANCELLATION_LOST', says, remedy: { do: 'unwind', reason } };
  }
  if (isConfirmed && isGivenBack)
    return {
      kind: 'CANCELLATION_LOST',
      says: 'confirmed here, and all its money was given back by a refund of ours',
      remedy: { do: 'unwind', reason: 'OPERATOR' },
    };
  if (order.isDue) return ofDue(order, isTakenBack(order) ? cancellation : saga, { held, isGivenBack });
  const late = [saga, cancellation].find((run) => run?.status === RUNNING);
  return (
    late && {
      kind: 'SAGA_BEHIND',
      says: `${order.status} here, and ${late.workflowId} runs: it finds all done`,
      remedy: { do: 'nothing' },
    }
  );
}

function ofDue(
  order: RestoredOrder,
  run: SagaRun | undefined,
  { held, isGivenBack }: Pick<Sides, 'held'> & { isGivenBack: boolean },
): Found | undefined {
  const remedy = remedyOf(order, run, isGivenBack);
  const here = `${order.status}${order.unwindingReason === null ? '' : ', unwinding'} here`;
  if (!run) return { kind: 'SAGA_MISSING', says: `${here}, and Temporal knows no saga of it`, remedy };
  if (run.status === COMPLETED) {
    const end = run.result ? ` as ${run.result.status}` : '';
    return { kind: 'ORDER_BEHIND', says: `${here}, and ${run.workflowId} has ended${end}`, remedy };
  }
  if (run.status !== RUNNING) return undefined; // ended from outside: `ops stuck` has it, restore or not
  const lost = [...(run.told?.done ?? [])].filter((name) => WORK.has(name) && !order.logged.includes(name));
  if (lost.length > 0 || (run.told?.unwinding && order.unwindingReason === null)) {
    const what = lost.length > 0 ? lost.join(', ') : 'begun to unwind';
    return { kind: 'SAGA_AHEAD', says: `${here}, and ${run.workflowId} has done: ${what}`, remedy };
  }
  if (order.unwindingReason === null && isGivenBack)
    return { kind: 'SAGA_AHEAD', says: `${here}, and its money was given back`, remedy };
  if (order.payment === null && held.length > 0)
    return {
      kind: 'CHARGE_UNKNOWN',
      says: `${here}, and no charge is on record: its saga finds it`,
      remedy: { do: 'nothing' },
    };
  return undefined;
}

/** An order that was being taken back goes on so: its customer has been told, or its money is gone. */
function remedyOf({ status, unwindingReason }: RestoredOrder, run: SagaRun | undefined, isGivenBack: boolean): Remedy {
  if (status !== 'PENDING' || unwindingReason !== null) return { do: 'restart' };
  const reason =
    (run?.result?.status === 'CANCELLED' ? (run.result.reason ?? 'OPERATOR') : undefined) ?? run?.told?.unwinding;
  if (reason) return { do: 'unwind', reason };
  return isGivenBack ? { do: 'unwind', reason: 'OPERATOR' } : { do: 'restart' };
}
