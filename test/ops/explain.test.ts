import { describe, expect, test } from '@jest/globals';
import { EXIT } from '../../ops/exit.js';
import { explain } from '../../ops/explain.js';

const prisma = (code: string) => Object.assign(new Error('\nInvalid `db.order.findMany()`\n\nit failed'), { code });
const grpc = (code: number) => Object.assign(new Error(`${code} it failed`), { code, details: '', metadata: {} });

describe('a command that fails under way ends with', () => {
  test.each([
    ['the server ends its sessions', new Error('Raw query failed. Code: `57P01`. Message: `terminating connection`')],
    ['no connection is free', prisma('P2024')],
    ['a transaction cannot be begun', prisma('P2028')],
    ['the connection breaks', new Error('Connection terminated unexpectedly')],
    ['the server is not there', prisma('ECONNREFUSED')],
  ])('69 and a sentence when of Postgres %s', (_, err) => {
    const { message, exitCode } = explain(err);
    expect(exitCode).toBe(EXIT.unavailable);
    expect(message).toMatch(/^Postgres has gone away, or cannot do it now: .+$/);
  });

  test.each([
    ['does not answer', grpc(14)],
    ['answers too late', grpc(4)],
    ['answers too late, as its client says it', new Error('Failed to query Workflow', { cause: grpc(1) })],
    ['answers too late, as it may say it, too', new Error('Failed to query Workflow', { cause: grpc(4) })],
    ['has too much to do', grpc(8)],
  ])('69 and a sentence when Temporal %s', (_, err) => {
    expect(explain(err)).toMatchObject({
      exitCode: EXIT.unavailable,
      message: expect.stringMatching(/^Temporal has gone away, or cannot do it now: /),
    });
  });

  test('1, and where it happened, for a bug, whatever words are in it', () => {
    const { message, exitCode } = explain(new TypeError('UNAVAILABLE is not a function'));
    expect(exitCode).toBe(EXIT.failed);
    expect(message).toContain('explain.test');
  });
});
