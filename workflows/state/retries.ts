/** Requests to try again at once: how many there were, from whom the last one came, and what waits for one. */
import type { OperatorRequest, RetryRequest } from '../../contracts/saga.js';
import type { Failure } from '../failures.js';
import type { StepLine } from './progress.js';

export class Retries {
  #count = 0;
  #parkedFor: Failure | undefined;
  #wokenBy: RetryRequest['by'] | undefined;
  #operatorRequest: OperatorRequest | undefined;

  /** @param operatorRequest of the run before this one */
  constructor(operatorRequest: OperatorRequest | undefined) {
    this.#operatorRequest = operatorRequest;
  }

  /** Why the current step is parked, until a request wakes it. */
  get parkedFor(): Failure | undefined {
    return this.#parkedFor;
  }

  /** Who has woken the step that was parked. */
  get wokenBy(): RetryRequest['by'] | undefined {
    return this.#wokenBy;
  }

  /** What an operator has asked for, until a try that was begun for it has come to something. */
  get operatorRequest(): OperatorRequest | undefined {
    return this.#operatorRequest;
  }

  /** @returns whether there has been a request since this call */
  watch(): () => boolean {
    const seen = this.#count;
    return () => this.#count > seen;
  }

  /** @returns the request's number */
  add(by: RetryRequest['by']): number {
    this.#wokenBy = by;
    return ++this.#count;
  }

  keepOperatorRequest(request: OperatorRequest): void {
    this.#operatorRequest = request;
  }

  park(failure: Failure): void {
    this.#wokenBy = undefined;
    this.#parkedFor = failure;
  }

  unpark(): void {
    this.#parkedFor = undefined;
  }

  /** Given again to the try after one that was cancelled: an operator's request outlives a machine's. */
  operatorRequestFor({ name }: Pick<StepLine, 'name'>): { word?: string } {
    return this.#operatorRequest?.step === name ? { word: this.#operatorRequest.id } : {};
  }

  /** A try that was begun for this request has come to something, good or bad: the next one is not the operator's any more. */
  forgetOperatorRequest(id: string | undefined): void {
    if (this.#operatorRequest?.id === id) this.#operatorRequest = undefined;
  }

  /** The step was left. An operator's request may be another step's, if it is of a run before this one. */
  leave({ name }: StepLine): void {
    this.#wokenBy = undefined;
    if (this.#operatorRequest?.step === name) this.#operatorRequest = undefined;
  }
}
