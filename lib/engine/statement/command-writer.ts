import { StatementError } from '../errors/errors.js';
import type { CompiledStatement } from './row.js';
import { skipLiteral } from './skip-literal.js';
import { transactionChange } from './transaction-command.js';

/** Puts a statement together: SQL as it is, values as `$1`, `$2`, … */
export class CommandWriter {
  readonly #values: unknown[] = [];
  /** Where in the text the placeholders of the values begin. */
  readonly #places: number[] = [];
  #text = '';
  #endsInPlaceholder = false;

  get text(): string {
    return this.#text;
  }

  sql(piece: string): void {
    if (piece === '') return;
    // `$1` and a `0` behind it would be `$10`.
    this.#text += this.#endsInPlaceholder && /^\d/.test(piece) ? ` ${piece}` : piece;
    this.#endsInPlaceholder = false;
  }

  value(value: unknown): void {
    this.#places.push(this.#text.length);
    this.#text += `$${this.#values.push(value)}`;
    this.#endsInPlaceholder = true;
  }

  finish(): CompiledStatement {
    return { text: this.#text, values: this.#values, control: transactionChange(this.#text) };
  }

  /** @throws StatementError for a value inside of a literal, a quoted name or a comment. */
  expectValuesInTheOpen(): void {
    const text = this.#text;
    let next = 0;
    const opening = /['"$/-]/g;
    for (let match = opening.exec(text); match !== null; match = opening.exec(text)) {
      const start = match.index;
      while ((this.#places[next] ?? Infinity) < start) next += 1;
      if (this.#places[next] === start) continue;
      const end = skipLiteral(text, start);
      if (end > (this.#places[next] ?? Infinity)) throw hiddenValue(next + 1, text);
      if (end > start) opening.lastIndex = end;
    }
  }
}

function hiddenValue(number: number, statement: string): StatementError {
  return new StatementError(
    `the value $${number} stands inside quotes or a comment, where the server sees none. ` +
      "Take the quotes away; a pattern is '%' || ${…} || '%'.",
    { statement },
  );
}
