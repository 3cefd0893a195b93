import { Injectable } from '@nestjs/common';
import { AsyncEngine, sql } from 'nest-async-engine';

/** A singleton. Its statements run in the transaction of the request that calls, as long as there is one. */
@Injectable()
export class Journal {
  constructor(private readonly engine: AsyncEngine) {}

  async write(tenant: string, line: string): Promise<void> {
    await this.engine.execute(sql`INSERT INTO journal (tenant, line) VALUES (${tenant}, ${line})`);
  }

  async linesOf(tenant: string): Promise<string[]> {
    return (
      await this.engine.scalars<string>(sql`SELECT line FROM journal WHERE tenant = ${tenant} ORDER BY id`)
    ).all();
  }
}
