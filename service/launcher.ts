/** The launcher of `npm start`, whose buttons freeze and kill what runs: it is passed on to by an API that nobody but this machine reaches. */
import { ConfigError } from '../runtime/config.js';
import { isLoopbackHost } from '../runtime/listeners/loopback.js';

/** As the launcher makes it: a port of this machine, and a secret. */
const LAUNCHER = /^http:\/\/127\.0\.0\.1:\d{1,5}\/[\w-]{20,}$/;

/** @throws ConfigError wherever others reach the API: no setting may bring the buttons there */
export function launcherOf({
  LAUNCHER_URL,
  HOST,
  AUTH_ISSUER,
}: {
  LAUNCHER_URL?: string | undefined;
  HOST: string;
  AUTH_ISSUER?: string | undefined;
}): string | undefined {
  if (LAUNCHER_URL === undefined || LAUNCHER_URL === '') return undefined;
  const set = 'LAUNCHER_URL is set, which `npm start` does by itself';
  if (!LAUNCHER.test(LAUNCHER_URL)) throw new ConfigError(`${set}, but is not the address of a launcher: unset it.`);
  if (!isLoopbackHost(HOST))
    throw new ConfigError(`${set}, but HOST is reached from other machines: unset LAUNCHER_URL.`);
  if (AUTH_ISSUER !== undefined) throw new ConfigError(`${set}, but AUTH_ISSUER is set: unset LAUNCHER_URL.`);
  return LAUNCHER_URL;
}
