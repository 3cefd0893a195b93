import type { AddressInfo } from 'node:net';
import { NestFactory } from '@nestjs/core';
import { AppModule } from './app.module.js';

const app = await NestFactory.create(AppModule, {
  forceCloseConnections: true,
  logger: ['log', 'warn', 'error'],
});
app.enableShutdownHooks();
await app.listen(process.env['PORT'] ?? 3000, 'localhost');

const { port } = (app.getHttpServer() as { address(): AddressInfo }).address();
const url = `http://localhost:${port}`;
console.log(`
The library is open: ${url}/readers/ada. What this sample is about are its tests; the application lends a book:

  curl ${url}/books -H 'content-type: application/json' -d '{"title":"Middlemarch"}'
  curl -i -X PUT ${url}/readers/ada/1
  curl -i -X PUT ${url}/readers/bob/1
  curl -i -X DELETE ${url}/loans/1
`);
