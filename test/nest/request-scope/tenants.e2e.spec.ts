import { Controller, Get, Inject, Injectable, Module, Scope } from '@nestjs/common';
import { ContextIdFactory, ModulesContainer, REQUEST } from '@nestjs/core';
import type { ContextId, ContextIdStrategy, HostComponentInfo } from '@nestjs/core';
import { Test } from '@nestjs/testing';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import {
  AsyncConnection,
  AsyncEngine,
  DatabaseModule,
  InjectEngine,
  Transactional,
  getEngineToken,
  sql,
} from 'nest-async-engine';
import { Barrier, eventually } from '../../support/process/barrier.js';
import { ADAPTERS, startApp } from '../../support/nest/nest-app.js';
import type { RunningApp } from '../../support/nest/nest-app.js';
import { expectIdle, storedNames } from '../../support/process/outcome.js';
import { createDatabase } from '../../support/server/postgres.js';
import type { TestDatabase } from '../../support/server/postgres.js';

const TENANTS = ['red', 'blue'] as const;
type Tenant = (typeof TENANTS)[number];

const insert = (name: string) => sql`INSERT INTO items VALUES (${name})`;

interface TenantRequest {
  readonly headers: Readonly<Record<string, string | undefined>>;
}

/** One durable tree per tenant, as Nest's own documentation has it. */
class TenantStrategy implements ContextIdStrategy<TenantRequest> {
  readonly #trees = new Map<string, ContextId>();

  attach(contextId: ContextId, request: TenantRequest) {
    const tenant = request.headers['x-tenant'];
    if (tenant === undefined) return () => contextId;
    const tree = this.#trees.get(tenant) ?? ContextIdFactory.create();
    this.#trees.set(tenant, tree);
    return {
      resolve: (info: HostComponentInfo) => (info.isTreeDurable ? tree : contextId),
      payload: { tenant },
    };
  }
}

@Injectable()
class Meeting {
  point = new Barrier(2);
}

/** Lives as long as its tenant and holds the tenant's engine. */
@Injectable({ scope: Scope.REQUEST, durable: true })
class TenantDatabase {
  readonly engine: AsyncEngine;

  constructor(
    @Inject(REQUEST) readonly payload: { readonly tenant: Tenant },
    @InjectEngine('red') red: AsyncEngine,
    @InjectEngine('blue') blue: AsyncEngine,
  ) {
    this.engine = payload.tenant === 'red' ? red : blue;
  }
}

@Injectable()
class TenantItems {
  constructor(
    private readonly tenant: TenantDatabase,
    private readonly meeting: Meeting,
  ) {}

  async add(): Promise<string> {
    const { engine, payload } = this.tenant;
    return await engine.transaction(async () => {
      await engine.execute(insert(payload.tenant));
      await this.meeting.point.arrive();
      await engine.transaction(() => engine.execute(insert(`${payload.tenant} nested`)));
      return payload.tenant;
    });
  }
}

@Injectable()
class RedItems {
  constructor(@InjectEngine('red') private readonly engine: AsyncEngine) {}

  @Transactional({ engine: 'red' })
  async add(name: string): Promise<void> {
    await this.engine.execute(insert(name));
  }
}

@Controller()
class Entrance {
  constructor(private readonly items: TenantItems) {}

  @Get()
  async add(): Promise<string> {
    return await this.items.add();
  }
}

const databases = new Map<Tenant, TestDatabase>();
const of = (tenant: Tenant): TestDatabase => databases.get(tenant) as TestDatabase;
const restoreStrategy = (): void => ContextIdFactory.apply({ attach: (contextId) => () => contextId });

beforeAll(async () => {
  for (const tenant of TENANTS) {
    databases.set(tenant, await createDatabase(tenant));
    await of(tenant).query('CREATE TABLE items (name text)');
  }
});
beforeEach(() => Promise.all(TENANTS.map((tenant) => of(tenant).query('TRUNCATE items'))));
afterAll(() => Promise.all(TENANTS.map((tenant) => of(tenant).drop())));

const modules = () => TENANTS.map((name) => DatabaseModule.forRoot({ url: of(name).url, name }));

describe.each(ADAPTERS)('durable providers of two tenants on %s', (_adapter, createAdapter) => {
  let running: RunningApp;
  beforeAll(async () => {
    ContextIdFactory.apply(new TenantStrategy());
    running = await startApp(
      {
        imports: modules(),
        controllers: [Entrance],
        providers: [TenantDatabase, TenantItems, Meeting, RedItems],
      },
      createAdapter(),
    );
  });
  afterEach(() =>
    Promise.all(TENANTS.map((name) => expectIdle(running.get(getEngineToken(name) as string), of(name)))),
  );
  afterAll(async () => {
    restoreStrategy();
    await running.close();
  });

  it('that run at once write each to the database of its own', async () => {
    for (let round = 0; round < 3; round += 1) {
      running.get(Meeting).point = new Barrier(2);
      const answers = TENANTS.map(async (tenant) =>
        (await fetch(running.url, { headers: { 'x-tenant': tenant } })).text(),
      );
      expect(await Promise.all(answers)).toEqual(TENANTS);
    }
    expect(await storedNames(of('red'))).toEqual([...Array(3).fill('red'), ...Array(3).fill('red nested')]);
    expect(await storedNames(of('blue'))).toEqual([
      ...Array(3).fill('blue'),
      ...Array(3).fill('blue nested'),
    ]);
  });
});

/** Forgets what Nest has found that request-scoped classes inject: NestJS 11 does not look before a request. */
function forgetDependencies(modules: ModulesContainer): void {
  const wrappers = [...modules.values()].flatMap((module) => [...module.providers.values()]);
  for (const wrapper of wrappers.filter(({ scope }) => scope === Scope.REQUEST)) {
    vi.spyOn(wrapper, 'getCtorMetadata').mockReturnValue(undefined as never);
    vi.spyOn(wrapper, 'getPropertiesMetadata').mockReturnValue(undefined as never);
  }
}

describe('a durable provider that reaches a connection', () => {
  it.each([
    ['', () => undefined],
    [', as NestJS 11 knows it', forgetDependencies],
  ])('is refused at the start: it would share it among the requests of its tenant%s', async (_, prepare) => {
    @Injectable()
    class Audit {
      constructor(readonly connection: AsyncConnection) {}
    }
    @Injectable({ scope: Scope.REQUEST, durable: true })
    class TenantAudit {
      constructor(readonly audit: Audit) {}
    }
    @Module({ providers: [Audit, TenantAudit] })
    class AuditModule {}

    const testing = await Test.createTestingModule({
      imports: [DatabaseModule.forRoot({ url: of('red').url }), AuditModule],
    }).compile();
    prepare(testing.get(ModulesContainer));
    await expect(testing.init()).rejects.toThrow(
      /TenantAudit is a durable provider.*TenantAudit → Audit → AsyncConnection/,
    );
    await testing.get(AsyncEngine).aclose();
  });
});

describe('two applications in one process, one of which is closed', () => {
  it('leave the other working, with the same class in both', async () => {
    const start = (database: TestDatabase) =>
      startApp({
        imports: [DatabaseModule.forRoot({ url: database.url, name: 'red' })],
        providers: [RedItems],
      });
    const [one, two] = await Promise.all([start(of('red')), start(of('blue'))]);
    await Promise.all([one.get(RedItems).add('one'), two.get(RedItems).add('two')]);
    await two.close();
    await one.get(RedItems).add('one goes on');
    expect(await storedNames(of('red'))).toEqual(['one', 'one goes on']);
    expect(await storedNames(of('blue'))).toEqual(['two']);
    await one.close();
    await eventually(async () => expect(await of('red').sessions()).toEqual([]));
  });
});
