/** A value as Bind takes it: text, bytes in binary form, or NULL. */
export type WireValue = string | Buffer | null;

const SLAB = 16_384;

const CODE = {
  parse: 0x50,
  bind: 0x42,
  describe: 0x44,
  execute: 0x45,
  close: 0x43,
  sync: 0x53,
  flush: 0x48,
  query: 0x51,
} as const;

const PORTAL = 0x50;
const STATEMENT = 0x53;

/**
 * Writes messages one behind the other into memory of its own, so that a batch is one write to the socket.
 */
export class MessageWriter {
  /** What was taken is never written again: the socket may still have to send it. */
  #slab = Buffer.allocUnsafeSlow(SLAB);
  /** Where the first message that was not taken starts. */
  #start = 0;
  #at = 0;
  /** Where the length of the current message stands. */
  #length = 0;

  /** Everything written since the last call. */
  take(): Buffer {
    const bytes = this.#slab.subarray(this.#start, this.#at);
    if (this.#slab.length > SLAB) this.#forgetLarge();
    else this.#start = this.#at;
    return bytes;
  }

  /** What one large batch needed is not kept for the small ones behind it. */
  #forgetLarge(): void {
    this.#slab = Buffer.allocUnsafeSlow(SLAB);
    this.#start = 0;
    this.#at = 0;
  }

  /** How much was written and not taken; {@link rewind} goes back to it. */
  get mark(): number {
    return this.#at - this.#start;
  }

  /** Drops what was written behind `mark`, as after a batch that could not be written to its end. */
  rewind(mark: number): void {
    this.#at = this.#start + mark;
  }

  parse(name: string, text: string): void {
    this.#begin(CODE.parse);
    this.#text(name);
    this.#text(text);
    this.#int16(0);
    this.#end();
  }

  /** Strings are sent as text and bytes in binary form; every result column is asked for as text. */
  bind(portal: string, statement: string, values: readonly WireValue[]): void {
    this.#begin(CODE.bind);
    this.#text(portal);
    this.#text(statement);
    this.#formats(values);
    this.#int16(values.length);
    for (const value of values) this.#value(value);
    this.#int16(0);
    this.#end();
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
    this.#begin(CODE.execute);
    this.#text(portal);
    this.#int32(rows);
    this.#end();
  }

  sync(): void {
    this.#begin(CODE.sync);
    this.#end();
  }

  /** Asks for the answers to what was sent so far; the transaction goes on. */
  flush(): void {
    this.#begin(CODE.flush);
    this.#end();
  }

  query(text: string): void {
    this.#begin(CODE.query);
    this.#text(text);
    this.#end();
  }

  #named(code: number, kind: number, name: string): void {
    this.#begin(code);
    this.#slab[this.#at++] = kind;
    this.#text(name);
    this.#end();
  }

  // No formats at all: all values are text.
  #formats(values: readonly WireValue[]): void {
    if (!values.some(isBytes)) return this.#int16(0);
    this.#int16(values.length);
    for (const value of values) this.#int16(isBytes(value) ? 1 : 0);
  }

  #value(value: WireValue): void {
    if (value === null) return this.#int32(-1);
    if (typeof value !== 'string') {
      this.#int32(value.length);
      this.#reserve(value.length);
      this.#at += value.copy(this.#slab, this.#at);
      return;
    }
    this.#int32(0);
    // Relative: what is written may move to a larger slab.
    const before = this.#at - this.#start;
    this.#characters(value);
    const start = this.#start + before;
    this.#slab.writeInt32BE(this.#at - start, start - 4);
  }

  #text(text: string): void {
    this.#characters(text);
    this.#reserve(1);
    this.#slab[this.#at++] = 0;
  }

  #characters(text: string): void {
    this.#reserve(roomOf(text));
    this.#at = putText(this.#slab, this.#at, text);
  }

  #int16(value: number): void {
    this.#reserve(2);
    this.#at = this.#slab.writeUInt16BE(value, this.#at);
  }

  #int32(value: number): void {
    this.#reserve(4);
    this.#at = this.#slab.writeInt32BE(value, this.#at);
  }

  #begin(code: number): void {
    this.#reserve(6);
    this.#slab[this.#at] = code;
    this.#length = this.#at + 1 - this.#start;
    this.#at += 5;
  }

  #end(): void {
    const at = this.#start + this.#length;
    this.#slab.writeInt32BE(this.#at - at, at);
  }

  #reserve(size: number): void {
    if (this.#at + size <= this.#slab.length) return;
    const written = this.#at - this.#start;
    const slab = Buffer.allocUnsafeSlow(Math.max(SLAB, 2 * (written + size)));
    this.#slab.copy(slab, 0, this.#start, this.#at);
    this.#slab = slab;
    this.#start = 0;
    this.#at = written;
  }
}

function isBytes(value: WireValue): boolean {
  return typeof value === 'object' && value !== null;
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
