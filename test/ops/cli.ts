/** The CLI as operators run it: a process of its own that knows where Postgres and Temporal are. There is no API anywhere near. */
import { spawn } from 'node:child_process';
import { join } from 'node:path';

export type Answer = { code: number | null; stdout: string; stderr: string };
export type Cli = {
  (...args: string[]): Promise<Answer>;
  /** With `--output json`. @throws what stdout holds if that is no document */
  // biome-ignore lint/suspicious/noExplicitAny: documents of every command; tests say what they expect in them
  json(...args: string[]): Promise<{ code: number | null; document: any; stderr: string }>;
};

export function cliOf(
  { databaseUrl, env }: { databaseUrl: string; env: { address: string } },
  extra: NodeJS.ProcessEnv = {},
): Cli {
  const vars = {
    ...cleanEnv(),
    DATABASE_URL: databaseUrl,
    TEMPORAL_ADDRESS: env.address,
    TEMPORAL_UI_URL: 'http://ui.test',
    OPS_OPERATOR: 'op-test',
    ...extra,
  };
  const cli = (...args: string[]) => runCli(args, vars);
  return Object.assign(cli, {
    json: async (...args: string[]) => {
      const { code, stdout, stderr } = await cli(...args, '--output', 'json');
      try {
        return { code, stderr, document: JSON.parse(stdout) };
      } catch {
        throw new Error(`not one document: ${stdout}\n${stderr}`);
      }
    },
  });
}

/** Whatever the test run's own shell points at is not for the CLI to find. */
export const cleanEnv = (): NodeJS.ProcessEnv =>
  Object.fromEntries(
    Object.entries(process.env).filter(
      ([name]) =>
        !/^(TEMPORAL_|DATABASE_|DATA_DIR|AUDIT_|OPS_|PAYMENTS_|STRIPE_|PROMETHEUS_|KEY_|VAULT_|NO_COLOR|FORCE_COLOR)/.test(
          name,
        ),
    ),
  );

export function runCli(args: string[], env: NodeJS.ProcessEnv): Promise<Answer> {
  const child = spawn(process.execPath, [join(process.cwd(), 'dist/ops/main.js'), ...args], {
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let [stdout, stderr] = ['', ''];
  child.stdout.on('data', (chunk) => (stdout += chunk));
  child.stderr.on('data', (chunk) => (stderr += chunk));
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => resolve({ code, stdout, stderr }));
  });
}
