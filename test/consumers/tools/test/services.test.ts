import { betterAuth } from 'better-auth';
import { getMigrations } from 'better-auth/db/migration';
import connectPgSimple from 'connect-pg-simple';
import session from 'express-session';
import { makeWorkerUtils, runOnce } from 'graphile-worker';
import PgBoss from 'pg-boss';
import { RateLimiterPostgres } from 'rate-limiter-flexible';
import { expect } from 'vitest';
import { describeTool, type Parts } from './tool.js';

/** What a question about names has found. */
async function names({ pool }: Parts, question: string): Promise<string[]> {
  return (await pool.query(question)).rows.map((row) => row.name);
}

describeTool('connect-pg-simple', async (parts) => {
  const Store = connectPgSimple(session);
  const store = new Store({ pool: parts.pool, createTableIfMissing: true, pruneSessionInterval: false });
  const call = (work: (done: (error?: unknown) => void) => void): Promise<void> =>
    new Promise((resolve, reject) => work((error) => (error == null ? resolve() : reject(error))));
  await call((done) => store.get('none', done));
  return {
    store: (name) => call((done) => store.set(name, { cookie: { maxAge: 60_000 } } as never, done)),
    names: () => names(parts, 'SELECT sid AS name FROM session'),
    close: async () => await store.close(),
  };
});

describeTool('rate-limiter-flexible', async (parts) => {
  const options = {
    storeClient: parts.pool,
    points: 5,
    duration: 60,
    tableName: 'limits',
    clearExpiredByTimeout: false,
  };
  const limiter = await new Promise<RateLimiterPostgres>((resolve, reject) => {
    const made: RateLimiterPostgres = new RateLimiterPostgres(options, (error?: Error) =>
      error ? reject(error) : resolve(made),
    );
  });
  return {
    store: (name) => limiter.consume(name),
    names: async () =>
      (await names(parts, 'SELECT key AS name FROM limits')).map((key) => key.replace(/^rlflx:/, '')),
  };
});

describeTool('graphile-worker', async (parts) => {
  const utils = await makeWorkerUtils({ pgPool: parts.pool });
  await utils.migrate();
  return {
    store: (name) => utils.addJob('send', { name }, { jobKey: name }),
    names: () => names(parts, 'SELECT key AS name FROM graphile_worker.jobs'),
    close: async () => {
      const done: string[] = [];
      await utils.addJob('last', { name: 'last' });
      await runOnce({
        pgPool: parts.pool,
        noHandleSignals: true,
        taskList: {
          last: (payload) => void done.push((payload as { name: string }).name),
          send: () => undefined,
        },
      });
      expect(done).toEqual(['last']);
      await utils.release();
    },
  };
});

describeTool('pg-boss', async (parts) => {
  const boss = new PgBoss({
    db: { executeSql: (text, values) => parts.pool.query(text, values) },
    supervise: false,
    schedule: false,
  });
  await boss.start();
  await boss.createQueue('mail');
  return {
    store: (name) => boss.send('mail', { name }),
    names: () => names(parts, "SELECT data->>'name' AS name FROM pgboss.job"),
    close: () => boss.stop({ graceful: false, wait: true }),
  };
});

describeTool('better-auth', async (parts) => {
  const auth = betterAuth({
    database: parts.pool,
    secret: 'a secret of more than thirty-two characters',
    baseURL: 'http://localhost',
    rateLimit: { enabled: false },
    logger: { disabled: true },
    telemetry: { enabled: false },
    emailAndPassword: {
      enabled: true,
      autoSignIn: false,
      password: { hash: async (password) => `hashed ${password}`, verify: async () => true },
    },
  });
  await (await getMigrations(auth.options)).runMigrations();
  return {
    store: (name) =>
      auth.api.signUpEmail({
        body: { name, email: `${name.replaceAll(' ', '.')}@example.com`, password: 'correct horse' },
      }),
    names: () => names(parts, 'SELECT name FROM "user"'),
  };
});
