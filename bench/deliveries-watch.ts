/** Watches deliveries as an operator does, by what the service exports, and asks no more of it than a scrape twice a second. */
import { setTimeout as sleep } from 'node:timers/promises';
import { scrape } from './scrape.js';

/** What the service said at a moment; per destination where it is an object. */
export type Sample = {
  atMs: number;
  memoryMib: number;
  /** Events taken since the service began. */
  taken: Record<string, number>;
  /** Facts that it asks of Postgres every 5 s. */
  backlog: Record<string, number>;
  lagSeconds: Record<string, number>;
};

export type DeliveriesWatch = {
  samples: readonly Sample[];
  /** Resolves with the first sample from now on that is so. @throws after `withinMs`, saying what it waited for */
  until: (what: string, isSo: (sample: Sample) => boolean, withinMs: number) => Promise<Sample>;
  stop: () => Promise<void>;
};

export const LOOK_EVERY_MS = 500;

export function watchDeliveries(metricsPort: number, destinations: string[]): DeliveriesWatch {
  const samples: Sample[] = [];
  let isOver = false;
  const look = async () => {
    while (!isOver) {
      samples.push(sampleOf(await scrape(metricsPort), destinations));
      await sleep(LOOK_EVERY_MS);
    }
  };
  const looking = look();
  looking.catch(() => undefined); // `until` and `stop` throw it
  return {
    samples,
    until: async (what, isSo, withinMs) => {
      const deadline = performance.now() + withinMs;
      for (let seen = samples.length; ; ) {
        for (const sample of samples.slice(seen)) if (isSo(sample)) return sample;
        seen = samples.length;
        if (performance.now() > deadline) throw new Error(`${what}: not within ${withinMs / 1000} s`);
        await Promise.race([sleep(LOOK_EVERY_MS / 2), looking]);
      }
    },
    stop: () => {
      isOver = true;
      return looking;
    },
  };
}

function sampleOf(series: Map<string, number>, destinations: string[]): Sample {
  const each = (metric: string, more = '') =>
    Object.fromEntries(
      destinations.map((name) => [
        name,
        series.get(`order_saga_${metric}{destination="${name}"${more},role="all"}`) ?? 0,
      ]),
    );
  return {
    atMs: performance.now(),
    memoryMib: (series.get('process_resident_memory_bytes{role="all"}') ?? 0) / 2 ** 20,
    taken: each('deliveries_total', ',outcome="taken"'),
    backlog: each('outbox_backlog_events'),
    lagSeconds: each('outbox_lag_seconds'),
  };
}
