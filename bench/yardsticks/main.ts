/**
 * A yardstick's process: something that does less than the service, or does the same in the usual way, on the same
 * servers and in the same minute. Started by the bench, with its name and the servers' addresses as arguments.
 */
import type { Reply, Request, Servers, YardstickName } from './messages.js';
import { startBareRoute } from './route.js';
import { type Serve, serveEmptyWorkflow, serveTextbookClient, startTextbookWorker } from './temporal.js';

const [name, servers] = [process.argv[2] as YardstickName, JSON.parse(process.argv[3] ?? '') as Servers];
const tell = (reply: Reply) => process.send?.(reply);
process.once('disconnect', () => process.exit()); // the bench has gone

async function start(): Promise<{ serve?: Serve; port?: number }> {
  switch (name) {
    case 'empty-eager':
    case 'empty-default':
      return { serve: await serveEmptyWorkflow(servers, name === 'empty-eager') };
    case 'textbook-worker':
      await startTextbookWorker(servers);
      return {};
    case 'textbook-client':
      return { serve: await serveTextbookClient(servers) };
    case 'bare-route':
      return { port: await startBareRoute(servers.databaseUrl) };
    default:
      throw new Error(`Bug! There is no yardstick "${name satisfies never}"`);
  }
}

const { serve, port } = await start();
process.on('message', (request: Request) => {
  serve?.(request).then(
    (latenciesMs) => tell({ kind: 'done', latenciesMs }),
    (err: unknown) => tell({ kind: 'failed', why: (err as Error).stack ?? String(err) }),
  );
});
tell({ kind: 'ready', ...(port !== undefined && { port }) });
