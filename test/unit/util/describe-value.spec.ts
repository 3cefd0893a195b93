import { describe, expect, it } from 'vitest';
import { describeKind, describeValue } from '../../../lib/engine/util/describe-value.js';

describe('a value in an error', () => {
  it.each([
    ['no', "'no'"],
    ['x'.repeat(50), `'${'x'.repeat(40)}…'`],
    [10n ** 60n, `1${'0'.repeat(39)}…`],
    ['a\n[AsyncEngine] COMMIT"', `'a\\n[AsyncEngine] COMMIT"'`],
    [5, '5'],
    [Number.NaN, 'NaN'],
    [null, 'null'],
    [undefined, 'undefined'],
    [true, 'true'],
    [Symbol('secret'), 'a symbol'],
    [() => 1, 'a function'],
    [{ password: 'x' }, 'an object'],
    [Object.create(null), 'an object'],
    [[1], 'an array'],
    [new Map(), 'an instance of Map'],
    [Promise.resolve(), 'an instance of Promise'],
  ])('%o is shown as %s', (value, shown) => {
    expect(describeValue(value)).toBe(shown);
  });

  it.each(['postgresql://app:secret@host/db', 'host=h password=secret'])('shows nothing of %s', (text) => {
    expect(describeValue(text)).toBe('a string that is not shown');
  });

  it('shows the kind alone of what is a secret', () => {
    expect([describeKind('secret'), describeKind(4711), describeKind({ a: 1 })]).toEqual([
      'a string',
      'a number',
      'an object',
    ]);
  });

  it('survives a value that answers no question', () => {
    const { proxy, revoke } = Proxy.revocable({}, {});
    revoke();
    expect(describeValue(proxy)).toBe('an object');
  });
});
