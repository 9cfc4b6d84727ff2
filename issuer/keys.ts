/**
 * Keys: what the issuer signs with, one key per algorithm. They are made at the first start and kept, so that tokens
 * outlive a restart. Deleting the file and starting again is a rotation.
 */
import { chmod, link, mkdir, readFile, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type CryptoKey, calculateJwkThumbprint, exportJWK, generateKeyPair, importJWK, type JWK } from 'jose';

/** RS256 is what every OpenID Connect provider must offer; ES256 is what the leaner ones use. */
export const ALGORITHMS = ['RS256', 'ES256'] as const;
export type Algorithm = (typeof ALGORITHMS)[number];

export type Keys = {
  signing: (algorithm: Algorithm) => { kid: string; key: CryptoKey };
  /** The public halves, as RFC 7517 publishes them. */
  jwks: { keys: JWK[] };
};

/** @throws when the file is there and is not what this program wrote: it is never overwritten */
export async function openKeys(directory: string): Promise<Keys> {
  const path = join(directory, 'keys.json');
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const kept = (await read(path)) ?? (await create(path));
  await chmod(path, 0o600);
  const pairs = await Promise.all(kept.keys.map(async (jwk) => ({ jwk, key: (await importJWK(jwk)) as CryptoKey })));
  return {
    signing: (algorithm) => {
      const { jwk, key } = pairs.find((pair) => pair.jwk.alg === algorithm) ?? {};
      if (jwk?.kid === undefined || key === undefined) throw new Error(`${path} has no key for ${algorithm}`);
      return { kid: jwk.kid, key };
    },
    jwks: { keys: pairs.map(({ jwk }) => publicHalf(jwk)) },
  };
}

async function read(path: string): Promise<{ keys: JWK[] } | undefined> {
  try {
    return JSON.parse(await readFile(path, 'utf8')) as { keys: JWK[] };
  } catch (err) {
    if ((err as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new Error(`${path} cannot be read; delete it to have new keys made`, { cause: err });
  }
}

/** The file appears complete or not at all, and the first of two processes that start wins. */
async function create(path: string): Promise<{ keys: JWK[] }> {
  const made = { keys: await Promise.all(ALGORITHMS.map(generate)) };
  const draft = `${path}.${process.pid}`;
  await writeFile(draft, JSON.stringify(made), { mode: 0o600 });
  try {
    await link(draft, path);
    return made;
  } catch (err) {
    const winner = (err as NodeJS.ErrnoException).code === 'EEXIST' ? await read(path) : undefined;
    if (winner === undefined) throw err;
    return winner;
  } finally {
    await unlink(draft);
  }
}

async function generate(alg: Algorithm): Promise<JWK> {
  const { privateKey } = await generateKeyPair(alg, { extractable: true });
  const jwk = await exportJWK(privateKey);
  return { ...jwk, kid: await calculateJwkThumbprint(jwk), alg, use: 'sig' };
}

/** Lists what may be seen, rather than what may not: a member forgotten here is missing, not leaked. */
function publicHalf({ kty, kid, alg, use, n, e, crv, x, y }: JWK): JWK {
  const members = Object.entries({ kty, kid, alg, use, n, e, crv, x, y });
  return Object.fromEntries(members.filter(([, value]) => value !== undefined)) as JWK;
}
