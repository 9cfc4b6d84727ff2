/** Summaries of measurements. */

export const median = (values: number[]): number => quantile(values, 0.5);

/** @param q 0…1; between two measurements it interpolates */
export function quantile(values: number[], q: number): number {
  if (values.length === 0) throw new Error('Bug! Nothing was measured');
  const sorted = values.toSorted((a, b) => a - b);
  const place = (sorted.length - 1) * q;
  const below = sorted[Math.floor(place)] as number;
  const above = sorted[Math.ceil(place)] as number;
  return below + (above - below) * (place - Math.floor(place));
}

export const sum = (values: number[]): number => values.reduce((total, value) => total + value, 0);
