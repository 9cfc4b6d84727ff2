/**
 * CloudEvents' two modes. Structured: the whole envelope is the message's body. Binary: the body is the event's data, and
 * every other attribute travels beside it, under a prefix that the protocol's binding gives.
 * https://github.com/cloudevents/spec/tree/v1.0.2/cloudevents/bindings
 */
import type { CloudEvent } from '../../contracts/events.js';

export const STRUCTURED = 'application/cloudevents+json; charset=UTF-8';

export const structuredBody = (event: CloudEvent): Buffer => Buffer.from(JSON.stringify(event));

/** `datacontenttype` is missing among the attributes: each protocol has a place of its own for it. */
export function binaryMode(
  { data, datacontenttype, ...attributes }: CloudEvent,
  prefix: string,
): { contentType: string; attributes: Record<string, string | number>; body: Buffer } {
  return {
    contentType: datacontenttype,
    attributes: Object.fromEntries(Object.entries(attributes).map(([name, value]) => [`${prefix}${name}`, value])),
    body: Buffer.from(JSON.stringify(data)),
  };
}
