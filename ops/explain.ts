/** What a failure is to the operator who typed the command: a sentence, and an exit code for scripts. */
import { isNotNow } from '../domain/database.js';
import { isAway } from '../sagas/away.js';
import { lastLine } from './connections.js';
import { EXIT, type ExitCode, OpsError } from './exit.js';

export function explain(err: unknown): { message: string; exitCode: ExitCode } {
  if (err instanceof OpsError) return { message: err.message, exitCode: err.exitCode };
  if (err instanceof Error && err.name === 'ConfigError') return { message: err.message, exitCode: EXIT.usage };
  const gone = isAway(err) ? 'Temporal' : isNotNow(err) ? 'Postgres' : undefined;
  if (gone)
    return { message: `${gone} has gone away, or cannot do it now: ${lastLine(err)}`, exitCode: EXIT.unavailable };
  return { message: err instanceof Error ? (err.stack ?? err.message) : String(err), exitCode: EXIT.failed };
}
