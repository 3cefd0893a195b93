import { Test } from '@nestjs/testing';
import { AsyncEngine, NoResultFoundError } from 'nest-async-engine';
import { DatabaseTestingModule, disableTransactions } from 'nest-async-engine/testing';
import { ProductsService } from './products.service';

describe('ProductsService', () => {
  it('is made without a database', async () => {
    const testing = await Test.createTestingModule({
      providers: [ProductsService, { provide: AsyncEngine, useValue: disableTransactions() }],
    }).compile();
    expect(testing.get(ProductsService)).toBeInstanceOf(ProductsService);
  });

  it('finds what is stored', async () => {
    const testing = await Test.createTestingModule({
      imports: [DatabaseTestingModule.forRoot()],
      providers: [ProductsService],
    }).compile();
    await testing.init();
    const products = testing.get(ProductsService);
    expect(await products.find(1)).toEqual({ id: 1, name: 'lamp' });
    await expect(products.find(2)).rejects.toBeInstanceOf(NoResultFoundError);
    await testing.close();
  }, 60_000);
});
