/** What the OpenAPI document says besides the routes' own schemas. */
import type { FastifyDynamicSwaggerOptions } from '@fastify/swagger';

export const openApi: FastifyDynamicSwaggerOptions = {
  openapi: {
    openapi: '3.1.0',
    info: {
      title: 'order-saga',
      version: '1.0.0',
      description:
        'An order service that never loses an order, never charges twice, never oversells, and always says where an order ' +
        'stands. Errors are problem+json (RFC 9457); amounts are integers in the currency’s minor unit.',
    },
    tags: [
      { name: 'orders', description: 'Place and read orders' },
      { name: 'events', description: 'What happened to them, as CloudEvents' },
      { name: 'sagas', description: 'How they are being worked on' },
      { name: 'dead letters', description: 'Events that a destination would not take' },
      { name: 'inventory', description: 'Catalogue and stock' },
      { name: 'health', description: 'For load balancers and launchers' },
    ],
  },
  refResolver: {
    buildLocalReference: (json, _base, _fragment, i) => (typeof json['$id'] === 'string' ? json['$id'] : `def-${i}`),
  },
};
