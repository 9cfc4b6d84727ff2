/**
 * The longest files first, so that no worker is left alone with one at the end. Jest does so itself once it has timed them on this
 * machine; in a fresh clone it goes by their size, which says little: some long ones are short to read, since they wait.
 */
import { createRequire } from 'node:module';
import { relative } from 'node:path';

/** Jest's own sequencer, from where Jest has it. */
const { default: Sequencer } = ['jest', '@jest/core', 'jest-config'].reduce(
  (require, name) => createRequire(require.resolve(name)),
  createRequire(import.meta.url),
)('@jest/test-sequencer');

/** Seconds that a file takes, of those that take more than half a minute beside others; of the rest, the size decides. */
const LONG_S = {
  'system/links': 150,
  'system/observability': 113,
  'ops/commands': 100,
  'sagas/standstill': 95,
  'system/crashes': 95,
  'relay/publishers/rabbitmq': 80,
  'system/brokers': 75,
  'system/audit': 70,
  'system/frozen': 70,
  'api/operators': 65,
  'api/waiting/cost': 60,
  'system/orders': 55,
  'ops/audit': 50,
  'ops/stuck': 50,
  'workers/versioning': 50,
  'workflows/replayable': 50,
  'api/health': 45,
  'ops/unmarked': 45,
  'system/metrics': 45,
  'system/standstill': 45,
  'examples/consumers': 40,
  'api/dead-letters': 35,
  'api/sagas': 35,
  'bench/smoke': 35,
  'domain/audit': 35,
  'ops/bulk': 35,
  'relay/publishers/kafka': 35,
  'system/bulkheads': 35,
  'system/lost-answers': 35,
  'system/secrets': 35,
  'workflows/operators': 35,
  'workflows/progress': 35,
  'ops/unserved': 32,
  'system/flash-sale': 31,
  'system/outage': 31,
  'workers/prober': 31,
};

export default class extends Sequencer {
  time(test) {
    const { config, hasteFS } = test.context;
    const name = relative(config.rootDir, test.path).replaceAll('\\', '/');
    const seconds = LONG_S[name.replace(/^test\/(.*)\.test\.ts$/, '$1')];
    return super.time(test) ?? (seconds === undefined ? (hasteFS.getSize(test.path) ?? 0) : seconds * 1_000);
  }
}
