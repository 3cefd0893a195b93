import {
  CommitOutcomeUnknownError,
  createAsyncEngine,
  InternalError,
  isTransient,
  NotSupportedError,
  SerializationFailureError,
  sql,
  text,
  UnexpectedRollbackError,
  UniqueViolationError,
  type AsyncEngine,
  type AsyncEngineOptions,
} from 'nest-async-engine/engine';
import { describe, expect, it, onTestFinished } from 'vitest';
import { failureOf, MemoryLogger } from '../../../support/items.js';
import { startFakeDatabase, type Dialect } from '../../../support/server/fake-database.js';

/** An engine of one session on a server that answers as `dialect` says. */
async function meet(dialect: Dialect, options: AsyncEngineOptions = {}) {
  const server = await startFakeDatabase(dialect);
  const logger = new MemoryLogger();
  const engine: AsyncEngine = createAsyncEngine(server.url, {
    poolSize: 1,
    maxOverflow: 0,
    logger,
    ...options,
  });
  onTestFinished(async () => {
    expect(engine.pool.checkedOut()).toBe(0);
    await engine.aclose();
    await server[Symbol.asyncDispose]();
  });
  return { server, engine, logger };
}

const isQuestion = (statement: string): boolean => statement.includes('isDistributed');
const asked =
  (isDistributed: boolean): Dialect =>
  (statement) =>
    isQuestion(statement) ? { tag: 'SELECT 1', rows: { isDistributed: [isDistributed] } } : undefined;
/** What `first` does not answer is answered by `then`. */
const either =
  (first: Dialect, then: Dialect): Dialect =>
  (statement, session) =>
    first(statement, session) ?? then(statement, session);

const insert = text('INSERT INTO item (name) VALUES (:name)');
const update = text('UPDATE item SET name = :name');
const sets = (count: number) => Array.from({ length: count }, (_, index) => ({ name: `n${index}` }));

describe('a list of rows for Citus', () => {
  const returning: Dialect = (statement) =>
    statement.includes('RETURNING') ? { tag: 'INSERT 0 1', rows: { name: ['x'] } } : undefined;
  const listOf = async (count: number, tail = '', options: AsyncEngineOptions = {}, isCitus = true) => {
    const { server, engine } = await meet(either(asked(isCitus), returning), options);
    await engine.execute(text(`INSERT INTO item (name) VALUES (:name) ${tail}`), sets(count));
    const inserts = server.statements.filter((statement) => statement.startsWith('INSERT'));
    return {
      inserts: inserts.length,
      arrays: inserts.filter((each) => each.includes('unnest')).length,
      server,
    };
  };

  it.each([
    [10, '', 10, 0],
    [49, '', 49, 0],
    [50, '', 1, 1],
    [60, 'RETURNING name', 60, 0],
  ])('%i rows %s are %i statements', async (count, tail, inserts, arrays) => {
    expect(await listOf(count, tail)).toMatchObject({ inserts, arrays });
  });

  it('goes row by row in one flight, between BEGIN and COMMIT', async () => {
    const { server } = await listOf(3, 'RETURNING name');
    const [question, ...flight] = server.statements;
    expect(question).toContain('citus');
    expect(flight.map((statement) => statement.split(' ')[0])).toEqual([
      'BEGIN',
      'INSERT',
      'INSERT',
      'INSERT',
      'COMMIT',
    ]);
    // The question about types, and the flight.
    expect(server.syncs).toBe(2);
  });

  it.each([
    [{}, false, 1],
    [{ executemany: 'arrays' as const }, true, 1],
    [{ executemany: 'rows' as const }, false, 10],
  ])('%o on a server that is distributed (%s): %i statements', async (options, isCitus, inserts) => {
    expect(await listOf(10, '', options, isCitus)).toMatchObject({ inserts });
  });

  it('asks once in a session, and not where the answer decides nothing', async () => {
    const { server, engine } = await meet(asked(true));
    await engine.execute(insert, sets(100));
    expect(server.statements.filter(isQuestion)).toEqual([]);
    for (const table of ['a', 'b'])
      await engine.execute(text(`INSERT INTO ${table} (name) VALUES (:name)`), sets(2));
    expect(server.statements.filter(isQuestion)).toHaveLength(1);
  });
});

describe('COMMIT that a coordinator answers', () => {
  const internal = { C: 'XX000', M: 'failure on connection marked as essential: w1:5432' };
  const refusing =
    (warnings: readonly Record<string, string>[], runs = Infinity): Dialect =>
    (statement) => {
      if (statement !== 'COMMIT' || runs <= 0) return undefined;
      runs -= 1;
      return { error: internal, warnings };
    };

  it.each([
    [{ C: '40001', M: 'could not serialize access' }, SerializationFailureError],
    [{ C: '23505', M: 'duplicate key value violates unique constraint "item_pkey"' }, UniqueViolationError],
  ])('with an internal error is what its warning says: %o', async (warning, type) => {
    const { engine } = await meet(refusing([{ C: '01000', M: 'on w1' }, warning]));
    const failure = await failureOf(engine.transaction(() => engine.execute(insert, { name: 'a' })));
    expect(failure).toBeInstanceOf(type);
    expect(failure).toMatchObject({ sqlState: warning.C, cause: { code: 'XX000' } });
    const list = engine.execute(update, sets(2));
    expect(await failureOf(list)).toBeInstanceOf(type);
  });

  it('so can be retried', async () => {
    const { server, engine } = await meet(refusing([{ C: '40001', M: 'could not serialize access' }], 1));
    await engine.transaction(() => engine.execute(insert, { name: 'a' }), { retry: 1 });
    expect(server.statements.filter((statement) => statement === 'COMMIT')).toHaveLength(2);
  });

  it('with an internal error alone has an outcome that nothing tells', async () => {
    const { engine } = await meet(either(asked(true), refusing([])));
    let runs = 0;
    const work = async (): Promise<void> => {
      runs += 1;
      await engine.execute(insert, { name: 'a' });
    };
    const failure = await failureOf(engine.transaction(work, { retry: 3 }));
    expect(failure).toBeInstanceOf(CommitOutcomeUnknownError);
    expect(String(failure)).toContain('a coordinator answered');
    expect(runs).toBe(1);
    expect(await failureOf(engine.execute(update, sets(2)))).toBeInstanceOf(CommitOutcomeUnknownError);
  });

  it('with an internal error stored nothing on a server that is not distributed', async () => {
    const { engine } = await meet(either(asked(false), refusing([])));
    const failure = await failureOf(engine.transaction(() => engine.execute(insert, { name: 'a' })));
    expect(failure).toBeInstanceOf(InternalError);
    // The session is told so by the first list.
    await engine.execute(insert, sets(2));
    expect(await failureOf(engine.execute(update, sets(2)))).toBeInstanceOf(InternalError);
    expect(engine.pool.checkedIn()).toBe(1);
  });

  it.each(['40003', '08007'])(
    'with %s has an outcome that nothing tells, also where one server says so',
    async (C) => {
      const { engine } = await meet(
        either(asked(false), (statement) =>
          statement === 'COMMIT' ? { error: { C, M: 'result is ambiguous' } } : undefined,
        ),
      );
      let runs = 0;
      const work = async (): Promise<void> => {
        runs += 1;
        await engine.execute(insert, { name: 'a' });
      };
      const retry = { retries: 3, retryOn: isTransient };
      expect(await failureOf(engine.transaction(work, { retry }))).toBeInstanceOf(CommitOutcomeUnknownError);
      expect(runs).toBe(1);
      await engine.execute(insert, sets(1));
      expect(await failureOf(engine.execute(update, sets(2)))).toBeInstanceOf(CommitOutcomeUnknownError);
    },
  );

  it('with the loss of another server is that error, which isTransient does not take for a lost connection', async () => {
    const { engine } = await meet((statement) =>
      statement.startsWith('UPDATE')
        ? { error: { C: '08006', M: 'connection to the remote node w1:5432 failed' } }
        : undefined,
    );
    const failure = await failureOf(engine.execute(sql`UPDATE item SET name = 'b'`));
    expect(failure).toMatchObject({ sqlState: '08006', connectionInvalidated: false });
    expect(isTransient(failure)).toBe(false);
    expect(engine.pool.checkedIn()).toBe(1);
  });

  it('with a warning is logged once, with the label of its transaction', async () => {
    const warning = { C: '01000', M: 'could not commit on w1' };
    const { engine, logger } = await meet((statement) =>
      statement === 'COMMIT' ? { tag: 'COMMIT', warnings: [warning, warning] } : undefined,
    );
    await engine.transaction(() => engine.execute(insert, { name: 'a' }), { label: 'transfer' });
    expect(logger.warnings).toHaveLength(1);
    expect(logger.warnings[0]).toMatch(/transfer .*could not commit on w1 \(01000\)/);
  });
});

describe('a list with a COMMIT of its own that comes with a warning', () => {
  const warning = { C: '01000', M: 'could not commit on w1' };
  const warned = either(asked(true), (statement) =>
    statement === 'COMMIT' ? { tag: 'COMMIT', warnings: [warning] } : undefined,
  );

  it.each([
    ['an executemany', (engine: AsyncEngine) => engine.execute(update, sets(3))],
    [
      'a batch',
      (engine: AsyncEngine) => engine.batch([sql`DELETE FROM item`, sql`UPDATE item SET name = 'b'`]),
    ],
    ['an executemany of many pages', (engine: AsyncEngine) => engine.execute(update, sets(2500))],
  ])('is logged once: %s', async (_, send) => {
    const { engine, logger } = await meet(warned);
    await send(engine);
    expect(logger.warnings.filter((line) => line.includes('could not commit on w1 (01000)'))).toHaveLength(1);
  });
});

describe('Aurora DSQL', () => {
  const dsql: Dialect = (statement) =>
    statement.startsWith('SAVEPOINT')
      ? { error: { C: '0A000', M: 'unsupported statement: Savepoint' } }
      : undefined;

  it('refuses a savepoint, which says what to do, ends the outer transaction and stays its cause', async () => {
    const { engine, server } = await meet(dsql);
    let refusal: unknown;
    let later: unknown;
    const outer = engine.transaction(async () => {
      await engine.execute(insert, { name: 'a' });
      refusal = await failureOf(engine.transaction(() => engine.execute(insert, { name: 'b' })));
      later = await failureOf(engine.execute(insert, { name: 'c' }));
    });
    expect(await failureOf(outer)).toBeInstanceOf(UnexpectedRollbackError);
    expect(refusal).toBeInstanceOf(NotSupportedError);
    expect(String(refusal)).toContain("transactional: { propagation: 'required' }");
    expect(later).toMatchObject({ cause: refusal });
    expect(await failureOf(outer)).toMatchObject({ cause: refusal });
    expect(server.statements.at(-1)).toBe('COMMIT');
  });

  it('does with joined transactions', async () => {
    const { engine, server } = await meet(dsql, { transactional: { propagation: 'required' } });
    await engine.transaction(() => engine.transaction(() => engine.execute(insert, { name: 'a' })));
    expect(server.statements.map((statement) => statement.split(' ')[0])).toEqual([
      'BEGIN',
      'INSERT',
      'COMMIT',
    ]);
  });

  it.each(['OC000', 'OC001'])('says %s for a conflict, which retry runs again', async (state) => {
    let conflicts = 1;
    const { engine } = await meet((statement) => {
      if (statement !== 'COMMIT' || conflicts === 0) return undefined;
      conflicts -= 1;
      return { error: { C: state, M: 'change conflicts with another transaction, please retry' } };
    });
    const work = () => engine.transaction(() => engine.execute(insert, { name: 'a' }), { retry: 1 });
    await work();
    conflicts = 2;
    expect(await failureOf(work())).toBeInstanceOf(SerializationFailureError);
  });
});

describe('CockroachDB', () => {
  const message = 'unimplemented: multiple active portals not supported';
  const cockroach: Dialect = (statement, { suspended }) => {
    if (suspended.size > 0 && /^(?:INSERT|SELECT 1)/.test(statement))
      return { error: { C: '0A000', M: message } };
    const n = Array.from({ length: 5 }, (_, index) => String(index));
    return statement.startsWith('SELECT n') ? { tag: 'SELECT 5', rows: { n } } : undefined;
  };

  it('has one active portal: a statement between two fetches says what to do', async () => {
    const { engine } = await meet(cockroach);
    const work = engine.transaction(async () => {
      for await (const row of engine.stream(sql`SELECT n`, undefined, { yieldPer: 2 })) {
        await engine.execute(insert, { name: String(row['n']) });
      }
    });
    const failure = await failureOf(work);
    expect(String(failure)).toContain('multiple_active_portals_enabled');
  });

  it('runs a stream whose loop has no statements', async () => {
    const { engine } = await meet(cockroach);
    const rows: unknown[] = [];
    for await (const { n } of engine.stream(sql`SELECT n`, undefined, { yieldPer: 2 })) rows.push(n);
    expect(rows).toEqual(['0', '1', '2', '3', '4']);
  });

  it('refuses ROLLBACK TO behind a 40001: the outer transaction fails with that, and can be retried', async () => {
    let conflicts = 1;
    const { engine, logger } = await meet((statement, session) => {
      if (statement.startsWith('ROLLBACK TO') && session.status === 'E')
        return { error: { C: '40001', M: 'restart transaction' } };
      if (!statement.startsWith('UPDATE') || conflicts === 0) return undefined;
      conflicts -= 1;
      return { error: { C: '40001', M: 'restart transaction: TransactionRetryWithProtoRefreshError' } };
    });
    let runs = 0;
    const work = async (): Promise<void> => {
      runs += 1;
      await engine.execute(insert, { name: 'a' });
      await engine.transaction(() => engine.execute(sql`UPDATE item SET name = 'b'`)).catch(() => undefined);
      await engine.execute(insert, { name: 'c' });
    };
    await engine.transaction(work, { retry: 1 });
    expect(runs).toBe(2);
    // The session was good enough for both.
    expect(engine.pool.checkedIn()).toBe(1);
    expect(logger.errors).toEqual([]);
  });
});

describe('ProxySQL', () => {
  /** Takes a flight apart, and knows no transaction that is not begun by a statement. */
  const proxysql: Dialect = (statement, session) => {
    session.isTakenApart = true;
    return statement.includes('wrong') ? { error: { C: '23505', M: 'duplicate key value' } } : undefined;
  };

  it('has BEGIN and COMMIT in the flight of a list and of settings', async () => {
    const { engine, server } = await meet(proxysql, { pgbouncer: true });
    await engine.execute(update, sets(2));
    await engine.executionOptions({ settings: { 'app.tenant': 'red' } }).execute(sql`SELECT 1`);
    const words = server.statements.map((statement) => statement.split(' ')[0]);
    expect(words).toEqual(['BEGIN', 'UPDATE', 'UPDATE', 'COMMIT', 'BEGIN', 'SELECT', 'SELECT', 'COMMIT']);
    expect(server.syncs).toBe(2);
  });

  it('commits nothing of a list that has failed, and its session is given up', async () => {
    const { engine, server } = await meet(proxysql, { pgbouncer: true });
    const wrong = text('UPDATE item SET name = :name WHERE wrong');
    const failure = await failureOf(engine.execute(wrong, sets(2)));
    expect(failure).toBeInstanceOf(InternalError);
    expect(failure).toMatchObject({ connectionInvalidated: true, cause: { cause: { code: '23505' } } });
    expect(String(failure)).toContain('behind one that had failed (current transaction is aborted)');
    // In the transaction that had failed: its answer was ROLLBACK.
    expect(server.statements.at(-1)).toBe('COMMIT');
    expect(await engine.execute(update, sets(2))).toMatchObject({ rowCount: 0 });
  });
});

describe('RDS Proxy', () => {
  it('is sent nothing that pins a session: no name, no SET, no option of the start', async () => {
    const { engine, server } = await meet(() => undefined, { pgbouncer: true, applicationName: 'shop' });
    await engine.transaction(() => engine.execute(insert, { name: 'a' }), {
      settings: { 'app.tenant': 'red' },
    });
    await engine.execute(insert, { name: 'b' });
    const heard = Buffer.concat(server.heard).toString('latin1');
    expect(heard).toContain('application_name\0shop');
    expect(heard).not.toMatch(/nae_|options\0/);
    expect(
      server.statements.filter((statement) => /^(?:SET|RESET|DISCARD|DEALLOCATE)/.test(statement)),
    ).toEqual([]);
  });
});

describe('YugabyteDB', () => {
  it("can't be asked how a COMMIT ended, and says so once", async () => {
    const { engine, logger } = await meet(asked(true), { commitOutcome: 'resolve' });
    await engine.transaction(() => engine.execute(insert, { name: 'a' }));
    expect(logger.warnings).toHaveLength(1);
    expect(logger.warnings[0]).toContain('spread over several servers');
  });
});
