import { InterfaceError } from '../../../errors/errors.js';
import { HEADER, isWellFormed, LONGEST, unsupportedAuthentication, type Phase } from './message-form.js';
import { reasonOf } from '../../../errors/thrown.js';

/**
 * Where the answers to a batch go, as positions in the bytes of the wire: nothing is copied or decoded on the
 * way.
 */
export interface MessageTarget {
  handleDataRow(bytes: Buffer, start: number, end: number): void;
  handleTag(bytes: Buffer, start: number, end: number): void;
  handleParseComplete(): void;
  handlePortalSuspended(): void;
  handleCopyData(bytes: Buffer, start: number, end: number): void;
}

/** What a reader does with all that is not a target's. */
export interface MessageOutlet {
  /** One whole message, for pg. */
  pass(message: Buffer): void;
  /** `status` as the server writes it: I, T or E. */
  ready(status: number): void;
  /** What came is not a message that may come now; nothing is read after it. */
  refuse(error: InterfaceError): void;
}

const FIRST_CAPACITY = 16_384;

/** The first bytes of the messages that a target takes. */
const DATA_ROW = 0x44;
const COPY_DATA = 0x64;
const COMMAND_COMPLETE = 0x43;
const PARSE_COMPLETE = 0x31;
const BIND_COMPLETE = 0x32;
const CLOSE_COMPLETE = 0x33;
const NO_DATA = 0x6e;
const PORTAL_SUSPENDED = 0x73;
export const READY_FOR_QUERY = 0x5a;

/** What ReadyForQuery says of the session: I, T or E. */
const IDLE = 0x49;
const IN_TRANSACTION = 0x54;
const FAILED = 0x45;

/**
 * Cuts what arrives into messages. While a target is set it gets its own; everything else is passed on. The
 * server is not believed: each message must have the form of its type, and come when its type may.
 */
export class MessageReader {
  /** Set when a batch is written, until its ReadyForQuery has come. */
  target: MessageTarget | undefined;
  readonly #outlet: MessageOutlet;
  /** A message that has not come to its end, and how much of it is here. */
  #held: Buffer | undefined;
  #heldLength = 0;
  #state: Phase | 'refused' = 'login';

  constructor(outlet: MessageOutlet) {
    this.#outlet = outlet;
  }

  /** The login is over before the first byte is read. */
  skipLogin(): void {
    this.#state = 'session';
  }

  read(chunk: Buffer): void {
    if (this.#state === 'refused') return;
    try {
      let at = this.#held === undefined ? 0 : this.#complete(chunk);
      while (at + HEADER <= chunk.length) {
        const end = at + this.#sizeAt(chunk, at);
        if (end > chunk.length) break;
        this.#take(chunk, at, end);
        at = end;
      }
      if (at < chunk.length) this.#hold(chunk, at);
    } catch (cause) {
      // Of a chunk that was read in part, the rest can't be made sense of.
      const reason = reasonOf(cause);
      this.#refuse(`a message of the server could not be read: ${reason}`, cause);
    }
  }

  /** Infinite where there is no message: of what has no end, nothing is ever taken. */
  #sizeAt(bytes: Buffer, at: number): number {
    if (this.#state === 'refused') return Number.POSITIVE_INFINITY;
    const length = bytes.readUInt32BE(at + 1);
    if (length >= HEADER - 1 && length <= (LONGEST[this.#state][bytes[at] ?? 0] ?? 0)) return length + 1;
    this.#refuseMessage(bytes, at);
    return Number.POSITIVE_INFINITY;
  }

  #refuseMessage(bytes: Buffer, at: number): void {
    const type = JSON.stringify(String.fromCharCode(bytes[at] ?? 0));
    this.#refuse(
      `the server sent a message (type ${type}) that has no place or no form in the protocol ` +
        'here. Is it a PostgreSQL server?',
    );
  }

  #refuse(message: string, cause?: unknown): void {
    if (this.#state === 'refused') return;
    this.#state = 'refused';
    this.#held = undefined;
    this.#outlet.refuse(new InterfaceError(message, { cause, connectionInvalidated: true }));
  }

  #hold(chunk: Buffer, at: number): void {
    const length = chunk.length - at;
    const size = length < HEADER ? HEADER : this.#sizeAt(chunk, at);
    if (size === Number.POSITIVE_INFINITY) return;
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
    if (target === undefined) return this.#pass(bytes, at, end);
    switch (bytes[at]) {
      case DATA_ROW:
        return target.handleDataRow(bytes, at + HEADER, end);
      case COPY_DATA:
        return target.handleCopyData(bytes, at + HEADER, end);
      case COMMAND_COMPLETE: {
        // A loop: a tag is short, and indexOf() leaves JavaScript.
        let zero = at + HEADER;
        while (zero < end && bytes[zero] !== 0) zero += 1;
        return zero === end - 1 ? target.handleTag(bytes, at + HEADER, zero) : this.#refuseMessage(bytes, at);
      }
      case PARSE_COMPLETE:
      case PORTAL_SUSPENDED:
      case BIND_COMPLETE:
      case CLOSE_COMPLETE:
      case NO_DATA:
        if (end !== at + HEADER) return this.#refuseMessage(bytes, at);
        if (bytes[at] === PARSE_COMPLETE) target.handleParseComplete();
        else if (bytes[at] === PORTAL_SUSPENDED) target.handlePortalSuspended();
        return;
      case READY_FOR_QUERY: {
        const status = bytes[at + HEADER];
        const isStatus = status === IDLE || status === IN_TRANSACTION || status === FAILED;
        if (!isStatus || end !== at + HEADER + 1) return this.#refuseMessage(bytes, at);
        this.target = undefined;
        return this.#outlet.ready(status);
      }
      default:
        return this.#pass(bytes, at, end);
    }
  }

  #pass(bytes: Buffer, at: number, end: number): void {
    if (this.#state === 'refused') return;
    if (!isWellFormed(this.#state, bytes, at, end)) {
      const name = unsupportedAuthentication(bytes, at, end);
      if (name === undefined) return this.#refuseMessage(bytes, at);
      return this.#refuse(
        `the server asks for ${name}, which the driver pg does not support. ` +
          'Use scram-sha-256 in its pg_hba.conf.',
      );
    }
    if (bytes[at] === READY_FOR_QUERY) this.#state = 'session';
    this.#outlet.pass(bytes.subarray(at, end));
  }
}
