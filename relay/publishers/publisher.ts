import type { CloudEvent } from '../../contracts/events.js';

/**
 * A destination of events. `publish` resolves when the destination has durably taken the event; whatever it throws means
 * "not yet", and the event, and those after it in its order, will be sent again.
 */
export type Publisher = {
  /** Unique; names the destination's cursor, so renaming one sends everything again. */
  readonly destination: string;
  publish(event: CloudEvent): Promise<void>;
  close(): Promise<void>;
};
