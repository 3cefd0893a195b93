import { EngineError, StatementError } from '../../../errors/errors.js';
import type { Command } from '../../driver.js';
import { forMany } from './pg-many.js';
import type { Encoding } from './pg-many.js';
import { toStep } from './pg-step.js';
import type { Step, WireCommand } from './pg-step.js';

/** One runs on the server, and the next one is there when it ends. */
const IN_FLIGHT = 2;

/**
 * The commands of an executemany, page by page: the first one is made at once, each other one when there is
 * room for it.
 */
export class PgPages {
  readonly first: readonly WireCommand[];
  readonly #commands: readonly Command[];
  readonly #size: number;
  readonly #encoding: Encoding;
  /** Commands on the first page. */
  readonly #firstSize: number;
  /** The first command of the next page. */
  #next: number;
  /** How many results there are when each page in flight is done. */
  #ends: number[] = [];
  #failure: EngineError | undefined;

  constructor(commands: readonly Command[], size: number, encoding: Encoding) {
    const page = forMany(commands.slice(0, size), encoding);
    // It asks for the types of its binds. One row is enough for that, and all others can go as arrays.
    const isShort = page[0]?.insert !== undefined && commands.length > size;
    // Before anything is sent, as for any first page.
    if (isShort) for (const command of page) toStep(command, encoding.serializeJson);
    this.first = isShort ? page.slice(0, 1) : page;
    this.#firstSize = isShort ? 1 : size;
    this.#next = this.#firstSize;
    this.#commands = commands;
    this.#size = size;
    this.#encoding = encoding;
  }

  get hasMore(): boolean {
    return this.#next < this.#commands.length;
  }

  /** The next page can be made and sent. */
  get hasRoom(): boolean {
    return this.#ends.length < (this.#isUndecided ? 1 : IN_FLIGHT);
  }

  /** The answer to the first page says how the others are sent. */
  get #isUndecided(): boolean {
    const [asking] = this.first;
    return asking?.insert !== undefined && this.#encoding.prepared.find(asking.text)?.many === undefined;
  }

  /**
   * Makes the next page; undefined where a value of it has no text. Those before it have run then, as if sent
   * alone.
   */
  take(): readonly Step[] | undefined {
    const start = this.#next;
    // Behind a first page of one row comes what it has left out.
    this.#next += this.#size - (start % this.#size);
    try {
      const page = forMany(this.#commands.slice(start, this.#next), this.#encoding);
      return page.map((command) => toStep(command, this.#encoding.serializeJson));
    } catch (error) {
      this.#failure =
        error instanceof EngineError ? error : new StatementError(String(error), { cause: error });
      return undefined;
    }
  }

  /** Why a page could not be made. */
  get failure(): EngineError | undefined {
    return this.#failure;
  }

  /** A page is on its way; it is done when there are `end` results. */
  sent(end: number): void {
    this.#ends.push(end);
  }

  /** True: with the last of `count` results, a page is done. */
  isDone(count: number): boolean {
    if (this.#ends[0] !== count) return false;
    this.#ends.shift();
    return true;
  }

  /** The page behind the first one is the next again. */
  rewind(): void {
    this.#next = this.#firstSize;
    this.#ends = [];
    this.#failure = undefined;
  }
}
