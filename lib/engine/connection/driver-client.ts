import type { CommandResult } from '../driver/driver.js';
import { ArgumentError, IllegalStateError, ResourceClosedError } from '../errors/errors.js';
import { describeValue } from '../util/describe-value.js';
import { Mutex } from '../util/mutex.js';
import { splitScript, type ScriptStatement } from '../statement/split-script.js';
import type { QueryConfig } from '../statement/executable.js';
import type { Row } from '../statement/row.js';
import { transactionCommandOf } from '../statement/transaction-command.js';

type TransactionWord = 'BEGIN' | 'COMMIT' | 'ROLLBACK';

const WORDS: Readonly<Record<string, TransactionWord>> = {
  begin: 'BEGIN',
  commit: 'COMMIT',
  rollback: 'ROLLBACK',
};

/** A query config of `pg`. */
export interface DriverQuery extends QueryConfig {
  /** `array`: rows are arrays of values, by position. */
  readonly rowMode?: string | undefined;
}

/** What `pg` answers to a statement. */
export interface DriverQueryResult<R = Row> {
  readonly command: string;
  /** Null where the server gives no number. */
  readonly rowCount: number | null;
  readonly rows: R[];
  readonly fields: readonly { readonly name: string; readonly dataTypeID: number }[];
}

/** Called with an error, or with null and the result. */
export type DriverCallback<R = Row> = (error: unknown, result?: DriverQueryResult<R>) => void;

/** What code that was written for a `pg` client is handed by `connection.run()`. */
export interface DriverClient {
  /**
   * Runs a statement on the connection and in its transaction; statements run in the order of their calls. A
   * text with several statements and no values is run as a whole and answered, as `pg` does it, with an array
   * of results.
   *
   * BEGIN, COMMIT and ROLLBACK are a nested transaction and its end; other statements of transaction control
   * are refused with `IllegalStateError`.
   */
  query<R = Row>(query: string | DriverQuery, values?: readonly unknown[]): Promise<DriverQueryResult<R>>;
  /** The same, answered to a callback. */
  query<R = Row>(query: string | DriverQuery, values: readonly unknown[], callback: DriverCallback<R>): void;
  /** The same for a statement without values. */
  query<R = Row>(query: string | DriverQuery, callback: DriverCallback<R>): void;
}

/** What the client's BEGIN begins. */
export interface ClientTransaction {
  readonly isActive: boolean;
  commit(): Promise<void>;
  rollback(): Promise<void>;
}

/** The connection behind a client. */
export interface DriverClientHost {
  execute(query: QueryConfig): Promise<CommandResult>;
  /** Runs statements that have no values as one text; one result for each. */
  executeScript(text: string): Promise<readonly CommandResult[]>;
  begin(): Promise<ClientTransaction>;
  /** An error that cannot be thrown without hiding another one. */
  report(error: unknown): void;
}

/** Lends a client to `work` and takes it back when that has settled. */
export async function lendDriverClient<T>(
  host: DriverClientHost,
  work: (client: DriverClient) => Promise<T>,
): Promise<T> {
  const client = new LentClient(host);
  let result: T;
  try {
    result = await work(client);
  } catch (error) {
    await client.reclaim().catch((failure: unknown) => host.report(failure));
    throw error;
  }
  if (await client.reclaim()) {
    throw new IllegalStateError(
      'the function given to connection.run() sent BEGIN and neither COMMIT nor ROLLBACK: its work was rolled back.',
    );
  }
  return result;
}

class LentClient implements DriverClient {
  readonly #host: DriverClientHost;
  /** One statement at a time, so that a mapped BEGIN is in front of what was called after it. */
  readonly #turns = new Mutex();
  /** The innermost is last. One whose COMMIT failed stays until its ROLLBACK. */
  readonly #transactions: ClientTransaction[] = [];
  #state: 'lent' | 'reclaimed' = 'lent';

  constructor(host: DriverClientHost) {
    this.#host = host;
  }

  query<R>(query: string | DriverQuery, values?: readonly unknown[]): Promise<DriverQueryResult<R>>;
  query<R>(query: string | DriverQuery, values: readonly unknown[], callback: DriverCallback<R>): void;
  query<R>(query: string | DriverQuery, callback: DriverCallback<R>): void;
  // What this client does not support is refused by a throw: pg answers a cursor with no promise to await.
  query<R>(
    query: string | DriverQuery,
    ...rest: readonly (readonly unknown[] | DriverCallback<R> | undefined)[]
  ): Promise<DriverQueryResult<R>> | undefined {
    const { callback, ...asked } = checkedQuery<R>(query, rest);
    const answer = this.#answer<R>(asked);
    if (callback === undefined) return answer;
    void answer.then((result) => callback(null, result), callback);
    return undefined;
  }

  async #answer<R>({ text, values, rowMode }: DriverQuery): Promise<DriverQueryResult<R>> {
    if (this.#state === 'reclaimed') {
      throw new ResourceClosedError(
        'the client of connection.run() was used after its function had ended. Check for a promise that is not awaited.',
      );
    }
    await this.#turns.acquire();
    try {
      const results = await this.#run(text, values ?? []);
      const answers = results.map((result) => toDriverResult(result, rowMode === 'array'));
      // pg answers a text of several statements with an array and leaves that out of its types, too.
      return (answers.length === 1 ? answers[0] : answers) as DriverQueryResult<R>;
    } finally {
      this.#turns.release();
    }
  }

  /**
   * Waits for what was called, then rolls back what was begun and not ended; true where there was something.
   */
  async reclaim(): Promise<boolean> {
    this.#state = 'reclaimed';
    await this.#turns.acquire();
    const outermost = this.#transactions.find(({ isActive }) => isActive);
    await outermost?.rollback();
    return outermost !== undefined;
  }

  async #run(text: string, values: readonly unknown[]): Promise<readonly CommandResult[]> {
    const statements = splitScript(text);
    const words = statements.map(transactionWordOf);
    if (statements.length > 1 && values.length === 0) return await this.#runScript(text, statements, words);
    const [word] = words;
    if (word !== undefined && statements.length === 1) return [await this.#control(word)];
    return [await this.#host.execute({ text, values })];
  }

  /** What stands between two statements of control leaves as one text. */
  async #runScript(
    text: string,
    statements: readonly ScriptStatement[],
    words: readonly (TransactionWord | undefined)[],
  ): Promise<readonly CommandResult[]> {
    const results: CommandResult[] = [];
    let first: ScriptStatement | undefined;
    for (const [index, statement] of statements.entries()) {
      const word = words[index];
      if (word !== undefined) {
        results.push(await this.#control(word));
        continue;
      }
      first ??= statement;
      const next = index + 1;
      if (next < statements.length && words[next] === undefined) continue;
      results.push(...(await this.#host.executeScript(text.slice(first.start, statement.end))));
      first = undefined;
    }
    return results;
  }

  async #control(word: TransactionWord): Promise<CommandResult> {
    if (word === 'BEGIN') {
      this.#transactions.push(await this.#host.begin());
    } else {
      const transaction = this.#transactions.at(-1);
      if (transaction === undefined) {
        throw new IllegalStateError(
          `${word} without a BEGIN of this client: the transaction belongs to the connection. Use connection.${word.toLowerCase()}().`,
        );
      }
      if (word === 'COMMIT') await transaction.commit();
      this.#transactions.pop();
      if (word === 'ROLLBACK') await transaction.rollback();
    }
    return { command: word, rowCount: -1, shape: undefined, rows: [] };
  }
}

/**
 * Undefined for a statement that is not transaction control.
 *
 * @throws IllegalStateError for control that cannot be the begin or the end of a nested transaction.
 */
function transactionWordOf({ words: firstWords }: ScriptStatement): TransactionWord | undefined {
  const command = transactionCommandOf(firstWords);
  if (command === undefined) return undefined;
  const word = WORDS[command.kind];
  if (word !== undefined && command.isPlain) return word;
  throw new IllegalStateError(
    `${command.words} changes the transaction without the connection knowing. Only plain BEGIN, COMMIT and ROLLBACK ` +
      'are supported here; use connection.beginNested() for a savepoint, connection.begin(options) for an isolation level.',
  );
}

const UNSUPPORTED: Readonly<Record<string, string>> = {
  submit: 'cursors, query streams and COPY need the client of getRawConnection()',
  types: "values are parsed as the engine's option types says",
};

/** Fields are read one by one: those of a class may be getters. */
function checkedQuery<R>(
  query: string | DriverQuery,
  rest: readonly (readonly unknown[] | DriverCallback<R> | undefined)[],
): DriverQuery & { readonly callback: DriverCallback<R> | undefined } {
  const config: DriverQuery & { readonly callback?: DriverCallback<R> } =
    typeof query === 'string' ? { text: query } : query;
  if (typeof config !== 'object' || config === null) {
    throw new ArgumentError(
      `query() must be given a text, or an object with a text; got ${describeValue(config)}.`,
    );
  }
  for (const [name, reason] of Object.entries(UNSUPPORTED)) {
    if ((config as unknown as Record<string, unknown>)[name] === undefined) continue;
    throw new ArgumentError(`query() of connection.run() does not support ${name}: ${reason}.`);
  }
  const { text, rowMode } = config;
  if (typeof text !== 'string') {
    throw new ArgumentError(
      `query() must be given a text, or an object with a text; got ${describeValue(text)}.`,
    );
  }
  const values = rest.find((argument) => Array.isArray(argument)) ?? config.values;
  const callback = rest.find((argument) => typeof argument === 'function') ?? config.callback;
  return { text, values, rowMode, callback };
}

/** Where two columns share a name, the last one is in the object, as with pg. */
function toDriverResult(
  { command, rowCount, shape, rows }: CommandResult,
  asArrays: boolean,
): DriverQueryResult {
  const names = shape?.fields.map(({ name }) => name) ?? [];
  const isReady = shape === undefined || shape.keyed !== asArrays;
  const convert = (row: (typeof rows)[number]): unknown => {
    if (!Array.isArray(row)) return names.map((name) => (row as Row)[name]);
    return Object.fromEntries(names.map((name, index) => [name, row[index] as unknown]));
  };
  return {
    command,
    rowCount: rowCount === -1 ? null : rowCount,
    rows: (isReady ? rows : rows.map(convert)) as Row[],
    fields: shape?.fields.map(({ name, typeOid }) => ({ name, dataTypeID: typeOid })) ?? [],
  };
}
