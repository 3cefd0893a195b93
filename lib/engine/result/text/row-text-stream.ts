import { Readable } from 'node:stream';
import { ArgumentError, ResourceClosedError } from '../../errors/errors.js';
import { describeKind } from '../../util/describe-value.js';
import { AsyncResult } from '../async-result.js';
import { formatOf, ROW_TEXT_OPTIONS, type RowFormat, type RowTextOptions } from './row-format.js';
import { unref } from '../../util/clock.js';

/** A chunk is sent when it has so many characters: large enough to be cheap, small enough for wide rows. */
const CHUNK_LENGTH = 65_536;

const NO_TEXT = Buffer.alloc(0);
const LINE_FEED = 0x0a;

/** `fresh`: no row was written yet. */
type ReadableState = 'fresh' | 'reading' | 'finished';

/**
 * The rows of a stream as text, for a file or a response: `new RowTextStream(engine.stream(statement), {
 * format: 'csv' })`.
 *
 * Memory stays flat: rows are fetched as they are read, and many go into one chunk. The cursor is closed when
 * the stream is destroyed. It has the rows that were not read before; nothing else may read `result` beside
 * it.
 *
 * In all formats dates are ISO 8601, `bytea` is base64, and a `bigint` keeps its digits (as a string in
 * JSON). In JSON, NaN and infinities are null; of columns with the same name the last wins. In CSV, lines end
 * in CRLF, NULL is an empty field and an empty string is `""`, objects and arrays are JSON, and columns with
 * the same name are all there.
 *
 * Throws {@link ArgumentError} for another format.
 */
export class RowTextStream extends Readable {
  readonly #result: AsyncResult<unknown>;
  readonly #format: RowFormat;
  #state: ReadableState = 'fresh';
  readonly #readTimeout: number | undefined;
  #readTimer: NodeJS.Timeout | undefined;
  #rows: readonly unknown[] = [];
  #position = 0;
  /** Rows that came as text, and are left to be sent. */
  #text: Buffer = NO_TEXT;

  constructor(result: AsyncResult<unknown>, options: RowTextOptions) {
    super({ highWaterMark: CHUNK_LENGTH });
    this.#result = result;
    if (!(result instanceof AsyncResult)) {
      throw new ArgumentError(
        `RowTextStream needs the result of stream(); got ${describeKind(result)}. Pass engine.stream(statement).`,
      );
    }
    const parsed = ROW_TEXT_OPTIONS.parse(options);
    this.#format = formatOf(result, parsed);
    this.#readTimeout = parsed.readTimeout;
  }

  /** The media type of the format, with its charset. */
  get contentType(): string {
    return this.#format.contentType;
  }

  /** @internal */
  override _read(): void {
    clearTimeout(this.#readTimer);
    this.#nextChunk().then(
      (chunk) => {
        // Started first: with room for more, push() asks for the next chunk.
        if (this.#state !== 'finished') this.#waitForReader();
        if (chunk.length > 0) this.push(chunk);
        if (this.#state === 'finished') this.push(null);
      },
      (error: unknown) => this.destroy(error as Error),
    );
  }

  #waitForReader(): void {
    const timeout = this.#readTimeout;
    if (timeout === undefined || this.destroyed) return;
    const giveUp = (): void => {
      this.destroy(
        new ResourceClosedError(
          `nothing was read of these rows for ${timeout} ms: their cursor is closed. Read on, or raise readTimeout.`,
        ),
      );
    };
    this.#readTimer = unref(setTimeout(giveUp, timeout));
  }

  /** @internal */
  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    clearTimeout(this.#readTimer);
    this.#rows = [];
    this.#text = NO_TEXT;
    this.#result.close().then(
      () => callback(error),
      (failure: unknown) => callback(error ?? (failure as Error)),
    );
  }

  /** One fetch at most, so that what the server has sent is not held back until a chunk is full. */
  async #nextChunk(): Promise<string | Buffer> {
    const head = this.#state === 'fresh' ? await this.#format.begin() : '';
    if (this.#position >= this.#rows.length && this.#text.length === 0) {
      const read = await this.#format.read();
      const isText = Buffer.isBuffer(read);
      this.#text = isText ? read : NO_TEXT;
      this.#rows = isText ? [] : read;
      this.#position = 0;
    }
    if (this.#text.length > 0) return this.#cutText(head);
    if (this.#rows.length > 0) return head + this.#writeRows();
    this.#state = 'finished';
    return head + this.#format.end();
  }

  /** At the end of a line, and so never within a character. */
  #cutText(head: string): Buffer {
    this.#state = 'reading';
    const text = this.#text;
    const end = text.length <= CHUNK_LENGTH ? text.length : text.indexOf(LINE_FEED, CHUNK_LENGTH) + 1;
    const chunk = text.subarray(0, end);
    this.#text = text.subarray(end);
    return head === '' ? chunk : Buffer.concat([Buffer.from(head), chunk]);
  }

  #writeRows(): string {
    let text = '';
    for (; this.#position < this.#rows.length && text.length < CHUNK_LENGTH; this.#position += 1) {
      text += this.#format.write(this.#rows[this.#position], this.#state === 'fresh');
      this.#state = 'reading';
    }
    return text;
  }
}
