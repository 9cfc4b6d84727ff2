/**
 * Form: parameters as the official client sends them, `application/x-www-form-urlencoded` with bracketed names:
 * `metadata[orderId]=42`, `expand[0]=latest_charge`, `created[gte]=1700000000`. Values stay text; params.ts gives them types.
 */
import { createHash } from 'node:crypto';
import { invalid } from './errors.js';

/** Lists are forms whose names are numbers: only the reader of a parameter knows whether it is a list. */
export interface Form {
  [name: string]: string | Form;
}

/** Far above what any of the routes takes; bounds the work that one body can cause. */
const PAIRS_MAX = 1_000;
const DEPTH_MAX = 5;

// Without a prototype, so that a parameter named `__proto__` or `constructor` is only a parameter.
const emptyForm = (): Form => Object.create(null) as Form;

/** @throws ProviderError when names contradict each other, nest too deeply or are too many */
export function parseForm(text: string): Form {
  const form = emptyForm();
  let pairs = 0;
  for (const [name, value] of new URLSearchParams(text)) {
    pairs += 1;
    if (pairs > PAIRS_MAX) throw invalid(`A request has at most ${PAIRS_MAX} parameters.`);
    place(form, pathOf(name), value);
  }
  return form;
}

function pathOf(name: string): string[] {
  const match = /^([^[\]]+)((?:\[[^[\]]*\])*)$/.exec(name);
  if (!match) throw invalid(`Invalid parameter name: ${name.slice(0, 100)}`);
  const path = [match[1] ?? '', ...[...(match[2] ?? '').matchAll(/\[([^[\]]*)\]/g)].map((part) => part[1] ?? '')];
  if (path.length > DEPTH_MAX) throw invalid(`Parameters nest at most ${DEPTH_MAX} deep.`);
  return path;
}

function place(form: Form, path: string[], value: string): void {
  let here = form;
  path.forEach((step, depth) => {
    const name = step === '' ? String(Object.keys(here).length) : step; // `types[]=card` appends
    if (depth === path.length - 1) {
      if (typeof here[name] === 'object') throw contradiction(path);
      here[name] = value;
      return;
    }
    const next = here[name] ?? emptyForm();
    if (typeof next === 'string') throw contradiction(path);
    here[name] = next;
    here = next;
  });
}

const contradiction = (path: string[]) => invalid(`Parameter ${path[0]} is given both as a value and as an object.`);

/** Identifies a set of parameters whatever their order. */
export function fingerprint(form: Form): string {
  return createHash('sha256').update(canonical(form)).digest('base64url');
}

function canonical(form: Form): string {
  const names = Object.keys(form).sort();
  return JSON.stringify(names.map((name) => [name, textOf(form[name])]));
}

const textOf = (value: string | Form | undefined): string =>
  typeof value === 'object' ? `{${canonical(value)}` : `=${value ?? ''}`;
