/** What one option takes, as a value and as a text of a configuration. */
export interface OptionRule {
  /** Ends the sentence "it takes …". */
  readonly takes: string;
  accepts(value: unknown): boolean;
  /**
   * The value that a text stands for; a text that stands for none comes back as it is, and is not accepted.
   */
  coerce(text: string): unknown;
}

/** A longer delay makes `setTimeout` fire after one millisecond. */
export const LONGEST_TIMER = 2_147_483_647;

const WORDS: ReadonlyMap<string, boolean> = new Map([
  ...['true', 'yes', 'on', 'y', 't', '1'].map((word) => [word, true] as const),
  ...['false', 'no', 'off', 'n', 'f', '0'].map((word) => [word, false] as const),
]);

const NUMBER = /^[+-]?\d+(?:\.\d+)?$/;

export const flagRule: OptionRule = {
  takes: 'true or false',
  accepts: (value) => typeof value === 'boolean',
  coerce: (text) => WORDS.get(text.trim().toLowerCase()) ?? text,
};

export const wordRule: OptionRule = {
  takes: 'a string',
  accepts: (value) => typeof value === 'string',
  coerce: asItIs,
};

export function integerRule(minimum: number, takes: string): OptionRule {
  return {
    takes,
    accepts: (value) => Number.isSafeInteger(value) && (value as number) >= minimum,
    coerce: coerceNumber,
  };
}

/** Milliseconds that a timer can count. */
export function durationRule(minimum: number, takes: string): OptionRule {
  return {
    takes,
    accepts: (value) => typeof value === 'number' && value >= minimum && value <= LONGEST_TIMER,
    coerce: coerceNumber,
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

/** A value as an error shows it. */
export function describeValue(value: unknown): string {
  if (typeof value === 'string') return `'${value}'`;
  if (typeof value === 'function') return 'a function';
  return typeof value === 'object' && value !== null ? 'an object' : String(value);
}
