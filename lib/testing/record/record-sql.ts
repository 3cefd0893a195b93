import { flagRule } from '../../engine/util/option-rule.js';
import { OptionTable } from '../../engine/util/option-table.js';
import { ArgumentError, transactionCommand } from '../../engine/index.js';
import type { AsyncEngine, Command, Control, DriverConnection, ServerRole } from '../../engine/index.js';
import { RecordingSession } from './recording-session.js';

/** One statement as it was handed to the driver. */
export interface SentStatement {
  readonly text: string;
  /** By position: `$1` is the first. */
  readonly values: readonly unknown[];
  /** True for BEGIN with its settings, COMMIT, ROLLBACK and savepoints. */
  readonly isControl: boolean;
  /** Numbers the sessions in the order in which the log met them, from 1. */
  readonly session: number;
  /** `host:port` of the server that it went to; undefined with PGlite. */
  readonly host: string | undefined;
  /** Of that server; undefined unless the engine has replicas. */
  readonly role: ServerRole | undefined;
}

/** What one session was sent, in order. */
export interface SessionLog {
  readonly session: number;
  readonly statements: readonly SentStatement[];
}

/** What is written down. */
export interface RecordSqlOptions {
  /**
   * False leaves transaction control out: what is left are the statements of the application. Default true.
   */
  readonly control?: boolean | undefined;
}

const RECORD_OPTIONS = new OptionTable<RecordSqlOptions>('recordSql', { control: flagRule }, 'refused');

/** Writes down what an engine sends until it is stopped; `using` stops it. */
export class SqlLog implements Disposable {
  readonly #isControlShown: boolean;
  readonly #views = new WeakMap<DriverConnection, RecordingSession>();
  readonly #stop: () => void;
  #numbers = 0;
  #sent: readonly SentStatement[] = [];

  /** @internal */
  constructor(engine: AsyncEngine, options: RecordSqlOptions) {
    this.#isControlShown = options.control ?? true;
    this.#stop = engine.viewSessions((session) => this.#viewOf(session));
  }

  /** Everything since the beginning or the last `clear()`, in the order in which it was handed over. */
  get statements(): readonly SentStatement[] {
    return this.#isControlShown ? this.#sent : this.#sent.filter(({ isControl }) => !isControl);
  }

  /** The texts alone: what most tests compare. */
  get texts(): readonly string[] {
    return this.statements.map(({ text }) => text);
  }

  /** The same by session: which statements shared a connection. */
  get sessions(): readonly SessionLog[] {
    const numbers = [...new Set(this.statements.map(({ session }) => session))];
    return numbers.map((session) => ({
      session,
      statements: this.statements.filter((sent) => sent.session === session),
    }));
  }

  /** Forgets what was written down so far; the numbers of the sessions stay. */
  clear(): void {
    this.#sent = [];
  }

  /** Ends the recording; what was written down stays. Idempotent. */
  stop(): void {
    this.#stop();
  }

  /** For `using`: `stop()`. */
  [Symbol.dispose](): void {
    this.stop();
  }

  #viewOf(session: DriverConnection): RecordingSession {
    const known = this.#views.get(session);
    if (known !== undefined) return known;
    this.#numbers += 1;
    const { host, port, role } = session.server ?? {};
    const place = { session: this.#numbers, host: host && `${host}:${port}`, role };
    const view = new RecordingSession(session, (control, commands) => this.#write(place, control, commands));
    this.#views.set(session, view);
    return view;
  }

  #write(
    place: Pick<SentStatement, 'session' | 'host' | 'role'>,
    control: readonly Control[],
    commands: readonly Command[],
  ): void {
    const entry = ({ text, values = [] }: Command | Control, isControl: boolean): SentStatement => ({
      text,
      values,
      isControl,
      ...place,
    });
    this.#sent = [
      ...this.#sent,
      ...control.map((one) => entry(one, true)),
      ...commands.map((one) => entry(one, transactionCommand(one.text) !== undefined)),
    ];
  }
}

/**
 * Writes down what `engine` sends from now on, per session, with its values: for tests that count statements,
 * look for N + 1 queries, or check what runs in which transaction. Inside `rollbackEach()` it shows what the
 * application says, BEGIN and COMMIT included, not the savepoints that become of it; there every checkout
 * counts as a session.
 *
 * What the pool says on its own (the check of `poolPrePing`, the ROLLBACK of a connection that came back in a
 * transaction) and what goes over `rawConnection()`'s own client is not in it.
 *
 * @throws ArgumentError for what is not an engine.
 *
 * @example
 * ```ts
 * const log = recordSql(engine);
 * await orders.place(order);
 * console.log(log.statements);
 * ```
 */
export function recordSql(engine: AsyncEngine, options: RecordSqlOptions = {}): SqlLog {
  const given: unknown = engine;
  if (typeof (given as AsyncEngine | undefined)?.viewSessions !== 'function') {
    throw new ArgumentError(
      'recordSql() takes an AsyncEngine. In a Nest application: recordSql(app.get(getEngineToken())).',
    );
  }
  return new SqlLog(engine, RECORD_OPTIONS.parse(options));
}
