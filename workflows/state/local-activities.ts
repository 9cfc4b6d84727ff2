/**
 * A saga's local activities, one at a time. The saga and its message handlers would run some side by side, and the server records
 * those in the order in which they end, whereas a replay tells the workflow of them in the order in which they were called: a saga
 * that lost its place in a worker's memory then could not be gone on with (https://github.com/temporalio/sdk-typescript/issues/1744).
 */
import { type ActivityInterfaceFor, type LocalActivityOptions, proxyLocalActivities } from '@temporalio/workflow';
import type { OrderSagaInput } from '../../contracts/saga.js';
import type { SagaActivities } from '../../contracts/steps.js';
import { takesTurns } from '../generation.js';

type Local = ActivityInterfaceFor<SagaActivities>;

export class LocalActivities {
  readonly #inTurns: boolean;
  #running: Promise<unknown> | undefined;

  constructor(input: OrderSagaInput) {
    this.#inTurns = takesTurns(input);
  }

  /** @returns all activities as local ones; a call begins when those before it have ended */
  with(options: LocalActivityOptions): Local {
    const direct = proxyLocalActivities<SagaActivities>(options);
    if (!this.#inTurns) return direct;
    return new Proxy(direct, {
      get: (local, name) => (input: never) => this.#inTurn<unknown>(() => local[name as keyof Local](input)),
    });
  }

  async #inTurn<T>(call: () => Promise<T>): Promise<T> {
    while (this.#running) await this.#running.catch(() => undefined); // its caller hears of that
    const running = call();
    this.#running = running;
    try {
      return await running;
    } finally {
      this.#running = undefined;
    }
  }
}
