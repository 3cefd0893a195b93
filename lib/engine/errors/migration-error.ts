import { EngineError } from './errors.js';

/** A migration failed, or its file is not the one that ran. */
export class MigrationError extends EngineError {
  override readonly code = 'MIGRATION';
  override readonly name = 'MigrationError';
  /** The file that the error is about, where it is about one. */
  readonly file: string | undefined;

  constructor(message: string, options: ErrorOptions & { readonly file?: string | undefined } = {}) {
    super(message, options);
    this.file = options.file;
  }
}
