import { createServer, type Server } from 'node:net';
import { expect, test } from '@jest/globals';
import { freePort, requireFreePorts } from '../../local/ports.js';

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
