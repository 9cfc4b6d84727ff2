/**
 * Turns: only so many of these works are under way at once, the others wait without holding anything. Acts wait for each other at
 * the chain's lock in any case; if each waited there, on a connection of its own, customers' requests would find none.
 */
export function createTurns(atOnce: number): <T>(work: () => Promise<T>) => Promise<T> {
  let underWay = 0;
  const waiting: (() => void)[] = [];
  return async (work) => {
    if (underWay >= atOnce) await new Promise<void>((resolve) => waiting.push(resolve));
    else underWay++;
    try {
      return await work();
    } finally {
      const next = waiting.shift();
      if (next) next();
      else underWay--;
    }
  };
}
