import { AsyncLocalStorage } from 'node:async_hooks';
import { subscribe, tracingChannel, unsubscribe } from 'node:diagnostics_channel';
import pg from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { DataError, sql, text } from 'nest-async-engine/engine';
import type {
  AcquireEvent,
  AsyncConnection,
  AsyncEngine,
  StatementEvent,
  TransactionEvent,
} from 'nest-async-engine/engine';
import { failureOf, insert, ItemDatabase } from '../../support/items.js';

type Statement = StatementEvent<AsyncConnection>;
type Transaction = TransactionEvent<AsyncConnection>;
type Phase = 'start' | 'end' | 'asyncStart' | 'asyncEnd' | 'error';

const PHASES: readonly Phase[] = ['start', 'end', 'asyncStart', 'asyncEnd', 'error'];

let items: ItemDatabase;
let engine: AsyncEngine;
/** Of this test: what it has subscribed to. */
let endings: (() => void)[];

/** What is told on a tracing channel, with the caller's own context of each. */
function listen<Event extends object>(name: string): { phase: Phase; event: Event; caller: unknown }[] {
  const heard: { phase: Phase; event: Event; caller: unknown }[] = [];
  const handler =
    (phase: Phase) =>
    (event: unknown): void =>
      void heard.push({ phase, event: event as Event, caller: caller.getStore() });
  const handlers = Object.fromEntries(PHASES.map((phase) => [phase, handler(phase)]));
  const channel = tracingChannel(name);
  channel.subscribe(handlers as never);
  endings.push(() => channel.unsubscribe(handlers as never));
  return heard;
}

const caller = new AsyncLocalStorage<string>();
const one = text('SELECT 1 AS one');
const OURS = 'nest-async-engine:statement';
const phasesOf = (heard: readonly { phase: Phase }[]): Phase[] => heard.map(({ phase }) => phase);

beforeAll(async () => {
  items = await ItemDatabase.open('tracing');
});
beforeEach(() => {
  engine = items.engine({ poolSize: 4 });
  endings = [];
});
afterEach(async () => {
  for (const end of endings) end();
  await items.expectClean();
});
afterAll(() => items.close());

/** Every way in which a statement runs, each with the texts that it sends. */
const WAYS: readonly [string, string, () => PromiseLike<unknown>][] = [
  ['execute', 'SELECT 1 AS one', () => engine.execute(one)],
  ['execDriverSql', 'SELECT 2', () => engine.execDriverSql('SELECT 2')],
  [
    'a stream',
    'SELECT generate_series(1, 9) AS n',
    () => engine.stream(text('SELECT generate_series(1, 9) AS n'), undefined, { yieldPer: 2 }).all(),
  ],
  ['a statement in a transaction', 'SELECT 1 AS one', () => engine.transaction(() => engine.execute(one))],
  ['a statement on a connection', 'SELECT 1 AS one', () => engine.connect((own) => own.execute(one))],
  [
    'a query of a lent client',
    'SELECT 3',
    () => engine.connect((own) => own.run((client) => client.query('SELECT 3'))),
  ],
  [
    'a script of a lent client',
    'SELECT 4; SELECT 5',
    () => engine.connect((own) => own.run((client) => client.query('SELECT 4; SELECT 5'))),
  ],
  [
    'an executemany',
    'INSERT INTO item (name) VALUES ($1)',
    () => engine.execute(text('INSERT INTO item (name) VALUES (:name)'), [{ name: 'a' }, { name: 'b' }]),
  ],
];

describe('the events of one statement', () => {
  it('are one object, on which a listener finds what another one has hung', async () => {
    const seen = new Set<object>();
    const hung: unknown[] = [];
    engine.on('beforeExecute', (event) => void Object.assign(event, { mine: 'mark' }));
    for (const name of [
      'beforeExecute',
      'beforeCursorExecute',
      'afterCursorExecute',
      'afterExecute',
    ] as const)
      engine.on(name, (event: object) => {
        seen.add(event);
        hung.push((event as { mine?: string }).mine);
      });
    await engine.execute(one);
    expect([seen.size, hung]).toEqual([1, ['mark', 'mark', 'mark', 'mark']]);
  });

  it.each([
    ['outside of transactions', () => engine.execute(text('SELECT 1 / 0'))],
    ['in a transaction', () => engine.transaction(() => engine.execute(text('SELECT 1 / 0')))],
    ['on a connection', () => engine.connect((own) => own.execute(text('SELECT 1 / 0')))],
    ['in a stream', () => engine.stream(text('SELECT 1 / 0')).all()],
    ['in a batch', () => engine.batch([one, text('SELECT 1 / 0')])],
  ])('are one object up to its failure %s, which says how long it took', async (_, run) => {
    const before = new Set<object>();
    const failures: Statement[] = [];
    engine.on('beforeCursorExecute', (event) => void before.add(event));
    engine.on('handleError', (event) => void failures.push(event as unknown as Statement));
    expect(await failureOf(run())).toBeInstanceOf(DataError);
    expect(failures).toHaveLength(1);
    expect(before.has(failures[0] as object)).toBe(true);
    expect(failures[0]?.duration).toBeGreaterThan(0);
    expect(failures[0]?.sql).toBe('SELECT 1 / 0');
  });

  it('have an id that no other statement of the process has', async () => {
    const ids: string[] = [];
    const other = items.engine();
    for (const each of [engine, other, engine.executionOptions({ timeout: 9_000 })])
      each.on('beforeExecute', ({ id }) => void ids.push(id));
    for (const each of [engine, other, engine]) await each.execute(one);
    expect(new Set(ids).size).toBe(3);
  });

  it('say where it ran, in which transaction and in which scope', async () => {
    const events: Statement[] = [];
    engine.on('afterCursorExecute', (event) => void events.push(event as unknown as Statement));
    const work = () => engine.transaction(() => engine.execute(one), { label: 'transfer' });
    await engine.scope(work, { label: 'nightly' });
    await engine.execute(one);
    expect(events.map(({ transaction, scope }) => [transaction, scope])).toEqual([
      ['transfer', 'nightly'],
      [undefined, undefined],
    ]);
    const { hostname, port: given, pathname } = new URL(String(items.database.url));
    expect(events[0]).toMatchObject({
      engine,
      host: `${hostname}:${given}`,
      server: { host: hostname, port: Number(given), database: pathname.slice(1) },
      command: 'SELECT',
      rowCount: 1,
    });
  });
});

describe('the events of one transaction', () => {
  it('are one object from begin to its end, and a savepoint knows the one around it', async () => {
    const events: [string, Transaction][] = [];
    for (const name of ['begin', 'savepoint', 'rollbackSavepoint', 'commit'] as const)
      engine.on(name, (event) => void events.push([name, event]));
    await engine.transaction(
      async () => {
        await engine.execute(insert('a'));
        await failureOf(engine.transaction(() => engine.execute(insert('a')), { label: 'inner' }));
      },
      { label: 'outer' },
    );
    const [begin, savepoint, undone, commit] = events.map(([, event]) => event);
    expect(events.map(([name]) => name)).toEqual(['begin', 'savepoint', 'rollbackSavepoint', 'commit']);
    expect([commit === begin, undone === savepoint, savepoint?.parent === begin]).toEqual([true, true, true]);
    expect([begin?.transaction, begin?.outcome, begin?.nested]).toEqual(['outer', 'committed', false]);
    expect([savepoint?.transaction, savepoint?.outcome, savepoint?.nested]).toEqual([
      'inner',
      'rolled-back',
      true,
    ]);
  });

  it('name the attempt that has failed, where it is another one', async () => {
    const begun: Transaction[] = [];
    engine.on('begin', (event) => void begun.push(event));
    const work = async (): Promise<void> => {
      await engine.execute(one);
      if (begun.length < 3) await engine.execute(text(`DO $$ BEGIN RAISE SQLSTATE '40001'; END $$`));
    };
    await engine.transaction(work, { retry: { retries: 5, baseDelay: 0 } });
    expect(begun.map(({ outcome }) => outcome)).toEqual(['rolled-back', 'rolled-back', 'committed']);
    expect([begun[0]?.retryOf, begun[1]?.retryOf === begun[0], begun[2]?.retryOf === begun[1]]).toEqual([
      undefined,
      true,
      true,
    ]);
  });

  it('run its work inside what a listener has set', async () => {
    const inside = new AsyncLocalStorage<string>();
    const seen: unknown[] = [];
    engine.on('begin', (event) => void (event.enter = (work) => inside.run('root', work)));
    engine.on('savepoint', (event) => void (event.enter = (work) => inside.run('savepoint', work)));
    const note = async (): Promise<void> => void seen.push(inside.getStore());
    await engine.transaction(async () => {
      await note();
      await engine.transaction(note);
    });
    await engine.begin((own) => note().then(() => own.beginNested(note)));
    await engine.connect(async (own) => {
      const root = await own.begin();
      await root.within(note);
      await root.commit();
    });
    expect(seen).toEqual(['root', 'savepoint', 'root', 'savepoint', 'root']);
  });
});

describe('the channel of statements', () => {
  it.each(WAYS)('tells of %s from start to end, once, in the context of its caller', async (_, sent, run) => {
    const heard = listen<Statement>(OURS);
    await caller.run('me', run);
    expect(phasesOf(heard)).toEqual(['start', 'end', 'asyncStart', 'asyncEnd']);
    expect(new Set(heard.map(({ event }) => event)).size).toBe(1);
    expect(heard[0]?.event.sql).toBe(sent);
    expect(heard.map((each) => each.caller)).toEqual(['me', 'me', 'me', 'me']);
  });

  it.each([
    ['that the server refuses', () => engine.execute(text('SELECT 1 / 0'))],
    ['that has no value for a bind', () => engine.execute(text('SELECT :missing'))],
    [
      'of a stream that fails',
      () =>
        engine
          .stream(text('SELECT 1 / (2 - g) FROM generate_series(1, 3) g'), undefined, { yieldPer: 1 })
          .all(),
    ],
  ])('tells of the error of one %s', async (_, run) => {
    const heard = listen<Statement>(OURS);
    const error = await failureOf(run());
    expect(phasesOf(heard)).toEqual(['start', 'end', 'error', 'asyncStart', 'asyncEnd']);
    expect(heard[2]?.event.error).toBe(error);
  });

  it('tells of the end of a stream that its reader leaves', async () => {
    const heard = listen<Statement>(OURS);
    for await (const row of engine.stream(text('SELECT generate_series(1, 9) AS n'), undefined, {
      yieldPer: 2,
    })) {
      expect([row, phasesOf(heard)]).toEqual([{ n: 1 }, ['start', 'end']]);
      break;
    }
    expect(phasesOf(heard)).toEqual(['start', 'end', 'asyncStart', 'asyncEnd']);
  });

  it.each(['read to its end', 'left'])(
    'tells of the end of a stream that is %s elsewhere in the context of its first pull',
    async (way) => {
      const heard = listen<Statement>(OURS);
      const sent = text('SELECT generate_series(1, 5) AS n');
      const rows = engine.stream(sent, undefined, { yieldPer: 2 })[Symbol.asyncIterator]();
      await caller.run('first', () => rows.next());
      await caller.run('other', async () => {
        if (way === 'left') await rows.return?.();
        else while ((await rows.next()).done !== true);
      });
      const callers = heard.filter(({ phase }) => phase === 'asyncEnd').map((end) => end.caller);
      expect(callers).toEqual(['first']);
    },
  );

  it('is told of what it has come to, where nothing but channels listens', async () => {
    const heard = listen<Statement>(OURS);
    const add = text('INSERT INTO item (name) VALUES (:name)');
    await engine.execute(add, { name: 'a' });
    const failure = await failureOf(engine.execute(add, { name: 'a' }));
    const ends = heard.filter(({ phase }) => phase === 'asyncEnd').map(({ event }) => event);
    expect(ends).toMatchObject([
      { sql: 'INSERT INTO item (name) VALUES ($1)', rowCount: 1, command: 'INSERT', error: undefined },
      { sql: 'INSERT INTO item (name) VALUES ($1)', error: failure },
    ]);
    expect(ends.every(({ duration, roundTrips }) => (duration ?? 0) > 0 && roundTrips === 1)).toBe(true);
    expect(ends[0]?.parameters).toEqual({ name: 'a' });
  });

  it('tells of each statement of a batch', async () => {
    const heard = listen<Statement>(OURS);
    await engine.batch([one, sql`SELECT 2`]);
    const started = heard.filter(({ phase }) => phase === 'start').map(({ event }) => event.sql);
    expect([started, heard.filter(({ phase }) => phase === 'asyncEnd').length]).toEqual([
      ['SELECT 1 AS one', 'SELECT 2'],
      2,
    ]);
  });
});

describe('the channel of transactions', () => {
  it('runs the work in the stores that are bound to its start', async () => {
    const spans = new AsyncLocalStorage<Transaction>();
    const { start } = tracingChannel('nest-async-engine:transaction');
    start.bindStore(spans, (event) => event as Transaction);
    endings.push(() => start.unbindStore(spans));
    const heard = listen<Statement>(OURS);
    await engine.transaction(
      async () => {
        expect(spans.getStore()?.transaction).toBe('bound');
        await engine.execute(one);
      },
      { label: 'bound' },
    );
    expect([spans.getStore(), heard[0]?.event.transactionEvent?.transaction]).toEqual([undefined, 'bound']);
  });

  it.each([
    ['engine.transaction()', () => engine.transaction(() => engine.execute(one))],
    ['engine.begin()', () => engine.begin((own) => own.execute(one))],
    [
      'a handle',
      () =>
        engine.connect(async (own) => {
          await own.begin();
          await own.commit();
        }),
    ],
    [
      'a first statement',
      () =>
        engine.connect(async (own) => {
          await own.execute(one);
          await own.commit();
        }),
    ],
  ])('tells of one of %s', async (_, run) => {
    const heard = listen<Transaction>('nest-async-engine:transaction');
    await caller.run<Promise<unknown>>('me', run);
    expect(phasesOf(heard)).toEqual(['start', 'end', 'asyncStart', 'asyncEnd']);
    expect([heard[0]?.event.outcome, heard.every((each) => each.caller === 'me')]).toEqual([
      'committed',
      true,
    ]);
  });
});

describe('the channels of the pool', () => {
  it('tell whether a caller has waited, and of a connection that is opened', async () => {
    engine = items.engine({ poolSize: 1, maxOverflow: 0 });
    const opened = listen<{ duration: number }>('nest-async-engine:connect');
    const acquired = listen<AcquireEvent>('nest-async-engine:acquire');
    await engine.execute(one);
    const pid = await engine.scalar(text('SELECT pg_backend_pid()'));
    let waiting: Promise<unknown> | undefined;
    await engine.transaction(async () => {
      await engine.execute(one);
      const work = (): Promise<unknown> => Promise.resolve(engine.execute(one));
      waiting = caller.run('waiting', () => engine.runDetached(work));
    });
    await waiting;
    expect(phasesOf(opened)).toEqual(['start', 'end', 'asyncStart', 'asyncEnd']);
    const ends = acquired.filter(({ phase }) => phase === 'asyncEnd');
    expect(ends.map((end) => [end.event.hasWaited, end.caller])).toEqual([
      [true, undefined],
      [false, undefined],
      [false, undefined],
      [true, 'waiting'],
    ]);
    expect(ends.map(({ event }) => event.processId)).toEqual([pid, pid, pid, pid]);
  });

  it('tell of a caller that was refused', async () => {
    engine = items.engine({ poolSize: 1, maxOverflow: 0 });
    const acquired = listen<{ error: unknown }>('nest-async-engine:acquire');
    await engine.connect(async () => {
      const error = await failureOf(engine.pool.connect({ timeout: 20 }));
      expect(acquired.find(({ phase }) => phase === 'error')?.event.error).toBe(error);
    });
  });
});

describe('notices', () => {
  it('are an event of the engine', async () => {
    const heard: unknown[] = [];
    engine.on(
      'notice',
      (event) => void heard.push([event.engine, event.severity, event.message, event.sqlState]),
    );
    await engine.execute(text(`DO $$ BEGIN RAISE WARNING 'careful' USING ERRCODE = '01234'; END $$`));
    expect(heard).toEqual([[engine, 'WARNING', 'careful', '01234']]);
  });
});

interface PgQuery {
  readonly query: { readonly text?: string };
  readonly client: object;
  readonly result?: object;
}

describe('the channels of pg', () => {
  it.each(WAYS)('tell of %s once, in the shape of pg', async (_, sent, run) => {
    const heard = listen<PgQuery>('pg:query');
    await caller.run('me', run);
    expect(phasesOf(heard)).toEqual(['start', 'end', 'asyncStart', 'asyncEnd']);
    const { hostname, port, pathname } = new URL(String(items.database.url));
    expect(heard[0]?.event).toMatchObject({
      query: { text: sent },
      client: {
        database: pathname.slice(1),
        host: hostname,
        port: Number(port),
        processID: expect.any(Number),
        ssl: false,
      },
    });
    expect(heard[0]?.event.result).toBeDefined();
    expect(heard[0]?.caller).toBe('me');
  });

  it('tell of the pool and of connections', async () => {
    const opened = listen<{ connection: object }>('pg:connection');
    const acquired = listen<{ pool: object; client: object }>('pg:pool:connect');
    const told: string[] = [];
    const note = (_: unknown, name: string | symbol): void => void told.push(String(name));
    for (const name of ['pg:pool:release', 'pg:pool:remove']) {
      subscribe(name, note);
      endings.push(() => unsubscribe(name, note));
    }
    await engine.execute(one);
    await engine.execute(one);
    await engine.dispose();
    const { pathname } = new URL(String(items.database.url));
    expect(opened.map(({ phase, event }) => [phase, event])[0]).toEqual([
      'start',
      { connection: expect.objectContaining({ database: pathname.slice(1) }) },
    ]);
    const clients = acquired.filter(({ phase }) => phase === 'asyncEnd').map(({ event }) => event);
    expect(clients).toMatchObject([
      { pool: { maxSize: 4 }, client: { reused: false } },
      { pool: { totalCount: 1 }, client: { reused: true } },
    ]);
    expect(told).toEqual(['pg:pool:release', 'pg:pool:release', 'pg:pool:remove']);
  });

  it('tell of each once, also where pg tells of its queries and connections by itself', async () => {
    endings.push(makePgTellOfItself());
    const queries = listen<PgQuery>('pg:query');
    const opened = listen<object>('pg:connection');
    for (const [, , run] of WAYS) await run();
    const started = queries.filter(({ phase }) => phase === 'start').map(({ event }) => event.query.text);
    expect(started).toEqual(WAYS.map(([, sent]) => sent));
    expect(queries.filter(({ phase }) => phase === 'asyncEnd')).toHaveLength(WAYS.length);
    expect(opened.filter(({ phase }) => phase === 'start')).toHaveLength(engine.pool.checkedIn());
    const client = new pg.Client({ connectionString: String(items.database.url) });
    await client.connect();
    await client.query('SELECT 9');
    await client.end();
    expect(queries.filter(({ phase }) => phase === 'start').at(-1)?.event.query.text).toBe('SELECT 9');
  });
});

/** As node-postgres#3650 does it: what is given to `query()` and `connect()` is told of. */
function makePgTellOfItself(): () => void {
  const prototype = pg.Client.prototype as unknown as Record<
    'query' | 'connect',
    (...args: unknown[]) => unknown
  >;
  const { query, connect } = prototype;
  const queries = tracingChannel('pg:query');
  const connections = tracingChannel('pg:connection');
  prototype.query = function (this: unknown, config: unknown, ...rest: unknown[]) {
    const { text: given } = typeof config === 'string' ? { text: config } : (config as { text?: string });
    const message = { query: { text: given, name: undefined }, client: {} };
    if (typeof (config as { submit?: unknown }).submit !== 'function' && typeof rest.at(-1) !== 'function')
      return queries.tracePromise(() => query.call(this, config, ...rest) as Promise<unknown>, message);
    queries.start.publish(message);
    return query.call(this, config, ...rest);
  };
  prototype.connect = function (this: unknown, ...args: unknown[]) {
    const run = (): Promise<unknown> => connect.apply(this, args) as Promise<unknown>;
    return args.length > 0 ? run() : connections.tracePromise(run, { connection: {} });
  };
  return () => Object.assign(prototype, { query, connect });
}
