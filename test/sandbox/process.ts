/** The sandbox as a real process, compiled afresh from its sources: kill -9 needs something to kill. */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFile, mkdir, readdir, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { transformFile } from '@swc/core';
import type Stripe from 'stripe';
import { freePort } from '../../local/processes/ports.js';
import { clientFor, newDataDir, until } from './support.js';

const ROOT = process.cwd();

export interface Spawned {
  child: ChildProcess;
  stripe: Stripe;
  port: number;
  /** stdout and stderr so far. */
  output(): string;
}

/** @returns the compiled main.js. */
export async function compileSandbox(): Promise<string> {
  const out = await newDataDir();
  for (const folder of ['sandbox', 'runtime']) {
    const sources = (await readdir(join(ROOT, folder), { recursive: true })).filter((name) => name.endsWith('.ts'));
    for (const name of sources) {
      const { code } = await transformFile(join(ROOT, folder, name), {
        jsc: { target: 'es2022', parser: { syntax: 'typescript' } },
        module: { type: 'es6' },
        swcrc: false,
      });
      const compiled = join(out, folder, name.replace(/\.ts$/, '.js'));
      await mkdir(dirname(compiled), { recursive: true });
      await writeFile(compiled, code);
    }
  }
  await mkdir(join(out, 'prisma'));
  // Which runtime/ reads addresses with.
  for (const file of ['session.mjs', 'plain-text.mjs', 'secret-files.mjs'])
    await copyFile(join(ROOT, 'prisma', file), join(out, 'prisma', file));
  await writeFile(join(out, 'package.json'), '{"type":"module"}');
  await symlink(join(ROOT, 'node_modules'), join(out, 'node_modules'));
  return join(out, 'sandbox/main.js');
}

/** @param fileBlocksMax the largest file that it may write, in blocks of 512 bytes: a full disk */
export function spawnSandbox(main: string, env: Record<string, string>, fileBlocksMax?: number) {
  const limit = fileBlocksMax === undefined ? '' : `ulimit -f ${fileBlocksMax};`;
  const child: ChildProcess = spawn('sh', ['-c', `${limit} exec "$0" "$1"`, process.execPath, main], {
    env: { PATH: process.env['PATH'] ?? '', ...env },
  });
  let output = '';
  child.stdout?.on('data', (chunk) => {
    output += chunk;
  });
  child.stderr?.on('data', (chunk) => {
    output += chunk;
  });
  return { child, output: () => output };
}

/** Resolves once it listens. */
export async function runSandbox(main: string, env: Record<string, string>, fileBlocksMax?: number): Promise<Spawned> {
  const port = await freePort();
  const { child, output } = spawnSandbox(main, { SANDBOX_PORT: String(port), ...env }, fileBlocksMax);
  await until(() => {
    if (child.exitCode !== null) throw new Error(`The sandbox ended: ${output()}`);
    return output().includes('is ready') || undefined;
  }, 20_000);
  return { child, stripe: clientFor(port), port, output };
}

export async function kill(child: ChildProcess, signal: NodeJS.Signals): Promise<number | null> {
  if (child.exitCode !== null || child.signalCode !== null) return child.exitCode;
  const exit = once(child, 'exit');
  child.kill(signal);
  await exit;
  return child.exitCode;
}
