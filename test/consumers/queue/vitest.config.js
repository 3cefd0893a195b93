import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    globalSetup: ['dist/test/global-setup.js'],
    include: ['dist/test/**/*.test.js'],
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
