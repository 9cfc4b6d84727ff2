/**
 * Node, one test file at a time for each processor of this machine, whoever runs them: two runs at once (`npm test` in two
 * checkouts) take longer, and the limits that the product sets itself still mean something. A file's own limits begin when it runs.
 */
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { TestEnvironment } from 'jest-environment-node';
import { tryLock } from '../../local/processes/lock.mjs';

/** As many as one run has workers, at least: alone, it never waits. */
const PLACES = Math.max(2, availableParallelism());
const LOOK_AGAIN_MS = 250;

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
  for (;;) {
    for (let n = 0; n < PLACES; n++) {
      const { release } = tryLock(join(tmpdir(), `order-saga-test-places-${process.getuid?.() ?? 0}`, `${n}`));
      if (release) return release;
    }
    await sleep(LOOK_AGAIN_MS);
  }
}
