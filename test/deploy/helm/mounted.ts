/** What a pod finds in its files: Secrets, certificates. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';

/** What stands in the files of a pod, by their name. */
const CONTENTS: Record<string, string> = {
  DATABASE_URL: 'postgresql://order_saga_app:x@db.internal/order_saga?sslmode=verify-full',
  AUDIT_KEY: 'a'.repeat(64),
  STRIPE_API_KEY: 'sk_live_1',
  STRIPE_WEBHOOK_SECRET: 'whsec_1',
  REDIS_URL: 'rediss://redis.internal:6379',
  ERASURE_JOURNAL: 'postgresql://journal:x@journal.internal/journal?sslmode=verify-full',
  WEBHOOK_SECRET: `whsec_${Buffer.alloc(24).toString('base64')}`,
  NATS_URL: 'tls://nats.internal:4222',
  RABBITMQ_URL: 'amqps://mq.internal:5671',
};

/** @returns the environment of a process that finds its mounts in `folder` */
export function withFilesIn(folder: string, env: Record<string, string>): Record<string, string> {
  const moved = Object.entries(env).map(
    ([name, value]) => [name, value.replace(/^\/etc\/order-saga/, folder)] as const,
  );
  for (const [, path] of moved.filter(([, value]) => value.startsWith(folder))) {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, CONTENTS[path.slice(dirname(path).length + 1)] ?? 'x', { mode: 0o440 });
  }
  return Object.fromEntries(moved);
}
