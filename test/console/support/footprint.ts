/** What a page holds in the browser's memory, after the garbage is gone. */
import type { Page } from 'playwright-core';

const COUNTED = ['JSHeapUsedSize', 'Nodes', 'JSEventListeners'] as const;
export type Footprint = Record<(typeof COUNTED)[number], number>;
export type Measured = { sample(): Promise<Footprint>; samples: readonly Footprint[] };

/** The debugger is attached once: it holds something as well. */
export async function measure(page: Page): Promise<Measured> {
  const debug = await page.context().newCDPSession(page);
  await debug.send('Performance.enable');
  const samples: Footprint[] = [];
  return {
    samples,
    sample: async () => {
      await debug.send('HeapProfiler.collectGarbage');
      const { metrics } = await debug.send('Performance.getMetrics');
      const value = (wanted: string) => metrics.find(({ name }) => name === wanted)?.value ?? Number.NaN;
      const sample = Object.fromEntries(COUNTED.map((name) => [name, value(name)])) as Footprint;
      samples.push(sample);
      return sample;
    },
  };
}

/**
 * How much more the last third of the samples is than the second: of each figure the difference of their lowest, since what a
 * collection has left over only adds to it. During the first third the
 * engine still compiles, and learns which types there are: that levels off, and is no leak.
 */
export function growth(samples: readonly Footprint[]): Footprint {
  const third = Math.floor(samples.length / 3);
  const grown = (name: keyof Footprint) =>
    lowest(samples.slice(-third).map((each) => each[name])) -
    lowest(samples.slice(third, -third).map((each) => each[name]));
  return Object.fromEntries(COUNTED.map((name) => [name, grown(name)])) as Footprint;
}

const lowest = (values: number[]) => Math.min(...values);
