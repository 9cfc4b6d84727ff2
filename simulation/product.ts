/**
 * The product's own code, loaded to be simulated: the workflow bundle that ships, with the real SDK for workflows inside it, and the real
 * activities over stand-ins for what they reach. Both live in one context whose microtasks run to their end within each call, so
 * that a simulation needs no event loop and happens the same way each time.
 */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { types } from 'node:util';
import vm from 'node:vm';
import { transformSync } from '@swc/core';
import * as temporalCommon from '@temporalio/common';

const require = createRequire(import.meta.url);
/** Gives a context what the worker gives its own: TextEncoder, AsyncLocalStorage and the like. */
const { injectGlobals } = require(join(dirname(require.resolve('@temporalio/worker')), 'workflow/vm-shared.js')) as {
  injectGlobals(context: vm.Context): void;
};

/** A change to a built file, made in memory: the text must be there exactly once. */
export type Change = { file: string; find: string; put: string };

/** The SDK's activator of a running workflow, as far as the worker touches it. */
export type Activator = {
  now: number;
  info: { unsafe: { isReplaying: boolean; isReplayingHistoryEvents: boolean } } & Record<string, unknown>;
  addKnownFlags(flags: number[]): void;
  hasFlag(flag: unknown): boolean;
  notifyHasPatch(job: { patchId: string }): void;
  knownFlags: Set<number>;
  sinkCalls: unknown[];
};

/** What activities are made of in a simulation. */
export type Neighbours = {
  domain: Record<string, Record<string, unknown>>;
  activityInfo(): unknown;
  nowMs(): number;
};
type Exports = Record<string, unknown>;
type Deferred = {
  promise: Promise<unknown>;
  resolve: (value: unknown) => void;
  reject: (err: unknown) => void;
};
export type Activities = Record<string, (input: unknown) => Promise<unknown>>;

export class Product {
  readonly #context: vm.Context & { __TEMPORAL_ACTIVATOR__?: Activator | undefined };
  readonly #enter = new vm.Script('__enter()');
  readonly #defer: () => Deferred;
  readonly #react: (promise: Promise<unknown>, tell: (result: unknown, err?: unknown) => void) => void;
  readonly #dist: string;
  readonly #changes: readonly Change[];

  /** @param dist where the build is */
  constructor(dist: string, changes: readonly Change[] = []) {
    this.#dist = dist;
    this.#changes = changes;
    // A global object of its own kind would be asked in C++ for each global name that is used.
    this.#context = vm.createContext(vm.constants.DONT_CONTEXTIFY, { microtaskMode: 'afterEvaluate' });
    Object.defineProperty(this.#context, '__webpack_module_cache__', { value: {} });
    injectGlobals(this.#context);
    const code = this.#read('workflow-bundle.js').replace(/\/\/# sourceMappingURL=.*/s, '');
    new vm.Script(code, { filename: 'workflow-bundle.js' }).runInContext(this.#context);
    vm.runInContext('__TEMPORAL__.preloadModules?.()', this.#context);
    // Whatever is called between two entries runs together with its microtasks before the outer one goes on.
    vm.runInContext(
      'globalThis.__enter = () => { const { call, args } = globalThis.__entry; return call(...args); }; globalThis.__api = __TEMPORAL__.api; Error.stackTraceLimit = 0;',
      this.#context,
    );
    this.#defer = this.#inside(
      '() => { let resolve, reject; const promise = new Promise((a, b) => { resolve = a; reject = b; }); return { promise, resolve, reject }; }',
    );
    this.#react = this.#inside(
      '(promise, tell) => void promise.then((value) => void tell(value), (err) => void tell(undefined, err))',
    );
  }

  #inside<F>(code: string): F {
    return vm.runInContext(code, this.#context) as F;
  }

  /** Calls a function inside, and lets everything happen that follows from it. */
  enter<R>(call: (...args: never[]) => R, ...args: unknown[]): R {
    this.#context['__entry'] = { call, args };
    return this.#enter.runInContext(this.#context) as R;
  }

  /** Calls a function of the SDK's interface to its worker. */
  api<R>(name: string, activator: Activator | undefined, ...args: unknown[]): R {
    this.#context.__TEMPORAL_ACTIVATOR__ = activator;
    const api = this.#context['__api'] as Record<string, (...args: never[]) => R>;
    return this.enter(api[name] as (...args: never[]) => R, ...args);
  }

  get activator(): Activator {
    return this.#context.__TEMPORAL_ACTIVATOR__ as Activator;
  }

  /** @returns a promise of this context, whose reactions run in the next entry, and what settles it */
  promise(): Deferred {
    return this.#defer();
  }

  /** Has a promise of this context tell how it was settled, in the entry in which it is. */
  settled(promise: Promise<unknown>, tell: (result: unknown, err?: unknown) => void): void {
    // A reaction that is made outside would wait for the microtasks of the outside.
    this.#react(promise, tell);
  }

  /** The real activities, and the classes of errors by which they know a gateway's answers. */
  activities(neighbours: Neighbours): {
    create: Record<string, (deps: unknown) => Activities>;
    gatewayErrors: Exports;
  } {
    const loaded = new Map<string, Exports>();
    const given: Record<string, Exports> = {
      '@temporalio/activity': { activityInfo: neighbours.activityInfo },
      '@temporalio/common': temporalCommon as unknown as Exports,
      'runtime/errors/facts.js': { isError: types.isNativeError, sentenceOf: (e: Error) => e.message },
      ...neighbours.domain,
    };
    const performance = { now: neighbours.nowMs };
    const load = (path: string): Exports => {
      const known = given[path] ?? loaded.get(path);
      if (known) return known;
      const exports: Exports = {};
      loaded.set(path, exports);
      const { code } = transformSync(this.#read(path), {
        module: { type: 'commonjs' },
        jsc: { target: 'es2022' },
        sourceMaps: false,
        swcrc: false,
        configFile: false,
      });
      const wrapped = vm.runInContext(`(function (exports, require, performance) {${code}\n})`, this.#context) as (
        ...parts: unknown[]
      ) => void;
      wrapped(exports, (name: string) => load(name.startsWith('.') ? join(dirname(path), name) : name), performance);
      return exports;
    };
    const create = Object.assign({}, ...['inventory', 'orders', 'payments'].map((n) => load(`activities/${n}.js`)));
    return { create, gatewayErrors: load('gateways/payments.js') };
  }

  #read(file: string): string {
    let text = readFileSync(join(this.#dist, file), 'utf8');
    for (const change of this.#changes.filter((it) => it.file === file)) {
      const parts = text.split(change.find);
      if (parts.length !== 2) throw new Error(`${file} has ${parts.length - 1} times: ${change.find}`);
      text = parts.join(change.put);
    }
    return text;
  }
}
