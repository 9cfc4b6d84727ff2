/** Lists: pages of records as the provider cuts them, newest first, by `starting_after`, `ending_before` and `created`. */
import type { FastifyRequest } from 'fastify';
import { faultOf } from '../faults/distortion.js';
import { seconds } from '../ledger/records.js';
import type { Listed, Run } from '../ledger/record-list.js';
import { invalid, noSuch } from './errors.js';
import { type Form, parseForm } from './form.js';
import { integer, list, refuseUnknown, text } from './params.js';

const LIMIT_DEFAULT = 10;
const LIMIT_MAX = 100;

const CURSORS = ['starting_after', 'ending_before', 'page'];
export const PAGE_PARAMS = ['limit', 'starting_after', 'ending_before', 'created', 'expand'];

export interface ListOptions<T> {
  url: string;
  noun: string;
  render: (record: T) => object;
}

export function readQuery(request: FastifyRequest, known: readonly string[]): Form {
  const query = parseForm(request.url.split('?').slice(1).join('?'));
  refuseUnknown(query, known);
  if (faultOf(request)?.mode === 'repeat_page') for (const cursor of CURSORS) delete query[cursor];
  return query;
}

/** @returns whether `path` is to be expanded. @throws ProviderError on any other path: the sandbox expands only this one */
export function expands(form: Form, path: string): boolean {
  const paths = list(form, 'expand');
  const unknown = paths.find((candidate) => candidate !== path);
  if (unknown !== undefined)
    throw invalid(`This property cannot be expanded (${unknown.slice(0, 100)}).`, { param: 'expand' });
  return paths.length > 0;
}

export function readLimit(query: Form): number {
  const limit = integer(query, 'limit') ?? LIMIT_DEFAULT;
  if (limit < 1 || limit > LIMIT_MAX) {
    const message = `Invalid limit: must be between 1 and ${LIMIT_MAX}.`;
    throw invalid(message, { code: 'parameter_invalid_integer', param: 'limit' });
  }
  return limit;
}

export function listOf<T extends Listed>(run: Run<T>, query: Form, { url, noun, render }: ListOptions<T>): object {
  const { records, hasMore } = page(run, query, noun);
  return { object: 'list', url, has_more: hasMore, data: records.map(render) };
}

function page<T extends Listed>(run: Run<T>, query: Form, noun: string): { records: T[]; hasMore: boolean } {
  const limit = readLimit(query);
  const { from, until } = createdRange(query);
  const before = text(query, 'ending_before');
  const after = text(query, 'starting_after');
  // `ending_before` asks for what is newer than a record, nearest first; the page itself is newest first all the same.
  const step = before === undefined ? -1 : 1;
  const records: T[] = [];
  let hasMore = false;
  for (let place = firstPlace(run, noun, { before, after }); ; place += step) {
    const record = run.items[place];
    if (record === undefined) break;
    const created = seconds(record.at);
    if (step < 0 ? created < from : created > until) break;
    if (created < from || created > until) continue;
    hasMore = records.length === limit;
    if (hasMore) break;
    records.push(record);
  }
  return { records: step < 0 ? records : records.reverse(), hasMore };
}

function firstPlace<T extends Listed>(
  run: Run<T>,
  noun: string,
  at: { before?: string | undefined; after?: string | undefined },
): number {
  if (at.before !== undefined) return placeOf(run, noun, at.before, 'ending_before') + 1;
  if (at.after !== undefined) return placeOf(run, noun, at.after, 'starting_after') - 1;
  return run.items.length - 1;
}

function placeOf<T extends Listed>(run: Run<T>, noun: string, id: string, param: string): number {
  const place = run.indexOf(id);
  if (place < 0) throw noSuch(noun, id.slice(0, 100), param, 400);
  return place;
}

/** Unix seconds, both ends included. */
function createdRange(query: Form): { from: number; until: number } {
  const created = query['created'];
  if (created === undefined) return { from: 0, until: Number.POSITIVE_INFINITY };
  if (typeof created === 'string') {
    const exactly = integer(query, 'created') ?? 0;
    return { from: exactly, until: exactly };
  }
  refuseUnknown(created, ['gt', 'gte', 'lt', 'lte']);
  return {
    from: Math.max(integer(created, 'gte') ?? 0, (integer(created, 'gt') ?? -1) + 1),
    until: Math.min(
      integer(created, 'lte') ?? Number.POSITIVE_INFINITY,
      (integer(created, 'lt') ?? Number.POSITIVE_INFINITY) - 1,
    ),
  };
}
