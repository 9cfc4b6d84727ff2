/** The yardsticks that run workflows. */
import { randomUUID } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { Client, Connection } from '@temporalio/client';
import { DefaultLogger, NativeConnection, Runtime, Worker } from '@temporalio/worker';
import { closedLoop } from '../load.js';
import type { Request, Servers } from './messages.js';
import { createTextbookActivities } from './textbook.js';

const EMPTY_QUEUE = 'bench-empty';
const TEXTBOOK_QUEUE = 'bench-textbook';
const SKUS = 100;

/** Serves one request of the bench. @returns how long each took */
export type Serve = (request: Request) => Promise<number[]>;

const workflowsPath = fileURLToPath(new URL('./workflows.js', import.meta.url));

/**
 * An empty workflow: started and awaited.
 * @param eager in the process that started it, over one connection; else as the documentation's first example has it
 */
export async function serveEmptyWorkflow({ temporalAddress }: Servers, eager: boolean): Promise<Serve> {
  quieten();
  const connection = await NativeConnection.connect({ address: temporalAddress });
  const worker = await Worker.create({ connection, workflowsPath, taskQueue: EMPTY_QUEUE });
  dieWith(worker.run());
  const client = new Client({
    connection: eager ? connection : await Connection.connect({ address: temporalAddress }),
  });
  return ({ clients, count }) =>
    closedLoop({ clients, count }, () =>
      timed(() =>
        client.workflow.execute('EmptyWorkflow', {
          taskQueue: EMPTY_QUEUE,
          workflowId: `empty-${randomUUID()}`,
          requestEagerStart: eager,
        }),
      ),
    );
}

/** Four ordinary activities on a worker with default options. */
export async function startTextbookWorker(servers: Servers): Promise<void> {
  quieten();
  const connection = await NativeConnection.connect({ address: servers.temporalAddress });
  const activities = await createTextbookActivities(servers);
  const worker = await Worker.create({ connection, workflowsPath, activities, taskQueue: TEXTBOOK_QUEUE });
  dieWith(worker.run());
}

/** Starts textbook sagas and awaits them: what would be its API, without HTTP in front. */
export async function serveTextbookClient({ temporalAddress }: Servers): Promise<Serve> {
  const client = new Client({ connection: await Connection.connect({ address: temporalAddress }) });
  return ({ clients, count }) =>
    closedLoop({ clients, count }, (n) =>
      timed(() => {
        const orderId = randomUUID();
        const args = [orderId, `TEXTBOOK-${n % SKUS}`];
        return client.workflow.execute('TextbookSaga', {
          taskQueue: TEXTBOOK_QUEUE,
          workflowId: `textbook-${orderId}`,
          args,
        });
      }),
    );
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const from = performance.now();
  await work();
  return performance.now() - from;
}

function quieten(): void {
  Runtime.install({ logger: new DefaultLogger('WARN'), shutdownSignals: [] });
}

/** A yardstick without its worker would wait for ever. */
function dieWith(running: Promise<void>): void {
  running.catch((err: unknown) => {
    process.stderr.write(`${(err as Error).stack}\n`);
    process.exit(1);
  });
}
