/** A log that is kept, to see which lines tell what. */
import { type Logger, pino } from 'pino';
import { SAFE } from '../../runtime/logger.js';

export type LogLine = { level: string; msg: string } & Record<string, unknown>;

export function keepLog(): { logger: Logger; lines: LogLine[] } {
  const lines: LogLine[] = [];
  const logger = pino(
    { ...SAFE, base: null, timestamp: false },
    { write: (line) => void lines.push(JSON.parse(line)) },
  );
  return { logger, lines };
}
