import { defineConfig } from 'vitest/config';

export default defineConfig({
  oxc: { decorator: { legacy: true, emitDecoratorMetadata: true } },
  test: { globals: true, globalSetup: ['test/global-setup.ts'], include: ['test/**/*.test.ts'] },
});
