/**
 * Link: a connection to a broker that is made when it is first needed, and forgotten when it fails, so that the next
 * batch makes a new one. The pause between tries is the relay's backoff; the clients' own reconnecting would only keep
 * messages that the relay does not wait for any more, and send them at a time of their own.
 */
export type Link<T> = {
  /** @throws why there is no connection, or what `work` threw; the connection is then forgotten */
  use<R>(work: (connection: T) => Promise<R>): Promise<R>;
  close(): Promise<void>;
};

/** A broker that does not close its connection in this time is abandoned. */
const DISCONNECT_LIMIT_MS = 1_000;

/**
 * @param open  has its own time limits; calls `lost` when the connection is no more, so that it is not tried once again
 * @param disconnect ends it in good order where that is possible, at once where not
 */
export function createLink<T>(
  open: (lost: () => void) => Promise<T>,
  disconnect: (connection: T) => Promise<void>,
): Link<T> {
  let current: Promise<T> | undefined;
  let closed = false;
  const get = () => {
    if (closed) throw new Error('the publisher is closed');
    if (current === undefined) {
      const opening = open(() => void forget(opening));
      current = opening;
      opening.catch(() => forget(opening));
    }
    return current;
  };
  const forget = async (connection: Promise<T> | undefined) => {
    if (connection !== current) return; // it has a successor already
    current = undefined;
    // A connection that was never made need not be ended, and a failure to end one changes nothing.
    const disconnecting = Promise.resolve(connection?.then(disconnect));
    await withinMs(DISCONNECT_LIMIT_MS, 'disconnecting', disconnecting).catch(() => undefined);
  };
  return {
    use: async (work) => {
      const connection = get();
      try {
        return await work(await connection);
      } catch (err) {
        void forget(connection);
        throw err;
      }
    },
    close: () => {
      closed = true;
      return forget(current);
    },
  };
}

/** @throws Error that says what took too long */
export async function withinMs<T>(limitMs: number, what: string, promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} took longer than ${limitMs} ms`)), limitMs);
  });
  return await Promise.race([promise, late]).finally(() => clearTimeout(timer));
}
