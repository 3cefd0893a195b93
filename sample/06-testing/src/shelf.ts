import { Injectable } from '@nestjs/common';
import { AsyncEngine, sql } from 'nest-async-engine';

export interface Book {
  readonly id: number;
  readonly title: string;
}

/** The statements, and nothing else: what a unit test replaces. */
@Injectable()
export class Shelf {
  constructor(private readonly engine: AsyncEngine) {}

  add(title: string): Promise<Book> {
    return this.engine
      .execute<Book>(sql`INSERT INTO books (title) VALUES (${title}) RETURNING id, title`)
      .one();
  }

  lentTo(reader: string): Promise<Book[]> {
    return this.engine
      .execute<Book>(
        sql`SELECT id, title FROM loans JOIN books ON id = book WHERE reader = ${reader} ORDER BY title`,
      )
      .all();
  }

  async lend(book: number, reader: string): Promise<void> {
    await this.engine.execute(sql`INSERT INTO loans (book, reader) VALUES (${book}, ${reader})`);
  }

  /** Who had it. */
  takeBack(book: number): Promise<string> {
    return this.engine
      .execute<{ reader: string }>(sql`DELETE FROM loans WHERE book = ${book} RETURNING reader`)
      .scalarOne<string>();
  }
}
