/**
 * A process's link to Temporal: one native connection, made in the background and kept, shared by client and worker (an
 * eagerly started workflow needs both on the same connection). A process starts, and serves, while Temporal is away.
 */
import { Client, type ClientOptions } from '@temporalio/client';
import type { Logger as SdkLogger } from '@temporalio/common';
import type { ClientConnectConfig } from '@temporalio/envconfig';
import * as temporal from '@temporalio/worker';
import { NativeConnection, type RuntimeOptions, type TelemetryOptions } from '@temporalio/worker';
import type { Logger } from 'pino';
import { openSecretFile } from './secret-files.js';
import { apiKeyFile, readTemporalConfig } from './temporal-config.js';
import { isError } from './errors/facts.js';
import { concealSecrets, scrub } from './errors/scrub.js';

export type TemporalLink = {
  /** Resolves once, when Temporal has answered for the first time. */
  readonly connected: Promise<{ connection: NativeConnection; client: Client }>;
  /** @returns the client, or undefined as long as Temporal has never answered */
  client(): Client | undefined;
  readonly namespace: string;
  close(): Promise<void>;
};

const RECONNECT_AFTER_MS = 500;

/** @param converting of what its client sends and reads; without, as the SDK does */
export function openTemporal(
  logger: Logger,
  env: NodeJS.ProcessEnv,
  converting: Pick<ClientOptions, 'dataConverter' | 'interceptors'> = {},
): TemporalLink {
  const config = readTemporalConfig(env);
  const namespace = config.namespace ?? 'default';
  let client: Client | undefined;
  const closing = new AbortController();
  let connection: NativeConnection | undefined;
  const file = apiKeyFile(env);
  const presentKey =
    file &&
    openSecretFile(file, config.connectionOptions.apiKey as string, (key) => {
      concealSecrets([key]);
      connection
        ?.setApiKey(key)
        .catch((err: unknown) => logger.error({ err }, 'the new TEMPORAL_API_KEY is not in use'));
      return key;
    });
  const optionsNow = () => ({ ...config.connectionOptions, ...(presentKey && { apiKey: presentKey() }) });
  const connected = connect(optionsNow, logger, closing.signal).then((made) => {
    connection = made;
    client = new DeadlineClient({ connection, namespace, ...converting });
    return { connection, client };
  });
  // A caller that awaits it gets the error; a process that never does must not end by an unhandled rejection.
  connected.catch(() => undefined);
  return {
    connected,
    client: () => client,
    namespace,
    close: async () => {
      closing.abort();
      await client?.connection.close();
    },
  };
}

/** Keeps deadlines. The native connection does not: while it is refused or reset, it goes on trying for some 10 s. */
class DeadlineClient extends Client {
  override async withDeadline<R>(deadline: number | Date, ask: () => Promise<R>): Promise<R> {
    let timer: NodeJS.Timeout | undefined;
    const tooLate = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(deadlineExceeded()), Number(deadline) - Date.now());
    });
    try {
      return await Promise.race([super.withDeadline(deadline, ask), tooLate]);
    } finally {
      clearTimeout(timer);
    }
  }
}

/** gRPC's own status, so that callers recognize it as no answer. https://grpc.io/docs/guides/status-codes/ */
const deadlineExceeded = (): Error =>
  Object.assign(new Error('4 DEADLINE_EXCEEDED: Temporal has not answered in time'), {
    code: 4,
    details: 'Temporal has not answered in time',
    metadata: {},
  });

async function connect(
  optionsNow: () => ClientConnectConfig['connectionOptions'],
  logger: Logger,
  closing: AbortSignal,
): Promise<NativeConnection> {
  for (let attempt = 1; ; attempt++) {
    if (closing.aborted) throw new Error('closed before Temporal answered');
    try {
      return await NativeConnection.connect(optionsNow() as Parameters<typeof NativeConnection.connect>[0]);
    } catch (err) {
      if (attempt % 20 === 1) logger.warn({ err, attempt }, 'Temporal does not answer; trying on');
      await new Promise((resolve) => setTimeout(resolve, RECONNECT_AFTER_MS));
    }
  }
}

/**
 * Must run before the first connection of the process: routes the SDK's own log, and keeps it from handling our signals.
 * @param metrics where the SDK's own metrics go; undefined = it counts nothing
 */
export function installTemporalRuntime(logger: Logger, metrics?: TelemetryOptions['metrics']): void {
  const options: RuntimeOptions = {
    shutdownSignals: [],
    logger: new temporal.DefaultLogger('WARN', ({ level, message, meta }) => {
      logger[level === 'ERROR' ? 'error' : 'warn'](factsOf(meta ?? {}), sentenceOfCore(message));
    }),
    telemetryOptions: {
      logging: { forward: {}, filter: temporal.makeTelemetryFilterString({ core: 'WARN', other: 'ERROR' }) },
      ...(metrics && { metrics }),
    },
  };
  ignoreBelowWarning(temporal.Runtime.install(options).logger);
}

/**
 * Where core's log is forwarded, the SDK keeps every line, traces too, for 100 ms to sort it among core's, and only then asks for its
 * level: some 25 lines for each saga, each a copy of what it tells of, whole activations among them.
 */
function ignoreBelowWarning(collector: SdkLogger): void {
  const ignore = () => {};
  Object.assign(collector, { trace: ignore, debug: ignore, info: ignore } satisfies Partial<SdkLogger>);
}

/** Where in Temporal's world it happened: its log lines carry whole failures, requests and payloads beside. */
const PLACES = [
  ...['namespace', 'taskQueue', 'workflowId', 'runId', 'workflowType', 'activityId', 'activityType', 'attempt'],
  ...['isLocal', 'sdkComponent', 'subsystem', 'identity', 'durationMs', 'state', 'run_id', 'workflow_id', 'task_queue'],
  ...['gRPC_call', 'grpc_method', 'rpc'],
];

/** Core writes an error as text: what is a code of gRPC in it, or of a system call, is kept. */
const CODES_IN_TEXT =
  /\bcode: ['"]?([A-Z][A-Za-z]{1,30})\b|\b(Connection refused|Connection reset|deadline has elapsed)\b/;

/** An answer of the server, whole, in a sentence of core's: only its code is ours to say. Exported for its test. */
export const sentenceOfCore = (message: string): string =>
  scrub(message.replace(/\bStatus \{ code: ['"]?([A-Za-z][\w ]{1,60})\b.*$/s, 'Status $1'));

function factsOf(meta: Record<string, unknown>): Record<string, unknown> {
  const { error } = meta;
  const places = PLACES.filter((name) => ['string', 'number', 'boolean'].includes(typeof meta[name]));
  const said = typeof error === 'string' ? CODES_IN_TEXT.exec(error) : undefined;
  return {
    ...Object.fromEntries(places.map((name) => [name, meta[name]])),
    ...(isError(error) && { err: error }),
    ...(said && { reason: said[1] ?? said[2] }),
  };
}
