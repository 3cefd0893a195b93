import { ArgumentError } from '../errors/errors.js';
import { describeKind, describeValue } from './describe-value.js';
import { lazy } from './lazy.js';
import { LruCache } from './lru-cache.js';
import { nearMiss } from './near-miss.js';
import { ignoreRejection, isPlainObject, isRecord, type OptionRule } from './option-rule.js';

/** A rule for each option. */
export type OptionRules<Options> = Readonly<Record<keyof Options & string, OptionRule>>;

/** `refused`: an unknown name is an error. `taken`: only one that resembles a known one is. */
type UnknownNames = 'refused' | 'taken';

/** How many names of a user's own are remembered as looked at. */
const REMEMBERED_NAMES = 500;

/** What one kind of options object may hold. Each such object is checked by its table where it enters. */
export class OptionTable<Options extends object> {
  /** `engine`: stands in front of the word option in errors. */
  readonly owner: string;
  readonly rules: OptionRules<Options>;
  readonly #unknown: UnknownNames;
  readonly #misplaced: () => Readonly<Record<string, string>>;
  readonly #ownNames = lazy(() => new LruCache<string, true>(REMEMBERED_NAMES));

  constructor(
    owner: string,
    rules: OptionRules<Options>,
    unknown: UnknownNames,
    misplaced: () => Readonly<Record<string, string>> = () => ({}),
  ) {
    this.owner = owner;
    this.rules = rules;
    this.#unknown = unknown;
    this.#misplaced = lazy(misplaced);
  }

  /** Known names that belong somewhere else or to another library, with the sentence that says what to do. */
  get misplaced(): Readonly<Record<string, string>> {
    return this.#misplaced();
  }

  /** The names of the options. */
  get names(): readonly string[] {
    return Object.keys(this.rules);
  }

  has(name: string): name is keyof Options & string {
    return Object.hasOwn(this.rules, name);
  }

  /**
   * The options with their values in the form that the library works with: the same object where nothing had
   * to change. An option that is undefined counts as not given.
   *
   * @throws ArgumentError for what is not an object, an unknown name, or a wrong type or value.
   */
  parse(options: unknown): Options {
    this.#expectObject(options);
    let parsed: Record<string, unknown> | undefined;
    for (const name of Object.keys(options)) {
      if (!this.has(name)) {
        this.#expectOwnName(name, options);
        continue;
      }
      const given = options[name];
      if (given === undefined) continue;
      const value = this.parseOption(name, given, options);
      if (value !== given) (parsed ??= { ...options })[name] = value;
    }
    return (parsed ?? options) as Options;
  }

  /** One option's value, which is not undefined, and what stands beside it. */
  parseOption(
    name: keyof Options & string,
    value: unknown,
    beside: Readonly<Record<string, unknown>> = {},
  ): unknown {
    const rule = this.rules[name];
    if (rule.accepts(value)) return rule.parse === undefined ? value : rule.parse(value, beside);
    ignoreRejection(value);
    throw new ArgumentError(
      `${this.owner} option '${name}' must be ${rule.expected}; got ${rule.isSecret === true ? describeKind(value) : describeValue(value)}.`,
    );
  }

  /**
   * All unknown names in one error, each as it was written, with what to write instead or the option that it
   * resembles.
   */
  unknownNames(names: readonly string[], written = names): ArgumentError {
    const known = this.names;
    const advice = new Map<string, string[]>();
    const shown = names.map((name, index) => {
      const own = describeValue(written[index]);
      const place = this.#placeOf(name);
      if (place !== undefined) {
        advice.set(place, [...(advice.get(place) ?? []), own]);
        return own;
      }
      const meant = nearMiss(name, known);
      return meant === undefined ? own : `${own} (did you mean '${meant}'?)`;
    });
    const sentences = [...advice].map(([sentence, of]) => `${of.join(', ')}: ${sentence}.`);
    if (advice.size === 0 || names.some((name) => this.#placeOf(name) === undefined))
      sentences.push(`Known: ${known.join(', ')}.`);
    return new ArgumentError(`unknown ${this.owner} option ${shown.join(', ')}. ${sentences.join(' ')}`);
  }

  #placeOf(name: string): string | undefined {
    return Object.hasOwn(this.misplaced, name) ? this.misplaced[name] : undefined;
  }

  #expectObject(options: unknown): asserts options is Readonly<Record<string, unknown>> {
    if (isPlainObject(options)) return;
    ignoreRejection(options);
    if (!isRecord(options) || Object.keys(options).length === 0) {
      throw new ArgumentError(
        `the ${this.owner} options must be an object, such as { ${this.names[0]}: … }; got ${describeKind(options)}.`,
      );
    }
    // What an object inherits is lost where it is merged with another one.
    const inherited = this.names.find((name) => name in options && !Object.hasOwn(options, name));
    if (inherited === undefined) return;
    throw new ArgumentError(
      `${this.owner} option '${inherited}' is inherited from the class of the object. Pass a plain object: { ${inherited}: … }.`,
    );
  }

  #expectOwnName(name: string, options: Readonly<Record<string, unknown>>): void {
    if (this.#unknown === 'refused') {
      throw this.unknownNames(Object.keys(options).filter((each) => !this.has(each)));
    }
    const place = this.#placeOf(name);
    if (place !== undefined) {
      if (options[name] === undefined) return;
      throw new ArgumentError(`'${name}' is no ${this.owner} option. ${place}`);
    }
    if (this.#ownNames().get(name) === true) return;
    const meant = nearMiss(name, [...this.names, ...Object.keys(this.misplaced)]);
    if (meant !== undefined) {
      throw new ArgumentError(
        `unknown ${this.owner} option ${describeValue(name)}. Did you mean '${meant}'? An option of your own needs a name less like it.`,
      );
    }
    this.#ownNames().set(name, true);
  }
}

/** An option that is an object with a table of its own. */
export function tableRule(table: OptionTable<never> | OptionTable<object>): OptionRule {
  return {
    expected: 'an object',
    accepts: (value) => typeof value === 'object' && value !== null,
    coerce: (text) => text,
    parse: (value) => table.parse(value),
  };
}
