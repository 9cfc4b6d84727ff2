/** Reading operations: all of them, one as it is or as it goes on, and its items. */
import { Type } from 'typebox';
import type { ItemState, Operation, OperationItem, OperationState } from '../../contracts/operations.js';
import { listOperationItems, listOperations, readOperation } from '../../domain/operations/listing.js';
import type { Api, ApiDependencies } from '../dependencies.js';
import { wantsStream } from '../http/event-stream.js';
import { badCursor, Cursor, decodeCursor, Limit, Next, nextBy, sendPage } from '../http/pages.js';
import { Problem, ProblemSchema } from '../http/problems.js';
import { UUID } from '../http/schemas.js';
import { ItemState as ItemStateSchema, OperationItemSchema, OperationSchema, State } from './operation-schemas.js';
import { streamOperation } from './operation-stream.js';

export function operationReads(app: Api, deps: ApiDependencies): void {
  listRoute(app, deps);
  readRoute(app, deps);
  itemsRoute(app, deps);
}

/** @throws Problem not-found */
export async function requireOperation({ db }: Pick<ApiDependencies, 'db'>, id: string): Promise<Operation> {
  const operation = UUID.test(id) ? await readOperation(db, id) : null;
  if (!operation) throw new Problem('not-found', `There is no operation ${id.slice(0, 64)}.`);
  return operation;
}

const PLACE = new RegExp(`^(\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d\\.\\d{3}Z) (${UUID.source.slice(1, -1)})$`);

/** Days and hours that there are. */
const isMoment = (text: string) => {
  const ms = Date.parse(text);
  return !Number.isNaN(ms) && new Date(ms).toISOString() === text;
};

function listRoute(app: Api, { db, pageBytesMax }: ApiDependencies): void {
  app.get(
    '/admin/operations',
    {
      schema: {
        summary: 'Operations, newest first; previews only where `state` asks for them',
        tags: ['operations'],
        querystring: Type.Object(
          { state: Type.Optional(State), limit: Limit, cursor: Type.Optional(Cursor) },
          { additionalProperties: false },
        ),
        response: { 200: Type.Object({ operations: Type.Array(OperationSchema), next: Next }), '4xx': ProblemSchema },
      },
    },
    async ({ query: { state, limit, cursor } }, reply) => {
      const [, previewedAt, id = ''] = (cursor !== undefined && PLACE.exec(decodeCursor(cursor, PLACE))) || [];
      if (previewedAt !== undefined && !isMoment(previewedAt)) throw badCursor('querystring/cursor');
      const asked = previewedAt === undefined ? undefined : { previewedAt, id };
      return sendPage<Operation>(reply, {
        name: 'operations',
        schema: OperationSchema,
        limit,
        bytesMax: pageBytesMax,
        read: async (last, rows) => listOperations(db, { state: state as OperationState, after: last ?? asked }, rows),
        next: nextBy((operation) => `${operation.previewedAt} ${operation.id}`),
      });
    },
  );
}

function readRoute(app: Api, deps: ApiDependencies): void {
  const stream = streamOperation(deps);
  app.get(
    '/admin/operations/:id',
    {
      schema: {
        summary: 'An operation; with Accept: text/event-stream, as it goes on, until it has come to its end',
        tags: ['operations'],
        params: Type.Object({ id: Type.String({ description: 'Id of the operation' }) }),
        response: { 200: OperationSchema, '4xx': ProblemSchema },
      },
    },
    async (request, reply) => {
      const operation = await requireOperation(deps, request.params.id);
      return wantsStream(request) ? stream(request, reply, operation.id) : operation;
    },
  );
}

function itemsRoute(app: Api, deps: ApiDependencies): void {
  app.get(
    '/admin/operations/:id/items',
    {
      schema: {
        summary: 'What an operation is about, in its order, and what has come of each',
        tags: ['operations'],
        params: Type.Object({ id: Type.String({ description: 'Id of the operation' }) }),
        querystring: Type.Object(
          { state: Type.Optional(ItemStateSchema), limit: Limit, cursor: Type.Optional(Cursor) },
          { additionalProperties: false },
        ),
        response: { 200: Type.Object({ items: Type.Array(OperationItemSchema), next: Next }), '4xx': ProblemSchema },
      },
    },
    async ({ params, query: { state, limit, cursor } }, reply) => {
      const { id } = await requireOperation(deps, params.id);
      const after = cursor === undefined ? 0 : Number(decodeCursor(cursor, /^\d{1,5}$/));
      return sendPage<OperationItem>(reply, {
        name: 'items',
        schema: OperationItemSchema,
        limit,
        bytesMax: deps.pageBytesMax,
        read: async (last, rows) =>
          listOperationItems(deps.db, id, { state: state as ItemState, after: last?.no ?? after }, rows),
        next: nextBy(({ no }) => `${no}`),
      });
    },
  );
}
