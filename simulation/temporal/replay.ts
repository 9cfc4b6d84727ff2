/**
 * Replay: a workflow that has lost its place in a worker's memory is carried out anew from its history, and has to ask for the
 * same in the same order. Used for workers that die in a simulation, and for the histories that real servers have recorded.
 */
import type { Product } from '../product.js';
import { Core } from './core.js';
import { type CommandEvent, type HistoryEvent, isCommand } from './events.js';

/** A task of a history: where it started, and what it came to. */
type Task = { startedAt: number; commandsAt: number; flags: number[] };

export class NotTheSame extends Error {
  override name = 'NotTheSame';
}

/** @returns the tasks that have come to something, by their places in the history */
export function tasksOf(events: readonly HistoryEvent[]): Task[] {
  const tasks: Task[] = [];
  let started = -1;
  for (const [i, event] of events.entries()) {
    if (event.type === 'taskStarted') started = i;
    if (event.type === 'taskCompleted') tasks.push({ startedAt: started, commandsAt: i + 1, flags: event.flags });
  }
  return tasks;
}

/** What follows a completed task of commands, the server's own record of patches apart. */
export function commandsFrom(events: readonly HistoryEvent[], at: number): CommandEvent[] {
  const commands: CommandEvent[] = [];
  for (let i = at; i < events.length; i++) {
    const event = events[i] as HistoryEvent;
    if (!isCommand(event)) break;
    commands.push(event);
  }
  return commands;
}

/**
 * Carries out every task that has come to something.
 * @param strictly the same to the letter; else as Temporal compares: which commands, of what name
 * @returns the workflow as it stands after them, and up to which event it has been told
 * @throws NotTheSame
 */
export function replay(
  product: Product,
  events: readonly HistoryEvent[],
  { strictly }: { strictly: boolean },
): { core: Core; told: number } {
  const [started] = events;
  if (started?.type !== 'started') throw new Error('Bug! A history without a beginning');
  const core = new Core(product, started);
  let told = 0;
  try {
    for (const task of tasksOf(events)) {
      replayTask(core, events, task, told, strictly);
      told = task.startedAt;
    }
    if (core.commands.length > 0) throw new NotTheSame(`The history ends, and now ${said(core.commands[0], strictly)}`);
  } catch (err) {
    core.dispose();
    throw err;
  }
  return { core, told };
}

function replayTask(core: Core, events: readonly HistoryEvent[], task: Task, told: number, strictly: boolean): void {
  const expected = commandsFrom(events, task.commandsAt);
  const started = events[task.startedAt] as Extract<HistoryEvent, { type: 'taskStarted' }>;
  const activation = {
    at: started.at,
    isReplaying: true,
    suggestsAnew: started.suggestsAnew ?? false,
    historyLength: task.startedAt + 1,
  };
  core.startTask(task.flags, core.commands);
  const updates = expected.flatMap((event) => (event.type === 'updateAccepted' ? [event] : []));
  const patches = expected.flatMap((event) => (event.type === 'patchMarker' ? [event.patchId] : []));
  const inbound = events.slice(told, task.startedAt);
  core.deliver(inbound, updates, { ...activation, patches, runValidators: false });
  const markers = new Map(
    expected.flatMap((event) => (event.type === 'laMarker' ? [[event.seq, event] as const] : [])),
  );
  for (;;) {
    // Those that were called together are told together.
    const ended = [...core.outstanding.keys()].flatMap((seq) => markers.get(seq) ?? []);
    if (ended.length === 0) break;
    for (const { seq } of ended) markers.delete(seq);
    const outcomes = ended.map(({ seq, failure, result }) => ({ seq, outcome: failure ? { failure } : { result } }));
    const at = Math.max(started.at, ...ended.map(({ completeAt }) => completeAt));
    core.resolveLocal(outcomes, { ...activation, at });
  }
  // A task that was handed in while a local activity ended has its marker, and the next one has what followed from it.
  core.startTask([], compare(core.commands, expected, task, strictly));
}

/** @returns what was asked for, and is not in this task of the history */
function compare(
  got: readonly CommandEvent[],
  expected: readonly CommandEvent[],
  { commandsAt }: Task,
  strictly: boolean,
): CommandEvent[] {
  for (const [i, command] of expected.entries()) {
    const [a, b] = [said(got[i], strictly), said(command, strictly)];
    if (a !== b) throw new NotTheSame(`Event ${commandsAt + i + 1} was ${b}, and is now ${a}`);
  }
  return got.slice(expected.length);
}

/** What a command is recognised by. */
function said(command: CommandEvent | undefined, strictly: boolean): string {
  const whole = (value: unknown): string => (strictly ? JSON.stringify(value) : '');
  if (!command) return 'nothing';
  switch (command.type) {
    case 'laMarker':
      return `local ${command.name} ${command.seq}`;
    case 'activityScheduled':
      return `activity ${command.name} ${command.seq} ${whole(command.input)}`;
    case 'timerStarted':
      return `timer ${command.seq} ${whole(command.ms)}`;
    case 'activityCancelRequested':
    case 'timerCanceled':
      return `${command.type} ${command.seq}`;
    case 'upsert':
      return `upsert ${Object.keys(command.attributes).sort().join()} ${whole(Object.values(command.attributes))}`;
    case 'updateAccepted':
      return `accepted ${command.id}`;
    case 'updateCompleted':
      return `completed ${command.id} ${'success' in command.answer}`;
    case 'patchMarker':
      return `patch ${command.patchId}`;
    case 'completed':
      return `end ${JSON.stringify(command.result)}`;
    case 'continuedAsNew':
      return `anew ${whole(command.input)}`;
    case 'workflowFailed':
      return `failed ${command.failure.message}`;
    default:
      throw new Error(`Bug! ${JSON.stringify(command satisfies never)}`);
  }
}
