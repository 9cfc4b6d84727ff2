/** Disputes: `/v1/disputes`, read only; a cardholder's bank opens them. */
import type { FastifyInstance } from 'fastify';
import type { Ledger } from '../ledger/ledger.js';
import { runOf } from '../ledger/record-list.js';
import { noSuch } from '../protocol/errors.js';
import { expands, listOf, PAGE_PARAMS, readQuery } from '../protocol/lists.js';
import { text } from '../protocol/params.js';
import { renderDispute } from '../protocol/render-dispute.js';

const URL = '/v1/disputes';

export function disputeRoutes(app: FastifyInstance, ledger: Ledger): void {
  app.get(URL, async (request) => {
    const query = readQuery(request, [...PAGE_PARAMS, 'payment_intent', 'charge']);
    expands(query, '');
    const intent = text(query, 'payment_intent');
    const charge = text(query, 'charge');
    await ledger.durable();
    const found = ledger.facts.disputes.items.filter(
      (dispute) =>
        (intent === undefined || dispute.intent === intent) && (charge === undefined || dispute.charge === charge),
    );
    return listOf(runOf(found), query, { url: URL, noun: 'dispute', render: renderDispute });
  });
  app.get<{ Params: { id: string } }>(`${URL}/:id`, async (request) => {
    expands(readQuery(request, ['expand']), '');
    await ledger.durable();
    const dispute = ledger.facts.disputes.get(request.params.id);
    if (!dispute) throw noSuch('dispute', request.params.id, 'id');
    return renderDispute(dispute);
  });
}
