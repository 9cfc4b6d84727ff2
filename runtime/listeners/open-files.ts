/** How many files a process may open: each connection is one, and a process that has none left can accept no connection at all. */
import { readFileSync } from 'node:fs';
import type { Logger } from 'pino';

/** For the pools, Temporal, destinations, logs, and the listener that answers for this process's health. */
const RESERVED = 256;

/** @returns as many of these connections as the process can have open, and a warning where that is fewer */
export function affordableConnections(max: number, logger: Pick<Logger, 'warn'>, openFilesMax = readLimit()): number {
  const affordable = Math.max(Math.ceil(openFilesMax / 2), openFilesMax - RESERVED);
  if (max <= affordable) return max;
  logger.warn(
    `CONNECTIONS_MAX is ${max}, but this process may open ${openFilesMax} files only (ulimit -n): at most ${affordable} connections.`,
  );
  return affordable;
}

/** Of Linux; other systems are taken at the setting's word. Node raises its own limit as far as it may. */
function readLimit(): number {
  try {
    const limit = /^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1];
    return limit === undefined ? Number.POSITIVE_INFINITY : Number(limit);
  } catch {
    return Number.POSITIVE_INFINITY;
  }
}
