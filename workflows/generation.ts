/**
 * Whether a saga may take the patches of this release: if and only if code of this release began it. One that older code began
 * goes on as that would, so that its history stays one that the older code can replay after a rollback.
 */
import { workflowInfo } from '@temporalio/workflow';
import { CHARGING_HELD } from '../contracts/brakes.js';
import type { OrderSagaInput } from '../contracts/saga.js';
import { describeFailure, type Failure, needsOperator } from './failures.js';

/** While it is replayed the history decides, which may hold a patch that was taken before sagas were counted. */
export const isOfToday = ({ generation = 0 }: OrderSagaInput): boolean =>
  generation >= 1 || workflowInfo().unsafe.isReplaying;

/**
 * What code of generation 1 did from its first day on, without a patch: only the count tells. A saga without one goes on as the
 * code did that began it, while it is replayed, too.
 */
export const isCounted = ({ generation = 0 }: OrderSagaInput): boolean => generation >= 1;

/** Code of generation 2 runs one local activity at a time: workflows/state/local-activities. */
export const takesTurns = ({ generation = 0 }: OrderSagaInput): boolean => generation >= 2;

/** Code of generation 3 knows brakes: a charge that is held waits without a deadline. Code of before waits until its own. */
const knowsBrakes = ({ generation = 0 }: OrderSagaInput): boolean => generation >= 3;

/** The step waits for whoever holds it; the deadline stands still meanwhile. */
export const isHeld = (input: OrderSagaInput, { type }: Pick<Failure, 'type'>): boolean =>
  type === CHARGING_HELD && knowsBrakes(input);

/** A failure that time does not mend: there is no second try before an operator is asked. Code of before made one. */
export const parksAtOnce = (input: OrderSagaInput, err: unknown): boolean =>
  (needsOperator(err) && isCounted(input)) || isHeld(input, describeFailure(err));
