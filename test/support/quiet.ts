/**
 * What tests print: why one failed, on one screen. Their sagas fail on purpose all the time, and a worker that told of each would
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

let isInstalled = false;

/** Must run before a test file's first connection to Temporal, which would make a runtime that tells everything. */
export function quietTemporal(): void {
  if (isInstalled) return;
  isInstalled = true;
  const level = (asked ?? 'ERROR') as LogLevel;
  Runtime.install({
    logger: new DefaultLogger(level),
    telemetryOptions: { logging: { filter: makeTelemetryFilterString({ core: level, other: 'ERROR' }) } },
  });
}
