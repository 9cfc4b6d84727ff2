/** The audit trail over HTTP, for auditors. */
import { Type } from 'typebox';
import { listAudit } from '../../domain/audit.js';
import type { Api, ApiDependencies } from '../dependencies.js';
import { Cursor, decodeCursor, encodeCursor, Limit, sendPage } from '../http/pages.js';
import { ProblemSchema } from '../http/problems.js';

const START = '0';
const PLACE = /^(0|[1-9]\d{0,17})$/;

const nullable = (description: string) => Type.Union([Type.String(), Type.Null()], { description });
const EntrySchema = Type.Object({
  id: Type.Integer({ description: 'Counts 1, 2, 3 … without a gap' }),
  at: Type.String({ format: 'date-time' }),
  firstAt: Type.String({ format: 'date-time', description: 'Of the first of the calls that this entry stands for' }),
  times: Type.Integer({ description: 'How many calls this entry stands for; more than one only of refused ones' }),
  subject: nullable('Who; null without a valid token'),
  route: Type.String({ description: 'Method and pattern of the path' }),
  resource: nullable('What the path named'),
  status: Type.Integer({ description: 'Of the answer' }),
  correlationId: Type.String({ description: 'Of the first call' }),
  source: nullable('Address; only where TRUST_PROXY says which proxies to believe'),
});

export function auditRoutes(app: Api, { db, pageBytesMax }: ApiDependencies): void {
  app.get(
    '/admin/audit',
    {
      schema: {
        summary: 'Privileged and refused calls, oldest first',
        description:
          'Keep `next`, ask again with it as `after`, and no entry is missed. `next` equals `after` when nothing is new.',
        tags: ['audit'],
        querystring: Type.Object({ limit: Limit, after: Type.Optional(Cursor) }, { additionalProperties: false }),
        response: { 200: Type.Object({ entries: Type.Array(EntrySchema), next: Type.String() }), '4xx': ProblemSchema },
      },
    },
    async ({ query: { limit, after } }, reply) => {
      const place = after === undefined ? START : decodeCursor(after, PLACE, 'querystring/after');
      return sendPage<Awaited<ReturnType<typeof listAudit>>[number]>(reply, {
        name: 'entries',
        schema: EntrySchema,
        limit,
        bytesMax: pageBytesMax,
        read: async (last, rows) => listAudit(db, last?.id ?? BigInt(place), rows),
        show: ({ id, at, firstAt, ...rest }) => ({
          id: Number(id),
          at: at.toISOString(),
          firstAt: firstAt.toISOString(),
          ...rest,
        }),
        next: ({ last }) => encodeCursor(last?.id.toString() ?? place),
      });
    },
  );
}
