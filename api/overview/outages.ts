/** Since when a neighbour is down, and when it last was up, as this process saw it: what answers, and is of no use, tells neither by itself. */
import type { Neighbour } from './neighbour.js';

export type Outages = {
  neighbours: Neighbour[];
  /** By the neighbour's kind. */
  began: ReadonlyMap<Neighbour['kind'], string>;
};

/** Of others Postgres tells what they last did. */
const ASKED: readonly Neighbour['kind'][] = ['postgres', 'temporal', 'gateway'];

/** @returns what notes each look at the neighbours, and tells it with what is known of the looks before */
export function createOutages(now: () => Date = () => new Date()): (neighbours: Neighbour[]) => Outages {
  const wasUp = new Map<Neighbour['kind'], string>();
  const began = new Map<Neighbour['kind'], string>();
  return (neighbours) => {
    const at = now().toISOString();
    const told = neighbours.map((one) => {
      if (!ASKED.includes(one.kind)) return one;
      if (one.state !== 'down') {
        began.delete(one.kind);
        if (one.state === 'up') wasUp.set(one.kind, one.lastSuccess ?? at);
        return one;
      }
      // It went down between the last look at which it was up, and the first at which it was not.
      if (!began.has(one.kind)) began.set(one.kind, wasUp.get(one.kind) ?? one.lastSuccess ?? at);
      return { ...one, lastSuccess: one.lastSuccess ?? wasUp.get(one.kind) ?? null };
    });
    return { neighbours: told, began: new Map(began) };
  };
}
