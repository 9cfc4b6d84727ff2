/** The issuer's process. */
import { join } from 'node:path';
import { ConfigError, kinds, readConfig, runMain } from '../runtime/config.js';
import { firstAddressOf, isLoopbackHost, listenOnOtherLoopback } from '../runtime/listeners/loopback.js';
import { createLogger } from '../runtime/logger.js';
import { stopOnSignals } from '../runtime/shutdown.js';
import { openKeys } from './keys.js';
import { createIssuer } from './server.js';

const SPEC = {
  HOST: kinds.str({ default: '127.0.0.1', desc: 'Address to listen on' }),
  ISSUER_PORT: kinds.port({ default: 12112, desc: 'Port to listen on' }),
  ISSUER_URL: kinds.httpUrl('laptop')({ default: undefined, desc: 'What `iss` says; unset = http://HOST:ISSUER_PORT' }),
  ISSUER_AUDIENCE: kinds.str({ default: 'order-saga', desc: 'What `aud` says' }),
  ISSUER_ALLOW_REMOTE: kinds.bool({ default: false, desc: 'Permit a HOST beyond loopback, as in a container' }),
  ISSUER_REDIRECT_URIS: kinds.str({
    default: '',
    desc: 'Where browsers may be sent back to after signing in, besides this machine; exactly, separated by commas',
  }),
  ALLOWED_HOSTS: kinds.hosts({ default: undefined, desc: 'Names besides localhost that it answers to' }),
  DATA_DIR: kinds.str({ default: '.data', desc: 'The keys live in <DATA_DIR>/issuer/' }),
  LOG_LEVEL: kinds.str({ default: 'info', choices: ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] }),
  LOG_FORMAT: kinds.str({ default: 'auto', choices: ['auto', 'json'] as const }),
};

await runMain(async () => {
  const config = readConfig(SPEC, process.env);
  const { HOST: host, ISSUER_PORT: port } = config;
  if (!isLoopbackHost(host) && !config.ISSUER_ALLOW_REMOTE) {
    throw new ConfigError(
      `HOST is ${host}, beyond loopback, and this process makes anybody an operator. Set ISSUER_ALLOW_REMOTE=true where only you can reach it.`,
    );
  }
  const logger = createLogger('issuer', config.LOG_LEVEL, config.LOG_FORMAT);
  const issuer = config.ISSUER_URL ?? `http://${host.includes(':') ? `[${host}]` : host}:${port}`;
  const keys = await openKeys(join(config.DATA_DIR, 'issuer'));
  const allowedHosts = config.ALLOWED_HOSTS?.split(',') ?? [];
  const redirectUris = readRedirectUris(config.ISSUER_REDIRECT_URIS);
  const app = createIssuer({ issuer, audience: config.ISSUER_AUDIENCE, keys, allowedHosts, redirectUris, logger });
  stopOnSignals(logger, () => app.close());
  await app.listen({ host: firstAddressOf(host), port }).catch((err: unknown) => {
    const taken = (err as NodeJS.ErrnoException).code === 'EADDRINUSE';
    throw taken ? new ConfigError(`ISSUER_PORT ${port} is taken.`) : err;
  });
  await listenOnOtherLoopback(app.server, host);
  logger.warn({ issuer }, 'the token issuer is ready: whoever reaches it may be anybody');
});

/** @throws ConfigError unless each is an http URL as browsers write it */
function readRedirectUris(text: string): string[] {
  const uris = text
    .split(',')
    .map((uri) => uri.trim())
    .filter(Boolean);
  const wrong = uris.find((uri) => !URL.canParse(uri) || !/^https?:/.test(uri) || uri.includes('#'));
  if (wrong !== undefined)
    throw new ConfigError(`ISSUER_REDIRECT_URIS has ${wrong}, which is no http URL without a fragment.`);
  return uris;
}
