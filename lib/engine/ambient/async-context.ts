import { AsyncLocalStorage } from 'node:async_hooks';
import type { AsyncConnection, AsyncTransaction } from '../connection/connection.js';
import { coreOf } from '../connection/connection-core.js';
import { IllegalStateError } from '../errors/errors.js';
import type { PooledConnection } from '../pool/pooled-connection.js';
import type { WriteMark } from '../pool/replicas/write-mark.js';
import { refuseLate } from '../transaction/statement-gate.js';
import { transactionEnded } from '../transaction/transaction-errors.js';
import { runObserved } from '../transaction/transaction-observation.js';
import { expectFunction } from '../util/argument.js';
import { Warnings } from './warnings.js';
import type { HeldLock } from './held-lock.js';
import type { OpenedInside, Scope, ScopeContext } from './scope.js';
import type { UnitOfWork } from './unit-of-work.js';

/** Opens a scope when the engine is first used in it: most HTTP requests never use it. */
export interface ScopeOpener {
  /** Names the scope in errors and warnings, also while it is not open. */
  readonly origin: string;
  /** The scope, opened now or before, and the run of its work that the caller belongs to. */
  open(): { readonly scope: Scope; readonly unit?: UnitOfWork | undefined };
}

/** What the code around a call has opened; never changed, only replaced by a frame inside it. */
interface FrameParts {
  readonly parent?: ContextFrame | undefined;
  readonly scope?: Scope | undefined;
  /** Gives the scope and the unit when they are first asked for. */
  readonly opener?: ScopeOpener | undefined;
  /** The run of the scope's work that the frame belongs to. */
  readonly unit?: UnitOfWork | undefined;
  /** `'none'`: a transaction that is active outside is not used here. */
  readonly transaction?: AsyncTransaction | 'none' | undefined;
  /** A connection that the work in the frame has for itself; in all else the frame is as its parent. */
  readonly holds?: AsyncConnection | undefined;
  /** A lock that the work in the frame runs under; in all else the frame is as its parent. */
  readonly lock?: HeldLock | undefined;
}

/**
 * Scopes and transactions inside each other: each calls the next one, so that without an end they would
 * overflow the stack.
 */
const MAX_DEPTH = 512;

export class ContextFrame {
  readonly parent: ContextFrame | undefined;
  /** How many frames are around it, or fewer: of those that have ended none need be counted. */
  #depth: number;
  /** What has opened the scope of this frame, or will. */
  readonly opener: ScopeOpener | undefined;
  readonly lock: HeldLock | undefined;
  #scope: Scope | undefined;
  #unit: UnitOfWork | undefined;
  #unopened: ScopeOpener | undefined;
  readonly #transaction: AsyncTransaction | 'none' | undefined;
  /** The transaction that this frame opened or joined. */
  readonly transaction: AsyncTransaction | undefined;
  readonly #holds: AsyncConnection | undefined;
  readonly #isLikeParent: boolean;
  #streams: Set<AsyncConnection> | undefined;
  #state: 'open' | 'closed' = 'open';

  constructor({ parent, scope, opener, unit, transaction, holds, lock }: FrameParts) {
    this.parent = parent;
    this.#depth = parent === undefined ? 0 : parent.#depth + 1;
    this.opener = opener;
    this.#unopened = opener;
    this.#holds = holds;
    this.lock = lock;
    const isLikeParent = (holds !== undefined || lock !== undefined) && parent !== undefined;
    this.#isLikeParent = isLikeParent;
    this.#scope = isLikeParent ? parent.scope : scope;
    this.#unit = isLikeParent ? parent.#unit : unit;
    this.#transaction = isLikeParent ? parent.#transaction : transaction;
    this.transaction = this.#transaction === 'none' ? undefined : this.#transaction;
  }

  /** The scope of the work in this frame; asking for it opens it. */
  get scope(): Scope | undefined {
    const opener = this.#unopened;
    if (opener !== undefined) {
      this.#unopened = undefined;
      const { scope, unit } = opener.open();
      this.#scope = scope;
      this.#unit = unit;
    }
    return this.#scope;
  }

  /** What the work in this frame holds of the pool. */
  get held(): readonly (PooledConnection | undefined)[] {
    const { transaction } = this;
    const held = [transaction && coreOf(transaction).session.pooled, this.scope?.pooled, this.#holds?.pooled];
    return this.#streams === undefined ? held : [...held, ...[...this.#streams].map(({ pooled }) => pooled)];
  }

  /** Connections of the streams that were made in this frame and are open. */
  get streams(): Set<AsyncConnection> {
    return (this.#streams ??= new Set());
  }

  /** The engine of the innermost transaction or scope. */
  get engine(): object | undefined {
    return this.transaction?.connection.engine ?? this.scope?.engine ?? this.parent?.engine;
  }

  /** The scope, where something can still be opened in it. */
  get openScope(): Scope | undefined {
    return this.scope?.isOpen === true ? this.scope : undefined;
  }

  /** True: it opened no transaction and left none. */
  get isPlain(): boolean {
    return this.#transaction === undefined;
  }

  /** The transaction in which statements run here. Throws when the frame or its scope has ended. */
  get active(): AsyncTransaction | undefined {
    this.expectOpen();
    if (this.#transaction === 'none') return undefined;
    return this.#transaction ?? this.scope?.transaction;
  }

  /** The same, and undefined where the frame has ended. */
  get activeOrNone(): AsyncTransaction | undefined {
    return this.#endedError === undefined ? this.active : undefined;
  }

  /**
   * What a handle on the scope's connection is in this frame: inside a transaction that of the transaction,
   * so that what is written there is undone with it.
   */
  get connection(): AsyncConnection | undefined {
    const { transaction, scope } = this;
    if (transaction === undefined) return scope?.connection;
    if (scope?.hasConnection === false && scope.asked.isGiven)
      throw new IllegalStateError(
        `the transaction of ${transaction.origin} began before the connection of ${scope.origin} was asked for, and has ` +
          `not what the option 'connection' says. Inject the connection in the handler's class or in a guard; in a ` +
          'scope of your own call engine.currentConnection() first.',
      );
    return transaction.connection;
  }

  /** True: a transaction opened here would be inside another one, which may have ended meanwhile. */
  get isInside(): boolean {
    return this.#transaction !== 'none' && (this.#transaction ?? this.scope?.transaction) !== undefined;
  }

  /** True: this frame or one around it is in a transaction on `connection` that has not ended. */
  isInTransactionOn(connection: AsyncConnection): boolean {
    if (this.transaction?.connection === connection && this.transaction.isActive) return true;
    return this.parent?.isInTransactionOn(connection) === true;
  }

  /** True: it is in a transaction or a scope that was opened inside `scope`. Opens nothing. */
  isDeeperThan(scope: Scope): boolean {
    const own = this.#scope;
    if (this.isPlain && (own === undefined || own === scope)) return false;
    return this.#isInside(scope);
  }

  #isInside(scope: Scope): boolean {
    return this.#scope === scope || (this.parent !== undefined && this.parent.#isInside(scope));
  }

  /** Statements that come later are refused. */
  close(): void {
    this.#state = 'closed';
  }

  /** Refuses late work: what comes after the transaction of the frame, unit or scope has ended. */
  expectOpen(): void {
    const error = this.#endedError;
    if (error !== undefined) refuseLate(this.transaction ?? this.scope?.transaction, error);
  }

  /** Refuses one more scope or transaction inside too many. */
  expectRoom(): void {
    if (this.#depth < MAX_DEPTH) return;
    // Work that was started in one that has ended, such as the next round of a timer, is inside it for ever.
    this.#depth = 0;
    for (let frame = this.parent; frame !== undefined; frame = frame.parent)
      if (!frame.#isOver) this.#depth += 1;
    if (this.#depth < MAX_DEPTH) return;
    throw new IllegalStateError(
      `scopes and transactions are more than ${MAX_DEPTH} deep inside each other. Does the work call itself without end?`,
    );
  }

  get #isOver(): boolean {
    if (this.#holds !== undefined || this.lock !== undefined) return true;
    return this.#transaction === 'none' || this.#state === 'closed' || this.#scope?.isOpen === false;
  }

  get #endedError(): Error | undefined {
    if (this.#isLikeParent && this.parent !== undefined) return this.parent.#endedError;
    if (this.#transaction === 'none') return undefined;
    if (this.#transaction === undefined) return this.scope?.overError ?? this.#unit?.closedError;
    return this.#state === 'closed' ? transactionEnded(this.#transaction.origin) : undefined;
  }
}

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

  /** Runs `work` under `lock`, which `connection` holds where that is not a transaction's. */
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
