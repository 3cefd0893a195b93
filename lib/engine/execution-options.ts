import type { IsolationLevel } from './transaction/isolation.js';

/** How one statement runs. Times in ms. */
export interface StatementOptions {
  /** The statement is cancelled after this time; the connection stays usable. */
  readonly timeout?: number | undefined;
  /** Cancels the statement when it is aborted. */
  readonly signal?: AbortSignal | undefined;
  /** False: the server keeps no named statement of it. */
  readonly prepare?: boolean | undefined;
  /** Rows per fetch of a stream. */
  readonly yieldPer?: number | undefined;
  /** Rows per fetch of a stream at most. */
  readonly maxRowBuffer?: number | undefined;
}

/** What an engine or a connection gives to each of its transactions and statements; the nearest wins. */
export interface ExecutionOptions extends StatementOptions {
  readonly isolationLevel?: IsolationLevel | undefined;
  readonly readOnly?: boolean | undefined;
  readonly deferrable?: boolean | undefined;
  /** `set_config(name, value, true)` of each, sent together with BEGIN. */
  readonly settings?: Readonly<Record<string, string>> | undefined;
}
