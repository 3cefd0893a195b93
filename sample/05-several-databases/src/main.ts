import type { AddressInfo } from 'node:net';
import { createApp } from './create-app.js';

// Two servers of its own, unless DATABASE_URL and REPORTS_URL say otherwise.
const app = await createApp({
  shop: { embedded: true },
  reports: { embedded: true, url: process.env['REPORTS_URL'] },
});
app.enableShutdownHooks();
await app.listen(process.env['PORT'] ?? 3000, 'localhost');

const { port } = (app.getHttpServer() as { address(): AddressInfo }).address();
const url = `http://localhost:${port}`;
console.log(`
The shop and its reports are open: ${url}/sales

Try it:
  curl ${url}/sales -H 'content-type: application/json' -d '{"product":"coffee","amount":3}'
  curl ${url}/sales -H 'content-type: application/json' -d '{"product":"coffee","amount":0}'
  curl ${url}/reports
`);
