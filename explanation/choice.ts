/** A choice: one act that an operator may take about an order, and all that has to be known before. */
import type { Cost } from './costs.js';

/** What can be decided about the order itself: by `resolve`, or by cancelling it. */
export type ChosenAct = 'retry' | 'skip' | 'compensate' | 'cancel';

export type Choice = Cost & {
  /** null = it is something else: about a finding, an event, or Temporal's to do. */
  action: ChosenAct | null;
  /** Of the CLI, or of Temporal's; arguments in <…> are the operator's. */
  command: string;
  /** The same over HTTP, where there is a route. */
  http: string | null;
  does: string;
  /** When it is the right one. */
  useWhen: string;
  /** It is what is mostly done of an order that stands so. At most one is. */
  usual: boolean;
  reversible: string;
};

export const REASON = `--reason '<why, ticket>'`;
