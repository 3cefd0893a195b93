import { Duplex } from 'node:stream';
import { setImmediate as immediate } from 'node:timers/promises';
import type { PGlite } from '@electric-sql/pglite';

/** The messages of the protocol that the stream looks at, by their first byte. */
const STARTUP = 0x00;
const TERMINATE = 0x58;

/**
 * Behind every write: a COPY FROM STDIN waits for rows until the end of what was written, which ends the
 * whole server. The server ignores this message where no COPY waits for it.
 */
const COPY_FAIL = message('f', 'no rows to send');
const ROLLBACK = message('Q', 'ROLLBACK');
const DISCARD = message('Q', 'DISCARD ALL');

export interface PgliteStreamEvents {
  /** The server has ended: nothing can be run on the instance any more. */
  onLoss(cause: unknown): void;
}

type Done = (error?: Error | null) => void;

/**
 * The wire to a PGlite instance, as a `pg` Client takes it in place of a socket. What is written at once runs
 * at once, in one call that blocks the event loop. The end of the stream ends the session: its transaction is
 * rolled back and everything that it has set, prepared or made for itself is discarded.
 */
export class PgliteStream extends Duplex {
  readonly #instance: PGlite;
  readonly #events: PgliteStreamEvents;
  /** `lost`: the server has ended, and whatever is run on it now would never return. */
  #state: 'alive' | 'lost' = 'alive';

  constructor(instance: PGlite, events: PgliteStreamEvents) {
    super({ allowHalfOpen: false });
    this.#instance = instance;
    this.#events = events;
  }

  /** There is nobody to reach: the instance is open already. */
  connect(): this {
    process.nextTick(() => this.emit('connect'));
    return this;
  }

  setNoDelay(): this {
    return this;
  }

  setKeepAlive(): this {
    return this;
  }

  ref(): this {
    return this;
  }

  unref(): this {
    return this;
  }

  override _read(): void {
    // What the server answers is pushed as it comes.
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: Done): void {
    this.#run([chunk], done);
  }

  override _writev(chunks: readonly { readonly chunk: Buffer }[], done: Done): void {
    this.#run(
      chunks.map(({ chunk }) => chunk),
      done,
    );
  }

  override _final(done: Done): void {
    this.push(null);
    done();
  }

  override _destroy(error: Error | null, done: Done): void {
    if (this.#state === 'alive') this.#endSession();
    done(error);
  }

  #endSession(): void {
    // The instance runs one thing after the other: whoever connects next comes behind this.
    void this.#instance
      .runExclusive(async () => {
        await this.#instance.execProtocolRaw(ROLLBACK);
        await this.#instance.execProtocolRaw(DISCARD);
      })
      .catch((cause: unknown) => this.#lose(cause));
  }

  #lose(cause: unknown): void {
    this.#state = 'lost';
    this.#events.onLoss(cause);
  }

  #run(chunks: readonly Buffer[], done: Done): void {
    // A goodbye would end the instance, not the session.
    const messages = chunks.filter((chunk) => !isGoodbye(chunk));
    if (messages.length === 0) return done();
    const [first] = messages;
    if (first?.[0] !== STARTUP) messages.push(COPY_FAIL);
    this.#execute(Buffer.concat(messages)).then(() => done(), done);
  }

  async #execute(messages: Buffer): Promise<void> {
    // Timers and sockets get their turn between two statements; promises alone would leave them none.
    await immediate();
    try {
      await this.#instance.runExclusive(async () => {
        if (this.destroyed) return;
        await this.#instance.execProtocolRawStream(messages, {
          onRawData: (data) => this.push(Buffer.from(data)),
        });
      });
    } catch (cause) {
      // The server reports errors of statements in its answers. What is thrown is its end.
      this.#lose(cause);
      throw cause;
    }
  }
}

function isGoodbye(chunk: Buffer): boolean {
  return chunk[0] === TERMINATE && chunk.length === 5;
}

function message(type: string, text: string): Buffer {
  const body = Buffer.from(`${text}\0`);
  const head = Buffer.alloc(5);
  head.write(type);
  head.writeInt32BE(body.length + 4, 1);
  return Buffer.concat([head, body]);
}
