/** Disputes: `/v1/disputes`, read only; a cardholder's bank opens them. */
import type { FastifyInstance } from 'fastify';
import { noSuch } from './errors.js';
import type { Ledger } from './ledger.js';
import { expands, listOf, PAGE_PARAMS, readQuery } from './lists.js';
import { text } from './params.js';
import { renderDispute } from './render-dispute.js';
import { runOf } from './shelf.js';

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
