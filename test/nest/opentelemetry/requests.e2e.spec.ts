import { tracingChannel } from 'node:diagnostics_channel';
import { Controller, Get, Injectable, Param } from '@nestjs/common';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { AsyncEngine, DatabaseModule, Transactional, text } from 'nest-async-engine';
import { DatabaseOpenTelemetryModule } from 'nest-async-engine/opentelemetry';
import { SpanStatusCode } from '@opentelemetry/api';
import type { ReadableSpan } from '@opentelemetry/sdk-trace-base';
import { failureOf } from '../../support/items.js';
import { ADAPTERS, startApp, type RunningApp } from '../../support/nest/nest-app.js';
import { createDatabase, type TestDatabase } from '../../support/server/postgres.js';
import { Telemetry } from '../../support/telemetry.js';

const REQUESTS = 200;
const telemetry = new Telemetry();

let database: TestDatabase;
let running: RunningApp;

/** A statement that says in its text which request it is of. */
const mark = (id: string, step: string) => text(`SELECT 1 AS r${id}_${step}`);

const SHARED = text('SELECT :value::text AS shared');
const SHARED_STEPS = ['a', 'b', 'c', 'd', 'e'];

@Injectable()
class Work {
  constructor(private readonly engine: AsyncEngine) {}

  async read(id: string): Promise<void> {
    await Promise.all(['a', 'b', 'c'].map((step) => this.engine.execute(mark(id, step))));
  }

  /** One text for all requests, so that they share connections. */
  async share(id: string): Promise<void> {
    const rows = SHARED_STEPS.map((step) => this.engine.execute(SHARED, { value: `${id}_${step}` }).scalar());
    expect(await Promise.all(rows)).toEqual(SHARED_STEPS.map((step) => `${id}_${step}`));
  }

  @Transactional({ label: 'nested' })
  async nest(id: string): Promise<void> {
    await this.engine.execute(mark(id, 'a'));
    await failureOf(this.fail(id));
    await this.keep(id);
  }

  @Transactional({ label: 'undone' })
  async fail(id: string): Promise<void> {
    await this.engine.execute(mark(id, 'b'));
    await this.engine.execute(text(`SELECT 1 / 0 AS r${id}_c`));
  }

  @Transactional({ label: 'kept' })
  async keep(id: string): Promise<void> {
    await this.engine.execute(mark(id, 'd'));
  }

  async stream(id: string): Promise<void> {
    const rows = text(`SELECT g AS r${id}_a FROM generate_series(1, 7) g`);
    await this.engine.stream(rows, undefined, { yieldPer: 2 }).all();
  }

  async retry(id: string): Promise<void> {
    let attempts = 0;
    const work = async (): Promise<void> => {
      attempts += 1;
      await this.engine.execute(mark(id, `a${attempts}`));
      if (attempts < 2) await this.engine.execute(text(`SELECT 1 AS r${id}_b FROM fail_once()`));
    };
    await this.engine.transaction(work, { retry: { retries: 3, baseDelay: 1 } });
  }
}

/** How many statements each kind of work sends. */
const KINDS = { read: 3, share: SHARED_STEPS.length, nest: 4, stream: 1, retry: 3 } as const;
type Kind = keyof typeof KINDS;
const KIND_NAMES = Object.keys(KINDS) as Kind[];
const kindOf = (id: number): Kind => KIND_NAMES[id % KIND_NAMES.length] ?? 'read';
const EXPECTED = Array.from({ length: REQUESTS }, (_, id) => KINDS[kindOf(id)]).reduce(
  (sum, n) => sum + n,
  0,
);
const SHARED_READS = (REQUESTS / KIND_NAMES.length) * KINDS.share;

interface PgQuery {
  readonly query: { readonly text: string };
  readonly client: { readonly processID: number };
}

@Controller('work')
class WorkController {
  constructor(private readonly work: Work) {}

  @Get(':id')
  async run(@Param('id') id: string): Promise<string> {
    await this.work[kindOf(Number(id))](id);
    return id;
  }
}

/** What the instrumentation of HTTP does. */
function spanOfRequest(
  request: { readonly originalUrl: string },
  response: NodeJS.EventEmitter,
  next: () => void,
): void {
  telemetry.tracer.startActiveSpan(`request ${request.originalUrl.split('/').at(-1)}`, (span) => {
    response.once('finish', () => span.end());
    next();
  });
}

function collect<Event>(name: string, textOf: (event: Event) => string | undefined) {
  const heard = { ended: [] as string[], failed: 0 };
  /** Those that have started and have not ended. */
  const open = new Set<Event>();
  const nothing = (): void => undefined;
  const handlers = {
    start: (event: Event) => void open.add(event),
    end: nothing,
    asyncStart: nothing,
    asyncEnd: (event: Event) => {
      if (open.delete(event)) heard.ended.push(textOf(event) ?? '');
    },
    error: (event: Event) => void (heard.failed += Number(open.has(event))),
  };
  const channel = tracingChannel<unknown, Event & object>(name);
  channel.subscribe(handlers as never);
  return { heard, open, stop: () => channel.unsubscribe(handlers as never) };
}

/** How many statements at most were on their way on one session. */
function mostOnOneSession() {
  const onTheirWay = new Map<number, number>();
  let most = 0;
  const add = ({ client: { processID } }: PgQuery, count: number): void => {
    const now = (onTheirWay.get(processID) ?? 0) + count;
    onTheirWay.set(processID, now);
    most = Math.max(most, now);
  };
  const start = (event: unknown): void => add(event as PgQuery, 1);
  const asyncEnd = (event: unknown): void => add(event as PgQuery, -1);
  const channel = tracingChannel('pg:query');
  channel.subscribe({ start, asyncEnd } as never);
  return {
    stop: () => {
      channel.unsubscribe({ start, asyncEnd } as never);
      return most;
    },
  };
}

beforeAll(async () => {
  database = await createDatabase('telemetry_http');
  await database.query(
    `CREATE FUNCTION fail_once() RETURNS int LANGUAGE plpgsql AS $$ BEGIN RAISE SQLSTATE '40001'; END $$`,
  );
});
afterEach(() => running.close());
afterAll(async () => {
  await telemetry.close();
  await database.drop();
});

const idOf = (sql: string): string => /r(\d+)_/.exec(sql)?.[1] ?? '';
const tracesOf = (spans: readonly ReadableSpan[]) =>
  new Map(spans.map((span) => [span.spanContext().spanId, span]));

describe.each(ADAPTERS)('%s, 200 requests at once', (_, adapter) => {
  it('have each statement once on each channel, below the spans of their own request', async () => {
    running = await startApp(
      {
        imports: [
          DatabaseModule.forRoot({ url: String(database.url), poolSize: 8, maxOverflow: 0 }),
          DatabaseOpenTelemetryModule.forRoot({
            tracerProvider: telemetry.tracerProvider,
            meterProvider: telemetry.meterProvider,
          }),
        ],
        controllers: [WorkController],
        providers: [Work],
      },
      adapter(),
      (app) => app.use(spanOfRequest),
    );
    const engine = running.app.get(AsyncEngine);
    for (let run = 0; run < 5; run += 1) await engine.execute(SHARED, { value: '' });
    telemetry.reset();
    const ours = collect<{ sql?: string }>('nest-async-engine:statement', ({ sql }) => sql);
    const theirs = collect<PgQuery>('pg:query', ({ query }) => query.text);
    const sessions = mostOnOneSession();
    const ids = Array.from({ length: REQUESTS }, (__, id) => id);
    const answers = await Promise.all(
      ids.map(async (id) => (await fetch(`${running.url}/work/${id}`)).text()),
    );
    ours.stop();
    theirs.stop();
    expect(sessions.stop()).toBeGreaterThan(1);
    expect(answers).toEqual(ids.map(String));

    const spans = telemetry.spans();
    const byId = tracesOf(spans);
    const statements = spans.filter(({ attributes }) => attributes['db.query.text'] !== undefined);
    const texts = statements.map(({ attributes }) => String(attributes['db.query.text']));
    const withoutValues = (sql: string): string => sql.replaceAll(/(?<!\$)\b\d+\b/g, '?');
    expect([texts.length, ours.heard.ended.length, theirs.heard.ended.length]).toEqual([
      EXPECTED,
      EXPECTED,
      EXPECTED,
    ]);
    const failing = ids.filter((id) => ['nest', 'retry'].includes(kindOf(id))).length;
    for (const { open, heard } of [ours, theirs])
      expect({ left: open.size, failed: heard.failed }).toEqual({ left: 0, failed: failing });
    expect(statements.filter(({ status }) => status.code === SpanStatusCode.ERROR)).toHaveLength(failing);
    expect(new Set(texts).size).toBe(EXPECTED - SHARED_READS + 1);
    expect(ours.heard.ended.map(withoutValues).toSorted()).toEqual(texts.toSorted());
    expect(theirs.heard.ended.toSorted()).toEqual(ours.heard.ended.toSorted());

    const readsOf = new Map<string, number>();
    for (const span of statements) {
      const names: string[] = [];
      for (
        let each: ReadableSpan | undefined = span;
        each !== undefined;
        each = byId.get(each.parentSpanContext?.spanId ?? '')
      )
        names.push(each.name);
      if (span.name === 'SELECT' && String(span.attributes['db.query.text']).endsWith('AS shared')) {
        expect(names).toHaveLength(2);
        readsOf.set(String(names[1]), (readsOf.get(String(names[1])) ?? 0) + 1);
        continue;
      }
      const id = idOf(String(span.attributes['db.query.text']));
      expect([names.at(-1), names.slice(1, -1)]).toEqual([`request ${id}`, insideOf(id, span)]);
    }
    const sharing = ids.filter((id) => kindOf(id) === 'share');
    expect(readsOf).toEqual(new Map(sharing.map((id) => [`request ${id}`, KINDS.share])));
    const retries = spans.filter(({ links }) => links.length > 0);
    expect(retries).toHaveLength(REQUESTS / KIND_NAMES.length);
    for (const retry of retries)
      expect(byId.get(retry.links[0]?.context.spanId ?? '')?.parentSpanContext).toEqual(
        retry.parentSpanContext,
      );
  });
});

/** What must be between a statement and its request. */
function insideOf(id: string, span: ReadableSpan): string[] {
  const step = /_([a-z])/.exec(String(span.attributes['db.query.text']))?.[1] ?? '';
  if (kindOf(Number(id)) === 'read') return [];
  if (kindOf(Number(id)) !== 'nest') return ['transaction'];
  const savepoint =
    { a: [], b: ['savepoint undone'], c: ['savepoint undone'], d: ['savepoint kept'] }[step] ?? [];
  return [...savepoint, 'transaction nested'];
}
