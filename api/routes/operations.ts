/** Operations over HTTP: operators preview what one decision would be about, start it, and pause, resume or abort it; the workers carry it out. */
import { type Static, Type } from 'typebox';
import {
  CANARY_DEFAULT,
  OPERATION_ITEMS_MAX,
  OPERATION_RATE,
  OPERATIONS_OPEN_MAX,
  type Operation,
} from '../../contracts/operations.js';
import type { Database } from '../../domain/database.js';
import {
  OPERATION_WORDS,
  type OperationWord,
  type Overlap,
  operationStarted,
  operationTold,
  type Started,
} from '../../domain/operations/acts.js';
import { freezeSelection } from '../../domain/operations/preview.js';
import { type Asked, isOfLetters, type Selected, select } from '../../sagas/deciding/selecting.js';
import { operatorOf } from '../access/permissions.js';
import type { Api, ApiDependencies } from '../dependencies.js';
import { IdempotencyKeyHeader } from '../http/headers.js';
import { answerOnce, type KeepIn } from '../http/idempotency.js';
import { Problem } from '../http/problems.js';
import { problemResponses } from '../openapi/problems.js';
import { callTemporal, requireTemporal } from './admin.js';
import { withoutTexts } from './kept-texts.js';
import { operationReads, requireOperation } from './operation-reads.js';
import { OperationPreview, OperationSchema, OperationStart, OperationWordBody } from './operation-schemas.js';

export function operationRoutes(app: Api, deps: ApiDependencies): void {
  previewRoute(app, deps);
  startRoute(app, deps);
  for (const word of OPERATION_WORDS) wordRoute(app, deps, word);
  operationReads(app, deps);
}

function previewRoute(app: Api, deps: ApiDependencies): void {
  app.post(
    '/admin/operations/preview',
    {
      schema: {
        summary: 'Freeze what an operation would be about, and see what it comes to',
        description:
          'Which ones is said by exactly one of `orderIds`, `sagas`, `deadLetterIds`, `deadLetters` and `items`. What is found now is what the ' +
          'operation is about, whatever matches later: its items, what is at stake, and what is not acted on and why. Nothing is done to any of ' +
          'them. A preview can be started for an hour.',
        tags: ['operations'],
        body: OperationPreview,
        response: {
          201: OperationSchema,
          '4xx': problemResponses('nothing-selected', 'too-many-items', 'unknown-items'),
        },
      },
    },
    async (request, reply) => {
      const { action, operator, atMost, ...selectors } = request.body as Static<typeof OperationPreview>;
      const previewedBy = operatorOf(request.caller, operator);
      const asked = requireOne(action, selectors, atMost);
      const client = () => requireTemporal(deps);
      const selected = await callTemporal(() => select({ ...deps, client }, action, asked));
      const { selection, candidates } = requireSelected(selected);
      const id = await freezeSelection(deps.db, { action, selection, previewedBy, candidates });
      return reply
        .code(201)
        .header('location', `/admin/operations/${id}`)
        .send(await requireOperation(deps, id));
    },
  );
}

type Selectors = Omit<Static<typeof OperationPreview>, 'action' | 'operator' | 'atMost'>;

/** What two selectors mean together is nothing that an operator should have to guess. */
function requireOne(action: Operation['action'], selectors: Selectors, atMost: number | undefined): Asked {
  const given = Object.entries(selectors).filter(([, value]) => value !== undefined);
  const fitting = isOfLetters(action) ? ['deadLetterIds', 'deadLetters', 'items'] : ['orderIds', 'sagas', 'items'];
  const [name] = given.map(([key]) => key);
  if (given.length === 1 && name !== undefined && fitting.includes(name))
    return { ...selectors, ...(atMost !== undefined && { atMost }) } as Asked;
  const pointer = given.map(([key]) => key).find((key) => !fitting.includes(key)) ?? name ?? fitting[0];
  const detail = `${action} takes exactly one of ${fitting.join(', ')}`;
  throw new Problem('nothing-selected', `/${pointer}: ${detail}`, { errors: [{ pointer: `/${pointer}`, detail }] });
}

/** Ids that are named in a refusal. */
const NAMED_MAX = 5;

function requireSelected(selected: Selected): Extract<Selected, { outcome: 'selected' }> {
  switch (selected.outcome) {
    case 'selected':
      return selected;
    case 'nothing':
      throw new Problem('nothing-selected', 'Nothing matches just now.');
    case 'too-many': {
      const count = selected.more ? `More than ${selected.count}` : `${selected.count}`;
      throw new Problem(
        'too-many-items',
        `${count} match; an operation takes ${OPERATION_ITEMS_MAX} at most: narrow the selection, or say \`atMost\`.`,
      );
    }
    case 'unknown': {
      const named = selected.ids.slice(0, NAMED_MAX).join(', ');
      const rest = selected.ids.length > NAMED_MAX ? `, and ${selected.ids.length - NAMED_MAX} more` : '';
      throw new Problem('unknown-items', `There is no ${named}${rest}.`);
    }
    default:
      throw new Error(`Bug! Unhandled selection ${selected satisfies never}`);
  }
}

function startRoute(app: Api, deps: ApiDependencies): void {
  app.post(
    '/admin/operations',
    {
      schema: {
        summary: 'Start what was previewed',
        description:
          'The workers carry it out, whatever becomes of who has started it: first the canary, wave by wave, then the rest at a rate. It pauses ' +
          'by itself when one of the canary does not go well, or five in a row fail, and says why; whoever has mended the cause resumes it.',
        tags: ['operations'],
        headers: Type.Object(IdempotencyKeyHeader),
        body: OperationStart,
        response: { 201: OperationSchema, '4xx': problemResponses('count-differs', 'operation-not-possible') },
      },
    },
    async (request, reply) => {
      const {
        preview: id,
        operator: named,
        canary = CANARY_DEFAULT,
        ratePerSecond = OPERATION_RATE.default,
        ...rest
      } = request.body as Static<typeof OperationStart>;
      const starting = {
        ...rest,
        id: id.toLowerCase(),
        operator: operatorOf(request.caller, named),
        canary,
        ratePerSecond,
      };
      // Also of an answer that is given again.
      reply.header('location', `/admin/operations/${starting.id}`);
      const act = async (_onceId: string | undefined, keepIn: KeepIn) => {
        let body: Operation | undefined;
        const record = async (tx: Database) => {
          body = await requireOperation({ db: tx }, starting.id);
          await keepIn(tx, { status: 201, body });
        };
        requireStarted(await deps.auditor.act(request, operationStarted(starting, record)));
        return { status: 201, body };
      };
      const keep = withoutTexts(deps, starting.id);
      return answerOnce(deps, request, reply, act, { keep }).catch((err: unknown) => {
        reply.removeHeader('location');
        throw err;
      });
    },
  );
}

function requireStarted(started: Started): void {
  switch (started.outcome) {
    case 'started':
      return;
    case 'count-differs':
      throw new Problem('count-differs', `/expectedCount: ${started.count} are to be decided on.`, {
        errors: [{ pointer: '/expectedCount', detail: `${started.count} are to be decided on` }],
      });
    case 'expired':
      throw new Problem('operation-not-possible', 'There is no such preview any more: make it again.');
    case 'other-action':
      throw new Problem('operation-not-possible', 'It was previewed for another action: make it again.');
    case 'already-started':
      throw new Problem('operation-not-possible', 'It has been started before: read it.');
    case 'too-many':
      throw new Problem(
        'operation-not-possible',
        `${OPERATIONS_OPEN_MAX} operations have not come to their end: abort one.`,
      );
    case 'overlapping':
      throw overlapping(started);
    default:
      throw new Error(`Bug! Unhandled start ${started satisfies never}`);
  }
}

const overlapping = ({ operation, state, count }: Overlap) =>
  new Problem(
    'operation-not-possible',
    `Operation ${operation}, which is ${state}, is about ${count} of them, too: wait for its end, or abort it.`,
  );

const WORDS: Record<OperationWord, [summary: string, description: string]> = {
  pause: ['Begin nothing more of it for now', 'What has begun comes to its end. Repeating it is harmless.'],
  resume: ['Go on with it', 'Where it stood, with what was not begun. Repeating it is harmless.'],
  abort: [
    'End it before its time',
    'What has begun comes to its end; all else is `skipped`. Repeating it is harmless.',
  ],
};

function wordRoute(app: Api, deps: ApiDependencies, word: OperationWord): void {
  const [summary, description] = WORDS[word];
  app.post(
    `/admin/operations/:id/${word}`,
    {
      schema: {
        summary,
        description,
        tags: ['operations'],
        params: Type.Object({ id: Type.String({ description: 'Id of the operation' }) }),
        headers: Type.Object(IdempotencyKeyHeader),
        body: OperationWordBody,
        response: { 200: OperationSchema, '4xx': problemResponses('operation-not-possible') },
      },
    },
    async (request, reply) => {
      const { operator: named, reason } = request.body as Static<typeof OperationWordBody>;
      const { id } = await requireOperation(deps, (request.params as { id: string }).id);
      const operator = operatorOf(request.caller, named);
      const act = async () => {
        const obeyed = await deps.auditor.act(request, operationTold(word, { id, operator, reason }));
        const operation = await requireOperation(deps, id);
        if (obeyed === 'done' || obeyed === 'unchanged') return { status: 200, body: operation };
        if (typeof obeyed === 'object') throw overlapping(obeyed);
        throw new Problem('operation-not-possible', `The operation is ${operation.state}.`);
      };
      return answerOnce(deps, request, reply, act, { keep: withoutTexts(deps, id) });
    },
  );
}
