/** Updates: what an object's owner may write on it afterwards: `POST /v1/<noun>/:id`. Metadata and description, nothing else. */
import type { FastifyInstance } from 'fastify';
import type { Change, Ledger } from '../ledger/ledger.js';
import type { Metadata } from '../ledger/records.js';
import { noSuch } from '../protocol/errors.js';
import type { Form } from '../protocol/form.js';
import { expands } from '../protocol/lists.js';
import { metadata, refuseUnknown, text } from '../protocol/params.js';
import type { Posts } from '../protocol/posts.js';

interface Updatable {
  noun: string;
  params: readonly string[];
  /** @returns the record as it is now, and what to record of it with the new metadata */
  find(ledger: Ledger, id: string): Found | undefined;
}

interface Found {
  metadata: Metadata;
  intent: string;
  withChanges(changes: { metadata: Metadata; description?: string }): Change;
}

const UPDATABLE: Record<string, Updatable> = {
  payment_intents: {
    noun: 'payment_intent',
    params: ['metadata', 'description', 'expand'],
    find({ facts }, id) {
      const intent = facts.intents.get(id);
      return intent && { ...intent, intent: id, withChanges: (changes) => ({ intent: { ...intent, ...changes } }) };
    },
  },
  charges: {
    noun: 'charge',
    params: ['metadata', 'expand'],
    find({ facts }, id) {
      const charge = facts.charges.get(id);
      return charge && { ...charge, withChanges: (changes) => ({ charge: { ...charge, ...changes } }) };
    },
  },
  refunds: {
    noun: 'refund',
    params: ['metadata', 'expand'],
    find({ facts }, id) {
      const refund = facts.refunds.get(id);
      return (
        refund && {
          ...refund,
          withChanges: (changes) => ({
            refund: { ...refund, ...changes },
            events: ['refund.updated', 'charge.refund.updated'],
          }),
        }
      );
    },
  },
};

export function updateRoutes(app: FastifyInstance, { ledger, posts }: { ledger: Ledger; posts: Posts }): void {
  for (const [path, { noun, params, find }] of Object.entries(UPDATABLE)) {
    app.post<{ Params: { id: string }; Body: Form }>(`/v1/${path}/:id`, (request, reply) =>
      posts.answer(request, reply, (form) => {
        refuseUnknown(form, params);
        expands(form, noun === 'payment_intent' ? 'latest_charge' : '');
        const description = text(form, 'description');
        const known = () => find(ledger, request.params.id) ?? missing(noun, request.params.id);
        return {
          route: 'other',
          orderId: ledger.facts.intents.get(known().intent)?.metadata['orderId'],
          execute: () => {
            const found = known();
            const changes = {
              metadata: metadata(form, found.metadata),
              ...(description === undefined ? {} : { description }),
            };
            return { status: 200, ...found.withChanges(changes) };
          },
        };
      }),
    );
  }
}

function missing(noun: string, id: string): never {
  throw noSuch(noun, id, 'id');
}
