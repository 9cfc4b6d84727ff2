/**
 * A running workflow in a worker's memory: the real SDK carries it out, and this does what the worker's thread does around it. What
 * the SDK is told, and in which order, is Core's part (core.ts).
 */
import { ACTIVITY_NAMES } from '../world/names.js';
import type { Activator, Product } from '../product.js';
import { type Payload, toPayload } from './payloads.js';

export type Job = { variant: string } & Record<string, unknown>;
export type RawCommand = Record<string, never>;
export type Activation = { at: number; isReplaying: boolean; suggestsAnew: boolean; historyLength: number };

const SINGLE_BATCH = { id: 2, default: true };

export class Instance {
  readonly #product: Product;
  readonly #activator: Activator;

  constructor(
    product: Product,
    { workflowType, workflowId, runId }: Record<'workflowType' | 'workflowId' | 'runId', string>,
  ) {
    this.#product = product;
    product.api('initRuntime', undefined, {
      info: {
        ...{
          workflowType,
          workflowId,
          runId,
          firstExecutionRunId: runId,
          taskQueue: 'order-saga',
          namespace: 'default',
        },
        ...{ attempt: 1, taskTimeoutMs: 5_000, searchAttributes: {}, memo: {}, historyLength: 0, historySize: 0 },
        ...{ continueAsNewSuggested: false, currentBuildId: '', startTime: new Date(0), runStartTime: new Date(0) },
        unsafe: { isReplaying: false, isReplayingHistoryEvents: false },
      },
      now: 0,
      randomnessSeed: [1, 2, 3],
      showStackTraceSources: false,
      getTimeOfDay: () => 0n,
      registeredActivityNames: ACTIVITY_NAMES,
      stackTracesEnabled: false,
    });
    this.#activator = product.activator;
  }

  /** @throws what the workflow has thrown out of itself: then its task fails */
  activate(jobs: Job[], { at, isReplaying, suggestsAnew, historyLength }: Activation): RawCommand[] {
    const activator = this.#activator;
    activator.now = at;
    activator.info = {
      ...activator.info,
      continueAsNewSuggested: suggestsAnew,
      historyLength,
      unsafe: { ...activator.info.unsafe, isReplaying, isReplayingHistoryEvents: isReplaying },
    };
    const first = jobs[0];
    if (first?.variant === 'initializeWorkflow') this.#call('initialize', first['initializeWorkflow']);
    const batches = this.#batches(jobs.filter(({ variant }) => variant !== 'notifyHasPatch'));
    for (const { variant, notifyHasPatch } of jobs)
      if (variant === 'notifyHasPatch') activator.notifyHasPatch(notifyHasPatch as { patchId: string });
    for (const [i, batch] of batches.entries()) {
      this.#call('activate', { jobs: batch }, i);
      while (this.#call<number>('tryUnblockConditions') > 0);
    }
    activator.sinkCalls = []; // nobody listens
    return this.#call<{ successful: { commands: RawCommand[] } }>('concludeActivation').successful.commands;
  }

  /** Workflows of SDKs before 1.11 were told of signals first, and of all else after what follows from them. */
  #batches(jobs: Job[]): Job[][] {
    const isSignal = ({ variant }: Job) => variant === 'signalWorkflow';
    if (!jobs.some(isSignal) || this.#activator.hasFlag(SINGLE_BATCH)) return [jobs];
    return [jobs.filter(isSignal), jobs.filter((job) => !isSignal(job))].filter((batch) => batch.length > 0);
  }

  /** @returns what its query answers */
  query(name: string): Payload {
    const job = {
      variant: 'queryWorkflow',
      queryWorkflow: { queryType: name, queryId: 'q', arguments: [], headers: {} },
    };
    this.#call('activate', { jobs: [job] });
    const [answer] = this.#call<{
      successful: { commands: { respondToQuery: { succeeded: { response: Payload } } }[] };
    }>('concludeActivation').successful.commands;
    return answer?.respondToQuery.succeeded.response ?? toPayload(null);
  }

  /** Of SDK features, those that its history says it has used. */
  addFlags(flags: number[]): void {
    this.#activator.addKnownFlags(flags);
  }

  get flags(): number[] {
    return [...this.#activator.knownFlags];
  }

  dispose(): void {
    this.#call('dispose');
  }

  #call<R>(name: string, ...args: unknown[]): R {
    return this.#product.api<R>(name, this.#activator, ...args);
  }
}
