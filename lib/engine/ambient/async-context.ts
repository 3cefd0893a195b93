import { AsyncLocalStorage } from 'node:async_hooks';
import type { AsyncConnection, AsyncTransaction } from '../connection/connection.js';
import type { PooledConnection } from '../pool/pooled-connection.js';
import type { WriteMark } from '../pool/replicas/write-mark.js';
import { runObserved } from '../transaction/transaction-observation.js';
import { expectFunction } from '../util/argument.js';
import { Warnings } from '../util/warnings.js';
import { ContextFrame, type ScopeOpener } from './context-frame.js';
import type { HeldLock } from './held-lock.js';
import type { OpenedInside, Scope, ScopeContext } from './scope.js';
import type { UnitOfWork } from './unit-of-work.js';

/**
 * The async context of one engine. No other application or tenant sees it, and other engines only those that
 * {@link AmbientContext.neighbors} names.
 */
export class AmbientContext implements ScopeContext {
  readonly #storage = new AsyncLocalStorage<ContextFrame>();
  readonly warnings = new Warnings();
  readonly #foreignWriters = new WeakMap<AsyncTransaction, string>();
  /** False: none of its transactions ever had one. */
  hasForeignWriters = false;
  /** Those of streams that were made outside of every frame. */
  readonly #streamsOutside = new Set<AsyncConnection>();
  /** The other databases of the application: they are told of rows that this one's engine has stored. */
  readonly neighbors: AmbientContext[] = [];
  /** Of this database, in what is told to neighbors. */
  databaseName = '';

  /** `name`: of this database. */
  addNeighbor(name: string, neighbor: AmbientContext): void {
    this.databaseName = name;
    this.neighbors.push(neighbor);
  }

  get current(): ContextFrame | undefined {
    return this.#storage.getStore();
  }

  /** Connections of the open streams of the caller's frame. */
  get streams(): Set<AsyncConnection> {
    return this.current?.streams ?? this.#streamsOutside;
  }

  run<T>(frame: ContextFrame, work: () => T): T {
    return this.#storage.run(frame, work);
  }

  /** Runs `work`, which has `connection` for itself: a wait for another one may be a deadlock. */
  runHolding<T>(connection: AsyncConnection, work: () => T): T {
    return this.run(new ContextFrame({ parent: this.current, holds: connection }), work);
  }

  /** Runs `work` under `lock`, which `connection` holds where that is no transaction's. */
  runLocked<T>(lock: HeldLock, connection: AsyncConnection | undefined, work: () => T): T {
    return this.run(new ContextFrame({ parent: this.current, holds: connection, lock }), work);
  }

  /** The lock of this name that the caller runs under. */
  lockNamed(name: string): HeldLock | undefined {
    for (let frame = this.current; frame !== undefined; frame = frame.parent) {
      if (frame.lock?.name === name && frame.lock.isHeld) return frame.lock;
    }
    return undefined;
  }

  /** Runs `work` with `transaction` as the active one; what it leaves running is refused after its end. */
  async runInside<T>(transaction: AsyncTransaction, work: () => Promise<T>): Promise<T> {
    expectFunction('transaction.within()', work);
    const parent = this.current;
    parent?.expectRoom();
    const frame = new ContextFrame({ parent, scope: parent?.openScope, transaction });
    try {
      return await this.run(frame, () => runObserved(transaction, work));
    } finally {
      frame.close();
    }
  }

  /** `database` has stored rows by itself, which a transaction around the caller here does not undo. */
  noteForeignWrite(database: string): void {
    const root = this.current?.activeOrNone?.root;
    if (root?.isUntouched !== true) return;
    this.hasForeignWriters = true;
    this.#foreignWriters.set(root, database);
  }

  /** The database that has stored rows by itself in `transaction`, before the first statement of that. */
  foreignWriterIn(transaction: AsyncTransaction): string | undefined {
    return this.#foreignWriters.get(transaction);
  }

  /** Runs `work` in a scope that `opener` opens when this engine is first used in it. */
  runLazily<T>(opener: ScopeOpener, work: () => T): T {
    return this.run(new ContextFrame({ parent: this.current, opener }), work);
  }

  /** True: the caller is in a frame that `opener` opens, or in one inside it. */
  isInside(opener: ScopeOpener): boolean {
    for (let frame = this.current; frame !== undefined; frame = frame.parent) {
      if (frame.opener === opener) return true;
    }
    return false;
  }

  bind(scope: Scope, unit?: UnitOfWork): <T>(work: () => T) => T {
    const frame = new ContextFrame({ parent: this.current, scope, unit });
    return (work) => this.run(frame, work);
  }

  openedIn(scope: Scope): OpenedInside | undefined {
    const frame = this.current;
    if (frame?.isDeeperThan(scope) !== true) return undefined;
    return { connection: frame.transaction?.connection, run: (work) => this.run(frame, work) };
  }

  runOutside<T>(scope: Scope, work: () => T): T {
    let outside = this.current;
    for (let frame = this.current; frame !== undefined; frame = frame.parent) {
      if (frame.scope === scope) outside = frame.parent;
    }
    return this.#storage.run(outside as ContextFrame, work);
  }

  isDirectlyIn(scope: Scope): boolean {
    return this.current?.scope === scope && this.current.isPlain;
  }

  /**
   * Forgets all frames. In Node 20 each context that is in use slows every promise of the process a little.
   */
  disable(): void {
    this.#storage.disable();
  }

  /** Runs `work` in the present scope but outside every transaction: for hooks that come after one. */
  runWithoutTransaction<T>(work: () => T): T {
    const parent = this.current;
    return this.run(new ContextFrame({ parent, scope: parent?.openScope, transaction: 'none' }), work);
  }

  /** Runs `work` outside of every scope and transaction. */
  runDetached<T>(work: () => T): T {
    return this.run(new ContextFrame({}), work);
  }

  /** The innermost transaction of the caller that lives on `connection`. Throws when it has ended. */
  transactionOn(connection: AsyncConnection): AsyncTransaction | undefined {
    for (let frame = this.current; frame !== undefined; frame = frame.parent) {
      const { transaction } = frame;
      if ((transaction?.connection ?? frame.scope?.ownConnection) !== connection) continue;
      frame.expectOpen();
      if (transaction !== undefined) return transaction;
    }
    return undefined;
  }

  /** What the scopes that the caller is in have written, as far as it was noted. */
  writeMarks(): readonly WriteMark[] {
    const marks = new Set<WriteMark>();
    for (let frame = this.current; frame !== undefined; frame = frame.parent) {
      if (frame.scope !== undefined) marks.add(frame.scope.writes);
    }
    return [...marks];
  }

  /**
   * What the caller's own transactions, scopes and streams hold of the pool while it waits for another
   * connection.
   */
  holding(): readonly PooledConnection[] {
    const held = new Set<PooledConnection>();
    let isScoped = false;
    for (let frame = this.current; frame !== undefined; frame = frame.parent) {
      for (const pooled of frame.held) {
        if (pooled !== undefined) held.add(pooled);
      }
      isScoped ||= frame.scope !== undefined;
    }
    return isScoped ? [...held] : [...held, ...this.#heldOutside()];
  }

  /** Where a server listens, code outside of every scope serves many, and a stream may be another's. */
  #heldOutside(): readonly PooledConnection[] {
    if (this.#streamsOutside.size === 0) return [];
    if (process.getActiveResourcesInfo().includes('TCPServerWrap')) return [];
    return [...this.#streamsOutside].flatMap(({ pooled }) => pooled ?? []);
  }
}
