/**
 * The texts of people among payloads: what a client calls its request by, why an operator decided, why a customer cancelled. Each is
 * sealed with the key of the order's customer, within a payload whose other parts the saga needs for ever. So destroying that key
 * erases the texts and nothing else, and a saga whose texts are erased replays.
 *
 * A text never holds a saga up, and none outlives its customer: one that cannot be sealed is not kept, and one that cannot be opened reads
 * as unreadable. No saga decides anything by a text, and whoever decided, and why, is in the audit trail besides.
 */
import { KeyDestroyed } from '../../domain/sealing/errors.js';
import { ERASED, type SealedBytes } from '../../domain/sealing/port.js';
import { orderIdOf } from '../../contracts/ids.js';

/** What is read for a text whose key is not destroyed, but cannot be had now. */
export const UNREADABLE = '[unreadable: its key cannot be had]';
/** What is kept in place of a text that could not be sealed. */
export const NOT_KEPT = '[not kept: its key could not be had]';

export type FreeTextDependencies = {
  /** domain/sealing. */
  sealBytes(bytes: Uint8Array, of: { reference: string; about: string }): Promise<SealedBytes>;
  openBytes(sealed: SealedBytes, of: { reference: string; about: string }): Promise<Buffer>;
  /** @returns the reference of the order's customer; undefined = it has none yet, or there is no such order: there is no key to seal with */
  referenceOf(orderId: string): Promise<string | undefined>;
  /** Told of each text that could not be treated as it should. */
  onFailure(what: 'not sealed' | 'not opened', err: unknown): void;
  limitMs?: number;
  now?(): number;
};

export type FreeTexts = {
  /** @returns the value with its texts sealed or gone, and whose key has sealed; undefined = it stays as it is */
  seal(value: unknown, workflow: string): Promise<{ value: unknown; customer: string | undefined } | undefined>;
  open(value: unknown, of: { workflow: string; customer: string }): Promise<unknown>;
};

/** A workflow task has 5 s (contracts/saga), and many payloads. */
const LIMIT_MS = 1_000;
/** After a look that has hung, texts are not waited for: each would hold up its task. */
const COOL_DOWN_MS = 5_000;

export function createFreeTexts({
  sealBytes,
  openBytes,
  referenceOf,
  onFailure,
  limitMs = LIMIT_MS,
  now = () => performance.now(),
}: FreeTextDependencies): FreeTexts {
  let awayUntil = 0;
  const within = async <T>(ask: () => Promise<T>): Promise<T> => {
    if (now() < awayUntil) throw new Error('the key store or the database has hung a moment ago');
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        awayUntil = now() + COOL_DOWN_MS;
        reject(new Error(`no answer within ${limitMs} ms`));
      }, limitMs);
    });
    try {
      return await Promise.race([ask(), late]);
    } finally {
      clearTimeout(timer);
    }
  };
  const sealOne = async (text: string, workflow: string, reference: string): Promise<Sealed | string> => {
    try {
      const about = aboutOf(workflow);
      const { keyVersion, data } = await within(() => sealBytes(Buffer.from(text, 'utf8'), { reference, about }));
      return { [SEALED]: [keyVersion, Buffer.from(data).toString('base64')] };
    } catch (err) {
      if (err instanceof KeyDestroyed) return ERASED;
      onFailure('not sealed', err);
      return NOT_KEPT;
    }
  };
  const openOne = async ({ [SEALED]: [keyVersion, data] }: Sealed, workflow: string, reference: string) => {
    try {
      const sealed = { keyVersion, data: Buffer.from(data, 'base64') };
      return (await within(() => openBytes(sealed, { reference, about: aboutOf(workflow) }))).toString('utf8');
    } catch (err) {
      if (err instanceof KeyDestroyed) return ERASED;
      onFailure('not opened', err);
      return UNREADABLE;
    }
  };
  return {
    seal: async (value, workflow) => {
      const names = textsIn(value);
      if (names.length === 0) return undefined;
      let reference: string | undefined;
      try {
        reference = await within(() => referenceOf(orderIdOf(workflow)));
      } catch (err) {
        onFailure('not sealed', err);
        return { value: await replaced(value, names, async () => NOT_KEPT), customer: undefined };
      }
      if (reference === undefined) return undefined;
      const customer = reference;
      const sealed = await replaced(value, names, (text) => sealOne(text as string, workflow, customer));
      return { value: sealed, customer: hasSealed(sealed) ? customer : undefined };
    },
    open: (value, { workflow, customer }) =>
      replaced(value, sealedIn(value), (text) => openOne(text as Sealed, workflow, customer)),
  };
}

const aboutOf = (workflow: string): string => `temporal/${workflow}`;

const SEALED = '~sealed';
type Sealed = { [SEALED]: [keyVersion: number, data: string] };
const isSealed = (value: unknown): value is Sealed => {
  const [version, data] = ((value as Sealed | null)?.[SEALED] ?? []) as [unknown?, unknown?];
  return typeof version === 'number' && typeof data === 'string';
};

/** Where a text stands: a part of this name, or the whole. */
const WHOLE = '';
type Part = string;

const replaced = async (value: unknown, parts: Part[], by: (text: unknown) => Promise<unknown>): Promise<unknown> => {
  if (parts.includes(WHOLE)) return by(value);
  const texts = value as Record<string, unknown>;
  const made = await Promise.all(parts.map(async (name) => [name, await by(texts[name])] as const));
  return { ...texts, ...Object.fromEntries(made) };
};
const sealedIn = (value: unknown): Part[] => {
  if (isSealed(value)) return [WHOLE];
  return Object.entries(value as object).flatMap(([name, part]) => (isSealed(part) ? [name] : []));
};
const hasSealed = (value: unknown): boolean => typeof value === 'object' && sealedIn(value).length > 0;

/**
 * What people have written, by its shape: contracts/saga's Resolution, CancelRequest and memo, contracts/steps' Decision and what
 * beginUnwinding takes. A `reason` beside nobody who gives it is a code, which sagas decide by.
 */
function textsIn(value: unknown): Part[] {
  if (typeof value === 'string') return isChosenId(value) ? [WHOLE] : [];
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return [];
  const parts = value as Record<string, unknown>;
  const isGiven = typeof parts['operator'] === 'string' || typeof parts['requestedBy'] === 'string';
  const names = [...(isGiven ? ['reason'] : []), 'detail'].filter((name) => typeof parts[name] === 'string');
  const id = parts['correlationId'];
  return typeof id === 'string' && isChosenId(id) ? [...names, 'correlationId'] : names;
}

/** Worth parsing: most payloads have none of these in them. */
export const mayHaveTexts = (data: Buffer): boolean =>
  data[0] === QUOTE ? !data.includes(' ') : MARKS.some((mark) => data.includes(mark));
const QUOTE = 0x22;
const MARKS = ['"reason":', '"detail":', '"correlationId":'];

/**
 * A correlation id that its client has chosen. One that is a UUID tells nothing of anybody, and is most often ours. What a saga says of
 * itself in the Web UI has spaces in it, which no id has.
 */
const isChosenId = (text: string): boolean => !/\s/.test(text) && !UUID.test(text);
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;
