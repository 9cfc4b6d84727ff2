/** Signing in with a browser: the page, what is chosen on it, and the way back to the client. */
import type { FastifyInstance, FastifyReply } from 'fastify';
import {
  AuthorizationError,
  addressBack,
  type Chosen,
  type Grants,
  readAuthorizationRequest,
} from './authorization.js';
import type { Clients } from './clients.js';
import { faultPage, pageHeaders, signedOutPage, signInPage } from './sign-in-page.js';
import { InvalidRequest, readRoles, readTtl, SUBJECT_MAX } from './tokens.js';

export type SignIn = { issuer: string; clients: Clients; grants: Grants };

export function signInRoutes(app: FastifyInstance, { issuer, clients, grants }: SignIn): void {
  app.get('/authorize', (request, reply) =>
    forClient(reply, issuer, () => {
      const asked = readAuthorizationRequest(request.query, clients);
      return reply.headers(pageHeaders(asked.redirectUri)).send(signInPage(asked));
    }),
  );
  app.post('/authorize', (request, reply) =>
    forClient(reply, issuer, () => {
      const asked = readAuthorizationRequest(request.query, clients);
      const form = (request.body ?? {}) as Record<string, unknown>;
      if (form['choice'] === 'cancel')
        throw new AuthorizationError('access_denied', 'Signing in was cancelled.', asked);
      const chosen = readChosen(form);
      if (typeof chosen === 'string') {
        return reply.code(400).headers(pageHeaders(asked.redirectUri)).send(signInPage(asked, chosen));
      }
      return reply.redirect(addressBack(asked, { code: grants.grant(asked, chosen), iss: issuer }), 303);
    }),
  );
  app.get('/logout', (request, reply) => {
    const { post_logout_redirect_uri: uri, state } = request.query as Record<string, unknown>;
    if (typeof uri !== 'string') return reply.headers(pageHeaders()).send(signedOutPage());
    if (!clients.isKnown(uri)) {
      const fault = '`post_logout_redirect_uri` is neither a page of this machine nor in ISSUER_REDIRECT_URIS.';
      return reply.code(400).headers(pageHeaders()).send(faultPage(fault));
    }
    return reply.redirect(addressBack({ redirectUri: uri, ...(typeof state === 'string' && { state }) }, {}), 303);
  });
}

/** What is wrong is said to the client by way of the browser, or to whoever sits before it where no client is known. */
function forClient(reply: FastifyReply, issuer: string, answer: () => FastifyReply): FastifyReply {
  try {
    return answer();
  } catch (err) {
    if (err instanceof AuthorizationError) {
      const said = { error: err.code, error_description: err.message, iss: issuer };
      return reply.redirect(addressBack(err.back, said), 303);
    }
    if (err instanceof InvalidRequest) return reply.code(400).headers(pageHeaders()).send(faultPage(err.message));
    throw err;
  }
}

/** @returns a sentence where something is wrong, for the page to show beside the form */
function readChosen({ sub, roles, ttl }: Record<string, unknown>): Chosen | string {
  if (typeof sub !== 'string' || sub === '' || sub.length > SUBJECT_MAX)
    return `The subject has 1 to ${SUBJECT_MAX} characters.`;
  try {
    // No box ticked is nobody's role: to see what the API says to such a caller.
    return { sub, roles: readRoles(roles ?? []), ttlMs: readTtl(ttl), authenticatedAtMs: Date.now() };
  } catch (err) {
    if (err instanceof InvalidRequest) return err.message;
    throw err;
  }
}
