/** An ordinary activity, as the server keeps it: attempts, pauses between them, and the limits of each and of all. */
import type { Outcome } from './core.js';
import type { ActivityOptions, Failure, InboundEvent } from './events.js';
import { timeout } from './failures.js';
import type { Attempt, Host } from './host.js';
import type { Planned } from '../clock.js';

type Scheduled = { seq: number; name: string; input: unknown; options: ActivityOptions };

export class Ordinary {
  readonly #host: Host;
  readonly #it: Scheduled;
  readonly #close: (events: InboundEvent[]) => void;
  readonly #scheduledAt: number;
  readonly #budgetEnd: Planned | undefined;
  #next: Planned | undefined;
  #limit: Planned | undefined;
  #running: Attempt | undefined;
  #lastFailure: Failure | undefined;
  #isClosed = false;
  #isCancelRequested = false;
  attempt = 1;

  constructor(host: Host, it: Scheduled, close: (events: InboundEvent[]) => void) {
    this.#host = host;
    this.#it = it;
    this.#close = close;
    this.#scheduledAt = host.clock.now;
    const budgetMs = it.options.scheduleToCloseMs;
    if (budgetMs !== undefined) this.#budgetEnd = host.clock.in(budgetMs, () => this.#timeOut('SCHEDULE_TO_CLOSE'));
    this.#next = host.clock.in(host.pickUpMs(), () => this.#begin());
  }

  get name(): string {
    return this.#it.name;
  }

  /** Since when it has been tried. */
  get openMs(): number {
    return this.#host.clock.now - this.#scheduledAt;
  }

  /** An attempt that has not begun is called off at once; one that runs is waited for. */
  requestCancel(): void {
    if (this.#isClosed) return;
    this.#isCancelRequested = true;
    if (!this.#running) this.#end([{ type: 'activityCanceled', seq: this.#it.seq }]);
  }

  workerIsGone(how: 'killed' | 'asleep'): void {
    this.#running?.abandon(how);
  }

  /** Nobody asks for it any more. */
  drop(): void {
    this.#end([]);
  }

  #begin(): void {
    const { clock } = this.#host;
    const { scheduleToCloseMs, startToCloseMs } = this.#it.options;
    const leftMs = (scheduleToCloseMs ?? Number.POSITIVE_INFINITY) - (clock.now - this.#scheduledAt);
    const limitMs = Math.min(startToCloseMs, leftMs);
    const info = {
      attempt: this.attempt,
      startToCloseTimeoutMs: startToCloseMs,
      scheduleToCloseTimeoutMs: scheduleToCloseMs ?? 0,
      scheduledTimestampMs: this.#scheduledAt,
      currentAttemptScheduledTimestampMs: clock.now,
    };
    const no = this.attempt;
    this.#limit = clock.in(limitMs, () => this.#timeOut('START_TO_CLOSE'));
    this.#running = this.#host.attempt(this.#it.name, this.#it.input, info, (outcome) => {
      // The answer of an attempt that is not waited for any more is not taken.
      if (this.#running && this.attempt === no) this.#take(outcome);
    });
  }

  #take(outcome: Outcome): void {
    this.#stop();
    if ('result' in outcome) {
      this.#end([this.#started(), { type: 'activityCompleted', seq: this.#it.seq, result: outcome.result }]);
      return;
    }
    this.#retryOr(outcome.failure, (retryState) => ({
      ...{ type: 'activityFailed', seq: this.#it.seq, failure: outcome.failure, retryState },
    }));
  }

  #timeOut(which: 'START_TO_CLOSE' | 'SCHEDULE_TO_CLOSE'): void {
    const isRunning = this.#running !== undefined;
    this.#stop();
    const failure = timeout(which, this.#lastFailure);
    const { seq } = this.#it;
    const event = (retryState: string) => ({ type: 'activityTimedOut' as const, seq, failure, retryState });
    if (which === 'START_TO_CLOSE') this.#retryOr(failure, event);
    else this.#end([...(isRunning ? [this.#started()] : []), event('NON_RETRYABLE_FAILURE')]);
  }

  #stop(): void {
    this.#host.clock.cancel(this.#limit);
    this.#running = undefined;
  }

  #retryOr(failure: Failure, event: (retryState: string) => InboundEvent): void {
    const { options } = this.#it;
    const application = failure.applicationFailureInfo;
    const growing = options.initialIntervalMs * options.backoffCoefficient ** (this.attempt - 1);
    const pauseMs = application?.nextRetryDelayMs ?? Math.min(options.maximumIntervalMs, growing);
    const endsAt = this.#scheduledAt + (options.scheduleToCloseMs ?? Number.POSITIVE_INFINITY);
    const why = this.#isCancelRequested
      ? 'CANCEL_REQUESTED'
      : application?.nonRetryable
        ? 'NON_RETRYABLE_FAILURE'
        : options.maximumAttempts > 0 && this.attempt >= options.maximumAttempts
          ? 'MAXIMUM_ATTEMPTS_REACHED'
          : this.#host.clock.now + pauseMs > endsAt
            ? 'TIMEOUT'
            : undefined;
    if (why !== undefined) {
      this.#end([this.#started(), event(why)]);
      return;
    }
    this.#lastFailure = failure;
    this.attempt++;
    this.#next = this.#host.clock.in(pauseMs, () => this.#begin());
  }

  #started(): InboundEvent {
    const { seq } = this.#it;
    const lastFailure = this.#lastFailure;
    return { type: 'activityStarted', seq, attempt: this.attempt, ...(lastFailure && { lastFailure }) };
  }

  #end(events: InboundEvent[]): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    for (const planned of [this.#budgetEnd, this.#next, this.#limit]) this.#host.clock.cancel(planned);
    this.#running = undefined;
    this.#close(events);
  }
}
