/**
 * A SKU is held if and only if a transaction that is not ours has kept its stock row locked for longer than a step waits. Steps
 * that would wait for it too fail at once, but for one at a time that tries it: a crowd of waiting steps would take every
 * connection of the worker, and orders of other SKUs would have none. Each worker process learns this by itself.
 */
import { ApplicationFailure } from '@temporalio/common';
import { STEPS, type StepName, UNDOS, type UndoName } from '../contracts/plan.js';
import { LOCKED } from '../contracts/saga.js';
import type { SagaActivities, StepInput, StepResult, UndoResult } from '../contracts/steps.js';
import type { Database } from '../domain/database.js';
import { listLockedSkus, readSkus } from '../domain/inventory.js';

/** After a try in vain. With a lock limit of half a second, a held SKU takes a third of one connection. */
const TRY_EVERY_MS = 1_000;

type Held = { nextTryAt: number; isTried: boolean };

/** Which of the plan's activities lock rows of `inventory`. Each has to say: one that does and is left out takes all connections. */
const LOCKS_STOCK: Record<StepName | UndoName, boolean | ((input: StepInput) => boolean)> = {
  reserveInventory: true,
  releaseInventory: true,
  chargePayment: ({ confirm }) => confirm === true,
  refundPayment: false,
  confirmOrder: true,
  cancelOrder: false,
};

/** The same activities; those that lock stock keep off held SKUs. */
export function guardStock(db: Database, activities: SagaActivities): SagaActivities {
  const board = new Map<string, Held>();
  const guarded = <T>(
    activity: (input: StepInput) => Promise<T>,
    locksStock: boolean | ((input: StepInput) => boolean),
  ) => {
    return async (input: StepInput): Promise<T> => {
      if (!(typeof locksStock === 'boolean' ? locksStock : locksStock(input))) return activity(input);
      // Nothing is asked, nor remembered, as long as nothing is held.
      const tried = board.size === 0 ? [] : await claimTry(db, board, input.orderId);
      let stillHeld: string[] = [];
      try {
        return await activity(input);
      } catch (err) {
        if (err instanceof ApplicationFailure && err.type === LOCKED)
          stillHeld = await whichAreLocked(db, input.orderId);
        throw err;
      } finally {
        for (const sku of tried) board.delete(sku);
        const nextTryAt = performance.now() + TRY_EVERY_MS;
        for (const sku of stillHeld) board.set(sku, { nextTryAt, isTried: false });
      }
    };
  };
  const all = [...STEPS, ...UNDOS].map((name) => [
    name,
    guarded<StepResult | UndoResult>(activities[name], LOCKS_STOCK[name]),
  ]);
  return { ...activities, ...Object.fromEntries(all) };
}

/** @returns the held SKUs of the order, which the caller may try now @throws if one of them is being tried, or was just now */
async function claimTry(db: Database, board: Map<string, Held>, orderId: string): Promise<string[]> {
  const ours = (await readSkus(db, orderId)).flatMap((sku) => {
    const held = board.get(sku);
    return held ? [{ sku, held }] : [];
  });
  const now = performance.now();
  const barred = ours.find(({ held }) => held.isTried || held.nextTryAt > now);
  if (barred)
    throw ApplicationFailure.create({
      type: LOCKED,
      message: `Another transaction holds the stock of ${barred.sku} locked`,
    });
  for (const { held } of ours) held.isTried = true;
  return ours.map(({ sku }) => sku);
}

/** Those of the order's SKUs that could not be locked: the others are sold as before. */
async function whichAreLocked(db: Database, orderId: string): Promise<string[]> {
  try {
    return await listLockedSkus(db, await readSkus(db, orderId));
  } catch {
    return []; // the next step that waits in vain finds out
  }
}
