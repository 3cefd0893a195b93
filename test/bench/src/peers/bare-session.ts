import type { Socket } from 'node:net';
import pg from 'pg';

const HEADER = 5;
const DATA_ROW = 'D'.charCodeAt(0);
const READY = 'Z'.charCodeAt(0);
const ERROR = 'E'.charCodeAt(0);

/** Sync: the server answers it with ReadyForQuery. */
export const SYNC = message('S');

/** Parse, with a name. */
export function parse(name: string, text: string): Buffer {
  return message('P', cString(name), cString(text), int16(0));
}

/** Bind to the statement of that name, and Execute. Values as text. */
export function run(name: string, ...values: readonly string[]): Buffer {
  const bound = values.flatMap((value) => [int32(Buffer.byteLength(value)), Buffer.from(value)]);
  return Buffer.concat([
    message('B', cString(''), cString(name), int16(0), int16(values.length), ...bound, int16(0)),
    EXECUTE,
  ]);
}

const EXECUTE = message('E', cString(''), int32(0));

function message(type: string, ...parts: readonly Buffer[]): Buffer {
  const body = Buffer.concat(parts);
  return Buffer.concat([Buffer.from(type), int32(body.length + 4), body]);
}

function cString(text: string): Buffer {
  return Buffer.from(`${text}\0`);
}

function int16(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(2);
  bytes.writeInt16BE(value);
  return bytes;
}

function int32(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(4);
  bytes.writeInt32BE(value);
  return bytes;
}

/** The text columns of a DataRow. */
export function columns(row: Buffer): string[] {
  const values: string[] = [];
  let at = 2;
  for (let left = row.readInt16BE(0); left > 0; left -= 1) {
    const length = row.readInt32BE(at);
    values.push(row.toString('latin1', at + 4, at + 4 + length));
    at += 4 + length;
  }
  return values;
}

interface Flight {
  readonly resolve: (row: Buffer) => void;
  /** Where every row is wanted. */
  readonly onRow: ((row: Buffer) => void) | undefined;
  readonly reject: (error: Error) => void;
}

const NO_ROW = Buffer.alloc(2);

/** A socket on which messages are written as they are, and of whose answers only the last row is kept. */
export class BareSession {
  readonly #client: pg.Client;
  readonly #socket: Socket;
  readonly #flights: Flight[] = [];
  #unsent: Buffer[] = [];
  #rest: Buffer | undefined;
  #row: Buffer = NO_ROW;
  #error: string | undefined;

  private constructor(client: pg.Client) {
    this.#client = client;
    this.#socket = client.connection.stream as Socket;
    this.#socket.removeAllListeners('data');
    this.#socket.on('data', (chunk: Buffer<ArrayBuffer>) => this.#read(chunk));
  }

  /** `pg` logs in; what comes after that passes it by. */
  static async open(url: string): Promise<BareSession> {
    const client = new pg.Client(url);
    await client.connect();
    return new BareSession(client);
  }

  /** Messages up to a Sync; gives the last row. What is sent in one turn leaves as one piece. */
  send(messages: Buffer, onRow?: (row: Buffer) => void): Promise<Buffer> {
    if (this.#unsent.length === 0) process.nextTick(() => this.#write());
    this.#unsent.push(messages);
    return new Promise((resolve, reject) => this.#flights.push({ resolve, reject, onRow }));
  }

  close(): Promise<void> {
    this.#socket.removeAllListeners('data');
    return this.#client.end();
  }

  #write(): void {
    const unsent = this.#unsent;
    this.#unsent = [];
    this.#socket.write(unsent.length === 1 ? (unsent[0] ?? NO_ROW) : Buffer.concat(unsent));
  }

  #read(chunk: Buffer<ArrayBuffer>): void {
    const bytes = this.#rest === undefined ? chunk : Buffer.concat([this.#rest, chunk]);
    let at = 0;
    while (bytes.length - at >= HEADER) {
      const end = at + 1 + bytes.readInt32BE(at + 1);
      if (end > bytes.length) break;
      const type = bytes[at];
      if (type === DATA_ROW) this.#keep(bytes.subarray(at + HEADER, end));
      else if (type === READY) this.#landed();
      else if (type === ERROR) this.#error = bytes.toString('utf8', at + HEADER, end);
      at = end;
    }
    this.#rest = at === bytes.length ? undefined : bytes.subarray(at);
  }

  #keep(row: Buffer): void {
    this.#row = row;
    this.#flights[0]?.onRow?.(row);
  }

  #landed(): void {
    const flight = this.#flights.shift();
    if (this.#error === undefined) flight?.resolve(this.#row);
    else flight?.reject(new Error(this.#error));
    this.#row = NO_ROW;
    this.#error = undefined;
  }
}
