import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { text, UnexpectedRollbackError } from 'nest-async-engine/engine';
import type { AsyncEngine } from 'nest-async-engine/engine';
import { failureOf, insert, MemoryLogger, seededRandom, ItemDatabase } from '../../support/items.js';

const SEED = Number(process.env['FUZZ_SEED'] ?? Date.now() % 1_000_000);
const TREES = Number(process.env['FUZZ_SIZE'] ?? 600) / 10;

let items: ItemDatabase;
beforeAll(async () => {
  items = await ItemDatabase.open('nested_trees');
});
afterEach(() => items.expectClean());
afterAll(() => items.close());

const SETTING = text("SELECT current_setting('app.level', TRUE)");
const DATE = text('SELECT CAST(:d AS timestamptz)');

class Thrown extends Error {}

/** What the model knows of one transaction of a tree. */
interface Level {
  readonly setting: string;
  /** The server refuses statements here: one of this level, or of one around it, has failed. */
  isFailed: boolean;
  readonly names: string[];
}

/** A random tree of nested work, run beside the model of what it must do. */
class Tree {
  readonly #engine: AsyncEngine;
  readonly #random: () => number;
  #made = 0;

  constructor(engine: AsyncEngine, random: () => number) {
    this.#engine = engine;
    this.#random = random;
  }

  /** Runs a root; gives what is to be stored. */
  async run(): Promise<string[]> {
    const level: Level = { setting: 'root', isFailed: false, names: [] };
    const root = this.#engine.transaction(() => this.#body(level, 0), {
      settings: { 'app.level': level.setting },
    });
    return await this.#settle(root, level);
  }

  /** What is kept of a transaction that has ended; checks that its promise says so. */
  async #settle(ended: Promise<unknown>, level: Level): Promise<string[]> {
    const failure: unknown = await ended.then(
      () => undefined,
      (error: unknown) => error,
    );
    if (failure instanceof Thrown) return [];
    if (level.isFailed) expect(failure).toBeInstanceOf(UnexpectedRollbackError);
    else expect(failure).toBeUndefined();
    return level.isFailed ? [] : level.names;
  }

  async #body(level: Level, depth: number): Promise<void> {
    for (let left = this.#upTo(5); left > 0; left -= 1) await this.#step(level, depth);
    if (this.#random() < 0.15) throw new Thrown();
  }

  async #step(level: Level, depth: number): Promise<void> {
    const dice = this.#random();
    if (dice < 0.3) await this.#insert(level);
    else if (dice < 0.38) await this.#duplicate(level);
    else if (dice < 0.55) await this.#refusedUnsent();
    else if (dice < 0.7) await this.#lookAtSetting(level);
    else if (depth < 4) await this.#nest(level, depth + 1);
  }

  async #insert(level: Level): Promise<void> {
    const name = `${(this.#made += 1)}`;
    const inserting = this.#engine.execute(insert(name));
    if (level.isFailed) await failureOf(inserting);
    else {
      await inserting;
      level.names.push(name);
    }
  }

  async #duplicate(level: Level): Promise<void> {
    await failureOf(this.#engine.execute(insert('there')));
    level.isFailed = true;
  }

  async #refusedUnsent(): Promise<void> {
    const bad = { d: new Date(NaN) };
    const signal = AbortSignal.abort();
    const ways = [
      () => this.#engine.execute(DATE, bad),
      () => this.#engine.execute(SETTING, {}, { signal }),
      () => this.#engine.stream(DATE, bad).all(),
      () => this.#engine.execute(text('COMMIT')),
    ];
    const way = ways[this.#upTo(ways.length - 1)] ?? (() => Promise.reject(new Error('none')));
    await failureOf(Promise.resolve().then<unknown>(way));
  }

  async #lookAtSetting(level: Level): Promise<void> {
    const looking = this.#engine.scalar(SETTING);
    if (level.isFailed) await failureOf(looking);
    else expect(await looking).toBe(level.setting);
  }

  /** One nested transaction, or some beside each other, of which each waits for those in front of it. */
  async #nest(level: Level, depth: number): Promise<void> {
    const beside = Array.from({ length: 1 + this.#upTo(2) }, () => this.#child(level, depth));
    for (const names of await Promise.all(beside)) level.names.push(...names);
  }

  async #child(level: Level, depth: number): Promise<string[]> {
    const isOwn = this.#random() < 0.5;
    const setting = isOwn ? `level ${depth} of ${(this.#made += 1)}` : level.setting;
    const child: Level = { setting, isFailed: level.isFailed, names: [] };
    const options = isOwn ? { settings: { 'app.level': setting } } : {};
    const work = async (): Promise<void> => {
      // In a failed one it can't even begin; without a statement it would not hear of that.
      if (child.isFailed) await failureOf(this.#engine.execute(SETTING));
      await this.#body(child, depth);
    };
    return await this.#settle(this.#engine.transaction(work, options), child);
  }

  #upTo(most: number): number {
    return Math.floor(this.#random() * (most + 1));
  }
}

describe(`trees of nested transactions, seed ${SEED}`, () => {
  it(
    `do what the model says: ${TREES} of them`,
    async () => {
      const engine = items.engine({ logger: new MemoryLogger() });
      const random = seededRandom(SEED);
      await engine.execute(insert('there'));
      for (let tree = 0; tree < TREES; tree += 1) {
        const names = await new Tree(engine, random).run();
        expect(engine.pool.checkedOut()).toBe(0);
        const found = (await items.names()).filter((name) => name !== 'there').toSorted();
        expect(found, `tree ${tree} of seed ${SEED}`).toEqual(names.toSorted());
        await engine.execute(text("DELETE FROM item WHERE name <> 'there'"));
      }
    },
    60_000 + TREES * 200,
  );
});
