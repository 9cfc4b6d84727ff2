import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server } from 'node:net';
import { afterEach, describe, expect, jest, test } from '@jest/globals';
import { freePort, requireFreePorts } from '../../../local/processes/ports.js';
import { eventually } from '../../support/conditions.js';

const use = (variable: string, port: number) => ({
  variable,
  port,
  host: '127.0.0.1',
  what: `what ${variable} is for`,
});

const listenOn = (port: number, host: string) =>
  new Promise<Server>((resolve) => {
    const server = createServer().listen(port, host, () => resolve(server));
  });

test('free ports are no news', async () => {
  await requireFreePorts([use('PORT', await freePort()), use('SANDBOX_PORT', await freePort())]);
});

test('no free port is given twice, though none of them listens yet', async () => {
  const ports = await Promise.all(Array.from({ length: 400 }, freePort)); // at random, some of them would be the same
  expect(new Set(ports).size).toBe(ports.length);
});

test.each(['127.0.0.1', '0.0.0.0'])(
  'a port that is taken on %s is named with its variable, and only that one',
  async (host) => {
    const [free, taken] = [await freePort(), await freePort()];
    const server = await listenOn(taken, host);
    const message = await requireFreePorts([use('PORT', free), use('SANDBOX_PORT', taken)]).catch(
      (err: Error) => err.message,
    );
    server.close();
    expect(message).toContain(`Port ${taken} (SANDBOX_PORT, for what SANDBOX_PORT is for) is taken.`);
    expect(message).toContain('SANDBOX_PORT=<port> npm start');
    expect(message).not.toContain('(PORT');
  },
);

test('one port for two purposes is refused with both variables', async () => {
  const port = await freePort();
  await expect(requireFreePorts([use('PORT', port), use('METRICS_PORT', port)])).rejects.toThrow(
    `Port ${port} is asked for twice: by PORT and by METRICS_PORT.`,
  );
});

const onLinux = process.platform === 'linux' ? test : test.skip;
onLinux('a port that an outgoing connection has left is waited for, not refused: no program has it', async () => {
  const said = jest.spyOn(process.stderr, 'write').mockImplementation(() => true);
  const server = await listenOn(0, '127.0.0.1');
  const { port: serverPort } = server.address() as AddressInfo;
  server.on('connection', (socket) => socket.on('end', () => socket.end()).resume());
  const outgoing = connect(serverPort, '127.0.0.1').resume();
  await once(outgoing, 'connect');
  const port = outgoing.localPort ?? 0;
  outgoing.end(); // who ends first keeps its port in TIME-WAIT
  await once(outgoing, 'close');
  await new Promise((resolve) => server.close(resolve));

  const free = requireFreePorts([use('PORT', port)]).then(
    () => 'free',
    (err: Error) => err.message,
  );
  await Promise.race([free, eventually('the wait is reported', () => said.mock.calls.length > 0)]);
  const [line] = said.mock.calls[0] ?? [];
  jest.restoreAllMocks();
  expect(line).toContain(`Port ${port} (PORT)`);
  // Instead of the minute: what comes from the other end of a connection in TIME-WAIT makes the kernel forget it.
  const stray = connect({ port, host: '127.0.0.1', localPort: serverPort });
  await once(stray, 'error');
  expect(await free).toBe('free');
});

onLinux('a port of the range for outgoing connections is refused with that range', async () => {
  const server = await listenOn(0, '127.0.0.1');
  const { port } = server.address() as AddressInfo;
  await expect(requireFreePorts([use('PORT', port)])).rejects.toThrow(
    /Choose one outside \d+ to \d+: those this system/,
  );
  server.close();
});

describe('launchers that start at the same moment', () => {
  const children: ChildProcess[] = [];
  afterEach(() => {
    for (const child of children.splice(0)) child.kill('SIGKILL');
  });
  /** A process that asks for ports as a launcher does, and lives on. */
  async function launcher(ask: string): Promise<{ child: ChildProcess; answer: unknown }> {
    const script = `const ports = await import('./dist/local/processes/ports.js');
      console.log(JSON.stringify(await ${ask}));
      setInterval(() => undefined, 1_000);`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    children.push(child);
    const [line] = await once(child.stdout, 'data');
    return { child, answer: JSON.parse(String(line)) };
  }
  const end = async ({ child }: { child: ChildProcess }, signal: NodeJS.Signals) => {
    child.kill(signal);
    await once(child, 'exit');
  };

  test('are given different ports, and what a killed one had is given again', async () => {
    const from = await freePort();
    const ask = `ports.firstFreePorts(${from}, 2, '127.0.0.1', [])`;
    const running = await Promise.all([launcher(ask), launcher(ask), launcher(ask)]);
    const given = running.flatMap(({ answer }) => answer as number[]);
    expect(new Set(given).size).toBe(6);
    await Promise.all(running.map((each) => end(each, 'SIGKILL')));
    const next = await launcher(ask);
    expect(next.answer).toEqual([from, expect.any(Number)]);
    await end(next, 'SIGTERM');
  });

  test('and ask for the same port: one has it, the others are refused with its variable', async () => {
    const use = { variable: 'PORT', port: await freePort(), host: '127.0.0.1', what: 'the API' };
    const ask = `ports.requireFreePorts([${JSON.stringify(use)}]).then(() => 'mine', (err) => err.message)`;
    const running = await Promise.all([launcher(ask), launcher(ask), launcher(ask)]);
    const answers = running.map(({ answer }) => String(answer).split('\n')[0]).sort();
    const taken = `Port ${use.port} (PORT, for the API) is taken.`;
    expect(answers).toEqual([taken, taken, 'mine']);
    await Promise.all(running.map((each) => end(each, 'SIGTERM')));
  });
});
