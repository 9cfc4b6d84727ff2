import type { Mutant } from '../mutant.js';

const SUMS = 'test/domain/operations/sums.test.ts';
const SUM = 'the states of an operation’s items add up to its total, and none is reached before its order is';
const API = 'test/api/operations.test.ts';
const SYSTEM = 'test/system/operations.test.ts';
const CARRYING_OUT = 'domain/operations/carrying-out.ts';

export default [
  {
    id: 'operation-reached-unproved',
    promise: 'No item of an operation is called reached before its order’s row says so.',
    file: CARRYING_OUT,
    find: `state = CASE WHEN \${state} = 'reached' AND NOT (\${isReached}) THEN 'waits' ELSE \${state} END`,
    replace: `state = \${state}`,
    test: SUMS,
    name: SUM,
  },
  {
    id: 'operation-begins-while-paused',
    promise: 'Nothing of an operation begins after it was paused or aborted.',
    file: CARRYING_OUT,
    find: `WHERE id = \${id}::uuid AND state = 'running' AND runner = \${runner} FOR SHARE`,
    replace: `WHERE id = \${id}::uuid AND runner = \${runner} FOR SHARE`,
    test: SUMS,
    name: SUM,
  },
  {
    id: 'operation-item-concluded-twice',
    promise: 'What has come of an item of an operation stays so.',
    file: CARRYING_OUT,
    find: `AND i.no = \${no}::int AND i.state = 'open' AND op.id = i.operation_id AND op.runner = \${runner}\n    RETURNING`,
    replace: `AND i.no = \${no}::int AND op.id = i.operation_id AND op.runner = \${runner}\n    RETURNING`,
    test: SUMS,
    name: SUM,
  },
  {
    id: 'operation-ended-while-open',
    promise: 'An operation has ended only when none of its items is open.',
    file: 'domain/operations/acts.ts',
    find: `AND NOT EXISTS (SELECT FROM operation_items WHERE operation_id = \${id}::uuid AND state = 'open')\``,
    replace: '`',
    test: SUMS,
    name: SUM,
  },
  {
    id: 'operation-count-unchecked',
    promise: 'An operation starts only over as many items as its operator has confirmed.',
    file: 'domain/operations/acts.ts',
    find: 'if (stood.count !== expectedCount)',
    replace: 'if (stood.count < expectedCount - 1)',
    test: API,
    name: 'what a preview has frozen is retried, each once and under the name of who decided it, and what came later is left alone',
  },
  {
    id: 'operation-canary-ignored',
    promise: 'An operation pauses by itself when its canary does not go well.',
    file: 'sagas/deciding/outcomes.ts',
    find: "if (outcome === 'done' || outcome === 'waits' || outcome === 'gone') return undefined;",
    replace: "if (outcome !== 'not-tried') return undefined;",
    test: API,
    name: 'an operation whose gateway is away pauses by itself after its canary, says why, and goes on when it is resumed',
  },
  {
    id: 'operation-orphans-forgotten',
    promise: 'Whoever takes an operation over goes on with what a dead process had begun.',
    file: 'workers/operations/waves.ts',
    find: 'begun.values(), judgeOf(',
    replace: 'begun.slice(begun.length).values(), judgeOf(',
    test: SYSTEM,
    name: 'goes on where it stood, each decision is taken once, and every order is charged once',
  },
] satisfies Mutant[];
