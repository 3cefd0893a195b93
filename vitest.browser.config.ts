import { defineConfig } from 'vitest/config';

/** The pages of the samples in a real Chromium: `npm run test:browser`. */
export default defineConfig({
  resolve: { tsconfigPaths: true },
  test: {
    include: ['test/browser/*.browser.ts'],
    // One browser and one server at a time.
    fileParallelism: false,
    testTimeout: 60_000,
    hookTimeout: 120_000,
  },
});
