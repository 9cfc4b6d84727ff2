/**
 * Search: `/v1/payment_intents/search`, the provider's query language as far as an order's payments need it: clauses joined
 * by AND, over `metadata['…']`, `status` and `currency`. Eventually consistent as the provider's is: an intent is found
 * only some time after it was made, so an empty answer proves nothing. Ask a list or a retrieve for the truth.
 */

import type { Ledger } from '../ledger/ledger.js';
import type { Intent } from '../ledger/records.js';
import { invalid } from '../protocol/errors.js';
import type { Form } from '../protocol/form.js';
import { readLimit } from '../protocol/lists.js';
import { requiredText, text } from '../protocol/params.js';

interface Clause {
  field: 'metadata' | 'status' | 'currency';
  key: string;
  value: string;
}

const CLAUSE =
  /^(?:metadata\[(?:'([^']+)'|"([^"]+)")\]|(status|currency))\s*:\s*(?:'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)")\s*/;

export interface SearchOptions {
  url: string;
  lagMs: number;
  render: (intent: Intent) => object;
}

export function searchIntents(ledger: Ledger, query: Form, { url, lagMs, render }: SearchOptions): object {
  const clauses = parseQuery(requiredText(query, 'query'));
  const limit = readLimit(query);
  const visibleUntil = ledger.now() - lagMs;
  const found = candidates(ledger, clauses)
    .filter((intent) => intent.at <= visibleUntil && clauses.every((clause) => matches(intent, clause)))
    .reverse();
  const page = text(query, 'page');
  const start = page === undefined ? 0 : found.findIndex(({ id }) => id === page) + 1;
  if (page !== undefined && start === 0) throw invalid('Invalid page.', { param: 'page' });
  const data = found.slice(start, start + limit);
  const hasMore = start + limit < found.length;
  // Opaque to callers, as the provider's is; inside, the last id that was shown.
  const next = hasMore ? (data.at(-1)?.id ?? null) : null;
  return { object: 'search_result', url, has_more: hasMore, next_page: next, data: data.map(render) };
}

/** Oldest first; all of them unless the query names an order. */
function candidates(ledger: Ledger, clauses: Clause[]): Intent[] {
  const order = clauses.find(({ field, key }) => field === 'metadata' && key === 'orderId');
  return order ? ledger.intentsOf(order.value) : [...ledger.facts.intents.items];
}

function matches(intent: Intent, { field, key, value }: Clause): boolean {
  return (field === 'metadata' ? intent.metadata[key] : intent[field]) === value;
}

function parseQuery(query: string): Clause[] {
  const clauses: Clause[] = [];
  let rest = query.trim();
  while (rest !== '' || clauses.length === 0) {
    const match = CLAUSE.exec(rest);
    if (!match)
      throw invalid(`We were unable to parse your search query near: ${rest.slice(0, 50)}`, { param: 'query' });
    const [whole, single, double, field, singleValue, doubleValue] = match;
    const value = (singleValue ?? doubleValue ?? '').replace(/\\(.)/g, '$1');
    clauses.push({ field: fieldOf(field), key: single ?? double ?? '', value });
    rest = rest.slice(whole.length);
    if (rest === '') break;
    if (!/^AND\s+\S/.test(rest)) throw invalid('Clauses are joined by AND only.', { param: 'query' });
    rest = rest.replace(/^AND\s+/, '');
  }
  return clauses;
}

const fieldOf = (name: string | undefined): Clause['field'] =>
  name === 'status' || name === 'currency' ? name : 'metadata';
