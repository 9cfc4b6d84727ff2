/** One JSON line per fact, to stdout. No personal data: log ids, never names, addresses, cards or free text of clients. */
import { type Logger, pino } from 'pino';

/**
 * @param name  which process speaks, e.g. `api`
 * @param level a pino level: fatal, error, warn, info, debug, trace or silent
 */
export function createLogger(name: string, level: string): Logger {
  return pino({
    name,
    level,
    base: { pid: process.pid },
    formatters: { level: (label) => ({ level: label }) },
    timestamp: () => `,"time":"${new Date().toISOString()}"`,
    // Second line of defence: none of these should be logged in the first place.
    redact: ['req.headers.authorization', 'req.headers.cookie', 'paymentMethod', '*.paymentMethod'],
  });
}
