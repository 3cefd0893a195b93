import { Test, type TestingModule } from '@nestjs/testing';
import { AsyncEngine } from 'nest-async-engine';
import { DatabaseTestingModule, recordSql } from 'nest-async-engine/testing';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Barrier } from '../../../test/support/process/barrier.js';
import { LibraryModule } from '../src/library.module.js';
import { Loans, MOST } from '../src/loans.js';
import { createTables } from '../src/schema.js';
import { Shelf } from '../src/shelf.js';
import { useServerOfTheRun } from './server.js';

/** Lets nobody go on before two have counted. */
class BusyShelf extends Shelf {
  meeting = new Barrier(1);

  override async lentTo(reader: string): Promise<Awaited<ReturnType<Shelf['lentTo']>>> {
    const books = await super.lentTo(reader);
    await this.meeting.arrive();
    return books;
  }
}

useServerOfTheRun();

// Without rollbackEach(): on its one connection transactions take turns, and there would be nothing to retry.
describe('two loans of one reader at once', () => {
  let testing: TestingModule;

  beforeEach(async () => {
    testing = await Test.createTestingModule({
      imports: [DatabaseTestingModule.forRoot({ migrate: createTables }), LibraryModule],
    })
      .overrideProvider(Shelf)
      .useClass(BusyShelf)
      .compile();
  });
  afterEach(async () => {
    expect(testing.get(AsyncEngine).pool.checkedOut()).toBe(0);
    await testing.close();
  });

  it('never give more books than a reader may have: the server refuses one, which counts again', async () => {
    const loans = testing.get(Loans);
    const shelf = testing.get<BusyShelf>(Shelf);
    const [first, second, third] = await Promise.all(
      ['Emma', 'Evelina', 'Sanditon'].map((title) => shelf.add(title)),
    );
    expect(MOST).toBe(2);
    await loans.lend(first?.id ?? 0, 'ada');

    using log = recordSql(testing.get(AsyncEngine));
    shelf.meeting = new Barrier(2);
    const outcomes = await Promise.allSettled(
      [second, third].map((book) => loans.lend(book?.id ?? 0, 'ada')),
    );

    expect(outcomes.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
    expect(outcomes.find(({ status }) => status === 'rejected')).toMatchObject({
      reason: { message: 'ada has 2 books already.' },
    });
    expect(await shelf.lentTo('ada')).toHaveLength(MOST);
    // A third BEGIN: PostgreSQL did refuse one of them with 40001.
    expect(log.texts.filter((text) => text.startsWith('BEGIN'))).toHaveLength(3);
  });
});
