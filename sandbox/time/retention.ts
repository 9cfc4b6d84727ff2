/**
 * Retention: after SANDBOX_RETENTION what is personal of a record that has not changed goes; the books stay. It is looked for
 * when the sandbox starts, then every hour, and on request, for whoever has moved the clock: `POST /sandbox/retention`.
 */
import type { FastifyInstance } from 'fastify';
import type { Logger } from 'pino';
import type { Ledger } from '../ledger/ledger.js';

const EVERY_MS = 3_600_000;

export interface RetentionOptions {
  /** 0 = for ever. */
  retentionMs: number;
  logger: Logger;
}

export class Retention {
  #pass: Promise<number> | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly ledger: Ledger,
    private readonly options: RetentionOptions,
  ) {
    if (options.retentionMs > 0) void this.#loop();
  }

  /** Whoever asks during a pass has that one's answer. @returns of how many records what is personal has gone */
  runOnce(): Promise<number> {
    const { retentionMs } = this.options;
    if (retentionMs === 0) return Promise.resolve(0);
    this.#pass ??= this.ledger.forget(this.ledger.now() - retentionMs).finally(() => {
      this.#pass = undefined;
    });
    return this.#pass;
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  async #loop(): Promise<void> {
    this.#timer = setTimeout(() => void this.#loop(), EVERY_MS);
    this.#timer.unref();
    await this.runOnce().catch((err: unknown) =>
      this.options.logger.error({ err }, 'what is older than the retention is still there'),
    );
  }
}

export function retentionRoutes(app: FastifyInstance, retention: Retention): void {
  app.post('/sandbox/retention', async () => ({ blanked: await retention.runOnce() }));
}
