import { AsyncLocalStorage } from 'node:async_hooks';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { TransactionalAdapterEngine } from 'nest-async-engine/cls';
import { ArgumentError, AsyncEngine } from 'nest-async-engine/engine';
import { asPool } from 'nest-async-engine/pg';
import { failureOf, insert, ItemDatabase, outcomeOf } from '../support/items.js';

let items: ItemDatabase;
let engine: AsyncEngine;
beforeAll(async () => {
  items = await ItemDatabase.open('cls');
});
beforeEach(() => {
  engine = items.engine({ poolSize: 3 });
});
afterEach(() => items.expectClean());
afterAll(() => items.close());

/** What the plugin's TransactionHost does with an adapter: the real one is a consumer of the package. */
class Host<Tx> {
  readonly #store = new AsyncLocalStorage<{ tx: Tx | undefined }>();
  readonly #methods;

  constructor(adapter: TransactionalAdapterEngine<Tx>) {
    this.#methods = adapter.optionsFactory(engine);
  }

  get tx(): Tx {
    return this.#store.getStore()?.tx ?? this.#methods.getFallbackInstance();
  }

  async required<T>(work: () => Promise<T>): Promise<T> {
    return this.#store.getStore()?.tx === undefined ? await this.requiresNew(work) : await work();
  }

  async requiresNew<T>(work: () => Promise<T>): Promise<T> {
    return await this.#in((set) => this.#methods.wrapWithTransaction({}, work, set));
  }

  async nested<T>(work: () => Promise<T>): Promise<T> {
    return await this.#in((set) => this.#methods.wrapWithNestedTransaction({}, work, set));
  }

  async notSupported<T>(work: () => Promise<T>): Promise<T> {
    return await this.#in((set) => {
      set(undefined);
      return work();
    });
  }

  async #in<T>(work: (set: (tx?: Tx) => void) => Promise<T>): Promise<T> {
    const store = { tx: this.#store.getStore()?.tx };
    return await this.#store.run(store, () =>
      work((tx) => {
        store.tx = tx;
      }),
    );
  }
}

async function undone(work: () => Promise<unknown>): Promise<never> {
  await work();
  throw new RangeError('mine');
}

describe('the adapter of nestjs-cls', () => {
  it('takes the engine by its token, or by the one that it is given', () => {
    expect(new TransactionalAdapterEngine().connectionToken).toBe(AsyncEngine);
    expect(new TransactionalAdapterEngine({ connectionToken: 'other' }).connectionToken).toBe('other');
    expect(() => new TransactionalAdapterEngine({ instances: 1 } as never)).toThrow(ArgumentError);
    expect(() => new TransactionalAdapterEngine({ defaultTxOptions: { timeout: -1 } })).toThrow(
      ArgumentError,
    );
  });

  it('commits what returns, and undoes what throws', async () => {
    const host = new Host(new TransactionalAdapterEngine());
    await host.required(() => host.tx.execute(insert('kept')));
    const work = host.required(() => undone(async () => await host.tx.execute(insert('undone'))));
    expect([await outcomeOf(work), await items.names()]).toEqual([RangeError, ['kept']]);
  });

  it('nests, joins, suspends and leaves', async () => {
    const host = new Host(new TransactionalAdapterEngine());
    await failureOf(
      host.required(async () => {
        await host.required(() => host.tx.execute(insert('joined')));
        await failureOf(host.nested(() => undone(() => Promise.resolve(host.tx.execute(insert('nested'))))));
        await host.requiresNew(() => host.tx.execute(insert('new')));
        await host.notSupported(async () => {
          await host.tx.execute(insert('left'));
          await host.required(() => host.tx.execute(insert('left and new')));
        });
        throw new Error('undone');
      }),
    );
    expect(await items.names()).toEqual(['left', 'left and new', 'new']);
  });

  it('is a part of a transaction of the engine, and the engine of its own', async () => {
    const host = new Host(new TransactionalAdapterEngine());
    await failureOf(
      engine.transaction(() =>
        undone(async () => {
          await host.required(() => host.tx.execute(insert('inner')));
          await host.tx.execute(insert('fallback'));
        }),
      ),
    );
    await failureOf(
      host.required(() => undone(() => engine.transaction(() => engine.execute(insert('engine'))))),
    );
    expect(await items.names()).toEqual([]);
  });

  it('gives what instance makes, inside and outside', async () => {
    const host = new Host(new TransactionalAdapterEngine({ instance: (one) => asPool(one) }));
    const add = (name: string) => host.tx.query('INSERT INTO item (name) VALUES ($1)', [name]);
    await failureOf(
      host.required(() =>
        undone(async () => {
          await add('undone');
          await host.notSupported(() => add('left'));
        }),
      ),
    );
    await add('outside');
    expect(await items.names()).toEqual(['left', 'outside']);
  });
});
