/** The workflow bundle is what every saga runs in: it must stay deterministic and small. */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { workflowBundle } from '../support/histories.js';

/** Without the source map at its end, which is for stack traces and whose size hangs on where the sources lie. */
const SIZE_MAX_BYTES = 680_000;

describe('the workflow bundle', () => {
  const code = readFileSync(workflowBundle(), 'utf8');
  // webpack heads each module with its path.
  const sources = [...code.matchAll(/^ {2}!\*\*\* (\S+) /gm)].map(([, path]) => path ?? '');
  const ours = sources.filter((path) => !path.includes('node_modules'));

  test('contains the sagas and the contracts, and nothing else of ours', () => {
    expect(ours.some((path) => path.includes('/workflows/order-saga'))).toBe(true);
    expect(
      ours.filter((path) =>
        /\/(activities|domain|gateways|runtime|api|workers|relay|service|sandbox|local|prisma)\//.test(path),
      ),
    ).toEqual([]);
  });

  test.each([
    'typebox',
    'node_modules/ajv',
    'event-schemas',
    'fastify',
    'stripe',
    '@prisma',
    'pino',
    'uuid/',
    'node_modules/pg/',
  ])('contains nothing of %s', (name) => {
    expect(sources.filter((path) => path.includes(name))).toEqual([]);
  });

  const preloads = /exports\.preloadModules = function[^}]*}/.exec(code)?.[0] ?? '';

  test('has the SDK take short stacks, before anything else runs', () => {
    expect(preloads).toMatch(/^[^;]*short-stacks/);
    expect(code).toMatch(/^Error\.stackTraceLimit = [1-9];$/m);
  });

  test('is loaded once for all sagas of a worker, and no module of ours keeps anything of one', () => {
    expect(preloads).toContain('workflows/index');
    const [, ...heads] = code.split(/^ {2}!\*\*\* /m);
    const keeping = /^(?:let|var) |^const \w+ = (?:new (?:Weak)?(?:Map|Set|Array)\b|\[\]|\{\})/m;
    const modules = heads.filter((text) => ours.some((path) => text.startsWith(path)));
    expect(modules.length).toBeGreaterThan(30);
    expect(modules.filter((text) => keeping.test(text)).map((text) => text.split(' ')[0])).toEqual([]);
  });

  test('stays small', () => {
    const [run = '', map] = code.split('//# sourceMappingURL=');
    expect(map).toBeDefined();
    expect(Buffer.byteLength(run)).toBeLessThan(SIZE_MAX_BYTES);
  });
});
