import type { Account, WideRow } from '../fixtures.js';
import { BareSession, columns, parse, run, SYNC } from './bare-session.js';
import type { OpenPeer, PartialPeer } from './peer.js';
import { COUNT_VISIT, SELECT_ACCOUNT, SELECT_WIDE } from './statements.js';

const join = (...messages: readonly Buffer[]): Buffer => Buffer.concat([...messages, SYNC]);

const PREPARE = join(
  parse('account', SELECT_ACCOUNT.text),
  parse('visit', COUNT_VISIT.text),
  parse('wide', SELECT_WIDE.text),
  parse('begin', 'BEGIN'),
  parse('commit', 'COMMIT'),
  parse('savepoint', 'SAVEPOINT nested'),
  parse('release', 'RELEASE SAVEPOINT nested'),
);
const WIDE = join(run('wide'));
const BEGIN = run('begin');
const SAVEPOINT = run('savepoint');
const RELEASE = run('release');
const COMMIT = join(run('commit'));
const RELEASE_AND_COMMIT = join(RELEASE, run('commit'));

/**
 * What the wire allows: messages written by hand in as few round trips as the library needs, and answers of
 * which only a row is looked at. No client can be below it; it is no client.
 */
class Floor implements PartialPeer {
  readonly #sessions: readonly BareSession[];
  readonly #idle: BareSession[];
  readonly #waiting: ((session: BareSession) => void)[] = [];
  readonly #shared: BareSession;

  constructor(shared: BareSession, sessions: readonly BareSession[]) {
    this.#shared = shared;
    this.#sessions = sessions;
    this.#idle = [...sessions];
  }

  async selectById(id: number): Promise<Account> {
    return accountOf(await this.#shared.send(join(run('account', String(id)))));
  }

  async selectWide(): Promise<readonly WideRow[]> {
    const rows: WideRow[] = [];
    await this.#shared.send(WIDE, (row) => rows.push(wideRowOf(row)));
    return rows;
  }

  async visit(id: number): Promise<number> {
    const session = await this.#take();
    const row = await session.send(join(BEGIN, run('account', String(id))));
    await session.send(join(run('visit', String(id))));
    await session.send(COMMIT);
    this.#giveBack(session);
    return accountOf(row).balance;
  }

  async nested(first: number, second: number): Promise<number> {
    const session = await this.#take();
    const one = await session.send(join(BEGIN, SAVEPOINT, run('account', String(first))));
    const other = await session.send(join(RELEASE, SAVEPOINT, run('account', String(second))));
    await session.send(RELEASE_AND_COMMIT);
    this.#giveBack(session);
    return accountOf(one).balance + accountOf(other).balance;
  }

  async close(): Promise<void> {
    await Promise.all([this.#shared, ...this.#sessions].map((session) => session.close()));
  }

  async #take(): Promise<BareSession> {
    return this.#idle.pop() ?? (await new Promise((resolve) => this.#waiting.push(resolve)));
  }

  #giveBack(session: BareSession): void {
    const waiting = this.#waiting.shift();
    if (waiting === undefined) this.#idle.push(session);
    else waiting(session);
  }
}

function accountOf(row: Buffer): Account {
  const [id, name = '', balance] = columns(row);
  return { id: Number(id), name, balance: Number(balance) };
}

/** `details` stays text. */
function wideRowOf(row: Buffer): WideRow {
  const [id, rank, total, title = '', code = '', price, active, created, score, details] = columns(row);
  return {
    id: Number(id),
    rank: Number(rank),
    total,
    title,
    code,
    price,
    active: active === 't',
    created: new Date(`${created ?? ''}:00`),
    score: Number(score),
    details,
  };
}

export const open: OpenPeer = async ({ url, connections }) => {
  const sessions = await Promise.all(
    Array.from({ length: connections + 1 }, async () => {
      const session = await BareSession.open(url);
      await session.send(PREPARE);
      return session;
    }),
  );
  const [shared, ...others] = sessions as [BareSession, ...BareSession[]];
  return new Floor(shared, others);
};
