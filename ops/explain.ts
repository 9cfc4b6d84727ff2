/** What a failure is to the operator who typed the command: a sentence, and an exit code for scripts. */
import { isNotNow } from '../domain/database.js';
import { isAway } from '../sagas/away.js';
import { printableError, sentenceOf } from '../runtime/errors/facts.js';
import { withoutSecrets } from '../runtime/errors/scrub.js';
import { EXIT, type ExitCode, OpsError } from './exit.js';

export function explain(err: unknown): { message: string; exitCode: ExitCode } {
  if (err instanceof OpsError) return { message: withoutSecrets(err.message), exitCode: err.exitCode };
  if (err instanceof Error && err.name === 'ConfigError')
    return { message: withoutSecrets(err.message), exitCode: EXIT.usage };
  const gone = isAway(err) ? 'Temporal' : isNotNow(err) ? 'Postgres' : undefined;
  if (gone)
    return { message: `${gone} has gone away, or cannot do it now: ${sentenceOf(err)}`, exitCode: EXIT.unavailable };
  return { message: printableError(err), exitCode: EXIT.failed };
}
