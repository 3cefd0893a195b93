import { StatementError } from '../errors/errors.js';
import type { CompiledStatement } from './row.js';
import { skipLiteral } from './skip-literal.js';
import { transactionChange } from './transaction-command.js';

/** A value where the name of a column is meant, behind names or alone. */
const SORTING_VALUE =
  /(\bORDER\s+BY\s+(?:[\w."]+(?:\s+(?:ASC|DESC))?\s*,\s*)*)\$\d+\s*(?:$|[,;)]|(?:ASC|DESC|NULLS|LIMIT|OFFSET|FETCH|FOR)\b)/gi;

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

  /** @throws StatementError for a value that means nothing where it stands. */
  expectValuesInPlace(): void {
    if (this.#places.length === 0) return;
    this.#expectValuesInTheOpen();
    expectNoSortingValue(this.#text, () => this.#places);
  }

  /** Not inside of a literal, a quoted name or a comment. */
  #expectValuesInTheOpen(): void {
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

/**
 * `placesOf` gives where the values of the text begin; what looks like one elsewhere is in a literal.
 *
 * @throws StatementError for `ORDER BY $1`, by which the server sorts nothing, in silence.
 */
export function expectNoSortingValue(text: string, placesOf: () => readonly number[]): void {
  for (const match of text.matchAll(SORTING_VALUE)) {
    const place = match.index + (match[1]?.length ?? 0);
    if (!placesOf().includes(place)) continue;
    const [value = ''] = /^\$\d+/.exec(text.slice(place)) ?? [];
    throw new StatementError(
      `ORDER BY ${value} sorts by a value, which is the same for each row. Write the name by sql.id(), chosen out of ` +
        'a list of your own, and the direction by sql`DESC`.',
      { statement: text },
    );
  }
}
