/**
 * The second line of defence behind runtime/errors/facts: whatever is about to be logged or shown loses what is recognisable as
 * a secret, whoever wrote it. What a secret of this process is, runtime/config says when it reads the settings.
 */

const concealed = new Set<string>();

/** Shorter ones are words of our own, too: removing "guest" or "postgres" everywhere would make a log unreadable. */
const SECRET_LENGTH_MIN = 8;
const WITHHELD = '[withheld]';

/** From now on none of these is logged by this process, as it is or as JSON or a URL spells it. */
export function concealSecrets(secrets: readonly string[]): void {
  for (const secret of secrets) {
    if (secret.length < SECRET_LENGTH_MIN) continue;
    concealed.add(secret);
    concealed.add(JSON.stringify(secret).slice(1, -1));
    concealed.add(encodeURIComponent(secret));
  }
}

/** @returns the text without the secrets of this process; for text that is of our own making otherwise */
export function withoutSecrets(text: string): string {
  let clean = text;
  for (const secret of concealed) if (clean.includes(secret)) clean = clean.replaceAll(secret, WITHHELD);
  return clean;
}

/** @returns the text without userinfo and query of URLs, tokens, keys and e-mail addresses */
export const scrub = (text: string): string =>
  withoutSecrets(text)
    .replaceAll(URL_IN_TEXT, (_, scheme: string, rest: string) => scheme + withoutUserinfoAndQuery(rest))
    .replaceAll(/\b(bearer|basic)\s+[\w+/=.~-]+/gi, `$1 ${WITHHELD}`)
    .replaceAll(/\beyJ[\w-]+\.[\w.-]+/g, WITHHELD)
    .replaceAll(/\b(?:sk|rk|pk|whsec)_[\w+/=]{6,}/g, WITHHELD)
    .replaceAll(/[^\s"'<>():,]+@[^\s"'<>():,@]+\.[a-z]{2,}/gi, WITHHELD);

const URL_IN_TEXT = /\b([a-z][a-z0-9+.-]*:\/\/)([^\s"'<>]*)/gi;

/** A password may have a slash or a question mark in it that should have been encoded: up to the last @ it may be one. */
const withoutUserinfoAndQuery = (rest: string): string => rest.replace(/^.*@/, '').replace(/[?#].*$/, '');

/** @returns the passwords in a list of URLs, as they are written and as they are meant */
export function passwordsIn(urls: string): string[] {
  const written = [...urls.matchAll(/:\/\/([^\s,]*)@/g)].flatMap(([, userinfo = '']) => {
    const [user = '', ...password] = userinfo.split(':');
    return password.length > 0 ? [password.join(':')] : [user]; // NATS puts a token where others put a user
  });
  return [...written, ...written.map(decoded)];
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
