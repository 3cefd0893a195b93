import 'reflect-metadata';
import { Injectable } from '@nestjs/common';
import { Test, type TestingModule } from '@nestjs/testing';
import pg from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createAsyncEngine, sql, type AsyncEngine } from 'nest-async-engine/engine';
import { AsyncEngine as Engine, Transactional } from 'nest-async-engine';
import { asPool } from 'nest-async-engine/pg';
import { createTestDatabase } from 'nest-async-engine/testing';

/** A tool that was given a pool of the engine. */
export interface Tool {
  /** Stores a name; in a transaction of the tool's own, where it has them. */
  store(name: string): Promise<unknown>;
  /** Stores it in such a transaction and undoes that; absent where the tool has none. */
  undo?(name: string): Promise<unknown>;
  /** The names that are stored, as the tool sees them or the database. Default: the table `item`. */
  names?(): Promise<string[]>;
  close?(): Promise<unknown>;
}

/** What a tool is opened over. */
export interface Parts {
  readonly engine: AsyncEngine;
  readonly pool: pg.Pool;
  readonly url: string;
}

export const CALLERS = 300;

@Injectable()
class Unit {
  @Transactional()
  async run<T>(work: () => Promise<T>): Promise<T> {
    return await work();
  }
}

/** What each tool shows: it is a part of our transactions, real outside of them, and leaves nothing behind. */
export function describeTool(name: string, open: (parts: Parts) => Promise<Tool>, callers = CALLERS): void {
  describe(name, () => {
    let drop: () => Promise<void>;
    let parts: Parts;
    let tool: Tool;
    let app: TestingModule;
    let unit: Unit;
    /** A session that the engine knows nothing of. */
    let witness: pg.Client;
    beforeAll(async () => {
      const database = await createTestDatabase();
      drop = database.drop;
      const engine = createAsyncEngine(database.url, { poolSize: 5, maxOverflow: 0, poolMaxWaiting: 2_000 });
      parts = { engine, pool: asPool(engine), url: database.url };
      await engine.execute(sql`CREATE TABLE item (id serial PRIMARY KEY, name text NOT NULL UNIQUE)`);
      witness = new pg.Client(database.url);
      await witness.connect();
      tool = await open(parts);
      app = await Test.createTestingModule({
        providers: [Unit, { provide: Engine, useValue: engine }],
      }).compile();
      unit = app.get(Unit);
    });
    beforeEach(async () => {
      for (const stored of await names()) await forget(stored);
    });
    afterAll(async () => {
      await tool?.close?.();
      await app?.close();
      await witness?.end();
      await parts?.engine.aclose();
      await drop?.();
    });

    const table = async (): Promise<string[]> =>
      (await witness.query('SELECT name FROM item ORDER BY name')).rows.map((row) => row.name);
    const names = async (): Promise<string[]> => (await (tool.names ?? table)()).sort();
    const forget = async (stored: string): Promise<unknown> =>
      tool.names === undefined
        ? await witness.query('DELETE FROM item WHERE name = $1', [stored])
        : undefined;
    const nothingIsLeft = async (): Promise<void> => {
      expect(parts.engine.pool.checkedOut()).toBe(0);
      const { rows } = await witness.query(
        "SELECT query FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in%'",
      );
      expect(rows).toEqual([]);
    };

    it('is undone with our transaction', async () => {
      const before = await names();
      const work = unit.run(async () => {
        await tool.store('undone 1');
        await tool.store('undone 2');
        throw new RangeError('mine');
      });
      await expect(work).rejects.toThrow('mine');
      expect(await names()).toEqual(before);
      await nothingIsLeft();
    });

    it('is committed with our transaction, and not before', async () => {
      const before = await names();
      await unit.run(async () => {
        await tool.store('kept 1');
        await tool.undo?.('undone 3');
        if (tool.names === undefined) expect(await table()).toEqual(before);
      });
      expect(await names()).toEqual([...before, 'kept 1'].sort());
      await nothingIsLeft();
    });

    it('works on the pool outside', async () => {
      const before = await names();
      await tool.store('outside 1');
      await tool.undo?.('undone 4');
      expect(await names()).toEqual([...before, 'outside 1'].sort());
      await nothingIsLeft();
    });

    it(`leaves nothing behind and mixes nothing with ${callers} callers`, async () => {
      const before = await names();
      const work = async (index: number): Promise<string[]> => {
        const own = `caller ${String(index).padStart(3, '0')}`;
        if (index % 4 === 0) {
          await tool.store(own);
          return [own];
        }
        const isUndone = index % 4 === 1;
        await unit
          .run(async () => {
            await tool.store(own);
            if (index % 4 === 2) await tool.undo?.(`undone ${index}`);
            if (isUndone) throw new RangeError('mine');
          })
          .catch((error: unknown) => {
            if (!(error instanceof RangeError)) throw error;
          });
        return isUndone ? [] : [own];
      };
      const kept = (await Promise.all(Array.from({ length: callers }, (_, index) => work(index)))).flat();
      expect(await names()).toEqual([...before, ...kept].sort());
      await nothingIsLeft();
    });
  });
}

/** A transaction of a tool that is to be undone ends with this. */
export class Undone extends Error {}

/** Runs `work`, which throws it. */
export async function undone(work: (undo: () => never) => Promise<unknown>): Promise<void> {
  const undo = (): never => {
    throw new Undone();
  };
  await work(undo).catch((error: unknown) => {
    if (!(error instanceof Undone)) throw error;
  });
}
