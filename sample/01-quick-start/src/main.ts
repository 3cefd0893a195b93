import type { AddressInfo } from 'node:net';
import { createApp } from './create-app.js';

// DATABASE_URL, where it is set, wins over the embedded server.
const app = await createApp({ embedded: true });
app.enableShutdownHooks();
await app.listen(process.env['PORT'] ?? 3000, 'localhost');

const { port } = (app.getHttpServer() as { address(): AddressInfo }).address();
const url = `http://localhost:${port}`;
console.log(`
The shop is open: ${url}

Try it:
  curl ${url}/products
  curl ${url}/orders -H 'content-type: application/json' -d '{"accountId":1,"lines":[{"productId":1,"quantity":5}]}'
  curl -N ${url}/orders/events
`);
