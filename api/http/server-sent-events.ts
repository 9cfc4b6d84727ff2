/** Events in the format of Server-Sent Events. https://html.spec.whatwg.org/multipage/server-sent-events.html */
import { type CustomersTold, type StoredEvent, toCloudEvent } from '../../contracts/events.js';

/** Characters of a stream that are written at once, about. */
const CHUNK_LENGTH = 32_768;
/** What each stream begins with: how long a client waits before it connects again. */
export const RETRY = 'retry: 1000\n\n';

export const encodeEvent = (id: string, event: StoredEvent, customers?: CustomersTold): string =>
  `id: ${id}\nevent: ${event.type}\ndata: ${JSON.stringify(toCloudEvent(event, customers))}\n\n`;

/** A write per event costs more than the event; a write of all of them, each of which may be 10 KB, too much memory. */
export function* inChunks(
  events: StoredEvent[],
  idOf: (event: StoredEvent) => string,
  customers?: CustomersTold,
): Generator<string> {
  let chunk = '';
  for (const event of events) {
    chunk += encodeEvent(idOf(event), event, customers);
    if (chunk.length >= CHUNK_LENGTH) {
      yield chunk;
      chunk = '';
    }
  }
  if (chunk !== '') yield chunk;
}
