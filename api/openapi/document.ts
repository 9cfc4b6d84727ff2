/** The OpenAPI document's parts besides the routes' own schemas. */
import type { FastifyDynamicSwaggerOptions } from '@fastify/swagger';
import { describeOperation, type OpenApiDocument, withBodiesOptional } from './operations.js';
import { problemExamples } from './problems.js';

export const openApi: FastifyDynamicSwaggerOptions = {
  openapi: {
    openapi: '3.1.0',
    info: {
      title: 'order-saga',
      version: '0.1.0', // the package's, as a test makes sure
      description:
        'An order service that never loses an order, never charges twice, never oversells, and always says where an order ' +
        'stands. Errors are problem+json (RFC 9457); amounts are integers in the currency’s minor unit. What never reaches ' +
        'an operation is answered with a problem too: 400 `malformed-request`, 404 `not-found`, 405 `method-not-allowed`, ' +
        '408 `request-timeout`, 431 `headers-too-large`.',
    },
    servers: [{ url: '/', description: 'The server that shows this document' }],
    tags: [
      { name: 'orders', description: 'Place and read orders' },
      { name: 'customers', description: 'What is kept of a person' },
      { name: 'events', description: 'What happened to them, as CloudEvents' },
      { name: 'overview', description: 'What is wrong now' },
      { name: 'sagas', description: 'How they are being worked on' },
      { name: 'dead letters', description: 'Events that a destination would not take' },
      { name: 'destinations', description: 'Where events are delivered' },
      { name: 'findings', description: 'Differences of the gateway’s ledger and ours' },
      { name: 'inventory', description: 'Catalogue and stock' },
      { name: 'audit', description: 'Who did what with an operator’s rights, and who was refused' },
      { name: 'codec', description: 'What Temporal keeps encrypted, for its own tools' },
      { name: 'health', description: 'For load balancers and launchers' },
      { name: 'webhooks', description: 'What the payment gateway calls' },
    ],
    components: {
      securitySchemes: {
        bearer: {
          type: 'http',
          scheme: 'bearer',
          bearerFormat: 'JWT',
          description:
            'A token of the configured OpenID Connect issuer. Each operation names the roles of which the token’s `roles` ' +
            'must hold one. A service without an issuer is reached from its own machine only, and takes no token.',
        },
      },
      examples: problemExamples(),
    },
  },
  transform: describeOperation,
  transformObject: (documented) => {
    if (!('openapiObject' in documented)) throw new Error('Bug! The document is not OpenAPI 3');
    return withBodiesOptional(documented.openapiObject as OpenApiDocument);
  },
};
