import { defineConfig } from 'vitest/config';

export default defineConfig({
  oxc: { decorator: { legacy: true, emitDecoratorMetadata: true } },
  resolve: { tsconfigPaths: true },
  test: {
    include: ['test/**/*.spec.ts', 'sample/*/test/**/*.spec.ts'],
    exclude: ['**/node_modules/**', 'test/consumers/**'],
    globalSetup: ['test/support/global-setup.ts'],
    // Nest takes half a second to import: one module graph per worker, not per file.
    isolate: false,
    testTimeout: 20_000,
    hookTimeout: 30_000,
    coverage: { provider: 'v8', include: ['lib/**'], reporter: ['text-summary', 'html', 'json-summary'] },
    typecheck: { enabled: true, include: ['test/**/*.spec-d.ts'], tsconfig: './tsconfig.json' },
  },
});
