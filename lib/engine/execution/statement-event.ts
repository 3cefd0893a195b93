import type { ConnectionEvent, EngineOf, Labeled } from './event-place.js';
import type { StatementOptions } from './execution-options.js';
import type { TransactionEvent } from './transaction-event.js';
import type { ServerRole, SessionServer } from '../driver/driver.js';
import { hostOf } from '../driver/host-of.js';
import type { Executable } from '../statement/executable.js';
import type { TracedEvent } from '../util/channels.js';

/** Where and when a statement is run. */
export interface StatementPlace<Connection> extends ConnectionEvent<Connection> {
  readonly id: string;
  readonly scope: Labeled | undefined;
}

/**
 * One statement, from its call to its end: every listener and every subscriber of a channel gets this object
 * for it, and may hang its own data on it.
 */
export class StatementEvent<Connection> implements TracedEvent {
  readonly engine: EngineOf<Connection>;
  readonly connection: Connection | undefined;
  readonly id: string;
  readonly options: StatementOptions;
  /** By `performance.now()`. */
  readonly startedAt = performance.now();
  /** As it was given; in `handleError` the SQL. */
  statement: Executable<unknown> | string | undefined;
  /** As they were given; from `beforeCursorExecute` to `afterCursorExecute` the values by position. */
  parameters: unknown;
  sql: string | undefined;
  isMany = false;
  /** Sets of values; more than one of an executemany. */
  setCount = 1;
  rowCount: number | undefined;
  /** The command tag: `SELECT`, `INSERT`. */
  command: string | undefined;
  duration: number | undefined;
  error: unknown;
  server: SessionServer | undefined;
  /** The session that it runs on, by the id of its process. */
  processId: number | undefined;
  /** How often something of it has left for the server and its answer was waited for. */
  roundTrips = 0;
  /** The last of these, by its number on the session: statements that left in one packet have the same. */
  flight: number | undefined;
  /** The transaction that it runs in, from `beforeCursorExecute` on. */
  transactionEvent: TransactionEvent<Connection> | undefined;
  readonly #scope: Labeled | undefined;

  constructor(
    { engine, connection, id, scope }: StatementPlace<Connection>,
    statement: Executable<unknown>,
    parameters: unknown,
    options: StatementOptions,
  ) {
    this.engine = engine;
    this.connection = connection;
    this.id = id;
    this.options = options;
    this.#scope = scope;
    this.statement = statement;
    this.parameters = parameters;
  }

  /** `host:port` of the server. */
  get host(): string | undefined {
    return hostOf(this.server);
  }

  /** Of that server; undefined unless the engine has replicas. */
  get role(): ServerRole | undefined {
    return this.server?.role;
  }

  /** The label of the transaction, or where it was started. */
  get transaction(): string | undefined {
    return this.transactionEvent?.transaction;
  }

  /** The label of the scope, or where it was opened. */
  get scope(): string | undefined {
    return this.#scope?.origin;
  }
}
