import type { AddressInfo } from 'node:net';
import { NestFactory } from '@nestjs/core';
import { AsyncEngine, sql } from 'nest-async-engine';
import { ShopModule } from './shop.module.js';

async function main(): Promise<void> {
  const app = await NestFactory.create(ShopModule, { logger: false });
  await app.listen(0, '127.0.0.1');
  const { port } = app.getHttpServer().address() as AddressInfo;
  const url = `http://127.0.0.1:${port}/orders`;
  const post = async (item: string): Promise<number> => {
    const headers = { 'content-type': 'application/json' };
    const answer = await fetch(url, { method: 'POST', headers, body: JSON.stringify({ item }) });
    await answer.text();
    return answer.status;
  };
  const statuses = [await post('coffee'), await post('nothing')];
  const counted: unknown = await (await fetch(url)).json();
  const error: unknown = await app
    .get(AsyncEngine)
    .execute(sql`SELEC 1`)
    .then(
      () => undefined,
      (failure: unknown) => failure,
    );
  const { pool } = app.get(AsyncEngine);
  await app.close();
  const name = error instanceof Error ? error.name : 'none';
  console.log(JSON.stringify({ statuses, counted, name, left: pool.checkedOut() }));
}

void main();
