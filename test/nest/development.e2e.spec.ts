import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Test } from '@nestjs/testing';
import type { TestingModule } from '@nestjs/testing';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { ArgumentError, AsyncEngine, DatabaseModule, sql } from 'nest-async-engine';
import type { DatabaseModuleOptions } from 'nest-async-engine';
import { freePort } from '../../lib/embedded/free-port.js';
import { LogLines } from '../support/doubles/log-lines.js';
import { createDatabase, queryOnce } from '../support/server/postgres.js';

// What docs/guide/development.md says.
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'development-spec-'));
  // Root hands the server over to a user that has to get through.
  await chmod(folder, 0o755);
});
afterAll(() => rm(folder, { recursive: true, force: true }));
beforeEach(() => vi.stubEnv('DATABASE_URL', ''));
afterEach(() => vi.unstubAllEnvs());

const start = (options: DatabaseModuleOptions): Promise<TestingModule> =>
  Test.createTestingModule({ imports: [DatabaseModule.forRoot(options)] }).compile();

describe('an application with embedded: { dataDir, port }', () => {
  it('finds its data at the next start, at the same URL', async () => {
    const embedded = { dataDir: path.join(folder, 'kept'), port: await freePort() };
    const first = await start({ embedded });
    await first.get(AsyncEngine).execute(sql`CREATE TABLE note AS SELECT 42 AS number`);
    const url = first.get(AsyncEngine).url.renderAsString({ hidePassword: false });
    await first.close();
    const second = await start({ embedded });
    expect(await second.get(AsyncEngine).scalar(sql`SELECT number FROM note`)).toBe(42);
    // As a tool beside the application, or a second process of it, reads it.
    expect(await queryOnce(url, 'SELECT number FROM note')).toEqual([{ number: 42 }]);
    await second.close();
  });

  it('is refused beside another one on the same folder, which goes on', async () => {
    const embedded = { dataDir: path.join(folder, 'shared') };
    const first = await start({ embedded });
    const second = start({ embedded });
    await expect(second).rejects.toThrow(ArgumentError);
    await expect(second).rejects.toThrow('is in use: a server runs on it');
    expect(await first.get(AsyncEngine).scalar(sql`SELECT 1`)).toBe(1);
    await first.close();
  });
});

describe('an application with embedded: { replicas }', () => {
  it('reads on the standbys that it has started', async () => {
    const application = await start({ embedded: { replicas: 1 } });
    const engine = application.get(AsyncEngine);
    const isStandby = sql`SELECT pg_is_in_recovery()`;
    expect(await engine.execute(isStandby, undefined, { readOnly: true }).scalar()).toBe(true);
    expect(await engine.scalar(isStandby)).toBe(false);
    expect(engine.replicas.status()).toHaveLength(1);
    await application.close();
  });

  it('is refused where it has other replicas, too, and starts nothing', async () => {
    const replicas = { url: 'postgresql://127.0.0.1:1/never' };
    const failure = start({ embedded: { replicas: 1 }, replicas });
    await expect(failure).rejects.toThrow(ArgumentError);
    await expect(failure).rejects.toThrow("and 'replicas' of its own");
  });
});

describe('an application with embedded', () => {
  it('uses DATABASE_URL where it is set', async () => {
    const database = await createDatabase('development');
    vi.stubEnv('DATABASE_URL', database.url);
    const application = await start({ embedded: true });
    expect(await application.get(AsyncEngine).scalar(sql`SELECT current_database()`)).toBe(database.name);
    await application.close();
    await database.drop();
  });

  it('starts with a warning where NODE_ENV is not set', async () => {
    vi.stubEnv('NODE_ENV', '');
    const logger = new LogLines();
    const application = await start({ embedded: true, logger });
    const warnings = logger.lines.filter(({ level }) => level === 'warn').map(({ message }) => message);
    expect(warnings).toEqual([expect.stringContaining('NODE_ENV is not set')]);
    await application.close();
  });

  it('is a superuser of PostgreSQL 18 that sorts text by code point and takes settings', async () => {
    const application = await start({ embedded: { settings: { work_mem: '8MB' } } });
    const facts = sql`SELECT current_setting('is_superuser') AS superuser, 'B' < 'a' AS by_code,
      current_setting('work_mem') AS work_mem, current_setting('server_version_num')::int / 10000 AS major`;
    expect(await application.get(AsyncEngine).execute(facts).one()).toEqual({
      superuser: 'on',
      by_code: true,
      work_mem: '8MB',
      major: 18,
    });
    await application.close();
  });
});
