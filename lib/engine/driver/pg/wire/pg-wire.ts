import type { EventEmitter } from 'node:events';
import type { Client, Submittable } from 'pg';
import type { ServerStatus } from '../../driver.js';
import { runNextTurn } from '../../../util/clock.js';
import { HEADER } from './message-form.js';
import { MessageReader, READY_FOR_QUERY, type MessageOutlet, type MessageTarget } from './message-reader.js';
import { MessageWriter, type Slab } from './message-writer.js';
import type { SilenceLimit } from './silence-limit.js';

const COPY_DATA = 0x64;
const PARAMETER_DESCRIPTION = 0x74;
const COPY_OUT_RESPONSE = 0x48;

/** So many bytes of one answer are read before others have their turn: libuv hands out up to 2 MB at once. */
const FIRST_SLICE = 131_072;
/** The same from then on: what Node reads of a socket at once. */
const SLICE = 65_536;

/** The parts of pg's Connection that its own types leave out. */
interface TappedConnection extends EventEmitter {
  readonly stream: EventEmitter & {
    readonly writable: boolean;
    /** False: the server would end where it has to wait for rows. */
    readonly takesRows?: boolean;
    write(bytes: Uint8Array): boolean;
    cork(): void;
    uncork(): void;
    pause(): unknown;
    resume(): unknown;
    destroy(): unknown;
  };
  attachListeners(source: ByteSource): void;
}

/** What pg reads of a socket. */
interface ByteSource {
  on(event: 'data', listener: (bytes: Buffer) => void): unknown;
}

/** Who is told of messages that no batch asks for. */
export interface WireListener {
  /** Each ReadyForQuery, before pg is told of it. */
  ready(status: ServerStatus): void;
  described(typeOids: readonly number[]): void;
  copiesOut(): void;
}

/** Stands where pg's parser looks for a socket. */
class ParserInput implements ByteSource {
  parse: (message: Buffer) => void = () => undefined;

  /** The parser waits for an `end`, too, of which pg hears from the socket itself. */
  on(event: string, listener: (message: Buffer) => void): void {
    if (event === 'data') this.parse = listener;
  }
}

/** What the types of pg leave out of its Client. */
interface QueueingClient {
  readonly _queryQueue?: Submittable[];
  readonly _queryable?: boolean;
  readonly _ending?: boolean;
  readonly pipeline?: boolean;
  readonly connectionParameters?: { readonly query_timeout?: unknown };
  _pulseQueryQueue?(): void;
}

/** The server's word for its state, by the byte of ReadyForQuery. */
const STATUS: Readonly<Record<number, ServerStatus>> = {
  0x49: 'idle',
  0x54: 'open',
  0x45: 'failed',
};

/**
 * The bytes of a pg Client, on both ways: batches are written as one piece, and the answers to them are read
 * without pg's parser, which makes a string of every field and an event of every row. All else goes through
 * pg as it always does.
 */
export class PgWire implements MessageOutlet {
  readonly writer: MessageWriter;
  /** Where there is one. */
  silence: SilenceLimit | undefined;
  readonly #client: Client;
  readonly #listener: WireListener;
  readonly #connection: TappedConnection;
  readonly #reader = new MessageReader(this);
  readonly #parser = new ParserInput();
  /** `corked`: the writer holds what is about to be sent. */
  #state: 'clear' | 'corked' = 'clear';
  /** Bytes of the present answer that may be read before others have their turn. */
  #leftInTurn = FIRST_SLICE;
  /** `held`: nothing is read until `resume()`. */
  #flow: 'flowing' | 'held' = 'flowing';

  /**
   * Before the client connects: pg looks for its listeners then, and once more when the connection becomes a
   * TLS one.
   */
  constructor(client: Client, slabs: Slab[], listener: WireListener) {
    this.#client = client;
    this.#listener = listener;
    this.writer = new MessageWriter(slabs);
    const connection = client.connection as unknown as TappedConnection;
    this.#connection = connection;
    const attachListeners = connection.attachListeners.bind(connection);
    connection.attachListeners = (stream) => {
      attachListeners(this.#parser);
      stream.on('data', (chunk) => {
        this.#reader.read(chunk);
        this.#leftInTurn -= chunk.length;
        if (this.#leftInTurn <= 0) this.#yieldTurn();
      });
    };
  }

  pass(message: Buffer): void {
    const [type] = message;
    if (type === READY_FOR_QUERY) this.#listener.ready(STATUS[message[HEADER] ?? 0] ?? 'failed');
    else if (type === PARAMETER_DESCRIPTION) this.#listener.described(typeOidsOf(message));
    else if (type === COPY_OUT_RESPONSE) this.#listener.copiesOut();
    this.#parser.parse(message);
  }

  ready(status: number): void {
    this.#leftInTurn = FIRST_SLICE;
    this.#listener.ready(STATUS[status] ?? 'failed');
    // As pg's parser would say it.
    this.#connection.emit('readyForQuery', {
      name: 'readyForQuery',
      length: 5,
      status: String.fromCharCode(status),
    });
  }

  refuse(error: Error): void {
    this.#connection.emit('error', error);
    this.#connection.stream.destroy();
  }

  /** For a client that came connected: pg's parser listens to the socket already. */
  tap(): void {
    this.#reader.skipLogin();
    const status = this.#client.getTransactionStatus() ?? 'I';
    this.#listener.ready(STATUS[status.charCodeAt(0)] ?? 'failed');
    const { stream } = this.#connection;
    stream.removeAllListeners('data');
    this.#connection.attachListeners(stream);
  }

  /**
   * Gives a batch to its client, around `client.query()`: tools patch that, and a coming pg tells of queries
   * there. A batch is not a query of the application, and has neither a text nor an end for them.
   */
  submit(batch: Submittable): void {
    const client = this.#client as QueueingClient;
    const { _queryQueue: queue, _queryable, _ending, pipeline, connectionParameters } = client;
    const isReady = _queryable === true && _ending !== true && pipeline !== true;
    // Where `query()` would do nothing but put it in the queue.
    if (queue === undefined || !isReady || connectionParameters?.query_timeout || !client._pulseQueryQueue) {
      this.#client.query(batch);
      return;
    }
    queue.push(batch);
    client._pulseQueryQueue();
  }

  /** Sends what the writer holds. The answers until the next ReadyForQuery are those of `target`. */
  send(target?: MessageTarget): void {
    if (target !== undefined) this.#reader.target = target;
    this.#state = 'clear';
    const bytes = this.writer.take();
    if (bytes.length === 0) return;
    this.silence?.noteSent();
    // Where it can't be written its end is about to be noticed.
    if (this.#connection.stream.writable) this.#connection.stream.write(bytes);
  }

  /**
   * Sends what the writer holds at the end of this turn of the event loop, in one packet with what is written
   * until then.
   */
  sendSoon(): void {
    if (this.#state === 'corked') return;
    this.#state = 'corked';
    runNextTurn(() => this.send());
  }

  /** True: what is written now leaves with what was written before it. */
  get isCorked(): boolean {
    return this.#state === 'corked';
  }

  /** Refuses the rows that the server asks for. `isUnsynced`: it took our Sync for a part of them. */
  failCopy(reason: string, isUnsynced: boolean): void {
    this.writer.copyFail(reason);
    if (isUnsynced) this.writer.sync();
    this.send();
  }

  /** False: a COPY can't wait for its rows here. */
  get takesRows(): boolean {
    return this.#connection.stream.takesRows !== false;
  }

  /** Sends rows of a COPY as one message; false where the socket has enough for now, or has ended. */
  sendRows(pieces: readonly Uint8Array[]): boolean {
    const { stream } = this.#connection;
    if (!stream.writable) return false;
    this.silence?.noteSent();
    const header = Buffer.from([COPY_DATA, 0, 0, 0, 0]);
    header.writeUInt32BE(
      pieces.reduce((size, { length }) => size + length, 4),
      1,
    );
    stream.cork();
    stream.write(header);
    const hasRoom = pieces.map((piece) => stream.write(piece)).every(Boolean);
    stream.uncork();
    return hasRoom;
  }

  /** Resolves when the socket has sent what it was given, or has ended. */
  async drained(): Promise<void> {
    const { stream } = this.#connection;
    await new Promise<void>((resolve) => {
      const settle = (): void => {
        stream.off('drain', settle);
        stream.off('close', settle);
        resolve();
      };
      stream.on('drain', settle);
      stream.on('close', settle);
    });
  }

  /** Reads on when all else that is due in the event loop has had its turn. */
  #yieldTurn(): void {
    this.#leftInTurn = SLICE;
    this.#connection.stream.pause();
    runNextTurn(() => {
      if (this.#flow === 'flowing') this.#connection.stream.resume();
    });
  }

  /** Nothing is read any more, so that the server has to wait. */
  pause(): void {
    this.#flow = 'held';
    this.#connection.stream.pause();
  }

  resume(): void {
    this.#flow = 'flowing';
    this.#connection.stream.resume();
  }
}

function typeOidsOf(message: Buffer): readonly number[] {
  const count = message.readUInt16BE(HEADER);
  return Array.from({ length: count }, (_, index) => message.readUInt32BE(HEADER + 2 + 4 * index));
}
