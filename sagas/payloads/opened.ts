/** The codec as a process uses it, made of its keys: the one place where a codec comes from. */
import type { ClientOptions } from '@temporalio/client';
import type { PayloadCodec } from '@temporalio/common';
import type { DataKeys } from '../../domain/sealing/data-keys.js';
import type { Sealing } from '../../domain/sealing/port.js';
import { type CodecMode, createPayloadCodec } from './codec.js';
import { createFreeTexts, type FreeTextDependencies } from './free-texts.js';
import { createPayloadKeys, type PayloadKeys } from './payload-keys.js';
import { describing } from './reading.js';

export type PayloadDependencies = {
  mode: CodecMode;
  /** domain/sealing/order-references. */
  findReference: FreeTextDependencies['referenceOf'];
  dataKeys: Pick<DataKeys, 'newest' | 'ofVersion'>;
  sealing: Pick<Sealing, 'sealBytes' | 'openBytes'>;
  onFailure: FreeTextDependencies['onFailure'];
  encryptsAfterMs?: number;
};

export type Payloads = {
  /** For a worker. */
  codec: PayloadCodec;
  /** For a client. */
  clientOptions: Required<Pick<ClientOptions, 'dataConverter' | 'interceptors'>>;
  keys: PayloadKeys;
};

export function createPayloads({
  mode,
  findReference,
  dataKeys,
  sealing,
  onFailure,
  encryptsAfterMs,
}: PayloadDependencies): Payloads {
  const keys = createPayloadKeys(dataKeys, encryptsAfterMs === undefined ? {} : { encryptsAfterMs });
  const { sealBytes, openBytes } = sealing;
  const texts = createFreeTexts({ sealBytes, openBytes, referenceOf: remembering(findReference), onFailure });
  const codec = createPayloadCodec({ mode, keys, texts });
  const clientOptions = {
    dataConverter: { payloadCodecs: [codec] },
    interceptors: { workflow: [describing([codec])] },
  };
  return { codec, clientOptions, keys };
}

/** Those of the orders at work. A reference, once it is an order's, stays. */
const REMEMBERED_MAX = 10_000;

function remembering(find: FreeTextDependencies['referenceOf']): FreeTextDependencies['referenceOf'] {
  const known = new Map<string, string>();
  return async (orderId) => {
    const remembered = known.get(orderId);
    if (remembered !== undefined) return remembered;
    const reference = await find(orderId);
    if (reference === undefined) return undefined;
    if (known.size >= REMEMBERED_MAX) known.delete(known.keys().next().value ?? '');
    known.set(orderId, reference);
    return reference;
  };
}
