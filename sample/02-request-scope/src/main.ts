import type { AddressInfo } from 'node:net';
import { createApp } from './create-app.js';

// DATABASE_URL, where it is set, wins over the embedded server.
const app = await createApp({ embedded: true });
app.enableShutdownHooks();
await app.listen(process.env['PORT'] ?? 3000, 'localhost');

const { port } = (app.getHttpServer() as { address(): AddressInfo }).address();
const url = `http://localhost:${port}`;
console.log(`
The notebook is open: ${url}/notes

Try it (each tenant sees his own notes; the third request fails, and leaves nothing but a line in the journal):
  curl ${url}/notes -H 'x-tenant: ann' -H 'content-type: application/json' -d '{"text":"buy coffee"}'
  curl ${url}/notes -H 'x-tenant: bob' -H 'content-type: application/json' -d '{"text":"sell coffee"}'
  curl ${url}/notes -H 'x-tenant: bob' -H 'content-type: application/json' -d '{"text":"  "}'
  curl ${url}/notes -H 'x-tenant: ann'
  curl ${url}/journal -H 'x-tenant: bob'
`);
