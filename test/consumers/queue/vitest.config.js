import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    globalSetup: ['dist/test/global-setup.js'],
    include: ['dist/test/**/*.test.js'],
    // Jobs that wait for the clock, and processes that are killed: not beside each other.
    fileParallelism: false,
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
