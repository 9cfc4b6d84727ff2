/**
 * The console's files: console/ as it stands, less its comments, and what it takes of packages as they are published. They are the same for
 * everybody and hold no data, so they are open and answered from memory; browsers ask each time whether they have changed, so that no
 * page runs with parts of two releases for longer than a load.
 */
import { readdirSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, extname, join, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Api, ConsoleConfig } from '../dependencies.js';
import { keepDocuments } from '../http/documents.js';
import { contentSecurityPolicy } from './policy.js';
import { withoutComments } from './source.js';

/** Beside api/, in the sources and in dist/. */
const ROOT = fileURLToPath(new URL('../../console/', import.meta.url));
const PAGE = 'index.html';
/** Of views that are seldom opened: browsers ask for them then. */
const LATER = 'later/';
/** As people read it in the repository: the page draws it by itself. */
const RUNBOOK = fileURLToPath(new URL('../../docs/runbook.md', import.meta.url));
const TYPES: Record<string, string> = {
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.html': 'text/html; charset=utf-8',
  '.md': 'text/markdown; charset=utf-8',
};
const KEPT = { paths: /^\/console\/(([\w-]+\/)*[\w-]+\.(js|css|svg|json|md))?$/, cacheControl: 'no-cache' };

const require = createRequire(import.meta.url);
/** Name under /console/vendor/ → the file that is served. */
const VENDORED = { 'preact.js': join(dirname(require.resolve('htm')), '../preact/standalone.module.js') };

const NOBODY: ConsoleConfig = { authentication: 'none', demo: false };

/** What there is at the start has a route each; anything else is a path without a route. */
export async function serveConsole(app: Api, config: ConsoleConfig = NOBODY): Promise<void> {
  const hidden = { schema: { hide: true } };
  const headers = { 'content-security-policy': contentSecurityPolicy(config.connectsTo) };
  await app.register(async (scope: Api) => {
    scope.addHook('onRequest', (_request, reply, done) => {
      reply.headers(headers);
      done();
    });
    keepDocuments(scope, KEPT);
    const serve = (path: string, file: string, change = (text: string) => text) =>
      scope.get(`/console/${path}`, hidden, async (_request, reply) =>
        reply.type(TYPES[extname(file)] as string).send(change(await readFile(file, 'utf8'))),
      );
    const files = filesBelow(ROOT);
    serve('', join(ROOT, PAGE), (page) => asksForAll(page, files));
    for (const path of files) serve(path, join(ROOT, path), withoutComments);
    for (const [name, file] of Object.entries(VENDORED)) serve(`vendor/${name}`, file);
    serve('runbook.md', RUNBOOK);
    scope.get('/console/config.json', hidden, async () => config);
  });
  // Relative, so that it holds behind a proxy that serves all this below a path of its own.
  app.get('/console', hidden, (_request, reply) => reply.redirect('console/'));
}

/** Modules name one another; a browser that finds that out one after the other waits for each of them. */
function asksForAll(page: string, files: readonly string[]): string {
  const modules = [
    ...files.filter((path) => path.endsWith('.js') && !path.startsWith(LATER)),
    ...Object.keys(VENDORED).map((name) => `vendor/${name}`),
  ];
  const links = modules.map((path) => `<link rel="modulepreload" href="${path}" />`);
  return page.replace('</head>', `  ${links.join('\n    ')}\n  </head>`);
}

/** Not what the compiler and people read. */
const filesBelow = (folder: string): string[] =>
  readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .map((path) => path.split(sep).join('/'))
    .filter((path) => extname(path) in TYPES && path !== PAGE);
