import { Injectable } from '@nestjs/common';
import { AsyncEngine, Transactional, sql } from 'nest-async-engine';

export class SoldOutError extends Error {}

@Injectable()
export class CoffeeService {
  constructor(private readonly engine: AsyncEngine) {}

  async open(): Promise<void> {
    await this.engine.execute(sql`DROP TABLE IF EXISTS cups, beans`);
    await this.engine.execute(
      sql`CREATE TABLE beans (kind TEXT PRIMARY KEY, portions INT CHECK (portions >= 0))`,
    );
    await this.engine.execute(sql`CREATE TABLE cups (id SERIAL PRIMARY KEY, kind TEXT, guest TEXT)`);
    await this.engine.execute(sql`INSERT INTO beans VALUES ('mocha', 1000), ('java', 3)`);
  }

  /** One transaction; the note of the guest is a savepoint in it. */
  @Transactional({ label: 'order' })
  async order(kind: string, guest: string): Promise<{ readonly id: number }> {
    const left = await this.engine.scalar<number>(
      sql`UPDATE beans SET portions = portions - 1 WHERE kind = ${kind} AND portions > 0 RETURNING portions`,
    );
    if (left === undefined) throw new SoldOutError(`there is no ${kind} left`);
    return await this.note(kind, guest);
  }

  @Transactional({ label: 'note' })
  async note(kind: string, guest: string): Promise<{ readonly id: number }> {
    return await this.engine
      .execute<{ id: number }>(sql`INSERT INTO cups (kind, guest) VALUES (${kind}, ${guest}) RETURNING id`)
      .one();
  }
}
