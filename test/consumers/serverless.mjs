import { run } from './npm.mjs';
import { expectShop, withShop } from './shop.mjs';

const ADAPTERS = [
  '@codegenie/serverless-express@5.0.0',
  'serverless-http@4.0.0',
  '@fastify/aws-lambda@6.4.1',
];

/** The same requests through each adapter, in one process that is "frozen" in between: its sessions are gone when it wakes. */
export function serverless(consumer) {
  return withShop(consumer, [...ADAPTERS, '@types/aws-lambda@8.10.164'], (folder, url) => {
    run(folder, 'npx', ['tsc', '-p', 'tsconfig.serverless.json']);
    for (const adapter of ['codegenie', 'serverless-http', 'fastify']) {
      expectShop(folder, url, [process.execPath, 'dist-serverless/src-serverless/handler.js', adapter], {
        statuses: [201, 500, 200, 201, 200],
        counted: [
          { orders: 1, onLoan: 0 },
          { orders: 2, onLoan: 0 },
        ],
        left: 0,
      });
    }
  });
}
