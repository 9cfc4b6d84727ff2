/**
 * What the console's page may do in a browser: run its own scripts, and talk to the API that it came from and to the issuer. Nothing
 * in it makes markup or scripts out of text: browsers that know Trusted Types refuse it, and no policy may be made that would allow it.
 */

/** @param issuer where people sign in; undefined = nowhere */
export function contentSecurityPolicy(issuer?: string): string {
  const issuers = issuer !== undefined && URL.canParse(issuer) ? ` ${new URL(issuer).origin}` : '';
  return [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    `connect-src 'self'${issuers}`,
    "img-src 'self' data:",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
  ].join('; ');
}
