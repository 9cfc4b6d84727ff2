import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { answers, type BrokerPlan } from './launch-plan.js';
import type { BrokerPrograms } from './programs.js';
import { freePort } from '../../local/processes/ports.js';

/** @param extra lines of its configuration */
export async function natsPrograms(
  { server = '' }: BrokerPrograms,
  folder: string,
  extra: Record<string, string>,
): Promise<BrokerPlan> {
  const port = await freePort();
  const config = join(folder, 'nats.conf');
  const lines = Object.entries(extra).map(([name, value]) => `${name}: ${value}`);
  writeFileSync(
    config,
    [`listen: "127.0.0.1:${port}"`, `jetstream { store_dir: "${join(folder, 'store')}" }`, ...lines].join('\n'),
  );
  const program = {
    name: 'NATS',
    command: server,
    args: ['-c', config],
    env: { PATH: process.env['PATH'] },
    cwd: folder,
    logFile: join(folder, 'log'),
    stopSignal: 'SIGTERM' as const,
    scratch: folder,
    isReady: () => answers(port),
    readyLimitMs: 30_000,
  };
  return { programs: [program], settings: { NATS_URL: `nats://127.0.0.1:${port}` } };
}
