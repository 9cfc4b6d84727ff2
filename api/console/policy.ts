/**
 * What the console's page may do in a browser: run its own scripts, and talk to the API that it came from and to the issuer. Nothing
 * in it makes markup or scripts out of text: browsers that know Trusted Types refuse it, and no policy may be made that would allow it.
 */

/** @param origins that the page talks to besides its own: the issuer's, where people sign in */
export function contentSecurityPolicy(origins: readonly string[] = []): string {
  return [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    ['connect-src', "'self'", ...origins].join(' '),
    "img-src 'self' data:",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
  ].join('; ');
}
