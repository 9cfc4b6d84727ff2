/** Labels of our metrics and fields of our log lines, whose values are all ours: routes, codes, names of steps, currencies. */
import { names } from './kinds.js';

export const METRIC_LABELS: readonly string[] = names(
  `action brake build call cause code currency destination failure final invariant kind listener method node outcome pass place pool reason route source state status step what`,
);

/** Of log lines, beside those that lead to a person or an order (elsewhere.ts). What an error says is withheld, unless it is in an allow-list. */
export const LOG_FIELDS = `level time pid name msg err errors stack action activityId activityType address asked attempt attempts because begin belated
  breaker buildId calls cause channel charge code confirmed deploymentName destination detail done durationMs entries event events failure
  failures installationId invariant invariants isLocal issuer keyId keys kind leftMs limitMs marker method missingMigration ms namespace next nth
  operationId operations orders outcome path place reason refund replaced requestId restarted route sdkComponent sequence signal started status step table takenAt taskQueue
  texts timeline type until variable violations webhooks what why workflowType woken`;
