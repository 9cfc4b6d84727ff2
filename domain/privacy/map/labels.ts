/** Labels of our metrics, whose values are all ours: routes, codes, names of steps, currencies. */
import { names } from './kinds.js';

export const METRIC_LABELS: readonly string[] = names(
  `action brake build call cause code currency destination failure final invariant kind listener method node outcome pass place pool reason route source state status step what`,
);
