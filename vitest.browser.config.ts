import { defineConfig } from 'vitest/config';

/** The pages of the samples and of the devtools in a real Chromium: `npm run test:browser`. */
export default defineConfig({
  oxc: { decorator: { legacy: true, emitDecoratorMetadata: true } },
  resolve: { tsconfigPaths: true },
  test: {
    include: ['test/browser/*.browser.ts'],
    globalSetup: ['test/support/global-setup.ts'],
    // One browser and one server at a time.
    fileParallelism: false,
    testTimeout: 60_000,
    hookTimeout: 120_000,
  },
});
