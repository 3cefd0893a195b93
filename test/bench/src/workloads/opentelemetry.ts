import type { Histogram, MeterProvider, SpanKind, Tracer, TracerProvider } from '@opentelemetry/api';
import type { AsyncEngine } from 'nest-async-engine/engine';
import { runCallers } from '../callers.js';
import { accountIdOf } from '../fixtures.js';
import type { Contender, Workload } from '../workload.js';
import { expectedBalance } from './selecting.js';

const CALLERS = 64;
const BARE = 'nest-async-engine';
const BY_HAND = 'spans and metrics by hand';
const INSTRUMENTED = 'nest-async-engine, instrumented';

interface Providers {
  readonly tracerProvider: TracerProvider;
  readonly meterProvider: MeterProvider;
}

type Select = (id: number) => Promise<number>;

/** The SDK as applications have it, with an exporter that throws everything away. */
async function startSdk(): Promise<Providers> {
  const { context } = await import('@opentelemetry/api');
  const { AsyncLocalStorageContextManager } = await import('@opentelemetry/context-async-hooks');
  const { BasicTracerProvider, BatchSpanProcessor } = await import('@opentelemetry/sdk-trace-base');
  const sdk = await import('@opentelemetry/sdk-metrics');
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  const exporter = {
    export: (_: unknown, done: (result: { code: number }) => void) => done({ code: 0 }),
    shutdown: () => Promise.resolve(),
  };
  const reader = new sdk.PeriodicExportingMetricReader({
    exporter: new sdk.InMemoryMetricExporter(sdk.AggregationTemporality.CUMULATIVE),
    exportIntervalMillis: 3_600_000,
  });
  return {
    tracerProvider: new BasicTracerProvider({
      spanProcessors: [new BatchSpanProcessor(exporter, { maxQueueSize: 100_000 })],
    }),
    meterProvider: new sdk.MeterProvider({ readers: [reader] }),
  };
}

/** What an instrumentation can't do without: one span and the three histograms of a statement, all prepared. */
function byHand(
  select: Select,
  tracer: Tracer,
  histograms: readonly [Histogram, Histogram, Histogram],
): Select {
  const kind: SpanKind.CLIENT = 2;
  const [operation, wait, use] = histograms;
  const pool = { 'db.client.connection.pool.name': 'localhost:5432/bench' };
  const facts = {
    'db.system.name': 'postgresql',
    'db.namespace': 'bench',
    'db.operation.name': 'SELECT',
    'db.query.summary': 'SELECT accounts',
    'server.address': 'localhost',
    'server.port': 5432,
  };
  const attributes = { ...facts, 'db.query.text': 'SELECT id, name, balance FROM accounts WHERE id = $1' };
  return async (id) => {
    const startTime = performance.now();
    const span = tracer.startSpan('SELECT accounts', { kind, startTime, attributes });
    wait.record(0, pool);
    const balance = await select(id);
    const now = performance.now();
    span.end(now);
    use.record((now - startTime) / 1_000, pool);
    operation.record((now - startTime) / 1_000, facts);
    return balance;
  };
}

function contender(
  name: string,
  observe: (engine: AsyncEngine, select: Select) => Promise<Select>,
): Contender {
  return {
    name,
    async open({ url, size: { operations } }) {
      const { createAsyncEngine } = await import('nest-async-engine/engine');
      const { selectAccount } = await import('../peers/ours.js');
      const engine = createAsyncEngine(url, { poolSize: 10, maxOverflow: 0 });
      const select = await observe(
        engine,
        async (id) => (await engine.execute(selectAccount, { id }).one()).balance,
      );
      return {
        run: () =>
          runCallers({ count: CALLERS, operations }, (index) => select(accountIdOf(index)), expectedBalance),
        close: () => engine.aclose(),
      };
    },
  };
}

export const opentelemetry: Workload = {
  name: 'opentelemetry',
  title: 'OpenTelemetry: point select, 64 callers',
  contenders: [
    contender(BARE, (_, select) => Promise.resolve(select)),
    contender(BY_HAND, async (_, select) => {
      const { tracerProvider, meterProvider } = await startSdk();
      const meter = meterProvider.getMeter('bench');
      const histogram = (name: string): Histogram => meter.createHistogram(name, { unit: 's' });
      return byHand(select, tracerProvider.getTracer('bench'), [
        histogram('db.client.operation.duration'),
        histogram('db.client.connection.wait_time'),
        histogram('db.client.connection.use_time'),
      ]);
    }),
    contender(INSTRUMENTED, async (engine, select) => {
      const { instrument } = await import('nest-async-engine/opentelemetry');
      instrument(engine, await startSdk());
      return select;
    }),
  ],
  base: BY_HAND,
  goals: [{ of: INSTRUMENTED, over: BY_HAND, cpuAtMost: 1.25 }],
  full: { operations: 6_400, warmUp: 32_000 },
  smoke: { operations: 128 },
};
