import type { Driver, TransactionSettings } from 'kysely';
import { ArgumentError, IllegalStateError } from '../../engine/index.js';
import type { AsyncEngine, IsolationLevel, TransactionOptions } from '../../engine/index.js';
import { CallSite } from '../../engine/util/call-site.js';
import { EngineConnection } from './engine-connection.js';

/** What an engine is to Kysely. */
export class EngineDriver implements Driver {
  readonly #engine: AsyncEngine;

  constructor(engine: AsyncEngine) {
    this.#engine = engine;
  }

  async init(): Promise<void> {}

  async acquireConnection(): Promise<EngineConnection> {
    return await EngineConnection.of(this.#engine, new CallSite());
  }

  async beginTransaction({ transactions }: EngineConnection, settings: TransactionSettings): Promise<void> {
    transactions.begin(optionsOf(settings));
  }

  async commitTransaction({ transactions }: EngineConnection): Promise<void> {
    await transactions.end('commit');
  }

  async rollbackTransaction({ transactions }: EngineConnection): Promise<void> {
    await transactions.end('rollback');
  }

  async savepoint({ transactions }: EngineConnection, name: string): Promise<void> {
    transactions.savepoint(name);
  }

  async rollbackToSavepoint({ transactions }: EngineConnection, name: string): Promise<void> {
    if (!(await transactions.rollbackTo(name))) throw noSavepoint(name);
  }

  async releaseSavepoint({ transactions }: EngineConnection, name: string): Promise<void> {
    if (!(await transactions.release(name))) throw noSavepoint(name);
  }

  async releaseConnection(connection: EngineConnection): Promise<void> {
    await connection.release();
  }

  async destroy(): Promise<void> {}
}

function optionsOf({ isolationLevel, accessMode }: TransactionSettings): TransactionOptions {
  if (isolationLevel === 'snapshot')
    throw new ArgumentError("PostgreSQL has no isolation level 'snapshot'. Use 'repeatable read'.");
  return {
    ...(isolationLevel && { isolationLevel: isolationLevel.toUpperCase() as IsolationLevel }),
    ...(accessMode && { readOnly: accessMode === 'read only' }),
  };
}

function noSavepoint(name: string): IllegalStateError {
  return new IllegalStateError(
    `there is no savepoint ${name} here that could be released or gone back to: it was not made, or a statement behind it ` +
      'has failed. Roll back to it before you release it.',
  );
}
