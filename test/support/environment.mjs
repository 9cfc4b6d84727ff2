/**
 * Node, and only so many test files at a time on this machine as its processors can serve, whoever runs them: two runs at once
 * (`npm test` in two checkouts) take longer, and the limits that the product sets itself still mean something. A file's own limits
 * begin when it runs.
 */
import { mkdirSync, readdirSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { TestEnvironment } from 'jest-environment-node';
import { lock, tryLock } from '../../local/processes/lock.mjs';
import { costOf, isRecording, measure } from './costs.mjs';

const LOOK_AGAIN_MS = 250;
/** Locks, of which each belongs to a process that lives: `running-<processors>-<pid>`, `waiting-<since>-<pid>`, and the table's own. */
const FOLDER = join(tmpdir(), `order-saga-test-files-${process.getuid?.() ?? 0}`);

export default class extends TestEnvironment {
  constructor(config, context) {
    super(config, context);
    this.path = context.testPath;
  }

  async setup() {
    await super.setup();
    this.leave = await takePlace(costOf(this.path).processors);
    if (isRecording) this.record = measure(this.path);
  }

  async teardown() {
    try {
      await super.teardown();
      this.record?.();
    } finally {
      this.leave?.();
    }
  }
}

/** Whoever has waited longest goes next, as soon as there is room. @returns what gives the place back */
async function takePlace(processors) {
  mkdirSync(FOLDER, { recursive: true });
  const ticket = `waiting-${Date.now()}-${process.pid}`;
  const { release: leaveQueue } = tryLock(join(FOLDER, ticket));
  try {
    for (;;) {
      const unlock = await lock(join(FOLDER, 'table'), () => {});
      try {
        const held = heldLocks();
        if (held.find((name) => name.startsWith('waiting-')) === ticket && isRoom(held, processors))
          return tryLock(join(FOLDER, `running-${processors}-${process.pid}`)).release;
      } finally {
        unlock();
      }
      await sleep(LOOK_AGAIN_MS);
    }
  } finally {
    leaveQueue();
  }
}

const isRoom = (held, processors) => {
  const running = held.filter((name) => name.startsWith('running-')).map((name) => Number(name.split('-')[1]));
  return running.length === 0 || running.reduce((a, b) => a + b, processors) <= availableParallelism();
};

/** Names of the locks that a living process holds, sorted; of the others, it removes them. */
function heldLocks() {
  return readdirSync(FOLDER)
    .filter((name) => /^(running|waiting)-[\d.]+-\d+$/.test(name))
    .toSorted()
    .filter((name) => {
      const { release } = tryLock(join(FOLDER, name));
      release?.();
      return release === undefined;
    });
}
