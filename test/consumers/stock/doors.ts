import { AsyncEngine, DatabaseModule, Transactional } from 'nest-async-engine';
import { createAsyncEngine, sql } from 'nest-async-engine/engine';
import { fromQuery } from 'nest-async-engine/rx';
import { rollbackEach } from 'nest-async-engine/testing';

export const engine: AsyncEngine = createAsyncEngine('postgresql://localhost/shop');
export const rows = fromQuery<{ id: number }>(engine, sql`SELECT 1 AS id`);
export const module = DatabaseModule.forRoot({ url: 'postgresql://localhost/shop' });
export { rollbackEach };

export class Products {
  @Transactional()
  async add(): Promise<void> {}
}
