/** How often the processes look that act on an order by themselves: so that it can be said by when they will. */

export type Periods = {
  /** A pass of the reconciler. */
  reconcileEveryMs: number;
  /** Of that, how often young refunds are followed, how long they are young, and how often older ones are. */
  refundCheckEveryMs: number;
  refundYoungForMs: number;
  refundRecheckEveryMs: number;
  /** Differences of one kind that it settles within an hour. */
  actionsPerHourMax: number;
};

/** The defaults of the settings: for a process that has none of the workers'. */
export const PERIODS: Periods = {
  reconcileEveryMs: 20_000,
  refundCheckEveryMs: 4 * 60_000,
  refundYoungForMs: 24 * 3_600_000,
  refundRecheckEveryMs: 45 * 60_000,
  actionsPerHourMax: 100,
};

type Settings = Record<
  'RECONCILE_EVERY' | 'REFUND_CHECK_EVERY' | 'REFUND_YOUNG_FOR' | 'REFUND_RECHECK_EVERY' | 'RECONCILE_ACTIONS_PER_HOUR',
  number
>;
/** As this process is told; they should be the workers' own. */
export const periodsOf = (config: Settings): Periods => ({
  reconcileEveryMs: config.RECONCILE_EVERY,
  refundCheckEveryMs: config.REFUND_CHECK_EVERY,
  refundYoungForMs: config.REFUND_YOUNG_FOR,
  refundRecheckEveryMs: config.REFUND_RECHECK_EVERY,
  actionsPerHourMax: config.RECONCILE_ACTIONS_PER_HOUR,
});

/** The gateway's search is late by up to this: what it does not list may be there all the same. */
export const SEARCH_LATE_MS = 60_000;
