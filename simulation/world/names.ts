import { STEPS, UNDOS } from '../../contracts/plan.js';

/** What workers of the product carry out. */
export const ACTIVITY_NAMES: ReadonlySet<string> = new Set([
  ...STEPS,
  ...UNDOS,
  'beginUnwinding',
  'finishOrder',
  'recordDecision',
  'countTries',
]);
