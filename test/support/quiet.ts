/**
 * What tests print: why one failed, on one screen. Their sagas fail on purpose all the time, and a worker that logged each would
 * bury it. `TEST_LOG=WARN npm test -- <file>` (or INFO, DEBUG) shows what workers and Temporal's server say.
 */
import { DefaultLogger, type LogLevel, makeTelemetryFilterString, Runtime } from '@temporalio/worker';

const LEVELS = ['TRACE', 'DEBUG', 'INFO', 'WARN', 'ERROR'] as const satisfies LogLevel[];
const asked = process.env['TEST_LOG']?.toUpperCase();
if (asked !== undefined && !LEVELS.some((level) => level === asked))
  throw new Error(`TEST_LOG is "${asked}", not one of ${LEVELS.join(', ')}`);

/** Of a dev server. By itself it prints an error whenever it is asked before it is ready, which is always. */
export const SERVER_LOG = { format: 'pretty', level: asked?.toLowerCase() ?? 'never' };
/** Keeps it from introducing itself. */
export const SERVER_SILENT = asked === undefined ? ['--output', 'none'] : [];

/** A workflow task that fails is tried again and again: it is said once, in a line. */
function createTerseLogger(): DefaultLogger {
  const said = new Set<string>();
  return new DefaultLogger('ERROR', ({ message, meta }) => {
    const { error } = (meta ?? {}) as { error?: unknown };
    const text = `${message}${error === undefined ? '' : `: ${error instanceof Error ? error.message : error}`}`;
    if (!said.has(text)) process.stderr.write(`[worker] ${text} (said once; TEST_LOG=ERROR says all)\n`);
    said.add(text);
  });
}

let isInstalled = false;

/** Must run before a test file's first connection to Temporal, which would make a runtime that tells everything. */
export function quietTemporal(): void {
  if (isInstalled) return;
  isInstalled = true;
  Runtime.install({
    logger: asked === undefined ? createTerseLogger() : new DefaultLogger(asked as LogLevel),
    telemetryOptions: {
      logging: { filter: makeTelemetryFilterString({ core: (asked ?? 'ERROR') as LogLevel, other: 'ERROR' }) },
    },
  });
}
