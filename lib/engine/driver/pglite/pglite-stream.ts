import { Duplex } from 'node:stream';
import { setImmediate as immediate } from 'node:timers/promises';
import type { PGlite } from '@electric-sql/pglite';
import { OperationalError } from '../../errors/server-errors.js';
import { AnswerEnd, messageOf, splitMessages, StatementGuard } from './pglite-messages.js';
import type { ClientMessage } from './pglite-messages.js';

const GOODBYE = messageOf('X');

/**
 * Behind a COPY FROM STDIN, which waits for rows until the end of what was written: that would end the whole
 * server. The server ignores it where no COPY waits.
 */
const COPY_FAIL = messageOf('f', 'no rows to send');
const SYNC = messageOf('S');
const ENDINGS = [messageOf('Q', 'ROLLBACK'), messageOf('Q', 'DISCARD ALL')];

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
  readonly takesRows = false;
  readonly #instance: PGlite;
  readonly #events: PgliteStreamEvents;
  readonly #guard = new StatementGuard();
  /** `lost`: the server has ended, and whatever is run on it now would never return. */
  #state: 'alive' | 'lost' = 'alive';
  /** A message has failed, and the server ignores what comes before the next Sync. */
  #isSkipping = false;

  constructor(instance: PGlite, events: PgliteStreamEvents) {
    super({ allowHalfOpen: false });
    this.#instance = instance;
    this.#events = events;
  }

  /** At once: the instance is open already. */
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
    this.#send([chunk], done);
  }

  override _writev(chunks: readonly { readonly chunk: Buffer }[], done: Done): void {
    this.#send(
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
    // The instance runs one thing after the other: the next session comes behind this.
    void this.#instance
      .runExclusive(async () => {
        const ignore = (): void => undefined;
        if (this.#isSkipping) await this.#run({ type: 'S', bytes: SYNC }, SYNC, ignore);
        for (const bytes of ENDINGS) await this.#run({ type: 'Q', bytes }, bytes, ignore);
      })
      .catch((cause: unknown) => this.#lose(cause));
  }

  #lose(cause: unknown): void {
    this.#state = 'lost';
    this.#events.onLoss(cause);
  }

  #send(chunks: readonly Buffer[], done: Done): void {
    // A goodbye would end the instance, not the session.
    const written = Buffer.concat(chunks.filter((chunk) => !chunk.equals(GOODBYE)));
    if (written.length === 0) return done();
    this.#execute(splitMessages(written)).then(() => done(), done);
  }

  /**
   * Runs one message after the other: a server that has ended does not say so, and never returns when it is
   * asked for the next one.
   */
  async #execute(messages: readonly ClientMessage[]): Promise<void> {
    // Timers and sockets get their turn between two statements; promises alone would leave them none.
    await immediate();
    try {
      await this.#instance.runExclusive(async () => {
        if (this.destroyed) return;
        for (const [index, message] of messages.entries()) {
          const bytes = this.#guard.admit(message);
          if (this.#guard.waitsForRows(message)) {
            const rest = messages.slice(index + 1).map((each) => each.bytes);
            return await this.#run(
              { type: 'f', bytes },
              Buffer.concat([bytes, ...rest, COPY_FAIL]),
              this.#answer,
            );
          }
          await this.#run(message, bytes, this.#answer, index === messages.length - 1);
        }
      });
    } catch (cause) {
      // The server reports errors of statements in its answers. What is thrown is its end.
      this.#lose(cause);
      throw cause;
    }
  }

  readonly #answer = (data: Uint8Array): void => {
    this.push(Buffer.from(data));
  };

  /** @throws OperationalError when the answer stops before its end. */
  async #run(
    message: ClientMessage,
    bytes: Buffer,
    take: (data: Uint8Array) => void,
    syncToFs = true,
  ): Promise<void> {
    const end = new AnswerEnd();
    await this.#instance.execProtocolRawStream(bytes, {
      syncToFs,
      onRawData: (data) => {
        end.read(data);
        take(data);
      },
    });
    if (!end.isEndOf(message, this.#isSkipping)) {
      throw new OperationalError(
        'the server of PGlite has ended while it ran a statement, as it does when its stack is full',
      );
    }
    if (message.type === 'S') this.#isSkipping = false;
    else if (end.isError && message.type !== 'Q') this.#isSkipping = true;
  }
}
