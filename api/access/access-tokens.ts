/**
 * Access tokens: what makes a JWT of our issuer one, after its signature, `iss`, `aud` and times have been verified. An issuer
 * signs ID tokens, refresh tokens and logout tokens with the same keys, often for the same audience, and a client sends them by
 * mistake or on purpose. https://www.rfc-editor.org/rfc/rfc8725#section-3.11
 */
import type { JWTHeaderParameters, JWTPayload } from 'jose';
import { ROLES, type Role } from './permissions.js';

/** As many characters as the rows keep that say who did what. None is ever cut: two subjects could become one. */
export const SUBJECT_LENGTH_MAX = 128;

/** @returns why it is not an access token; undefined = it may be one */
export function tokenKindFault(
  { typ }: JWTHeaderParameters,
  claims: JWTPayload,
  requireAtJwt: boolean,
): string | undefined {
  const type = typ === undefined ? undefined : mediaType(typ);
  if (type === 'at+jwt') return undefined;
  if (requireAtJwt || (type !== undefined && type !== 'jwt')) return 'The token is not an access token (typ at+jwt).';
  const marker = MARKERS.find((name) => Object.hasOwn(claims, name)) ?? otherUse(claims);
  return marker === undefined ? undefined : `The token is not an access token: it has ${marker}.`;
}

/** https://www.rfc-editor.org/rfc/rfc7515#section-4.1.9: in any case, with or without its first part. @returns '' for no text */
const mediaType = (typ: unknown): string =>
  typeof typ === 'string' ? typ.toLowerCase().replace(/^application\//, '') : '';

/** What ID tokens (the first three) and logout and other event tokens have. */
const MARKERS = ['nonce', 'at_hash', 'c_hash', 'events'];

/** How Keycloak and Cognito, whose tokens share one `typ` or have none, say what a token is for. */
function otherUse({ typ, token_use: use }: JWTPayload): string | undefined {
  // Not DPoP either: that is good only with a proof, which is not checked here.
  if (typ !== undefined && String(typ).toLowerCase() !== 'bearer') return 'another typ';
  return use !== undefined && use !== 'access' ? 'another token_use' : undefined;
}

/** It becomes part of rows, logs and headers to Temporal. @returns why it cannot */
export function subjectFault(sub: unknown): string | undefined {
  if (typeof sub !== 'string' || sub === '') return 'The token has no subject (sub).';
  if (sub.length > SUBJECT_LENGTH_MAX)
    return `The token’s subject (sub) is longer than ${SUBJECT_LENGTH_MAX} characters.`;
  return INVISIBLE.test(sub) ? 'The token’s subject (sub) has control characters in it.' : undefined;
}

/** Control characters, halves of characters, and what is not seen and changes how the rest is shown. */
const INVISIBLE = /[\p{Cc}\p{Cs}\p{Cf}\p{Zl}\p{Zp}]/u;

/**
 * @param claim its name, as it is; or, if the token has none of that name, a path like `realm_access.roles`
 * @returns the roles of ours that it lists, as texts in a list or as words of one text
 */
export function rolesOf(claims: JWTPayload, claim: string): Role[] {
  const listed = memberOf(claims, claim) ?? claim.split('.').reduce<unknown>(memberOf, claims);
  const names: unknown[] = Array.isArray(listed) ? listed : typeof listed === 'string' ? listed.split(' ') : [];
  return ROLES.filter((role) => names.includes(role));
}

const memberOf = (holder: unknown, name: string): unknown =>
  typeof holder === 'object' && holder !== null && !Array.isArray(holder) && Object.hasOwn(holder, name)
    ? (holder as Record<string, unknown>)[name]
    : undefined;
