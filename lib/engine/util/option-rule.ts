import { types } from '../errors/node-modules.js';

/** What one option may be, as a value and as a text of a configuration. */
export interface OptionRule {
  /** Ends the sentence "must be …". */
  readonly expected: string;
  readonly accepts: (value: unknown) => boolean;
  /**
   * The value that a text of a configuration stands for: `'10'` is 10 where a number is wanted. A text that
   * stands for none comes back as it is, and is then not accepted.
   */
  readonly coerce: (text: string) => unknown;
  /**
   * The form that the library works with; an ArgumentError where something inside of it is wrong, or does not
   * go together with what stands beside it.
   */
  parse?(value: unknown, beside: Readonly<Record<string, unknown>>): unknown;
  /** True: an error says of what kind the value is, and shows nothing of it. */
  readonly isSecret?: boolean;
}

/** A longer delay makes `setTimeout` fire after one millisecond. */
export const LONGEST_TIMER = 2_147_483_647;

const WORDS: ReadonlyMap<string, boolean> = new Map([
  ...['true', 'yes', 'on', 'y', 't', '1'].map((word) => [word, true] as const),
  ...['false', 'no', 'off', 'n', 'f', '0'].map((word) => [word, false] as const),
]);

const NUMBER = /^[+-]?\d+(?:\.\d+)?$/;

export const flagRule: OptionRule = {
  expected: 'true or false',
  accepts: (value) => typeof value === 'boolean',
  coerce: (text) => WORDS.get(text.trim().toLowerCase()) ?? text,
};

export const wordRule: OptionRule = {
  expected: 'a string',
  accepts: (value) => typeof value === 'string',
  coerce: asItIs,
};

export const nameRule: OptionRule = {
  expected: 'a name: a string that is not empty',
  accepts: (value) => typeof value === 'string' && value !== '',
  coerce: asItIs,
};

/** Anything. */
export const anyRule: OptionRule = { expected: 'a value', accepts: () => true, coerce: asItIs };

/** A function whose result is awaited, or not used. */
export const functionRule: OptionRule = {
  expected: 'a function',
  accepts: (value) => typeof value === 'function',
  coerce: asItIs,
};

/** A function whose result is used at once: a promise would count as true, or as an empty object. */
export const synchronousRule: OptionRule = {
  expected: 'a function that is not async',
  accepts: (value) => typeof value === 'function' && !types.isAsyncFunction(value),
  coerce: asItIs,
};

export const signalRule: OptionRule = {
  expected: 'an AbortSignal',
  accepts: (value) => value instanceof AbortSignal,
  coerce: asItIs,
};

/** An object whose content is not looked into. */
export const objectRule: OptionRule = {
  expected: 'an object',
  accepts: (value) =>
    typeof value === 'object' && value !== null && !Array.isArray(value) && !isThenable(value),
  coerce: asItIs,
};

/** An object of values by names, whose names are looked at elsewhere: a Map has none. */
export const recordRule: OptionRule = {
  expected: 'a plain object',
  accepts: isRecord,
  coerce: asItIs,
};

export function integerRule(
  minimum: number,
  expected: string,
  maximum = Number.MAX_SAFE_INTEGER,
): OptionRule {
  return {
    expected,
    accepts: (value) =>
      Number.isSafeInteger(value) && (value as number) >= minimum && (value as number) <= maximum,
    coerce: coerceNumber,
  };
}

/** A whole number, or Infinity for no limit. */
export function countRule(minimum: number): OptionRule {
  const { accepts } = integerRule(minimum, '');
  return {
    expected: `a whole number from ${minimum}, or Infinity`,
    accepts: (value) => value === Infinity || accepts(value),
    coerce: coerceNumber,
  };
}

/** Milliseconds that a timer can count. */
export function durationRule(minimum: number, expected: string): OptionRule {
  return {
    expected,
    accepts: (value) => typeof value === 'number' && value >= minimum && value <= LONGEST_TIMER,
    coerce: coerceNumber,
  };
}

/** Any time that a timer can count, from 0. */
export const timeRule = durationRule(0, `milliseconds from 0 to ${LONGEST_TIMER}`);

/** A deadline, or how long something may wait. */
export const deadlineRule = durationRule(0, `milliseconds from 0 (at once) to ${LONGEST_TIMER}`);

/** A limit that 0 switches off. In whole ms: the server would round a part of one down to 0. */
export const limitRule: OptionRule = {
  ...durationRule(0, `milliseconds from 0 (no limit) to ${LONGEST_TIMER}`),
  parse: (value) => Math.ceil(value as number),
};

/** One of a few words. */
export function oneOf(...words: readonly (string | boolean | null)[]): OptionRule {
  const shown = words.map((word) => (typeof word === 'string' ? `'${word}'` : String(word)));
  return {
    expected: `${shown.slice(0, -1).join(', ')} or ${shown.at(-1)}`,
    accepts: (value) => words.includes(value as string | boolean | null),
    coerce: (text) => {
      const word = text.trim().toLowerCase();
      if (words.includes(word)) return word;
      const flag = WORDS.get(word);
      if (flag !== undefined && words.includes(flag)) return flag;
      return word === 'none' && words.includes(null) ? null : text;
    },
  };
}

/** What one of the rules accepts; a text is coerced by the first that takes it. */
export function eitherRule(...rules: readonly OptionRule[]): OptionRule {
  return {
    expected: rules.map(({ expected }) => expected).join(', or '),
    accepts: (value) => rules.some((rule) => rule.accepts(value)),
    coerce: (text) => {
      const values = rules.map((rule) => rule.coerce(text));
      return values.find((value, index) => rules[index]?.accepts(value) === true) ?? text;
    },
    parse: (value, beside) => {
      const rule = rules.find((each) => each.accepts(value));
      return rule?.parse === undefined ? value : rule.parse(value, beside);
    },
  };
}

export function coerceNumber(text: string): unknown {
  const trimmed = text.trim();
  return NUMBER.test(trimmed) ? Number(trimmed) : text;
}

/** For what no text stands for, such as a class, and for what is a text. */
export function asItIs(text: string): string {
  return text;
}

/** True for what `await` would wait for. */
export function isThenable(value: unknown): value is PromiseLike<unknown> {
  return (
    ((typeof value === 'object' && value !== null) || typeof value === 'function') &&
    typeof (value as { readonly then?: unknown }).then === 'function'
  );
}

/** A promise that is refused where none is awaited must not end the process when it fails. */
export function ignoreRejection(value: unknown): void {
  if (types.isPromise(value)) value.catch(() => undefined);
}

/** True for an object that holds values by names; not for a list, a Map, a Promise or a built-in value. */
export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  if (isPlainObject(value)) return true;
  if (typeof value !== 'object' || value === null || isThenable(value) || Symbol.iterator in value)
    return false;
  return (
    !types.isDate(value) &&
    !types.isRegExp(value) &&
    !types.isNativeError(value) &&
    !types.isBoxedPrimitive(value) &&
    !types.isAnyArrayBuffer(value) &&
    !types.isWeakMap(value) &&
    !types.isWeakSet(value)
  );
}

/** True for `{ … }` and an object without a prototype: not for a Map, a Promise or an instance of a class. */
export function isPlainObject(value: unknown): value is Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  // A `{}` of another realm, as tests in a sandbox make them, has a root of its own.
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}
