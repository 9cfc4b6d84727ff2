/** Whether a saga goes forward or is to be unwound, as far as it knows: the guarded row in Postgres decides. */
import type { CancellationReason } from '../../contracts/orders.js';
import type { Stuck } from './progress.js';

export class Direction {
  #unwindRequest: CancellationReason | undefined;
  #question: Stuck | undefined;
  #isPastPivot = false;

  /** Why the saga is to be unwound; the step that sees it first gives way. */
  get unwindRequest(): CancellationReason | undefined {
    return this.#unwindRequest;
  }

  /** The question whether the order may still be unwound, while it is asked again. */
  get question(): Stuck | undefined {
    return this.#question;
  }

  /** The order is confirmed, and its last steps are being carried out. */
  get isPastPivot(): boolean {
    return this.#isPastPivot;
  }

  /** The first reason given stands. */
  requestUnwinding(reason: CancellationReason): void {
    this.#unwindRequest ??= reason;
  }

  passPivot(): void {
    this.#isPastPivot = true;
    this.#unwindRequest = undefined; // it came too late: the order's row has decided
  }

  ask(question: Stuck): void {
    this.#question = question;
  }

  endQuestion(): void {
    this.#question = undefined;
  }
}
