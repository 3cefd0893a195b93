import { ConflictException } from '@nestjs/common';
import { Test, type TestingModule } from '@nestjs/testing';
import { getEngineToken } from 'nest-async-engine';
import { disableTransactions } from 'nest-async-engine/testing';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { AppModule } from '../src/app.module.js';
import { Loans } from '../src/loans.js';
import { Post } from '../src/post.js';
import { type Book, Shelf } from '../src/shelf.js';

/** A shelf in memory. */
class PaperShelf implements Pick<Shelf, 'lentTo' | 'lend'> {
  readonly lent: Book[] = [];

  async lentTo(): Promise<Book[]> {
    return await Promise.resolve(this.lent);
  }

  async lend(id: number): Promise<void> {
    this.lent.push({ id, title: `number ${id}` });
    await Promise.resolve();
  }
}

describe('the rules of a loan, without a database', () => {
  const letters: string[] = [];
  let testing: TestingModule;
  let loans: Loans;

  beforeEach(async () => {
    letters.length = 0;
    // The whole application; what would need a server is replaced by its public token.
    testing = await Test.createTestingModule({ imports: [AppModule] })
      .overrideProvider(getEngineToken())
      .useValue(disableTransactions())
      .overrideProvider(Shelf)
      .useClass(PaperShelf)
      .overrideProvider(Post)
      .useValue({ send: (reader: string) => void letters.push(reader) })
      .compile();
    loans = testing.get(Loans, { strict: false });
  });
  afterEach(() => testing.close());

  it('are that a reader has two books at most', async () => {
    await loans.lend(1, 'ada');
    await loans.lend(2, 'ada');
    await expect(loans.lend(3, 'ada')).rejects.toBeInstanceOf(ConflictException);
  });

  it('are that a letter goes out for what is lent, and for nothing else', async () => {
    await loans.lend(1, 'ada');
    await loans.lend(2, 'ada');
    await loans.lend(3, 'ada').catch(() => undefined);
    expect(letters).toEqual(['ada', 'ada']);
  });
});
