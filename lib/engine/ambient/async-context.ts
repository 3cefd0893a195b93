import { AsyncLocalStorage } from 'node:async_hooks';
import type { AsyncConnection, AsyncTransaction } from '../connection/connection.js';
import { TransactionEndedError } from '../errors/errors.js';
import type { PooledConnection } from '../pool/pooled-connection.js';
import type { Scope, ScopeContext } from './scope.js';

/** What the code around a call has opened; never changed, only replaced by a frame inside it. */
export interface FrameParts {
  readonly parent?: Frame | undefined;
  readonly scope?: Scope | undefined;
  /** `'none'`: whatever is active outside is set aside here. */
  readonly transaction?: AsyncTransaction | 'none' | undefined;
}

export class Frame {
  readonly parent: Frame | undefined;
  readonly scope: Scope | undefined;
  readonly #transaction: AsyncTransaction | 'none' | undefined;
  #state: 'open' | 'closed' = 'open';

  constructor(parts: FrameParts) {
    this.parent = parts.parent;
    this.scope = parts.scope;
    this.#transaction = parts.transaction;
  }

  /** The transaction that this frame opened or joined. */
  get own(): AsyncTransaction | undefined {
    return this.#transaction === 'none' ? undefined : this.#transaction;
  }

  /** The transaction in which statements run here. Throws when the frame or its scope has ended. */
  get active(): AsyncTransaction | undefined {
    this.expectOpen();
    if (this.#transaction === 'none') return undefined;
    return this.#transaction ?? this.scope?.unit;
  }

  /** True: a transaction opened here would be inside another one, which may have ended meanwhile. */
  get isInside(): boolean {
    return this.#transaction !== 'none' && (this.#transaction ?? this.scope?.unit) !== undefined;
  }

  /** True: this frame or one around it is in a transaction on `connection`, which has not ended. */
  holds(connection: AsyncConnection): boolean {
    if (this.own?.connection === connection && this.own.isActive) return true;
    return this.parent?.holds(connection) === true;
  }

  /** Statements that come later are late. */
  close(): void {
    this.#state = 'closed';
  }

  expectOpen(): void {
    const { own } = this;
    if (own === undefined) this.scope?.expectOpen();
    else if (this.#state === 'closed') {
      throw new TransactionEndedError(
        `the work in the transaction begun at ${own.origin} has ended and this comes after it. ` +
          `Is a promise not awaited, or does a timer or a stream run on?`,
      );
    }
  }
}

/** The async context of one engine. No other engine, application or tenant sees it. */
export class AmbientContext implements ScopeContext {
  readonly #storage = new AsyncLocalStorage<Frame>();

  get current(): Frame | undefined {
    return this.#storage.getStore();
  }

  run<T>(frame: Frame, work: () => T): T {
    return this.#storage.run(frame, work);
  }

  entranceTo(scope: Scope): <T>(work: () => T) => T {
    const frame = new Frame({ parent: this.current, scope });
    return (work) => this.run(frame, work);
  }

  /**
   * Forgets all frames. In Node 20 each context that is in use slows every promise of the process a little.
   */
  disable(): void {
    this.#storage.disable();
  }

  /** Runs `work` in the present scope but outside every transaction: for hooks that come after one. */
  outside<T>(work: () => T): T {
    const parent = this.current;
    return this.run(new Frame({ parent, scope: parent?.scope, transaction: 'none' }), work);
  }

  /** The innermost transaction of the caller that lives on `connection`. */
  transactionOn(connection: AsyncConnection): AsyncTransaction | undefined {
    for (let frame = this.current; frame !== undefined; frame = frame.parent) {
      if (frame.own?.connection !== connection) continue;
      frame.expectOpen();
      return frame.own;
    }
    return undefined;
  }

  /**
   * The pooled connections that the caller's own transactions and scopes keep while he waits for another one.
   */
  holding(): readonly PooledConnection[] {
    const held = new Set<PooledConnection>();
    for (let frame = this.current; frame !== undefined; frame = frame.parent) {
      for (const pooled of [frame.own?.connection.pooled, frame.scope?.pooled]) {
        if (pooled !== undefined) held.add(pooled);
      }
    }
    return [...held];
  }
}
