import type { Socket } from 'node:net';
import { startScriptedServer, type ScriptedServer } from './scripted-server.js';
import { serverMessages as says } from './server-messages.js';

/** What a server says in an error or a notice, by the letters of the protocol: C state, M message, W where … */
export type Said = Readonly<Record<string, string>>;

/** What a statement comes to; without rows it has none. */
export interface Answer {
  readonly tag?: string;
  readonly error?: Said;
  readonly warnings?: readonly Said[];
  /** Texts in one column, or booleans. */
  readonly rows?: Readonly<Record<string, readonly (string | boolean)[]>>;
}

/** Answers a statement in its own way; undefined: as a server does that stores nothing. */
export type Dialect = (sql: string, session: FakeSession) => Answer | undefined;

const TEXT = 25;
const BOOL = 16;

const say = (type: 'E' | 'N', severity: string, said: Said): Buffer =>
  says.message(
    type,
    ...Object.entries({ S: severity, ...said }).map(([letter, value]) => says.text(`${letter}${value}`)),
    Buffer.alloc(1),
  );

/** A server that speaks the protocol of statements and answers them as `dialect` says. */
export async function startFakeDatabase(
  dialect: Dialect,
): Promise<ScriptedServer & { readonly statements: string[]; syncs: number }> {
  const sessions = new WeakMap<Socket, FakeSession>();
  const log = { statements: [] as string[], syncs: 0 };
  const server = await startScriptedServer({
    onData: (socket, bytes) => {
      const session = sessions.get(socket) ?? new FakeSession(socket, dialect, log);
      sessions.set(socket, session);
      session.read(bytes);
    },
  });
  return Object.assign(log, server);
}

/** One session of it. */
export class FakeSession {
  status: 'I' | 'T' | 'E' = 'I';
  /** True: what comes behind a statement that has failed is run, as where a flight is taken apart. */
  isTakenApart = false;
  /** Portals that rows are still to be fetched from. */
  readonly suspended = new Set<string>();
  readonly #socket: Socket;
  readonly #dialect: Dialect;
  readonly #log: { readonly statements: string[]; syncs: number };
  readonly #texts = new Map<string, string>();
  readonly #portals = new Map<
    string,
    { readonly sql: string; own?: Answer | undefined; answer?: Answer; sent: number }
  >();
  #held = Buffer.alloc(0);
  #isSkipping = false;

  constructor(socket: Socket, dialect: Dialect, log: { readonly statements: string[]; syncs: number }) {
    this.#socket = socket;
    this.#dialect = dialect;
    this.#log = log;
  }

  read(bytes: Buffer): void {
    this.#held = Buffer.concat([this.#held, bytes]);
    while (this.#held.length >= 5 && this.#held.length > this.#held.readInt32BE(1)) {
      const end = this.#held.readInt32BE(1) + 1;
      this.#take(String.fromCharCode(this.#held[0] ?? 0), this.#held.subarray(5, end));
      this.#held = this.#held.subarray(end);
    }
  }

  #take(type: string, body: Buffer): void {
    const [first = '', second = ''] = body.toString('utf8').split('\0');
    if (type === 'S') return this.#sync();
    if (this.#isSkipping) return;
    switch (type) {
      case 'Q':
        this.#portals.set('', { sql: first, own: this.#dialect(first, this), sent: 0 });
        this.#execute('', 0);
        return this.#sync();
      case 'P':
        this.#texts.set(first, second);
        return void this.#socket.write(says.parseComplete());
      case 'B':
        this.#portals.set(first, { sql: this.#texts.get(second) ?? '', sent: 0 });
        return void this.#socket.write(says.bindComplete());
      case 'D':
        return this.#describe(first.slice(0, 1), first.slice(1));
      case 'E':
        return this.#execute(first, body.readInt32BE(Buffer.byteLength(first) + 1));
      case 'C':
        this.#portals.delete(first.slice(1));
        this.suspended.delete(first.slice(1));
        return void this.#socket.write(says.message('3'));
    }
  }

  #sync(): void {
    this.#log.syncs += 1;
    this.#isSkipping = false;
    this.#socket.write(says.readyForQuery(this.status));
  }

  #describe(kind: string, name: string): void {
    const portal = kind === 'P' ? this.#portals.get(name) : undefined;
    const statement = portal?.sql ?? this.#texts.get(name) ?? '';
    if (portal === undefined) {
      const types = [...statement.matchAll(/\$\d+/g)].map(() => says.int32(TEXT));
      this.#socket.write(says.message('t', says.int16(types.length), ...types));
    }
    const own = this.#dialect(statement, this);
    if (portal !== undefined) portal.own = own;
    const columns = own?.rows;
    if (columns === undefined) return void this.#socket.write(says.message('n'));
    const types = Object.entries(columns).map(([column, [value]]) => [
      column,
      typeof value === 'boolean' ? BOOL : TEXT,
    ]);
    this.#socket.write(says.rowDescription(Object.fromEntries(types) as Record<string, number>));
  }

  #execute(name: string, limit: number): void {
    const portal = this.#portals.get(name);
    if (portal === undefined) return;
    if (portal.answer === undefined) {
      this.#log.statements.push(portal.sql);
      portal.answer = this.#answer(portal.sql, portal.own ?? this.#dialect(portal.sql, this));
    }
    const { answer } = portal;
    for (const warning of answer.warnings ?? []) this.#socket.write(say('N', 'WARNING', warning));
    if (answer.error !== undefined) return this.#fail(answer.error);
    const columns = Object.values(answer.rows ?? {});
    const count = columns[0]?.length ?? 0;
    const end = limit === 0 ? count : Math.min(count, portal.sent + limit);
    for (let row = portal.sent; row < end; row += 1) {
      const values = columns.map((column) => column[row] ?? '');
      this.#socket.write(
        says.dataRow(values.map((value) => (typeof value === 'string' ? value : value ? 't' : 'f'))),
      );
    }
    portal.sent = end;
    if (end < count) this.suspended.add(name);
    else this.suspended.delete(name);
    this.#socket.write(end < count ? says.portalSuspended() : says.commandComplete(answer.tag ?? 'SELECT 0'));
  }

  #fail(error: Said): void {
    this.#isSkipping = !this.isTakenApart;
    if (this.status === 'T') this.status = 'E';
    this.#socket.write(say('E', 'ERROR', error));
  }

  #answer(sql: string, own: Answer | undefined): Answer {
    const [word = ''] = sql.split(/[\s;]/);
    const isEnd = /^(?:COMMIT|ROLLBACK)$/.test(sql);
    if (this.status === 'E' && !isEnd && !sql.startsWith('ROLLBACK TO'))
      return { error: { C: '25P02', M: 'current transaction is aborted' } };
    if (word === 'BEGIN') this.status = 'T';
    const hadFailed = this.status === 'E';
    if (isEnd) {
      this.status = 'I';
      this.suspended.clear();
    }
    if (own !== undefined && !(isEnd && hadFailed)) return own;
    if (sql.startsWith('ROLLBACK TO')) this.status = 'T';
    if (sql === 'COMMIT') return { tag: hadFailed ? 'ROLLBACK' : 'COMMIT' };
    return { tag: word === 'INSERT' ? 'INSERT 0 1' : word };
  }
}
