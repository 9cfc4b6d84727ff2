/** A customer's data over HTTP: what is kept of them, as one document. */
import { Type } from 'typebox';
import { exportCustomer, isKnownCustomer } from '../../domain/privacy/export.js';
import { CustomerExportSchema } from '../../domain/privacy/export-schema.js';
import { confinedTo } from '../access/permissions.js';
import type { Api, ApiDependencies } from '../dependencies.js';
import { streamDocument } from '../http/event-stream.js';
import { Problem } from '../http/problems.js';
import { CustomerId } from '../http/schemas.js';
import { problemResponses } from '../openapi/problems.js';

export function customerRoutes(app: Api, deps: ApiDependencies): void {
  app.get(
    '/customers/:id/export',
    {
      schema: {
        summary: 'All that is kept of a customer, as one document',
        description:
          'For requests under articles 15 and 20 of the GDPR. It is streamed, however many orders there are, and ends with ' +
          '`complete: true`; a connection that breaks before leaves no JSON: ask again. A customer reads their own only, ' +
          'which is empty if nothing is kept; anybody else’s, and one that is not known, is answered 404. It takes as much as a page of ' +
          '1,000 orders out of the caller’s bucket, and reads by operators and auditors are on record.',
        tags: ['customers'],
        params: Type.Object({ id: CustomerId }),
        response: { 200: CustomerExportSchema, '4xx': problemResponses('key-unavailable', 'too-many-requests') },
      },
    },
    async (request, reply) => {
      const { id } = request.params;
      const own = confinedTo(request.caller, 'read');
      // Nothing is looked up for a stranger: neither the answer nor its time says whether there is such a customer.
      if (own !== undefined && id !== own) throw noCustomer(true);
      request.drawFor(id);
      if (own === undefined && !(await isKnownCustomer(deps.db, id))) throw noCustomer(false);
      return streamDocument(deps, request, reply, () => exportCustomer(deps.db, id), id);
    },
  );
}

const noCustomer = (conceals: boolean) => new Problem('not-found', 'There is no such customer.', {}, { conceals });
