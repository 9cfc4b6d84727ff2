/**
 * Node, and only so many test files at a time on this machine, whoever runs them: two runs at once (`npm test` in two checkouts) take
 * longer, and the limits that the product sets itself still mean something. A file's own limits begin when it runs.
 */
import { mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { TestEnvironment } from 'jest-environment-node';
import { tryLock } from '../../local/processes/lock.mjs';

/** As many as one run has workers (jest.config.js), at least: alone, it never waits. */
const PLACES = Math.max(3, availableParallelism());
const LOOK_AGAIN_MS = 250;
const FOLDER = join(tmpdir(), `order-saga-test-places-${process.getuid?.() ?? 0}`);

export default class extends TestEnvironment {
  async setup() {
    await super.setup();
    this.leave = await takePlace();
  }

  async teardown() {
    try {
      await super.teardown();
    } finally {
      this.leave?.();
    }
  }
}

async function takePlace() {
  mkdirSync(FOLDER, { recursive: true });
  const mine = `waiting-${process.pid}`;
  // Whoever waits looks again soon, and goes before the one that has just left a place.
  if (othersWait(mine)) await sleep(2 * LOOK_AGAIN_MS);
  try {
    for (;;) {
      for (let n = 0; n < PLACES; n++) {
        const { release } = tryLock(join(FOLDER, `${n}`));
        if (release) return release;
      }
      writeFileSync(join(FOLDER, mine), '');
      await sleep(LOOK_AGAIN_MS);
    }
  } finally {
    rmSync(join(FOLDER, mine), { force: true });
  }
}

/** One that was killed while it waited looks no more. */
function othersWait(mine) {
  return readdirSync(FOLDER).some((name) => {
    if (!name.startsWith('waiting-') || name === mine) return false;
    const { mtimeMs = 0 } = statSync(join(FOLDER, name), { throwIfNoEntry: false }) ?? {};
    return Date.now() - mtimeMs < 4 * LOOK_AGAIN_MS;
  });
}
