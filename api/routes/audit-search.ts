/** The audit trail searched over HTTP, the newest first, and verified: for whoever looks for something, where `GET /admin/audit` is for programs. */
import { type Static, Type } from 'typebox';
import { UNKEYED } from '../../domain/audit/signatures.js';
import { type Place, VERIFICATION_START } from '../../domain/audit/flaws.js';
import type { AuditEntry, AuditPlace } from '../../domain/audit/listing.js';
import { AUDIT_END, searchAudit } from '../../domain/audit/search.js';
import { verifyAuditPart } from '../../domain/audit/verification.js';
import type { Api, ApiDependencies } from '../dependencies.js';
import { Cursor, decodeCursor, encodeCursor, Limit, Next, nextBy, sendPage } from '../http/pages.js';
import { moment, momentOf } from '../http/moments.js';
import { ProblemSchema } from '../http/problems.js';
import { oneOf } from '../http/schemas.js';
import { AUDIT_KINDS, AuditEntrySchema } from './audit.js';

/** Of each table, in one answer: some 20 ms of the process. */
const PART_MAX = 1_000;
/** Before which entry of the rows of before the chain, of the acts, of the calls. */
const PLACE = /^\d{1,16}\.\d{1,16}\.\d{1,16}$/;
const formatPlace = ({ trail, acts, calls }: AuditPlace): string => `${trail}.${acts}.${calls}`;
function parsePlace(cursor: string): AuditPlace {
  const [trail = 0, acts = 0, calls = 0] = decodeCursor(cursor, PLACE).split('.').map(Number);
  return { trail, acts, calls };
}

const text = (maxLength: number, description: string) =>
  Type.Optional(Type.String({ minLength: 1, maxLength, pattern: '^[^\\x00\\p{Surrogate}]*$', description }));

export function auditSearchRoutes(app: Api, deps: ApiDependencies): void {
  searchRoute(app, deps);
  verificationRoute(app, deps);
}

const Search = Type.Object(
  {
    kind: Type.Optional(oneOf(AUDIT_KINDS, 'See the entries’ `kind`')),
    subject: text(512, 'Of this operator, auditor or caller'),
    resource: text(200, 'About this: the id of an order, a dead letter or a finding, a SKU, a brake'),
    route: text(200, 'Method and pattern of the path, or the command, as `POST /orders/:id/cancel`'),
    from: moment('Not before'),
    until: moment('Before'),
    limit: Limit,
    cursor: Type.Optional(Cursor),
  },
  { additionalProperties: false },
);

function searchRoute(app: Api, { db, pageBytesMax }: ApiDependencies): void {
  app.get(
    '/admin/audit/entries',
    {
      schema: {
        summary: 'Search the audit trail, newest first',
        tags: ['audit'],
        querystring: Search,
        response: { 200: Type.Object({ entries: Type.Array(AuditEntrySchema), next: Next }), '4xx': ProblemSchema },
      },
    },
    async (request, reply) => {
      const { limit, cursor, from, until, ...named } = request.query as Static<typeof Search>;
      const place = cursor === undefined ? AUDIT_END : parsePlace(cursor);
      const dateOf = (name: string, text: string | undefined) =>
        text === undefined ? undefined : new Date(momentOf(name, text));
      const filter = { ...named, from: dateOf('from', from), until: dateOf('until', until) };
      return sendPage<AuditEntry>(reply, {
        name: 'entries',
        schema: AuditEntrySchema,
        limit,
        bytesMax: pageBytesMax,
        read: (last, rows) => searchAudit(db, filter, last?.place ?? place, rows),
        show: ({ at, firstAt, ...rest }) => ({ ...rest, at: at.toISOString(), firstAt: firstAt.toISOString() }),
        next: nextBy((entry) => formatPlace(entry.place)),
      });
    },
  );
}

const HASH = '([0-9a-f]{64}|-)';
const VERIFIED = new RegExp(`^(\\d{1,16}) ${HASH} (\\d{1,16}) ([01]) (\\d{1,16}) ${HASH} ([01]) (\\d{1,16}) ${HASH}$`);
const formatVerified = ({ acts, calls, trail }: Place): string =>
  [
    ...[acts.after, acts.hash ?? '-', acts.atMs, Number(acts.isKeyed)],
    ...[calls.after, calls.hash ?? '-', Number(calls.isKeyed), trail.after, trail.hash ?? '-'],
  ].join(' ');
function parseVerified(cursor: string): Place {
  const [, ...parts] = VERIFIED.exec(decodeCursor(cursor, VERIFIED)) ?? [];
  const number = (i: number) => Number(parts[i]);
  const hash = (i: number) => (parts[i] === '-' ? null : (parts[i] ?? null));
  return {
    acts: { after: number(0), hash: hash(1), atMs: number(2), isKeyed: parts[3] === '1' },
    calls: { after: number(4), hash: hash(5), isKeyed: parts[6] === '1' },
    trail: { after: number(7), hash: hash(8) },
  };
}

const Count = Type.Integer({ minimum: 0 });
const PartSchema = Type.Object(
  {
    flaw: Type.Union(
      [
        Type.Object({
          table: oneOf(['acts', 'calls', 'trail'], 'acts; calls; trail = what was recorded before there was a chain'),
          id: Type.Integer(),
          what: Type.String(),
          detail: Type.String(),
        }),
        Type.Null(),
      ],
      { description: 'The first entry that is not what was signed, or is not there' },
    ),
    checked: Type.Object({ acts: Count, calls: Count, trail: Count }, { description: 'In this part' }),
    erased: Type.Integer({
      description: 'Entries of this part of which something that identified a person was erased',
    }),
    keyed: Type.Boolean({ description: 'false: this process has no AUDIT_KEY, and nothing is proved' }),
    next: Next,
  },
  { $id: 'AuditVerification' },
);

function verificationRoute(app: Api, deps: ApiDependencies): void {
  app.get(
    '/admin/audit/verification',
    {
      schema: {
        summary: 'Verify the audit trail, a part at a time',
        description:
          'Ask again with `next` as `cursor` until it is null; the trail is whole if no part has a flaw. Entries that were cut off ' +
          'the end are not missed: only `ops audit verify` knows the anchor, which is kept outside the database.',
        tags: ['audit'],
        querystring: Type.Object(
          {
            cursor: Type.Optional(
              Type.String({ minLength: 1, maxLength: 600, description: '`next` of the part before' }),
            ),
          },
          { additionalProperties: false },
        ),
        response: { 200: PartSchema, '4xx': ProblemSchema },
      },
    },
    async ({ query: { cursor } }) => {
      const place = cursor === undefined ? VERIFICATION_START : parseVerified(cursor);
      const keys = deps.erasing.keys.audit;
      const { next, ...part } = await verifyAuditPart(deps.db, keys, place, PART_MAX);
      const isKeyed = keys.signing.id !== UNKEYED;
      return { ...part, keyed: isKeyed, next: next ? encodeCursor(formatVerified(next)) : null };
    },
  );
}
