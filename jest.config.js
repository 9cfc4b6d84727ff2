/** @type {import('jest').Config} */
export default {
  testEnvironment: '<rootDir>/test/support/environment.mjs',
  roots: ['<rootDir>/test'],
  extensionsToTreatAsEsm: ['.ts'],
  moduleNameMapper: { '^(\\.{1,2}/.*)\\.js$': '$1' },
  transform: {
    '^.+\\.ts$': [
      '@swc/jest',
      { jsc: { target: 'es2022', parser: { syntax: 'typescript' } }, module: { type: 'es6' }, sourceMaps: 'inline' },
    ],
  },
  globalSetup: '<rootDir>/test/support/global-setup.mjs',
  globalTeardown: '<rootDir>/test/support/global-teardown.mjs',
  testTimeout: 60_000,
  testSequencer: '<rootDir>/test/support/sequencer.mjs',
  // Most of a test's time is other processes' work, or waiting for it: with three workers two processors are busy for 77 % of the time.
  // With four for 87 %, a run is two minutes shorter, and some of what waits for seconds is too late. test/support/environment.mjs has
  // as many places.
  maxWorkers: 3,
  // Node never gives back what a file has loaded into its context: 3 MB where that is Temporal's client, 20 to 40 MB where it is the
  // API. A worker that has grown spends ever more of its time on collecting garbage, so a new one takes its place.
  workerIdleMemoryLimit: '700MB',
};
