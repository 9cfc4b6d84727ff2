/**
 * Slots: how many sagas are begun at a time in a process that runs both the API and a worker. A saga holds one from its start
 * until its order is final; orders that come meanwhile wait in the dispatcher, first come, first served.
 *
 * Two things are scarce. One is the processor: more sagas at work at a time finish no sooner, but slow down each other and every
 * request. A saga that waits for the payment gateway is not at work. The other is the worker's room for workflow tasks: a saga
 * that finds none is handed over by Temporal's queue, which is dearer and keeps no order. No saga holds up others for
 * long: one that waits for something else, or is parked, gives its slot back when its time is up.
 */
export type SagaSlots = {
  isFree(): boolean;
  /** Before the saga is started. */
  take(orderId: string): void;
  /** The saga waits for a neighbour, or another process runs it: another may work meanwhile. */
  pause(orderId: string): void;
  /** The neighbour has answered: the saga works again, whether or not another has begun meanwhile. */
  resume(orderId: string): void;
  /** The order is final, the saga waits for a retry, or it was not started. Harmless if it holds no slot. */
  release(orderId: string): void;
  /** @param listener is called whenever a slot may have become free */
  onFree(listener: () => void): void;
  atWork(): number;
};

/** Sagas that are begun and not final: with payments that take 600 ms, as many as one main thread can bear in that time. */
const HELD_MAX = 40;
/**
 * Workflow tasks that the worker carries out at a time: while a saga is at its first tries it keeps one, the SDK's polls keep a
 * dozen, and the rest is for sagas that go on, or that the sweep has started.
 */
export const WORKFLOW_TASKS_MAX = 60;
/** Ten times what a saga needs on two busy cores; what takes longer waits for something. */
const AT_WORK_LIMIT_MS = 1_000;
/** As long as a first try may take (workflows/steps), and so keep its workflow task. */
const HELD_LIMIT_MS = 5_000;

export type SlotLimits = {
  atWorkMax: number;
  /** Those that wait for a neighbour included. */
  heldMax?: number;
  atWorkLimitMs?: number;
  heldLimitMs?: number;
};

type Slot = { isAtWork: boolean; isLate: boolean; timers: NodeJS.Timeout[] };

export function createSagaSlots({
  atWorkMax,
  heldMax = HELD_MAX,
  atWorkLimitMs = AT_WORK_LIMIT_MS,
  heldLimitMs = HELD_LIMIT_MS,
}: SlotLimits): SagaSlots {
  const held = new Map<string, Slot>();
  let atWork = 0;
  let tellFree: () => void = () => undefined;

  const pause = (slot: Slot | undefined) => {
    if (!slot?.isAtWork) return;
    slot.isAtWork = false;
    atWork--;
    tellFree();
  };
  const drop = (orderId: string): boolean => {
    const slot = held.get(orderId);
    if (!slot) return false;
    held.delete(orderId);
    for (const timer of slot.timers) clearTimeout(timer);
    if (slot.isAtWork) atWork--;
    slot.isAtWork = false;
    return true;
  };
  const release = (orderId: string) => {
    if (drop(orderId)) tellFree();
  };
  return {
    isFree: () => atWork < atWorkMax && held.size < heldMax,
    take: (orderId) => {
      drop(orderId); // the order's earlier saga has ended
      const slot: Slot = { isAtWork: true, isLate: false, timers: [] };
      const late = () => {
        slot.isLate = true;
        pause(slot);
      };
      slot.timers.push(
        setTimeout(late, atWorkLimitMs).unref(),
        setTimeout(() => release(orderId), heldLimitMs).unref(),
      );
      held.set(orderId, slot);
      atWork++;
    },
    pause: (orderId) => pause(held.get(orderId)),
    resume: (orderId) => {
      const slot = held.get(orderId);
      if (!slot || slot.isAtWork || slot.isLate) return;
      slot.isAtWork = true;
      atWork++;
    },
    release,
    onFree: (listener) => {
      tellFree = listener;
    },
    atWork: () => atWork,
  };
}
