import type { BeforeApplicationShutdown, OnApplicationShutdown } from '@nestjs/common';
import type { ModulesContainer } from '@nestjs/core';
import type { Databases } from './databases.js';

/** Closes what the DatabaseModules opened, when everything else of the application has ended. */
export class DatabaseShutdown implements BeforeApplicationShutdown, OnApplicationShutdown {
  readonly #databases: Databases;

  constructor(databases: Databases) {
    this.#databases = databases;
  }

  /**
   * Adds it to Nest's own module, the first one and the last to be shut down: queue workers and the like
   * still have their database while they end, in global modules too. Of modules that LazyModuleLoader has
   * loaded, Nest calls no hooks.
   */
  addTo(modules: ModulesContainer): void {
    const [first] = modules.values();
    first?.addProvider({ provide: DatabaseShutdown, useValue: this });
  }

  /** Before the HTTP server waits for its handlers. */
  beforeApplicationShutdown(): void {
    this.#databases.startShutdown();
  }

  async onApplicationShutdown(): Promise<void> {
    await this.#databases.close();
  }
}
