import type { DatabaseModuleOptions } from './database-options.interface.js';

/**
 * What a module was configured with. Not enumerable: there are passwords in it, and the container may be
 * printed.
 */
export class ModuleSettings {
  readonly #options: DatabaseModuleOptions;

  constructor(options: DatabaseModuleOptions) {
    this.#options = options;
  }

  get options(): DatabaseModuleOptions {
    return this.#options;
  }
}
