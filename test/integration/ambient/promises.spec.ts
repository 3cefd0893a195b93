import { tracingChannel } from 'node:diagnostics_channel';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { text } from 'nest-async-engine/engine';
import type { AsyncConnection, AsyncEngine } from 'nest-async-engine/engine';
import { ItemDatabase } from '../../support/items.js';
import { promisesOf } from '../../support/process/promises.js';

let items: ItemDatabase;
let engine: AsyncEngine;
beforeAll(async () => {
  items = await ItemDatabase.open('promises');
});
beforeEach(() => {
  engine = items.engine();
});
afterEach(() => items.expectClean());
afterAll(() => items.close());

const count = text('SELECT count(*) FROM item');
const one = (): Promise<unknown> => engine.execute(count).one();

it('a statement outside of transactions makes 5 promises', async () => {
  expect(await promisesOf(one)).toBeLessThanOrEqual(5);
});

it('a statement of which only a tracing channel hears makes one promise more', async () => {
  const { asyncEnd } = tracingChannel('nest-async-engine:statement');
  const hear = (): void => undefined;
  asyncEnd.subscribe(hear);
  try {
    expect(await promisesOf(one)).toBeLessThanOrEqual(6);
  } finally {
    asyncEnd.unsubscribe(hear);
  }
});

it('a transaction of two statements makes 13 promises', async () => {
  const work = async (): Promise<void> => {
    await one();
    await one();
  };
  expect(await promisesOf(() => engine.transaction(work))).toBeLessThanOrEqual(13);
});

it('two nested transactions in one make 15 promises', async () => {
  const work = async (): Promise<void> => {
    await engine.transaction(one);
    await engine.transaction(one);
  };
  expect(await promisesOf(() => engine.transaction(work))).toBeLessThanOrEqual(15);
});

it('engine.begin() with two statements makes 16 promises', async () => {
  const work = async (connection: AsyncConnection): Promise<void> => {
    await connection.execute(count).one();
    await connection.execute(count).one();
  };
  expect(await promisesOf(() => engine.begin(work))).toBeLessThanOrEqual(16);
});

it('a transaction in which nothing is sent makes 3 promises', async () => {
  expect(await promisesOf(() => engine.transaction(async () => undefined))).toBeLessThanOrEqual(3);
});

it('a connection that is taken, used and closed makes 11 promises', async () => {
  const work = async (): Promise<void> => {
    const connection = await engine.connect();
    await connection.execute(count).one();
    await connection.close();
  };
  expect(await promisesOf(work)).toBeLessThanOrEqual(11);
});
