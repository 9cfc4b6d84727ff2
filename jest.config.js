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
  // As many as there may be work for: how many files run beside each other is for test/support/environment.mjs to say.
  maxWorkers: 5,
  // Node never gives back what a file has loaded into its context: 3 MB where that is Temporal's client, 20 to 40 MB where it is the
  // API. A worker that has grown spends ever more of its time on collecting garbage, so a new one takes its place.
  workerIdleMemoryLimit: '700MB',
};
