/** One message of the PostgreSQL protocol (https://www.postgresql.org/docs/current/protocol-message-formats.html). */
export interface WireMessage {
  readonly from: 'client' | 'server';
  /** Its name in the manual: `Parse`, `ReadyForQuery`; without the suffix `Message`: `Startup`. */
  readonly type: string;
  /**
   * Of Query, Parse, Bind and Execute the SQL, of CommandComplete the tag, of ErrorResponse the SQLSTATE and the
   * message, of ReadyForQuery the status (I, T or E), of Authentication the code.
   */
  readonly text?: string;
  /** Counts the connections of the proxy, from 1. */
  readonly connection: number;
}

/** A message and the bytes that it came in. */
export interface WireFrame {
  readonly message: WireMessage;
  readonly bytes: Buffer;
}

const clientTypes: Readonly<Record<string, string>> = {
  B: 'Bind',
  C: 'Close',
  d: 'CopyData',
  c: 'CopyDone',
  f: 'CopyFail',
  D: 'Describe',
  E: 'Execute',
  H: 'Flush',
  F: 'FunctionCall',
  P: 'Parse',
  p: 'Password',
  Q: 'Query',
  S: 'Sync',
  X: 'Terminate',
};

const serverTypes: Readonly<Record<string, string>> = {
  R: 'Authentication',
  K: 'BackendKeyData',
  2: 'BindComplete',
  3: 'CloseComplete',
  C: 'CommandComplete',
  d: 'CopyData',
  c: 'CopyDone',
  G: 'CopyInResponse',
  H: 'CopyOutResponse',
  W: 'CopyBothResponse',
  D: 'DataRow',
  I: 'EmptyQueryResponse',
  E: 'ErrorResponse',
  V: 'FunctionCallResponse',
  v: 'NegotiateProtocolVersion',
  n: 'NoData',
  N: 'NoticeResponse',
  A: 'NotificationResponse',
  t: 'ParameterDescription',
  S: 'ParameterStatus',
  1: 'ParseComplete',
  s: 'PortalSuspended',
  Z: 'ReadyForQuery',
  T: 'RowDescription',
};

/** What a connection may begin with instead of the startup message. */
const requests: Readonly<Record<number, string>> = {
  80877102: 'CancelRequest',
  80877103: 'SSLRequest',
  80877104: 'GSSENCRequest',
};

/** `startup` and `reply` have no type byte; behind `encrypted` nothing can be read. */
type Phase = 'startup' | 'reply' | 'messages' | 'encrypted';

/** Both directions of one connection; they share the phase and the names of statements and portals. */
export class WireReader {
  readonly #connection: number;
  readonly #statements = new Map<string, string>();
  readonly #portals = new Map<string, string>();
  readonly #rest = { client: Buffer.alloc(0), server: Buffer.alloc(0) };
  #phase: Phase = 'startup';

  constructor(connection: number) {
    this.#connection = connection;
  }

  /** The messages that `chunk` completes. */
  read(from: WireMessage['from'], chunk: Buffer): WireFrame[] {
    let rest = Buffer.concat([this.#rest[from], chunk]);
    const frames: WireFrame[] = [];
    for (;;) {
      const length = this.#frameLength(from, rest);
      if (length === undefined || rest.length < length) break;
      const bytes = rest.subarray(0, length);
      rest = rest.subarray(length);
      frames.push({ message: { from, connection: this.#connection, ...this.#decode(from, bytes) }, bytes });
    }
    this.#rest[from] = rest;
    return frames;
  }

  #frameLength(from: WireMessage['from'], rest: Buffer): number | undefined {
    if (rest.length === 0) return undefined;
    if (this.#phase === 'encrypted') return rest.length;
    if (from === 'server' && this.#phase === 'reply') return 1;
    if (from === 'client' && this.#phase !== 'messages')
      return rest.length < 4 ? undefined : rest.readInt32BE(0);
    return rest.length < 5 ? undefined : 1 + rest.readInt32BE(1);
  }

  #decode(from: WireMessage['from'], bytes: Buffer): { type: string; text?: string } {
    if (this.#phase === 'encrypted') return { type: 'Encrypted' };
    if (from === 'client')
      return this.#phase === 'messages' ? this.#clientMessage(bytes) : this.#opening(bytes);
    if (this.#phase !== 'reply') return serverMessage(bytes);
    // S: what follows is TLS. N: the client goes on with a startup message.
    this.#phase = bytes.toString() === 'N' ? 'startup' : 'encrypted';
    return { type: 'EncryptionReply', text: bytes.toString() };
  }

  #opening(bytes: Buffer): { type: string } {
    const request = requests[bytes.readInt32BE(4)];
    this.#phase = request === undefined ? 'messages' : 'reply';
    return { type: request ?? 'Startup' };
  }

  #clientMessage(bytes: Buffer): { type: string; text?: string } {
    const letter = String.fromCharCode(bytes.readUInt8(0));
    const type = clientTypes[letter] ?? letter;
    const text = this.#sqlOf(type, bytes);
    return text === undefined ? { type } : { type, text };
  }

  #sqlOf(type: string, bytes: Buffer): string | undefined {
    const [first = '', second = ''] = strings(bytes, 5, 2);
    switch (type) {
      case 'Query':
        return first;
      case 'Parse':
        this.#statements.set(first, second);
        return second;
      case 'Bind': {
        const sql = this.#statements.get(second) ?? '';
        this.#portals.set(first, sql);
        return sql;
      }
      case 'Execute':
        return this.#portals.get(first);
      default:
        return undefined;
    }
  }
}

function serverMessage(bytes: Buffer): { type: string; text?: string } {
  const letter = String.fromCharCode(bytes.readUInt8(0));
  const type = serverTypes[letter] ?? letter;
  switch (type) {
    case 'CommandComplete':
      return { type, text: strings(bytes, 5, 1)[0] ?? '' };
    case 'ErrorResponse':
      return { type, text: errorText(bytes) };
    case 'ReadyForQuery':
      return { type, text: bytes.toString('latin1', 5, 6) };
    case 'Authentication':
      return { type, text: String(bytes.readInt32BE(5)) };
    default:
      return { type };
  }
}

function errorText(bytes: Buffer): string {
  const fields = strings(bytes, 5, Infinity);
  const field = (letter: string): string => fields.find((value) => value.startsWith(letter))?.slice(1) ?? '';
  return `${field('C')} ${field('M')}`;
}

/** Up to `count` strings from `start` on, each ended by a zero. */
function strings(bytes: Buffer, start: number, count: number): string[] {
  const found: string[] = [];
  for (let from = start; found.length < count;) {
    const end = bytes.indexOf(0, from);
    if (end < 0) break;
    found.push(bytes.toString('utf8', from, end));
    from = end + 1;
  }
  return found;
}
