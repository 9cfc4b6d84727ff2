/**
 * The pending activity: an ordinary activity that runs or backs off, or the wait before one, in a scope of its own, so that a
 * message handler can end the waiting. A try that is under way is waited for.
 */
import { CancellationScope, isCancellation, patched } from '@temporalio/workflow';
import type { OrderSagaInput } from '../../contracts/saga.js';
import { attemptsOf } from '../failures.js';
import { isOfToday } from '../generation.js';
import type { LocalActivities } from './local-activities.js';
import type { Stuck } from './progress.js';

type Pending = {
  readonly scope: CancellationScope;
  /** The activity's name; undefined = nothing but a wait. */
  readonly activity: Stuck['name'] | undefined;
  /** Tries of the activity, for when it is cancelled: then nothing else says how often it was tried. */
  tries: number;
};

export class PendingActivity {
  readonly #input: OrderSagaInput;
  readonly #local: LocalActivities;
  #running: Pending | undefined;
  #last: Pending | undefined;

  constructor(input: OrderSagaInput, local: LocalActivities) {
    this.#input = input;
    this.#local = local;
  }

  get isRunning(): boolean {
    return this.#running !== undefined;
  }

  /** @param activity its name, or undefined for nothing but a wait */
  async run<T>(activity: Pending['activity'], work: () => Promise<T>): Promise<T> {
    // One that is cancelled from outside, with its workflow, has begun in all likelihood.
    const pending: Pending = { scope: new CancellationScope(), activity, tries: activity === undefined ? 0 : 1 };
    this.#running = pending;
    this.#last = pending;
    try {
      return await pending.scope.run(work);
    } finally {
      if (this.#running === pending) this.#running = undefined;
    }
  }

  /** @returns how often the activity was tried that has just ended so */
  triesOf(err: unknown): number {
    return isCancellation(err) ? (this.#last?.tries ?? 0) : attemptsOf(err);
  }

  /** Ends the waiting; what has been tried so far is counted first, since a cancelled activity takes that with it. */
  async interrupt(): Promise<void> {
    const pending = this.#running;
    if (!pending) return;
    const { activity } = pending;
    if (activity !== undefined && isOfToday(this.#input) && patched('count-tries')) {
      const { countTries } = this.#local.with({ startToCloseTimeout: '2s', retry: { maximumAttempts: 1 } });
      // Only a count: the next try is made also without it.
      const tries = await CancellationScope.nonCancellable(() => countTries({ activity })).catch(() => null);
      pending.tries = tries ?? pending.tries;
    }
    if (this.#running === pending) pending.scope.cancel();
  }
}
