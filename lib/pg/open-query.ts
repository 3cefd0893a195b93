import type { Socket } from 'node:net';
import type { Client, Connection } from 'pg';
import { IllegalStateError } from '../engine/index.js';
import type { ClientSession } from './client-session.js';

/** The parts of pg's Connection that its own types leave out. */
type CopyConnection = Connection & { readonly stream: Socket; sendCopyFail(reason: string): void };

/** How often it is asked whether the transaction around a cursor is about to end, in milliseconds. */
const CHECK = 50;

/** What the server says last before it waits for our next message. */
const SUSPENDED = ['rowDescription', 'noData', 'portalSuspended'] as const;

/** A cursor, a stream or a COPY that has the session to itself until it has come to its end. */
export class OpenQuery {
  readonly #connection: CopyConnection;
  readonly #query: { resume?(): unknown };
  readonly #timer: NodeJS.Timeout | undefined;
  /** What it waits for: the server's answer, some rows of a portal, our next message, the rows of a COPY. */
  #state: 'answer' | 'portal' | 'suspended' | 'copy' | 'ended' = 'answer';
  #reads = 0;
  /** At the last call of `finish()`. */
  #takenBefore: number | undefined;

  constructor({ connection }: Client, session: ClientSession, query: { resume?(): unknown }) {
    this.#query = query;
    this.#connection = connection as CopyConnection;
    const flush = connection.flush.bind(connection);
    const sync = connection.sync.bind(connection);
    // A portal is held by Flush and ended by Sync, each of which must be sent once.
    Object.assign(connection, { flush: this.#noting('portal', flush), sync: this.#noting('answer', sync) });
    connection.on('copyInResponse', this.#noteCopy);
    for (const event of SUSPENDED) connection.on(event, this.#suspend);
    connection.once('readyForQuery', this.#end);
    // The end of a transaction waits for what runs in it, and nothing reads this any more.
    const check = (): void => {
      if (session.isEnding === true) this.finish();
    };
    this.#timer = session.isPart ? setInterval(check, CHECK).unref() : undefined;
  }

  /** Changes with each read, or with the bytes of a COPY; undefined while it does not wait for the caller. */
  get progress(): number | undefined {
    const { stream } = this.#connection;
    if (this.#state === 'suspended') return this.#reads;
    if (this.#state === 'copy') return stream.writableNeedDrain ? undefined : stream.bytesWritten;
    return stream.readableLength > 0 ? this.#taken : undefined;
  }

  /** Bytes that came and were read: a COPY TO leaves in the socket what its reader does not take. */
  get #taken(): number {
    const { stream } = this.#connection;
    return stream.bytesRead - stream.readableLength;
  }

  /** Has the server end it, where that waits for us. */
  finish(): void {
    const waits = this.#state;
    if (waits === 'ended') return;
    this.#state = 'answer';
    if (waits === 'portal' || waits === 'suspended') this.#connection.sync();
    else if (waits === 'copy') this.#connection.sendCopyFail('it was left open');
    else if (this.#connection.stream.readableFlowing === false) this.#readOn();
  }

  /** Nothing else can read the rows of a COPY TO that reads the socket itself. */
  #readOn(): void {
    const { stream } = this.#connection;
    const isStuck = stream.readableLength > 0 && this.#takenBefore === this.#taken;
    this.#takenBefore = this.#taken;
    this.#query.resume?.();
    if (isStuck) stream.destroy(leftUnread());
  }

  readonly #noteCopy = (): void => {
    this.#state = 'copy';
  };

  readonly #suspend = (): void => {
    if (this.#state === 'portal') this.#state = 'suspended';
  };

  #noting(state: 'portal' | 'answer', send: () => void): () => void {
    return () => {
      this.#state = state;
      this.#reads++;
      send();
    };
  }

  /** It has come to its end, or never will. */
  end(): void {
    if (this.#state === 'ended') return;
    this.#state = 'ended';
    clearInterval(this.#timer);
    this.#connection.off('copyInResponse', this.#noteCopy);
    for (const event of SUSPENDED) this.#connection.off(event, this.#suspend);
    this.#connection.off('readyForQuery', this.#end);
    // Those of the class are there again.
    for (const name of ['flush', 'sync']) Reflect.deleteProperty(this.#connection, name);
  }

  readonly #end = (): void => this.end();
}

function leftUnread(): IllegalStateError {
  return new IllegalStateError(
    'a COPY TO was left before its last row, which keeps its connection busy, so that this was ended. Read it to its end.',
  );
}
