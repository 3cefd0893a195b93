import { InterfaceError } from '../../../errors/errors.js';

/**
 * Where the answers to a batch go, as positions in the bytes of the wire: nothing is copied or decoded on the
 * way.
 */
export interface MessageTarget {
  handleDataRow(bytes: Buffer, start: number, end: number): void;
  handleTag(bytes: Buffer, start: number, end: number): void;
  handleParseComplete(): void;
  handlePortalSuspended(): void;
}

/** What a reader does with all that is not a target's. */
export interface MessageOutlet {
  /** One whole message, for pg. */
  pass(message: Buffer): void;
  /** `status` as the server writes it: I, T or E. */
  ready(status: number): void;
  /** What came is no message; nothing is read after it. */
  refuse(error: Error): void;
}

/** A byte for the type, and four for the length, which counts itself. */
const HEADER = 5;
const FIRST_CAPACITY = 16_384;

/** The first bytes of the messages that a target takes. */
const DATA_ROW = 0x44;
const COMMAND_COMPLETE = 0x43;
const PARSE_COMPLETE = 0x31;
const BIND_COMPLETE = 0x32;
const CLOSE_COMPLETE = 0x33;
const NO_DATA = 0x6e;
const PORTAL_SUSPENDED = 0x73;
const READY_FOR_QUERY = 0x5a;

/** Cuts what arrives into messages. While a target is set it gets its own; everything else is passed on. */
export class MessageReader {
  /** Set when a batch is written, until its ReadyForQuery has come. */
  target: MessageTarget | undefined;
  readonly #outlet: MessageOutlet;
  /** A message that has not come to its end, and how much of it is here. */
  #held: Buffer | undefined;
  #heldLength = 0;
  #state: 'reading' | 'refused' = 'reading';

  constructor(outlet: MessageOutlet) {
    this.#outlet = outlet;
  }

  read(chunk: Buffer): void {
    if (this.#state === 'refused') return;
    let at = this.#held === undefined ? 0 : this.#complete(chunk);
    while (at + HEADER <= chunk.length) {
      const end = at + this.#sizeAt(chunk, at);
      if (end > chunk.length) break;
      this.#take(chunk, at, end);
      at = end;
    }
    if (at < chunk.length && this.#state === 'reading') this.#hold(chunk, at);
  }

  #sizeAt(bytes: Buffer, at: number): number {
    const length = bytes.readUInt32BE(at + 1);
    return length < HEADER - 1 ? this.#refuse() : length + 1;
  }

  /** Of a message that has no end, nothing is ever taken. */
  #refuse(): number {
    if (this.#state === 'refused') return Number.POSITIVE_INFINITY;
    this.#state = 'refused';
    const message = 'the server sent bytes that are no message of the protocol. Is it a PostgreSQL server?';
    this.#outlet.refuse(new InterfaceError(message, { connectionInvalidated: true }));
    return Number.POSITIVE_INFINITY;
  }

  #hold(chunk: Buffer, at: number): void {
    const length = chunk.length - at;
    const size = length < HEADER ? HEADER : this.#sizeAt(chunk, at);
    if (this.#state === 'refused') return;
    this.#held = Buffer.allocUnsafe(Math.min(size, Math.max(FIRST_CAPACITY, 2 * length)));
    this.#heldLength = chunk.copy(this.#held, 0, at);
  }

  /** Adds to the held message what of `chunk` belongs to it; gives where the next message begins. */
  #complete(chunk: Buffer): number {
    const headerEnd = this.#append(chunk, 0, HEADER);
    if (this.#held === undefined || this.#heldLength < HEADER) return headerEnd;
    const size = this.#sizeAt(this.#held, 0);
    if (this.#state === 'refused') return chunk.length;
    const end = this.#append(chunk, headerEnd, size);
    if (this.#heldLength < size) return end;
    const message = this.#held;
    this.#held = undefined;
    this.#take(message, 0, size);
    return end;
  }

  /** Copies until `size` bytes are held. The length is the server's word: room is made for what has come. */
  #append(chunk: Buffer, at: number, size: number): number {
    const end = Math.min(chunk.length, at + Math.max(0, size - this.#heldLength));
    const length = this.#heldLength + end - at;
    let held = this.#held ?? Buffer.alloc(0);
    if (length > held.length) {
      const larger = Buffer.allocUnsafe(Math.min(size, Math.max(length, 2 * held.length)));
      held.copy(larger, 0, 0, this.#heldLength);
      this.#held = held = larger;
    }
    chunk.copy(held, this.#heldLength, at, end);
    this.#heldLength = length;
    return end;
  }

  #take(bytes: Buffer, at: number, end: number): void {
    const { target } = this;
    if (target === undefined) return this.#outlet.pass(bytes.subarray(at, end));
    switch (bytes[at]) {
      case DATA_ROW:
        return target.handleDataRow(bytes, at + HEADER, end);
      case COMMAND_COMPLETE:
        // Without the zero behind the tag.
        return target.handleTag(bytes, at + HEADER, end - 1);
      case PARSE_COMPLETE:
        return target.handleParseComplete();
      case PORTAL_SUSPENDED:
        return target.handlePortalSuspended();
      case BIND_COMPLETE:
      case CLOSE_COMPLETE:
      case NO_DATA:
        return;
      case READY_FOR_QUERY:
        this.target = undefined;
        return this.#outlet.ready(bytes[at + HEADER] ?? 0);
      default:
        return this.#outlet.pass(bytes.subarray(at, end));
    }
  }
}
