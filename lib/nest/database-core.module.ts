import { Global, Module } from '@nestjs/common';
import type { OnApplicationShutdown, OnModuleInit } from '@nestjs/common';
import { ArgumentError } from '../engine/index.js';
import type { AsyncEngine } from '../engine/index.js';
import { GraphqlDrivers } from './graphql/graphql-drivers.js';
import { refuseMisplacedConnections } from './request-scope/connection-guards.js';
import { ConnectionConsumers } from './request-scope/connection-consumers.js';

/** An engine of this application and what ends with it. */
interface Database {
  readonly engine: AsyncEngine;
  readonly shutdownTimeout: number;
  /** The embedded server's, where there is one. */
  readonly stopServer: () => Promise<void>;
}

/** The databases of one container, by name. */
export class Databases {
  readonly #byName = new Map<string, Database | undefined>();
  #closing: Promise<void> | undefined;

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
    this.#byName.set(name, database);
  }

  /** Waits for work in progress, then closes the pools and stops embedded servers. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    const databases = [...this.#byName.values()].filter((database) => database !== undefined);
    this.#byName.clear();
    await Promise.all(
      databases.map(async ({ engine, shutdownTimeout, stopServer }) => {
        await engine.drain(shutdownTimeout);
        await engine.aclose();
        await stopServer();
      }),
    );
  }
}

/**
 * Closes what the DatabaseModules opened. Always global, because Nest shuts global modules down last: queue
 * workers and the like still have their database while they end.
 */
@Global()
@Module({
  providers: [Databases, ConnectionConsumers, GraphqlDrivers],
  exports: [Databases, ConnectionConsumers, GraphqlDrivers],
})
export class DatabaseCoreModule implements OnModuleInit, OnApplicationShutdown {
  constructor(
    private readonly databases: Databases,
    private readonly consumers: ConnectionConsumers,
  ) {}

  onModuleInit(): void {
    refuseMisplacedConnections(this.consumers);
  }

  async onApplicationShutdown(): Promise<void> {
    await this.databases.close();
  }
}
