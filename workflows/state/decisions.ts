/** What operators have decided of a saga, as far as it is not carried out yet. There is one decision in hand at a time. */
import type { Decision } from '../../contracts/steps.js';
import type { StepLine } from './progress.js';

type Skip = { step: StepLine; operator: string };

export class Decisions {
  #inHand: Decision | undefined;
  #granted: StepLine | undefined;
  #skip: Skip | undefined;
  #unanswered: Decision | undefined;
  #unwrittenNotes = 0;

  /** Accepted and not carried out yet; the deadline waits for it. */
  get inHand(): Decision | undefined {
    return this.#inHand;
  }

  /** An operator vouches for this step: never for whatever comes after it. */
  get skip(): Skip | undefined {
    return this.#skip;
  }

  /** A `compensate` to which the order's row has not said yes or no. */
  get unanswered(): Decision | undefined {
    return this.#unanswered;
  }

  /** Whether the log has all that it is to say of decisions. */
  get areNoted(): boolean {
    return this.#unwrittenNotes === 0;
  }

  take(decision: Decision): void {
    this.#inHand = decision;
  }

  release(decision: Decision): void {
    if (this.#inHand === decision) this.#inHand = undefined;
  }

  leaveUnanswered(decision: Decision): void {
    this.#unanswered = decision;
  }

  /** The step's next try was decided on before the deadline: it is made, be it after it. */
  grant(step: StepLine | undefined): void {
    this.#granted = step;
  }

  isGranted(step: StepLine): boolean {
    return this.#granted === step;
  }

  endGrant(): void {
    this.#granted = undefined;
  }

  vouch(step: StepLine, operator: string): void {
    this.#skip = { step, operator };
  }

  /** @returns the operator who vouches for the step */
  skippedBy(step: StepLine | undefined): string | undefined {
    return this.#skip && this.#skip.step === step ? this.#skip.operator : undefined;
  }

  /** Holds the saga's end until the log has it. */
  noteLater(written: Promise<void>): void {
    this.#unwrittenNotes++;
    void written.finally(() => this.#unwrittenNotes--);
  }

  /** The step was left, done or turned away from. */
  leave(): void {
    this.#granted = undefined;
    this.#skip = undefined;
  }
}
