import { setTimeout as wait } from 'node:timers/promises';
import { EngineError, text, type AsyncEngine } from 'nest-async-engine/engine';
import { randomOf, type Random } from '../random.js';
import { badValue, nearName, type BadValue } from './bad-values.js';
import { DOORS, type Door } from './doors.js';

/** Longer than any refusal takes. */
const HANGS_AFTER = 10_000;
/** Calls between two looks at the pool. */
const CALLS_PER_CHECK = 25;

interface Input {
  readonly shown: string;
  readonly value: unknown;
}

/** Hands wrong values to every door, and tells what was neither refused nor left without a trace. */
export class Campaign {
  readonly #random: Random;
  readonly #engine: AsyncEngine;
  readonly #faults = new Set<string>();
  readonly #unhandled: unknown[] = [];

  constructor(engine: AsyncEngine, seed: number) {
    this.#engine = engine;
    this.#random = randomOf(seed);
  }

  /** The faults of `runs` calls, each once. */
  async run(runs: number): Promise<readonly string[]> {
    const listener = (error: unknown): void => void this.#unhandled.push(error);
    process.on('unhandledRejection', listener);
    try {
      let last: string[] = [];
      for (let run = 1; run <= runs; run += 1) {
        last.push(await this.#call());
        if (run % CALLS_PER_CHECK > 0 && run < runs) continue;
        await this.#check(last);
        last = [];
      }
    } finally {
      process.off('unhandledRejection', listener);
    }
    return [...this.#faults].sort();
  }

  async #call(): Promise<string> {
    const names = Object.keys(DOORS);
    const name = names[this.#random(names.length)] ?? '';
    const door = DOORS[name] as Door;
    const { shown, value } = this.#inputFor(door);
    const call = `${name} with ${shown}`;
    const outcome = await Promise.race([
      this.#outcomeOf(door, value),
      wait(HANGS_AFTER, 'hangs', { ref: false }),
    ]);
    if (outcome !== 'refused') this.#faults.add(`${call}: ${outcome}`);
    return call;
  }

  async #outcomeOf(door: Door, value: unknown): Promise<string> {
    try {
      await door.call({ engine: this.#engine }, value as never);
      return 'taken in silence';
    } catch (error) {
      if (error instanceof EngineError) {
        return error.message.includes('4711471147') ? `shows the password: ${error.message}` : 'refused';
      }
      return `${error instanceof Error ? error.name : typeof error}, not an EngineError: ${String(error).slice(0, 100)}`;
    }
  }

  #inputFor({ wants }: Door): Input {
    if (typeof wants === 'string') return this.#input(badValue(wants, this.#random));
    const names = Object.keys(wants);
    const name = names[this.#random(names.length)] ?? '';
    switch (this.#random(4)) {
      case 0:
        return this.#input(badValue('parameters', this.#random));
      case 1: {
        const near = nearName(name, this.#random);
        if (near in wants) return this.#input(badValue('parameters', this.#random));
        return { shown: `{ ${near}: 1 }`, value: { [near]: 1 } };
      }
      default: {
        const bad = this.#input(badValue(wants[name] ?? 'never', this.#random));
        return { shown: `{ ${name}: ${bad.shown} }`, value: { [name]: bad.value } };
      }
    }
  }

  #input(bad: BadValue): Input {
    return { shown: bad.shown, value: bad.make() };
  }

  async #check(calls: readonly string[]): Promise<void> {
    // Rejections without a handler are told of after the microtasks.
    await wait(1);
    const after = `one of: ${calls.join(' | ')}`;
    for (const error of this.#unhandled.splice(0)) {
      this.#faults.add(`unhandled rejection ${String(error)}, after ${after}`);
    }
    const { pool } = this.#engine;
    if (pool.checkedOut() > 0 || pool.waiting() > 0) {
      this.#faults.add(`${pool.checkedOut()} connection(s) kept, ${pool.waiting()} waiting, after ${after}`);
    }
    const answer = await Promise.race([
      this.#engine.scalar(text('SELECT 42')).catch(String),
      wait(HANGS_AFTER, 'nothing', { ref: false }),
    ]);
    if (answer !== 42) this.#faults.add(`SELECT 42 gives ${String(answer)}, after ${after}`);
  }
}
