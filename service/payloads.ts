/** The codec of payloads in this process: off, its key looked for from the start, and newer ones for as long as it runs. */
import type { Logger } from 'pino';
import type { Statements } from '../domain/database.js';
import { findReferenceOfOrder } from '../domain/sealing/order-references.js';
import type { DataKeys } from '../domain/sealing/data-keys.js';
import type { Sealing } from '../domain/sealing/port.js';
import { startLoop } from '../runtime/loop.js';
import type { CodecMode } from '../sagas/payloads/codec.js';
import { createPayloads, type Payloads } from '../sagas/payloads/opened.js';

/** A newer version encrypts minutes after it was made: sagas/payloads/payload-keys. */
const LOOK_EVERY_MS = 30_000;
/** While there is no key a worker does not work. */
const FIRST_LOOK_EVERY_MS = 500;
/** An outage is one line, not one for each text. */
const SAID_EVERY_MS = 60_000;

export type ServicePayloads = Omit<Payloads, 'keys'> & {
  /** Resolves when the key is at hand; never before `start`. */
  readonly ready: Promise<void>;
  isReady(): boolean;
  start(): void;
  stop(): Promise<void>;
};

type Options = {
  mode: CodecMode | 'off';
  db: Statements;
  dataKeys: DataKeys | undefined;
  sealing: Sealing;
  logger: Logger;
};

/** @returns undefined if payloads are neither encrypted nor decrypted here */
export function openPayloads({ mode, db, dataKeys, sealing, logger }: Options): ServicePayloads | undefined {
  if (mode === 'off' || !dataKeys) return undefined;
  let saidAt = Number.NEGATIVE_INFINITY;
  let unsaid = 0;
  const onFailure = (what: string, err: unknown) => {
    unsaid++;
    if (performance.now() < saidAt + SAID_EVERY_MS) return;
    logger.warn({ err, texts: unsaid }, `texts in payloads were ${what} for their customers`);
    [saidAt, unsaid] = [performance.now(), 0];
  };
  const { codec, clientOptions, keys } = createPayloads({
    ...{ mode, dataKeys, sealing, onFailure },
    findReference: (orderId) => findReferenceOfOrder(db, orderId),
  });
  let resolve = () => {};
  const ready = new Promise<void>((atHand) => {
    resolve = atHand;
  });
  const isReady = () => keys.current() !== undefined;
  let loop: ReturnType<typeof startLoop> | undefined;
  const look = async () => {
    await keys.lookOnce();
    resolve();
    return false;
  };
  const start = () => {
    const first = { name: 'look for the payload key', everyMs: FIRST_LOOK_EVERY_MS, backoffMaxMs: 5_000, logger };
    loop = startLoop(first, async () => {
      await look();
      logger.info('the payload key is at hand');
      void loop?.stop();
      loop = startLoop({ ...first, name: 'look for a newer payload key', everyMs: LOOK_EVERY_MS }, look);
      return false;
    });
  };
  return { codec, clientOptions, ready, isReady, start, stop: async () => loop?.stop() };
}
