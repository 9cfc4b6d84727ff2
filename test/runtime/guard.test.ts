/** What a handler, a timer or a listener throws ends no process; and a read of a silent neighbour is answered in time. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { describe, expect, test } from '@jest/globals';
import { pino } from 'pino';
import { Gauge } from 'prom-client';
import { freePort } from '../../local/processes/ports.js';
import { createCachedRead } from '../../runtime/cached-read.js';
import { guarded } from '../../runtime/guard.js';
import { createHealth } from '../../runtime/health.js';
import { onScrape, show, startMetrics } from '../../runtime/metrics.js';
import { eventually } from '../support/conditions.js';

const logger = pino({ level: 'silent' });
const never = new Promise<never>(() => undefined);

test('a guarded callback neither throws nor rejects, and each of its errors is counted', async () => {
  guarded(logger, 'throws', () => {
    throw new Error('at once');
  })();
  guarded(logger, 'rejects', async () => {
    throw new Error('later');
  })();
  const port = await freePort();
  const health = createHealth([]);
  const stop = startMetrics({ host: '127.0.0.1', port, role: 'test', health, connectionsMax: 10, logger });
  const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
  for (const place of ['throws', 'rejects'])
    expect(text).toContain(`order_saga_unexpected_errors_total{place="${place}",role="test"} 1`);

  // The port's own error paths: a refresh that throws or rejects, a gauge that cannot be read, a check that fails.
  onScrape(() => {
    throw new Error('at once');
  });
  onScrape(() => Promise.reject(new Error('later')));
  expect((await fetch(`http://127.0.0.1:${port}/metrics`)).status).toBe(200);
  show([
    new Gauge({
      name: 'order_saga_unreadable',
      help: '-',
      registers: [],
      collect: () => {
        throw new Error('unreadable');
      },
    }),
  ]);
  await eventually('it cannot be read', async () => (await fetch(`http://127.0.0.1:${port}/metrics`)).status === 500);
  expect((await fetch(`http://127.0.0.1:${port}/livez`)).status).toBe(200);
  expect((await fetch(`http://127.0.0.1:${port}/orders`)).status).toBe(404);
  await stop();
});

test('a process is ready when each of its roles has said so, and alive before', async () => {
  const health = createHealth(['api', 'worker']);
  expect(await health.read()).toEqual({
    ready: false,
    roles: { api: { ready: false, starting: true }, worker: { ready: false, starting: true } },
  });
  health.add('api', async () => ({ ready: true }));
  let polls = false;
  health.add('worker', async () => ({ ready: polls, polls }));
  expect((await health.read()).ready).toBe(false);
  polls = true;
  await eventually('it is ready', async () => (await health.read()).ready);
  expect(await health.read()).toEqual({ ready: true, roles: { api: { ready: true }, worker: { ready: true, polls } } });
});

test('a role is asked once a second at most, however many ask; one that fails or is silent is not ready', async () => {
  let asked = 0;
  const health = createHealth(['api', 'worker', 'relay']);
  health.add('api', async () => ({ ready: ++asked > 0 }));
  health.add('worker', () => Promise.reject(new Error('a bug')));
  const soon = await health.read();
  expect([asked, soon.roles['api'], soon.roles['relay']]).toEqual([
    1,
    { ready: true },
    { ready: false, starting: true },
  ]);
  await health.read();
  expect(asked).toBe(1);
  health.add('relay', () => never);
  const answers = await Promise.all(Array.from({ length: 100 }, () => health.read()));
  expect(answers[99]).toEqual({
    ready: false,
    roles: { api: { ready: true }, worker: { ready: false, failed: true }, relay: { ready: false, late: true } },
  });
});

describe('a cached read', () => {
  test('reads once at a time and answers in time that there is no answer; a late answer counts all the same', async () => {
    let asked = 0;
    let answer: (text: string) => void = () => undefined;
    const ask = createCachedRead<string>({
      freshMs: 60_000,
      limitMs: 20,
      read: () => {
        asked++;
        return new Promise((resolve) => {
          answer = resolve;
        });
      },
      otherwise: () => 'silent',
    });
    expect(await Promise.all([ask(), ask()])).toEqual(['silent', 'silent']);
    expect(await ask()).toBe('silent');
    expect(asked).toBe(1);
    answer('late');
    expect(await ask()).toBe('late');
    expect(await ask()).toBe('late');
    expect(asked).toBe(1);
  });

  test('never throws, whatever the read does', async () => {
    const ask = (question: () => Promise<string>) =>
      createCachedRead({ freshMs: 0, limitMs: 20, read: question, otherwise: (err) => `${(err as Error)?.message}` })();
    const atOnce = () => {
      throw new Error('at once');
    };
    expect(await ask(atOnce)).toBe('at once');
    expect(await ask(() => Promise.reject(new Error('later')))).toBe('later');
    expect(await ask(() => never)).toBe('undefined');
  });
});

test('an uncaught error ends no process: a rejection, a timer that throws, a listener that throws; and shows nothing of others’', async () => {
  const built = (path: string) => JSON.stringify(new URL(`dist/runtime/${path}`, `file://${process.cwd()}/`).href);
  const script = `
    import { EventEmitter } from 'node:events';
    import { createLogger } from ${built('logger.js')};
    import { guardProcess } from ${built('guard.js')};
    guardProcess(createLogger('test', 'info'));
    void Promise.reject().catch(() => JSON.parse('canary'));
    process.emitWarning('canary', { type: 'CanaryWarning', code: 'DEP0999', detail: 'canary' });
    console.error('canary', { canary: 'canary' });
    void Promise.reject(new Error('a rejection'));
    setTimeout(() => { throw new Error('a timer'); }, 1);
    const emitter = new EventEmitter().on('news', () => { throw new Error('a listener'); });
    setTimeout(() => emitter.emit('news'), 5);
    setTimeout(() => emitter.emit('error', new Error('no listener')), 10);
    setTimeout(() => process.stdout.write('it lives'), 50);
  `;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  child.stdout.on('data', (chunk) => (output += chunk));
  child.stderr.on('data', (chunk) => (output += chunk));
  const [code] = await once(child, 'close');
  for (const what of ['a rejection', 'a timer', 'it lives', 'SyntaxError', 'DEP0999', '"method":"error"'])
    expect(output).toContain(what);
  // Of one kind the 1st, 2nd, 4th … are logged.
  expect(output).toContain('a listener');
  expect(code).toBe(0);
  expect(output).not.toContain('canary');
});
