/** What the bench and a yardstick's process send each other, over Node's IPC. */

export const YARDSTICKS = ['empty-eager', 'empty-default', 'textbook-worker', 'textbook-client', 'bare-route'] as const;
export type YardstickName = (typeof YARDSTICKS)[number];

/** Where the servers are that everything is measured on. */
export type Servers = { temporalAddress: string; databaseUrl: string; sandbox: string };

export type Request = { clients: number; count: number };

/** `ready` once, then one `done` per request. */
export type Reply =
  | { kind: 'ready'; port?: number }
  | { kind: 'done'; latenciesMs: number[] }
  | { kind: 'failed'; why: string };
