/**
 * Whether a saga may take the patches of this release: if and only if code of this release began it. One that older code began
 * goes on as that would, so that its history stays one that the older code can replay after a rollback.
 */
import { workflowInfo } from '@temporalio/workflow';
import type { Saga } from './saga.js';

/** While it is replayed the history decides, which may hold a patch that was taken before sagas were counted. */
export const isOfToday = ({ input }: Saga): boolean =>
  (input.generation ?? 0) >= 1 || workflowInfo().unsafe.isReplaying;
