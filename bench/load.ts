/** Load: a number of clients, each of which does one thing after the other until all of it is done. */

export type Load = {
  clients: number;
  /** How often it is done in all. */
  count?: number;
  /** Asked before each time. */
  isOver?: () => boolean;
};

/** @returns what each call of `work` gave, in no order */
export async function closedLoop<T>(
  { clients, count = Number.POSITIVE_INFINITY, isOver = () => false }: Load,
  work: (n: number) => Promise<T>,
): Promise<T[]> {
  const results: T[] = [];
  let next = 0;
  const client = async () => {
    while (next < count && !isOver()) results.push(await work(next++));
  };
  await Promise.all(Array.from({ length: clients }, client));
  return results;
}
