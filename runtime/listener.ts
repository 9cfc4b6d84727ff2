/**
 * Postgres NOTIFY as a hint: it says that something may have changed, never what. The callback's owner re-reads the truth,
 * and polls besides, since a notification is lost whenever the connection is.
 */
import type { Socket } from 'node:net';
import pLimit from 'p-limit';
import pg from 'pg';
import type { Logger } from 'pino';
import { SILENCE_LIMIT_MS } from './database.js';
import { type DatabaseUrl, sessionsOf } from './database-sessions.js';
import { guarded } from './guard.js';

const RECONNECT_AFTER_MS = 1_000;
/** A connection that has died unnoticed looks like one on which nothing is notified. */
const PING_EVERY_MS = 10_000;
/** How long a server may take to close a connection in good order. */
const DISCONNECT_LIMIT_MS = 500;

export type Listener = {
  /**
   * Notifies the channel's other listeners, not this one; nobody, while there is no connection. Rejects if they may not have been
   * notified.
   */
  notify(payloads: string[]): Promise<void>;
  stop(): Promise<void>;
};

/** @returns how to stop listening */
export const listen = (...to: Parameters<typeof openListener>): (() => Promise<void>) => openListener(...to).stop;

/**
 * @param onWake called for each notification with what it says, and after each (re)connection, since some may have been
 *               missed
 */
export function openListener(
  url: DatabaseUrl,
  channel: string,
  onWake: (payload?: string) => void,
  logger: Logger,
  pingEveryMs = PING_EVERY_MS,
): Listener {
  let client: pg.Client | undefined;
  let notifyOthers: Listener['notify'] = notifyNobody;
  let stopped = false;
  let failures = 0;
  const { Client } = sessionsOf(url);
  const wake = guarded(logger, 'notification', onWake);
  const connect = async (): Promise<void> => {
    if (stopped) return;
    const fresh = new Client({
      application_name: 'order-saga listener',
      connectionTimeoutMillis: SILENCE_LIMIT_MS,
      query_timeout: SILENCE_LIMIT_MS,
    });
    client = fresh;
    let gone = false;
    let ownPid = 0;
    let pinging: NodeJS.Timeout | undefined;
    const reconnect = (err?: unknown) => {
      clearInterval(pinging);
      if (gone || stopped) return;
      gone = true;
      notifyOthers = notifyNobody;
      failures++;
      // The 1st, 2nd, 4th, 8th … time: an outage must be seen, but not fill the log.
      if (Number.isInteger(Math.log2(failures)))
        logger.warn({ err, channel, failures }, 'lost the notifications; polling meanwhile');
      fresh.end().catch(() => undefined); // it is broken already; what matters is the next one
      setTimeout(begin, RECONNECT_AFTER_MS).unref();
    };
    fresh.on('error', reconnect);
    fresh.on('end', () => reconnect());
    fresh.on('notification', ({ processId, payload }) => {
      if (processId !== ownPid) wake(payload);
    });
    try {
      await fresh.connect();
      ownPid = await readPid(fresh);
      await fresh.query(`LISTEN ${fresh.escapeIdentifier(channel)}`);
      failures = 0;
      const inTurn = pLimit(1);
      notifyOthers = (payloads) => inTurn(notifyBy, fresh, channel, payloads, reconnect);
      wake();
      const ping = () => fresh.query('SELECT').catch(reconnect);
      pinging = setInterval(() => void inTurn(ping), pingEveryMs).unref();
    } catch (err) {
      reconnect(err);
    }
  };
  const begin = guarded(logger, 'listener', connect);
  begin();
  return {
    notify: (payloads) => notifyOthers(payloads),
    stop: async () => {
      stopped = true;
      if (client) await disconnect(client);
    },
  };
}

const notifyNobody = async (): Promise<void> => undefined;

/** The server's own: what the driver was told at its start may be a pooler's. */
async function readPid(client: pg.Client): Promise<number> {
  const { rows } = await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
  return rows[0]?.pid ?? 0;
}

/** One commit, however many there are; each is a notification of its own, since one may have 8,000 bytes only. */
async function notifyBy(
  client: pg.Client,
  channel: string,
  payloads: string[],
  onLost: (err: unknown) => void,
): Promise<void> {
  try {
    await client.query('SELECT pg_notify($1, payload) FROM unnest($2::text[]) AS payload', [channel, payloads]);
  } catch (err) {
    if (!(err instanceof pg.DatabaseError)) onLost(err); // it was not answered, nor will be what is asked next
    throw err;
  }
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
