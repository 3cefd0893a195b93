import path from 'node:path';
import { run } from './npm.mjs';
import { expectShop, withShop } from './shop.mjs';

/** The versions of Node.js that are promised. */
const NODES = ['20.19.6', '22.23.5', '24.22.3', '26.12.1'];
const BUN = '1.4.5';

/** As npm names the packages that hold a runtime for a machine. */
const [nodeName, bunName] = [`node-${process.platform}-${process.arch}`, process.platform].map(
  (name, index) =>
    index === 0 ? name : `bun-${name}-${process.arch === 'arm64' ? 'aarch64' : process.arch}`,
);

/** The same program on each Node.js, and on Bun. */
export function runtimes(consumer) {
  const nodes = NODES.map((version) => `node-${version}@npm:${nodeName}@${version}`);
  return withShop(consumer, [...nodes, `@oven/${bunName}@${BUN}`], (folder, url) => {
    run(folder, 'npx', ['tsc', '-p', '.']);
    const binary = (name) =>
      path.join(folder, 'node_modules', name, 'bin', name.startsWith('@') ? 'bun' : 'node');
    for (const version of NODES) expectShop(folder, url, [binary(`node-${version}`), 'dist/main.js']);
    expectShop(folder, url, [binary(`@oven/${bunName}`), 'dist/main.js']);
  });
}
