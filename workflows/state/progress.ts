/** How a saga stands, and how each of its steps and undos has gone: what its query `progress` answers, and nothing else. */
import type { StepName, UndoName } from '../../contracts/plan.js';
import {
  pendingStep,
  type SagaProgress,
  type SagaState,
  type StepProgress,
  type StepStatus,
} from '../../contracts/saga.js';

/** A step or an undo, as all but its owner see it. */
export type StepLine = Readonly<StepProgress>;

/** What may be stuck: a step, an undo, or the decision to unwind, which is neither. */
export type Stuck = Pick<StepLine, 'attempts' | 'lastError'> & { readonly name: StepLine['name'] | 'beginUnwinding' };

export class Progress {
  readonly #lines: StepProgress[];
  #current: StepProgress | undefined;
  #state: SagaState = 'RUNNING';
  #markedAs: string | undefined;

  /** @param names the steps that are shown as pending */
  constructor(names: readonly StepName[]) {
    this.#lines = names.map((name) => pendingStep(name, 'step'));
  }

  get state(): SagaState {
    return this.#state;
  }

  get steps(): readonly StepLine[] {
    return this.#lines;
  }

  /** What is being carried out, step or undo; only this can be retried or skipped. */
  get current(): StepLine | undefined {
    return this.#current;
  }

  /** A copy, as of now. */
  read(): SagaProgress {
    return { state: this.#state, steps: this.#lines.map((line) => ({ ...line })) };
  }

  /** The kind of failure that it is listed as stuck under. */
  get markedAs(): string | undefined {
    return this.#markedAs;
  }

  /** Whether it is listed as stuck, under this kind of failure. */
  isMarkedAs(failureType: string): boolean {
    return this.#state === 'NEEDS_ATTENTION' && this.#markedAs === failureType;
  }

  markAs(failureType: string): void {
    this.#state = 'NEEDS_ATTENTION';
    this.#markedAs = failureType;
  }

  /** To a state in which it asks for no operator. */
  setState(state: Exclude<SagaState, 'NEEDS_ATTENTION'>): void {
    this.#state = state;
    this.#markedAs = undefined;
  }

  /** @returns the line of the step or undo, begun now */
  begin(name: StepName | UndoName, kind: StepLine['kind']): StepLine {
    let line = this.#lines.find((other) => other.name === name);
    if (!line) {
      line = pendingStep(name, kind);
      this.#lines.push(line);
    }
    line.status = 'running';
    line.attempts++;
    line.startedAt ??= now();
    this.#current = line;
    return line;
  }

  setStatus(step: StepLine, status: StepStatus): void {
    this.#lineOf(step).status = status;
  }

  countTries(step: StepLine, tries: number): void {
    this.#lineOf(step).attempts += tries;
  }

  noteError(step: StepLine, message: string | null): void {
    this.#lineOf(step).lastError = message;
  }

  end(step: StepLine, status: StepStatus): void {
    const line = this.#lineOf(step);
    line.status = status;
    line.finishedAt = now();
  }

  /** However it was left, done or turned away from. */
  leave(step: StepLine): void {
    this.#lineOf(step).finishedAt ??= now();
    this.#current = undefined;
  }

  #lineOf(step: StepLine): StepProgress {
    const line = this.#lines.find((other) => other === step);
    if (!line) throw new Error(`Bug! ${step.name} is no step of this saga`);
    return line;
  }
}

const now = (): string => new Date().toISOString();
