/** Load: a number of clients, each of which does one thing after the other until all of it is done. */

/** @returns what each call of `work` gave, in no order */
export async function closedLoop<T>(
  { clients, count }: { clients: number; count: number },
  work: (n: number) => Promise<T>,
): Promise<T[]> {
  const results: T[] = [];
  let next = 0;
  const client = async () => {
    while (next < count) results.push(await work(next++));
  };
  await Promise.all(Array.from({ length: clients }, client));
  return results;
}
