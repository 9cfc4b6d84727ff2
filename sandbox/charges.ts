/** Charges: `/v1/charges`, read only; an intent's confirmation makes them, a refund reduces them. */
import type { FastifyInstance } from 'fastify';
import { noSuch } from './errors.js';
import type { Ledger } from './ledger.js';
import { expands, listOf, PAGE_PARAMS, readQuery } from './lists.js';
import { text } from './params.js';
import { renderCharge } from './render.js';
import { runOf } from './shelf.js';

const URL = '/v1/charges';

export function chargeRoutes(app: FastifyInstance, ledger: Ledger): void {
  app.get(URL, async (request) => {
    const query = readQuery(request, [...PAGE_PARAMS, 'payment_intent']);
    expands(query, '');
    const intent = text(query, 'payment_intent');
    await ledger.durable();
    const run = intent === undefined ? ledger.facts.charges : runOf(ledger.chargesOf(intent));
    return listOf(run, query, { url: URL, noun: 'charge', render: renderCharge });
  });
  app.get<{ Params: { id: string } }>(`${URL}/:id`, async (request) => {
    expands(readQuery(request, ['expand']), '');
    await ledger.durable();
    const charge = ledger.facts.charges.get(request.params.id);
    if (!charge) throw noSuch('charge', request.params.id, 'id');
    return renderCharge(charge);
  });
}
