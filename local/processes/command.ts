/** Command: a program that we run to its end, for what it prints. */
import { spawn } from 'node:child_process';
import { environment } from './environment.js';

export type CommandOptions = {
  cwd?: string;
  /** Unset = what any program needs of ours, and nothing else. */
  env?: NodeJS.ProcessEnv;
  user?: { uid: number; gid: number } | undefined;
  timeoutMs?: number;
};

/** @returns `failure`: how it ended, if not well */
export async function runToEnd(
  file: string,
  args: string[],
  { user, timeoutMs, env = environment(process.env), ...options }: CommandOptions = {},
): Promise<{ failure: string | undefined; output: string }> {
  const child = spawn(file, args, {
    ...options,
    env,
    ...user,
    ...(timeoutMs && { timeout: timeoutMs }),
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const chunks: Buffer[] = [];
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => chunks.push(chunk));
  const failure = await new Promise<string | undefined>((resolve) => {
    child.once('error', (err) => resolve(err.message));
    child.once('close', (code, signal) => resolve(code === 0 ? undefined : `${signal ?? `exit ${code}`}`));
  });
  return { failure, output: Buffer.concat(chunks).toString('utf8').trim() };
}
