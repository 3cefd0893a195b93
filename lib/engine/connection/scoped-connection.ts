import { AsyncConnection } from './connection.js';
import type { ConnectionEvents } from '../execution/connection-events.js';
import type { ConnectionSource } from './connection.js';
import type { ConnectionState } from './connection-session.js';
import type { CommandResult } from '../driver/driver.js';
import type { DriverClient } from './driver-client.js';
import type { ExecutionOptions } from '../execution/execution-options.js';
import type { Invocation } from '../execution/invocation.js';
import type { PooledConnection } from '../pool/pooled-connection.js';
import type { StreamSource } from '../result/stream-source.js';
import type { IsolationLevel, TransactionOptions } from '../transaction/isolation.js';
import type { NestedTransaction } from '../transaction/nested-transaction.js';
import type { RootTransaction } from '../transaction/root-transaction.js';
import type { Transaction } from '../transaction/transaction.js';
import type { ConnectionObserver } from '../execution/connection-observer.js';

type Events = ConnectionEvents<AsyncConnection>;
type Root = RootTransaction<AsyncConnection>;
type Nested = NestedTransaction<AsyncConnection>;

/**
 * A handle that is made before its scope is there, or lives longer than one: each use goes to the connection
 * of the scope that the caller is in.
 */
export class ScopedConnection extends AsyncConnection {
  readonly #current: () => AsyncConnection;

  /** `current` throws where the caller is in no scope. */
  constructor(source: ConnectionSource, current: () => AsyncConnection) {
    super(source, 'scoped');
    this.#current = current;
  }

  override async start(): Promise<this> {
    await this.#current().start();
    return this;
  }

  override get state(): ConnectionState {
    return this.#current().state;
  }

  override get closed(): boolean {
    return this.#current().closed;
  }

  override get invalidated(): boolean {
    return this.#current().invalidated;
  }

  override get info(): Map<unknown, unknown> {
    return this.#current().info;
  }

  override get pooled(): PooledConnection | undefined {
    return this.#current().pooled;
  }

  override async close(): Promise<void> {
    await this.#current().close();
  }

  override invalidate(cause?: unknown): void {
    this.#current().invalidate(cause);
  }

  override async cancel(): Promise<void> {
    await this.#current().cancel();
  }

  override getExecutionOptions(): Readonly<ExecutionOptions> {
    return this.#current().getExecutionOptions();
  }

  override async executionOptions(options: ExecutionOptions): Promise<this> {
    await this.#current().executionOptions(options);
    return this;
  }

  override async getRawConnection(): Promise<PooledConnection> {
    return await this.#current().getRawConnection();
  }

  override async run<A extends unknown[], T>(
    work: (client: DriverClient, ...args: A) => Promise<T>,
    ...args: A
  ): Promise<T> {
    return await this.#current().run(work, ...args);
  }

  override async getIsolationLevel(): Promise<IsolationLevel> {
    return await this.#current().getIsolationLevel();
  }

  override get defaultIsolationLevel(): Promise<IsolationLevel> {
    return this.#current().defaultIsolationLevel;
  }

  override on<Name extends keyof Events>(event: Name, listener: Events[Name]): this {
    this.#current().on(event, listener);
    return this;
  }

  override once<Name extends keyof Events>(event: Name, listener: Events[Name]): this {
    this.#current().once(event, listener);
    return this;
  }

  override off<Name extends keyof Events>(event: Name, listener: Events[Name]): this {
    this.#current().off(event, listener);
    return this;
  }

  override get observer(): ConnectionObserver<AsyncConnection> | undefined {
    return this.#current().observer;
  }

  override letAutocommit(isOn = true): void {
    this.#current().letAutocommit(isOn);
  }

  override async send(invocation: Invocation): Promise<CommandResult> {
    return await this.#current().send(invocation);
  }

  override openStream(invocation: Invocation): StreamSource {
    return this.#current().openStream(invocation);
  }

  protected override statementDefaults(): ExecutionOptions {
    return this.#current().getExecutionOptions();
  }

  override inTransaction(): boolean {
    return this.#current().inTransaction();
  }

  override inNestedTransaction(): boolean {
    return this.#current().inNestedTransaction();
  }

  override getTransaction(): Root | undefined {
    return this.#current().getTransaction();
  }

  override getNestedTransaction(): Transaction<AsyncConnection> | undefined {
    return this.#current().getNestedTransaction();
  }

  override get own(): Root | undefined {
    return this.#current().own;
  }

  override begin(options?: TransactionOptions): Promise<Root>;
  override begin<T>(work: (transaction: Root) => Promise<T>, options?: TransactionOptions): Promise<T>;
  override async begin<T>(
    first?: TransactionOptions | ((transaction: Root) => Promise<T>),
    second?: TransactionOptions,
  ): Promise<T | Root> {
    const connection = this.#current();
    return typeof first === 'function'
      ? await connection.begin(first, second)
      : await connection.begin(first);
  }

  override beginNested(): Promise<Nested>;
  override beginNested<T>(work: (transaction: Nested) => Promise<T>): Promise<T>;
  override async beginNested<T>(work?: (transaction: Nested) => Promise<T>): Promise<T | Nested> {
    const connection = this.#current();
    return work === undefined ? await connection.beginNested() : await connection.beginNested(work);
  }

  override async commit(): Promise<void> {
    await this.#current().commit();
  }

  override async rollback(): Promise<void> {
    await this.#current().rollback();
  }

  override queueRoot(options?: TransactionOptions): Root {
    return this.#current().queueRoot(options);
  }

  override beginRoot(options?: TransactionOptions): Root {
    return this.#current().beginRoot(options);
  }
}
