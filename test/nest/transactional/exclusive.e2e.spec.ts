import 'reflect-metadata';
import { Injectable, SetMetadata } from '@nestjs/common';
import { EventEmitter2, EventEmitterModule } from '@nestjs/event-emitter';
import { Test } from '@nestjs/testing';
import type { TestingModule } from '@nestjs/testing';
import { of } from 'rxjs';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import {
  ArgumentError,
  AsyncEngine,
  DatabaseModule,
  Exclusive,
  IllegalStateError,
  Transactional,
  sql,
} from 'nest-async-engine';
import { TransactionalEventListener } from 'nest-async-engine/event-emitter';
import { failureOf } from '../../support/items.js';
import { Latch } from '../../support/process/barrier.js';
import { expectIdle, storedNames } from '../../support/process/outcome.js';
import { createDatabase } from '../../support/server/postgres.js';
import type { TestDatabase } from '../../support/server/postgres.js';

const insert = (name: string) => sql`INSERT INTO items VALUES (${name})`;

abstract class Jobs {
  constructor(readonly engine: AsyncEngine) {}

  @Exclusive('inherited')
  async inherited(hold?: () => Promise<void>): Promise<string> {
    await hold?.();
    return 'ran';
  }
}

@Injectable()
class Nightly extends Jobs {
  constructor(engine: AsyncEngine) {
    super(engine);
  }

  @Exclusive('report')
  @SetMetadata('cron', '0 3 * * *')
  async report(name: string, hold?: () => Promise<void>): Promise<string> {
    await this.engine.execute(insert(name));
    await hold?.();
    return name;
  }

  @Transactional()
  @Exclusive('report')
  async inTransaction(name: string): Promise<string> {
    return await this.report(name);
  }

  @Exclusive('report')
  @Transactional({ propagation: 'requires-new' })
  async aroundTransaction(name: string): Promise<string> {
    await this.engine.execute(insert(name));
    return name;
  }

  @Exclusive('failing')
  async failing(): Promise<void> {
    await this.engine.execute(insert('failing'));
    throw new Error('on purpose');
  }

  @Exclusive('archive', { engine: 'archive', scope: 'session' })
  async inArchive(hold?: () => Promise<void>): Promise<string> {
    await hold?.();
    return 'ran';
  }

  @Exclusive('observable')
  observable(): Promise<unknown> {
    return of(1) as never;
  }

  @Exclusive('listener')
  @TransactionalEventListener('placed', { suppressErrors: false })
  async listener(name: string): Promise<void> {
    await this.engine.execute(insert(name));
  }
}

@Transactional({ engine: 'archive' })
@Injectable()
class ArchiveJobs extends Jobs {
  constructor(engine: AsyncEngine) {
    super(engine);
  }
}

const databases: TestDatabase[] = [];
const instances: TestingModule[] = [];

/** One instance of the application. */
async function startInstance(): Promise<TestingModule> {
  const [shop, archive] = databases.map(({ url }) => url);
  const testing = await Test.createTestingModule({
    imports: [
      EventEmitterModule.forRoot(),
      DatabaseModule.forRoot({ url: shop as string }),
      DatabaseModule.forRoot({ url: archive as string, name: 'archive' }),
    ],
    providers: [Nightly, ArchiveJobs],
  }).compile();
  return await testing.init();
}

let here: Nightly;
let there: Nightly;
beforeAll(async () => {
  databases.push(await createDatabase('shop'), await createDatabase('archive'));
  for (const database of databases) await database.query('CREATE TABLE items (name text)');
  instances.push(await startInstance(), await startInstance());
  [here, there] = instances.map((instance) => instance.get(Nightly)) as [Nightly, Nightly];
});
afterEach(async () => {
  const [shop] = databases as [TestDatabase];
  for (const { engine } of [here, there]) await expectIdle(engine, shop);
  await shop.query('TRUNCATE items');
});
afterAll(async () => {
  for (const instance of instances) await instance.close();
  for (const database of databases) await database.drop();
});

/** Runs `other` while `run` is held. */
async function meanwhile(
  run: (hold: () => Promise<void>) => Promise<unknown>,
  other: () => Promise<unknown>,
): Promise<[first: unknown, second: unknown]> {
  const [begun, end] = [new Latch(), new Latch()];
  const first = run(async () => {
    begun.open();
    await end.opened;
  });
  await begun.opened;
  const second = await other().finally(() => end.open());
  return [await first, second];
}

const stored = () => storedNames(databases[0] as TestDatabase);

it('a method runs in one of two instances and gives undefined in the other one', async () => {
  const values = await meanwhile(
    (hold) => here.report('here', hold),
    () => there.report('there'),
  );
  expect(values).toEqual(['here', undefined]);
  expect(await stored()).toEqual(['here']);
  expect(await there.report('there')).toBe('there');
});

it.each(['inTransaction', 'aroundTransaction'] as const)(
  'stands in either order with @Transactional(): %s',
  async (method) => {
    const values = await meanwhile(
      (hold) => here.report('here', hold),
      () => there[method]('there'),
    );
    expect(values).toEqual(['here', undefined]);
    expect(await there[method]('there')).toBe('there');
    expect(await stored()).toEqual(['here', 'there']);
  },
);

it('an inherited method is of one instance, and of the database that its subclass names', async () => {
  const archive = instances[1]?.get(ArchiveJobs) as ArchiveJobs;
  const again = instances[0]?.get(ArchiveJobs) as ArchiveJobs;
  const run = (hold: () => Promise<void>) => here.inherited(hold);
  expect(await meanwhile(run, () => there.inherited())).toEqual(['ran', undefined]);
  expect(await meanwhile(run, () => archive.inherited())).toEqual(['ran', 'ran']);
  expect(
    await meanwhile(
      (hold) => again.inherited(hold),
      () => archive.inherited(),
    ),
  ).toEqual(['ran', undefined]);
});

it('{ engine } names the database, and the scope its lock', async () => {
  expect(
    await meanwhile(
      (hold) => here.inArchive(hold),
      () => there.inArchive(),
    ),
  ).toEqual(['ran', undefined]);
});

it('what fails is undone, and the next instance runs it', async () => {
  for (const { failing } of [here, there].map((each) => ({ failing: () => each.failing() })))
    expect(await failureOf(failing())).toMatchObject({ message: 'on purpose' });
  expect(await stored()).toEqual([]);
});

it('keeps the name and the metadata of its method', () => {
  const report = Reflect.get(here, 'report') as CallableFunction;
  expect(report.name).toBe('report');
  expect(Reflect.getMetadata('cron', report)).toBe('0 3 * * *');
});

it('covers what a listener does, and not its registration', async () => {
  const emitter = instances[0]?.get(EventEmitter2) as EventEmitter2;
  await here.engine.transaction(async () => {
    await here.engine.execute(insert('order'));
    await emitter.emitAsync('placed', 'heard');
    expect(await stored()).toEqual([]);
  });
  expect(await stored()).toEqual(['heard', 'order']);
});

it('refuses what gives no promise, and a wrong name or option where it is written', async () => {
  expect(await failureOf(here.observable())).toBeInstanceOf(IllegalStateError);
  const unbound = Reflect.get(here, 'report') as (name: string) => Promise<unknown>;
  expect(await failureOf(unbound('x'))).toBeInstanceOf(ArgumentError);
  expect(() => Exclusive('')).toThrow(ArgumentError);
  expect(() => Exclusive('job', { signal: new AbortController().signal } as never)).toThrow(ArgumentError);
  expect(() => Exclusive('job', { scope: 'process' as never })).toThrow(ArgumentError);
});
