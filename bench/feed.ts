/**
 * How fast one client reads the feed, as pages and as a stream: a real API process over a Postgres of its own, with
 * `EVENTS` events in it (default 100,000). `node dist/bench/feed.js` after a build.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { Agent, get, type IncomingMessage } from 'node:http';
import pg from 'pg';
import { freePort } from '../local/processes/ports.js';
import { startTestServers } from '../testbed/servers.js';
import { addPastOrders } from './past-orders.js';

const EVENTS = Number(process.env['EVENTS'] ?? 100_000);
/** What a consumer that catches up must be given. */
const MUST_REACH_PER_SECOND = 10_000;
const CLOCK_TICKS_PER_SECOND = 100;
const NOBODY = '127.0.0.1:1';

const servers = startTestServers();
const { adminUrl, template } = await servers.ready;
const database = new URL(adminUrl);
database.pathname = `/${template}`;
await fill(database.href);

const port = await freePort();
const api = spawn(process.execPath, ['dist/service/main.js'], {
  env: {
    ...process.env,
    ROLE: 'api',
    DATABASE_URL: database.href,
    TEMPORAL_ADDRESS: NOBODY, // reading needs none
    PORT: `${port}`,
    METRICS_PORT: '0',
    LOG_LEVEL: 'error',
  },
  stdio: ['ignore', 'inherit', 'inherit'],
});
const agent = new Agent({ keepAlive: true });
try {
  await ready();
  await report('pages', readPages);
  await report('pages', readPages);
  await report('stream', readStream);
  await report('stream', readStream);
} finally {
  agent.destroy();
  api.kill();
  await once(api, 'exit');
  await servers.stop();
}

async function fill(url: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  await addPastOrders(client, EVENTS / 4);
  await client.end();
}

async function ready(): Promise<void> {
  for (;;) {
    const answer = await request('/livez').catch(() => undefined);
    if (answer?.statusCode === 200) return void answer.resume();
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

async function request(path: string, headers = {}): Promise<IncomingMessage> {
  const sent = get({ host: '127.0.0.1', port, path, agent, headers });
  const [answer] = (await once(sent, 'response')) as [IncomingMessage];
  return answer;
}

async function readPages(): Promise<number> {
  let count = 0;
  let after = '';
  for (;;) {
    const chunks: Buffer[] = [];
    for await (const chunk of await request(`/events?limit=1000${after}`)) chunks.push(chunk as Buffer);
    const page = JSON.parse(Buffer.concat(chunks).toString()) as { events: unknown[]; next: string };
    if (page.events.length === 0) return count;
    count += page.events.length;
    after = `&after=${page.next}`;
  }
}

async function readStream(): Promise<number> {
  const answer = await request('/events', { accept: 'text/event-stream' });
  answer.setEncoding('utf8');
  let count = 0;
  let rest = '';
  for await (const chunk of answer) {
    const lines = (rest + chunk).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) if (line.startsWith('data: ') && JSON.parse(line.slice(6))) count++;
    if (count >= EVENTS) break;
  }
  answer.destroy();
  return count;
}

async function report(name: string, read: () => Promise<number>): Promise<void> {
  const cpuBefore = cpuSeconds(api.pid as number);
  const from = performance.now();
  const count = await read();
  const seconds = (performance.now() - from) / 1000;
  if (count !== EVENTS) throw new Error(`read ${count} events of ${EVENTS}`);
  const perSecond = Math.round(count / seconds);
  const cpu = ((cpuSeconds(api.pid as number) - cpuBefore) / count) * 1e6;
  process.stdout.write(
    `${name.padEnd(7)} ${perSecond} events/s (must reach ${MUST_REACH_PER_SECOND}), API ${cpu.toFixed(0)} µs of CPU per event\n`,
  );
}

function cpuSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
  return (Number(fields[11]) + Number(fields[12])) / CLOCK_TICKS_PER_SECOND;
}
