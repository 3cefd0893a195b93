import { firstValueFrom } from 'rxjs';
import {
  ArgumentError,
  type AsyncEngineOptions,
  createAsyncEngine,
  createAsyncPoolFromUrl,
  NoSuchDriverError,
  NotSupportedError,
  QueuePool,
} from 'nest-async-engine/engine';
import { fromChannel } from 'nest-async-engine/rx';
import { describe, expect, it } from 'vitest';
import { PgliteDatabase } from '../../../../lib/engine/driver/pglite/pglite-database.js';

const MEMORY = 'postgresql+pglite://';

function refusalOf(work: () => unknown): unknown {
  try {
    work();
  } catch (error) {
    return error;
  }
  return undefined;
}

describe('an engine on PGlite, when it is made,', () => {
  it.each<[AsyncEngineOptions, string]>([
    [{ poolSize: 2 }, "'poolSize' must be 1 with the driver pglite"],
    [{ poolSize: 0 }, 'got 0'],
    [{ maxOverflow: 1 }, "'maxOverflow' must be 0"],
    [{ statementTimeout: 1 }, 'statement_timeout has no effect'],
    [{ idleInTransactionTimeout: 1 }, 'idle_in_transaction_session_timeout has no effect'],
    [{ settings: { statement_timeout: '1' } }, 'statement_timeout has no effect'],
    [{ connectArgs: { dataDir: 'x' } }, 'connectArgs.dataDir'],
    [{ password: 'x' }, 'a password'],
  ])('refuses %o', (options, message) => {
    const refusal = refusalOf(() => createAsyncEngine(MEMORY, options));
    expect(refusal).toBeInstanceOf(ArgumentError);
    expect(String(refusal)).toContain(message);
  });

  it.each([
    ['postgresql+pglite://host/data', 'a host'],
    ['postgresql+pglite://h1,h2/data', 'a host'],
    ['postgresql+pglite://:5432/data', 'a port'],
    ['postgresql+pglite://user@/data', 'a user'],
    ['postgresql+pglite:///data?sslmode=require', "'sslmode'"],
  ])('refuses the URL %s', (url, message) => {
    const refusal = refusalOf(() => createAsyncEngine(url));
    expect(refusal).toBeInstanceOf(ArgumentError);
    expect(String(refusal)).toContain(message);
  });

  it('takes what is the same for one session', () => {
    const options = { poolSize: 1, maxOverflow: 0, lockTimeout: 5, applicationName: 'x', poolPrePing: true };
    expect(createAsyncEngine(MEMORY, options).pool).toBeInstanceOf(QueuePool);
  });
});

describe('on PGlite', () => {
  it('a pool without an engine is refused: nobody would close the database', () => {
    expect(refusalOf(() => createAsyncPoolFromUrl(MEMORY))).toBeInstanceOf(ArgumentError);
  });

  it('fromChannel() is refused: it would keep the only session', () => {
    const refusal = refusalOf(() => firstValueFrom(fromChannel(createAsyncEngine(MEMORY), 'news')));
    expect(refusal).toBeInstanceOf(NotSupportedError);
  });

  it('a missing package is an error that says what to install', async () => {
    const database = new PgliteDatabase(undefined, {}, () => Promise.reject(new TypeError('not found')));
    const opening = database.open();
    await expect(opening).rejects.toBeInstanceOf(NoSuchDriverError);
    await expect(opening).rejects.toThrow('npm install @electric-sql/pglite');
    await database.close();
  });
});
