import type { CompiledStatement } from './row.js';
import { transactionChange } from './transaction-command.js';

/** Puts a statement together: SQL as it is, values as `$1`, `$2`, … */
export class CommandWriter {
  readonly #values: unknown[] = [];
  #text = '';
  #endsInPlaceholder = false;

  sql(piece: string): void {
    if (piece === '') return;
    // `$1` and a `0` behind it would be `$10`.
    this.#text += this.#endsInPlaceholder && /^\d/.test(piece) ? ` ${piece}` : piece;
    this.#endsInPlaceholder = false;
  }

  value(value: unknown): void {
    this.#text += `$${this.#values.push(value)}`;
    this.#endsInPlaceholder = true;
  }

  finish(): CompiledStatement {
    return { text: this.#text, values: this.#values, control: transactionChange(this.#text) };
  }
}
