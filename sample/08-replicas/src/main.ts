import type { AddressInfo } from 'node:net';
import { startEmbeddedPostgres } from 'nest-async-engine/testing';
import { createApp } from './create-app.js';

// Both servers end with this process.
const primary = await startEmbeddedPostgres({ replicas: 1 });
const app = await createApp(primary);
app.enableShutdownHooks();
await app.listen(process.env['PORT'] ?? 3000, 'localhost');

const { port } = (app.getHttpServer() as { address(): AddressInfo }).address();
const url = `http://localhost:${port}`;
console.log(`
A primary and its standby: ${url}

Try it:
  curl -X POST ${url}/notes/read
  curl ${url}/notes
  curl -X POST ${url}/standby/pause
`);
