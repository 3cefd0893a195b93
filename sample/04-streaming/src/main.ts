import type { AddressInfo } from 'node:net';
import { createApp } from './create-app.js';

// DATABASE_URL, where it is set, wins over the embedded server.
const app = await createApp({ embedded: true });
app.enableShutdownHooks();
await app.listen(process.env['PORT'] ?? 3000, 'localhost');

const { port } = (app.getHttpServer() as { address(): AddressInfo }).address();
const url = `http://localhost:${port}`;
console.log(`
The station is open: ${url}

Try it:
  curl '${url}/measurements.csv?rows=1000000' | head -n 3
  curl -N '${url}/measurements/live'
  curl ${url}/measurements -H 'content-type: application/json' -d '{"sensor":"roof","value":21.5}'
`);
