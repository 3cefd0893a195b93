import 'reflect-metadata';
import { Injectable } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import type { TestingModule } from '@nestjs/testing';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { AsyncEngine, DatabaseModule, PoolDeadlockError, Transactional, sql } from 'nest-async-engine';
import type { Propagation } from 'nest-async-engine';
import { expectIdle, storedNames } from '../../support/process/outcome.js';
import { createDatabase } from '../../support/server/postgres.js';
import type { TestDatabase } from '../../support/server/postgres.js';
import { play } from '../../support/propagation/runner.js';
import type { Cast, Work } from '../../support/propagation/runner.js';
import { INNER, POOL_SIZES, PROPAGATION_CASES, titleOf } from '../../support/propagation/table.js';
import { failureOf } from '../../support/items.js';

/** A method for each mode, under its name. */
@Injectable()
class Modes implements Readonly<Record<Propagation, (work: Work) => Promise<void>>> {
  @Transactional({ propagation: 'required' })
  async required(work: Work): Promise<void> {
    await work();
  }

  @Transactional({ propagation: 'nested' })
  async nested(work: Work): Promise<void> {
    await work();
  }

  @Transactional({ propagation: 'requires-new' })
  async 'requires-new'(work: Work): Promise<void> {
    await work();
  }

  @Transactional({ propagation: 'supports' })
  async supports(work: Work): Promise<void> {
    await work();
  }

  @Transactional({ propagation: 'not-supported' })
  async 'not-supported'(work: Work): Promise<void> {
    await work();
  }

  @Transactional({ propagation: 'mandatory' })
  async mandatory(work: Work): Promise<void> {
    await work();
  }

  @Transactional({ propagation: 'never' })
  async never(work: Work): Promise<void> {
    await work();
  }
}

@Injectable()
class Service implements Cast {
  constructor(
    private readonly engine: AsyncEngine,
    private readonly modes: Modes,
  ) {}

  store(name: string): Promise<unknown> {
    return this.engine.execute(sql`INSERT INTO items VALUES (${name})`).then();
  }

  @Transactional()
  async around(work: Work): Promise<void> {
    await work();
  }

  inner(mode: Propagation, work: Work): Promise<void> {
    return this.modes[mode](work);
  }
}

let database: TestDatabase;

beforeAll(async () => {
  database = await createDatabase('propagation');
  await database.query('CREATE TABLE items (name TEXT PRIMARY KEY)');
});
beforeEach(() => database.query('TRUNCATE items'));
afterAll(() => database.drop());

describe.each(POOL_SIZES)('@Transactional on a pool of %i', (poolSize) => {
  let testing: TestingModule;
  let service: Service;

  beforeAll(async () => {
    const imports = [
      DatabaseModule.forRoot({ url: database.url, poolSize, maxOverflow: 0, poolTimeout: 10_000 }),
    ];
    testing = await Test.createTestingModule({ imports, providers: [Service, Modes] }).compile();
    service = testing.get(Service);
  });
  afterEach(() => expectIdle(testing.get(AsyncEngine), database));
  afterAll(() => testing.close());

  const cases = PROPAGATION_CASES.filter((one) => one.poolSize === poolSize);
  it.each(cases.map((one) => [titleOf(one), one] as const))('%s', async (_title, one) => {
    const failures = await play(service, one);
    expect(failures).toEqual({ outer: one.outer, inner: INNER.map(() => one.inner) });
    expect(await storedNames(database)).toEqual(one.rows);
  });

  if (poolSize > 1) return;
  it("a 'requires-new' that can never get a connection is told within a second", async () => {
    const begun = performance.now();
    const failure = await failureOf(
      service.around(async () => {
        await service.store('outer');
        await service.inner('requires-new', async () => void (await service.store('inner')));
      }),
    );
    expect(failure).toBeInstanceOf(PoolDeadlockError);
    expect(performance.now() - begun).toBeLessThan(1_000);
  });
});
