/** Arrivals: what a destination has got, and whether the events of each order came in sequence, repetitions aside. */

export type Arrivals = {
  /** @param eventId `<order>-<sequence>`, in the order of arrival */
  add: (eventId: string) => void;
  /** Events that have arrived at least once, each after all that come before it in its order. */
  inSequence: () => number;
  /** Events that arrived before one that comes before them: what consumers are promised never to see. */
  outOfSequence: () => number;
};

export function watchArrivals(): Arrivals {
  const reached = new Map<string, number>();
  let inSequence = 0;
  let outOfSequence = 0;
  return {
    add: (eventId) => {
      const cut = eventId.lastIndexOf('-');
      const [order, sequence] = [eventId.slice(0, cut), Number(eventId.slice(cut + 1))];
      const last = reached.get(order) ?? 0;
      if (sequence <= last) return;
      if (sequence === last + 1) {
        inSequence++;
        reached.set(order, sequence);
      } else outOfSequence++;
    },
    inSequence: () => inSequence,
    outOfSequence: () => outOfSequence,
  };
}
