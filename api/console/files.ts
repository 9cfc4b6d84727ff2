/**
 * The console's files: console/ as it stands, and what it takes of packages as they are published. They are the same for everybody and
 * hold no data, so they are open and answered from memory; browsers ask each time whether they have changed, so that no page runs with
 * parts of two releases for longer than a load.
 */
import { createRequire } from 'node:module';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Api, ConsoleConfig } from '../dependencies.js';
import { keepDocuments } from '../http/documents.js';
import { contentSecurityPolicy } from './policy.js';

/** Beside api/, in the sources and in dist/. */
const ROOT = fileURLToPath(new URL('../../console/', import.meta.url));

const require = createRequire(import.meta.url);
const beside = (entry: string, ...path: string[]) => join(dirname(require.resolve(entry)), ...path);
/** Name under /console/vendor/ → the file that is served. uPlot's module has its comments still, and is twice as large as its script. */
const VENDORED: Record<string, string> = {
  'preact.js': beside('htm', '../preact/standalone.module.js'),
  'uplot.js': beside('uplot', 'uPlot.iife.min.js'),
  'uplot.css': beside('uplot', 'uPlot.min.css'),
};

const KEPT = {
  paths: /^\/console\/(([\w-]+\/)*[\w-]+\.(js|css|svg|html|json))?$/,
  cacheControl: 'no-cache',
};
/** Not shipped to browsers: what the compiler and people read. */
const NOT_SERVED = ['**/*.d.ts', '**/*.md', '**/tsconfig.json', '**/index.html'];

const NOBODY: ConsoleConfig = { authentication: 'none', demo: false };

export async function serveConsole(app: Api, config: ConsoleConfig = NOBODY): Promise<void> {
  const headers = { 'content-security-policy': contentSecurityPolicy(config.connectsTo) };
  await app.register(async (scope: Api) => {
    scope.addHook('onRequest', (_request, reply, done) => {
      reply.headers(headers);
      done();
    });
    keepDocuments(scope, KEPT);
    // wildcard: a route per file that is there at the start; anything else is a path without a route.
    await scope.register(import('@fastify/static'), {
      root: ROOT,
      prefix: '/console/',
      wildcard: false,
      globIgnore: NOT_SERVED,
      ...{ cacheControl: false, etag: false, lastModified: false },
    });
    const hidden = { schema: { hide: true } };
    scope.get('/console/', hidden, (_request, reply) => reply.sendFile('index.html'));
    scope.get('/console/config.json', hidden, async () => config);
    for (const [name, path] of Object.entries(VENDORED))
      scope.get(`/console/vendor/${name}`, hidden, (_request, reply) => reply.sendFile(basename(path), dirname(path)));
  });
  // Relative, so that it holds behind a proxy that serves all this below a path of its own.
  app.get('/console', { schema: { hide: true } }, (_request, reply) => reply.redirect('console/'));
}
