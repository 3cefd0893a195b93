import { Test } from '@nestjs/testing';
import { AsyncEngine, sql } from 'nest-async-engine';
import { DatabaseTestingModule } from 'nest-async-engine/testing';
import { ProductsService } from './inject';

describe("the README's first service", () => {
  it('finds what is stored', async () => {
    const testing = await Test.createTestingModule({
      imports: [DatabaseTestingModule.forRoot()],
      providers: [ProductsService],
    }).compile();
    await testing.init();
    await testing.get(AsyncEngine).execute(sql`CREATE TABLE products AS SELECT 1 AS id, 'lamp' AS name`);
    expect(await testing.get(ProductsService).find(1)).toEqual({ id: 1, name: 'lamp' });
    await testing.close();
  }, 60_000);
});
