/**
 * Postgres NOTIFY as a hint: it says that something may have changed, never what. The callback's owner re-reads the truth,
 * and polls besides, since a notification is lost whenever the connection is.
 */
import type { Socket } from 'node:net';
import pg from 'pg';
import type { Logger } from 'pino';
import { sessionConfig } from '../prisma/session.mjs';
import { SILENCE_LIMIT_MS } from './database.js';
import { guarded } from './guard.js';

const RECONNECT_AFTER_MS = 1_000;
/** A connection that has died unnoticed looks like one on which nothing is notified. */
const PING_EVERY_MS = 10_000;
/** How long a server may take to close a connection in good order. */
const DISCONNECT_LIMIT_MS = 500;

/**
 * @param onWake called for each notification with what it says, and after each (re)connection, since some may have been
 *               missed
 * @returns how to stop listening
 */
export function listen(
  url: string,
  channel: string,
  onWake: (payload?: string) => void,
  logger: Logger,
  pingEveryMs = PING_EVERY_MS,
): () => Promise<void> {
  let client: pg.Client | undefined;
  let stopped = false;
  let failures = 0;
  const wake = guarded(logger, 'notification', onWake);
  const connect = async (): Promise<void> => {
    if (stopped) return;
    const fresh = new pg.Client({
      application_name: 'order-saga listener',
      ...sessionConfig(url),
      connectionTimeoutMillis: SILENCE_LIMIT_MS,
      query_timeout: SILENCE_LIMIT_MS,
    });
    client = fresh;
    let gone = false;
    let pinging: NodeJS.Timeout | undefined;
    const reconnect = (err?: unknown) => {
      clearInterval(pinging);
      if (gone || stopped) return;
      gone = true;
      failures++;
      // The 1st, 2nd, 4th, 8th … time: an outage must be seen, but not fill the log.
      if (Number.isInteger(Math.log2(failures)))
        logger.warn({ err, channel, failures }, 'lost the notifications; polling meanwhile');
      fresh.end().catch(() => undefined); // it is broken already; what matters is the next one
      setTimeout(begin, RECONNECT_AFTER_MS).unref();
    };
    fresh.on('error', reconnect);
    fresh.on('end', () => reconnect());
    fresh.on('notification', ({ payload }) => wake(payload));
    try {
      await fresh.connect();
      await fresh.query(`LISTEN ${fresh.escapeIdentifier(channel)}`);
      failures = 0;
      wake();
      pinging = setInterval(() => void fresh.query('SELECT').catch(reconnect), pingEveryMs).unref();
    } catch (err) {
      reconnect(err);
    }
  };
  const begin = guarded(logger, 'listener', connect);
  begin();
  return async () => {
    stopped = true;
    if (client) await disconnect(client);
  };
}

/** In good order if the server takes part in it, else by closing the socket: the server then notices that, too. */
async function disconnect(client: pg.Client): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, DISCONNECT_LIMIT_MS);
  });
  await Promise.race([client.end().catch(() => undefined), late]);
  clearTimeout(timer);
  (client as unknown as { connection: { stream: Socket } }).connection.stream.destroy();
}
