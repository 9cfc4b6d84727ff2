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
  'ops/commands': 150,
  'simulation/simulation': 120,
  'system/links': 110,
  'system/crashes': 105,
  'system/observability': 100,
  'sagas/standstill': 90,
  'system/brokers': 90,
  'system/frozen': 85,
  'ops/rollout': 80,
  'api/operators': 70,
  'deploy/alarms/alarms': 70,
  'soak/soak': 70,
  'system/audit': 70,
  'system/lost-answers': 70,
  'system/orders': 70,
  'bench/smoke': 65,
  'examples/kafka': 65,
  'ops/find': 65,
  'ops/replay-check': 65,
  'ops/unmarked': 65,
  'system/secrets': 65,
  'console/deliveries': 60,
  'local/demo': 60,
  'model/model': 60,
  'api/caller-limits': 55,
  'console/sign-in': 55,
  'examples/analytics/kills': 55,
  'explanation/situations': 55,
  'explanation/timeline': 55,
  'ops/after-restore': 55,
  'ops/doctor': 55,
  'privacy/brokers': 55,
  'system/bulkheads': 55,
  'workers/prober': 55,
  'api/dead-letters': 50,
  'api/operations': 50,
  'console/order': 50,
  'ops/erasure-journal': 50,
  'ops/stuck': 50,
  'runtime/database-check': 50,
  'system/outage': 50,
  'workers/versioning': 50,
  'workflows/decisions': 50,
  'workflows/operators': 50,
  'api/sagas': 45,
  'console/operations': 45,
  'domain/audit': 45,
  'examples/nats': 45,
  'ops/dead-letters': 45,
  'prisma/interrupted': 45,
  'relay/publishers/kafka': 45,
  'system/admission': 45,
  'system/metrics': 45,
  'system/standstill': 45,
  'activities/look-up': 40,
  'console/live': 40,
  'ops/erase': 40,
  'privacy/canaries': 40,
  'relay/processes': 40,
  'system/brakes': 40,
  'system/operations': 40,
  'system/series': 40,
  'console/holding': 35,
  'console/search': 35,
  'ops/audit': 35,
  'ops/reconcile': 35,
  'ops/restored': 35,
  'system/flash-sale': 35,
  'console/adversities': 60,
  'console/keyboard': 55,
  'workflows/progress': 35,
  'api/health': 30,
  'api/waiting/cost': 30,
  'examples/feed': 30,
  'examples/rabbitmq': 30,
  'examples/webhook': 30,
  'ops/bulk': 30,
  'ops/unserved': 30,
  'ops/verify': 30,
  'prisma/under-load': 30,
  'relay/publishers/rabbitmq': 30,
  'system/failover': 30,
  'system/releases': 30,
  'system/rotation': 30,
  'workflows/replayable': 30,
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
