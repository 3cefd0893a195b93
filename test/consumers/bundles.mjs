import { run } from './npm.mjs';
import { expectShop, withShop } from './shop.mjs';

const TOOLS = [
  '@swc/core@1.16.22',
  '@swc/cli@0.8.1',
  'esbuild@0.28.2',
  'webpack@5.113.0',
  'webpack-cli@7.3.1',
  'ts-loader@9.6.2',
  '@rspack/core@2.3.3',
];

/** The same program as each compiler and bundler makes it: files, and one minified file with all that it imports. */
export function bundles(consumer) {
  return withShop(consumer, TOOLS, (folder, url) => {
    run(folder, 'npx', ['tsc', '-p', '.']);
    expectShop(folder, url, [process.execPath, 'dist/main.js']);
    run(folder, 'npx', ['swc', 'src', '--out-dir', 'dist-swc', '--strip-leading-paths']);
    expectShop(folder, url, [process.execPath, 'dist-swc/main.js']);
    for (const format of ['esm', 'cjs']) {
      run(folder, process.execPath, ['bundle.mjs', 'esbuild', format]);
      expectShop(folder, url, [process.execPath, `dist-esbuild/main.${format === 'esm' ? 'mjs' : 'cjs'}`]);
    }
    for (const tool of ['webpack', 'rspack']) {
      run(folder, process.execPath, ['bundle.mjs', tool]);
      expectShop(folder, url, [process.execPath, `dist-${tool}/main.cjs`]);
    }
  });
}
