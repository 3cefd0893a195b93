import type { AddressInfo } from 'node:net';
import { NestFactory } from '@nestjs/core';
import { AppModule } from './app.module.js';
import { startTelemetry } from './telemetry.js';

startTelemetry();
const app = await NestFactory.create(AppModule, {
  forceCloseConnections: true,
  logger: ['log', 'warn', 'error'],
});
app.enableShutdownHooks();
await app.listen(process.env['PORT'] ?? 3000, 'localhost');

const { port } = (app.getHttpServer() as { address(): AddressInfo }).address();
const url = `http://localhost:${port}`;
console.log(`
The bar is open: ${url}

  curl -X POST ${url}/orders/mocha/ada
  curl ${url}/spans
  curl ${url}/metrics
`);
