import { Catch, Controller, Get, Injectable, Param, UseFilters } from '@nestjs/common';
import type { ArgumentsHost, ExceptionFilter } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { AsyncEngine, DatabaseModule, InjectScopedConnection, sql } from 'nest-async-engine';
import type { AsyncConnection } from 'nest-async-engine';
import { ADAPTERS, startApp } from '../../support/nest/nest-app.js';
import type { RunningApp } from '../../support/nest/nest-app.js';
import { expectIdle, storedNames } from '../../support/process/outcome.js';
import { createDatabase } from '../../support/server/postgres.js';
import type { TestDatabase } from '../../support/server/postgres.js';

const insert = (name: string) => sql`INSERT INTO items VALUES (${name})`;

/** Every way to write two rows together. */
const WAYS: Readonly<
  Record<string, (engine: AsyncEngine, add: (name: string) => Promise<unknown>) => Promise<unknown>>
> = {
  'connection.begin()': async (engine, add) => {
    const transaction = await engine.currentConnection().begin();
    await add('a');
    await add('b');
    await transaction.commit();
  },
  'connection.begin(work)': (engine, add) =>
    engine.currentConnection().begin(async () => {
      await add('a');
      await add('b');
    }),
  'engine.transaction()': (engine) =>
    engine.transaction(async () => {
      await engine.execute(insert('a'));
      await engine.transaction(() => engine.execute(insert('b')));
    }),
  'engine.begin()': (engine) =>
    engine.begin(async (connection) => {
      await connection.execute(insert('a'));
      await connection.execute(insert('b'));
    }),
};

@Injectable()
@Catch()
class Auditing implements ExceptionFilter {
  constructor(
    private readonly engine: AsyncEngine,
    private readonly adapterHost: HttpAdapterHost,
  ) {}

  async catch({ message }: Error, host: ArgumentsHost): Promise<void> {
    const { engine } = this;
    const add = (name: string): Promise<unknown> =>
      Promise.resolve(engine.currentConnection().execute(insert(name)));
    const outcome = await WAYS[message]?.(engine, add).then(() => 'audited', String);
    this.adapterHost.httpAdapter.reply(host.getArgByIndex(1), String(outcome), 500);
  }
}

@Controller()
class Failing {
  constructor(@InjectScopedConnection() private readonly connection: AsyncConnection) {}

  @Get(':way')
  @UseFilters(Auditing)
  async fail(@Param('way') way: string): Promise<never> {
    await this.connection.execute(insert('undone'));
    throw new Error(way);
  }
}

let database: TestDatabase;
beforeAll(async () => {
  database = await createDatabase('filter_transactions');
  await database.query('CREATE TABLE items (name text)');
});
beforeEach(() => database.query('TRUNCATE items'));
afterAll(() => database.drop());

describe.each(ADAPTERS)(
  'an exception filter on %s, after the unit of its handler was undone',
  (_adapter, createAdapter) => {
    let running: RunningApp;
    beforeAll(async () => {
      running = await startApp(
        {
          imports: [DatabaseModule.forRoot({ url: database.url, poolSize: 2, maxOverflow: 0 })],
          controllers: [Failing],
          providers: [Auditing],
        },
        createAdapter(),
      );
    });
    afterAll(() => running.close());

    it.each(Object.keys(WAYS))('stores what it writes in a transaction of its own: %s', async (way) => {
      const response = await fetch(`${running.url}/${encodeURIComponent(way)}`);
      expect(await response.text()).toBe('audited');
      expect(await storedNames(database)).toEqual(['a', 'b']);
      await expectIdle(running.get(AsyncEngine), database);
    });
  },
);
