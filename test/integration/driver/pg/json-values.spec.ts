import { createAsyncEngine, sql, text, type AsyncEngine } from 'nest-async-engine/engine';
import { runInNewContext } from 'node:vm';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createDatabase, type TestDatabase } from '../../../support/server/postgres.js';

let database: TestDatabase;
let engine: AsyncEngine;

beforeAll(async () => {
  database = await createDatabase('json_values');
  engine = createAsyncEngine(database.url);
});
afterAll(async () => {
  expect(engine.pool.checkedOut()).toBe(0);
  await engine.aclose();
  await database.drop();
});

const withField = <Value extends object>(value: Value) => Object.assign(value, { code: 1 });
const send = (value: unknown) => engine.scalar(sql`SELECT ${value}::jsonb::text`);

it.each<[string, unknown, RegExp]>([
  ['a promise with a field', { a: withField(Promise.resolve(1)) }, /promise is inside it/],
  ['an object with a method then', { a: { then: () => undefined, code: 1 } }, /promise is inside it/],
  ['an asynchronous toJSON', { toJSON: () => Promise.resolve(1) }, /promise is inside it/],
  ['a toJSON that returns a Map', { a: { toJSON: () => new Map([[1, 2]]) } }, /class Map/],
  ['a Map with a field', [withField(new Map())].map((map) => ({ map })), /class Map/],
  ['an Error with a code', { error: withField(new Error('no')) }, /class Error/],
  ['an Error of another realm', runInNewContext('Object.assign(new Error(), { code: 1 })'), /class Error/],
  ['a typed array', { vector: Float32Array.of(1, 2) }, /class Float32Array/],
  ['NaN', { n: Number.NaN }, /NaN is inside it/],
  ['Infinity', { list: [1, Number.POSITIVE_INFINITY] }, /Infinity is inside it/],
  ['an invalid Date', { at: new Date(Number.NaN) }, /invalid Date is inside it/],
  ['a function in a list', { list: [() => 1] }, /function is inside it/],
  ['a symbol in a list', { list: [Symbol('s')] }, /symbol is inside it/],
])('%s inside of JSON is refused, and not made another value', async (_, value, message) => {
  await expect(send(value)).rejects.toThrow(message);
});

it.each<[string, unknown, string]>([
  ['an empty object of another realm', runInNewContext('({})'), '{}'],
  ['what has no value', { a: undefined, b: null, c: [undefined] }, '{"b": null, "c": [null]}'],
  ['a method', { a: 1, f: () => 2 }, '{"a": 1}'],
  ['an object with a toJSON', { a: { toJSON: () => ({ b: [1] }) } }, '{"a": {"b": [1]}}'],
  ['a Date', { at: new Date(0) }, '{"at": "1970-01-01T00:00:00.000Z"}'],
  ['an object whose toJSON returns itself', withField({ toJSON: returnThis }), '{"code": 1}'],
])('%s is what JSON.stringify makes of it', async (_, value, stored) => {
  expect(await send(value)).toBe(stored);
});

function returnThis(this: unknown): unknown {
  return this;
}

it('half of a surrogate pair is refused as a value, in a list and in the text of a statement', async () => {
  const half = '😀'.slice(0, 1);
  await expect(engine.scalar(sql`SELECT ${half}::text`)).rejects.toThrow(/half of a surrogate pair/);
  await expect(engine.scalar(sql`SELECT ${[half]}::text[]`)).rejects.toThrow(/half of a surrogate pair/);
  await expect(engine.scalar(text(`SELECT '${half}'`))).rejects.toThrow(/half of a surrogate pair/);
  expect(await engine.scalar(sql`SELECT ${'😀'}::text`)).toBe('😀');
});

it('an asynchronous jsonSerializer result is refused, and not sent as an object', async () => {
  const other = createAsyncEngine(database.url, { jsonSerializer: (() => Promise.resolve('1')) as never });
  await expect(other.scalar(sql`SELECT ${{ a: 1 }}::jsonb::text`)).rejects.toThrow(/jsonSerializer/);
  await other.aclose();
});
