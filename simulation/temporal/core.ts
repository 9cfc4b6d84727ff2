/**
 * Between a history and the SDK, as Temporal's Core: events become jobs of activations, commands become events. A local activity is
 * called at once and leaves a marker when it has ended; what is begun and called off within one task was never there.
 */
import type { Product } from '../product.js';
import type { Answer, CommandEvent, Failure, HistoryEvent, InboundEvent } from './events.js';
import { canceled, failed, fromProto, timedOut, toProto } from './failures.js';
import { type Activation, Instance, type Job } from './instance.js';
import { type Duration, fromPayload, type Payload, toMs, toPayload } from './payloads.js';

export type LocalActivity = { seq: number; name: string; input: unknown; startToCloseMs: number };
export type Outcome = { result: unknown } | { failure: Failure };
export type Update = { id: string; name: string; input: unknown; sequencingId: number };
type Payloads = { arguments?: Payload[] };
type Raw = Record<string, Record<string, unknown> & Payloads> & { userMetadata?: { summary?: Payload } };

export class Core {
  readonly #instance: Instance;
  readonly #names = new Map<number, string>();
  readonly #updates = new Map<string, Update>();
  readonly #accepted = new Set<string>();
  #calledOff: number[] = [];
  /** What the task under way has come to so far. */
  commands: CommandEvent[] = [];
  /** Local activities that have not ended, in the order of their calls. */
  readonly outstanding = new Map<number, LocalActivity>();
  /** Local activities that the workflow has called off. */
  abandoned: number[] = [];
  /** Updates that were turned away: they leave nothing in a history. */
  refusals: { id: string; failure: Failure }[] = [];

  constructor(product: Product, started: Extract<InboundEvent, { type: 'started' }>) {
    this.#instance = new Instance(product, started);
  }

  startTask(flags: number[] = [], left: CommandEvent[] = []): void {
    this.commands = left;
    this.refusals = [];
    this.#instance.addFlags(flags);
  }

  get flags(): number[] {
    return this.#instance.flags;
  }

  /** @param updates in the order in which they came */
  deliver(
    events: readonly HistoryEvent[],
    updates: readonly Update[],
    { patches, ...activation }: Activation & { patches: readonly string[]; runValidators: boolean },
  ): void {
    const jobs = events.flatMap((event) => this.#jobsOf(event));
    for (const update of updates) this.#updates.set(update.id, update);
    const ofUpdates = updates.map(({ id, name, input }) =>
      job('doUpdate', {
        ...{ id, protocolInstanceId: id, name, input: [toPayload(input)], headers: {} },
        ...{ meta: {}, runValidator: activation.runValidators },
      }),
    );
    const isFirst = ({ variant }: Job) => variant === 'initializeWorkflow';
    const isSignal = ({ variant }: Job) => variant === 'signalWorkflow';
    this.#activate(
      [
        ...jobs.filter(isFirst),
        ...patches.map((patchId) => job('notifyHasPatch', { patchId })),
        ...jobs.filter(isSignal),
        ...ofUpdates,
        ...jobs.filter((it) => !isFirst(it) && !isSignal(it)),
      ],
      activation,
    );
  }

  /** Tells the workflow what became of local activities; their markers are recorded. */
  resolveLocal(ended: readonly { seq: number; outcome: Outcome }[], activation: Activation): void {
    const jobs = ended.map(({ seq, outcome }) => {
      const { name } = this.outstanding.get(seq) as LocalActivity;
      this.outstanding.delete(seq);
      this.commands.push({ type: 'laMarker', seq, name, completeAt: activation.at, ...outcome });
      return job('resolveActivity', { seq, isLocal: true, result: resultOf(outcome) });
    });
    this.#activate(jobs, activation);
  }

  query(name: string): unknown {
    return fromPayload(this.#instance.query(name));
  }

  dispose(): void {
    this.#instance.dispose();
  }

  #activate(jobs: Job[], activation: Activation): void {
    for (const raw of this.#instance.activate(jobs, activation)) this.#take(raw as unknown as Raw);
    const calledOff = this.#calledOff.splice(0);
    if (calledOff.length > 0)
      this.#activate(
        calledOff.map((seq) => this.#canceledJob(seq)),
        activation,
      );
  }

  #canceledJob(seq: number): Job {
    const failure = toProto(canceled({ seq, name: this.#names.get(seq) ?? '' }));
    return job('resolveActivity', { seq, isLocal: false, result: { cancelled: { failure } } });
  }

  #jobsOf(event: HistoryEvent): Job[] {
    const resolve = (seq: number, result: unknown) => [job('resolveActivity', { seq, isLocal: false, result })];
    const which = (seq: number) => ({ seq, name: this.#names.get(seq) ?? '' });
    switch (event.type) {
      case 'started':
        return [
          job('initializeWorkflow', {
            workflowType: event.workflowType,
            workflowId: event.workflowId,
            arguments: [toPayload(event.input)],
            headers: {},
            memo: { fields: Object.fromEntries(Object.entries(event.memo).map(([k, v]) => [k, toPayload(v)])) },
            searchAttributes: { indexedFields: {} },
          }),
        ];
      case 'signaled':
        return [job('signalWorkflow', { signalName: event.name, input: event.input.map(toPayload), headers: {} })];
      case 'cancelRequested':
        return [job('cancelWorkflow', { reason: '' })];
      case 'timerFired':
        return [job('fireTimer', { seq: event.seq })];
      case 'activityCompleted':
        return resolve(event.seq, { completed: { result: toPayload(event.result) } });
      case 'activityFailed':
        return resolve(event.seq, { failed: { failure: toProto(failed(which(event.seq), event.failure)) } });
      case 'activityTimedOut':
        return resolve(event.seq, { failed: { failure: toProto(timedOut(which(event.seq), event.failure)) } });
      case 'activityCanceled':
        return [this.#canceledJob(event.seq)];
      default:
        return [];
    }
  }

  #take(raw: Raw): void {
    const [kind, command] = Object.entries(raw).find(([key, value]) => value && !OTHER_PARTS.has(key)) as [
      string,
      Raw[string],
    ];
    const seq = command['seq'] as number;
    const summary = fromPayload(raw.userMetadata?.summary) as string | undefined;
    const input = fromPayload(command.arguments?.[0]);
    switch (kind) {
      case 'scheduleLocalActivity': {
        const name = command['activityType'] as string;
        const startToCloseMs = toMs(command['startToCloseTimeout'] as Duration) ?? 0;
        this.outstanding.set(seq, { seq, name, input, startToCloseMs });
        return;
      }
      case 'requestCancelLocalActivity':
        this.abandoned.push(seq);
        return;
      case 'scheduleActivity':
        this.#names.set(seq, command['activityType'] as string);
        this.commands.push({ ...scheduled(command, summary), seq, input });
        return;
      case 'requestCancelActivity':
        if (this.#withdraw('activityScheduled', seq)) this.#calledOff.push(seq);
        else this.commands.push({ type: 'activityCancelRequested', seq });
        return;
      case 'startTimer':
        this.commands.push({
          type: 'timerStarted',
          seq,
          ms: toMs(command['startToFireTimeout'] as Duration) ?? 0,
          summary,
        });
        return;
      case 'cancelTimer':
        if (!this.#withdraw('timerStarted', seq)) this.commands.push({ type: 'timerCanceled', seq });
        return;
      case 'setPatchMarker':
        this.commands.push({ type: 'patchMarker', patchId: command['patchId'] as string });
        return;
      case 'upsertWorkflowSearchAttributes': {
        const fields = (command['searchAttributes'] as { indexedFields: Record<string, Payload> }).indexedFields;
        const attributes = Object.fromEntries(Object.entries(fields).map(([k, v]) => [k, fromPayload(v) ?? null]));
        this.commands.push({ type: 'upsert', attributes });
        return;
      }
      case 'updateResponse':
        this.#answer(command);
        return;
      case 'completeWorkflowExecution':
        this.commands.push({ type: 'completed', result: fromPayload(command['result'] as unknown as Payload) });
        return;
      case 'continueAsNewWorkflowExecution':
        this.commands.push({ type: 'continuedAsNew', input });
        return;
      default: {
        const failure = fromProto((command['failure'] ?? { message: kind }) as Parameters<typeof fromProto>[0]);
        this.commands.push({ type: 'workflowFailed', failure });
      }
    }
  }

  #answer(response: Record<string, unknown>): void {
    const update = this.#updates.get(response['protocolInstanceId'] as string) as Update;
    if (response['accepted']) {
      this.#accepted.add(update.id);
      this.commands.push({ type: 'updateAccepted', ...update });
      return;
    }
    const answer: Answer = response['rejected']
      ? { failure: fromProto(response['rejected'] as Parameters<typeof fromProto>[0]) }
      : { success: fromPayload(response['completed'] as Payload) };
    if (this.#accepted.has(update.id)) this.commands.push({ type: 'updateCompleted', id: update.id, answer });
    else if ('failure' in answer) this.refusals.push({ id: update.id, failure: answer.failure });
  }

  /** @returns whether it was begun in this very task; then it is gone */
  #withdraw(type: 'activityScheduled' | 'timerStarted', seq: number): boolean {
    const i = this.commands.findIndex((command) => command.type === type && command.seq === seq);
    if (i === -1) return false;
    this.commands.splice(i, 1);
    return true;
  }
}

const OTHER_PARTS = new Set(['userMetadata', 'eventGroupMarkers']);
const job = (variant: string, attributes: unknown): Job => ({ variant, [variant]: attributes });

function resultOf(outcome: Outcome): unknown {
  if ('result' in outcome) return { completed: { result: toPayload(outcome.result) } };
  const failure = toProto(outcome.failure);
  return outcome.failure.cause?.canceledFailureInfo ? { cancelled: { failure } } : { failed: { failure } };
}

function scheduled(command: Record<string, unknown>, summary: string | undefined) {
  const retry = (command['retryPolicy'] ?? {}) as Record<string, unknown>;
  const initialIntervalMs = toMs(retry['initialInterval'] as Duration) || 1_000;
  return {
    type: 'activityScheduled' as const,
    name: command['activityType'] as string,
    options: {
      startToCloseMs: toMs(command['startToCloseTimeout'] as Duration) ?? 0,
      scheduleToCloseMs: toMs(command['scheduleToCloseTimeout'] as Duration),
      initialIntervalMs,
      backoffCoefficient: (retry['backoffCoefficient'] as number | undefined) || 2,
      maximumIntervalMs: toMs(retry['maximumInterval'] as Duration) || 100 * initialIntervalMs,
      maximumAttempts: (retry['maximumAttempts'] as number | undefined) ?? 0,
      summary,
    },
  };
}
