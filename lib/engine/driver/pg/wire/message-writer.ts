import { HEADER } from './message-form.js';

/** A value as Bind takes it: text, bytes in binary form, or NULL. */
export type WireValue = string | Buffer | null;

/** What is taken at once from the system. */
const SLAB = 16_384;
/** Less room is not worth being kept; and what ends a batch, behind a large message, needs so much. */
const LEAST_ROOM = 1_024;
/** How many are kept: so many sessions write at the same time, mostly one. */
const MOST_SLABS = 8;

/** Memory that is free from `start` on: what is in front of it the socket may still have to send. */
export interface Slab {
  readonly bytes: Buffer;
  readonly start: number;
}

const CODE = {
  parse: 0x50,
  bind: 0x42,
  describe: 0x44,
  execute: 0x45,
  close: 0x43,
  sync: 0x53,
  flush: 0x48,
  query: 0x51,
  copyDone: 0x63,
  copyFail: 0x66,
} as const;

const PORTAL = 0x50;
const STATEMENT = 0x53;

/** What a writer has while it holds nothing. */
const NO_MEMORY = Buffer.alloc(0);

/**
 * Writes messages one behind the other, so that a batch is one write to the socket. It has memory only while
 * it writes, of what the writers of an engine hand on to each other.
 */
export class MessageWriter {
  readonly #free: Slab[];
  /** What was taken is never written again: the socket may still have to send it. */
  #slab: Buffer = NO_MEMORY;
  /** Where the first message that was not taken starts. */
  #start = 0;
  #at = 0;
  /** Where the last batch that was written to its end has ended. */
  #whole = 0;

  constructor(free: Slab[] = []) {
    this.#free = free;
  }

  /** Everything written since the last call. */
  take(): Buffer {
    const bytes = this.#slab.subarray(this.#start, this.#at);
    // What one large batch needed is not kept for small ones.
    const isKept = this.#slab.length === SLAB && SLAB - this.#at >= LEAST_ROOM;
    if (isKept && this.#free.length < MOST_SLABS) this.#free.push({ bytes: this.#slab, start: this.#at });
    this.#slab = NO_MEMORY;
    this.#start = this.#at = this.#whole = 0;
    return bytes;
  }

  /** Drops what was written since the last Sync, as after a batch that could not be written to its end. */
  rewind(): void {
    this.#at = this.#whole;
  }

  /** `typeOids` are the types of the values, from the first on; 0: as the server infers it. */
  parse(name: string, text: string, typeOids: readonly number[] = []): void {
    const start = this.#open(CODE.parse, roomOf(name) + roomOf(text) + 4 + typeOids.length * 4);
    const bytes = this.#slab;
    let at = putText(bytes, start + HEADER, name);
    bytes[at++] = 0;
    at = putText(bytes, at, text);
    bytes[at++] = 0;
    at = bytes.writeUInt16BE(typeOids.length, at);
    for (const oid of typeOids) at = bytes.writeUInt32BE(oid, at);
    this.#close(start, at);
  }

  /** Strings are sent as text and bytes in binary form; every result column is asked for as text. */
  bind(portal: string, statement: string, values: readonly WireValue[]): void {
    let room = roomOf(portal) + roomOf(statement) + 8;
    let formats = 0;
    for (const value of values) {
      room += 6;
      if (typeof value === 'string') room += roomOf(value);
      else if (value !== null) {
        room += value.length;
        formats = values.length;
      }
    }
    const start = this.#open(CODE.bind, room);
    const bytes = this.#slab;
    let at = putText(bytes, start + HEADER, portal);
    bytes[at++] = 0;
    at = putText(bytes, at, statement);
    bytes[at++] = 0;
    // No formats at all: all values are text.
    at = bytes.writeUInt16BE(formats, at);
    if (formats > 0)
      for (const value of values)
        at = bytes.writeUInt16BE(value === null || typeof value === 'string' ? 0 : 1, at);
    at = bytes.writeUInt16BE(values.length, at);
    for (const value of values) {
      let end = at + 4;
      if (typeof value === 'string') end = putText(bytes, end, value);
      else if (value !== null) end += value.copy(bytes, end);
      bytes.writeInt32BE(value === null ? -1 : end - at - 4, at);
      at = end;
    }
    this.#close(start, bytes.writeUInt16BE(0, at));
  }

  describePortal(name: string): void {
    this.#named(CODE.describe, PORTAL, name);
  }

  describeStatement(name: string): void {
    this.#named(CODE.describe, STATEMENT, name);
  }

  closePortal(name: string): void {
    this.#named(CODE.close, PORTAL, name);
  }

  closeStatement(name: string): void {
    this.#named(CODE.close, STATEMENT, name);
  }

  /** `rows`: at most so many; 0: all. */
  execute(portal: string, rows: number): void {
    const start = this.#open(CODE.execute, roomOf(portal) + 5);
    const bytes = this.#slab;
    const at = putText(bytes, start + HEADER, portal);
    bytes[at] = 0;
    this.#close(start, bytes.writeInt32BE(rows, at + 1));
  }

  sync(): void {
    const start = this.#open(CODE.sync, 0);
    this.#close(start, start + HEADER);
    this.#whole = this.#at;
  }

  /** Asks for the answers to what was sent so far; the transaction goes on. */
  flush(): void {
    const start = this.#open(CODE.flush, 0);
    this.#close(start, start + HEADER);
  }

  query(text: string): void {
    this.#texted(CODE.query, text);
  }

  /** The end of the rows. */
  copyDone(): void {
    const start = this.#open(CODE.copyDone, 0);
    this.#close(start, start + HEADER);
  }

  copyFail(reason: string): void {
    this.#texted(CODE.copyFail, reason);
  }

  #texted(code: number, text: string): void {
    const start = this.#open(code, roomOf(text) + 1);
    const at = putText(this.#slab, start + HEADER, text);
    this.#slab[at] = 0;
    this.#close(start, at + 1);
    this.#whole = this.#at;
  }

  #named(code: number, kind: number, name: string): void {
    const start = this.#open(code, roomOf(name) + 2);
    this.#slab[start + HEADER] = kind;
    const at = putText(this.#slab, start + HEADER + 1, name);
    this.#slab[at] = 0;
    this.#close(start, at + 1);
  }

  /** Begins a message whose body needs `room` bytes at most; gives where it starts. */
  #open(code: number, room: number): number {
    const size = HEADER + room;
    if (this.#at + size > this.#slab.length) this.#grow(size);
    this.#slab[this.#at] = code;
    return this.#at;
  }

  /** The message that starts at `start` ends before `end`. */
  #close(start: number, end: number): void {
    this.#slab.writeInt32BE(end - start - 1, start + 1);
    this.#at = end;
  }

  #grow(size: number): void {
    const [slab, from] = [this.#slab, this.#start];
    const written = this.#at - from;
    // A large message is mostly the only one: its own room, and a little for what ends the batch.
    const room = written + size > SLAB ? 2 * written + size + LEAST_ROOM : SLAB;
    const free = this.#free.pop();
    const fits = free !== undefined && free.bytes.length - free.start >= written + size;
    this.#slab = fits ? free.bytes : Buffer.allocUnsafeSlow(room);
    this.#start = fits ? free.start : 0;
    slab.copy(this.#slab, this.#start, from, this.#at);
    this.#whole += this.#start - from;
    this.#at = this.#start + written;
  }
}

/** A longer text is measured in bytes; a shorter one is given the most that its characters may need. */
const LONG_TEXT = 1_024;
/** Up to it, copying characters one by one is quicker than a call out of JavaScript. */
const SHORT_TEXT = 32;

/** Bytes that are enough for `text`. */
export function roomOf(text: string): number {
  return text.length > LONG_TEXT ? Buffer.byteLength(text) : 3 * text.length;
}

/** Writes `text` where there is room for it, and returns where it ends. */
export function putText(bytes: Buffer, start: number, text: string): number {
  const { length } = text;
  if (length > SHORT_TEXT) return start + bytes.write(text, start, 'utf8');
  for (let index = 0; index < length; index += 1) {
    const code = text.charCodeAt(index);
    if (code > 0x7f) return start + bytes.write(text, start, 'utf8');
    bytes[start + index] = code;
  }
  return start + length;
}
