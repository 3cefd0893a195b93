import { tracingChannel } from 'node:diagnostics_channel';
import { createAsyncEngine, sql, text, type AcquireEvent, type AsyncEngine } from 'nest-async-engine/engine';
import type { Client } from 'pg';
import { instrument } from 'nest-async-engine/opentelemetry';
import { recordSql, rollbackEach } from 'nest-async-engine/testing';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { startEmbeddedPostgres, type EmbeddedPostgres } from '../../../../lib/embedded/embedded-postgres.js';
import { LogLines } from '../../../support/doubles/log-lines.js';
import { Telemetry } from '../../../support/telemetry.js';
import { eventually } from '../../../support/process/barrier.js';

const READ = { readOnly: true } as const;
const where = sql`SELECT pg_is_in_recovery() AS standby`;

let primary: EmbeddedPostgres;
let standby: EmbeddedPostgres;
let engine: AsyncEngine;
const nothing = (): Promise<void> => Promise.resolve();
const hostOf = ({ host, port }: EmbeddedPostgres): string => `${host}:${port}`;
/** Such as `127.0.0.1:5432 replica`. */
const placeOf = (event: object): string => {
  const { host, role } = event as { readonly host?: string; readonly role?: string };
  return `${host} ${role}`;
};
const places = (): string[] => [`${hostOf(primary)} primary`, `${hostOf(standby)} replica`];

beforeAll(async () => {
  primary = await startEmbeddedPostgres({ replicas: 1 });
  [standby] = primary.replicas as [EmbeddedPostgres];
});
beforeEach(() => {
  engine = createAsyncEngine(primary.url, {
    logger: new LogLines(),
    echo: true,
    replicas: { url: standby.url },
  });
});
afterEach(async () => {
  await eventually(() => {
    const loans = engine.replicas.status().map(({ checkedOut }) => checkedOut);
    expect([engine.pool.checkedOut(), ...loans]).toEqual([0, 0]);
  });
  await engine.aclose();
});
afterAll(() => primary.stop());

describe('the server of a statement and of a transaction', () => {
  it('stands in the events of statements, transactions, savepoints and pools', async () => {
    const heard: [string, string][] = [];
    const hear = (name: string) => (event: { readonly host: string | undefined }) =>
      void heard.push([name, placeOf(event)]);
    for (const name of [
      'afterCursorExecute',
      'afterExecute',
      'commit',
      'releaseSavepoint',
      'checkin',
    ] as const)
      engine.on(name, hear(name));
    for (const options of [{}, READ]) {
      await engine.scalar(where, undefined, options);
      await engine.transaction(() => engine.transaction(() => engine.scalar(where)), options);
    }
    const names = ['afterCursorExecute', 'afterExecute', 'commit', 'releaseSavepoint', 'checkin'];
    for (const place of places()) {
      const at = heard.flatMap(([name, each]) => (each === place ? [name] : []));
      expect(names.filter((name) => !at.includes(name))).toEqual([]);
    }
    expect(heard.filter(([, place]) => !places().includes(place))).toEqual([]);
  });

  it('is there for a caller that takes or opens a connection, too', async () => {
    const heard: string[] = [];
    const stops = ['acquire', 'connect'].map((name) => {
      const { asyncEnd } = tracingChannel<unknown, AcquireEvent>(`nest-async-engine:${name}`);
      const hear = (event: unknown): void => void heard.push(`${name} ${(event as AcquireEvent).role}`);
      asyncEnd.subscribe(hear);
      return () => asyncEnd.unsubscribe(hear);
    });
    engine.on('doConnect', ({ role }) => void heard.push(`doConnect ${role}`));
    for (const options of [{}, READ]) await engine.transaction(() => engine.scalar(where), options);
    for (const stop of stops) stop();
    const words = ['acquire', 'connect', 'doConnect'];
    expect([...new Set(heard)].toSorted()).toEqual(
      words.flatMap((word) => [`${word} primary`, `${word} replica`]),
    );
  });

  it('has no role where the engine has no replicas', async () => {
    await using alone = createAsyncEngine(primary.url, { logger: new LogLines() });
    const roles: unknown[] = [];
    for (const name of ['afterExecute', 'commit', 'checkin', 'doConnect'] as const)
      alone.on(name, ({ role }: { readonly role?: unknown }) => void roles.push(role));
    await alone.transaction(() => alone.scalar(where));
    expect(roles).toEqual([undefined, undefined, undefined, undefined]);
  });

  it('is prepared by listeners of a replica’s connections as well as of the primary’s', async () => {
    const asked: (string | undefined)[] = [];
    engine.on('doConnect', ({ replica }) => void asked.push(replica));
    engine.on('connect', async ({ driverConnection }) => {
      await (driverConnection as Client).query("SET work_mem = '7MB'");
    });
    const work = text('SHOW work_mem');
    expect([await engine.scalar(work), await engine.scalar(work, undefined, READ)]).toEqual(['7MB', '7MB']);
    expect(new Set(asked)).toEqual(new Set([undefined, hostOf(standby)]));
  });

  it('stands in the fields of log lines', async () => {
    const lines = new LogLines();
    await using logged = createAsyncEngine(primary.url, {
      logger: lines,
      echo: true,
      replicas: { url: standby.url },
    });
    await logged.scalar(where);
    await logged.scalar(where, undefined, READ);
    const hosts = lines.lines.flatMap(({ fields }) =>
      fields?.['sql'] === 'SELECT pg_is_in_recovery() AS standby' ? [placeOf(fields)] : [],
    );
    expect([...new Set(hosts)]).toEqual(places());
  });

  it('stands in the fields of the pools’ lines, from the opening of a connection to its end', async () => {
    const lines = new LogLines();
    await using logged = createAsyncEngine(primary.url, {
      logger: lines,
      echoPool: 'debug',
      replicas: { url: standby.url },
    });
    await logged.scalar(where);
    await logged.scalar(where, undefined, READ);
    await logged.aclose();
    for (const place of places()) {
      const events = lines.lines.flatMap(({ fields }) =>
        fields !== undefined && placeOf(fields) === place ? [fields.event] : [],
      );
      expect(events).toEqual(expect.arrayContaining(['connect', 'checkout', 'return', 'close']));
    }
    const others = lines.lines.filter(({ fields }) => fields?.['host'] === undefined);
    expect(new Set(others.map(({ fields }) => fields?.event))).toEqual(new Set(['dispose']));
  });

  it('stands in spans and metrics', async () => {
    const telemetry = new Telemetry();
    const stop = instrument(engine, telemetry);
    try {
      for (const options of [{}, READ]) await engine.transaction(() => engine.scalar(where), options);
      const ports = telemetry.named('transaction').map(({ attributes }) => attributes['server.port']);
      expect(ports).toEqual([primary.port, standby.port]);
      const role = 'nest_async_engine.server.role';
      for (const name of ['transaction', 'SELECT'])
        expect(telemetry.named(name).map(({ attributes }) => attributes[role])).toEqual([
          'primary',
          'replica',
        ]);
      const points = await telemetry.points('db.client.connection.use_time');
      const pools = points.map(({ attributes }) => attributes['db.client.connection.pool.name']);
      expect(pools).toEqual(
        expect.arrayContaining([`${hostOf(primary)}/postgres`, `${hostOf(standby)}/postgres`]),
      );
      const metrics = ['client.operation.duration', 'client.connection.use_time', 'client.connection.count'];
      for (const metric of metrics) {
        const measured = await telemetry.points(`db.${metric}`);
        const roles = measured.map(({ attributes }) => attributes[role]);
        expect(new Set(roles)).toEqual(new Set(['primary', 'replica']));
      }
    } finally {
      stop();
      await telemetry.close();
    }
  });

  it('stands in what recordSql has written', async () => {
    using log = recordSql(engine, { control: false });
    await engine.scalar(where);
    await engine.scalar(where, undefined, READ);
    const sentTo = log.statements.flatMap((sent) =>
      sent.text.includes('AS standby') ? [placeOf(sent)] : [],
    );
    expect(sentTo).toEqual(places());
  });
});

it('inside rollbackEach() all is on its one connection, also what says readOnly', async () => {
  const hooks: Record<'begin' | 'end', () => Promise<void>> = { begin: nothing, end: nothing };
  rollbackEach(() => engine, {
    beforeEach: (hook) => void (hooks.begin = hook as () => Promise<void>),
    afterEach: (hook) => void (hooks.end = hook as () => Promise<void>),
  });
  await hooks.begin();
  const seen = sql`SELECT pg_backend_pid() AS pid, (SELECT count(*)::int FROM pg_class WHERE relname = 'draft') AS drafts`;
  const rows: unknown[] = [];
  await engine.execute(sql`CREATE TABLE draft (id int)`);
  rows.push(await engine.execute(seen).one());
  rows.push(await engine.execute(seen, undefined, READ).one());
  rows.push(await engine.transaction(() => engine.execute(seen).one(), READ));
  rows.push(await engine.stream(seen, undefined, READ).one());
  rows.push(await engine.scope(() => engine.execute(seen, undefined, READ).one(), { after: 'FFFFFFFF/0' }));
  await using connection = await engine.connect();
  rows.push(await connection.execute(seen, undefined, READ).one());
  await connection.close();
  await hooks.end();
  expect(rows).toEqual(rows.map(() => ({ pid: (rows[0] as { pid: number }).pid, drafts: 1 })));
  expect(await engine.scalar(where, undefined, READ)).toBe(true);
});
