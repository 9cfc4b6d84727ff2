/** Params: a form's values with types and limits, refused in the provider's words when they are wrong. */

import type { Metadata } from '../ledger/records.js';
import { requireChargeable, requireCurrency } from '../provider/currencies.js';
import { invalid } from './errors.js';
import type { Form } from './form.js';

/** The provider's own limits. */
const METADATA_KEYS_MAX = 50;
const METADATA_KEY_CHARS = 40;
const METADATA_VALUE_CHARS = 500;
const TEXT_CHARS = 5_000;

/** A misspelt parameter is refused, as the provider does: silence would hide it until production. */
export function refuseUnknown(form: Form, known: readonly string[]): void {
  const unknown = Object.keys(form).find((name) => !known.includes(name));
  if (unknown !== undefined) {
    throw invalid(`Received unknown parameter: ${unknown.slice(0, 100)}`, {
      code: 'parameter_unknown',
      param: unknown,
    });
  }
}

export function text(form: Form, name: string): string | undefined {
  const value = form[name];
  if (value === undefined) return undefined;
  if (typeof value !== 'string') throw invalid('Invalid string: {...}', { param: name });
  if (value === '') {
    throw invalid(`You passed an empty string for '${name}'.`, { code: 'parameter_invalid_empty', param: name });
  }
  if (value.length > TEXT_CHARS)
    throw invalid(`Invalid string; must be at most ${TEXT_CHARS} characters`, { param: name });
  return value;
}

export function requiredText(form: Form, name: string): string {
  return text(form, name) ?? missing(name);
}

export function integer(form: Form, name: string): number | undefined {
  const value = text(form, name);
  if (value === undefined) return undefined;
  if (!/^-?\d{1,15}$/.test(value)) {
    throw invalid(`Invalid integer: ${value.slice(0, 30)}`, { code: 'parameter_invalid_integer', param: name });
  }
  return Number(value);
}

export function amount(form: Form): number | undefined {
  const value = integer(form, 'amount');
  if (value === undefined) return undefined;
  if (value < 1) {
    throw invalid('This value must be greater than or equal to 1.', {
      code: 'parameter_invalid_integer',
      param: 'amount',
    });
  }
  return value;
}

/** What is to be charged: both in order, and fit for each other. */
export function price(form: Form): { amount: number; currency: string } {
  const terms = { amount: amount(form) ?? missing('amount'), currency: currency(form) };
  requireChargeable(terms.amount, terms.currency);
  return terms;
}

function currency(form: Form): string {
  const value = requiredText(form, 'currency');
  if (!/^[a-z]{3}$/.test(value)) {
    throw invalid(`Invalid currency: ${value.slice(0, 10)}. Write three lower-case letters.`, { param: 'currency' });
  }
  requireCurrency(value);
  return value;
}

export function flag(form: Form, name: string): boolean {
  const value = text(form, name);
  if (value !== undefined && value !== 'true' && value !== 'false') {
    throw invalid(`Invalid boolean: ${value.slice(0, 30)}`, { param: name });
  }
  return value === 'true';
}

export function list(form: Form, name: string): string[] {
  const value = form[name];
  if (value === undefined || value === '') return [];
  if (typeof value === 'string') throw invalid('Invalid array', { param: name });
  return Object.keys(value).map((index) => requiredText(value, index));
}

export function oneOf<T extends string>(form: Form, name: string, choices: readonly T[]): T | undefined {
  const value = text(form, name);
  const choice = choices.find((candidate) => candidate === value);
  if (value !== undefined && choice === undefined) {
    throw invalid(`Invalid ${name}: must be one of ${choices.join(', ')}`, { param: name });
  }
  return choice;
}

/**
 * @param before what the object has: new keys are added to it, an empty value unsets its key, and an empty `metadata` all
 *               of them
 */
export function metadata(form: Form, before: Metadata = {}): Metadata {
  const value = form['metadata'];
  if (value === undefined) return before;
  if (value === '') return {};
  if (typeof value === 'string') throw invalid('Invalid object', { param: 'metadata' });
  const merged = new Map<string, string | Form>([...Object.entries(before), ...Object.entries(value)]);
  const pairs = [...merged].filter(([, content]) => content !== '');
  if (pairs.length > METADATA_KEYS_MAX) {
    throw invalid(`Metadata has at most ${METADATA_KEYS_MAX} keys.`, { param: 'metadata' });
  }
  return Object.fromEntries(pairs.map(([key, content]) => [key, metadataValue(key, content)]));
}

function metadataValue(key: string, content: string | Form): string {
  const param = `metadata[${key.slice(0, METADATA_KEY_CHARS)}]`;
  if (typeof content !== 'string') throw invalid('Metadata values are strings.', { param });
  if (key.length > METADATA_KEY_CHARS)
    throw invalid(`Metadata keys have at most ${METADATA_KEY_CHARS} characters.`, { param });
  if (content.length > METADATA_VALUE_CHARS) {
    throw invalid(`Metadata values have at most ${METADATA_VALUE_CHARS} characters.`, { param });
  }
  return content;
}

function missing(name: string): never {
  throw invalid(`Missing required param: ${name}.`, { code: 'parameter_missing', param: name });
}
