import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import {
  UnexpectedRollbackError,
  ArgumentError,
  AsyncConnection,
  DBAPIError,
  IllegalStateError,
  InterfaceError,
  InternalError,
  NotStartedError,
  ResourceClosedError,
  text,
  UniqueViolationError,
} from 'nest-async-engine/engine';
import type { DriverCallback, DriverClient, DriverQuery, EngineLogger } from 'nest-async-engine/engine';
import { eventually } from '../../support/process/barrier.js';
import { failureOf, insert, MemoryLogger, outcomeOf, ItemDatabase } from '../../support/items.js';

const ADD_ONE = "INSERT INTO item (name) VALUES ('one')";
const ADD_TWO = "INSERT INTO item (name) VALUES ('two')";

describe('connection.run', () => {
  let items: ItemDatabase;

  /** Runs `work` on a connection of its own and commits. */
  const run = async <T>(
    work: (client: DriverClient) => Promise<T>,
    options: { readonly logger?: EngineLogger; readonly isolationLevel?: 'AUTOCOMMIT' } = {},
  ): Promise<T> =>
    await items.engine(options).connect(async (connection) => {
      const result = await connection.run(work);
      await connection.commit();
      return result;
    });

  beforeAll(async () => {
    items = await ItemDatabase.open('run');
  });
  afterEach(() => items.expectClean());
  afterAll(() => items.close());

  describe('AE-112', () => {
    it('hands on its arguments and gives what the function returns', async () => {
      const result = await items
        .engine()
        .connect((connection) =>
          connection.run(async (_client, left: number, right: number) => left + right, 1, 2),
        );
      expect(result).toBe(3);
    });

    it("lets the function's error pass", async () => {
      const error = new RangeError('mine');
      await expect(run(() => Promise.reject(error))).rejects.toBe(error);
    });

    it('is refused on a connection that was not started', async () => {
      const connection = new AsyncConnection(items.engine());
      expect(await outcomeOf(connection.run(async () => 1))).toBe(NotStartedError);
    });
  });

  describe('a query', () => {
    it("answers in the shape of pg's results", async () => {
      const result = await run((client) => client.query('SELECT $1::int4 AS a, $2::text AS b', [1, 'x']));
      expect(result).toEqual({
        command: 'SELECT',
        rowCount: 1,
        rows: [{ a: 1, b: 'x' }],
        fields: [
          { name: 'a', dataTypeID: 23 },
          { name: 'b', dataTypeID: 25 },
        ],
      });
    });

    it('takes a config, and rows as arrays', async () => {
      const query: DriverQuery = { text: 'SELECT $1::int4 AS a, 2 AS b', values: [1], rowMode: 'array' };
      expect((await run((client) => client.query(query))).rows).toEqual([[1, 2]]);
    });

    it('gives the last of two columns with one name', async () => {
      expect((await run((client) => client.query('SELECT 1 AS a, 2 AS a'))).rows).toEqual([{ a: 2 }]);
    });

    it('begins the transaction of the connection and leaves it to the caller', async () => {
      await items.engine().connect(async (connection) => {
        await connection.run((client) => client.query(ADD_ONE));
        expect(connection.inTransaction()).toBe(true);
        await connection.rollback();
      });
      expect(await items.names()).toEqual([]);
    });

    it('runs in the transaction in progress', async () => {
      const seen = await items.engine().begin(async (connection) => {
        await connection.execute(insert('one'));
        return await connection.run((client) => client.query('SELECT name FROM item'));
      });
      expect(seen.rows).toEqual([{ name: 'one' }]);
    });

    it.each([
      ['parsers', { text: ADD_ONE, types: {} } as DriverQuery],
      ['a cursor', { text: ADD_ONE, submit: () => 1 } as DriverQuery],
      ['no text', {} as DriverQuery],
      ['nothing', undefined as unknown as DriverQuery],
    ])('with %s is refused by a throw, also where no promise is awaited', async (_, query) => {
      const work = async (client: DriverClient): Promise<void> => {
        void client.query(query);
      };
      expect(await outcomeOf(run(work))).toBe(ArgumentError);
    });

    it('reads the fields of a class that are getters', async () => {
      class Statement {
        readonly values = [1];
        get text(): string {
          return 'SELECT $1::int AS one';
        }
        get rowMode(): string {
          return 'array';
        }
      }
      const { rows } = await run((client) => client.query(new Statement()));
      expect(rows).toEqual([[1]]);
    });

    it.each<[string, (client: DriverClient, done: DriverCallback) => void]>([
      ['a text', (client, done) => client.query('SELECT 1 AS one', done)],
      ['a text and values', (client, done) => client.query('SELECT $1::int AS one', [1], done)],
      ['an object', (client, done) => client.query({ text: 'SELECT 1 AS one' }, done)],
    ])('answers %s to a callback', async (_, ask) => {
      const rows = await run(
        (client) =>
          new Promise((resolve, reject) =>
            ask(client, (error, result) => (error === null ? resolve(result?.rows) : reject(error))),
          ),
      );
      expect(rows).toEqual([{ one: 1 }]);
    });

    it('tells a callback of the failure', async () => {
      const error = await run(
        (client) => new Promise((resolve) => client.query('SELECT nothing', (failure) => resolve(failure))),
        { isolationLevel: 'AUTOCOMMIT' },
      );
      expect(error).toBeInstanceOf(DBAPIError);
    });

    it('after the function has ended is refused', async () => {
      const client = await run(async (lent) => lent);
      expect(await outcomeOf(client.query('SELECT 1'))).toBe(ResourceClosedError);
    });
  });

  describe('BEGIN, COMMIT and ROLLBACK', () => {
    it('are a nested transaction that the caller commits', async () => {
      await items.engine().connect(async (connection) => {
        await connection.run(async (client) => {
          await client.query('BEGIN;');
          expect(connection.inNestedTransaction()).toBe(true);
          await client.query(ADD_ONE);
          await client.query('COMMIT;');
        });
        expect([connection.inNestedTransaction(), await items.names()]).toEqual([false, []]);
        await connection.commit();
      });
      expect(await items.names()).toEqual(['one']);
    });

    it('undo what stands between BEGIN and ROLLBACK, and nothing else', async () => {
      await run(async (client) => {
        await client.query(ADD_ONE);
        await client.query('start transaction');
        await client.query(ADD_TWO);
        await client.query('/* all of it */ rollback work -- please');
      });
      expect(await items.names()).toEqual(['one']);
    });

    it('keep the order of calls that nobody awaits', async () => {
      await run(async (client) => {
        await Promise.all(['BEGIN', ADD_ONE, 'ROLLBACK', ADD_TWO].map((sql) => client.query(sql)));
      });
      expect(await items.names()).toEqual(['two']);
    });

    it('let a tool clean up after a failed statement', async () => {
      await run(async (client) => {
        await client.query(ADD_ONE);
        await client.query('BEGIN');
        expect(await outcomeOf(client.query(ADD_ONE))).toBe(UniqueViolationError);
        expect(await outcomeOf(client.query('COMMIT'))).toBe(UnexpectedRollbackError);
        await client.query('ROLLBACK');
      });
      expect(await items.names()).toEqual(['one']);
    });

    it('are the transaction itself where each statement commits itself', async () => {
      await run(
        async (client) => {
          await client.query('BEGIN');
          await client.query(ADD_ONE);
          await client.query('ROLLBACK');
          await client.query('BEGIN');
          await client.query(ADD_TWO);
          await client.query('COMMIT');
          expect(await items.names()).toEqual(['two']);
        },
        { isolationLevel: 'AUTOCOMMIT' },
      );
    });

    it('that leave a BEGIN open are rolled back and refused', async () => {
      const outcome = await outcomeOf(run((client) => client.query(`BEGIN; ${ADD_ONE}`)));
      expect([outcome, await items.names()]).toEqual([IllegalStateError, []]);
    });

    it('that are left open by an error do not hide it', async () => {
      const logger = new MemoryLogger();
      const work = async (client: DriverClient): Promise<void> => {
        await client.query('BEGIN');
        await client.query(ADD_ONE);
        throw new RangeError('mine');
      };
      await items.engine({ logger }).connect(async (connection) => {
        await expect(connection.run(work)).rejects.toThrow('mine');
        await connection.commit();
      });
      expect([logger.errors, await items.names()]).toEqual([[], []]);
    });

    it.each([
      'COMMIT',
      'ROLLBACK',
      'SAVEPOINT a',
      'RELEASE a',
      'ROLLBACK TO SAVEPOINT a',
      'BEGIN ISOLATION LEVEL SERIALIZABLE',
      'COMMIT AND CHAIN',
      "PREPARE TRANSACTION 'a'",
      `${ADD_ONE}; COMMIT`,
    ])('do not come as %s', async (sql) => {
      expect(await outcomeOf(run((client) => client.query(sql)))).toBe(IllegalStateError);
    });
  });

  describe('a text with several statements', () => {
    it('runs as a whole and answers with an array', async () => {
      const results = await run((client) => client.query(`${ADD_ONE}; ${ADD_TWO}; SELECT 'a;b' AS c;`));
      expect(results).toMatchObject([
        { command: 'INSERT', rowCount: 1 },
        { command: 'INSERT', rowCount: 1 },
        { command: 'SELECT', rows: [{ c: 'a;b' }] },
      ]);
      expect(await items.names()).toEqual(['one', 'two']);
    });

    it('belongs to the transaction', async () => {
      await items.engine().connect(async (connection) => {
        await connection.run((client) => client.query(`${ADD_ONE}; ${ADD_TWO}`));
        await connection.rollback();
      });
      expect(await items.names()).toEqual([]);
    });

    it('may hold pairs of BEGIN and COMMIT', async () => {
      await items.engine().connect(async (connection) => {
        await connection.run((client) =>
          client.query(`BEGIN; ${ADD_ONE}; ROLLBACK; BEGIN; ${ADD_TWO}; SELECT 1; COMMIT;`),
        );
        expect(await items.names()).toEqual([]);
        await connection.commit();
      });
      expect(await items.names()).toEqual(['two']);
    });

    it('follows a nested transaction whose RELEASE was put off', async () => {
      await items.engine().begin(async (connection) => {
        await connection.beginNested(async () => void (await connection.execute(insert('zero'))));
        await connection.run((client) => client.query(`${ADD_ONE}; ${ADD_TWO}`));
      });
      expect(await items.names()).toEqual(['one', 'two', 'zero']);
    });

    it('takes semicolons and words in the bodies of routines for what they are', async () => {
      const results = await run((client) =>
        client.query(`
          CREATE FUNCTION pg_temp.a() RETURNS int LANGUAGE plpgsql AS $body$ BEGIN RETURN 1; END; $body$;
          CREATE OR REPLACE FUNCTION pg_temp.b() RETURNS int BEGIN ATOMIC
            SELECT CASE WHEN true THEN 1 END; SELECT 2; END;
          -- COMMIT; /* ; */
          /* ROLLBACK; /* nested; */ ; */ SELECT pg_temp.a() + pg_temp.b() AS "c;", E'\\';' AS d`),
      );
      expect(results).toMatchObject([{}, {}, { rows: [{ 'c;': 3, d: "';" }] }]);
    });

    it('that carries a RELEASE stays outside of the savepoint that is called after it', async () => {
      const engine = items.engine();
      const undone = async (): Promise<void> => {
        await engine.execute(insert('zero'));
        throw new RangeError('mine');
      };
      await engine.transaction(async () => {
        const connection = engine.currentConnection();
        for (let round = 0; round < 20; round += 1) {
          await engine.transaction(() => engine.execute(text('SELECT 1')));
          const script = `SELECT 1; INSERT INTO item (name) VALUES ('n${round}')`;
          const running = connection.run((client) => client.query(script));
          for (let turn = 0; turn < round; turn += 1) await Promise.resolve();
          await Promise.all([running, failureOf(engine.transaction(undone))]);
        }
      });
      expect(await items.names()).toHaveLength(20);
    });

    it('fails with the error of its statement, and the connection goes on', async () => {
      await items.engine().connect(async (connection) => {
        const outcome = await outcomeOf(
          connection.run((client) => client.query(`${ADD_ONE}; ${ADD_ONE}; ${ADD_TWO}`)),
        );
        await connection.rollback();
        await connection.execute(insert('after'));
        await connection.commit();
        expect(outcome).toBe(UniqueViolationError);
      });
      expect(await items.names()).toEqual(['after']);
    });

    it('is not sent where the BEGIN in front of it is refused', async () => {
      const engine = items.engine({ executionOptions: { settings: { lock_timeout: 'nonsense' } } });
      await engine.connect(async (connection) => {
        const failure = await failureOf(connection.run((client) => client.query(`${ADD_ONE}; ${ADD_TWO}`)));
        expect(failure).toBeInstanceOf(DBAPIError);
      });
      expect(await items.names()).toEqual([]);
    });

    it('that copies is refused, and what waits behind it gets its own answer', async () => {
      const { database } = items;
      await database.query('SELECT pg_advisory_lock(1)');
      await items.engine().connect(async (connection) => {
        await connection.execute(insert('one'));
        const script = 'SELECT pg_advisory_xact_lock(1); COPY item FROM STDIN; SELECT 2';
        const copy = outcomeOf(connection.run((client) => client.query(script)));
        await eventually(async () => {
          expect((await database.sessions()).map((session) => session.wait_event_type)).toEqual(['Lock']);
        });
        const behind = outcomeOf(connection.execute(insert('two')));
        await database.query('SELECT pg_advisory_unlock(1)');
        const outcomes = await Promise.all([copy, behind]);
        await connection.rollback();
        await connection.execute(insert('after'));
        await connection.commit();
        expect(outcomes).toEqual([InterfaceError, InternalError]);
      });
      expect(await items.names()).toEqual(['after']);
    });
  });
});
