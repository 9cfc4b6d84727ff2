/**
 * A process's connections, divided among roles that must not wait for one another: requests are answered while steps wait
 * for a row, and the relay and the reconciler go on while requests crowd.
 */
import { type DatabaseClient, openDatabase, type PoolOptions } from './database.js';
import type { DatabaseUrl } from './database-sessions.js';
import type { Pool } from './pool-metrics.js';

/** Requests and steps are many and short; what runs in the background is a few loops. */
const WEIGHTS = { requests: 7, steps: 6, background: 3 } as const;
export type PoolName = keyof typeof WEIGHTS;

/** With fewer, one shared pool serves better. */
const CONNECTIONS_PER_POOL_MIN = 2;
/** A step that waits in vain is tried again by Temporal; one that waits long occupies a connection that others need. */
const STEP_LOCK_LIMIT_MS = 500;

export type Pools = Record<PoolName, DatabaseClient> & {
  /** What there is, by name; one that all share is `shared`. */
  opened: ReadonlyMap<string, Pool>;
  close(): Promise<void>;
};

/**
 * @param connectionsMax of all pools together
 * @param used           what this process has use for, at least one; the other names stand for one of these
 */
export function openPools(
  url: DatabaseUrl,
  connectionsMax: number,
  used: [PoolName, ...PoolName[]],
  { openSocket, onConnect }: Pick<PoolOptions, 'openSocket' | 'onConnect'> = {},
): Pools {
  const opened = new Map<string, Pool>();
  const open = (name: string, size: number, waitsLong: boolean) =>
    openDatabase(url, size, {
      openSocket,
      ...(onConnect && { onConnect }),
      onPool: (pool) => opened.set(name, pool),
      ...(!waitsLong && { lockLimitMs: STEP_LOCK_LIMIT_MS }),
    });
  const sizes = shareConnections(connectionsMax, used);
  const shared = sizes ? undefined : open('shared', connectionsMax, false);
  const clients = new Map(used.map((name) => [name, shared ?? open(name, sizes?.[name] ?? 0, name !== 'steps')]));
  const poolOf = (name: PoolName) => (clients.get(name) ?? clients.get(used[0])) as DatabaseClient;
  return {
    opened,
    requests: poolOf('requests'),
    steps: poolOf('steps'),
    background: poolOf('background'),
    close: async () => {
      await Promise.all([...new Set(clients.values())].map((db) => db.$disconnect()));
    },
  };
}

/** @returns connections per pool, or undefined if there are too few to share out */
export function shareConnections(
  connectionsMax: number,
  used: PoolName[],
): Partial<Record<PoolName, number>> | undefined {
  const weight = used.reduce((sum, name) => sum + WEIGHTS[name], 0);
  const sizes = used.map((name) => Math.floor((connectionsMax * WEIGHTS[name]) / weight));
  if (sizes.some((size) => size < CONNECTIONS_PER_POOL_MIN)) return undefined;
  return Object.fromEntries(used.map((name, i) => [name, sizes[i]]));
}
