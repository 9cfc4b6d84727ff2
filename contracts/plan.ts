/**
 * The plan of an order's saga: every step, what takes it back, and on which side of the pivot it stands. Whatever else lists
 * steps or undos (the workflows, the unwinding, the guard before a cancellation, the log, the CLI, the proofs) derives its list
 * from here. What the plan forbids does not compile: a step without a word about its undo, a step between the charge and the
 * confirmation that may share a transaction with it, a step after the pivot that refuses an order.
 *
 * How a step is added: docs/adding-a-step.md.
 */
import type { EventType } from './event-schemas.js';
import type { CancellationReason } from './orders.js';

/** Rows that say that an order holds something: those of `table` (with a column `order_id`) whose `column` is one of `held`. */
export type Holding = { table: string; column: string; held: readonly string[] };

/** A step that leaves something behind says what, and which undo takes it away; any other says why there is nothing to undo. */
type Undoable =
  | { undo: string; holds: Holding; events: { done: EventType; undone: EventType } }
  | { undo: { none: string }; holds?: never; events: { done: EventType; undone?: never } };

type Step = {
  /** The activity's name. */
  name: string;
  /** The first version of the plan that has the step. Orders that were accepted under an older plan go on without it. */
  since: number;
} & Undoable;

/** `refusals` are the reasons that are the step's own: its transaction writes one into the order, and an event that says so. */
type Refusing =
  | { refusals: readonly CancellationReason[] & { length: 0 }; events: { refused?: never } }
  | { refusals: readonly [CancellationReason, ...CancellationReason[]]; events: { refused: EventType } };
type NeverRefusing = { refusals?: never; events: { refused?: never } };
/** A step that may find the order being taken back, and may say no for reasons of its own. */
type StepBeforePivot = Step & Refusing & { sharesPivot?: never };
/** The last step before the pivot: its first try passes the pivot in the same transaction (docs/decisions/0008). */
type StepSharingPivot = Step & Refusing & { sharesPivot: true };
/** From its commit on the order is confirmed: what comes after it is carried forward, and only a second saga takes it back. */
type Pivot = Step & NeverRefusing & { undo: { none: string }; sharesPivot?: never };
/** A step that can refuse nothing: it is tried until it is done, and marked for an operator while it is not. */
type StepAfterPivot = Step & NeverRefusing & { sharesPivot?: never };

export type PlannedStep = StepBeforePivot | StepSharingPivot | Pivot | StepAfterPivot;

export type SagaPlan = {
  readonly beforePivot: readonly [...StepBeforePivot[], StepSharingPivot];
  readonly pivot: Pivot;
  readonly afterPivot: readonly StepAfterPivot[];
  /** The last act of a saga that was unwound; it refuses as long as the order holds anything. */
  readonly lastUndo: { name: string; event: EventType };
};

/** The plan as a value whose names are types. @throws if it contradicts itself where types cannot tell */
export function definePlan<const P extends SagaPlan>(it: P): P {
  const all = stepsOf(it);
  const names = [
    ...all.flatMap(({ name, undo }) => (typeof undo === 'string' ? [name, undo] : [name])),
    it.lastUndo.name,
  ];
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  if (twice !== undefined) throw new Error(`The plan names ${twice} twice: a name is one activity's`);
  const refusals = all.flatMap((step) => step.refusals ?? []);
  const shared = refusals.find((reason, i) => refusals.indexOf(reason) !== i);
  // From the reason that the order's row has, the unwinding knows which step has refused, and that nothing came after it.
  if (shared !== undefined) throw new Error(`Two steps of the plan refuse with ${shared}: a reason is one step's own`);
  for (const { name, since, holds } of all) {
    if (!Number.isInteger(since) || since < 1)
      throw new Error(`The plan's step ${name} has no version: since ${since}`);
    const words = holds ? [holds.table, holds.column] : []; // they become part of a statement
    if (!words.every((word) => /^[a-z_]+$/.test(word)))
      throw new Error(`The plan's step ${name} holds no rows of a table`);
  }
  return it;
}

export const PLAN = {
  beforePivot: [
    {
      name: 'reserveInventory',
      since: 1,
      undo: 'releaseInventory',
      holds: { table: 'reservations', column: 'state', held: ['RESERVED', 'SOLD'] },
      events: { done: 'inventory.reserved', refused: 'inventory.reservation.failed', undone: 'inventory.released' },
      refusals: ['OUT_OF_STOCK', 'UNKNOWN_SKU'],
    },
    {
      name: 'chargePayment',
      since: 1,
      undo: 'refundPayment',
      holds: { table: 'payments', column: 'status', held: ['CHARGED', 'REFUNDING'] },
      events: { done: 'payment.charged', refused: 'payment.declined', undone: 'payment.refunded' },
      refusals: ['PAYMENT_DECLINED'],
      sharesPivot: true,
    },
  ],
  pivot: {
    name: 'confirmOrder',
    since: 1,
    undo: { none: 'it takes nothing: what it sells, releaseInventory gives back' },
    events: { done: 'order.confirmed' },
  },
  afterPivot: [],
  lastUndo: { name: 'cancelOrder', event: 'order.cancelled' },
  // Checked by `satisfies`: a mistake in the table is a complaint here, whatever else it makes of the names that are derived.
} as const satisfies SagaPlan;
definePlan(PLAN);

/** The names of a plan's steps, in their order: what a workflow lists, checked by the compiler. */
export type StepNamesOf<P extends SagaPlan> = [
  ...NamesOf<P['beforePivot']>,
  P['pivot']['name'],
  ...NamesOf<P['afterPivot']>,
];
type NamesOf<S extends readonly Step[]> = { -readonly [I in keyof S]: S[I]['name'] };

export type StepName = StepNamesOf<typeof PLAN>[number];
type UndoOf<S> = S extends { undo: infer U } ? Extract<U, string> : never;
export type UndoName =
  | UndoOf<(typeof PLAN)['beforePivot'][number] | (typeof PLAN)['afterPivot'][number]>
  | (typeof PLAN)['lastUndo']['name'];

/** @returns the steps in their order; with `version`, those that an order of that version has */
export function stepsOf(it: SagaPlan, version = Number.POSITIVE_INFINITY): PlannedStep[] {
  return [...it.beforePivot, it.pivot, ...it.afterPivot].filter(({ since }) => since <= version);
}

/** @returns the undos of these steps, newest first */
export const undosOf = (steps: readonly PlannedStep[]): UndoName[] =>
  steps.flatMap(({ undo }) => (typeof undo === 'string' ? [undo as UndoName] : [])).reverse();

/** Newer builds raise it by adding a step; what a build does not know, it does not carry out. */
export const versionOf = (it: SagaPlan): number => Math.max(...stepsOf(it).map(({ since }) => since));

export const PLAN_VERSION = versionOf(PLAN);
export const STEPS = stepsOf(PLAN).map(({ name }) => name) as StepNamesOf<typeof PLAN>;
export const PIVOT: StepName = PLAN.pivot.name;
export const LAST_UNDO: UndoName = PLAN.lastUndo.name;
/** Every undo, in the order of the steps; the last act is the last. */
export const UNDOS: readonly UndoName[] = [...undosOf(stepsOf(PLAN)).reverse(), LAST_UNDO];
/** What keeps an order from being cancelled while it is there. */
export const HOLDINGS: readonly Holding[] = stepsOf(PLAN).flatMap(({ holds }) => holds ?? []);

/** @returns the step with this name, or undefined if it is none of the plan's */
export const stepNamed = (it: SagaPlan, name: string): PlannedStep | undefined =>
  stepsOf(it).find((step) => step.name === name);

/** The order waits for a build that knows its plan. */
export class UnknownPlan extends Error {
  override name = 'UnknownPlan';
}

/** After a rollback: a saga without the steps that it does not know would end an order that is not done. @throws if so */
export function requireKnownPlan(orderId: string, version: number, known: SagaPlan = PLAN): void {
  if (version <= versionOf(known)) return;
  throw new UnknownPlan(
    `Order ${orderId} was accepted under plan ${version}, and this build knows ${versionOf(known)}: it takes a newer build`,
  );
}
