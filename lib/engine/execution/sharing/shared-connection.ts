import { runAutocommitted, type AutocommitHost, type Autocommitted } from '../autocommit.js';
import { NO_CONTROL } from '../../driver/driver.js';
import type { Command, CommandList, CommandOptions, CommandResult, Control } from '../../driver/driver.js';
import { DBAPIError } from '../../errors/errors.js';
import { classifyFailure } from '../connection-observer.js';
import type { CommandObserver, Invocation } from '../invocation.js';
import type { Pool } from '../../pool/pool.js';
import type { PooledConnection } from '../../pool/pooled-connection.js';
import type { Moment, StatementStats } from './statement-stats.js';
import { isPlainRead } from '../../statement/plain-read.js';
import { withoutTrailingComment } from '../../statement/trailing-comment.js';
import { clock, runNextTurn, startTimer, stopTimer, unref } from '../../util/clock.js';

/** Statements in flight on one connection at most. */
const CAPACITY = 64;
/** Milliseconds without an answer after which the reads behind the running one are sent elsewhere. */
const STUCK = 50;
/** Milliseconds for which it accepts reads while other callers wait for a connection. */
const MAX_AGE_WHILE_OTHERS_WAIT = 20;
/** Milliseconds after which it goes back to the pool, so that invalidation and recycling reach it. */
const MAX_AGE = 1_000;

const PIPELINED: CommandOptions = { isPipelined: true };
/** In front of a second run: what the text does not show, a view or an operator that writes, fails there. */
const READ_ONLY: readonly Control[] = [{ text: "SELECT set_config('transaction_read_only', 'on', true)" }];
const READ_ONLY_STATE = '25006';

/** A read as it is sent, with what is told of it. */
interface Read {
  readonly host: AutocommitHost;
  readonly command: Command;
  readonly options: CommandOptions;
  readonly observer: CommandObserver | undefined;
  readonly stats: StatementStats;
}

/** A read on its way. Settles once: of two answers, the second has no effect. */
interface PendingRead extends Read {
  /** Undefined once a second run has answered: what becomes of the first is not told. */
  observer: CommandObserver | undefined;
  readonly sent: Moment;
  /** True: another read was in front of it. */
  readonly isBehind: boolean;
  readonly resolve: (result: CommandResult) => void;
  readonly reject: (error: unknown) => void;
  /** Ends the wait of its second run for a connection. */
  secondRun: AbortController | undefined;
  /** What the connection was lost with. */
  loss: unknown;
}

/**
 * A pooled connection for plain reads of many callers at once: each is sent without waiting for the answers
 * to those before it, and has its own answer or error. It goes back to the pool with the last of them.
 */
export class SharedConnection {
  readonly #pool: Pool;
  readonly #pooled: PooledConnection;
  readonly #onReleased: () => void;
  /** In the order in which they were sent: the first one runs. */
  readonly #pending = new Set<PendingRead>();
  /** Those that a listener may still end the connection for. */
  readonly #observed = new Set<Read>();
  readonly #since = clock().now();
  #state: 'open' | 'draining' | 'lost' = 'open';
  #lastAnswer: Moment | undefined;
  #answers = 0;
  #watchdog: NodeJS.Timeout | undefined;

  /** `onReleased` is called when the connection goes back. */
  constructor(pool: Pool, pooled: PooledConnection, onReleased: () => void) {
    this.#pool = pool;
    this.#pooled = pooled;
    this.#onReleased = onReleased;
  }

  get load(): number {
    return this.#pending.size;
  }

  /** Milliseconds that the server needs for what is in flight. */
  get backlog(): number {
    let sum = 0;
    for (const { stats } of this.#pending) sum += stats.serviceTime ?? 0;
    return sum;
  }

  acceptsReads(pool: Pool): boolean {
    if (this.#state !== 'open' || this.#pending.size >= CAPACITY) return false;
    if (this.#pool !== pool || !this.#pooled.isValid) return false;
    const age = clock().now() - this.#since;
    // Without this limit, shared reads could keep a connection forever while exclusive callers wait.
    return age < (pool.waiting() === 0 ? MAX_AGE : MAX_AGE_WHILE_OTHERS_WAIT);
  }

  execute(host: AutocommitHost, invocation: Invocation, stats: StatementStats): Promise<CommandResult> {
    const { command, commands, observer } = invocation;
    if (observer === undefined) return this.#send({ host, command, options: PIPELINED, observer, stats });
    const read = { host, command, options: pipelinedFor(observer), observer, stats };
    return observer.isHeard
      ? this.#sendObserved(read, observer)
      : observer.run(commands, () => this.#send(read), this.#pooled.session);
  }

  /** Tells of the read once, however often it is sent. */
  #sendObserved(read: Read, observer: CommandObserver): Promise<CommandResult> {
    const { host, command } = read;
    const send = ([sent = command]: CommandList): Promise<CommandResult> => {
      if (sent === command) return this.#send(read);
      if (isStillRead(sent.text, command.text)) return this.#send({ ...read, command: sent });
      this.#endObserved(read);
      return runAutocommitted(host, alone({ ...read, command: sent }, observer), NO_CONTROL);
    };
    this.#observed.add(read);
    return observer.run([command], send, this.#pooled.session).then(
      (result) => {
        this.#endObserved(read);
        return result;
      },
      (error: unknown) => {
        observer.failed(error);
        if (observer.isInterrupted && this.#observed.has(read)) this.#lose(error, false);
        this.#endObserved(read);
        throw error;
      },
    );
  }

  #send(read: Read): Promise<CommandResult> {
    const { host, command, options, observer, stats } = read;
    return new Promise((resolve, reject) => {
      const isBehind = this.#pending.size > 0;
      const sent = stats.clock.moment();
      const pending: PendingRead = {
        host,
        command,
        options,
        observer,
        stats,
        sent,
        isBehind,
        resolve,
        reject,
        secondRun: undefined,
        loss: undefined,
      };
      this.#pending.add(pending);
      try {
        this.#pooled.session.execute(NO_CONTROL, read.command, read.options).then(
          (result) => this.#onAnswer(pending, result),
          (error: unknown) => this.#onFailure(pending, error),
        );
      } catch (error) {
        this.#onFailure(pending, error);
      }
      if (this.#pending.size > 1) this.#watchdog ??= this.#watch();
    });
  }

  #onAnswer(read: PendingRead, result: CommandResult): void {
    const { sent, stats, isBehind } = read;
    const answered = stats.clock.moment();
    if (isBehind) stats.recordGap(sent, this.#lastAnswer ?? sent, answered, result.bytes);
    else stats.recordAlone(sent, answered, result.bytes);
    this.#lastAnswer = answered;
    read.resolve(result);
    read.secondRun?.abort();
    this.#remove(read);
  }

  #onFailure(read: PendingRead, error: unknown): void {
    const wasLost = this.#state === 'lost';
    // Listeners are not told of what a second run may make good.
    const isLast = read.secondRun === undefined && !wasLost;
    const observer = isLast ? (read.observer ?? read.host.engineObserver()) : undefined;
    const { isDisconnect, invalidatesPool } = classifyFailure(error, observer);
    if (isDisconnect) {
      read.loss = error;
      if (isLast) fail(read, error);
      else if (read.secondRun === undefined) this.#runAgain(read);
      this.#lose(error, invalidatesPool);
    } else {
      fail(read, error);
      read.secondRun?.abort();
    }
    this.#remove(read);
  }

  #lose(error: unknown, invalidatesPool: boolean): void {
    if (this.#state === 'lost') return;
    this.#state = 'lost';
    if (invalidatesPool) this.#pool.invalidateAll(this.#pooled);
    this.#pooled.invalidate(error);
  }

  #remove(read: PendingRead): void {
    this.#answers += 1;
    this.#pending.delete(read);
    this.#releaseWhenDone();
  }

  #endObserved(read: Read): void {
    if (this.#observed.delete(read)) this.#releaseWhenDone();
  }

  #releaseWhenDone(): void {
    if (this.#pending.size > 0 || this.#observed.size > 0) return;
    stopTimer(this.#watchdog);
    this.#onReleased();
    void this.#pooled.giveBack();
  }

  /**
   * Sends a read a second time, on a connection of its own: what only reads and has given no answer may run
   * twice. The first answer of the two counts; a failure of the second run counts only where the first was
   * lost.
   */
  #runAgain(read: PendingRead): void {
    const secondRun = new AbortController();
    read.secondRun = secondRun;
    const { host } = read;
    runAutocommitted(host, alone(read, UNOBSERVED), READ_ONLY, { signal: secondRun.signal }).then(
      (result) => {
        read.observer = undefined;
        read.resolve(result);
      },
      (error: unknown) => {
        if (read.loss !== undefined) return fail(read, hasWritten(error) ? read.loss : error);
        // The first run is still under way, and has the last word.
        read.secondRun = undefined;
      },
    );
  }

  // A statement that is usually quick may hit a lock; do not keep the reads behind it waiting.
  #watch(): NodeJS.Timeout {
    const answers = this.#answers;
    const look = (): void => {
      this.#watchdog = undefined;
      if (this.#answers === answers) this.#moveReads();
      else if (this.#pending.size > 1) this.#watchdog = this.#watch();
    };
    // Where the process itself was busy, the answers may be there already and only have to be read.
    return unref(startTimer(() => runNextTurn(look), STUCK));
  }

  #moveReads(): void {
    const [running, ...others] = this.#pending;
    this.#state = 'draining';
    running?.stats.recordStuck(10 * STUCK);
    for (const read of others) this.#runAgain(read);
  }
}

function fail({ observer, reject }: PendingRead, error: unknown): void {
  observer?.failed(error);
  reject(error);
}

/** Nothing is told of a second run: the first has told of the read. */
const UNOBSERVED: NonNullable<Autocommitted['observer']> = {
  failed: (error) => classifyFailure(error, undefined),
  isInterrupted: false,
};

/** As {@link PIPELINED}. */
function pipelinedFor(observer: CommandObserver): CommandOptions {
  return { isPipelined: true, onFlight: (flight) => observer.left(flight) };
}

/** One run of a read on a connection of its own. */
function alone({ command, options }: Read, observer: Autocommitted['observer']): Autocommitted {
  return {
    observer,
    wait: (work) => work(undefined),
    run: (target, control) => target.execute(control, command, options),
  };
}

/** False: a listener has made something else of it. */
function isStillRead(text: string, given: string): boolean {
  return text === given || withoutTrailingComment(text) === given || isPlainRead(text);
}

function hasWritten(error: unknown): boolean {
  return error instanceof DBAPIError && error.sqlState === READ_ONLY_STATE;
}
