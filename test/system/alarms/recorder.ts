/** Watches a Prometheus' alarms, and keeps when each was first seen firing and when it cleared, measured from what caused it. */
import type { Prometheus } from '../../../testbed/prometheus.js';
import { eventually } from '../../support/conditions.js';

type Sighting = { fault: string; alarm: string; firingS: number; clearedS: number };
export type Fault = {
  /** As it stands in the table. */
  what: string;
  /** Names, or names with labels: `FactsUnknown{source="database"}`. */
  alarms: string[];
  begin(): Promise<void>;
  end(): Promise<unknown>;
  raisedWithinMs?: number;
  clearedWithinMs?: number;
};

/** What the shortened rules and a busy machine need; the longest threshold that is not shortened is 5 min. */
const RAISED_WITHIN_MS = 8 * 60_000;
const CLEARED_WITHIN_MS = 10 * 60_000;
const secondsSince = (from: number) => Math.round((performance.now() - from) / 100) / 10;

export function createRecorder(prometheus: Prometheus) {
  const sightings: Sighting[] = [];
  const isFiring = async (alarm: string) => {
    const [, name, more = ''] = /^(\w+)(?:\{(.*)\})?$/.exec(alarm) ?? [];
    const expr = `ALERTS{${[`alertname="${name}"`, 'alertstate="firing"', more].filter(Boolean).join(',')}}`;
    return (await prometheus.query(expr)).length > 0;
  };
  return {
    /** Makes the fault, waits for all its alarms, mends it, waits until they are gone. */
    see: async ({ what, alarms, begin, end, ...limits }: Fault): Promise<void> => {
      const raised = new Map<string, number>();
      for (const alarm of alarms)
        await eventually(`${alarm} is calm before`, async () => !(await isFiring(alarm)), CLEARED_WITHIN_MS);
      const from = performance.now();
      await begin();
      try {
        await Promise.all(
          alarms.map(async (alarm) => {
            await eventually(`${alarm} is raised`, () => isFiring(alarm), limits.raisedWithinMs ?? RAISED_WITHIN_MS);
            raised.set(alarm, secondsSince(from));
          }),
        );
      } finally {
        await end();
      }
      const ended = performance.now();
      await Promise.all(
        alarms.map(async (alarm) => {
          const isCalm = async () => !(await isFiring(alarm));
          await eventually(`${alarm} clears`, isCalm, limits.clearedWithinMs ?? CLEARED_WITHIN_MS);
          sightings.push({
            fault: what,
            alarm,
            firingS: raised.get(alarm) ?? Number.NaN,
            clearedS: secondsSince(ended),
          });
          process.stderr.write(`${alarm}: firing after ${raised.get(alarm)} s, gone ${secondsSince(ended)} s after\n`);
        }),
      );
    },
    seen: () => new Set(sightings.map(({ alarm }) => alarm.replace(/\{.*/, ''))),
    table: () =>
      [
        '| alarm | fault | firing after s | gone after the end, s |',
        '|---|---|---|---|',
        ...sightings.map((s) => `| \`${s.alarm}\` | ${s.fault} | ${s.firingS} | ${s.clearedS} |`),
        '',
      ].join('\n'),
  };
}
