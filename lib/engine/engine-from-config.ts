import { createAsyncEngine } from './create-async-engine.js';
import type { AsyncEngine } from './engine.js';
import { ENGINE_OPTIONS } from './resolve-engine-options.js';
import type { AsyncEngineOptions } from './engine-options.js';
import { ArgumentError } from './errors/errors.js';
import { describeKind, describeValue } from './util/describe-value.js';
import { isRecord } from './util/option-rule.js';
import { mergeOptions } from './util/merge-options.js';
import { DatabaseUrl } from './driver/url/url.js';

/** One key of the configuration that begins with the prefix. */
interface Entry {
  readonly key: string;
  /** The option's name in camelCase. */
  readonly option: string;
  readonly value: unknown;
}

/**
 * Makes an engine of the keys of `config` that begin with `prefix`, `${prefix}url` among them; other keys are
 * ignored. Opens nothing.
 *
 * Options are named in snake_case or camelCase. Texts become what the option takes: `'10'` is 10, `'yes'` is
 * true, and
 * `'none'` is the `null` of `poolResetOnReturn`. Times in ms. `undefined` counts as not given.
 *
 * @param prefix Default `'database.'`.
 * @param overrides Options in code, which win over the configuration.
 * @throws ArgumentError for a missing URL, for a value that is not what its option takes, and for all unknown
 * options together.
 */
export function asyncEngineFromConfig(
  config: Readonly<Record<string, unknown>>,
  prefix = 'database.',
  overrides: AsyncEngineOptions = {},
): AsyncEngine {
  expectKeys(config, prefix);
  const entries = entriesOf(config, prefix);
  const url = entries.find(({ option }) => option === 'url')?.value;
  if (url === undefined) {
    throw new ArgumentError(
      `the configuration has no '${prefix}url'. Set it, as in postgresql://user@host/database.`,
    );
  }
  // The value is left out of the message: it may hold a password.
  if (typeof url !== 'string' && !(url instanceof DatabaseUrl)) {
    throw new ArgumentError(`'${prefix}url' must be a string or a DatabaseUrl; got ${describeKind(url)}.`);
  }
  const options = entries.filter(({ option }) => option !== 'url');
  expectKnown(options);
  const configured = Object.fromEntries(options.map((entry) => [entry.option, coerced(entry)]));
  const merged = mergeOptions<AsyncEngineOptions>(configured, ENGINE_OPTIONS.parse(overrides));
  return createAsyncEngine(url, merged);
}

function expectKeys(config: unknown, prefix: unknown): void {
  if (typeof prefix !== 'string') {
    throw new ArgumentError(`the prefix of a configuration must be a string; got ${describeKind(prefix)}.`);
  }
  if (isRecord(config)) return;
  throw new ArgumentError(
    `the configuration must be an object with the key '${prefix}url'; got ${describeKind(config)}.`,
  );
}

function entriesOf(config: Readonly<Record<string, unknown>>, prefix: string): readonly Entry[] {
  const entries = new Map<string, Entry>();
  for (const [key, value] of Object.entries(config)) {
    if (!key.startsWith(prefix) || value === undefined) continue;
    const option = camelCase(key.slice(prefix.length));
    const other = entries.get(option)?.key;
    if (other !== undefined) {
      throw new ArgumentError(`'${other}' and '${key}' are the same option. Give one of them.`);
    }
    entries.set(option, { key, option, value });
  }
  return [...entries.values()];
}

function camelCase(name: string): string {
  return name.replaceAll(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
}

function expectKnown(entries: readonly Entry[]): void {
  // serverSideCursors has an error of its own, further in.
  const unknown = entries.filter(
    ({ option }) => !ENGINE_OPTIONS.has(option) && option !== 'serverSideCursors',
  );
  if (unknown.length === 0) return;
  throw ENGINE_OPTIONS.unknownNames(
    unknown.map(({ option }) => option),
    unknown.map(({ key }) => key),
  );
}

function coerced({ key, option, value }: Entry): unknown {
  if (!ENGINE_OPTIONS.has(option)) return value;
  const rule = ENGINE_OPTIONS.rules[option];
  const result = typeof value === 'string' ? rule.coerce(value) : value;
  if (rule.accepts(result)) return result;
  const shown = rule.isSecret === true ? describeKind(value) : describeValue(value);
  throw new ArgumentError(`'${key}' must be ${rule.expected}; got ${shown}.`);
}
