/** Charges: `/v1/charges`, read only; an intent's confirmation makes them, a refund reduces them. */
import type { FastifyInstance } from 'fastify';
import type { Ledger } from '../ledger/ledger.js';
import { runOf } from '../ledger/record-list.js';
import { noSuch } from '../protocol/errors.js';
import { expands, listOf, PAGE_PARAMS, readQuery } from '../protocol/lists.js';
import { text } from '../protocol/params.js';
import { renderCharge } from '../protocol/render.js';

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
