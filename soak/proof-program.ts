/** What every proof that is run as a program has in common: what it says, a folder of its own, its report, and its end. */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { InvalidArgumentError } from 'commander';
import { CHECKOUT } from '../local/checkout.js';
import { isRight } from './result.js';

/** Where a proof keeps its logs, how it tells what it is at, and, as it starts things, how they are stopped. */
export type ProofPlace = { folder: string; say: (text: string) => void; stops: (() => Promise<unknown>)[] };

/**
 * Ends the process: 0 = what was promised holds, 1 = it does not, or the proof was interrupted, 2 = it could not be carried out.
 * @param name    of the folder in .soak, and of what it says
 * @param publish the file in soak/ that its report is written to; undefined = none
 */
export async function runAsProgram<Result extends Parameters<typeof isRight>[0]>(
  { name, publish }: { name: string; publish: string | undefined },
  prove: (place: ProofPlace) => Promise<Result>,
  markdown: (result: Result) => string,
): Promise<never> {
  if (process.platform !== 'linux') throw new Error('The soak reads /proc, which only Linux has.');
  const begun = performance.now();
  const say = (text: string): void =>
    void process.stderr.write(`[${name} ${((performance.now() - begun) / 1000).toFixed(0).padStart(4)} s] ${text}\n`);
  const stops: (() => Promise<unknown>)[] = [];
  /** One that cannot be stopped keeps no other from being stopped. */
  const stopAll = async () => {
    for (const stop of stops.splice(0).reverse()) await stop().catch(() => undefined);
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.once(signal, () => {
      say(`${signal}: stopping what was started …`);
      void stopAll().finally(() => process.exit(1));
    });
  }
  const folder = join(CHECKOUT, '.soak', name);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  try {
    const result = await prove({ folder, say, stops });
    const text = markdown(result);
    process.stdout.write(text);
    writeFileSync(join(folder, 'result.json'), JSON.stringify(result, undefined, 1));
    if (publish !== undefined) writeFileSync(join(CHECKOUT, 'soak', publish), text);
    if (!isRight(result)) say(`the logs are in ${folder}`);
    process.exit(isRight(result) ? 0 : 1);
  } catch (err) {
    say(`it could not be carried out: ${(err as Error).stack}\nwhat there is of it is in ${folder}`);
    await stopAll();
    process.exit(2);
  }
}

/** An option that counts. @throws InvalidArgumentError */
export function count(text: string): number {
  const n = Number(text);
  if (!Number.isInteger(n) || n < 1) throw new InvalidArgumentError('It is not a whole number from 1.');
  return n;
}
