import type { PoolClient } from 'pg';
import type { LentClient } from './lent-client.js';

type Listener = (...facts: unknown[]) => void;

/** How a pool tells of its clients. */
type EmitPoolEvent = (event: 'connect' | 'remove' | 'error', ...facts: unknown[]) => void;

/** What a pool of `pg` knows of one physical connection. */
export class KnownClient {
  readonly #emit: EmitPoolEvent;
  /** `new`: its session is as it was opened, so that `connect` is due. */
  #state: 'new' | 'introduced' = 'new';
  #use: 'lent' | 'idle' | 'broken' = 'idle';
  #view: PoolClient | undefined;
  /** Those that listeners of `connect` have added: they belong to the connection. */
  #listeners: readonly (readonly [event: string | symbol, listener: Listener])[] = [];

  constructor(emit: EmitPoolEvent) {
    this.#emit = emit;
  }

  handleError(error: unknown): void {
    if (this.#use === 'idle') this.#emit('error', error, this.#view);
  }

  handleEnd(): void {
    this.#emit('remove', this.#view);
  }

  lend({ view }: LentClient): void {
    this.#use = 'lent';
    this.#view = view;
    if (this.#state === 'introduced') {
      for (const [event, listener] of this.#listeners) view.on(event as 'notice', listener);
      return;
    }
    this.#emit('connect', view);
    this.#state = 'introduced';
    this.#listeners = view
      .eventNames()
      .flatMap((event) => view.rawListeners(event).map((listener) => [event, listener as Listener] as const));
  }

  /** `isUnchanged`: its session is not reset, so that what `connect` has set is still there. */
  reclaim(isUnchanged: boolean, isBroken: boolean): void {
    this.#use = isBroken ? 'broken' : 'idle';
    if (!isUnchanged) this.#state = 'new';
  }
}
