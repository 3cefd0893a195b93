import { ConflictException, Injectable } from '@nestjs/common';
import { AsyncEngine, Transactional } from 'nest-async-engine';
import { Post } from './post.js';
import { Shelf } from './shelf.js';

/** How many books a reader may have. */
export const MOST = 2;

@Injectable()
export class Loans {
  constructor(
    private readonly engine: AsyncEngine,
    private readonly shelf: Shelf,
    private readonly post: Post,
  ) {}

  /** No constraint can count rows: two requests at once would both find room. The server refuses one of them, which runs again. */
  @Transactional({ isolationLevel: 'SERIALIZABLE', retry: 3 })
  async lend(book: number, reader: string): Promise<void> {
    const lent = await this.shelf.lentTo(reader);
    if (lent.length >= MOST) throw new ConflictException(`${reader} has ${MOST} books already.`);
    await this.shelf.lend(book, reader);
    this.engine.afterCommit(() => this.post.send(reader, 'enjoy your book.'));
  }

  @Transactional()
  async takeBack(book: number): Promise<void> {
    const reader = await this.shelf.takeBack(book);
    this.engine.afterCommit(() => this.post.send(reader, 'thank you.'));
  }
}
