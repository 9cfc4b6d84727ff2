/** A yardstick, as seen from the bench: a process of its own that is given how much to do. */
import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Subject } from './measurement.js';
import type { Product } from './product.js';
import type { Reply, Request, Servers, YardstickName } from './yardsticks/messages.js';

export type Yardstick = {
  name: YardstickName;
  pid: number;
  port: number | undefined;
  /** @returns how long each took, in milliseconds */
  run: (request: Request) => Promise<number[]>;
  stop: () => Promise<void>;
};

/** @param databaseUrl a database on the product's Postgres, but not the product's */
export async function startYardstick(name: YardstickName, product: Product, databaseUrl: string): Promise<Yardstick> {
  const { temporalAddress, sandbox } = product;
  const servers: Servers = { temporalAddress, sandbox, databaseUrl };
  const child = fork(fileURLToPath(new URL('./yardsticks/main.js', import.meta.url)), [name, JSON.stringify(servers)], {
    env: { PATH: process.env['PATH'] },
  });
  const ready = await nextReply(child);
  return {
    name,
    pid: child.pid as number,
    port: ready.kind === 'ready' ? ready.port : undefined,
    run: async (request) => {
      const reply = nextReply(child);
      child.send(request);
      const answer = await reply;
      if (answer.kind !== 'done') throw new Error(`${name}: ${JSON.stringify(answer)}`);
      return answer.latenciesMs;
    },
    stop: async () => {
      const exited = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGKILL'); // it has nothing to lose
      await exited;
    },
  };
}

/** Of the product's programs only those that work for this yardstick; the idle others are not its cost. */
export function subjectOf({ roots, except }: Product, yardsticks: Yardstick[], servers: string[]): Subject {
  return {
    roots: () =>
      new Map([
        ...[...roots()].filter(([, name]) => servers.includes(name)),
        ...yardsticks.map(({ pid, name }) => [pid, name] as [number, string]),
      ]),
    ...(except && { except }),
  };
}

function nextReply(child: ChildProcess): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const onExit = (code: number | null) => reject(new Error(`a yardstick ended with ${code}`));
    child.once('exit', onExit);
    child.once('message', (reply: Reply) => {
      child.off('exit', onExit);
      resolve(reply);
    });
  });
}

/** Makes the yardsticks' database; the product's role may create some. */
export async function yardstickDatabase({ client, databaseUrl }: Product): Promise<string> {
  await client.query('CREATE DATABASE bench_yardsticks');
  const url = new URL(databaseUrl);
  url.pathname = '/bench_yardsticks';
  return url.href;
}
