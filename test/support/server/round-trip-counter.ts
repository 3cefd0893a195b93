import type { WireMessage } from './wire-reader.js';

/** Asks for an answer at once; CopyDone and CopyFail end a COPY, which ends in a ReadyForQuery. */
const questions = new Set([
  'Startup',
  'SSLRequest',
  'GSSENCRequest',
  'Password',
  'Query',
  'FunctionCall',
  'Sync',
  'CopyDone',
  'CopyFail',
]);
/** Authentication codes that the client has to answer: clear text, MD5, SASL, SASL continue. */
const challenges = new Set(['3', '5', '10', '11']);
/** The server sends these when it likes. */
const asynchronous = new Set(['NoticeResponse', 'NotificationResponse', 'ParameterStatus']);

/**
 * Counts how often the client of one connection had to wait.
 *
 * A wait is over with the ReadyForQuery (or challenge, or CopyInResponse) that answers what was asked; questions asked
 * while one is open share its wait. After a Flush, for which there is no such mark, it is over when the client goes on
 * after an answer.
 */
export class RoundTripCounter {
  readonly #onRoundTrip: () => void;
  #question: 'none' | 'asked' = 'none';
  #flush: 'none' | 'asked' | 'answered' = 'none';

  constructor(onRoundTrip: () => void) {
    this.#onRoundTrip = onRoundTrip;
  }

  see(message: WireMessage): void {
    if (message.from === 'client') this.#client(message);
    else this.#server(message);
  }

  #client({ type }: WireMessage): void {
    if (this.#flush === 'answered') {
      this.#flush = 'none';
      this.#onRoundTrip();
    }
    if (type === 'Flush') this.#flush = 'asked';
    if (questions.has(type)) this.#question = 'asked';
  }

  #server(message: WireMessage): void {
    if (isFinalAnswer(message)) {
      if (this.#question === 'asked') this.#onRoundTrip();
      this.#question = 'none';
      this.#flush = 'none';
    } else if (this.#flush === 'asked' && !asynchronous.has(message.type)) {
      this.#flush = 'answered';
    }
  }
}

function isFinalAnswer({ type, text = '' }: WireMessage): boolean {
  switch (type) {
    case 'ReadyForQuery':
    case 'CopyInResponse':
    case 'CopyBothResponse':
    case 'EncryptionReply':
      return true;
    case 'Authentication':
      return challenges.has(text);
    default:
      return false;
  }
}
