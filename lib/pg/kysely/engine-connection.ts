import type { CompiledQuery, DatabaseConnection, QueryResult } from 'kysely';
import { ArgumentError } from '../../engine/index.js';
import type { AsyncConnection, AsyncEngine, AsyncTransaction } from '../../engine/index.js';
import type { CallSite } from '../../engine/util/call-site.js';
import { describeValue } from '../../engine/util/describe-value.js';
import { ClientTransactions } from '../client-transactions.js';

const CHANGES: readonly string[] = [
  'InsertQueryNode',
  'UpdateQueryNode',
  'DeleteQueryNode',
  'MergeQueryNode',
];
const RAW_CHANGE = /^\W*(?:INSERT|UPDATE|DELETE|MERGE)\b/i;

/**
 * A connection as Kysely has it: of the pool, where each statement outside of transactions commits itself; or
 * the ambient transaction.
 */
export class EngineConnection implements DatabaseConnection {
  readonly transactions: ClientTransactions;
  readonly #engine: AsyncEngine;
  /** Undefined in an ambient transaction, whose connection is its owner's. */
  readonly #own: AsyncConnection | undefined;

  private constructor(engine: AsyncEngine, place: CallSite, base: AsyncTransaction | AsyncConnection) {
    this.#engine = engine;
    const isOwn = 'beginNested' in base;
    this.#own = isOwn ? base : undefined;
    this.transactions = new ClientTransactions(
      place,
      () => (isOwn ? undefined : base.innermost),
      (options) => (isOwn ? base.core.transactions.begin(options, true) : base),
    );
  }

  static async of(engine: AsyncEngine, place: CallSite): Promise<EngineConnection> {
    const active = engine.activeTransaction();
    if (active !== undefined) return new EngineConnection(engine, place, active);
    const own = await engine.connect();
    own.core.switchToAutocommit();
    return new EngineConnection(engine, place, own);
  }

  async executeQuery<R>(query: CompiledQuery): Promise<QueryResult<R>> {
    const { sql, parameters } = query;
    const result = await this.#inside(async (target) => await target.execDriverSql<R>(sql, [...parameters]));
    const rows = result.returnsRows ? result.all() : [];
    return isChange(query) ? { rows, numAffectedRows: BigInt(Math.max(0, result.rowCount)) } : { rows };
  }

  async *streamQuery<R>({ sql, parameters }: CompiledQuery, chunkSize = 100): AsyncGenerator<QueryResult<R>> {
    if (!Number.isInteger(chunkSize) || chunkSize <= 0) {
      throw new ArgumentError(
        `the chunk size of a stream must be a whole number above 0; got ${describeValue(chunkSize)}.`,
      );
    }
    const statement = { text: sql, values: [...parameters] };
    const result = await this.#inside(async (target) => ({ stream: target.stream<R>(statement) }));
    for await (const rows of result.stream.partitions(chunkSize)) yield { rows };
  }

  /** Ends what is open. */
  async release(): Promise<void> {
    await this.transactions.close();
    await this.#own?.close();
  }

  /** Runs `work` where statements run now, whatever the caller's own context is by then. */
  #inside<T>(work: (target: AsyncEngine | AsyncConnection) => Promise<T>): Promise<T> {
    const { innermost } = this.transactions;
    if (innermost !== undefined) return innermost.within(() => work(this.#engine));
    return work(this.#own ?? this.#engine);
  }
}

function isChange({ query, sql }: CompiledQuery): boolean {
  return CHANGES.includes(query.kind) || (query.kind === 'RawNode' && RAW_CHANGE.test(sql));
}
