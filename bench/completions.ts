/** Completions: which orders have become final, read from Postgres, so that waiting costs the API nothing. */
import type pg from 'pg';

/** The precision of completion times. The session's CPU is not counted, but it does take turns with those that are. */
const POLL_MS = 5;
/** Without a single completion; then something is broken, and waiting would measure nothing. */
const STALL_LIMIT_MS = 60_000;

export type Completions = {
  /** Resolves when the order is final. */
  final: (orderId: string) => Promise<void>;
};

export function watchCompletions(client: pg.Client): Completions {
  const waiting = new Map<string, { resolve: () => void; reject: (err: unknown) => void }>();
  let isPolling = false;
  const poll = async () => {
    isPolling = true;
    let movedAt = performance.now();
    try {
      while (waiting.size > 0) {
        for (const id of await finalAmong(client, [...waiting.keys()])) {
          waiting.get(id)?.resolve();
          waiting.delete(id);
          movedAt = performance.now();
        }
        if (performance.now() - movedAt > STALL_LIMIT_MS)
          throw new Error(`${waiting.size} orders, none of which has become final for ${STALL_LIMIT_MS / 1000} s`);
        await new Promise((resolve) => setTimeout(resolve, POLL_MS));
      }
    } catch (err) {
      for (const { reject } of waiting.values()) reject(err);
      waiting.clear();
    }
    isPolling = false;
  };
  return {
    final: (orderId) =>
      new Promise((resolve, reject) => {
        waiting.set(orderId, { resolve, reject });
        if (!isPolling) void poll();
      }),
  };
}

async function finalAmong(client: pg.Client, ids: string[]): Promise<string[]> {
  const { rows } = await client.query<{ id: string }>({
    name: 'final-among',
    text: `SELECT id FROM orders WHERE id = ANY($1::uuid[]) AND status <> 'PENDING'`,
    values: [ids],
  });
  return rows.map(({ id }) => id);
}
