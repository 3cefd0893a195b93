import { createAsyncEngine } from './create-async-engine.js';
import type { AsyncEngine } from './engine.js';
import { engineOptionRules, unknownOptions } from './resolve-engine-options.js';
import type { AsyncEngineOptions } from './engine-options.js';
import { ArgumentError } from './errors/errors.js';
import { describeValue } from './util/option-rule.js';
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
  const entries = entriesOf(config, prefix);
  const url = entries.find(({ option }) => option === 'url')?.value;
  if (url === undefined) {
    throw new ArgumentError(
      `the configuration has no '${prefix}url'. Give it, as in postgresql://user@host/database.`,
    );
  }
  // The value stays out of the message: it may hold a password.
  if (typeof url !== 'string' && !(url instanceof DatabaseUrl)) {
    throw new ArgumentError(`'${prefix}url' is of type ${typeof url}; it takes a string or a DatabaseUrl.`);
  }
  const options = entries.filter(({ option }) => option !== 'url');
  expectKnown(options);
  const given = Object.entries(overrides).filter(([, value]) => value !== undefined);
  const configured = options.map((entry) => [entry.option, coerced(entry)] as const);
  return createAsyncEngine(url, Object.fromEntries([...configured, ...given]) as AsyncEngineOptions);
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
    ({ option }) => !engineOptionRules.has(option) && option !== 'serverSideCursors',
  );
  if (unknown.length > 0) throw unknownOptions(unknown.map(({ key }) => key));
}

function coerced({ key, option, value }: Entry): unknown {
  const rule = engineOptionRules.get(option);
  if (rule === undefined) return value;
  const result = typeof value === 'string' ? rule.coerce(value) : value;
  if (rule.accepts(result)) return result;
  const shown = option === 'password' ? `a ${typeof value}` : describeValue(value);
  throw new ArgumentError(`'${key}' got ${shown}; it takes ${rule.takes}.`);
}
