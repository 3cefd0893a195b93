import { NestFactory } from '@nestjs/core';
import { createAsyncEngine, sql } from 'nest-async-engine';
import { startEmbeddedPostgres } from 'nest-async-engine/testing';
import { AppModule, ProductsService } from './inject';

async function bootstrap() {
  const server = await startEmbeddedPostgres();
  const owner = createAsyncEngine(server.url);
  await owner.execute(sql`CREATE TABLE products AS SELECT 1 AS id, 'lamp' AS name`);
  await owner.aclose();
  process.env.DATABASE_URL = server.url;
  const app = await NestFactory.createApplicationContext(AppModule);
  console.log(JSON.stringify(await app.get(ProductsService).find(1)));
  await app.close();
  await server.stop();
}
void bootstrap();
