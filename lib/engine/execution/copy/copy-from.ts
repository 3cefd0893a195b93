import { AsyncLocalStorage } from 'node:async_hooks';
import { Readable } from 'node:stream';
import type { CommandResult, CopySource } from '../../driver/driver.js';
import { ArgumentError } from '../../errors/errors.js';
import type { Executable } from '../../statement/executable.js';
import { describeKind } from '../../util/describe-value.js';
import { ignoreRejection, isThenable } from '../../util/option-rule.js';
import { CopyMeter, type CopyObserver } from './copy-progress.js';
import { CopyStatement } from './copy-statement.js';

/** Text, which is sent as UTF-8, or bytes. */
export type CopyChunk = string | Uint8Array;

/** The rows of a COPY: a Node or web stream, an iterable of any kind, or all of them in one piece. */
export type CopyInput = CopyChunk | Iterable<CopyChunk> | AsyncIterable<CopyChunk>;

/** Small chunks, such as lines, travel together in messages of at least this size. */
const BLOCK = 65_536;

const LINE_FEED = 0x0a;

/** One COPY FROM STDIN: pulls the rows in the async context of the caller. */
export class CopyFrom implements CopySource {
  readonly direction = 'from';
  readonly #sql: string | Executable<unknown>;
  readonly #input: CopyInput;
  readonly #chunks: Iterator<unknown> | AsyncIterator<unknown>;
  readonly #inContext = AsyncLocalStorage.snapshot();
  readonly #observer: CopyObserver;
  #meter: CopyMeter | undefined;
  #isBinary = false;
  #state: 'open' | 'waiting' | 'ended' = 'open';
  #failure: { readonly error: unknown } | undefined;
  /** The end of a text, where it is the first half of a surrogate pair. */
  #half = '';

  /** @throws ArgumentError for an input that holds no rows. */
  constructor(sql: string | Executable<unknown>, input: CopyInput, observer: CopyObserver) {
    this.#sql = sql;
    this.#input = input;
    this.#observer = observer;
    this.#chunks = chunksOf(input);
    // One that fails before its rows are wanted would end the process; its iterator tells it later.
    if (input instanceof Readable) input.on('error', () => undefined);
  }

  get progress(): number | undefined {
    return this.#state === 'waiting' ? this.#meter?.bytes : undefined;
  }

  /** Sends the statement by `send`, which pulls the rows. The input's own error wins over the server's. */
  async run(send: (statement: CopyStatement) => Promise<CommandResult>): Promise<{ rowCount: number }> {
    try {
      const statement = new CopyStatement(this.#sql, this);
      const meter = (this.#meter = new CopyMeter(statement.text, 'from', this.#observer));
      this.#isBinary = /\bBINARY\b/i.test(statement.text);
      const { rowCount } = await send(statement);
      meter.done(rowCount);
      return { rowCount };
    } catch (error) {
      throw this.#failure === undefined ? error : this.#failure.error;
    } finally {
      this.#close();
    }
  }

  async next(): Promise<readonly Uint8Array[] | undefined> {
    try {
      return await this.#inContext(() => this.#gather());
    } catch (error) {
      this.#failure ??= { error };
      throw error;
    }
  }

  async #gather(): Promise<readonly Uint8Array[] | undefined> {
    const pieces: Uint8Array[] = [];
    for (let size = 0; size < BLOCK && this.#state !== 'ended';) {
      const step = this.#chunks.next();
      const { done, value } = isThenable(step) ? await this.#wait(step) : step;
      if (done === true) {
        this.#expectWholePair();
        break;
      }
      const piece = typeof value === 'string' ? this.#textOf(value) : this.#bytesOf(value);
      pieces.push(piece);
      size += piece.length;
    }
    const bytes = pieces.reduce((sum, { length }) => sum + length, 0);
    this.#meter?.add(bytes, () => (this.#isBinary ? undefined : countLines(pieces)));
    return pieces.length === 0 ? undefined : pieces;
  }

  /** Texts may be cut anywhere: half of a surrogate pair waits for the other half. */
  #textOf(chunk: string): Buffer {
    const text = this.#half + chunk;
    const isCut = (text.charCodeAt(text.length - 1) & 0xfc00) === 0xd800;
    const end = isCut ? text.length - 1 : text.length;
    this.#half = text.slice(end);
    const whole = text.slice(0, end);
    if (whole.isWellFormed()) return Buffer.from(whole);
    throw halfOfPair();
  }

  #bytesOf(chunk: unknown): Uint8Array {
    this.#expectWholePair();
    return bytesOf(chunk);
  }

  #expectWholePair(): void {
    if (this.#half !== '') throw halfOfPair();
  }

  async #wait<T>(step: PromiseLike<T>): Promise<T> {
    if (this.#state === 'open') this.#state = 'waiting';
    try {
      return await step;
    } finally {
      if (this.#state === 'waiting') this.#state = 'open';
    }
  }

  /** Lets go of the input; not waited for, since a generator ends only when what it waits for has come. */
  #close(): void {
    this.#state = 'ended';
    if (this.#input instanceof Readable) return void this.#input.destroy();
    try {
      ignoreRejection(this.#inContext(() => this.#chunks.return?.()));
    } catch {
      // The COPY has its answer already.
    }
  }
}

function chunksOf(input: unknown): Iterator<unknown> | AsyncIterator<unknown> {
  if (typeof input === 'string' || ArrayBuffer.isView(input)) return [input].values();
  if (typeof input === 'object' && input !== null) {
    if (Symbol.asyncIterator in input) return (input as AsyncIterable<unknown>)[Symbol.asyncIterator]();
    if (Symbol.iterator in input) return (input as Iterable<unknown>)[Symbol.iterator]();
  }
  ignoreRejection(input);
  throw new ArgumentError(
    `copyFrom() needs its rows as a stream, or as an iterable of strings or bytes; got ${describeKind(input)}.`,
  );
}

function halfOfPair(): ArgumentError {
  return new ArgumentError(
    'the rows of copyFrom() have half of a surrogate pair, as of an emoji that was cut in two: it would be stored as U+FFFD. ' +
      'Cut texts by Array.from(text), or call toWellFormed().',
  );
}

function bytesOf(chunk: unknown): Uint8Array {
  if (ArrayBuffer.isView(chunk)) return Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
  ignoreRejection(chunk);
  throw new ArgumentError(
    `the rows of copyFrom() must be strings or bytes, as COPY writes them; got ${describeKind(chunk)}.`,
  );
}

function countLines(pieces: readonly Uint8Array[]): number {
  let lines = 0;
  for (const piece of pieces) {
    for (let at = piece.indexOf(LINE_FEED); at !== -1; at = piece.indexOf(LINE_FEED, at + 1)) lines += 1;
  }
  return lines;
}
