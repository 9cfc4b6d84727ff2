/** The API over real HTTP on a free port, against a database of the test file's own; by default while Temporal is away. */
import { type AddressInfo, connect, createServer } from 'node:net';
import { text } from 'node:stream/consumers';
import { expect } from '@jest/globals';
import { Client, Connection } from '@temporalio/client';
import { type Logger, pino } from 'pino';
import { type ApiSettings, startApi } from '../../api/api.js';
import type { Database } from '../../domain/database.js';
import type { TemporalLink } from '../../runtime/temporal.js';
import { createTestDatabase, stock } from './database.js';
import { PATIENT } from './saga.js';

export const SILENT: Logger = pino({ level: 'silent' });

/** A process that Temporal has never answered. */
export const AWAY: TemporalLink = {
  connected: new Promise(() => undefined),
  client: () => undefined,
  namespace: 'default',
  close: async () => undefined,
};

/** A process that has lost Temporal: it has a client, whose every call fails. */
export async function lostTemporal(): Promise<TemporalLink> {
  const connection = Connection.lazy({ address: `127.0.0.1:${await closedPort()}`, connectTimeout: 200 });
  const client = new Client({ connection });
  return { ...AWAY, client: () => client, close: () => connection.close() };
}

/** A port at which nobody listens. */
export function closedPort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
}
