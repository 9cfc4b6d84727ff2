/** Temporal's payloads and durations, as far as sagas use them: JSON, and seconds with nanoseconds. */
export type Payload = { metadata: Record<string, Uint8Array>; data: Uint8Array };

const encoder = new TextEncoder();
const decoder = new TextDecoder();
const JSON_PLAIN = encoder.encode('json/plain');
const NOTHING: Payload = { metadata: { encoding: encoder.encode('binary/null') }, data: new Uint8Array() };

export const toPayload = (value: unknown): Payload =>
  value === undefined ? NOTHING : { metadata: { encoding: JSON_PLAIN }, data: encoder.encode(JSON.stringify(value)) };

/** Of `undefined` there is a payload without data. */
export function fromPayload(payload: Payload | null | undefined): unknown {
  const text = payload?.data ? decoder.decode(payload.data) : '';
  return text === '' ? undefined : JSON.parse(text);
}

export type Duration = { seconds?: { low: number } | number | null; nanos?: number | null } | null | undefined;

export function toMs(duration: Duration): number | undefined {
  if (!duration) return undefined;
  const seconds = typeof duration.seconds === 'number' ? duration.seconds : (duration.seconds?.low ?? 0);
  return seconds * 1_000 + (duration.nanos ?? 0) / 1_000_000;
}
