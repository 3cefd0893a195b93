import type { CommandOptions, DriverConnection } from '../driver/driver.js';
import type { ConnectionHost } from './connection-host.js';
import type { Route } from './replica-router.js';
import { askInFront } from './side-questions.js';
import type { TargetOptions } from '../execution/invocation.js';
import type { Pool } from '../pool/pool.js';
import type { PooledConnection } from '../pool/pooled-connection.js';
import type { TransactionOptions } from '../transaction/isolation.js';
import type { WaitEnd } from '../util/wait-end.js';

/** The server that a connection is on: the engine's own, or a replica while its work is read-only. */
export class ServerChoice<Connection> {
  readonly #host: ConnectionHost<Connection>;
  #route: Route | undefined;
  /** The question in front of the root's first flight was taken. */
  #isAsked = true;
  #isReadOnly = false;

  constructor(host: ConnectionHost<Connection>) {
    this.#host = host;
  }

  get pool(): Pool {
    return (this.#route ?? this.#host).pool;
  }

  checkout(end: WaitEnd): Promise<PooledConnection> {
    return (this.#route ?? this.#host).checkout(end);
  }

  /**
   * Chooses for a root with these options, between two of them; undefined where that is done at once. With an
   * open session it stays where it is, unless the root can't run there: then `leave` gives the session back.
   */
  choose(
    options: TransactionOptions | undefined,
    isOpen: boolean,
    leave: () => void,
  ): Promise<void> | undefined {
    const route = this.#host.router?.route(options);
    this.#isReadOnly = options?.readOnly === true;
    this.#isAsked = false;
    if (isOpen) {
      const here = this.#route?.replica;
      if (here === undefined) return undefined;
      if (route?.staysAt(here) === true) {
        this.#route = route;
        return undefined;
      }
      leave();
    }
    this.#route = route;
    return route?.choose();
  }

  /** The first flight of a root on a replica has a question in front of it. */
  get isAsking(): boolean {
    return !this.#isAsked && this.#route?.question !== undefined;
  }

  /** Sends it; where the replica has not what it is asked for, once more after `change` to the primary. */
  async ask<T>(
    session: DriverConnection,
    options: TargetOptions | undefined,
    send: Sender<T>,
    change: () => Promise<void> | undefined,
  ): Promise<T> {
    const question = this.#route?.question;
    this.#isAsked = true;
    if (question === undefined) return await send(options);
    const asked = await askInFront(session, question, (told) => send({ ...options, ...told }));
    if (asked !== undefined) return asked.answer;
    this.#route?.fallBehind();
    await change();
    return await send(options);
  }

  /** Sends COMMIT or ROLLBACK, and notes what was written. */
  end<T>(
    text: string,
    session: DriverConnection,
    send: (options: CommandOptions | undefined) => Promise<T>,
  ): Promise<T> {
    const { router } = this.#host;
    const isWrite = text === 'COMMIT' && !this.#isReadOnly && this.#route?.replica === undefined;
    return router !== undefined && isWrite ? router.sendWrite(session, send) : send(undefined);
  }
}

/** Sends one flight with these options. */
export type Sender<T> = (options: TargetOptions | undefined) => Promise<T>;
