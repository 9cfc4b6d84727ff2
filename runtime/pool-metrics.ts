/** The connections of this process to Postgres, pool by pool: in use, idle, and who waits for one. Read at a scrape. */
import type pg from 'pg';
import { Gauge } from 'prom-client';
import { onScrape, show } from './metrics.js';

export const connections = new Gauge({
  name: 'order_saga_pool_connections',
  help: 'Connections to Postgres by what they do; `waiting` are statements that wait for one',
  labelNames: ['pool', 'state'],
  registers: [],
});
export const connectionsMax = new Gauge({
  name: 'order_saga_pool_connections_max',
  help: 'Connections to Postgres that the pool may open',
  labelNames: ['pool'],
  registers: [],
});

export type Pool = Pick<pg.Pool, 'totalCount' | 'idleCount' | 'waitingCount' | 'options'>;

export function exposePools(pools: ReadonlyMap<string, Pool>): void {
  show([connections, connectionsMax]);
  for (const [pool, { options }] of pools) connectionsMax.set({ pool }, options.max);
  onScrape(async () => {
    for (const [pool, { totalCount, idleCount, waitingCount }] of pools) {
      connections.set({ pool, state: 'in_use' }, totalCount - idleCount);
      connections.set({ pool, state: 'idle' }, idleCount);
      connections.set({ pool, state: 'waiting' }, waitingCount);
    }
  });
}
