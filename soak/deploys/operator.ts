/** The operator of the deploys: the product's own CLI, as a process of its own. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { CHECKOUT } from '../../local/checkout.js';
import { environment, NODE_READS } from '../../local/processes/environment.js';
import { AUDIT_KEY } from '../world/programs.js';
import type { Installation } from '../world/installation.js';

export type Told = {
  code: number;
  // biome-ignore lint/suspicious/noExplicitAny: documents of every command; whoever asks says what it expects in them
  document: any;
  said: string;
};

/** @param args of `ops`. Answers with how it ended, whatever that is. */
export function ops({ direct }: Installation, ...args: string[]): Promise<Told> {
  const env = {
    ...environment(process.env, ...NODE_READS),
    DATABASE_URL: direct.database,
    TEMPORAL_ADDRESS: direct.temporal,
    AUDIT_KEY,
    PAYMENTS_URL: direct.gateway,
    STRIPE_API_KEY: 'sk_test_soak',
    OPS_OPERATOR: 'soak-operator',
  };
  const script = join(CHECKOUT, 'dist', 'ops', 'main.js');
  return new Promise((resolve, reject) => {
    execFile(
      process.execPath,
      [script, ...args, '--output', 'json'],
      { env, maxBuffer: 1 << 28 },
      (err, stdout, said) => {
        const code = err === null ? 0 : err.code;
        if (typeof code !== 'number') return reject(err as Error);
        resolve({ code, document: stdout === '' ? undefined : JSON.parse(stdout), said });
      },
    );
  });
}
