/** Whose an order is, remembered of those that services have followed: it never changes, so a refusal need not ask. */
export type OrderCustomers = {
  recall(orderId: string): string | undefined;
  remember(orderId: string, customerId: string): void;
};

/** Some 200 bytes each. */
const REMEMBERED_MAX = 10_000;

export function createOrderCustomers(max = REMEMBERED_MAX): OrderCustomers {
  const known = new Map<string, string>();
  return {
    recall: (orderId) => known.get(orderId),
    remember: (orderId, customerId) => {
      const [oldest] = known.keys();
      if (known.size >= max && oldest !== undefined) known.delete(oldest);
      known.set(orderId, customerId);
    },
  };
}
