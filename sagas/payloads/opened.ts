/** The codec as a process uses it, made of its keys: the one place where a data converter comes from. */
import type { DataConverter, PayloadCodec } from '@temporalio/common';
import type { Statements } from '../../domain/database.js';
import type { DataKeys } from '../../domain/sealing/data-keys.js';
import { findReferenceOfOrder } from '../../domain/sealing/order-references.js';
import type { Sealing } from '../../domain/sealing/sealing.js';
import { type CodecMode, createPayloadCodec } from './codec.js';
import { createFreeTexts, type FreeTextDependencies } from './free-texts.js';
import { createPayloadKeys, type PayloadKeys } from './payload-keys.js';

export type PayloadDependencies = {
  mode: CodecMode;
  db: Statements;
  dataKeys: DataKeys;
  sealing: Pick<Sealing, 'sealBytes' | 'openBytes'>;
  onFailure: FreeTextDependencies['onFailure'];
  encryptsAfterMs?: number;
};

export type Payloads = { codec: PayloadCodec; dataConverter: DataConverter; keys: PayloadKeys };

export function createPayloads({
  mode,
  db,
  dataKeys,
  sealing,
  onFailure,
  encryptsAfterMs,
}: PayloadDependencies): Payloads {
  const keys = createPayloadKeys(dataKeys, encryptsAfterMs === undefined ? {} : { encryptsAfterMs });
  const { sealBytes, openBytes } = sealing;
  const texts = createFreeTexts({ sealBytes, openBytes, referenceOf: rememberedReferences(db), onFailure });
  const codec = createPayloadCodec({ mode, keys, texts });
  return { codec, dataConverter: { payloadCodecs: [codec] }, keys };
}

/** For replays, which write nothing, and give a history another name than its workflow had. */
export const readingConverter = (codec: PayloadCodec): DataConverter => ({
  payloadCodecs: [{ encode: async (payloads) => payloads, decode: (payloads) => codec.decode(payloads) }],
});

/** Those of the orders at work. A reference, once it is an order's, stays. */
const REMEMBERED_MAX = 10_000;

function rememberedReferences(db: Statements): FreeTextDependencies['referenceOf'] {
  const known = new Map<string, string>();
  return async (orderId) => {
    const remembered = known.get(orderId);
    if (remembered !== undefined) return remembered;
    const reference = await findReferenceOfOrder(db, orderId);
    if (reference === undefined) return undefined;
    if (known.size >= REMEMBERED_MAX) known.delete(known.keys().next().value ?? '');
    known.set(orderId, reference);
    return reference;
  };
}
