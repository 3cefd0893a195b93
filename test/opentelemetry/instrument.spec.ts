import { context, propagation, SpanStatusCode } from '@opentelemetry/api';
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics';
import type { DataPoint, Histogram } from '@opentelemetry/sdk-metrics';
import { defer, lastValueFrom } from 'rxjs';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { ArgumentError, text } from 'nest-async-engine/engine';
import type { AsyncEngine, AsyncEngineOptions } from 'nest-async-engine/engine';
import { inTransaction } from 'nest-async-engine/rx';
import { instrument } from 'nest-async-engine/opentelemetry';
import type { InstrumentationOptions } from 'nest-async-engine/opentelemetry';
import { failureOf, insert, ItemDatabase } from '../support/items.js';
import { eventually } from '../support/process/barrier.js';
import { Telemetry } from '../support/telemetry.js';

const one = text('SELECT 1 AS one');

let items: ItemDatabase;
let telemetry: Telemetry;
let engine: AsyncEngine;
let stop: () => void = () => undefined;

function open(options: InstrumentationOptions = {}, engineOptions: AsyncEngineOptions = {}): void {
  // Channels are of the process: what is left on them would observe every later test.
  stop();
  engine = items.engine({ poolSize: 4, ...engineOptions });
  const { tracerProvider, meterProvider } = telemetry;
  stop = instrument(engine, { tracerProvider, meterProvider, ...options });
}

beforeAll(async () => {
  items = await ItemDatabase.open('telemetry');
});
beforeEach(() => {
  telemetry = new Telemetry();
  open();
});
afterEach(async () => {
  stop();
  await items.expectClean();
  await telemetry.close();
});
afterAll(() => items.close());

/** `name < parent < its parent`. */
const lineOf = (name: string, index = 0): string => {
  const line: string[] = [];
  for (let span = telemetry.named(name)[index]; span !== undefined; span = telemetry.parentOf(span))
    line.push(span.name);
  return line.join(' < ');
};

const inSpan = <T>(name: string, work: () => Promise<T>): Promise<T> =>
  telemetry.tracer.startActiveSpan(name, (span) => work().finally(() => span.end()));

describe('the span of a statement', () => {
  it('says by the semantic conventions what was asked of which server', async () => {
    await engine.execute(text(`SELECT name FROM item WHERE name = :name AND name <> 'secret'`), {
      name: 'a',
    });
    const [span] = telemetry.named('SELECT item');
    const { hostname, port, pathname } = new URL(String(items.database.url));
    expect(span?.kind).toBe(2);
    expect(span?.attributes).toEqual({
      'db.system.name': 'postgresql',
      'db.namespace': pathname.slice(1),
      'db.operation.name': 'SELECT',
      'db.query.summary': 'SELECT item',
      'db.query.text': 'SELECT name FROM item WHERE name = $1 AND name <> ?',
      'server.address': hostname,
      'server.port': Number(port),
    });
  });

  it('says how many sets an executemany had', async () => {
    await engine.execute(text('INSERT INTO item (name) VALUES (:name)'), [{ name: 'a' }, { name: 'b' }]);
    expect(telemetry.named('INSERT item')[0]?.attributes).toMatchObject({
      'db.operation.name': 'BATCH INSERT',
      'db.operation.batch.size': 2,
    });
  });

  it.each([
    ['the server refused', '22012', '22012', () => engine.execute(text('SELECT 1 / 0'))],
    ['was never sent', 'StatementError', undefined, () => engine.execute(text('SELECT :a'))],
  ])('has the error of one that %s', async (_, type, state, run) => {
    await failureOf(run());
    const [span, ...others] = telemetry.spans().filter(({ name }) => name === 'SELECT');
    expect(others).toEqual([]);
    expect(span?.status.code).toBe(SpanStatusCode.ERROR);
    expect(span?.attributes).toMatchObject({
      'error.type': type,
      ...(state && { 'db.response.status_code': state }),
    });
  });

  it('has the text of one that got no connection', async () => {
    open({}, { poolSize: 1, maxOverflow: 0 });
    await using held = await engine.connect();
    await held.execute(one);
    const end = new AbortController();
    const read = text('SELECT name FROM item WHERE name = :name');
    const failure = failureOf(engine.execute(read, { name: 'a' }, { signal: end.signal }));
    await eventually(() => expect(engine.pool.waiting()).toBe(1));
    end.abort();
    await failure;
    const spans = telemetry.named('SELECT item');
    expect(spans.map(({ status, attributes }) => [status.code, attributes['db.query.text']])).toEqual([
      [SpanStatusCode.ERROR, 'SELECT name FROM item WHERE name = $1'],
    ]);
  });

  it('lasts as long as the statement, to the fraction of a millisecond, also where that has failed', async () => {
    const durations: (number | undefined)[] = [];
    const listener = ({ duration }: { readonly duration: number | undefined }): void =>
      void durations.push(duration);
    engine.on('afterExecute', listener).on('handleError', listener);
    await engine.execute(text('SELECT 1 AS a'));
    await failureOf(engine.execute(text('SELECT 1 AS a FROM nowhere')));
    engine.off('afterExecute', listener).off('handleError', listener);
    const spans = ['SELECT', 'SELECT nowhere'].map((name) => telemetry.named(name)[0]);
    const [long, failed] = spans.map(
      (span) => (span?.duration[0] ?? 0) * 1_000 + (span?.duration[1] ?? 0) / 1e6,
    );
    expect([long, failed].map((each, index) => (each ?? 0) > (durations[index] ?? Infinity))).toEqual([
      true,
      true,
    ]);
    expect(Number.isInteger(long) && Number.isInteger(failed)).toBe(false);
  });

  it('is a child of the span that its caller is in, also where it is a stream that is read elsewhere', async () => {
    await inSpan('request', async () => {
      await engine.execute(one);
      await engine.stream(text('SELECT g FROM generate_series(1, 5) g'), undefined, { yieldPer: 2 }).all();
    });
    expect([lineOf('SELECT'), lineOf('SELECT generate_series')]).toEqual([
      'SELECT < request',
      'SELECT generate_series < transaction < request',
    ]);
  });
});

describe('the span of a transaction', () => {
  it('is around its statements and savepoints, and says how each has ended', async () => {
    await inSpan('request', () =>
      engine.transaction(
        async () => {
          await engine.execute(insert('a'));
          await inSpan('helper', async () => {
            await failureOf(engine.transaction(() => engine.execute(insert('a')), { label: 'risky' }));
          });
        },
        { label: 'transfer' },
      ),
    );
    expect([lineOf('INSERT item', 0), lineOf('INSERT item', 1)]).toEqual([
      'INSERT item < transaction transfer < request',
      'INSERT item < savepoint risky < helper < transaction transfer < request',
    ]);
    const outcomes = ['transaction transfer', 'savepoint risky'].map(
      (name) => telemetry.named(name)[0]?.attributes['nest_async_engine.transaction.outcome'],
    );
    expect(outcomes).toEqual(['committed', 'rolled-back']);
    expect(telemetry.named('savepoint risky')[0]?.attributes['error.type']).toBe('23505');
  });

  it.each([
    [
      'a handle',
      async () =>
        engine.connect(async (own) => {
          await own.begin();
          await inSpan('helper', async () => void (await own.execute(one)));
          await own.commit();
        }),
      'SELECT < transaction < request',
    ],
    [
      'a first statement',
      async () =>
        engine.connect(async (own) => {
          await own.execute(one);
          await own.commit();
        }),
      'SELECT < transaction < request',
    ],
    [
      'within()',
      async () =>
        engine.connect(async (own) => {
          const root = await own.begin();
          await root.within(() => inSpan('helper', async () => void (await engine.execute(one))));
          await root.commit();
        }),
      'SELECT < helper < transaction < request',
    ],
    [
      'engine.begin()',
      () => engine.begin((own) => inSpan('helper', async () => void (await own.execute(one)))),
      'SELECT < helper < transaction < request',
    ],
  ])('is the parent of what runs in it, begun by %s', async (_, run, line) => {
    await inSpan<unknown>('request', run);
    expect(lineOf('SELECT')).toBe(line);
  });

  it('has a link to the attempt that it repeats', async () => {
    let attempts = 0;
    const work = async (): Promise<void> => {
      attempts += 1;
      await engine.execute(one);
      if (attempts < 3) await engine.execute(text(`DO $$ BEGIN RAISE SQLSTATE '40001'; END $$`));
    };
    await inSpan('request', () => engine.transaction(work, { retry: { retries: 5, baseDelay: 0 } }));
    const spans = telemetry.named('transaction');
    const links = spans.map((span) => span.links.map((link) => link.context.spanId));
    expect(links).toEqual([[], [spans[0]?.spanContext().spanId], [spans[1]?.spanContext().spanId]]);
    expect(spans.map((span) => telemetry.parentOf(span)?.name)).toEqual(['request', 'request', 'request']);
  });
});

describe('the transaction of an Observable', () => {
  it('has a link to the attempt that it repeats, and what runs in it is below it', async () => {
    let attempts = 0;
    const source = defer(async () => {
      attempts += 1;
      await engine.execute(one);
      if (attempts < 2) await engine.execute(text(`DO $$ BEGIN RAISE SQLSTATE '40001'; END $$`));
    });
    const run = source.pipe(
      inTransaction(engine, { label: 'observed', retry: { retries: 2, baseDelay: 0 } }),
    );
    await inSpan('request', () => lastValueFrom(run, { defaultValue: undefined }));
    const spans = telemetry.named('transaction observed');
    expect(spans.map((span) => span.links[0]?.context.spanId)).toEqual([
      undefined,
      spans[0]?.spanContext().spanId,
    ]);
    expect([lineOf('SELECT', 0), lineOf('SELECT', 1)]).toEqual(
      Array.from({ length: 2 }, () => 'SELECT < transaction observed < request'),
    );
  });
});

describe('the span of a checkout', () => {
  it('is there only for a caller that has waited', async () => {
    open({}, { poolSize: 1, maxOverflow: 0 });
    await engine.execute(one);
    await engine.execute(one);
    expect(telemetry.named('acquire connection')).toHaveLength(1);
    await engine.connect(async () => {
      await inSpan('request', () => failureOf(engine.pool.connect({ timeout: 10 })));
    });
    expect(lineOf('acquire connection', 1)).toBe('acquire connection < request');
    expect(telemetry.named('acquire connection')[1]?.attributes['error.type']).toBe('PoolTimeoutError');
  });
});

describe('what the server sees', () => {
  it('is the traceparent and the label as a comment, with one prepared statement for all of them', async () => {
    open({ sqlCommenter: true }, { poolSize: 1, maxOverflow: 0 });
    const sent: string[] = [];
    engine.on('afterCursorExecute', ({ sql }) => void sent.push(sql));
    for (const name of ['a', 'b', 'c'])
      await engine.transaction(
        () => engine.execute(text('INSERT INTO item (name) VALUES (:name)'), { name }),
        { label: 'add' },
      );
    const [span] = telemetry.named('INSERT item');
    const { traceId, spanId } = span?.spanContext() ?? {};
    expect(sent[0]).toBe(
      `INSERT INTO item (name) VALUES ($1) /*action='add',traceparent='00-${traceId}-${spanId}-01'*/`,
    );
    expect(new Set(sent).size).toBe(3);
    const names = text(`SELECT count(*)::int FROM pg_prepared_statements WHERE statement LIKE 'INSERT%'`);
    expect(await engine.scalar(names, undefined, { prepare: false })).toBe(1);
    expect(await items.names()).toEqual(['a', 'b', 'c']);
  });

  it('is the traceparent as application_name, without a round trip, until the transaction ends', async () => {
    open({ propagate: 'application_name' }, { applicationName: 'shop', poolSize: 1, maxOverflow: 0 });
    const show = text<{ name: string }>(`SELECT current_setting('application_name') AS name`);
    const inside = await engine.transaction(() => engine.execute(show).one());
    const [span] = telemetry.named('transaction');
    const { traceId, spanId } = span?.spanContext() ?? {};
    expect(inside.name).toBe(`00-${traceId}-${spanId}-01`);
    expect(await engine.execute(show).one()).toEqual({ name: 'shop' });
  });

  it('refuses an option that it does not know', () => {
    expect(() => instrument(engine, { sqlComment: true } as never)).toThrow(ArgumentError);
  });
});

describe('metrics', () => {
  it('count statements, transactions, connections and round trips', async () => {
    await engine.execute(one);
    await engine.transaction(() => engine.execute(one));
    await failureOf(engine.transaction(() => engine.execute(text('SELECT 1 / 0'))));
    const durations = await telemetry.points('db.client.operation.duration');
    const counts = durations.map(({ value, attributes }) => [
      (value as { count: number }).count,
      attributes['error.type'],
    ]);
    expect(new Map(counts as [number, unknown][])).toEqual(
      new Map<number, unknown>([
        [1, '22012'],
        [2, undefined],
      ]),
    );
    const valuesOf = async (name: string, key: string) =>
      Object.fromEntries(
        (await telemetry.points(name)).map(({ value, attributes }) => [attributes[key], value]),
      );
    expect(await valuesOf('nest_async_engine.transactions', 'outcome')).toEqual({
      committed: 1,
      'rolled-back': 1,
    });
    expect(await valuesOf('db.client.connection.count', 'db.client.connection.state')).toEqual({
      idle: 1,
      used: 0,
    });
    const single = async (name: string) => (await telemetry.points(name))[0]?.value;
    expect(await single('nest_async_engine.round_trips')).toBe(5);
    expect([await single('db.client.connection.max'), await single('db.client.connection.idle.max')]).toEqual(
      [4, 4],
    );
    expect(await single('db.client.connection.pending_requests')).toBe(0);
    expect(await single('db.client.connection.use_time')).toMatchObject({ count: 3 });
    expect(await single('db.client.connection.wait_time')).toMatchObject({ count: 3 });
    expect(await single('db.client.connection.create_time')).toMatchObject({ count: 1 });
  });

  it('are recorded in the context of their caller, also where many are recorded at once', async () => {
    const reader = new PeriodicExportingMetricReader({
      exporter: new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE),
      exportIntervalMillis: 2 ** 30,
    });
    const tenantOf = (around = context.active()): string =>
      propagation.getBaggage(around)?.getEntry('tenant')?.value ?? 'none';
    const meterProvider = new MeterProvider({
      readers: [reader],
      views: [
        {
          instrumentName: 'db.client.operation.duration',
          attributesProcessors: [{ process: (_, around) => ({ tenant: tenantOf(around) }) }],
        },
      ],
    });
    open({ meterProvider });
    const runAs = (tenant: string): Promise<unknown> => {
      const baggage = propagation.createBaggage({ tenant: { value: tenant } });
      return context.with(propagation.setBaggage(context.active(), baggage), () => engine.execute(one));
    };
    await Promise.all(Array.from({ length: 100 }, (_, index) => runAs(index % 4 === 0 ? 'a' : 'b')));
    const { resourceMetrics } = await reader.collect();
    const points = resourceMetrics.scopeMetrics
      .flatMap(({ metrics }) => metrics)
      .filter(({ descriptor }) => descriptor.name === 'db.client.operation.duration')
      .flatMap(({ dataPoints }) => dataPoints as DataPoint<Histogram>[]);
    expect(
      Object.fromEntries(points.map(({ attributes, value }) => [attributes['tenant'], value.count])),
    ).toEqual({ a: 25, b: 75 });
    await meterProvider.shutdown();
  });

  it('have all that was measured before the instrumentation was stopped', async () => {
    await engine.execute(one);
    stop();
    const [point] = await telemetry.points('db.client.operation.duration');
    expect(point?.value).toMatchObject({ count: 1 });
  });

  it('count the callers that got no connection in time', async () => {
    open({}, { poolSize: 1, maxOverflow: 0 });
    await engine.connect(() => failureOf(engine.pool.connect({ timeout: 10 })));
    expect((await telemetry.points('db.client.connection.timeouts')).map(({ value }) => value)).toEqual([1]);
  });
});

describe('a stopped instrumentation', () => {
  it('leaves nothing behind, and hears nothing of other engines before', async () => {
    const other = items.engine();
    await other.execute(one);
    expect(telemetry.spans()).toEqual([]);
    stop();
    await engine.execute(one);
    expect(telemetry.spans()).toEqual([]);
    stop = () => undefined;
  });
});
