import { ArgumentError, Scope, type AsyncEngine } from '../engine/index.js';
import { printable } from '../engine/util/logger.js';
import { HttpRequestScope } from './request-scope/http-request-scope.js';
import { nameAndReasonOf } from '../engine/errors/thrown.js';

/** One database of the application and what ends with it. */
export class Database {
  readonly engine: AsyncEngine;
  readonly #shutdownTimeout: number;
  readonly #stopServer: () => Promise<void>;
  readonly #closing = new AbortController();
  #deadline: number | undefined;
  #timer: NodeJS.Timeout | undefined;
  #end: Promise<void> | undefined;

  /** `stopServer` is the embedded server's, where there is one. */
  constructor(engine: AsyncEngine, shutdownTimeout: number, stopServer: () => Promise<void>) {
    this.engine = engine;
    this.#shutdownTimeout = shutdownTimeout;
    this.#stopServer = stopServer;
  }

  /** Aborted when the database is closed: attempts to connect end. */
  get closing(): AbortSignal {
    return this.#closing.signal;
  }

  /**
   * Starts the clock of the shutdown: when it has run out, what still runs is cancelled and the pool is
   * closed, so that an HTTP server which waits for handlers can close.
   */
  startShutdown(): void {
    if (this.#deadline !== undefined) return;
    this.#deadline = performance.now() + this.#shutdownTimeout;
    this.#timer = setTimeout(() => void this.close(), this.#shutdownTimeout);
  }

  /**
   * Waits for work in progress until the clock has run out, then ends everything. Idempotent, never rejects.
   */
  close(): Promise<void> {
    this.startShutdown();
    clearTimeout(this.#timer);
    this.#closing.abort();
    const left = Math.max(0, (this.#deadline ?? 0) - performance.now());
    this.#end ??= this.#runSteps([
      () => this.engine.drain(left),
      async () => this.#cutAnswers(),
      () => this.engine.aclose(),
      () => this.#stopServer(),
    ]);
    return this.#end;
  }

  /** Ends everything without a wait. Idempotent, never rejects. */
  abort(): Promise<void> {
    this.#deadline = 0;
    return this.close();
  }

  /** A client that does not read would keep the HTTP server open, for rows that no longer come. */
  #cutAnswers(): void {
    for (const work of this.engine.ambient.openScopes.all) {
      if (work instanceof Scope && work.owner instanceof HttpRequestScope) work.owner.cutAnswer();
    }
  }

  /** No step is left out because one before it failed. */
  async #runSteps(steps: readonly (() => Promise<void>)[]): Promise<void> {
    for (const step of steps) {
      try {
        await step();
      } catch (error) {
        this.engine.logger.error(printable(`a step of the shutdown failed: ${nameAndReasonOf(error)}`));
      }
    }
  }
}

/** The databases of one container, by name. */
export class Databases {
  readonly #byName = new Map<string, Database | undefined>();
  #state: 'open' | 'failed' = 'open';

  /** Two modules of one name would be two pools under one token. */
  reserve(name: string): void {
    if (this.#byName.has(name)) {
      throw new ArgumentError(
        `there are two DatabaseModules named '${name}' in this application. Give one of them another name: forRoot({ name }).`,
      );
    }
    this.#byName.set(name, undefined);
  }

  add(name: string, database: Database): void {
    for (const [otherName, other] of this.#byName) {
      other?.engine.addNeighbor(otherName, database.engine);
      if (other !== undefined) database.engine.addNeighbor(name, other.engine);
    }
    this.#byName.set(name, database);
    // The start has failed while this one was made.
    if (this.#state === 'failed') void database.abort();
  }

  /**
   * Runs a step of the start. When it fails, no database of the application stays open: Nest calls no hook
   * then.
   */
  async closeOnFailure<T>(step: () => Promise<T> | T): Promise<T> {
    try {
      return await step();
    } catch (error) {
      this.#state = 'failed';
      await Promise.all(this.#all().map((database) => database.abort()));
      throw error;
    }
  }

  startShutdown(): void {
    for (const database of this.#all()) database.startShutdown();
  }

  /** Closes all of them, side by side. Idempotent, never rejects. */
  async close(): Promise<void> {
    await Promise.all(this.#all().map((database) => database.close()));
  }

  /** Of all databases, those that are not open yet among them. */
  get names(): readonly string[] {
    return [...this.#byName.keys()];
  }

  #all(): Database[] {
    return [...this.#byName.values()].filter((database) => database !== undefined);
  }
}
