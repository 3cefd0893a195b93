import { describe, expect, it } from 'vitest';
import {
  ArgumentError,
  asyncEngineFromConfig,
  AsyncMethodRequiredError,
  createAsyncPoolFromUrl,
  makeUrl,
  NullPool,
  QueuePool,
} from 'nest-async-engine/engine';
import { ENGINE_OPTIONS } from '../../lib/engine/resolve-engine-options.js';

const URL = 'postgresql://user:secret@host/database';

function refusalOf(work: () => unknown): string {
  let refusal: unknown;
  try {
    work();
  } catch (error) {
    refusal = error;
  }
  expect(refusal).toBeInstanceOf(ArgumentError);
  return (refusal as ArgumentError).message;
}

describe('asyncEngineFromConfig', () => {
  it('AE-51 PU-13 makes an engine of the URL', () => {
    const engine = asyncEngineFromConfig({ 'database.url': URL });
    expect(engine.url.equals(makeUrl(URL))).toBe(true);
  });

  it.each(['pool_size', 'poolSize'])('takes %s and makes a number of its text', (name) => {
    const engine = asyncEngineFromConfig({ 'database.url': URL, [`database.${name}`]: ' 7 ' });
    expect(engine.pool.size()).toBe(7);
  });

  it('ignores keys with another prefix', () => {
    const engine = asyncEngineFromConfig({ 'a.url': URL, 'b.nonsense': 1, nonsense: 2 }, 'a.');
    expect(engine.url.host).toBe('host');
  });

  it('lets overrides win, and undefined is none', () => {
    const config = { 'database.url': URL, 'database.poolSize': '3', 'database.poolClass': NullPool };
    const engine = asyncEngineFromConfig(config, undefined, { poolSize: undefined, poolClass: QueuePool });
    expect([engine.pool.size(), engine.pool instanceof QueuePool]).toEqual([3, true]);
  });

  it('normalizes the isolation level', () => {
    const engine = asyncEngineFromConfig({
      'database.url': URL,
      'database.isolation_level': 'repeatable_read',
    });
    expect(engine.getExecutionOptions().isolationLevel).toBe('REPEATABLE READ');
  });

  it('refuses a configuration without the URL', () => {
    expect(refusalOf(() => asyncEngineFromConfig({ url: URL }))).toContain("'database.url'");
  });

  it('keeps a URL of a wrong type out of the message', () => {
    const config = { 'database.url': ['secret'] };
    expect(refusalOf(() => asyncEngineFromConfig(config))).not.toContain('secret');
  });

  it('refuses all unknown options together, as they were written', () => {
    const config = { 'database.url': URL, 'database.pool_sise': 1, 'database.colour': 'red' };
    expect(refusalOf(() => asyncEngineFromConfig(config))).toContain(
      "unknown engine option 'database.pool_sise' (did you mean 'poolSize'?), 'database.colour'. Known: ",
    );
  });

  it('refuses one option in two spellings', () => {
    const config = { 'database.url': URL, 'database.pool_size': 1, 'database.poolSize': 2 };
    expect(refusalOf(() => asyncEngineFromConfig(config))).toContain(
      "'database.pool_size' and 'database.poolSize'",
    );
  });

  it('points from server_side_cursors at stream()', () => {
    const config = { 'database.url': URL, 'database.server_side_cursors': 'true' };
    expect(() => asyncEngineFromConfig(config)).toThrow(AsyncMethodRequiredError);
  });

  it.each([
    ['pool_size', 'ten', 'an integer'],
    ['pool_size', '', 'an integer'],
    ['pool_size', '1.5', 'an integer'],
    ['pool_pre_ping', 'maybe', 'true or false'],
    ['pool_reset_on_return', 'hi', "'session', 'rollback', 'commit' or null"],
    ['settings', 'search_path=x', 'a plain object'],
  ])('refuses %s = %j and says what it must be', (name, value, expected) => {
    const config = { 'database.url': URL, [`database.${name}`]: value };
    const message = refusalOf(() => asyncEngineFromConfig(config));
    expect(message).toContain(`'database.${name}' must be ${expected}`);
  });

  it('keeps a password of a wrong type out of the message', () => {
    const config = { 'database.url': URL, 'database.password': 12_345 };
    expect(refusalOf(() => asyncEngineFromConfig(config))).not.toContain('12345');
  });
});

describe('the text of an option', () => {
  it.each([
    ['poolPrePing', 'true', true],
    ['poolPrePing', ' YES ', true],
    ['poolPrePing', 'on', true],
    ['poolPrePing', '1', true],
    ['X-32 poolPrePing', 'false', false],
    ['pgbouncer', 'Off', false],
    ['pgbouncer', '0', false],
    ['PU-13 poolRecycle', '50', 50],
    ['PU-13 echo', 'true', true],
    ['echo', 'debug', 'debug'],
    ['poolRecycle', '-1', -1],
    ['poolTimeout', '2.5', 2.5],
    ['connectTimeout', '10', 10],
    ['PU-15 poolResetOnReturn', 'None', null],
    ['PU-15 poolResetOnReturn', 'COMMIT', 'commit'],
    ['applicationName', '10', '10'],
    ['password', ' true ', ' true '],
  ])('%s: %j stands for %j', (title, given, value) => {
    const name = title.split(' ').at(-1) ?? '';
    expect(ENGINE_OPTIONS.rules[name as 'echo'].coerce(given)).toBe(value);
  });
});

describe('createAsyncPoolFromUrl', () => {
  it('makes a pool that has opened nothing', () => {
    const pool = createAsyncPoolFromUrl(URL, { poolSize: 3 });
    expect([pool.size(), pool.checkedIn(), pool.checkedOut()]).toEqual([3, 0, 0]);
  });

  it('refuses an option of the engine', () => {
    const options = { poolSize: 3, queryCacheSize: 5 };
    expect(refusalOf(() => createAsyncPoolFromUrl(URL, options))).toContain("'queryCacheSize'");
  });
});
