/** The audit trail over HTTP, for auditors. */
import { Type } from 'typebox';
import { AUDIT_START, type AuditEntry, type AuditPlace, listAudit } from '../../domain/audit/listing.js';
import type { Api, ApiDependencies } from '../dependencies.js';
import { Cursor, decodeCursor, encodeCursor, Limit, sendPage } from '../http/pages.js';
import { ProblemSchema } from '../http/problems.js';
import { oneOf } from '../http/schemas.js';

export const AUDIT_KINDS = ['act', 'outcome', 'seal', 'purge', 'refused', 'read', 'no-effect', 'legacy'] as const;
/** Of the rows of before the chain, of the acts, of the calls; cursors of before name the first only. */
const PLACE = /^(0|[1-9]\d{0,14})(?:\.(0|[1-9]\d{0,14})\.(0|[1-9]\d{0,14}))?$/;
const formatPlace = ({ trail, acts, calls }: AuditPlace): string => `${trail}.${acts}.${calls}`;
function parsePlace(cursor: string): AuditPlace {
  const [trail = 0, acts = 0, calls = 0] = decodeCursor(cursor, PLACE, 'querystring/after').split('.').map(Number);
  return { trail, acts, calls };
}

const nullable = (description: string) => Type.Union([Type.String(), Type.Null()], { description });
const Values = (description: string) =>
  Type.Union([Type.Object({}, { additionalProperties: true }), Type.Null()], { description });
export const AuditEntrySchema = Type.Object({
  id: Type.Integer({ description: 'Counts 1, 2, 3 … without a gap among acts, among calls, and among `legacy`' }),
  kind: oneOf(
    AUDIT_KINDS,
    'act, outcome (of an act that a saga carries out), seal and purge are the chain of acts; refused, read and no-effect are ' +
      'calls; legacy was recorded before there was a chain',
  ),
  at: Type.String({ format: 'date-time' }),
  firstAt: Type.String({ format: 'date-time', description: 'Of the first of the calls that this entry stands for' }),
  times: Type.Integer({
    description: 'How many calls this entry stands for; more than one only of refused ones and reads',
  }),
  subject: nullable('Who; null without a valid token, or erased'),
  route: Type.String({ description: 'Method and pattern of the path, or the command of the ops CLI' }),
  resource: nullable('What the path named, or the command'),
  reason: nullable('As the operator gave it'),
  status: Type.Integer({ description: 'Of the answer; 0 where it was not HTTP' }),
  correlationId: Type.String({ description: 'Of the first call' }),
  source: nullable('Address; only where TRUST_PROXY says which proxies to believe'),
  before: Values('How what was changed stood before'),
  after: Values('and after; of an outcome, what has come of the act'),
  hash: Type.String({
    description: 'Of an act: HMAC-SHA256 over its content and the hash of the act before. `ops audit verify` checks it',
  }),
});

export function auditRoutes(app: Api, { db, pageBytesMax }: ApiDependencies): void {
  app.get(
    '/admin/audit',
    {
      schema: {
        summary: 'Acts with an operator’s rights, refused calls and reads, oldest first',
        description:
          'Keep `next`, ask again with it as `after`, and no entry is missed. `next` equals `after` when nothing is new.',
        tags: ['audit'],
        querystring: Type.Object({ limit: Limit, after: Type.Optional(Cursor) }, { additionalProperties: false }),
        response: {
          200: Type.Object({ entries: Type.Array(AuditEntrySchema), next: Type.String() }),
          '4xx': ProblemSchema,
        },
      },
    },
    async ({ query: { limit, after } }, reply) => {
      const place = after === undefined ? AUDIT_START : parsePlace(after);
      return sendPage<AuditEntry>(reply, {
        name: 'entries',
        schema: AuditEntrySchema,
        limit,
        bytesMax: pageBytesMax,
        read: (last, rows) => listAudit(db, last?.place ?? place, rows),
        show: ({ at, firstAt, ...rest }) => ({ ...rest, at: at.toISOString(), firstAt: firstAt.toISOString() }),
        next: ({ last }) => encodeCursor(formatPlace(last?.place ?? place)),
      });
    },
  );
}
