/** One message of the client, as the server reads it. */
export interface ClientMessage {
  /** Its letter; empty for what begins a session, which has none. */
  readonly type: string;
  readonly bytes: Buffer;
}

const HEADER = 5;
const STARTUP = 0x00;

/** In front of a statement: white space, comments, and the statement before it. */
const FRONT = String.raw`(?:^|;)(?:\s|--[^\n]*(?:\n|$)|/\*[\s\S]*?\*/)*`;
const COPY_PROGRAM = new RegExp(`${FRONT}copy\\b[^;]*\\b(?:from|to)\\s+program\\b`, 'i');
const COPY_FROM_STDIN = new RegExp(`${FRONT}copy\\b[^;]*\\bfrom\\s+stdin\\b`, 'i');

/** What runs in the place of a COPY … PROGRAM, so that the error is the server's own. */
const REFUSAL =
  "DO $$BEGIN RAISE feature_not_supported USING MESSAGE = 'COPY … PROGRAM needs another process, which PGlite " +
  "cannot start', HINT = 'Use postgresql:// with a server.'; END$$";

/** Cuts what a client has written into its messages. */
export function splitMessages(written: Buffer): ClientMessage[] {
  if (written[0] === STARTUP) return [{ type: '', bytes: written }];
  const messages: ClientMessage[] = [];
  for (let at = 0; at + HEADER <= written.length;) {
    const end = at + 1 + written.readUInt32BE(at + 1);
    messages.push({
      type: String.fromCharCode(written[at] ?? 0),
      bytes: written.subarray(at, end),
    });
    at = end;
  }
  return messages;
}

/** The text of the statement in a message; empty where there is none. */
export function statementOf({ type, bytes }: ClientMessage): string {
  if (type === 'Q') return textsOf(bytes, 1)[0] ?? '';
  return type === 'P' ? (textsOf(bytes, 2)[1] ?? '') : '';
}

/** A message of a letter and texts. */
export function messageOf(type: string, ...texts: readonly string[]): Buffer {
  const body = Buffer.from(texts.map((text) => `${text}\0`).join(''));
  const head = Buffer.alloc(HEADER);
  head.write(type);
  head.writeInt32BE(body.length + 4, 1);
  return Buffer.concat([head, body]);
}

/**
 * Knows of statements what must be known before they run: a COPY … PROGRAM would never return, and a COPY
 * FROM STDIN ends the server where nothing is written behind it.
 */
export class StatementGuard {
  /** The names of prepared statements that wait for rows; the one without a name is empty. */
  readonly #copies = new Set<string>();
  #isCopyBound = false;

  /** The message itself, or one that fails in its place. */
  admit({ type, bytes }: ClientMessage): Buffer {
    if (type !== 'P' && type !== 'Q') return bytes;
    const name = type === 'P' ? textsOf(bytes, 1)[0] : '';
    const text = statementOf({ type, bytes });
    if (COPY_FROM_STDIN.test(text)) this.#copies.add(name ?? '');
    else this.#copies.delete(name ?? '');
    if (!COPY_PROGRAM.test(text)) return bytes;
    if (type === 'Q') return messageOf('Q', REFUSAL);
    const parse = Buffer.concat([messageOf('P', name ?? '', REFUSAL), Buffer.alloc(2)]);
    parse.writeInt32BE(parse.length - 1, 1);
    return parse;
  }

  /** Whether the server will wait for rows when it has run `message`. */
  waitsForRows({ type, bytes }: ClientMessage): boolean {
    if (type === 'B') this.#isCopyBound = this.#copies.has(textsOf(bytes, 2)[1] ?? '');
    return (type === 'E' && this.#isCopyBound) || (type === 'Q' && this.#copies.has(''));
  }
}

/** Follows the answer to one message, as far as to know whether it came to its end. */
export class AnswerEnd {
  readonly #header: number[] = [];
  #left = 0;
  #last = '';

  read(data: Uint8Array): void {
    for (let at = 0; at < data.length;) {
      if (this.#left > 0) {
        const step = Math.min(this.#left, data.length - at);
        this.#left -= step;
        at += step;
        continue;
      }
      this.#header.push(data[at] ?? 0);
      at += 1;
      if (this.#header.length === HEADER) this.#begin();
    }
  }

  #begin(): void {
    const [code = 0, ...length] = this.#header.splice(0);
    this.#left = Buffer.from(length).readUInt32BE(0) - 4;
    const type = String.fromCharCode(code);
    // Notices, settings and notifications come at any time.
    if (!'NSA'.includes(type)) this.#last = type;
  }

  get isError(): boolean {
    return this.#last === 'E';
  }

  /** `isSkipping`: a message before failed, and the server reads on to the next Sync in silence. */
  isEndOf({ type }: ClientMessage, isSkipping: boolean): boolean {
    if (type === 'Q' || type === 'S') return this.#last === 'Z';
    if (isSkipping) return true;
    if (type === 'E') return 'CsIE'.includes(this.#last) && this.#last !== '';
    return !'PBDC'.includes(type) || type === '' || this.#last !== '';
  }
}

function textsOf(bytes: Buffer, count: number): string[] {
  const texts: string[] = [];
  for (let at = HEADER; texts.length < count;) {
    const zero = bytes.indexOf(0, at);
    if (zero === -1) break;
    texts.push(bytes.toString('utf8', at, zero));
    at = zero + 1;
  }
  return texts;
}
