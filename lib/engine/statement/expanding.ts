import { StatementError } from '../errors/errors.js';
import { describeKind } from '../util/describe-value.js';
import type { CompiledStatement } from './row.js';
import type { TextClause } from './text.js';
import type { Membership, Slot, TextTemplate } from './text-scanner.js';

/**
 * Renders a text in which lists are written out. `given` holds one value for each of the template's names.
 *
 * Throws {@link StatementError} for an expanding bind whose value is not a list.
 */
export function expandText(
  clause: TextClause<unknown>,
  template: TextTemplate,
  given: readonly unknown[],
): CompiledStatement {
  const renderer = new ExpandingRenderer(clause, template, given);
  return renderer.render();
}

class ExpandingRenderer {
  readonly #clause: TextClause<unknown>;
  readonly #template: TextTemplate;
  readonly #given: readonly unknown[];
  readonly #values: unknown[] = [];
  /** What stands for a bind, by its position: a name used twice keeps its numbers. */
  readonly #rendered = new Map<number, string>();
  #text = '';

  constructor(clause: TextClause<unknown>, template: TextTemplate, given: readonly unknown[]) {
    this.#clause = clause;
    this.#template = template;
    this.#given = given;
  }

  render(): CompiledStatement {
    const { pieces, slots } = this.#template;
    let skipped = 0;
    for (const [index, slot] of slots.entries()) {
      this.#text += (pieces[index] ?? '').slice(skipped);
      skipped = this.#slot(slot);
    }
    this.#text += (pieces.at(-1) ?? '').slice(skipped);
    // Each length of a list is another text.
    return { text: this.#text, values: this.#values, control: this.#template.control, prepare: false };
  }

  /** Writes one slot and says how much of the piece behind it is written with it. */
  #slot(slot: Slot): number {
    const name = this.#template.names[slot.bind] ?? '';
    if (this.#clause.binds.get(name)?.expanding !== true) {
      this.#text += this.#once(slot.bind, (value) => this.#placeholder(value));
      return 0;
    }
    const list = this.#once(slot.bind, (value) => this.#list(name, value));
    if (slot.membership === undefined) {
      this.#text += list === '' ? '(SELECT NULL WHERE FALSE)' : `(${list})`;
      return 0;
    }
    this.#text =
      this.#text.slice(0, this.#text.length - slot.membership.before) + membershipTest(slot.membership, list);
    return slot.membership.after;
  }

  #once(bind: number, render: (value: unknown) => string): string {
    const known = this.#rendered.get(bind);
    if (known !== undefined) return known;
    const rendered = render(this.#given[bind]);
    this.#rendered.set(bind, rendered);
    return rendered;
  }

  #placeholder(value: unknown): string {
    if (value === undefined)
      throw this.#refusal('a list has an element that is undefined. Write null for NULL.');
    return `$${this.#values.push(value)}`;
  }

  #list(name: string, value: unknown): string {
    if (value === null) return '';
    if (!Array.isArray(value)) {
      throw this.#refusal(
        `the expanding bind ':${name}' needs an array; got ${describeKind(value)}. Write [value].`,
      );
    }
    const items: readonly unknown[] = value;
    // from(): a hole is an undefined element, which map() would leave out.
    if (!Array.isArray(items[0])) return Array.from(items, (item) => this.#placeholder(item)).join(', ');
    const width = items[0].length;
    return Array.from(items, (item) => this.#tuple(name, item, width)).join(', ');
  }

  #tuple(name: string, item: unknown, width: number): string {
    if (!Array.isArray(item) || item.length !== width || width === 0) {
      throw this.#refusal(
        `the lists in the expanding bind ':${name}' must all have the same length, at least 1.`,
      );
    }
    return `(${Array.from(item, (part) => this.#placeholder(part)).join(', ')})`;
  }

  #refusal(message: string): StatementError {
    return new StatementError(message, { statement: this.#template.text, parameters: this.#given });
  }
}

/**
 * No subselect without rows fits every type: PostgreSQL makes its column text or integer and then finds no
 * operator. An empty array literal takes the type of what it is compared with, rows included.
 */
function membershipTest(membership: Membership, list: string): string {
  if (list === '') return membership.isNegated ? "<> ALL ('{}')" : "= ANY ('{}')";
  return `${membership.isNegated ? 'NOT IN' : 'IN'} (${list})`;
}
