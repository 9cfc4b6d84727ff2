/**
 * One workflow execution, as Temporal's server and a worker's Core keep it between them: its history, its tasks, timers and activities.
 * What arrives while a task is under way is told with the next one; a task that its worker does not hand in is begun again elsewhere.
 */
import type { Planned } from '../clock.js';
import type { Core, LocalActivity, Outcome, Update } from './core.js';
import type { Answer, CommandEvent, HistoryEvent, InboundEvent } from './events.js';
import { canceled, timedOut, timeout } from './failures.js';
import type { Attempt, Host } from './host.js';
import { Ordinary } from './ordinary.js';
import { NotTheSame, replay } from './replay.js';

/** As the product starts its sagas (contracts/saga). */
const TASK_TIMEOUT_MS = 5_000;
/** A worker hands in a task of which local activities are still running after so long, and gets a new one. */
const HEARTBEAT_MS = 4_000;

type Task = {
  state: 'scheduled' | 'started';
  startedAt: number;
  updates: Update[];
  planned: Planned;
  suggestsAnew: boolean;
};
type Local = { attempt: Attempt; limit: Planned };
export type Start = { workflowType: string; workflowId: string; input: unknown };

export class Execution {
  readonly #host: Host;
  readonly #start: Start;
  readonly #anewAfter: number;
  history: HistoryEvent[] = [];
  /** The histories of runs that were continued as new. */
  readonly earlier: HistoryEvent[][] = [];
  /** As visibility has them. */
  readonly attributes: Record<string, unknown> = {};
  result: unknown;
  isClosed = false;
  #core: Core | undefined;
  #told = 0;
  #flagsKnown = 0;
  #task: Task | undefined;
  #buffered: InboundEvent[] = [];
  #updates: Update[] = [];
  readonly #answers = new Map<string, (answer: Answer | 'aborted') => void>();
  readonly #timers = new Map<number, Planned & { summary?: string | undefined }>();
  readonly #activities = new Map<number, Ordinary>();
  readonly #locals = new Map<number, Local>();
  #ended: { seq: number; outcome: Outcome }[] = [];

  /** @param anewAfter events, after which the server suggests to begin anew */
  constructor(host: Host, start: Start, anewAfter: number) {
    this.#host = host;
    this.#start = start;
    this.#anewAfter = anewAfter;
    this.#begin(start.input);
  }

  #begin(input: unknown): void {
    const { workflowType, workflowId } = this.#start;
    const runId = `${workflowId}/${this.earlier.length + 1}`;
    this.#append({ type: 'started', workflowType, workflowId, runId, input, memo: { correlationId: 'c-1' } });
    this.#scheduleTask();
  }

  signal(name: string, input: unknown[]): void {
    this.#inbound([{ type: 'signaled', name, input }]);
  }

  requestCancel(): void {
    this.#inbound([{ type: 'cancelRequested' }]);
  }

  update(id: string, name: string, input: unknown, answered: (answer: Answer | 'aborted') => void): void {
    if (this.isClosed) {
      answered('aborted');
      return;
    }
    this.#answers.set(id, answered);
    this.#updates.push({ id, name, input, sequencingId: 0 });
    if (!this.#task) this.#scheduleTask();
  }

  /** The worker's process is gone, or asleep for so long that it counts as gone; or it has only forgotten this saga. */
  loseWorker(how: 'killed' | 'asleep' | 'forgotten'): void {
    if (how === 'forgotten') {
      if (this.#task?.state !== 'started' && this.#locals.size === 0) this.#forget();
      return;
    }
    for (const { attempt, limit } of this.#locals.values()) {
      attempt.abandon(how);
      this.#host.clock.cancel(limit);
    }
    this.#locals.clear();
    this.#ended = [];
    for (const activity of this.#activities.values()) activity.workerIsGone(how);
    this.#forget();
    if (this.#task?.state !== 'started') return;
    const { clock } = this.#host;
    clock.cancel(this.#task.planned);
    this.#task.planned = clock.in(this.#task.startedAt + TASK_TIMEOUT_MS - clock.now, () =>
      this.#giveTaskBack('taskTimedOut'),
    );
    this.#host.reached('a worker dies amid a task');
  }

  get tries(): (name: string) => number | null {
    return (name) => [...this.#activities.values()].find((it) => it.name === name)?.attempt ?? null;
  }

  /** What it waits for; a task that is due, or under way, is nothing to wait for. */
  get waitsFor(): { activities: Ordinary[]; timers: { summary: string; at: number }[] } | undefined {
    if (this.#task || this.isClosed) return undefined;
    return {
      activities: [...this.#activities.values()],
      timers: [...this.#timers.values()].map(({ summary = '', at }) => ({ summary, at })),
    };
  }

  /** @returns what the query answers; undefined while no worker has it in memory */
  query(name: string): unknown {
    return this.#core?.query(name);
  }

  /** At the end of a simulation: nothing of it stays in memory. */
  dispose(): void {
    this.#forget();
  }

  #append(event: HistoryEvent extends infer E ? (E extends unknown ? Omit<E, 'at'> : never) : never): void {
    this.history.push({ ...event, at: this.#host.clock.now } as HistoryEvent);
  }

  #inbound(events: InboundEvent[]): void {
    if (this.isClosed || events.length === 0) return;
    if (this.#task?.state === 'started') {
      this.#buffered.push(...events);
      return;
    }
    for (const event of events) this.#append(event);
    if (!this.#task) this.#scheduleTask();
  }

  #scheduleTask(): void {
    this.#append({ type: 'taskScheduled' });
    const planned = this.#host.clock.in(this.#host.pickUpMs(), () => this.#startTask());
    this.#task = { state: 'scheduled', startedAt: 0, updates: [], planned, suggestsAnew: false };
  }

  #startTask(): void {
    const task = this.#task as Task;
    const { clock, product } = this.#host;
    const startedAt = this.history.length;
    const suggestsAnew = startedAt > this.#anewAfter;
    this.#append({ type: 'taskStarted', suggestsAnew });
    Object.assign(task, { state: 'started', startedAt: clock.now, suggestsAnew });
    const isInMemory = this.#core !== undefined;
    try {
      this.#core ??= this.#recover(product);
    } catch (err) {
      if (!(err instanceof NotTheSame)) throw err;
      this.#host.violated('replay', err.message);
      this.#close();
      return;
    }
    const core = this.#core as Core;
    task.updates = this.#updates.map((update) => ({ ...update, sequencingId: startedAt }));
    const inbound = this.history.slice(this.#told, startedAt);
    if (!isInMemory && this.#told > 0) {
      this.#host.reached('a saga is carried on from its history');
      if (inbound.some(({ type }) => type === 'signaled') || task.updates.length > 0)
        this.#host.reached('a message comes with a replay');
    }
    this.#told = startedAt;
    core.startTask();
    this.#inTask(() =>
      core.deliver(inbound, task.updates, { ...this.#activation(), patches: [], runValidators: true }),
    );
    if (this.#task !== task) return;
    const ended = this.#ended.splice(0);
    if (ended.length > 0) this.#inTask(() => core.resolveLocal(ended, this.#activation()));
    if (this.#task === task) this.#goOn();
  }

  #recover(product: Host['product']): Core {
    const { core, told } = replay(product, this.history, { strictly: true });
    this.#told = told;
    this.#flagsKnown = core.flags.length;
    return core;
  }

  #activation() {
    const suggestsAnew = this.#task?.suggestsAnew ?? false;
    return { at: this.#host.clock.now, isReplaying: false, suggestsAnew, historyLength: this.history.length };
  }

  #inTask(work: () => void): void {
    try {
      work();
    } catch (err) {
      this.#host.violated('no task fails', `${(err as Error).name}: ${(err as Error).message}`);
      this.#close();
    }
  }

  /** Begins the local activities that the workflow has called; hands the task in if there are none. */
  #goOn(): void {
    const core = this.#core as Core;
    const task = this.#task as Task;
    for (const seq of core.abandoned.splice(0)) {
      const it = core.outstanding.get(seq);
      if (!it) continue;
      this.#stopLocal(seq);
      this.#host.reached('a local activity is called off');
      this.#inTask(() => core.resolveLocal([{ seq, outcome: { failure: canceled(it) } }], this.#activation()));
      if (this.#task !== task) return;
    }
    for (const it of core.outstanding.values()) if (!this.#locals.has(it.seq)) this.#beginLocal(it);
    const isOver = core.commands.some(({ type }) => type === 'completed' || type === 'continuedAsNew');
    if (core.outstanding.size === 0 || isOver) {
      this.#handIn();
      return;
    }
    this.#host.clock.cancel(task.planned);
    task.planned = this.#host.clock.in(task.startedAt + HEARTBEAT_MS - this.#host.clock.now, () => {
      this.#host.reached('a task is handed in amid a local activity');
      this.#handIn({ another: true });
    });
  }

  #beginLocal(it: LocalActivity): void {
    const { clock } = this.#host;
    const { seq, name, input, startToCloseMs } = it;
    const info = {
      attempt: 1,
      startToCloseTimeoutMs: startToCloseMs,
      scheduleToCloseTimeoutMs: 0,
      scheduledTimestampMs: clock.now,
      currentAttemptScheduledTimestampMs: clock.now,
    };
    const end = (outcome: Outcome) => {
      if (this.#locals.get(seq) !== local) return; // not waited for any more
      this.#stopLocal(seq);
      this.#localEnded(seq, outcome);
    };
    const local = {} as Local;
    this.#locals.set(seq, local);
    local.limit = clock.in(startToCloseMs, () => {
      this.#host.reached('a local activity runs out of time');
      end({ failure: timedOut(it, timeout('START_TO_CLOSE')) });
    });
    local.attempt = this.#host.attempt(name, input, info, end);
  }

  #stopLocal(seq: number): void {
    this.#host.clock.cancel(this.#locals.get(seq)?.limit);
    this.#locals.delete(seq);
  }

  #localEnded(seq: number, outcome: Outcome): void {
    if (this.#task?.state !== 'started' || !this.#core) {
      this.#ended.push({ seq, outcome });
      return;
    }
    const task = this.#task;
    const core = this.#core;
    this.#inTask(() => core.resolveLocal([{ seq, outcome }], this.#activation()));
    if (this.#task === task) this.#goOn();
  }

  #handIn({ another = false } = {}): void {
    const core = this.#core as Core;
    const task = this.#task as Task;
    this.#host.clock.cancel(task.planned);
    const isOver = core.commands.some(({ type }) => type === 'completed' || type === 'continuedAsNew');
    if (isOver && this.#buffered.length > 0) {
      this.#host.reached('a message comes as the saga ends');
      this.#giveTaskBack('taskFailed');
      return;
    }
    const flags = core.flags.slice(this.#flagsKnown);
    this.#flagsKnown += flags.length;
    this.#append({ type: 'taskCompleted', flags });
    this.#updates = this.#updates.slice(task.updates.length);
    for (const { id, failure } of core.refusals) this.#answer(id, { failure });
    this.#task = undefined;
    const commands = core.commands;
    core.startTask();
    for (const command of commands) this.#carryOut(command);
    if (this.isClosed) return;
    const buffered = this.#buffered.splice(0);
    for (const event of buffered) this.#append(event);
    if (!this.#task && (buffered.length > 0 || another || this.#updates.length > 0)) this.#scheduleTask();
  }

  /** It has come to nothing: whatever it has done is forgotten but for what its local activities have done to the world. */
  #giveTaskBack(why: 'taskTimedOut' | 'taskFailed'): void {
    this.#append({ type: why });
    this.#forget();
    this.#locals.clear();
    this.#task = undefined;
    for (const event of this.#buffered.splice(0)) this.#append(event);
    this.#scheduleTask();
  }

  #forget(): void {
    this.#core?.dispose();
    this.#core = undefined;
    this.#told = 0;
  }

  #answer(id: string, answer: Answer | 'aborted'): void {
    this.#answers.get(id)?.(answer);
    this.#answers.delete(id);
  }

  #carryOut(command: CommandEvent): void {
    this.#append(command);
    const { clock } = this.#host;
    switch (command.type) {
      case 'upsert':
        Object.assign(this.attributes, command.attributes);
        return;
      case 'activityScheduled': {
        const { seq } = command;
        const close = (events: InboundEvent[]) => {
          this.#activities.delete(seq);
          this.#inbound(events);
        };
        this.#activities.set(seq, new Ordinary(this.#host, command, close));
        return;
      }
      case 'activityCancelRequested': {
        const activity = this.#activities.get(command.seq);
        // It is closed within this step of the server; its event follows those of the commands.
        if (activity) clock.in(0, () => activity.requestCancel());
        return;
      }
      case 'timerStarted': {
        const { seq, ms, summary } = command;
        const fire = () => {
          this.#timers.delete(seq);
          this.#inbound([{ type: 'timerFired', seq }]);
        };
        this.#timers.set(seq, Object.assign(clock.in(ms, fire), { summary }));
        return;
      }
      case 'timerCanceled':
        clock.cancel(this.#timers.get(command.seq));
        this.#timers.delete(command.seq);
        this.#buffered = this.#buffered.filter((it) => !(it.type === 'timerFired' && it.seq === command.seq));
        return;
      case 'updateCompleted':
        this.#answer(command.id, command.answer);
        return;
      case 'completed':
        this.result = command.result;
        this.#close();
        return;
      case 'continuedAsNew':
        this.#close();
        this.isClosed = false;
        this.earlier.push(this.history);
        this.history = [];
        this.#host.reached('a long saga begins anew');
        this.#begin(command.input);
        return;
      case 'workflowFailed':
        this.#host.violated('no saga fails', command.failure.message);
        this.#close();
        return;
      default:
    }
  }

  #close(): void {
    this.isClosed = true;
    this.#host.clock.cancel(this.#task?.planned);
    this.#task = undefined;
    this.#buffered = [];
    this.#updates = [];
    for (const timer of this.#timers.values()) this.#host.clock.cancel(timer);
    this.#timers.clear();
    for (const activity of [...this.#activities.values()]) activity.drop();
    for (const id of [...this.#answers.keys()]) this.#answer(id, 'aborted');
    this.#forget();
  }
}
