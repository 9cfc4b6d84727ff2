/** What every command is given, and how it begins and ends. */
import { type Command, InvalidArgumentError, Option } from 'commander';
import { STEPS, UNDOS } from '../contracts/plan.js';
import { type Connections, type OpsConfig, openConnections, readOpsConfig } from './connections.js';
import type { ExitCode } from './exit.js';
import { createOutput, type Output, type OutputOptions } from './output.js';
import { openOpsTracing } from './tracing.js';

export type Ops = { out: Output; config: OpsConfig; to: Connections };

/** Closing politely may hang on what has broken; the answer has been given by then. */
const CLOSE_LIMIT_MS = 2_000;

/** Runs a command's work, tells its failure in a sentence, and sets the process's exit code. */
export async function run(command: Command, work: (ops: Ops) => Promise<ExitCode>): Promise<void> {
  const { output, color, json } = command.optsWithGlobals<OutputOptions & { json?: true }>();
  const out = createOutput({ output: json ? 'json' : output, color: color && !process.env['NO_COLOR'] }); // https://no-color.org
  let to: Connections | undefined;
  let sendTraces = async (): Promise<void> => undefined;
  try {
    const config = readOpsConfig(process.env);
    sendTraces = await openOpsTracing(config, out);
    to = openConnections(config, process.env);
    process.exitCode = await work({ out, config, to });
  } catch (err) {
    const { explain } = await import('./explain.js'); // knows Temporal's errors, and loads its client for it
    const { message, exitCode } = explain(err);
    out.notice(out.paint('red', message));
    out.document({ error: { message, exitCode } });
    process.exitCode = exitCode;
  }
  await sendTraces();
  setTimeout(() => process.exit(), CLOSE_LIMIT_MS).unref();
  // A call that Temporal's client still tries again, of which nobody waits any more, throws from a timer once its channel is closed.
  process.once('uncaughtException', () => process.exit());
  await to?.close();
}

/** Of commands that are run by machines above all. */
export const addJsonOption = (command: Command): Command => command.option('--json', 'the same as --output json');

export const stepOption = (): Option =>
  new Option('--step <step>', 'only those stuck at this step or undo').choices([...STEPS, ...UNDOS]);

export const atOption = (): Option =>
  new Option('--at <step>', 'only if the named saga is at this step or undo when it is decided').choices([
    ...STEPS,
    ...UNDOS,
  ]);

export function wholeNumber(text: string): number {
  const n = Number(text);
  if (!Number.isInteger(n) || n < 1) throw new InvalidArgumentError('It must be a whole number from 1.');
  return n;
}

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** Takes an order's id, or its saga's workflow id as the Web UI shows it. */
export function orderId(text: string): string {
  const id = text
    .trim()
    .replace(/^order-/, '')
    .replace(/-cancel$/, '');
  if (!UUID.test(id)) throw new InvalidArgumentError(`"${text}" is not the id of an order.`);
  return id.toLowerCase();
}

export const orderIds = (text: string, earlier: string[] = []): string[] => [...new Set([...earlier, orderId(text)])];
