import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { TransactionEndedError, UnexpectedRollbackError } from 'nest-async-engine/engine';
import type { AsyncEngine } from 'nest-async-engine/engine';
import { startFaultyProxy } from '../../support/server/faulty-proxy.js';
import { failureOf, insert, ItemDatabase } from '../../support/items.js';

let items: ItemDatabase;
let engine: AsyncEngine;
beforeAll(async () => {
  items = await ItemDatabase.open('savepoint');
});
afterEach(() => items.expectClean());
afterAll(() => items.close());

describe('a savepoint', () => {
  it('has a name of its own, and a failure is ROLLBACK TO and RELEASE', async () => {
    await using proxy = await startFaultyProxy(items.database.url);
    engine = items.engine({}, proxy.url);
    for (let round = 0; round < 2; round += 1) {
      await engine.transaction(async () => {
        await engine.execute(insert(`outer ${round}`));
        await failureOf(
          engine.transaction(async () => {
            await engine.execute(insert(`inner ${round}`));
            throw new Error('undo');
          }),
        );
        await engine.transaction(() => engine.execute(insert(`second ${round}`)));
      });
    }
    const names = proxy.statements.filter((sql) => sql.startsWith('SAVEPOINT')).map((sql) => sql.slice(10));
    expect(new Set(names).size).toBe(4);
    const undone = proxy.statements.indexOf(`ROLLBACK TO SAVEPOINT ${names[0]}`);
    expect(proxy.statements[undone + 1]).toBe(`RELEASE SAVEPOINT ${names[0]}`);
    await engine.dispose();
  });

  it('that is open when its root ends is cancelled, and its work is the root’s', async () => {
    engine = items.engine();
    await using connection = await engine.connect();
    const root = await connection.begin();
    const nested = await connection.beginNested();
    const innermost = await connection.beginNested();
    await connection.execute(insert('inside'));
    await root.commit();
    expect([nested.state, innermost.state]).toEqual(['cancelled', 'cancelled']);
    expect(await failureOf(innermost.commit())).toBeInstanceOf(TransactionEndedError);
    await innermost.rollback();
    expect(await items.names()).toEqual(['inside']);
  });

  it('that ends first ends the one inside it', async () => {
    engine = items.engine();
    await using connection = await engine.connect();
    await connection.begin(async () => {
      await connection.execute(insert('root'));
      const outer = await connection.beginNested();
      await connection.execute(insert('outer'));
      const inner = await connection.beginNested();
      await connection.execute(insert('inner'));
      await outer.rollback();
      expect([outer.state, inner.state]).toEqual(['rolled-back', 'cancelled']);
      await connection.execute(insert('after'));
    });
    expect(await items.names()).toEqual(['after', 'root']);
  });

  it('whose statement failed and was swallowed says so at its commit, and the outer one goes on', async () => {
    engine = items.engine();
    await engine.transaction(async () => {
      await engine.execute(insert('one'));
      let first: unknown;
      const thrown = await failureOf(
        engine.transaction(async () => {
          await engine.execute(insert('undone'));
          first = await failureOf(engine.execute(insert('one')));
        }),
      );
      expect(thrown).toBeInstanceOf(UnexpectedRollbackError);
      expect((thrown as Error).cause).toBe(first);
      await engine.execute(insert('two'));
    });
    expect(await items.names()).toEqual(['one', 'two']);
  });

  it('begun by a handle has the ambient ones inside it', async () => {
    engine = items.engine({ nestedWaitTimeout: 500 });
    await engine.transaction(async () => {
      const handle = await engine.currentConnection().beginNested();
      await engine.execute(insert('in the handle'));
      await engine.transaction(() => engine.execute(insert('inside it')));
      await handle.rollback();
      await engine.execute(insert('after'));
    });
    expect(await items.names()).toEqual(['after']);
  });

  it('survives the failure of the savepoint before it', async () => {
    engine = items.engine();
    await engine.transaction(async () => {
      await engine.transaction(() => engine.execute(insert('released')));
      await failureOf(engine.transaction(() => engine.execute(insert('released'))));
      await engine.transaction(() => engine.execute(insert('after')));
    });
    expect(await items.names()).toEqual(['after', 'released']);
  });
});
