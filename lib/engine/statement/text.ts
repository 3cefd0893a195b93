import { STATEMENT_BRAND, expectNamed, type Parameters, type Row } from './row.js';
import { ArgumentError } from '../errors/errors.js';
import { describeKind } from '../util/describe-value.js';
import { lazy } from '../util/lazy.js';
import { anyRule, flagRule } from '../util/option-rule.js';
import { OptionTable } from '../util/option-table.js';
import { IN_WORD } from './skip-literal.js';
import { scanText, type TextTemplate } from './text-scanner.js';
import { COPY, isOfAnotherCopy, THIS_COPY } from '../errors/copies.js';

/** What is known of a bind before execution. */
export interface BindParameterOptions {
  /** The value where the execution gives none; `null` is a value. */
  readonly value?: unknown;
  /**
   * True: the value is a list, written out as `($1, $2, …)` for IN. Default false: a list is one array
   * parameter.
   */
  readonly expanding?: boolean;
}

const BIND_OPTIONS = new OptionTable<BindParameterOptions>(
  'bindparam',
  { value: anyRule, expanding: flagRule },
  'refused',
);

const namePattern = lazy(() => new RegExp(`^[${IN_WORD}]+$`, 'u'));

/** What is known of one `:name` before execution. Made by {@link bindparam}. */
export class BindParameter {
  readonly name: string;
  /** Undefined: the execution has to give the value. */
  readonly value: unknown;
  readonly expanding: boolean;

  /** @internal */
  get [COPY](): object {
    return THIS_COPY;
  }

  constructor(name: string, options: BindParameterOptions = {}) {
    if (typeof name !== 'string' || !namePattern().test(name)) {
      throw new ArgumentError(
        'the name of a bind must have letters, digits and underscores only. Write it without its colon.',
      );
    }
    const { value, expanding } = BIND_OPTIONS.parse(options);
    this.name = name;
    this.value = value;
    this.expanding = expanding ?? false;
  }
}

/**
 * A `:name` of a {@link text}, with a default value or with `expanding: true` for IN lists.
 *
 * An empty list matches nothing (and NOT IN everything), a list of lists is written as `(($1, $2), ($3,
 * $4))`. Throws {@link ArgumentError} for a malformed name.
 *
 * @example
 * ```ts
 * const ids = bindparam('ids', { expanding: true });
 * const byIds = text('SELECT * FROM items WHERE id IN :ids').bindparams(ids);
 * await engine.execute(byIds, { ids: [1, 2, 3] }).all();
 * ```
 */
export function bindparam(name: string, options: BindParameterOptions = {}): BindParameter {
  return new BindParameter(name, options);
}

const NO_BINDS: ReadonlyMap<string, BindParameter> = new Map();

/** SQL with `:name` binds. Immutable and reusable; made by {@link text}. */
export class TextClause<R = Row> {
  /** Carries the row type; there is no such property. */
  declare protected readonly row?: R;
  /** @internal */
  get [STATEMENT_BRAND](): true {
    return true;
  }
  /** The text as it was written. */
  readonly sql: string;
  readonly binds: ReadonlyMap<string, BindParameter>;
  readonly hasExpanding: boolean;
  #template: TextTemplate | undefined;

  /** @internal */
  get [COPY](): object {
    return THIS_COPY;
  }

  /** @internal */
  constructor(sql: string, binds: ReadonlyMap<string, BindParameter> = NO_BINDS, template?: TextTemplate) {
    if (typeof sql !== 'string') {
      throw new ArgumentError(
        `text() needs a string; got ${describeKind(sql)}. For a template with values write sql\`…\`.`,
      );
    }
    this.sql = sql;
    this.binds = binds;
    this.hasExpanding = binds.size > 0 && [...binds.values()].some((bind) => bind.expanding);
    this.#template = template;
  }

  /** The scanned text; scanned when first asked for. @internal */
  get template(): TextTemplate {
    return (this.#template ??= scanText(this.sql));
  }

  /**
   * Sets defaults and kinds of binds and returns a new text.
   *
   * A plain object gives values and keeps what else was known of a bind. Values of an execution win over
   * these. Throws {@link ArgumentError} for a name that the text does not have.
   */
  bindparams(...binds: readonly (BindParameter | Parameters)[]): TextClause<R> {
    const merged = new Map(this.binds);
    for (const given of binds) {
      if (isOfAnotherCopy(given)) throw new ArgumentError(`a bind must not be ${describeKind(given)}.`);
      expectNamed(given);
      for (const bind of given instanceof BindParameter ? [given] : valuedBinds(given, merged)) {
        this.#expectName(bind.name);
        merged.set(bind.name, bind);
      }
    }
    return new TextClause<R>(this.sql, merged, this.template);
  }

  /** The text with its `:name` binds, escapes resolved. */
  toString(): string {
    const { pieces, slots, names } = this.template;
    return pieces.reduce((text, piece, index) => `${text}:${names[slots[index - 1]?.bind ?? 0]}${piece}`);
  }

  #expectName(name: string): void {
    const { names } = this.template;
    if (names.includes(name)) return;
    const known = names.length === 0 ? 'It has none' : `It has ${names.map((each) => `:${each}`).join(', ')}`;
    throw new ArgumentError(`the text has no bind ':${name}'. ${known}.`);
  }
}

function valuedBinds(values: Parameters, known: ReadonlyMap<string, BindParameter>): BindParameter[] {
  return Object.entries(values).map(
    ([name, value]) => new BindParameter(name, { value, expanding: known.get(name)?.expanding ?? false }),
  );
}

/**
 * Makes a statement of SQL with `:name` binds.
 *
 * `\:` is a plain colon, `::type` a cast; literals, quoted identifiers and comments hold no binds. A name
 * used twice is one parameter. `R` is the type of its rows. Throws {@link ArgumentError} for anything but a
 * string.
 *
 * @example
 * ```ts
 * const byName = text<{ id: number }>('SELECT id FROM items WHERE name = :name');
 * await engine.execute(byName, { name: 'pen' }).scalarOneOrNone();
 * ```
 */
export function text<R = Row>(sql: string): TextClause<R> {
  return new TextClause<R>(sql);
}
