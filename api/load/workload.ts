/**
 * The workload: the requests that this process has in work, and whose they are. One caller may have as many of them as there
 * are places left: half of all if it is alone, a third each if there are two, and there is always room for another one. So
 * the caller with the most is refused first, and one with few is not refused on another's account.
 */
export type Place = {
  /** Counts the request as this customer's too, in whose name its caller asks. @returns false if the customer has its share */
  join(customer: string): boolean;
  leave(): void;
};

export type Workload = {
  isFull(): boolean;
  /** @param caller undefined = without a share @returns why there is no place: for any request, or for another of the caller's */
  enter(caller: string | undefined): Place | 'full' | 'share';
};

export function createWorkload(requestsMax: number): Workload {
  let inWork = 0;
  const held = new Map<string, number>();
  const heldBy = (caller: string | undefined) => (caller === undefined ? 0 : (held.get(caller) ?? 0));
  const count = (caller: string | undefined, change: 1 | -1) => {
    if (caller === undefined) return;
    const now = heldBy(caller) + change;
    if (now === 0) held.delete(caller);
    else held.set(caller, now);
  };
  return {
    isFull: () => inWork >= requestsMax,
    enter: (caller) => {
      if (inWork >= requestsMax) return 'full';
      if (heldBy(caller) >= requestsMax - inWork) return 'share';
      inWork++;
      count(caller, 1);
      let joined: string | undefined;
      let isOver = false;
      return {
        join: (customer) => {
          if (isOver || joined !== undefined) return true;
          // As many as its service may still have: so the service's other customers find room, too.
          if (heldBy(customer) >= requestsMax - inWork - heldBy(caller)) return false;
          joined = customer;
          count(customer, 1);
          return true;
        },
        leave: () => {
          if (isOver) return;
          isOver = true;
          inWork--;
          count(caller, -1);
          count(joined, -1);
        },
      };
    },
  };
}
