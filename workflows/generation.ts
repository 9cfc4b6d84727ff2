/**
 * Whether a saga may take the patches of this release: if and only if code of this release began it. One that older code began
 * goes on as that would, so that its history stays one that the older code can replay after a rollback.
 */
import { patched, workflowInfo } from '@temporalio/workflow';
import { needsOperator } from './failures.js';
import type { Saga } from './saga.js';

/** While it is replayed the history decides, which may hold a patch that was taken before sagas were counted. */
export const isOfToday = ({ input }: Saga): boolean =>
  (input.generation ?? 0) >= 1 || workflowInfo().unsafe.isReplaying;

/** A failure that time does not mend: there is no second try before somebody is asked. Code of before made one. */
export const parksAtOnce = (saga: Saga, err: unknown): boolean =>
  needsOperator(err) && isOfToday(saga) && patched('park-at-once');
