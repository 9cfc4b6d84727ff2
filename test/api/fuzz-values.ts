/** Values for a fuzzing run: those that a schema allows, and others. */
import fc from 'fast-check';
import { type OpenApi, resolve, type Schema } from '../support/openapi.js';

/** Parameter or field name → values that exist, so that requests reach beyond "there is no such thing". */
export type Known = Record<string, fc.Arbitrary<unknown>>;

const LIST_MAX = 3;

/** What the schema allows; a value that exists, where one is known. */
export function allowed(document: OpenApi, schema: Schema, known: Known, name = ''): fc.Arbitrary<unknown> {
  const found = resolve(document, schema);
  const made = madeOf(document, found, known);
  const existing = known[name];
  return existing ? fc.oneof({ weight: 12, arbitrary: existing }, { weight: 1, arbitrary: made }) : made;
}

function madeOf(document: OpenApi, schema: Schema, known: Known): fc.Arbitrary<unknown> {
  const inner = (of: unknown, name?: string) => allowed(document, of as Schema, known, name);
  if (schema['enum']) return fc.constantFrom(...(schema['enum'] as unknown[]));
  if (schema['anyOf']) return fc.oneof(...(schema['anyOf'] as unknown[]).map((member) => inner(member)));
  switch (schema['type']) {
    case 'object': {
      const fields = Object.entries((schema['properties'] ?? {}) as Record<string, unknown>);
      const required = (schema['required'] ?? []) as string[];
      const field = (key: string, of: unknown) => (required.includes(key) ? inner(of, key) : sometimes(inner(of, key)));
      return fc
        .record(Object.fromEntries(fields.map(([key, of]) => [key, field(key, of)])))
        .map((record) => Object.fromEntries(Object.entries(record).filter(([, value]) => value !== undefined)));
    }
    case 'array': {
      const minLength = Number(schema['minItems'] ?? 0);
      // No two alike in their first field, which names what a line is about.
      const selector = (item: unknown) => JSON.stringify(Object.values(item as object)[0] ?? item);
      return fc.uniqueArray(inner(schema['items']), { minLength, maxLength: minLength + LIST_MAX, selector });
    }
    case 'integer':
      return integerOf(schema);
    case 'number':
      return numberOf(schema);
    case 'string':
      return stringOf(schema);
    case 'boolean':
      return fc.boolean();
    case 'null':
      return fc.constant(null);
    default:
      return fc.jsonValue();
  }
}

/** One time in four: what is optional makes most requests fail, if it is always there. */
const sometimes = (arbitrary: fc.Arbitrary<unknown>) =>
  fc.oneof({ weight: 3, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary });

function numberOf({ minimum, maximum }: Schema): fc.Arbitrary<number> {
  const [min, max] = [Number(minimum ?? 0), Number(maximum ?? 1_000_000)];
  return fc.oneof(fc.double({ min, max, noNaN: true }), fc.constantFrom(min, max));
}

function integerOf({ minimum, maximum }: Schema): fc.Arbitrary<number> {
  const min = Number(minimum ?? 0);
  const max = Number(maximum ?? 1_000_000);
  return fc.oneof(
    fc.bigInt({ min: BigInt(min), max: BigInt(Math.min(max, min + 50)) }).map(Number),
    fc.bigInt({ min: BigInt(min), max: BigInt(max) }).map(Number),
    fc.constantFrom(min, max),
  );
}

function stringOf({ pattern, format, minLength = 0, maxLength = 200 }: Schema): fc.Arbitrary<string> {
  if (format === 'uuid') return fc.uuid();
  if (pattern === undefined)
    return fc.string({ unit: 'grapheme', minLength: Number(minLength), maxLength: Number(maxLength) / 10 });
  const fits = new RegExp(String(pattern), 'u');
  const fitting = (text: string) => fits.test(text) && [...text].length <= Number(maxLength);
  // Made by the pattern; and, where it allows more than letters, letters of all the world.
  const worldly = fits.test('ü漢💳')
    ? [fc.string({ unit: 'grapheme', minLength: 1, maxLength: 40 }).filter(fitting)]
    : [];
  return fc.oneof(fc.stringMatching(new RegExp(String(pattern))).filter(fitting), ...worldly);
}

/** A value of any kind, the kinds that have broken parsers first. */
export const junk: fc.Arbitrary<unknown> = fc.oneof(
  fc.constantFrom<unknown>(null, true, '', ' ', 0, -1, 0.5, -0, 1e308, 2 ** 53, 2 ** 63, -(2 ** 31) - 1),
  fc.constantFrom('\u0000', '\ud800', 'a\u0000b', '\u202e', '%00', '../../etc/passwd', "' OR 1=1 --", '{{7*7}}'),
  fc.constantFrom('9'.repeat(40), 'x'.repeat(3_000), '1e5', 'NaN', 'null', 'true', '0x10', '１２'),
  fc.string({ unit: 'binary', maxLength: 30 }),
  fc.string({ unit: 'grapheme', maxLength: 30 }),
  fc.double(),
  fc.jsonValue({ maxDepth: 3 }),
);

const UNKNOWN_FIELDS = ['', 'admin', '__proto__', 'constructor', 'toString', 'id', 'price', '$ref', 'a/b~c', '💥'];

/** The value with one thing changed: something in it replaced, taken away or added. */
export function spoilt(value: unknown): fc.Arbitrary<unknown> {
  const places = placesOf(value);
  return fc.oneof(
    {
      weight: 3,
      arbitrary: fc.tuple(fc.constantFrom(...places), junk).map(([at, thing]) => changed(value, at, () => thing)),
    },
    { weight: 1, arbitrary: fc.constantFrom(...places).map((at) => changed(value, at, () => undefined)) },
    {
      weight: 1,
      arbitrary: fc
        .tuple(fc.constantFrom(...places), fc.constantFrom(...UNKNOWN_FIELDS), junk)
        .map(([at, field, thing]) => changed(value, at, (old) => withField(old, field, thing))),
    },
  );
}

/** Every place in a value, as the keys that lead there; the value itself too. */
function placesOf(value: unknown, at: string[] = []): string[][] {
  if (value === null || typeof value !== 'object') return [at];
  return [at, ...Object.entries(value).flatMap(([key, inner]) => placesOf(inner, [...at, key]))];
}

function changed(value: unknown, [key, ...rest]: string[], change: (old: unknown) => unknown): unknown {
  if (key === undefined) return change(value);
  const inner = (value as Record<string, unknown>)[key];
  if (Array.isArray(value)) return value.map((entry, i) => (`${i}` === key ? changed(inner, rest, change) : entry));
  return { ...(value as object), [key]: changed(inner, rest, change) };
}

/** As JSON has it: `__proto__` becomes a field like any other. */
function withField(value: unknown, field: string, thing: unknown): unknown {
  if (value === null || typeof value !== 'object' || Array.isArray(value)) return [value, thing];
  return Object.fromEntries([...Object.entries(value), [field, thing]]);
}
