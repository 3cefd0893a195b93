import type { AddressInfo } from 'node:net';
import { createApp } from './create-app.js';

// DATABASE_URL, where it is set, wins over the embedded server.
const app = await createApp({ embedded: true });
app.enableShutdownHooks();
await app.listen(process.env['PORT'] ?? 3000, 'localhost');

const { port } = (app.getHttpServer() as { address(): AddressInfo }).address();
const url = `http://localhost:${port}`;
console.log(`
The address book is open: ${url}/contacts

Try it (the second line is no address, the third is a double; the others are stored):
  curl ${url}/imports -H 'content-type: text/plain' --data-binary $'Ann <ann@x.org>\\nnobody\\nAnn <ann@x.org>\\nBob <bob@x.org>'
  curl '${url}/imports?mode=all-or-nothing' -H 'content-type: text/plain' --data-binary $'Cleo <cleo@x.org>\\nnobody'
  curl ${url}/contacts
  curl ${url}/imports
`);
