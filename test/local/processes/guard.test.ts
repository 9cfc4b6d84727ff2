import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect, test } from '@jest/globals';

const GUARD = pathToFileURL(join(process.cwd(), 'dist/local/processes/guard.js')).href;

test('the launcher outlives those who read what it prints, and unexpected errors', async () => {
  const script = `
    const { outliveReaders, guardLauncher } = await import(${JSON.stringify(GUARD)});
    outliveReaders();
    guardLauncher();
    process.stdin.once('data', () => {
      process.stdout.write('nobody reads this');
      process.stderr.write('nor this');
      setImmediate(() => { throw new Error('a stray one'); });
      Promise.reject(new Error('another'));
      setTimeout(() => process.exit(7), 100);
    });`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: 'pipe' });
  child.stdout.destroy();
  child.stderr.destroy();
  child.stdin.write('go on\n');
  expect(await once(child, 'exit')).toEqual([7, null]);
});
