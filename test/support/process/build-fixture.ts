import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'vite';

const ROOT = fileURLToPath(new URL('../../../', import.meta.url));

/** Builds `fixtures/NAME.ts` as a program of its own; gives its path, and what removes it. */
export async function buildFixture(
  name: string,
): Promise<{ readonly script: string; readonly remove: () => Promise<void> }> {
  // Below node_modules, so that it finds its packages.
  const outDir = await mkdtemp(join(ROOT, 'node_modules', `.${name}-`));
  await build({
    root: ROOT,
    configFile: false,
    logLevel: 'error',
    resolve: { tsconfigPaths: true },
    build: {
      ssr: fileURLToPath(new URL(`../fixtures/${name}.ts`, import.meta.url)),
      outDir,
      emptyOutDir: false,
      minify: false,
      target: 'node20',
    },
  });
  return { script: join(outDir, `${name}.js`), remove: () => rm(outDir, { recursive: true, force: true }) };
}
