import { AsyncLocalStorage } from 'node:async_hooks';
import { Readable } from 'node:stream';
import type { CommandResult, CopySink } from '../../driver/driver.js';
import { ResourceClosedError } from '../../errors/errors.js';
import type { Executable } from '../../statement/executable.js';
import { CopyMeter, type CopyObserver } from './copy-progress.js';
import { CopyStatement } from './copy-statement.js';
import { unref } from '../../util/clock.js';

const READ_TIMEOUT = 60_000;

/** What ends a COPY. */
interface CopyEnds {
  readonly readTimeout?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

type Send = (statement: CopyStatement, signal: AbortSignal) => Promise<CommandResult>;

/**
 * The bytes of a COPY TO STDOUT. Nothing is sent before it is first read; the server is read from as fast as
 * the stream is, and to destroy the stream cancels the COPY.
 */
export class CopyToStream extends Readable {
  readonly #statement: CopyStatement;
  readonly #sink: StreamSink;
  readonly #signal: AbortSignal | undefined;
  readonly #send: Send;
  readonly #inContext = AsyncLocalStorage.snapshot();
  readonly #abort = new AbortController();
  #running: Promise<void> | undefined;
  #rowCount: number | undefined;

  /** @internal */
  constructor(
    sql: string | Executable<unknown>,
    { readTimeout = READ_TIMEOUT, signal }: CopyEnds,
    send: Send,
    observer: CopyObserver,
  ) {
    super();
    this.#sink = new StreamSink(this, readTimeout);
    this.#statement = new CopyStatement(sql, this.#sink);
    this.#sink.meter = new CopyMeter(this.#statement.text, 'to', () => this.#inContext(observer));
    this.#signal = signal;
    this.#send = send;
  }

  /** How many rows it has given; undefined before its end. */
  get rowCount(): number | undefined {
    return this.#rowCount;
  }

  /** @internal */
  override _read(): void {
    this.#running ??= this.#inContext(() => this.#run());
    this.#sink.wanted();
  }

  async #run(): Promise<void> {
    try {
      const ends = AbortSignal.any([this.#signal ?? this.#abort.signal, this.#abort.signal]);
      const { rowCount } = await this.#send(this.#statement, ends);
      this.#rowCount = rowCount;
      this.#sink.meter?.done(rowCount);
      this.push(null);
    } catch (error) {
      this.destroy(error as Error);
    }
  }

  /** @internal */
  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.#abort.abort();
    this.#sink.wanted();
    // Closed when the connection has been given back.
    void Promise.resolve(this.#running).finally(() => callback(error));
  }
}

/** Hands the rows to the stream, and ends it where they are not read. */
class StreamSink implements CopySink {
  readonly direction = 'to';
  meter: CopyMeter | undefined;
  readonly #stream: CopyToStream;
  readonly #readTimeout: number;
  #resume: (() => void) | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(stream: CopyToStream, readTimeout: number) {
    this.#stream = stream;
    this.#readTimeout = readTimeout;
  }

  get progress(): number | undefined {
    return this.#resume === undefined ? undefined : this.meter?.bytes;
  }

  write(bytes: Buffer, rows: number, resume: () => void): boolean {
    // Canceled: what the server has sent before it heard of that is read and dropped.
    if (this.#stream.destroyed) return true;
    try {
      this.meter?.add(bytes.length, () => rows);
    } catch (error) {
      this.#stream.destroy(error as Error);
      return true;
    }
    if (this.#stream.push(bytes)) return true;
    this.#resume = resume;
    this.#timer = unref(setTimeout(() => this.#giveUp(), this.#readTimeout));
    return false;
  }

  /** The stream has room, or wants nothing more. */
  wanted(): void {
    clearTimeout(this.#timer);
    const resume = this.#resume;
    this.#resume = undefined;
    resume?.();
  }

  #giveUp(): void {
    this.#stream.destroy(
      new ResourceClosedError(
        `nothing was read of this COPY for ${this.#readTimeout} ms: it is canceled. Read on, or raise readTimeout.`,
      ),
    );
  }
}
