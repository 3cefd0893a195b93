import type { TransactionMark } from './transaction-mark.js';
import type { SessionChanges } from './session-changes.js';

/** One statement as it leaves for the server: `$1` placeholders, values by position. */
export interface Command {
  readonly text: string;
  readonly values?: readonly unknown[] | undefined;
  /** False: never becomes a named statement on the server. Default true. */
  readonly prepare?: boolean | undefined;
  /**
   * True: a text of any number of statements, without values, for `executeMany()` alone, which then takes one
   * command and gives a result for each statement. The control in front of it is confirmed before it is sent.
   * Default false.
   */
  readonly simple?: boolean | undefined;
  /** The rows of a COPY, for `execute()` or as the only command of `executeMany()`; it is sent once. */
  readonly copy?: CopySource | CopySink | undefined;
}

/** The commands of `executeMany()`: a list of them, or what makes those of a page when it is sent. */
export interface CommandList extends Iterable<Command> {
  readonly length: number;
  /** Those from `start` up to `end`, which is the end of the list by default. */
  slice(start: number, end?: number): readonly Command[];
  /** Set where all have one text: the positions at which some value is an array. */
  readonly arrayPositions?: ReadonlySet<number> | undefined;
}

/** Where the rows of a COPY FROM STDIN come from. */
export interface CopySource {
  readonly direction: 'from';
  /** How many bytes have passed; undefined unless the COPY waits for the application. */
  readonly progress: number | undefined;
  /** The next bytes, in one piece or more; undefined at the end. A rejection fails the COPY. */
  next(): Promise<readonly Uint8Array[] | undefined>;
}

/** Where the rows of a COPY TO STDOUT go to. */
export interface CopySink {
  readonly direction: 'to';
  /** How many bytes have passed; undefined unless the COPY waits for the application. */
  readonly progress: number | undefined;
  /** False: nothing more is to be read from the server before `resume` is called. */
  write(bytes: Buffer, rows: number, resume: () => void): boolean;
}

/** A setting and its value; undefined: what the session has. */
export type SettingAssignment = readonly [name: string, value: string | undefined];

/** `modes`: SET TRANSACTION, for a savepoint. */
type ControlKind = 'begin' | 'savepoint' | 'release' | 'modes' | 'settings';

/**
 * A statement of transaction control that travels in front of a command, under the same Sync: when it fails,
 * what follows it is skipped by the server and nothing runs outside the transaction it was meant for.
 */
export interface Control {
  /** What it is for; `settings` also brings settings back. */
  readonly kind?: ControlKind;
  readonly text: string;
  readonly values?: readonly unknown[];
  /** False for a text that is used once, such as one that names a savepoint. */
  readonly prepare?: boolean;
  /** The names of the settings that it changes. */
  readonly settings?: readonly string[];
  /**
   * The same as names and values, undefined for the session's own, where settings are set by SET LOCAL; of
   * what only keeps values for later, none.
   */
  readonly assignments?: readonly SettingAssignment[];
  /** Called when the server has confirmed this statement, whatever becomes of those behind it. */
  acknowledged?(): void;
}

/** Nothing travels in front. */
export const NO_CONTROL: readonly Control[] = [];

/** A column of a result. */
export interface Field {
  readonly name: string;
  /** The oid of the column's type. */
  readonly typeOid: number;
}

/** A row as the driver built it: keyed by column name, or by position where two columns share a name. */
export type DriverRow = Readonly<Record<string, unknown>> | readonly unknown[];

/** How the rows of one statement look; made once per prepared statement, shared by all its results. */
export interface RowShape {
  readonly fields: readonly Field[];
  /** True: rows are objects. False: rows are arrays, because two columns have the same name. */
  readonly keyed: boolean;
}

/** What the server answered to one command. */
export interface CommandResult {
  /** The first word or words of the command tag: `SELECT`, `INSERT`, `COMMIT`, `ROLLBACK`. */
  readonly command: string;
  /** Rows affected or returned; -1 where the server gives no number. */
  readonly rowCount: number;
  /** Undefined for a statement that returns no rows. */
  readonly shape: RowShape | undefined;
  readonly rows: DriverRow[];
  /** How long its rows were on the wire, in bytes. Absent where no driver has counted them. */
  readonly bytes?: number;
  /**
   * What the server warned of while it stored; only with COMMIT, or with the last that one was sent behind.
   * Absent where there was nothing.
   */
  readonly warnings?: readonly SessionNotice[];
}

/** The text of a value as a field of CSV, in quotes where it needs them. */
export type CsvField = (value: unknown) => string;

/** What a fetch is to bring: so many rows at most, as CSV where `csv` is set. */
export interface WantedRows {
  readonly count: number;
  readonly csv: CsvField | undefined;
}

/** Rows that the driver has written as lines of CSV, which end in CRLF. */
export interface CsvLines {
  readonly text: Buffer;
  /** How many rows they are. */
  readonly count: number;
}

/** What one fetch of a cursor gave. */
export interface Batch {
  readonly rows: DriverRow[];
  /** The rows, where they were asked for as CSV and the driver writes that; `rows` is empty then. */
  readonly csv?: CsvLines | undefined;
  /** True: the portal is exhausted. `close()` closes it on the server. */
  readonly done: boolean;
  /** How many bytes the rows took on the wire; undefined where that is not known. */
  readonly bytes?: number | undefined;
}

/** A server-side cursor. Other commands may run on the connection between two fetches. */
export interface Portal {
  /** Known after the first fetch. */
  readonly shape: RowShape | undefined;
  /** The next rows, `count` at most; as lines of CSV, if the driver can, where `csv` is given. */
  fetch(count: number, csv?: CsvField): Promise<Batch>;
  /** Idempotent. Waits for a fetch in flight; never rejects because the connection is gone. */
  close(): Promise<void>;
}

/** `idle`: no transaction is open; `open`: one is; `failed`: one is, and accepts only ROLLBACK. */
export type ServerStatus = 'idle' | 'open' | 'failed';

/** Where a session is. */
export interface SessionServer {
  readonly host: string | undefined;
  readonly port: number | undefined;
  readonly database: string | undefined;
  readonly user: string | undefined;
  /** True: over TLS. */
  readonly ssl: boolean;
  /** Undefined unless the engine has replicas. */
  readonly role?: ServerRole | undefined;
}

/** What a server is to an engine with replicas. */
export type ServerRole = 'primary' | 'replica';

/** What a server says beside its answers: a NOTICE, a WARNING. */
export interface SessionNotice {
  /** `NOTICE`, `WARNING`, `INFO`, `LOG`, `DEBUG`. */
  readonly severity: string;
  readonly message: string;
  readonly sqlState: string | undefined;
  readonly detail: string | undefined;
  readonly hint: string | undefined;
}

/** What ends a command before its time. */
export interface CommandOptions {
  /** Milliseconds until the command is cancelled; the connection stays usable. */
  readonly timeout?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  /**
   * Called when the command, with the control in front of it, leaves for the server; not where it is refused
   * before.
   */
  readonly written?: (() => void) | undefined;
  /**
   * Called each time when something of it leaves and its answer is waited for, with the number of that flight
   * on the session: commands that leave in one packet have the same.
   */
  readonly onFlight?: ((flight: number) => void) | undefined;
  /**
   * True: it may be sent while others that are so run, without waiting for their answers. Default false.
   */
  readonly isPipelined?: boolean | undefined;
  /**
   * Commands of `executeMany()` that are made ready at a time, while those before them run. When one of them
   * can't be sent, the pages before its own have run. Default: all.
   */
  readonly pageSize?: number | undefined;
  /**
   * True: `executeMany()` outside of a transaction has BEGIN and COMMIT in its flight, so that its commands
   * are stored together or not at all, whatever is between here and the server. Default false.
   */
  readonly isAtomic?: boolean | undefined;
  /**
   * Called when the server has answered a page of `executeMany()`, with the number of commands that have run;
   * not for commands of different texts. Must not throw.
   */
  readonly onProgress?: ((done: number) => void) | undefined;
  /** True: `executeMany()` runs each command as it is and gives a result for each. Default false. */
  readonly isBatch?: boolean | undefined;
}

/**
 * Hears of the end of a command before its caller does, and in the place of a `then()`, which would make a
 * promise more. It is called where the answer is read, and not in the async context of the caller.
 */
export interface AnswerReceiver {
  /** Set before `execute()` returns, by a driver that will tell it whatever becomes of the command. */
  isTold: boolean;
  /** What it throws is what the caller gets. */
  answered(result: CommandResult): void;
  /** Gives what the caller gets for `error`; must not throw. */
  failed(error: unknown): unknown;
}

/**
 * One session on the server. Commands run in the order in which they were handed over; each has its own
 * error.
 */
export interface DriverConnection {
  /** What the user of `rawConnection()` gets: the `pg` Client, or the PGlite instance. */
  readonly driverConnection: unknown;
  /** The client of `pg` that speaks to the database, PGlite's too. */
  readonly client: unknown;
  /**
   * True: it is a part of a session, so that BEGIN and COMMIT as texts must come through `execute()`, which
   * knows what stands for them. Default false.
   */
  readonly isPart?: boolean;
  /** The server's process id, as in `pg_stat_activity.pid`. */
  readonly processId: number | undefined;
  readonly status: ServerStatus;
  /**
   * How often a transaction has ended, by whatever means; absent where that is not seen. Told by the status,
   * and by the tags of statements that begin the next one at once.
   */
  readonly transactionEnds?: number | undefined;
  /** For asking another session how the COMMIT of its transaction ended; absent where that can't be asked. */
  readonly transactionMark?: TransactionMark | undefined;
  /** False once the session is lost or closed. */
  readonly isOpen: boolean;
  /** Nothing is running and nothing waits to be sent. */
  readonly isQuiet: boolean;
  /** How often it has sent something and waited for the answer; absent where that is not counted. */
  readonly roundTrips?: number | undefined;
  /** Absent where the database is in this process. */
  readonly server?: SessionServer | undefined;
  /** Called, where it is set, with what the server says beside its answers. */
  onNotice?: ((notice: SessionNotice) => void) | undefined;
  /** What was changed in it since it was opened, and what undoes that; absent where that is not seen. */
  readonly changes?: SessionChanges | undefined;
  /**
   * Runs `command` behind `control`, all under one Sync. Rejects with an error of our tree. A driver need not
   * tell `receiver`.
   */
  execute(
    control: readonly Control[],
    command: Command,
    options?: CommandOptions,
    receiver?: AnswerReceiver,
  ): Promise<CommandResult>;
  /**
   * Runs `commands` one after the other under one Sync; one result for each. Commands that insert a row by
   * the same text may be run as one statement for all their rows, with one result.
   */
  executeMany(
    control: readonly Control[],
    commands: CommandList,
    options?: CommandOptions,
  ): Promise<CommandResult[]>;
  /** A name that was never used in this session: for portals and savepoints. */
  uniqueName(prefix: string): string;
  /** `options` hold for each fetch. */
  openPortal(control: readonly Control[], command: Command, options?: CommandOptions): Portal;
  /**
   * Hands `client` to `use` when it is its turn and `control` is confirmed: the session runs nothing else
   * until the client has answered all that it was given. Gives the answer to a command that was no SELECT,
   * where there is one; rejects with the first error of the server, which `pg` tells to what was given, too.
   */
  lend(
    control: readonly Control[],
    use: (client: unknown) => void,
    options?: CommandOptions,
  ): Promise<CommandResult>;
  /**
   * Asks the server to cancel what runs now; resolves when the request is delivered and the connection is
   * safe to use. Without effect where the server takes no such request.
   */
  cancel(): Promise<void>;
  /** Says goodbye to the server; ends hard when that takes longer than a second. Never rejects. */
  close(): Promise<void>;
  /** Drops the session at once. */
  terminate(): void;
}

/** What the layers above must know of a driver without asking it to try. */
export interface DriverFacts {
  readonly name: string;
  /**
   * How many sessions the database has room for; `Infinity` where only the server limits them. 1: the whole
   * database is one session, and the engine's pool has one connection, which its borrowers use in turn.
   */
  readonly maxConnections: number;
  /** Settings the server accepts but ignores. */
  readonly ignoredSettings?: readonly string[];
  /** Of its server; undefined unless the engine has replicas. */
  readonly role?: ServerRole | undefined;
}

/** What a listener of `doConnect` says about one attempt. */
export interface ConnectAttempt {
  /** The driver's own options, which win over the option `connectArgs` and over the URL. */
  readonly connectArgs?: Readonly<Record<string, unknown>> | undefined;
  /** A connected client to be used in place of a new one. */
  readonly client?: unknown;
}

/** Opens sessions on one database. */
export interface Driver {
  readonly facts: DriverFacts;
  /** Why the caller must not wait for a session; absent where every caller may. */
  refusal?(): Error | undefined;
  /** Opens one session. Rejects with an error of our tree. */
  connect(attempt?: ConnectAttempt): Promise<DriverConnection>;
  /**
   * Ends, for good, what the driver holds beside its sessions; absent where that is nothing. Never rejects.
   */
  close?(): Promise<void>;
}
