import 'reflect-metadata';
import { afterAll, describe, expect, it } from 'vitest';
import {
  getConnectionToken,
  getEngineToken,
  getScopedConnectionToken,
  InjectEngine,
  NonTransactional,
  Transactional,
} from 'nest-async-engine';
import {
  ArgumentError,
  AsyncConnection,
  createAsyncEngine,
  makeUrl,
  NullPool,
  QueuePool,
  text,
} from 'nest-async-engine/engine';
import { TransactionalEventListener } from 'nest-async-engine/event-emitter';
import { EngineDialect } from 'nest-async-engine/kysely';
import { DatabaseOpenTelemetryModule, instrument } from 'nest-async-engine/opentelemetry';
import { disableTransactions } from 'nest-async-engine/testing';
import { DATABASE_OPTIONS } from '../../lib/nest/shared/module-options.js';
import { failureOf } from '../support/items.js';

const engine = createAsyncEngine('postgresql://localhost/none');
afterAll(() => engine.aclose());
const url = makeUrl('postgresql://localhost/none?a=b');

const WRONG: readonly unknown[] = [
  null,
  5,
  'x',
  {},
  [5],
  Symbol('s'),
  10n,
  new Map([[1, 2]]),
  Promise.resolve(1),
];
const isText = (value: unknown): boolean => typeof value === 'string';
const isNumber = (value: unknown): boolean => typeof value === 'number';
const isPlain = (value: unknown): boolean => Object.getPrototypeOf(value ?? 0) === Object.prototype;

/** Each is given what it can't take, `takes` left out, and is to say so in the words of the package. */
const DOORS: readonly [string, (value: never) => unknown, ((value: unknown) => boolean)?][] = [
  ['new AsyncConnection()', (value) => new AsyncConnection(value)],
  ['new AsyncConnection() with a function', () => new AsyncConnection((() => ({})) as never)],
  ['pool.connect()', (value) => engine.pool.connect(value), isPlain],
  ['the signal of pool.connect()', (value) => engine.pool.connect({ signal: value })],
  ['the timeout of pool.connect()', (value) => engine.pool.connect({ timeout: value }), isNumber],
  ['the holding of pool.connect()', (value) => engine.pool.connect({ holding: value })],
  [
    'engine.completeTransaction()',
    (value) =>
      engine.completeTransaction(
        value,
        () => 1,
        () => 1,
      ),
  ],
  [
    'the work of engine.completeTransaction()',
    (value) => engine.completeTransaction(engine.openTransaction({}), () => 1, value),
  ],
  ['engine.scopedConnection()', (value) => engine.scopedConnection(value), isText],
  ['connection.start()', (value) => new AsyncConnection(engine).start(value)],
  ['new QueuePool()', (value) => new QueuePool(value)],
  ['new NullPool()', (value) => new NullPool(value)],
  ['engine.replacePool()', (value) => engine.replacePool(value)],
  ['engine.runDetached()', (value) => engine.runDetached(value)],
  ['the options of engine.on()', (value) => engine.on('begin', () => undefined, value), isPlain],
  ['url.updateQueryPairs()', (value) => url.updateQueryPairs(value)],
  ['url.differenceUpdateQuery()', (value) => url.differenceUpdateQuery(value), Array.isArray],
  ['url.renderAsString()', (value) => url.renderAsString(value), isPlain],
  ['readable()', (value) => engine.stream(text('SELECT 1')).readable(value), isPlain],
  ['instrument()', (value) => instrument(value)],
  ['new EngineDialect()', (value) => new EngineDialect(value)],
  ['disableTransactions()', (value) => disableTransactions(value)],
  ['@TransactionalEventListener()', (value) => TransactionalEventListener('paid', value), isPlain],
  ['consistency of requestScope', (consistency) => DATABASE_OPTIONS.parse({ requestScope: { consistency } })],
  ['DatabaseOpenTelemetryModule.forRoot()', (value) => DatabaseOpenTelemetryModule.forRoot(value), isPlain],
  ['@Transactional() on what is no class', (value) => Transactional()(value)],
  ['@NonTransactional() on what is no method', (value) => NonTransactional()({}, 'name', value)],
];
const NAMES: typeof DOORS = [
  ['getEngineToken()', (value) => getEngineToken(value), isText],
  ['getConnectionToken()', (value) => getConnectionToken(value), isText],
  ['getScopedConnectionToken()', (value) => getScopedConnectionToken(value), isText],
  ['@InjectEngine()', (value) => InjectEngine(value), isText],
];

describe('a wrong argument is an ArgumentError, and never an error of JavaScript', () => {
  it.each([...DOORS, ...NAMES])('%s', async (_door, call, takes) => {
    for (const value of WRONG) {
      if (takes?.(value) === true || (takes === Array.isArray && value instanceof Map)) continue;
      const failure = await failureOf((async () => await call(value as never))());
      expect(failure).toBeInstanceOf(ArgumentError);
    }
  });
});
