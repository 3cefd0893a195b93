import { Controller, Injectable } from '@nestjs/common';
import type { INestMicroservice } from '@nestjs/common';
import { ClientTCP, MessagePattern, Transport } from '@nestjs/microservices';
import type { MicroserviceOptions } from '@nestjs/microservices';
import { Test } from '@nestjs/testing';
import { NEVER, Observable, concat, defer, ignoreElements } from 'rxjs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { AsyncConnection, AsyncEngine, DatabaseModule, InjectScopedConnection, sql } from 'nest-async-engine';
import { Latch } from '../../support/process/barrier.js';
import { expectIdle, storedNames } from '../../support/process/outcome.js';
import { createDatabase } from '../../support/server/postgres.js';
import type { TestDatabase } from '../../support/server/postgres.js';

@Injectable()
class Journal {
  readonly written = new Latch();
}

@Controller()
class Handlers {
  constructor(
    @InjectScopedConnection() private readonly connection: AsyncConnection,
    private readonly journal: Journal,
  ) {}

  @MessagePattern('silent')
  silent(): Observable<unknown> {
    const write = async (): Promise<void> => {
      await this.connection.execute(sql`INSERT INTO items VALUES ('silent')`);
      this.journal.written.open();
    };
    return concat(defer(write).pipe(ignoreElements()), NEVER);
  }
}

describe('A message handler whose Observable gives nothing and never ends', () => {
  let database: TestDatabase;
  let service: INestMicroservice;
  beforeAll(async () => {
    database = await createDatabase('silent_handlers');
    await database.query('CREATE TABLE items (name text)');
    const requestScope = { orphanTimeout: 20 };
    const testing = await Test.createTestingModule({
      imports: [DatabaseModule.forRoot({ url: database.url, requestScope })],
      controllers: [Handlers],
      providers: [Journal],
    }).compile();
    service = testing.createNestMicroservice<MicroserviceOptions>({
      logger: false,
      transport: Transport.TCP,
      options: { host: '127.0.0.1', port: 0 },
    });
    await service.listen();
  });
  afterAll(async () => {
    await service.close();
    await database.drop();
  });

  it('is undone after orphanTimeout where its client has gone, and its connection goes back', async () => {
    const { port } = service.unwrap<{ address(): { port: number } }>().address();
    const client = new ClientTCP({ host: '127.0.0.1', port });
    client.send('silent', {}).subscribe({ error: () => undefined });
    await service.get(Journal).written.opened;
    expect(service.get(AsyncEngine).pool.checkedOut()).toBe(1);
    client.close();
    await expectIdle(service.get(AsyncEngine), database);
    expect(await storedNames(database)).toEqual([]);
  });
});
