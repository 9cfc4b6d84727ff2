/**
 * What Temporal keeps of a saga, encrypted: a PayloadCodec between the SDK and Temporal's server, for clients, workers and replayers.
 * Search attributes and headers never pass one; neither has a text of a person in it.
 *
 * A worker ends when encoding throws, so that it polls only once the payload key is at hand; from then on encoding needs nobody.
 */
import type { Payload, PayloadCodec } from '@temporalio/common';
import { decrypt, encrypt, type Envelope, envelopeOf, isEncrypted, PayloadBroken, textPayload } from './format.js';
import { type FreeTexts, mayHaveTexts, UNREADABLE } from './free-texts.js';
import { type PayloadKeys, PayloadKeyUnavailable } from './payload-keys.js';

/** `decode` reads what is encrypted, and writes as if there were no codec. */
export type CodecMode = 'decode' | 'on';

export function createPayloadCodec(deps: { mode: CodecMode; keys: PayloadKeys; texts: FreeTexts }): PayloadCodec {
  const { mode, keys, texts } = deps;

  const encode = async (payload: Payload, workflow: string): Promise<Payload> => {
    const key = keys.current();
    if (!key) throw new PayloadKeyUnavailable('The payload key is not at hand yet');
    if (isEncrypted(payload)) return payload;
    const parsed = workflow === '' ? undefined : parsedText(payload);
    const sealed = parsed && (await texts.seal(parsed.value, workflow));
    if (!sealed) return encrypt(payload, key, { workflow, customer: undefined });
    const data = Buffer.from(JSON.stringify(sealed.value));
    return encrypt({ ...payload, data }, key, { workflow, customer: sealed.customer });
  };
  const decode = async (payload: Payload, workflow: string): Promise<Payload> => {
    const envelope = envelopeOf(payload);
    if (!envelope) return payload;
    if (workflow !== '' && envelope.workflow !== '' && workflow !== envelope.workflow)
      throw new PayloadBroken('An encrypted payload belongs to another workflow');
    const { version, customer } = envelope;
    const key = keys.atHand(version) ?? (await keys.read(version).catch((err: unknown) => unlessText(envelope, err)));
    // One that cannot be read must not keep a list of sagas from whoever asks for it: their memos are texts.
    if (!key) return textPayload(UNREADABLE);
    const plain = decrypt(payload, key, envelope);
    if (customer === undefined) return plain;
    const value: unknown = JSON.parse(Buffer.from(plain.data ?? []).toString('utf8'));
    const opened = await texts.open(value, { workflow: envelope.workflow, customer });
    return { ...plain, data: Buffer.from(JSON.stringify(opened)) };
  };
  return {
    encode: async (payloads, context) => {
      if (mode === 'decode') return payloads;
      return Promise.all(payloads.map((payload) => encode(payload, context?.workflowId ?? '')));
    },
    decode: async (payloads, context) =>
      Promise.all(payloads.map((payload) => decode(payload, context?.workflowId ?? ''))),
  };
}

function unlessText({ isText }: Envelope, err: unknown): undefined {
  if (!isText) throw err;
}

function parsedText({ metadata, data }: Payload): { value: unknown } | undefined {
  const encoding = metadata?.['encoding'];
  if (!data || !encoding || !JSON_PLAIN.equals(encoding)) return undefined;
  const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  return mayHaveTexts(bytes) ? { value: JSON.parse(bytes.toString('utf8')) } : undefined;
}
const JSON_PLAIN = Buffer.from('json/plain');
