/**
 * Where Temporal is, and how it is spoken to: TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE, TEMPORAL_API_KEY, TEMPORAL_TLS_… and the
 * profile file, as every Temporal tool reads them. https://docs.temporal.io/develop/environment-configuration
 */
import { type ClientConnectConfig, loadClientConnectConfig } from '@temporalio/envconfig';
import { secretsFromFiles } from '../prisma/secret-files.mjs';
import { ConfigError } from './config.js';
import { concealSecrets } from './errors/scrub.js';
import { refusalOf } from './plain-text.js';
import type { SecretFile } from './secret-files.js';

/** The one secret among them that is no path already. */
const API_KEY = 'TEMPORAL_API_KEY';

/** @throws ConfigError where they cannot be read, and where they lead beyond this machine in plain text */
export function readTemporalConfig(env: NodeJS.ProcessEnv): ClientConnectConfig {
  const { config, refusals } = judge(env);
  if (config === undefined || refusals.length > 0) throw new ConfigError(refusals.join('\n'));
  return config;
}

/** @returns the API key's file, if it comes from one */
export const apiKeyFile = (env: NodeJS.ProcessEnv): SecretFile | undefined => {
  const variable = `${API_KEY}_FILE`;
  const path = env[variable];
  return path ? { variable, path } : undefined;
};

/** For `readConfig`, which says all that is refused at once. */
export const temporalRefusals = (env: NodeJS.ProcessEnv): string[] => judge(env).refusals;

function judge(env: NodeJS.ProcessEnv): { config?: ClientConnectConfig; refusals: string[] } {
  const files = secretsFromFiles([API_KEY], env);
  concealSecrets(Object.values(files.values));
  const faults = Object.values(files.faults);
  if (faults.length > 0) return { refusals: faults };
  try {
    const config = loadClientConnectConfig({
      overrideEnvVars: { ...(env as Record<string, string>), ...files.values },
    });
    const { address, tls } = config.connectionOptions;
    const hosts = tls ? [] : [(address || 'localhost').replace(/:\d+$/, '')];
    const line = { variable: 'TEMPORAL_ADDRESS', word: 'temporal', remedy: 'set TEMPORAL_TLS=true' } as const;
    return { config, refusals: refusalOf({ ...line, hosts, env }) };
  } catch (err) {
    return { refusals: [`The settings of Temporal (TEMPORAL_…) cannot be read: ${reasonOf(err as Error)}.`] };
  }
}

/** A profile that is no TOML is quoted by its parser, an API key with it: what is wrong is said, and at which line. */
function reasonOf({ message, line, column }: Error & { line?: unknown; column?: unknown }): string {
  const [what = ''] = message.split('\n', 1);
  return typeof line === 'number' ? `${what} (line ${line}, column ${column})` : what;
}
