import { isUtf8 } from 'node:buffer';
import type { CsvField, CsvLines } from '../../driver.js';
import { decodeAscii, decodeBoolean, decodeInteger, decodeText, type FieldDecoder } from './field-decoder.js';
import { malformedRow, type RowLayout } from './row-builder.js';

const FIRST_CAPACITY = 16_384;
/** UTF-8 takes no more bytes for a UTF-16 unit. */
const MOST_BYTES = 3;

const NO_DECODERS: readonly FieldDecoder[] = [];

const LETTER_T = 0x74;
const QUOTE = 0x22;
const COMMA = 0x2c;
const CARRIAGE_RETURN = 0x0d;
const LINE_FEED = 0x0a;

/**
 * The rows of a portal as lines of CSV, fetch by fetch. What is its own text on the wire is copied from
 * there; all else is decoded, and written by `field`.
 */
export class CsvWriter {
  readonly #field: CsvField;
  #out = Buffer.alloc(0);
  #capacity = FIRST_CAPACITY;
  #at = 0;
  #count = 0;
  #decoders: readonly FieldDecoder[] = NO_DECODERS;
  #layout: RowLayout | undefined;

  constructor(field: CsvField) {
    this.#field = field;
  }

  /** The lines of another fetch follow. */
  begin(): this {
    this.#at = 0;
    this.#count = 0;
    return this;
  }

  /** False: a type is unknown, so that rows of that have to wait until the database was asked about it. */
  isFor(layout: RowLayout): boolean {
    if (layout !== this.#layout) {
      this.#layout = layout;
      this.#decoders = layout.unknownTypes.length === 0 ? layout.decoders : NO_DECODERS;
    }
    return this.#decoders !== NO_DECODERS;
  }

  /** Writes a DataRow message as a line; throws for one that does not fit its columns. */
  write(bytes: Buffer, start: number, end: number): void {
    const decoders = this.#decoders;
    if (
      end - start < 2 ||
      (((bytes[start] as number) << 8) | (bytes[start + 1] as number)) !== decoders.length
    )
      throw malformedRow();
    // The length in front of each field leaves room for its comma and its quotes.
    this.#reserve(2 * (end - start));
    let at = start + 2;
    for (let index = 0; index < decoders.length; index += 1) {
      const size = end - at < 4 ? Number.POSITIVE_INFINITY : bytes.readInt32BE(at);
      at += 4;
      if (size > end - at || size < -1) throw malformedRow();
      if (index > 0) this.#out[this.#at++] = COMMA;
      if (size < 0) continue;
      this.#write(decoders[index] as FieldDecoder, bytes, at, at + size, 2 * (end - at) + 2);
      at += size;
    }
    if (at !== end) throw malformedRow();
    this.#out[this.#at++] = CARRIAGE_RETURN;
    this.#out[this.#at++] = LINE_FEED;
    this.#count += 1;
  }

  /** `left`: what the rest of the row may take at most, where its fields are their own texts. */
  #write(decode: FieldDecoder, bytes: Buffer, start: number, end: number, left: number): void {
    if (decode === decodeText) this.#at = writeText(bytes, start, end, this.#out, this.#at);
    else if (decode === decodeInteger || decode === decodeAscii)
      this.#at = copy(bytes, start, end, this.#out, this.#at);
    else if (decode === decodeBoolean)
      this.#at += this.#out.write(bytes[start] === LETTER_T ? 'true' : 'false', this.#at, 'latin1');
    else this.#writeValue(decode(bytes, start, end, '', start), left);
  }

  #writeValue(value: unknown, left: number): void {
    const text = this.#field(value);
    this.#reserve(text.length * MOST_BYTES + left);
    this.#at += this.#out.write(text, this.#at);
  }

  #reserve(size: number): void {
    if (this.#out.length - this.#at >= size) return;
    const larger = Buffer.allocUnsafe(Math.max(this.#capacity, 2 * this.#out.length, this.#at + size));
    this.#out.copy(larger, 0, 0, this.#at);
    this.#out = larger;
  }

  /** What was written, where that is anything. */
  take(): CsvLines | undefined {
    if (this.#count === 0) return undefined;
    const text = this.#out.subarray(0, this.#at);
    this.#out = Buffer.alloc(0);
    // The next one is about as long.
    this.#capacity = Math.ceil(1.1 * text.length) + FIRST_CAPACITY;
    // Of a database in SQL_ASCII, whose texts may be anything, as decoding would have it.
    return { text: isUtf8(text) ? text : Buffer.from(text.toString()), count: this.#count };
  }
}

/** Numbers and the like, which need no quotes. Gives where it has ended. */
function copy(bytes: Buffer, start: number, end: number, out: Buffer, at: number): number {
  let to = at;
  for (let from = start; from < end; from += 1) out[to++] = bytes[from] as number;
  return to;
}

function writeText(bytes: Buffer, start: number, end: number, out: Buffer, at: number): number {
  // As COPY has it, so that an empty string is not read back as NULL.
  if (start === end) return writeQuoted(bytes, start, end, out, at);
  let to = at;
  for (let from = start; from < end; from += 1) {
    const byte = bytes[from] as number;
    if (byte <= COMMA && needsQuotes(byte)) return writeQuoted(bytes, start, end, out, at);
    out[to++] = byte;
  }
  return to;
}

function needsQuotes(byte: number): boolean {
  return byte === COMMA || byte === QUOTE || byte === LINE_FEED || byte === CARRIAGE_RETURN;
}

function writeQuoted(bytes: Buffer, start: number, end: number, out: Buffer, at: number): number {
  let to = at;
  out[to++] = QUOTE;
  for (let from = start; from < end; from += 1) {
    const byte = bytes[from] as number;
    if (byte === QUOTE) out[to++] = QUOTE;
    out[to++] = byte;
  }
  out[to++] = QUOTE;
  return to;
}
