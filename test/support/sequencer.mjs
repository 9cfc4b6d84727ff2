/**
 * The longest files early, so that no worker is left alone with one at the end, but not all of them at once: many start a whole
 * installation, and three of those beside each other would be held to limits of time that two processors cannot keep. By itself Jest
 * goes by their size in a fresh clone, which says little: some long ones are short to read, since they wait.
 */
import { createRequire } from 'node:module';
import { relative } from 'node:path';

/** Jest's own sequencer, from where Jest has it. */
const { default: Sequencer } = ['jest', '@jest/core', 'jest-config'].reduce(
  (require, name) => createRequire(require.resolve(name)),
  createRequire(import.meta.url),
)('@jest/test-sequencer');

/** Seconds that a file takes, of those that take about half a minute or more beside others; a byte of any other counts for a millisecond. */
const LONG_FROM_MS = 30_000;
const LONG_S = {
  'system/links': 150,
  'system/observability': 113,
  'ops/commands': 100,
  'sagas/standstill': 95,
  'system/crashes': 95,
  'relay/publishers/rabbitmq': 80,
  'system/brokers': 75,
  'system/audit': 70,
  'soak/deploys': 65,
  'soak/soak': 70,
  'system/frozen': 70,
  'api/operators': 65,
  'api/waiting/cost': 60,
  'ops/after-restore': 60,
  'system/failover': 60,
  'system/orders': 55,
  'ops/audit': 50,
  'ops/stuck': 50,
  'workers/versioning': 50,
  'system/releases': 50,
  'workflows/replayable': 50,
  'api/health': 45,
  'ops/unmarked': 45,
  'ops/verify': 45,
  'system/metrics': 45,
  'system/standstill': 45,
  'console/adversities': 60,
  'console/keyboard': 55,
  'console/live': 50,
  'examples/kafka': 60,
  'examples/nats': 50,
  'examples/rabbitmq': 50,
  'examples/webhook': 35,
  'examples/feed': 30,
  'api/dead-letters': 35,
  'api/sagas': 35,
  'bench/smoke': 35,
  'domain/audit': 35,
  'ops/bulk': 35,
  'prisma/under-load': 35,
  'simulation/simulation': 35,
  'ops/rollout': 45,
  'relay/publishers/kafka': 35,
  'system/bulkheads': 35,
  'system/lost-answers': 35,
  'system/rotation': 40,
  'system/secrets': 35,
  'workflows/operators': 35,
  'workflows/progress': 35,
  'ops/unserved': 32,
  'system/flash-sale': 31,
  'system/outage': 31,
  'workers/prober': 31,
};

export default class extends Sequencer {
  /** Between two long ones come as many short ones as take half of the first one's time: of three workers one has short ones. */
  async sort(tests) {
    const sorted = await super.sort(tests); // what failed last, then the longest
    const short = sorted.filter(({ duration }) => duration < LONG_FROM_MS);
    const order = [];
    for (const long of sorted.filter(({ duration }) => duration >= LONG_FROM_MS)) {
      order.push(long);
      for (let ms = long.duration / 2; ms > 0 && short.length > 0; ms -= order.at(-1).duration)
        order.push(short.shift());
    }
    return [...order, ...short];
  }

  time(test) {
    const { config, hasteFS } = test.context;
    const name = relative(config.rootDir, test.path).replaceAll('\\', '/');
    const seconds = LONG_S[name.replace(/^test\/(.*)\.test\.ts$/, '$1')];
    return super.time(test) ?? (seconds === undefined ? (hasteFS.getSize(test.path) ?? 0) : seconds * 1_000);
  }
}
