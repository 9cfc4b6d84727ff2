/**
 * Secrets that change while a process runs. A value that came from a file is read again when the file has changed: what takes
 * it at each use (a connection, a request) has the new one without a restart. A file that is away, half written or wrong
 * changes nothing: the last good value stays, and the log says so.
 */
import { statSync } from 'node:fs';
import type { Logger } from 'pino';
import { isReadByAll, readSecretFile } from '../prisma/secret-files.mjs';

/** Kubernetes and Vault's agent take a minute to bring a new one; a look costs microseconds. */
const LOOK_EVERY_MS = 5_000;

type Opened = SecretFile & { read: () => unknown };
/** Of this process: settings are read once, by its main. */
const opened: Opened[] = [];
let logger: Pick<Logger, 'info' | 'warn'> | undefined;

export type SecretFile = {
  /** `<VARIABLE>_FILE` */
  variable: string;
  path: string;
};

/**
 * @param first the value that was read at the start
 * @param parse of a changed file's text; throws a sentence for what would have been refused at the start
 * @returns the present value
 */
export function openSecretFile<T>({ variable, path }: SecretFile, first: T, parse: (text: string) => T): () => T {
  let value = first;
  let seen = lookAt(path);
  const read = (): T => {
    const now = lookAt(path);
    if (now === seen) return value;
    seen = now;
    try {
      value = parse(readSecretFile(variable, path));
      logger?.info({ variable, path }, 'a secret has changed: the new one is used from now on');
    } catch (err) {
      const reason = (err as Error).message;
      logger?.warn({ variable, path, reason }, 'a secret has changed, and cannot be used: the one before stays');
    }
    return value;
  };
  opened.push({ variable, path, read });
  return read;
}

/** What differs when a file was written, or another one was put in its place, behind a symbolic link too. */
function lookAt(path: string): string {
  try {
    const { dev, ino, size, mtimeMs, ctimeMs } = statSync(path);
    return [dev, ino, size, mtimeMs, ctimeMs].join(' ');
  } catch (err) {
    return `${(err as NodeJS.ErrnoException).code}`;
  }
}

/** Has the log tell of this process's secret files, soon after they change even if nobody asks for them. */
export function reportSecretFiles(to: Logger): () => void {
  logger = to;
  for (const { variable, path } of opened)
    if (isReadByAll(path)) to.warn({ variable, path }, 'every user of this machine may read this secret: chmod 600');
  const timer = setInterval(() => {
    for (const { read } of opened) read();
  }, LOOK_EVERY_MS).unref();
  return () => clearInterval(timer);
}
