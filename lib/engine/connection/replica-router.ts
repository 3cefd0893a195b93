import type { AutocommitHost } from '../execution/autocommit.js';
import type { ConnectionObserver } from '../execution/connection-observer.js';
import { StatementStatsTable } from '../execution/sharing/statement-stats.js';
import { askBehind, AskingTarget, MarkingTarget, type Question } from './side-questions.js';
import type { CommandOptions, CommandResult, DriverConnection } from '../driver/driver.js';
import type { CommandTarget } from '../execution/invocation.js';
import type { Pool } from '../pool/pool.js';
import type { PooledConnection } from '../pool/pooled-connection.js';
import { lsnNumber, lsnText } from '../pool/replicas/lsn.js';
import type { AwaitedWrite } from '../pool/replicas/replay-progress.js';
import type { Replica } from '../pool/replicas/replica.js';
import type { ReplicaSet } from '../pool/replicas/replica-set.js';
import { WriteMark } from '../pool/replicas/write-mark.js';
import type { TransactionOptions } from '../transaction/isolation.js';
import { WaitEnd, type WaitSignal } from '../util/wait-end.js';

const REACHED = 'SELECT pg_last_wal_replay_lsn()::text AS "reached"';

/** Texts that are known to read, or not to. */
const MOST_TEXTS = 1_000;

/** What of an engine the router needs. */
export interface RouterHost {
  /** The primary's. */
  readonly pool: Pool;
  /** Undefined while nothing observes the engine. */
  engineObserver(): ConnectionObserver<unknown> | undefined;
  /** Waits for a connection of `pool` on behalf of the caller and of the scope that it works in. */
  connectTo(pool: Pool, signal?: WaitSignal): Promise<PooledConnection>;
  /** Those of the scopes that the caller is in. */
  writeMarks(): readonly WriteMark[];
}

/** What decides where work goes. */
export type RoutedOptions = Pick<TransactionOptions, 'readOnly' | 'isolationLevel' | 'server'>;

/** Decides where statements and root transactions of an engine with replicas go. */
export class ReplicaRouter {
  readonly set: ReplicaSet;
  readonly #host: RouterHost;
  readonly #texts = new StatementStatsTable(MOST_TEXTS);

  constructor(set: ReplicaSet, host: RouterHost) {
    this.set = set;
    this.#host = host;
  }

  /** True: it reads and does nothing else, as far as its text tells. */
  isPlainRead(text: string): boolean {
    return this.#texts.of(text).isRead;
  }

  /** The way of one statement or root; undefined: to the primary. */
  route(options: RoutedOptions | undefined): Route | undefined {
    if (options?.readOnly !== true || options.server === 'primary' || this.set.isBypassed) return undefined;
    // A standby refuses this level.
    if (options.isolationLevel === 'SERIALIZABLE') return undefined;
    const marks = this.#host.writeMarks();
    if (this.#mustReadPrimary(marks)) return undefined;
    const isCausal = this.set.options.readYourWrites === 'lsn';
    return new Route(this.set, this.#host, isCausal ? this.set.awaited(latestOf(marks)) : undefined);
  }

  /** Nothing that a replica could be asked tells whether it has what was written. */
  #mustReadPrimary(marks: readonly WriteMark[]): boolean {
    const { readYourWrites: mode } = this.set.options;
    if (mode === 'lsn') return marks.some(({ isUnplaced }) => isUnplaced);
    if (mode === false) return false;
    const since = mode === 'primary' ? 0 : Date.now() - mode.primaryFor;
    return marks.some(({ writtenAt }) => writtenAt !== undefined && writtenAt >= since);
  }

  /** Notes a write of the caller: at a place of the log; undefined: the place is not known. */
  get note(): (lsn: string | undefined) => void {
    const marks = this.#host.writeMarks();
    return (lsn) => {
      this.set.noteWrite(lsn);
      for (const mark of marks) mark.note(lsn);
    };
  }

  /** What a write runs on: it is asked for its place where reads on replicas need that. */
  marking(): AutocommitHost {
    const host = this.#host;
    return {
      get pool() {
        return host.pool;
      },
      engineObserver: () => host.engineObserver(),
      checkout: (signal) => host.connectTo(host.pool, signal),
      targetFor: (session) =>
        new MarkingTarget((send) => this.sendWrite(session, (told) => send(session, told))),
    };
  }

  /** Sends a write and notes it. */
  sendWrite<T>(
    session: DriverConnection,
    send: (options: CommandOptions | undefined) => Promise<T>,
  ): Promise<T> {
    const { note } = this;
    const { readYourWrites: mode } = this.set.options;
    if (mode === false) return send(undefined);
    if (mode === 'lsn' && !this.set.isBypassed) return askBehind(session, note, send);
    return send(undefined).then((answer) => {
      note(undefined);
      return answer;
    });
  }

  /** The writes that its bearer must see, the caller or another service; empty where there are none. */
  get token(): string {
    const marks = this.#host.writeMarks();
    if (marks.length === 0) return this.set.writes.token;
    const all = new WriteMark();
    for (const { token } of marks) all.take(token);
    return all.token;
  }
}

function latestOf(marks: readonly WriteMark[]): WriteMark {
  const all = new WriteMark();
  for (const { lsnText } of marks) if (lsnText !== '') all.note(lsnText);
  return all;
}

/** Whether a replica has what it was asked for, by what it has reached or as WAIT FOR LSN says it. */
function hear({ rows: [row] }: CommandResult, { progress }: Replica, after: AwaitedWrite): boolean {
  const { reached, status } = (row ?? {}) as { readonly reached?: unknown; readonly status?: unknown };
  const place = status === 'success' ? after.lsn : lsnNumber(reached);
  const isThere = place !== undefined && place >= after.lsn;
  if (isThere) progress.reaches(place);
  else progress.misses(after.age, place);
  return isThere;
}

/** Where one statement or root runs: on a replica, then on the next, then on the primary. */
export class Route implements AutocommitHost {
  readonly #set: ReplicaSet;
  readonly #host: RouterHost;
  readonly #tried = new Set<Replica>();
  /** What a replica must have. */
  readonly #after: AwaitedWrite | undefined;
  #replica: Replica | undefined;
  /** The replica had not reached it. */
  isBehind = false;

  constructor(set: ReplicaSet, host: RouterHost, after: AwaitedWrite | undefined) {
    this.#set = set;
    this.#host = host;
    this.#after = after;
  }

  /** What the replica is asked in front of the work; undefined: nothing. */
  get question(): Question | undefined {
    const { replica } = this;
    const after = this.#after;
    if (after === undefined || replica === undefined) return undefined;
    const isYes = (answer: CommandResult): boolean => hear(answer, replica, after);
    if (!replica.canWait) return { command: { text: REACHED }, isYes };
    const limit = this.#set.options.waitForWrites;
    const text = `WAIT FOR LSN '${lsnText(after.lsn)}' WITH (TIMEOUT '${limit}ms', NO_THROW)`;
    return { command: { text, prepare: false }, isYes };
  }

  targetFor(session: DriverConnection): CommandTarget {
    const { question } = this;
    return question === undefined ? session : new AskingTarget(session, question, () => this.fallBehind());
  }

  /** True: it goes by `replica`, on which there is a session already, unless that is likely to be behind. */
  staysAt(replica: Replica): boolean {
    if (!this.#set.mayHave(replica, this.#after)) return false;
    this.#take(replica);
    return true;
  }

  #take(replica: Replica | undefined): void {
    this.#replica = replica;
    if (this.#after !== undefined) replica?.progress.asks(this.#after);
  }

  /** The replica does not have the caller's own writes: the work runs on the primary. */
  fallBehind(): void {
    if (this.#replica !== undefined) this.#set.noteBehind(this.#replica);
    this.isBehind = true;
    this.#replica = undefined;
  }

  /** Undefined: the primary. */
  get replica(): Replica | undefined {
    return this.#replica;
  }

  get pool(): Pool {
    return (this.#replica ?? this.#host).pool;
  }

  engineObserver(): ConnectionObserver<unknown> | undefined {
    return this.#host.engineObserver();
  }

  /** Chooses; undefined where that is done at once. Throws, or rejects, where no replica takes work. */
  choose(): Promise<void> | undefined {
    const choose = (): void => this.#take(this.#set.choose(this.#tried, this.#after));
    const waiting = this.#set.ready();
    if (waiting !== undefined) return waiting.then(choose);
    choose();
    return undefined;
  }

  async checkout(signal?: WaitSignal): Promise<PooledConnection> {
    for (;;) {
      const { pool, replica } = this;
      if (replica === undefined) return await this.#host.connectTo(pool, signal);
      try {
        const end = new WaitEnd();
        return await end.follow([signal, replica.unreachable], () => this.#host.connectTo(pool, end));
      } catch (error) {
        if (signal?.aborted === true || !this.#set.isUnreachable(error)) throw error;
        if (replica.isUsable) this.#set.lose(replica, error);
        this.#tried.add(replica);
        this.#take(this.#set.choose(this.#tried, this.#after));
      }
    }
  }
}
